"""The S3 backend of `choreai.storage.objects`. Only this file and `sns.py` import boto3, both on first use.

Store and credentials come from the environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, an instance role.
"""

import functools
import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from choreai.errors import ObjectMissingError, ObjectUnusableError, StorageError
from choreai.storage.files import open_file
from choreai.storage.uris import ObjectInfo, S3Location, without_secrets

if TYPE_CHECKING:
    from botocore.exceptions import ClientError
    from mypy_boto3_s3 import S3Client

READ_AHEAD_BYTES = 4 << 20
"""One ranged GET fetches this much: large against a request's latency, small against a worker's memory."""

_BODY_ATTEMPTS = 3  # botocore retries a request, but not a body that breaks off
_CONFLICT_ATTEMPTS = 6
_MAX_KEY_BYTES = 1024
_PERMISSIONS = {
    "HeadObject": "s3:GetObject (and s3:ListBucket, without which a missing object reads as forbidden)",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket on the bucket",
}
_BAD_CREDENTIALS = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
_CREDENTIALS_REMEDY = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN if they are temporary) "
    "or AWS_PROFILE, or run under an instance role"
)


def is_prefix(uri: str, location: S3Location) -> bool:
    """Return whether `location` is a folder: a bucket, a key ending in '/', or a prefix with something under it."""
    if not location.key or location.key.endswith("/"):
        return True
    with _s3_errors(uri):
        page = _client().list_objects_v2(Bucket=location.bucket, Prefix=f"{location.key}/", MaxKeys=1)
    return bool(page.get("Contents"))


def stat_key(uri: str, location: S3Location) -> ObjectInfo | None:
    """Return size and ETag, or None if there is no such key or bucket."""
    _check_key(uri, location)
    try:
        with _s3_errors(uri):
            head = _client().head_object(Bucket=location.bucket, Key=location.key)
    except ObjectMissingError:
        return None
    return _info(uri, head, size=head["ContentLength"])


def open_key(info: ObjectInfo, location: S3Location) -> BinaryIO:
    """Open the version of the object that `info` describes."""
    return io.BufferedReader(_RangeReader(info, location), READ_AHEAD_BYTES)


def put_key(uri: str, location: S3Location, data: bytes) -> None:
    """Write the key with one PUT, which replaces what is there."""
    _check_key(uri, location)
    with _s3_errors(uri):
        _client().put_object(Bucket=location.bucket, Key=location.key, Body=data)


def put_key_if_absent(uri: str, location: S3Location, source: bytes | Path) -> bool:
    """Write the key unless it exists; return whether this call wrote it."""
    _check_key(uri, location)
    for attempt in range(_CONFLICT_ATTEMPTS):
        written = _conditional_put(uri, location, source)
        if written is not None:
            return written
        time.sleep(0.05 * 2**attempt)
    raise StorageError(uri, f"other writers were in the way {_CONFLICT_ATTEMPTS} times (409); run again")


def list_keys(uri: str, location: S3Location, *, sub_folders: bool) -> Iterator[ObjectInfo]:
    """Yield every object under a prefix taken as a folder, a page of 1,000 at a time."""
    prefix = f"{location.key.rstrip('/')}/" if location.key else ""
    request: dict[str, Any] = {"Bucket": location.bucket, "Prefix": prefix} | (
        {} if sub_folders else {"Delimiter": "/"}
    )  # without a delimiter, not with an empty one
    with _s3_errors(uri):
        for page in _client().get_paginator("list_objects_v2").paginate(**request):
            for entry in page.get("Contents", ()):
                if not entry["Key"].endswith("/"):  # the placeholders that consoles write for folders
                    key_uri = f"s3://{location.bucket}/{entry['Key']}"
                    yield _info(key_uri, entry, size=entry["Size"])


def delete_key(uri: str, location: S3Location) -> None:
    """Delete a key if it exists."""
    _check_key(uri, location)
    with _s3_errors(uri):
        _client().delete_object(Bucket=location.bucket, Key=location.key)


