"""Where bytes come from: http:// and https:// addresses, and whatever `choreai.storage` reads.

A reply may begin in the middle of a file, so that a cut download goes on where it stopped.
"""

import contextlib
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError, StorageError
from choreai.storage import objects

_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")
_OFFLINE = "offline, name a copy: --mirror takes a folder, an s3:// prefix or an http:// address"


class ConnectionBrokenError(StorageError):
    """The network failed in a way that another attempt may not meet."""


class Readable(Protocol):
    """What a reply's bytes are read from."""

    def read(self, num_bytes: int, /) -> bytes: ...


@dataclass(frozen=True)
class Reply:
    """The bytes of a file from `start` on."""

    stream: Readable
    start: int
    num_bytes: int | None
    """Of the whole file; None where the server does not say."""


def is_http(uri: str) -> bool:
    """Return whether `uri` is fetched over HTTP rather than read through storage."""
    return urlsplit(uri).scheme.lower() in ("http", "https")


def join(base: str, name: str) -> str:
    """Return the address of a file in a folder, a prefix or an HTTP directory."""
    return f"{base.rstrip('/')}/{quote(name)}" if is_http(base) else objects.join_uri(base, name)


@contextlib.contextmanager
def open_reply(uri: str, *, start: int, timeout_seconds: float) -> Iterator[Reply]:
    """Return the file's bytes from `start` on, or from 0 where they cannot begin there.

    Raises `ConnectionBrokenError` for what another attempt may not meet, here and while the caller reads;
    `ObjectMissingError`, `ObjectUnusableError` and `StorageError` for what will not change by itself.
    """
    if is_http(uri):
        with _open_http(uri, start, timeout_seconds) as response, broken_connections(uri):
            yield _reply(uri, response, start)
        return
    info = objects.stat_object(uri)
    if info is None:
        raise ObjectMissingError(uri, "there is nothing here; check the name")
    with objects.open_object(uri) as file:
        start = start if start <= info.size else 0
        file.seek(start)
        yield Reply(file, start, info.size)


@contextlib.contextmanager
def broken_connections(uri: str) -> Iterator[None]:
    """Turn what the network's libraries raise into the errors above."""
    shown = objects.without_secrets(uri)
    try:
        yield
    except http.client.InvalidURL as exc:
        raise ConfigError(f"{shown!r} is no address: {exc}") from exc
    except urllib.error.URLError as exc:
        raise _unreachable(shown, exc.reason) from exc
    except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as exc:
        raise ConnectionBrokenError(shown, f"the connection broke ({_words(exc)})") from exc


def _open_http(uri: str, start: int, timeout_seconds: float) -> http.client.HTTPResponse:
    headers = {"User-Agent": f"choreai/{version('choreai')}", "Accept-Encoding": "identity"}
    ranges = {"Range": f"bytes={start}-"} if start else {}
    with broken_connections(uri):
        request = urllib.request.Request(uri, headers=headers | ranges)
        try:
            response: http.client.HTTPResponse = urllib.request.urlopen(request, timeout=timeout_seconds)
        except urllib.error.HTTPError as exc:
            exc.close()
            if not (start and exc.code == 416):
                raise _failure(uri, exc) from exc
            return _open_http(uri, 0, timeout_seconds)  # the file ends before `start`: it is another one by now
    return response


def _reply(uri: str, response: http.client.HTTPResponse, start: int) -> Reply:
    if response.status != 206:
        length = response.headers.get("Content-Length", "")
        return Reply(response, 0, int(length) if length.isdecimal() else None)
    span = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    if span is None or int(span[1]) != start:
        raise StorageError(uri, f"asked for bytes from {start} on, the server sent others; name another mirror")
    return Reply(response, start, int(span[2]) if span[2] != "*" else None)


def _failure(uri: str, exc: urllib.error.HTTPError) -> StorageError:
    shown = objects.without_secrets(uri)
    if exc.code in (404, 410):
        return ObjectMissingError(
            shown, f"the server has nothing here ({exc.code}); check the address, or use --mirror"
        )
    if exc.code in (401, 403, 407):
        return ObjectUnusableError(
            shown, f"the server refuses ({exc.code} {exc.reason}); check access, or use --mirror"
        )
    kind = ConnectionBrokenError if exc.code in _WORTH_ANOTHER_TRY else StorageError
    return kind(shown, f"the server answered {exc.code} {exc.reason}")


def _unreachable(shown: str, reason: Any) -> StorageError:  # an exception, or words
    if isinstance(reason, ssl.SSLCertVerificationError):
        words = f"the server's certificate is not trusted ({reason.verify_message})"
        return StorageError(shown, f"{words}; behind a proxy that replaces it, set SSL_CERT_FILE to its certificate")
    if isinstance(reason, socket.gaierror):
        return StorageError(shown, f"the host is not found ({_words(reason)}): no network, or a wrong name; {_OFFLINE}")
    return ConnectionBrokenError(shown, f"no connection ({_words(reason)}); {_OFFLINE}")


def _words(reason: Any) -> str:
    return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
