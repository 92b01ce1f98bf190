"""Objects in S3 and files on a file system behind one set of functions: all that the rest of choreai knows of
storage. `choreai.storage.uris` says what a URI is; `s3` and `files` do the work."""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from choreai.errors import ObjectMissingError
from choreai.storage import files, s3
from choreai.storage.uris import (
    ObjectInfo,
    check_uri,
    join_uri,
    locate,
    parent_uri,
    resolve_uri,
    without_secrets,
)

__all__ = [
    "ObjectInfo",
    "check_uri",
    "delete_object",
    "is_folder",
    "join_uri",
    "list_objects",
    "open_object",
    "parent_uri",
    "put_if_absent",
    "put_object",
    "read_object",
    "resolve_uri",
    "stat_object",
    "without_secrets",
]


def is_folder(uri: str) -> bool:
    """Whether `uri` is a folder, a bucket, or a prefix with something under it."""
    place = locate(uri)
    return files.is_folder(uri, place) if isinstance(place, str) else s3.is_prefix(uri, place)


def stat_object(uri: str) -> ObjectInfo | None:
    """Size and content id of an object, None where there is none.

    Raises `ObjectUnusableError` for a folder, anything else that is no regular file, or a missing permission.
    """
    place = locate(uri)
    return files.stat_file(uri, place) if isinstance(place, str) else s3.stat_key(uri, place)


def open_object(uri: str) -> BinaryIO:
    """The object's bytes, seekable; the caller closes it.

    S3 is read in ranges of a few MiB, all of the version seen at opening: an object that changes meanwhile
    raises `StorageError` instead of giving a mix.
    """
    info = stat_object(uri)
    if info is None:
        raise ObjectMissingError(uri, "there is nothing here; check the name")
    place = locate(uri)
    return files.open_file(uri, place) if isinstance(place, str) else s3.open_key(info, place)


def read_object(uri: str) -> bytes:
    """All bytes of an object."""
    with open_object(uri) as file:
        return file.read()


def put_object(uri: str, data: bytes) -> None:
    """Writes `data`, replacing what is there; a reader sees the old object or the new one, never a part."""
    place = locate(uri)
    if isinstance(place, str):
        files.put_file(uri, place, data)
    else:
        s3.put_key(uri, place, data)


def put_if_absent(uri: str, source: bytes | Path) -> bool:
    """True if this call wrote the object, False if there was one already, which stays untouched.

    Of any number of racing writers one gets True; readers see all its bytes or none. A path is streamed.
    Where the reply to a PUT was lost and the client asked again, False may mean this very call: the object is
    there either way. Raises `StorageError`, leaving nothing behind, where a file system cannot promise this.
    An S3 store must honour `If-None-Match: *`.
    """
    place = locate(uri)
    if isinstance(place, str):
        return files.put_file_if_absent(uri, place, source)
    return s3.put_key_if_absent(uri, place, source)


def list_objects(prefix_uri: str, *, sub_folders: bool = True) -> Iterator[ObjectInfo]:
    """Every object in a folder or prefix and in its sub-folders, one at a time, in no promised order.

    A missing folder or prefix gives nothing; a missing bucket raises `ObjectMissingError`.
    """
    place = locate(prefix_uri)
    if isinstance(place, str):
        return files.list_files(prefix_uri, place, sub_folders=sub_folders)
    return s3.list_keys(prefix_uri, place, sub_folders=sub_folders)


def delete_object(uri: str) -> None:
    """Removes an object; one that is not there is no error."""
    place = locate(uri)
    if isinstance(place, str):
        files.delete_file(uri, place)
    else:
        s3.delete_key(uri, place)