def _info(uri: str, found: Any, *, size: int) -> ObjectInfo:  # a reply of boto3's
    modified = found.get("LastModified")
    return ObjectInfo(uri, size, found["ETag"].strip('"'), modified and modified.timestamp())


class _BrokenBodyError(StorageError):
    """The body of a reply broke off: worth another request."""


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
    with _s3_errors(info.uri):
        reply = _client().get_object(Bucket=location.bucket, Key=location.key, Range=span, IfMatch=etag)
        if reply["ContentLength"] != stop - start:
            reply["Body"].close()
            raise StorageError(info.uri, f"asked for {span}, the store sent {reply['ContentLength']} bytes")
        try:
            return reply["Body"].read()
        except (HTTPClientError, IncompleteReadError) as exc:
            raise _BrokenBodyError(info.uri, f"the connection broke while reading {span}: {exc}") from exc


def _conditional_put(uri: str, location: S3Location, source: bytes | Path) -> bool | None:
    """Return True if written, False if the key existed, None if a racing writer was in the way (409): try again."""
    from botocore.exceptions import ClientError

    body = io.BytesIO(source) if isinstance(source, bytes) else open_file(str(source), str(source))
    with body, _s3_errors(uri):
        try:
            _client().put_object(Bucket=location.bucket, Key=location.key, Body=body, IfNoneMatch="*")
        except ClientError as exc:
            status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
            if status in (409, 412):
                return False if status == 412 else None
            raise
    return True


_client_lock = threading.Lock()


def _client() -> "S3Client":
    with _client_lock:  # or every thread of a starting pool would build its own
        return _client_of_process(os.getpid())


@functools.cache
def _client_of_process(_pid: int) -> "S3Client":  # by process: connections do not survive a fork
    import boto3
    from botocore.config import Config

    config = Config(
        retries={"mode": "standard", "total_max_attempts": 6},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=64,
        # Stores other than AWS may refuse the newer checksum headers.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    return boto3.session.Session().client("s3", config=config)


def _check_key(uri: str, location: S3Location) -> None:
    if not location.key or location.key.endswith("/"):
        raise ObjectUnusableError(uri, "is a folder (a bucket or a prefix), not an object")
    num_bytes = len(location.key.encode("utf-8", "surrogatepass"))
    if num_bytes > _MAX_KEY_BYTES:
        raise ObjectUnusableError(uri, f"the key has {num_bytes} bytes, S3 allows {_MAX_KEY_BYTES}")


@contextmanager
def _s3_errors(uri: str) -> Iterator[None]:
    """Translate what botocore raises into StorageError and its kinds."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    try:
        yield
    except exceptions.ClientError as exc:
        raise _failure(uri, exc) from exc
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as exc:
        raise StorageError(uri, f"no S3 credentials: {_CREDENTIALS_REMEDY}") from exc
    except (exceptions.ParamValidationError, UnicodeEncodeError) as exc:
        raise ObjectUnusableError(uri, f"not a valid bucket or key: {exc}") from exc
    except (exceptions.BotoCoreError, ResponseParserError) as exc:
        raise StorageError(uri, without_secrets(f"{type(exc).__name__}: {exc}")) from exc


def _failure(uri: str, exc: "ClientError") -> StorageError:
    code, message = (exc.response.get("Error", {}).get(name, "") for name in ("Code", "Message"))
    status = exc.response["ResponseMetadata"]["HTTPStatusCode"]
    if code == "NoSuchBucket":
        return ObjectMissingError(uri, "there is no such bucket; create it or check the name")
    if status == 404:
        return ObjectMissingError(uri, "there is nothing here; check the name")
    if code in _BAD_CREDENTIALS:
        return StorageError(uri, f"the store refused the credentials ({code}): {_CREDENTIALS_REMEDY}")
    if status == 403:
        permission = _PERMISSIONS.get(exc.operation_name, exc.operation_name)
        return ObjectUnusableError(uri, f"forbidden ({exc.operation_name}, 403): grant {permission}")
    if status in (412, 416):
        return StorageError(uri, "the object changed while it was being read; run again when it is at rest")
    return StorageError(uri, f"{exc.operation_name} failed with {code or status}: {message}")
