"""URIs: how they are parsed, joined and resolved, and what is known of the object at one.

A URI is `s3://bucket/key`, `gs://bucket/key`, `az://container/key`, a plain path, `file:///path`, or, for reading,
an https:// address. Keys and plain paths are taken literally ('%', '#', '?' and spaces stand for themselves); only
`file://` is percent-decoded, and joins to plain paths.
"""

import os
import posixpath
import re
from dataclasses import dataclass
from urllib.parse import unquote

from choreai.errors import ConfigError

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_SECRET_NAMES = (
    r"x-(?:amz|goog|ms|oss|obs|cos|tos)-[a-z0-9-]+",  # what presigned URLs of the clouds are made of
    r"(?:aws|google|oss)access(?:key)?id|key-pair-id|policy|sig|hmac|auth|key|jwt",
    r"[a-z0-9_.-]*(?:signature|token|secret|password|passwd|pwd|credentials?|authorization)",
    r"[a-z0-9_.-]*(?:api|access|private|secret|account|subscription)[_-]?key(?:[_-]?id)?",
)
_SECRETS = re.compile(
    r"(?<=://)[^/?#]*@"  # user:password@host, up to the last @: passwords have some too
    rf"|(?<=[?&;])({'|'.join(_SECRET_NAMES)})=[^&#\s]*",
    re.IGNORECASE,
)
_WINDOWS_PATH = re.compile(r"/?[A-Za-z]:[\\/]|\\\\[^\\]+\\")
_SHOWN_CHARACTERS = 300
_AZURE = "write az://container/key, and set AZURE_STORAGE_ACCOUNT_NAME to the account"
_REMEDIES = {
    "ftp": "download it and give its path, or put it into a bucket",
    "s3a": "write s3:// instead",
    "s3n": "write s3:// instead",
    "gcs": "write gs:// instead",
    "azure": _AZURE,
    "abfs": _AZURE,
    "abfss": _AZURE,
    "wasb": _AZURE,
    "wasbs": _AZURE,
}
WRITABLE_STORES = ("s3", "gs", "az")
WEB = ("https", "http")
IN_STORE = "^(s3|gs|az)://"
"""A regular expression for URIs in a store that can list what it has."""
_PLACES = {"az": "container", "https": "host", "http": "host"}  # what the others call a bucket


@dataclass(frozen=True)
class ObjectInfo:
    """An object: its URI, size and version."""

    uri: str
    size: int
    """In bytes."""
    content_id: str
    """In a store: the ETag without quotes. Plain path: size and modification time in nanoseconds, `size-mtime`."""
    modified_seconds: float | None
    """When the bytes were last written, in seconds since 1970 (UTC); None where the store does not say."""


@dataclass(frozen=True)
class StoreLocation:
    """A place in a store; the key is empty for the bucket itself and ends in '/' for a folder."""

    scheme: str
    """`s3`, `gs`, `az`, `https` or `http`."""
    bucket: str
    """A bucket; in Azure a container, on the web a host."""
    key: str

    @property
    def uri(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"


def has_secrets(text: str) -> bool:
    """Return whether `text` has a URI with credentials in it."""
    return _SECRETS.search(text) is not None


def shorten(text: str) -> str:
    """Return `text` for a message: what is beyond some hundred characters is cut out of the middle."""
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    half = _SHOWN_CHARACTERS // 2
    return f"{text[:half]} ... ({len(text)} characters) ... {text[-half:]}"


def without_secrets(text: str) -> str:
    """Return `text` with the credentials in its URIs replaced by ***, for messages and logs."""
    return _SECRETS.sub("***", text)


def parse_uri(uri: str) -> StoreLocation | str:
    """Return the store, bucket and key, or the plain path.

    Raises `ConfigError`, which names the remedy, if `uri` is malformed or its scheme is not supported.
    """
    match = _SCHEME.match(uri)
    scheme = match[1].lower() if match else ""
    rest = uri[match.end() :] if match else uri
    if _SECRETS.search(uri):
        raise ConfigError(
            f"{shorten(without_secrets(uri))!r} carries credentials, which would end up in tables and logs; "
            "take them out: stores are read with those of the environment or the instance role"
        )
    if scheme == "file":
        rest = unquote(rest)
    if not uri or "\0" in rest:
        raise ConfigError(f"{shorten(uri)!r} is not a URI; write s3://bucket/key or a path")
    if scheme in ("", "file") and _WINDOWS_PATH.match(rest):
        raise ConfigError(
            f"{shorten(uri)!r} is a path of Windows, which this machine does not have; write the path under which "
            "the drive is mounted here, or put the file into S3"
        )
    if not scheme:
        return uri
    if scheme == "file":
        if not rest.startswith("/"):
            raise ConfigError(f"{shorten(uri)!r} names a host; write file:///path or the plain path")
        return rest
    if scheme in WRITABLE_STORES or scheme in WEB:
        bucket, _, key = rest.partition("/")
        if not bucket:
            place = _PLACES.get(scheme, "bucket")
            raise ConfigError(f"{shorten(uri)!r} names no {place}; write {scheme}://{place}/key")
        return StoreLocation(scheme, bucket, key)
    remedy = _REMEDIES.get(scheme, "use s3://bucket/key, gs:// or az://, or a path")
    raise ConfigError(f"{shorten(uri)!r}: {scheme}:// is not supported; {remedy}")


def check_uri(uri: str) -> None:
    """Raise `ConfigError`, which names the remedy, if `uri` is malformed or its scheme is not supported."""
    parse_uri(uri)


def join_uri(base: str, *names: str) -> str:
    """Return the URI of `names` under the folder or prefix `base`."""
    location = parse_uri(base)
    folder = location if isinstance(location, str) else base
    return "/".join([folder.rstrip("/"), *names])


def parent_uri(uri: str) -> str:
    """Return the folder or prefix that holds `uri`."""
    location = parse_uri(uri)
    if isinstance(location, str):
        return os.path.dirname(location) or "."
    return f"{location.scheme}://{location.bucket}/{posixpath.dirname(location.key)}".rstrip("/")


def resolve_uri(uri: str, *, against: str) -> str:
    """Return `uri` made absolute against the folder or prefix `against`; an absolute one is returned unchanged.

    In keys '.' and '..' are resolved here, as S3 does not do it; in paths '..' is left to the file system, which
    knows the links. Raises `ConfigError` if '..' climbs out of a bucket.
    """
    parse_uri(uri)
    if uri.startswith("/") or _SCHEME.match(uri):
        return uri
    base = parse_uri(against)
    if isinstance(base, str):
        parts = [part for part in uri.split("/") if part not in ("", ".")]
        return posixpath.join(os.path.abspath(base), *parts)
    key = _resolve_key(uri, folder=base.key)
    if key is None:
        raise ConfigError(
            f"{shorten(uri)!r} relative to {against} leaves the bucket; write it as {base.scheme}://bucket/key"
        )
    return f"{base.scheme}://{base.bucket}/{key}"


def _resolve_key(name: str, *, folder: str) -> str | None:
    """Return `name` below `folder` with '.' and '..' resolved; None if it climbs out of the bucket.

    Two slashes in a row stay: to S3 they are part of the key.
    """
    parts = folder.removesuffix("/").split("/") if folder else []
    for part in name.split("/"):
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)
