"""The backend of `choreai.storage.objects` for Google Cloud Storage (gs://) and Azure Blob Storage (az://).

Only this file and `cloud_errors.py` import obstore, both on first use. Store and credentials come from the
environment: GOOGLE_APPLICATION_CREDENTIALS, AZURE_STORAGE_ACCOUNT_NAME and the like, or the machine's identity.
S3 stays with boto3: its errors say more of what was refused, and why.
"""

import functools
import io
import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError, StorageError
from choreai.storage.cloud_errors import is_answer, translate_errors
from choreai.storage.files import open_file
from choreai.storage.patience import Contact
from choreai.storage.ranges import BrokenBodyError, open_ranges
from choreai.storage.uris import ObjectInfo, StoreLocation

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

_PAGE = 1000
_MAX_KEY_BYTES = 1024
_RETRIES: Any = {"max_retries": 2, "retry_timeout": timedelta(seconds=60)}  # `Contact.ask` is patient
_ENDPOINTS = {"gs": ("GOOGLE_BASE_URL",), "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT")}


def is_prefix(uri: str, location: StoreLocation) -> bool:
    """Return whether `location` is a folder: a bucket, a key ending in '/', or a prefix with something under it."""
    if not location.key or location.key.endswith("/"):
        return True
    return bool(_contact(location).ask(uri, _Pages(location, page_size=1).next))


def stat_key(uri: str, location: StoreLocation) -> ObjectInfo | None:
    """Return size and ETag, or None if there is no such key or bucket."""
    _check_key(uri, location)
    try:
        return _info(uri, _contact(location).ask_for_object(uri, location, _head))
    except ObjectMissingError:
        return None


def open_key(info: ObjectInfo, location: StoreLocation) -> BinaryIO:
    """Open the version of the object that `info` describes."""
    return open_ranges(info, lambda start, stop: _get_range(info, location, start, stop))


def put_key(uri: str, location: StoreLocation, data: bytes) -> None:
    """Write the key with one PUT, which replaces what is there."""
    _check_key(uri, location)
    _contact(location).ask(uri, lambda: _store(location).put(location.key, data, use_multipart=False))


def put_key_if_absent(uri: str, location: StoreLocation, source: bytes | Path) -> bool:
    """Write the key unless it exists, with one PUT; return whether this call wrote it."""
    _check_key(uri, location)
    return _contact(location).ask(uri, lambda: _put_on_condition(location, source, "create"))


def replace_key(info: ObjectInfo, location: StoreLocation, source: bytes | Path) -> bool:
    """Replace the version of the key that `info` describes; return False if another is there by now, or none."""
    contact = _contact(location)
    try:
        found = contact.ask_for_object(info.uri, location, _head)
    except ObjectMissingError:
        return False
    if _info(info.uri, found) != info:
        return False
    # Google compares the version, Azure the ETag.
    version: Any = {name: value for name in ("e_tag", "version") if (value := found.get(name)) is not None}
    return contact.ask(info.uri, lambda: _put_on_condition(location, source, version))


def list_keys(uri: str, location: StoreLocation, *, sub_folders: bool) -> Iterator[ObjectInfo]:
    """Yield every object under a prefix taken as a folder, a page at a time."""
    if not sub_folders:
        found = _contact(location).ask(uri, lambda: _store(location).list_with_delimiter(_folder(location)))
        yield from _infos(location, found["objects"])
        return
    pages = _Pages(location)
    while page := _contact(location).ask(uri, pages.next):
        yield from _infos(location, page)


def delete_key(uri: str, location: StoreLocation) -> None:
    """Delete a key if it exists."""
    _check_key(uri, location)
    try:
        _contact(location).ask(uri, lambda: _store(location).delete(location.key))
    except ObjectMissingError:
        return


def has_given_nothing() -> bool:
    """Return whether this process has asked for objects and a store refused every one of them."""
    return any(contact.has_given_nothing() for contact in _contacts.values())


def file_system(location: StoreLocation) -> Any:  # a PyFileSystem of pyarrow's
    """Return the store as a file system of pyarrow's, for Ray Train's checkpoints."""
    from obstore.fsspec import FsspecStore
    from pyarrow.fs import PyFileSystem

    from choreai.storage.cloud_files import CloudHandler

    scheme: Any = location.scheme
    return PyFileSystem(CloudHandler(FsspecStore(scheme, **_options(location.scheme))))


def _head(location: StoreLocation) -> "ObjectMeta":
    with translate_errors(location.uri):
        try:
            return _store(location).head(location.key)
        except Exception as exc:
            if not is_answer(exc) or isinstance(exc, FileNotFoundError):
                raise
    # Only an answer with a body says why: an archived object, a key that is gone.
    with translate_errors(location.uri):
        _store(location).get_range(location.key, start=0, end=1)
        return _store(location).head(location.key)


