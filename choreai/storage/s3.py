"""The S3 backend of `choreai.storage.objects`. Only this file and `sns.py` import boto3, both on first use.

Store and credentials come from the environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, an instance role.
"""

import functools
import io
import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from choreai.errors import (
    ObjectForbiddenError,
    ObjectMissingError,
    ObjectUnusableError,
    StorageError,
    StoreUnavailableError,
)
from choreai.storage.files import open_file
from choreai.storage.s3_errors import is_silent, translate_errors
from choreai.storage.uris import ObjectInfo, S3Location

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)
ResultT = TypeVar("ResultT")

READ_AHEAD_BYTES = 4 << 20
"""One ranged GET fetches this much: large against a request's latency, small against a worker's memory."""

_BODY_ATTEMPTS = 3  # botocore retries a request, but not a body that breaks off
_CONFLICT_ATTEMPTS = 6
_MAX_KEY_BYTES = 1024
PATIENCE_SECONDS = 300.0
"""A store that answers 5xx or not at all is asked again for this long: an outage of a few minutes costs a wait."""
FIRST_CONTACT_SECONDS = 8.0
"""The same where no store has ever answered this process: the endpoint is more likely wrong than down."""
_LONGEST_PAUSE_SECONDS = 15.0
NOTICE_SECONDS = 20.0
MANY_REFUSED = 10
"""So many objects refused in a row, and none ever given: the credentials cannot read here at all."""


def is_prefix(uri: str, location: S3Location) -> bool:
    """Return whether `location` is a folder: a bucket, a key ending in '/', or a prefix with something under it."""
    if not location.key or location.key.endswith("/"):
        return True
    page = _ask(
        uri, lambda client: client.list_objects_v2(Bucket=location.bucket, Prefix=f"{location.key}/", MaxKeys=1)
    )
    return bool(page.get("Contents"))


def stat_key(uri: str, location: S3Location) -> ObjectInfo | None:
    """Return size and ETag, or None if there is no such key or bucket."""
    _check_key(uri, location)
    try:
        head = _ask_for_object(uri, location, _head)
    except ObjectMissingError:
        return None
    return _info(uri, head, size=head["ContentLength"])


def _head(client: "S3Client", location: S3Location) -> Any:  # a reply of boto3's
    from botocore.exceptions import ClientError

    try:
        return client.head_object(Bucket=location.bucket, Key=location.key)
    except ClientError as exc:
        if not is_silent(exc):
            raise
    # Only an answer with a body says why: an expired token, another region, a key of KMS.
    client.get_object(Bucket=location.bucket, Key=location.key, Range="bytes=0-0")["Body"].close()
    return client.head_object(Bucket=location.bucket, Key=location.key)


def open_key(info: ObjectInfo, location: S3Location) -> BinaryIO:
    """Open the version of the object that `info` describes."""
    return io.BufferedReader(_RangeReader(info, location), READ_AHEAD_BYTES)


def put_key(uri: str, location: S3Location, data: bytes) -> None:
    """Write the key with one PUT, which replaces what is there."""
    _check_key(uri, location)
    _ask(uri, lambda client: client.put_object(Bucket=location.bucket, Key=location.key, Body=data))


def put_key_if_absent(uri: str, location: S3Location, source: bytes | Path) -> bool:
    """Write the key unless it exists; return whether this call wrote it."""
    _check_key(uri, location)
    for attempt in range(_CONFLICT_ATTEMPTS):
        written = _conditional_put(uri, location, source)
        if written is not None:
            return written
        time.sleep(0.05 * 2**attempt)
    raise StorageError(uri, f"other writers were in the way {_CONFLICT_ATTEMPTS} times (409); run again")


def replace_key(info: ObjectInfo, location: S3Location, source: bytes | Path) -> bool:
    """Replace the version of the key that `info` describes; return False if another is there by now, or none."""
    for attempt in range(_CONFLICT_ATTEMPTS):
        written = _conditional_put(info.uri, location, source, etag=info.content_id)
        if written is not None:
            return written
        time.sleep(0.05 * 2**attempt)
    raise StorageError(info.uri, f"other writers were in the way {_CONFLICT_ATTEMPTS} times (409); run again")


