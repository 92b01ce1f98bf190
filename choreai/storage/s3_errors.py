"""What S3 and botocore answer when they refuse or fail, in our own errors: whose fault it is, and what to do."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from choreai.errors import (
    ConfigError,
    NoCredentialsError,
    ObjectForbiddenError,
    ObjectMissingError,
    ObjectUnusableError,
    StorageError,
    StoreUnavailableError,
)
from choreai.storage.uris import shorten, without_secrets

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_PERMISSIONS = {
    "HeadObject": "s3:GetObject",
    "GetObject": "s3:GetObject",
    "PutObject": "s3:PutObject",
    "DeleteObject": "s3:DeleteObject",
    "ListObjectsV2": "s3:ListBucket on the bucket",
}
_BAD_CREDENTIALS = {
    "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired",
    "InvalidToken", "InvalidClientTokenId", "UnrecognizedClientException", "AuthFailure", "RequestTimeTooSkewed",
}  # fmt: skip
_CREDENTIALS_REMEDY = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (with AWS_SESSION_TOKEN if they are temporary) "
    "or AWS_PROFILE, or run under an instance role"
)
_WRONG_REGION = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
_OVERLOADED = {
    "SlowDown", "Throttling", "ThrottlingException", "RequestTimeout", "TooManyRequests", "RequestLimitExceeded",
}  # fmt: skip
_ARCHIVED = {"InvalidObjectState", "ObjectNotInActiveTierError"}
_READING = ("HeadObject", "GetObject")
_NOT_THE_OBJECTS = (407, 408, 409, 412, 416, 425, 429)
"""Answers to a read that say something of the moment, or of a proxy, and nothing of the object."""


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Translate what botocore raises into StorageError and its kinds."""
    from botocore import exceptions
    from botocore.parsers import ResponseParserError

    try:
        yield
    except exceptions.ClientError as exc:
        raise _failure(uri, exc) from exc
    except (exceptions.NoCredentialsError, exceptions.PartialCredentialsError) as exc:
        raise NoCredentialsError(uri, f"no S3 credentials: {_CREDENTIALS_REMEDY}") from exc
    except (exceptions.ParamValidationError, UnicodeEncodeError) as exc:
        raise ObjectUnusableError(uri, f"not a valid bucket or key: {shorten(str(exc))}") from exc
    except (exceptions.ConnectionError, exceptions.HTTPClientError, ResponseParserError) as exc:
        if "recursion depth" in str(exc):  # by chance deep in the HTTP client, which wraps what it meets
            raise _other_region(uri) from None
        raise StoreUnavailableError(uri, shorten(without_secrets(f"{type(exc).__name__}: {exc}"))) from exc
    except exceptions.ProfileNotFound as exc:
        raise ConfigError(f"{uri}: {exc}; set AWS_PROFILE to one of ~/.aws/config, or take it away") from exc
    except exceptions.InvalidRegionError as exc:
        raise ConfigError(f"{uri}: {exc}; AWS_DEFAULT_REGION must be one as us-east-1") from exc
    except RecursionError:  # botocore asks where the bucket is, is told the same, and asks
        raise _other_region(uri) from None  # its traceback has a thousand frames
    except ValueError as exc:
        if "Invalid endpoint" not in str(exc):
            raise
        raise ConfigError(f"{uri}: {exc}; AWS_ENDPOINT_URL must be an address, as https://s3.example.org") from exc
    except exceptions.BotoCoreError as exc:
        raise StorageError(uri, shorten(without_secrets(f"{type(exc).__name__}: {exc}"))) from exc


def _other_region(uri: str) -> StorageError:
    return StorageError(uri, "the bucket is in another region (PermanentRedirect); set AWS_DEFAULT_REGION to it")


def is_silent(exc: "ClientError") -> bool:
    """Return whether the answer has no error document: a HEAD's has none, and its code is the bare status."""
    return exc.operation_name == "HeadObject" and exc.response.get("Error", {}).get("Code", "") in ("301", "400", "403")


def _failure(uri: str, exc: "ClientError") -> StorageError:
    code, message = (str(exc.response.get("Error", {}).get(name, "")) for name in ("Code", "Message"))
    metadata = exc.response.get("ResponseMetadata", {})
    status, operation = int(metadata.get("HTTPStatusCode", 0)), exc.operation_name
    if code == "NoSuchBucket":
        return ObjectMissingError(uri, "there is no such bucket; create it or check the name")
    if status == 404:
        return ObjectMissingError(uri, "there is nothing here; check the name")
    if code in _BAD_CREDENTIALS:
        return StoreUnavailableError(uri, f"the store refused the credentials ({code}): {_CREDENTIALS_REMEDY}")
    if status == 301 or code in _WRONG_REGION:
        region = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region") or exc.response.get("Error", {}).get(
            "Region"
        )
        place = f"in region {region}" if region else "in another region"
        return StorageError(uri, f"the bucket is {place} ({code or status}); set AWS_DEFAULT_REGION to it")
    if code in _ARCHIVED:
        return ObjectUnusableError(uri, "archived (Glacier): restore the object first (aws s3api restore-object)")
    if status == 403:
        return ObjectForbiddenError(uri, f"forbidden ({operation}, 403): {_remedy(operation, message)}")
    if status in (412, 416):
        return StorageError(uri, "the object changed while it was being read; run again when it is at rest")
    if code.startswith("KMS"):
        kind = ObjectForbiddenError if operation in _READING else StorageError
        return kind(uri, f"its KMS key cannot be used ({code}): enable the key again, or encrypt with another one")
    if "server side encryption" in message.lower():
        return ObjectForbiddenError(
            uri, "encrypted with a key that only its owner has (SSE-C); copy the object into a bucket without SSE-C"
        )
    return _kind(status, code, operation)(
        uri, f"{operation} failed with {code or status}: {shorten(without_secrets(message))}"
    )


def _kind(status: int, code: str, operation: str) -> type[StorageError]:
    """Return whose fault an answer is that has no name of its own above."""
    if status >= 500 or status == 429 or code in _OVERLOADED:
        return StoreUnavailableError
    if operation in _READING and 400 <= status < 500 and status not in _NOT_THE_OBJECTS:
        return ObjectForbiddenError
    return StorageError


def _remedy(operation: str, message: str) -> str:
    """Return what to do about a 403."""
    if "kms" in message.lower():
        return "the object is encrypted with a KMS key; grant kms:Decrypt on that key (kms:GenerateDataKey to write)"
    permission = _PERMISSIONS.get(operation, operation)
    if operation not in _READING:
        return f"grant {permission}"
    if "requester" in message.lower():
        return "its bucket is requester-pays; copy its videos into a bucket of your own"
    return (
        f"grant {permission} (and s3:ListBucket, without which a missing object reads as forbidden); videos of a "
        "requester-pays bucket must be copied into one of your own"
    )