def _get_range(info: ObjectInfo, location: StoreLocation, start: int, stop: int) -> bytes:
    def get(asked: StoreLocation) -> bytes:
        if asked != location:  # one that was given before, to see whether it still is
            return bytes(_store(asked).get_range(asked.key, start=0, end=1))
        options: Any = {"range": (start, stop), "if_match": f'"{info.content_id}"'}
        return bytes(_store(location).get(location.key, options=options).bytes())

    data = _contact(location).ask_for_object(info.uri, location, get, name="GET")
    if len(data) != stop - start:
        raise BrokenBodyError(info.uri, f"asked for {stop - start} bytes, the store sent {len(data)}")
    return data


def _put_on_condition(location: StoreLocation, source: bytes | Path, mode: Any) -> bool:
    """Return whether the object was written: with "create" if there was none, with a version if that one was there."""
    from obstore.exceptions import AlreadyExistsError, PreconditionError

    with io.BytesIO(source) if isinstance(source, bytes) else open_file(str(source), str(source)) as body:
        try:
            _store(location).put(location.key, body, mode=mode, use_multipart=False)
        except (AlreadyExistsError, PreconditionError, FileNotFoundError) as exc:
            if isinstance(exc, FileNotFoundError) and mode == "create":
                raise  # no such bucket
            return False
    return True


class _Pages:
    """The pages of a listing; after one that failed, `next` goes on behind the last one that did not."""

    def __init__(self, location: StoreLocation, *, page_size: int = _PAGE) -> None:
        self._location = location
        self._page_size = page_size
        self._stream: Iterator[Any] | None = None
        self._last: str | None = None

    def next(self) -> "list[ObjectMeta]":
        """Return the next page; an empty one at the end."""
        if self._stream is None:
            folder, size = _folder(self._location), self._page_size
            self._stream = iter(_store(self._location).list(folder, offset=self._last, chunk_size=size))
        try:
            page = list(next(self._stream, []))
        except BaseException:
            self._stream = None
            raise
        self._last = page[-1]["path"] if page else None
        return page


def _folder(location: StoreLocation) -> str | None:
    return location.key.rstrip("/") or None


def _infos(location: StoreLocation, page: "Iterable[ObjectMeta]") -> Iterator[ObjectInfo]:
    for meta in page:
        if not meta["path"].endswith("/"):
            yield _info(f"{location.scheme}://{location.bucket}/{meta['path']}", meta)


def _info(uri: str, meta: "ObjectMeta") -> ObjectInfo:
    etag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    if not etag:
        raise StorageError(uri, "the answer has no ETag, as the store's have: does a proxy answer in its place?")
    return ObjectInfo(uri, meta["size"], etag, meta["last_modified"].timestamp())


_contacts: dict[tuple[int, str], Contact] = {}


def _contact(location: StoreLocation) -> Contact:
    """Return what this process knows of the store, by scheme: one account serves all its buckets."""
    return _contacts.setdefault((os.getpid(), location.scheme), Contact(translate_errors, is_answer))


def _store(location: StoreLocation) -> "ObjectStore":
    return _store_of_process(os.getpid(), location.scheme, location.bucket)


@functools.cache
def _store_of_process(_pid: int, scheme: str, bucket: str) -> "ObjectStore":  # connections do not survive a fork
    try:
        from obstore.store import AzureStore, GCSStore
    except ImportError as exc:
        raise ConfigError(f'{scheme}:// needs obstore: pip install "choreai[clouds]"') from exc
    return (GCSStore if scheme == "gs" else AzureStore)(bucket, **_options(scheme))


def _options(scheme: str) -> dict[str, Any]:
    endpoint = next(filter(None, map(os.environ.get, _ENDPOINTS[scheme])), "")
    is_emulated = scheme == "az" and os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in ("1", "true")
    allow_http = is_emulated or endpoint.lower().startswith("http://")
    return {
        "retry_config": _RETRIES,
        "client_options": {"allow_http": allow_http, "connect_timeout": "10s", "timeout": "120s"},
    }


def _check_key(uri: str, location: StoreLocation) -> None:
    if not location.key or location.key.endswith("/"):
        raise ObjectUnusableError(uri, "is a folder (a bucket or a prefix), not an object")
    num_bytes = len(location.key.encode("utf-8", "surrogatepass"))
    if num_bytes > _MAX_KEY_BYTES:
        raise ObjectUnusableError(uri, f"the key has {num_bytes} bytes, {_MAX_KEY_BYTES} are allowed")
