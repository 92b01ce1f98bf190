"""What Google's and Azure's stores answer when they refuse or fail, in our own errors, read from obstore's messages.

obstore has classes for the commonest answers only, and of the rest tells status and error code in its text.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from choreai.errors import (
    ChoreaiError,
    ConfigError,
    NoCredentialsError,
    ObjectForbiddenError,
    ObjectMissingError,
    ObjectUnusableError,
    StorageError,
    StoreUnavailableError,
)
from choreai.storage.uris import shorten, without_secrets

_STATUS = re.compile(r"non-2xx status code: (\d{3})")
_CODE = re.compile(r"<Code>(\w+)</Code>")
_MESSAGE = re.compile(r"<(?:Message|Details)>([^<]*)")
_LOGIN = {
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS to a key file, or run under a service account",
    "az": "set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, or run under a managed identity",
}
_READ_PERMISSION = {
    "gs": "storage.objects.get (and storage.objects.list)",
    "az": "the role Storage Blob Data Reader",
}
_WRITE_PERMISSION = {
    "gs": "storage.objects.create (and storage.objects.delete)",
    "az": "the role Storage Blob Data Contributor",
}
_NO_PLACE = {
    "NoSuchBucket": "there is no such bucket; create it or check the name",
    "ContainerNotFound": "there is no such container; create it or check the name and AZURE_STORAGE_ACCOUNT_NAME",
}
_BAD_LOGIN = {"AuthenticationFailed", "AuthorizationFailure", "InvalidAuthenticationInfo", "InvalidSecurity"}
_ARCHIVED = {"BlobArchived", "BlobBeingRehydrated"}
_NO_ACCOUNT = "Account must be specified"
_UNUSABLE_LOGIN = ("token request", "credential error", "service account file", _NO_ACCOUNT)


def is_answer(exc: BaseException | None) -> bool:
    """Return whether obstore raised what the store answered, rather than that nothing answered."""
    return exc is not None and _STATUS.search(str(exc)) is not None


@contextmanager
def translate_errors(uri: str) -> Iterator[None]:
    """Translate what obstore raises into StorageError and its kinds."""
    from obstore import exceptions

    try:
        yield
    except ChoreaiError:
        raise
    except (exceptions.BaseError, OSError) as exc:
        raise _failure(uri, exc) from exc
    except exceptions.UnknownConfigurationKeyError as exc:
        raise ConfigError(f"{uri}: {shorten(str(exc))}") from exc
    except (ValueError, UnicodeEncodeError) as exc:
        raise ObjectUnusableError(
            uri,
            f"not a key that can be used ({shorten(str(exc))}); give the object a name without empty parts between "
            "slashes, '.', '..' and control characters",
        ) from exc


def _failure(uri: str, exc: Exception) -> StorageError:
    """Return our error for an answer, or for none."""
    text = str(exc).partition("\n\nDebug source")[0]
    scheme = uri.partition("://")[0].lower()
    status, code, message = (_found(pattern, text) for pattern in (_STATUS, _CODE, _MESSAGE))
    said = shorten(without_secrets(message or text.replace("\n", " ")))
    if any(words in text for words in _UNUSABLE_LOGIN):
        return NoCredentialsError(uri, f"no usable credentials: {_login(scheme, text)} ({said})")
    if code in _NO_PLACE:
        return ObjectMissingError(uri, _NO_PLACE[code])
    if status == "404" or isinstance(exc, FileNotFoundError):
        return ObjectMissingError(uri, "there is nothing here; check the name")
    if code in _BAD_LOGIN or status == "401":
        return StoreUnavailableError(
            uri, f"the store refused the credentials ({code or status}): {_login(scheme, text)}"
        )
    if code in _ARCHIVED:
        return ObjectUnusableError(uri, "archived: move it to the hot, cool or cold tier first, which takes hours")
    if "requester pays" in text.lower() or code == "UserProjectMissing":
        return ObjectForbiddenError(uri, "its bucket is requester-pays; copy its videos into a bucket of your own")
    if status in ("400", "403") and re.search(r"kms|key ?vault|encryption ?key", f"{code} {message}", re.IGNORECASE):
        return ObjectForbiddenError(
            uri, f"encrypted with a key that cannot be used ({code or status}): enable it, or grant its use ({said})"
        )
    if status == "403":
        return ObjectForbiddenError(uri, f"forbidden ({code or status}): grant {_permission(scheme, text)}")
    if status in ("412", "416"):
        return StorageError(uri, "the object changed while it was being read; run again when it is at rest")
    if not status or status[0] == "5" or status in ("408", "429"):
        return StoreUnavailableError(uri, said)
    return StorageError(uri, f"the store answered {code or status}: {said}")


def _found(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1].strip() if match else ""


def _login(scheme: str, text: str) -> str:
    if _NO_ACCOUNT in text:
        return "set AZURE_STORAGE_ACCOUNT_NAME to the storage account"
    return _LOGIN[scheme]


def _permission(scheme: str, text: str) -> str:
    is_reading = re.search(r"performing (GET|HEAD)", text) is not None
    return (_READ_PERMISSION if is_reading else _WRITE_PERMISSION)[scheme]