def list_keys(uri: str, location: S3Location, *, sub_folders: bool) -> Iterator[ObjectInfo]:
    """Yield every object under a prefix taken as a folder, a page of 1,000 at a time."""
    prefix = f"{location.key.rstrip('/')}/" if location.key else ""
    request: dict[str, Any] = {"Bucket": location.bucket, "Prefix": prefix} | (
        {} if sub_folders else {"Delimiter": "/"}
    )  # without a delimiter, not with an empty one
    while True:
        page = _ask(uri, lambda client: client.list_objects_v2(**request))
        for entry in page.get("Contents", ()):
            if not entry["Key"].endswith("/"):  # the placeholders that consoles write for folders
                key_uri = f"s3://{location.bucket}/{entry['Key']}"
                yield _info(key_uri, entry, size=entry["Size"])
        if not page.get("IsTruncated") or not page.get("NextContinuationToken"):
            return
        request["ContinuationToken"] = page["NextContinuationToken"]


def delete_key(uri: str, location: S3Location) -> None:
    """Delete a key if it exists."""
    _check_key(uri, location)
    _ask(uri, lambda client: client.delete_object(Bucket=location.bucket, Key=location.key))


def _info(uri: str, found: Any, *, size: int) -> ObjectInfo:  # a reply of boto3's
    if not found.get("ETag"):
        raise StorageError(uri, "the answer has no ETag, as S3's have: does a proxy answer in its place?")
    modified = found.get("LastModified")
    return ObjectInfo(uri, size, found["ETag"].strip('"'), modified and modified.timestamp())


class _BrokenBodyError(StoreUnavailableError):
    """The body of a reply broke off: worth another request."""


@dataclass
class _Experience:
    """What this process has seen of the store; decides whether it is the store, or one object, that is at fault."""

    has_answered: bool = False
    given: dict[str, S3Location] = field(default_factory=dict)
    """By operation, the last object that the store gave."""
    num_refused: int = 0
    """Objects refused in a row."""


@functools.cache
def _experience_of(_client: "S3Client") -> _Experience:
    return _Experience()


def _experience() -> _Experience:
    return _experience_of(_client())


def _ask(uri: str, call: "Callable[[S3Client], ResultT]") -> ResultT:
    """Return what `call` gives; ask again, for `PATIENCE_SECONDS`, while the store itself has trouble."""
    started, pause, notice_at = time.monotonic(), 0.5, NOTICE_SECONDS
    while True:
        try:
            with translate_errors(uri):
                reply = call(_client())
            _experience().has_answered = True
            return reply
        except StoreUnavailableError as exc:
            spent = time.monotonic() - started
            if _is_about_credentials(exc) or spent + pause > _patience(exc):
                raise
            if spent > notice_at:
                logger.warning("waiting for the store: %s", exc)
                notice_at = 2 * spent
        time.sleep(pause * random.uniform(0.5, 1.0))  # or all workers would come back at once
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _is_about_credentials(exc: StoreUnavailableError) -> bool:
    return "credentials" in exc.reason


def _patience(exc: StoreUnavailableError) -> float:
    is_an_answer = isinstance(exc.__cause__, Exception) and hasattr(exc.__cause__, "response")
    return PATIENCE_SECONDS if _experience().has_answered or is_an_answer else FIRST_CONTACT_SECONDS


def _ask_for_object(
    uri: str, location: S3Location, call: "Callable[[S3Client, S3Location], ResultT]", *, name: str = "HEAD"
) -> ResultT:
    """Ask for one object. If it is refused, find out whether the store still gives the last one that it gave.

    Raises ObjectForbiddenError where it is this object, StoreUnavailableError where the store refuses all.
    """
    try:
        reply = _ask(uri, lambda client: call(client, location))
    except ObjectForbiddenError as exc:
        _experience().num_refused += 1
        given = _experience().given.get(name)
        if given is not None and given != location and not _is_still_given(given, call):
            reason = f"the store now refuses even what it gave before; were the credentials revoked? ({exc.reason})"
            raise StoreUnavailableError(uri, reason) from exc
        if given is None and _experience().num_refused >= MANY_REFUSED:
            reason = f"the store refused {_experience().num_refused} objects in a row and gave none; {exc.reason}"
            raise StoreUnavailableError(uri, reason) from exc
        raise
    _experience().given[name], _experience().num_refused = location, 0
    return reply


def _is_still_given(location: S3Location, call: "Callable[[S3Client, S3Location], object]") -> bool:
    uri = f"s3://{location.bucket}/{location.key}"
    try:
        _ask(uri, lambda client: call(client, location))
    except ObjectForbiddenError:
        return False
    except (ObjectMissingError, ObjectUnusableError):
        pass  # deleted meanwhile: no proof of anything
    return True


