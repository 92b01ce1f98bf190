"""The S3 backend of `choreai.storage.objects`. Only this file and `sns.py` import boto3, both on first use.

Store and credentials come from the environment: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, an instance role.
"""

import functools
import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from choreai.errors import ObjectMissingError, ObjectUnusableError, StorageError
from choreai.storage.files import open_file
from choreai.storage.patience import Contact
from choreai.storage.ranges import BrokenBodyError, open_ranges
from choreai.storage.s3_errors import is_silent, translate_errors
from choreai.storage.uris import ObjectInfo, StoreLocation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

ResultT = TypeVar("ResultT")

_CONFLICT_ATTEMPTS = 6
_MAX_KEY_BYTES = 1024


def is_prefix(uri: str, location: StoreLocation) -> bool:
    """Return whether `location` is a folder: a bucket, a key ending in '/', or a prefix with something under it."""
    if not location.key or location.key.endswith("/"):
        return True
    page = _ask(
        uri, lambda client: client.list_objects_v2(Bucket=location.bucket, Prefix=f"{location.key}/", MaxKeys=1)
    )
    return bool(page.get("Contents"))


def stat_key(uri: str, location: StoreLocation) -> ObjectInfo | None:
    """Return size and ETag, or None if there is no such key or bucket."""
    _check_key(uri, location)
    try:
        head = _ask_for_object(uri, location, _head)
    except ObjectMissingError:
        return None
    return _info(uri, head, size=head["ContentLength"])


def _head(client: "S3Client", location: StoreLocation) -> Any:  # a reply of boto3's
    from botocore.exceptions import ClientError

    try:
        return client.head_object(Bucket=location.bucket, Key=location.key)
    except ClientError as exc:
        if not is_silent(exc):
            raise
    # Only an answer with a body says why: an expired token, another region, a key of KMS.
    client.get_object(Bucket=location.bucket, Key=location.key, Range="bytes=0-0")["Body"].close()
    return client.head_object(Bucket=location.bucket, Key=location.key)


def open_key(info: ObjectInfo, location: StoreLocation) -> BinaryIO:
    """Open the version of the object that `info` describes."""
    return open_ranges(info, lambda start, stop: _get_range(info, location, start, stop))


def put_key(uri: str, location: StoreLocation, data: bytes) -> None:
    """Write the key with one PUT, which replaces what is there."""
    _check_key(uri, location)
    _ask(uri, lambda client: client.put_object(Bucket=location.bucket, Key=location.key, Body=data))


def put_key_if_absent(uri: str, location: StoreLocation, source: bytes | Path) -> bool:
    """Write the key unless it exists; return whether this call wrote it."""
    _check_key(uri, location)
    for attempt in range(_CONFLICT_ATTEMPTS):
        written = _conditional_put(uri, location, source)
        if written is not None:
            return written
        time.sleep(0.05 * 2**attempt)
    raise StorageError(uri, f"other writers were in the way {_CONFLICT_ATTEMPTS} times (409); run again")


def replace_key(info: ObjectInfo, location: StoreLocation, source: bytes | Path) -> bool:
    """Replace the version of the key that `info` describes; return False if another is there by now, or none."""
    for attempt in range(_CONFLICT_ATTEMPTS):
        written = _conditional_put(info.uri, location, source, etag=info.content_id)
        if written is not None:
            return written
        time.sleep(0.05 * 2**attempt)
    raise StorageError(info.uri, f"other writers were in the way {_CONFLICT_ATTEMPTS} times (409); run again")


def list_keys(uri: str, location: StoreLocation, *, sub_folders: bool) -> Iterator[ObjectInfo]:
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


def delete_key(uri: str, location: StoreLocation) -> None:
    """Delete a key if it exists."""
    _check_key(uri, location)
    _ask(uri, lambda client: client.delete_object(Bucket=location.bucket, Key=location.key))


def _info(uri: str, found: Any, *, size: int) -> ObjectInfo:  # a reply of boto3's
    if not found.get("ETag"):
        raise StorageError(uri, "the answer has no ETag, as S3's have: does a proxy answer in its place?")
    modified = found.get("LastModified")
    return ObjectInfo(uri, size, found["ETag"].strip('"'), modified and modified.timestamp())


@functools.cache
def _contact_of(_client: "S3Client") -> Contact:
    return Contact(translate_errors, is_answer=lambda exc: isinstance(exc, Exception) and hasattr(exc, "response"))


def _contact(uri: str = "") -> Contact:
    with translate_errors(uri):  # as for an endpoint that is no address
        return _contact_of(_client())


def _ask(uri: str, call: "Callable[[S3Client], ResultT]") -> ResultT:
    return _contact(uri).ask(uri, lambda: call(_client()))


def _ask_for_object(
    uri: str, location: StoreLocation, call: "Callable[[S3Client, StoreLocation], ResultT]", *, name: str = "HEAD"
) -> ResultT:
    return _contact(uri).ask_for_object(uri, location, lambda asked: call(_client(), asked), name=name)


def has_given_nothing() -> bool:
    """Return whether this process has asked for objects and the store refused every one of them."""
    return _contact().has_given_nothing()


def _get_range(info: ObjectInfo, location: StoreLocation, start: int, stop: int) -> bytes:
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    span, etag = f"bytes={start}-{stop - 1}", f'"{info.content_id}"'

    def get(client: "S3Client", asked: StoreLocation) -> Any:  # a reply of boto3's
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
            raise BrokenBodyError(info.uri, f"the connection broke while reading {span}: {exc}") from exc


def _conditional_put(uri: str, location: StoreLocation, source: bytes | Path, *, etag: str = "") -> bool | None:
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


def _check_key(uri: str, location: StoreLocation) -> None:
    if not location.key or location.key.endswith("/"):
        raise ObjectUnusableError(uri, "is a folder (a bucket or a prefix), not an object")
    num_bytes = len(location.key.encode("utf-8", "surrogatepass"))
    if num_bytes > _MAX_KEY_BYTES:
        raise ObjectUnusableError(uri, f"the key has {num_bytes} bytes, S3 allows {_MAX_KEY_BYTES}")
