"""Objects in stores and files on a file system, behind one set of functions: all the rest of choreai knows of storage.

`choreai.storage.uris` says what a URI is; `s3`, `clouds`, `web` and `files` are the backends.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from choreai.errors import ObjectMissingError
from choreai.storage import clouds, files, s3, web
from choreai.storage.uris import (
    ObjectInfo,
    StoreLocation,
    check_uri,
    join_uri,
    parent_uri,
    parse_uri,
    resolve_uri,
    without_secrets,
)

__all__ = [
    "ObjectInfo",
    "check_may_be_folder",
    "check_uri",
    "delete_object",
    "has_been_given_nothing",
    "is_folder",
    "join_uri",
    "list_objects",
    "open_object",
    "parent_uri",
    "put_if_absent",
    "put_object",
    "read_object",
    "replace_object",
    "resolve_uri",
    "stat_object",
    "sweep_temporaries",
    "without_secrets",
]


class _Store(Protocol):
    """What a backend does, given a URI for its messages and the location that it stands for."""

    def is_prefix(self, uri: str, location: StoreLocation) -> bool: ...
    def stat_key(self, uri: str, location: StoreLocation) -> ObjectInfo | None: ...
    def open_key(self, info: ObjectInfo, location: StoreLocation) -> BinaryIO: ...
    def put_key(self, uri: str, location: StoreLocation, data: bytes) -> None: ...
    def put_key_if_absent(self, uri: str, location: StoreLocation, source: bytes | Path) -> bool: ...
    def replace_key(self, info: ObjectInfo, location: StoreLocation, source: bytes | Path) -> bool: ...
    def list_keys(self, uri: str, location: StoreLocation, *, sub_folders: bool) -> Iterator[ObjectInfo]: ...
    def delete_key(self, uri: str, location: StoreLocation) -> None: ...


_STORES: dict[str, _Store] = {"s3": s3, "gs": clouds, "az": clouds, "https": web, "http": web}


def _store(location: StoreLocation) -> _Store:
    return _STORES[location.scheme]


def is_folder(uri: str) -> bool:
    """Return whether `uri` is a folder, a bucket, or a prefix with something under it."""
    location = parse_uri(uri)
    return files.is_folder(uri, location) if isinstance(location, str) else _store(location).is_prefix(uri, location)


def check_may_be_folder(uri: str) -> None:
    """Raise ConfigError if `uri`, to be written below, is a file or lies in one."""
    location = parse_uri(uri)
    if isinstance(location, str):
        files.check_may_be_folder(location)


def stat_object(uri: str) -> ObjectInfo | None:
    """Return size and content id of an object, or None if there is none.

    Raises `ObjectUnusableError` for a folder, anything else that is not a regular file, or a missing permission.
    """
    location = parse_uri(uri)
    return files.stat_file(uri, location) if isinstance(location, str) else _store(location).stat_key(uri, location)


def open_object(uri: str) -> BinaryIO:
    """Open an object for reading: a seekable file, which the caller closes.

    A store is read in ranges of a few MiB, all of the version seen at opening: an object that changes meanwhile
    raises `StorageError` instead of giving a mix.
    """
    info = stat_object(uri)
    if info is None:
        raise ObjectMissingError(uri, "there is nothing here; check the name")
    location = parse_uri(uri)
    return files.open_file(uri, location) if isinstance(location, str) else _store(location).open_key(info, location)


def read_object(uri: str) -> bytes:
    """Return all bytes of an object."""
    with open_object(uri) as file:
        return file.read()


def put_object(uri: str, data: bytes) -> None:
    """Write `data`, replacing what is there; a reader sees the old object or the new one, never a mix."""
    location = parse_uri(uri)
    if isinstance(location, str):
        files.put_file(uri, location, data)
    else:
        _store(location).put_key(uri, location, data)


def put_if_absent(uri: str, source: bytes | Path) -> bool:
    """Write an object unless there is one already, which stays untouched; return whether this call wrote it.

    Of any number of racing writers one gets True; readers see all its bytes or none. A path is streamed.
    If the reply to a PUT was lost and the client retried, the result may be False for the call that wrote: the
    object is there either way. Raises `StorageError`, leaving nothing behind, where a file system cannot guarantee
    this. A store must honour a create on the condition that
    there is nothing: `If-None-Match: *`, or generation 0 of Google.
    """
    location = parse_uri(uri)
    if isinstance(location, str):
        return files.put_file_if_absent(uri, location, source)
    return _store(location).put_key_if_absent(uri, location, source)


def replace_object(info: ObjectInfo, source: bytes | Path) -> bool:
    """Replace the version of an object that `info` describes; return False, changing nothing, if it is another by now.

    A reader sees the old object or the new one, never a mix. A store must honour `If-Match`, or
    generations of Google.
    """
    location = parse_uri(info.uri)
    if isinstance(location, str):
        return files.replace_file(info, location, source)
    return _store(location).replace_key(info, location, source)


def list_objects(
    prefix_uri: str, *, sub_folders: bool = True, on_problem: Callable[[str, str], None] | None = None
) -> Iterator[ObjectInfo]:
    """Yield every object in a folder or prefix and in its sub-folders, in no promised order.

    A missing folder or prefix yields nothing; a missing bucket raises `ObjectMissingError`. `on_problem` is told path
    and trouble of what cannot be listed below a folder, such as a sub-folder without permission, and the rest goes on.
    """
    location = parse_uri(prefix_uri)
    if isinstance(location, str):
        return files.list_files(prefix_uri, location, sub_folders=sub_folders, on_problem=on_problem)
    return _store(location).list_keys(prefix_uri, location, sub_folders=sub_folders)


def has_been_given_nothing() -> bool:
    """Return whether a store has refused every object that this process asked it for."""
    return s3.has_given_nothing() or clouds.has_given_nothing()


def delete_object(uri: str) -> None:
    """Delete an object; it is no error if there is none."""
    location = parse_uri(uri)
    if isinstance(location, str):
        files.delete_file(uri, location)
    else:
        _store(location).delete_key(uri, location)


def sweep_temporaries(prefix_uri: str) -> int:
    """Delete what writers that were killed have left half written in a folder and below, and return how many files.

    A store of objects has none: there a PUT is whole or nothing.
    """
    location = parse_uri(prefix_uri)
    return files.sweep_temporaries(location) if isinstance(location, str) else 0