def has_been_given_nothing() -> bool:
    """Return whether this process has asked for objects and the store refused every one of them."""
    return _experience().num_refused > 0 and "GET" not in _experience().given


class _RangeReader(io.RawIOBase):
    """Ranged reads of one version of one object; the `io.BufferedReader` around it is the read-ahead."""

    def __init__(self, info: ObjectInfo, location: S3Location) -> None:
        self.name = info.uri
        self._info = info
        self._location = location
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._info.size}[whence]
        if origin + offset < 0:
            raise ValueError(f"cannot seek to {origin + offset}, before the start of {self.name}")
        self._position = origin + offset
        return self._position

    def readinto(self, buffer: Any) -> int:  # a writable buffer, which has no name before Python 3.12
        data = self._fetch(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def readall(self) -> bytes:
        return self._fetch(self._info.size)

    def _fetch(self, num_bytes: int) -> bytes:
        start, stop = self._position, min(self._position + num_bytes, self._info.size)
        if start >= stop:
            return b""
        for attempt in range(1, _BODY_ATTEMPTS + 1):
            try:
                data = _get_range(self._info, self._location, start, stop)
                break
            except _BrokenBodyError:
                if attempt == _BODY_ATTEMPTS:
                    raise
        self._position = stop
        return data


def _get_range(info: ObjectInfo, location: S3Location, start: int, stop: int) -> bytes:
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    span, etag = f"bytes={start}-{stop - 1}", f'"{info.content_id}"'

    def get(client: "S3Client", asked: S3Location) -> Any:  # a reply of boto3's
        if asked != location:  # one that was given before, to see whether it still is
            return client.get_object(Bucket=asked.bucket, Key=asked.key, Range="bytes=0-0")["Body"].close()
        return client.get_object(Bucket=asked.bucket, Key=asked.key, Range=span, IfMatch=etag)

    reply = _ask_for_object(info.uri, location, get, name="GET")
    with translate_errors(info.uri):
        if reply["ContentLength"] != stop - start:
            reply["Body"].close()
            raise StorageError(info.uri, f"asked for {span}, the store sent {reply['ContentLength']} bytes")
        try:
            return bytes(reply["Body"].read())
        except (HTTPClientError, IncompleteReadError) as exc:
            raise _BrokenBodyError(info.uri, f"the connection broke while reading {span}: {exc}") from exc


def _conditional_put(uri: str, location: S3Location, source: bytes | Path, *, etag: str = "") -> bool | None:
    """Return True if written, False if the key existed, None if a racing writer was in the way (409): try again.

    With an `etag`, False if the key had another one, or was gone.
    """
    from botocore.exceptions import ClientError

    condition: dict[str, Any] = {"IfMatch": f'"{etag}"'} if etag else {"IfNoneMatch": "*"}

    def put(client: "S3Client") -> bool | None:
        with io.BytesIO(source) if isinstance(source, bytes) else open_file(str(source), str(source)) as body:
            try:
                client.put_object(Bucket=location.bucket, Key=location.key, Body=body, **condition)
            except ClientError as exc:
                status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
                if status == 409:
                    return None
                if status == 412 or (status == 404 and etag):
                    return False
                raise
        return True

    return _ask(uri, put)


_client_lock = threading.Lock()


def _client() -> "S3Client":
    with _client_lock:  # or every thread of a starting pool would build its own
        return _client_of_process(os.getpid())


@functools.cache
def _client_of_process(_pid: int) -> "S3Client":  # by process: connections do not survive a fork
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 3},  # `_ask` is patient
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=64,
        # Stores other than AWS may refuse the newer checksum headers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session()
    # A clock that was set wrong, or milliseconds taken for seconds: no calendar has the year 33658.
    parsers = session._session.get_component("response_parser_factory")
    parsers.set_parser_defaults(timestamp_parser=_parse_time)
    return session.client("s3", config=config)


def _parse_time(text: str) -> datetime | None:
    """Return a time in a reply of the store's; None for one that no calendar has."""
    from botocore.utils import parse_timestamp

    try:
        return parse_timestamp(text)
    except (ValueError, OverflowError):
        return None


def _check_key(uri: str, location: S3Location) -> None:
    if not location.key or location.key.endswith("/"):
        raise ObjectUnusableError(uri, "is a folder (a bucket or a prefix), not an object")
    num_bytes = len(location.key.encode("utf-8", "surrogatepass"))
    if num_bytes > _MAX_KEY_BYTES:
        raise ObjectUnusableError(uri, f"the key has {num_bytes} bytes, S3 allows {_MAX_KEY_BYTES}")
