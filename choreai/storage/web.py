"""The backend of `choreai.storage.objects` for https:// addresses, which can only be read.

An address is one object on somebody's server: where that server fails, the object is at fault and not the store. As
for `web_video`, addresses of this machine and its private network are refused, unless the environment has
CHOREAI_ALLOW_PRIVATE_ADDRESSES=1: whoever writes a catalog should not choose what a worker reads.
"""

import http.client
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NoReturn, TypeVar
from urllib.parse import unquote, urlsplit

from choreai.errors import ConfigError, ObjectForbiddenError, ObjectMissingError, ObjectUnusableError, StorageError
from choreai.storage.ranges import BrokenBodyError, open_ranges
from choreai.storage.uris import ObjectInfo, StoreLocation
from choreai.storage.web_video import DEFAULT_LIMITS, network_errors, open_following

ALLOW_PRIVATE = "CHOREAI_ALLOW_PRIVATE_ADDRESSES"
_ATTEMPTS = 3
_PAUSE_SECONDS = 0.5
_TOTAL = re.compile(r"bytes (?:\d+-\d+|\*)/(\d+)$")
ResultT = TypeVar("ResultT")


def is_prefix(uri: str, location: StoreLocation) -> bool:
    """Return False: an address is one object, since a web server does not list what it has."""
    del uri, location
    return False


def stat_key(uri: str, location: StoreLocation) -> ObjectInfo | None:
    """Return size and version, or None if the server has nothing there."""
    del location
    try:
        return _patiently(uri, lambda: _stat(uri))
    except ObjectMissingError:
        return None


def open_key(info: ObjectInfo, location: StoreLocation) -> BinaryIO:
    """Open the version of the object that `info` describes."""
    del location
    return open_ranges(info, lambda start, stop: _patiently(info.uri, lambda: _get_range(info, start, stop)))


def put_key(uri: str, location: StoreLocation, data: bytes) -> None:
    """Raise ConfigError: an address can only be read."""
    del location, data
    _refuse_writing(uri)


def put_key_if_absent(uri: str, location: StoreLocation, source: bytes | Path) -> bool:
    """Raise ConfigError: an address can only be read."""
    del location, source
    _refuse_writing(uri)


def replace_key(info: ObjectInfo, location: StoreLocation, source: bytes | Path) -> bool:
    """Raise ConfigError: an address can only be read."""
    del location, source
    _refuse_writing(info.uri)


def list_keys(uri: str, location: StoreLocation, *, sub_folders: bool) -> Iterator[ObjectInfo]:
    """Raise ConfigError: an address is one object."""
    del location, sub_folders
    raise ConfigError(f"{uri}: a web server lists nothing; name its videos one by one in a catalog")


def delete_key(uri: str, location: StoreLocation) -> None:
    """Raise ConfigError: an address can only be read."""
    del location
    _refuse_writing(uri)


def _refuse_writing(uri: str) -> NoReturn:
    raise ConfigError(f"{uri}: can only be read; write to a folder, or to s3://, gs:// or az://")


def _patiently(uri: str, ask: Callable[[], ResultT]) -> ResultT:
    """Return what `ask` gives, after up to three attempts; what then still fails is this object's fault."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with network_errors(uri):
                return ask()
        except ConfigError as exc:  # one row's mistake, and no reason to end a job
            reason = str(exc).partition("; if it is meant")[0]
            raise ObjectUnusableError(uri, f"{reason}; {ALLOW_PRIVATE}=1 on every node allows it") from exc
        except (ObjectMissingError, ObjectUnusableError):
            raise
        except StorageError as exc:
            if attempt == _ATTEMPTS or isinstance(exc, _ChangedError):
                raise ObjectUnusableError(uri, exc.reason) from exc
        time.sleep(_PAUSE_SECONDS * attempt)
    raise AssertionError("the loop returns or raises")


class _ChangedError(StorageError):
    """Other bytes than those that were opened: no further attempt will bring them back."""


def _stat(uri: str) -> ObjectInfo:
    _check_path(uri)
    deadline = time.monotonic() + DEFAULT_LIMITS.timeout_seconds
    with open_following(uri, deadline, DEFAULT_LIMITS, _allows_private(), {"Range": "bytes=0-0"}) as response:
        if response.status == 416:
            raise ObjectUnusableError(uri, "is empty")
        _check_status(uri, response)
        return _info(uri, response)


def _get_range(info: ObjectInfo, start: int, stop: int) -> bytes:
    deadline = time.monotonic() + DEFAULT_LIMITS.max_seconds
    span = {"Range": f"bytes={start}-{stop - 1}"}
    with open_following(info.uri, deadline, DEFAULT_LIMITS, _allows_private(), span) as response:
        if response.status != 416:
            _check_status(info.uri, response)
        if response.status == 416 or _info(info.uri, response) != info:
            raise _ChangedError(info.uri, "the object changed while it was being read; run again when it is at rest")
        data = response.read(stop - start)
    if len(data) != stop - start:
        raise BrokenBodyError(info.uri, f"asked for {stop - start} bytes, the server sent {len(data)}")
    return data


def _info(uri: str, response: http.client.HTTPResponse) -> ObjectInfo:
    """Return size and version from the reply to a range."""
    total = _TOTAL.match(response.headers.get("Content-Range", ""))
    if response.status != 206 or total is None:
        raise ObjectUnusableError(uri, "its server gives no parts of files, which reading a video needs; "
                                       "download it and give its path")  # fmt: skip
    etag = response.headers.get("ETag", "").removeprefix("W/").strip('"')
    modified = response.headers.get("Last-Modified", "")
    if not etag and not modified:
        raise ObjectUnusableError(uri, "its server tells neither ETag nor Last-Modified, so that a change could not "
                                       "be noticed; download it and give its path")  # fmt: skip
    size = int(total[1])
    return ObjectInfo(uri, size, etag or f"{size}-{modified}", _seconds(modified))


def _seconds(modified: str) -> float | None:
    from email.utils import parsedate_to_datetime

    try:
        return parsedate_to_datetime(modified).timestamp()
    except (ValueError, OverflowError):
        return None


def _check_status(uri: str, response: http.client.HTTPResponse) -> None:
    status = response.status
    if status in (404, 410):
        raise ObjectMissingError(uri, f"the server has nothing here ({status}); check the address")
    if status in (401, 402, 403, 407, 451):
        raise ObjectForbiddenError(uri, f"the server refuses it ({status}); download it by other means")
    if status not in (200, 206):
        raise StorageError(uri, f"the server answered {status} {response.reason}; try again, or download it yourself")


def _check_path(uri: str) -> None:
    """Refuse '.' and '..' in the path, by which an address would leave the folder that `allowed_roots` allows."""
    if any(unquote(part) in (".", "..") for part in urlsplit(uri).path.split("/")):
        raise ObjectUnusableError(uri, "has '.' or '..' in its path; write the address without them")


def _allows_private() -> bool:
    return os.environ.get(ALLOW_PRIVATE, "") == "1"
