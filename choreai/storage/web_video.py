"""Videos from web addresses: downloaded within limits, and never from this machine or its private network.

A stranger's link, or a page that redirects, could otherwise make choreai read what only this machine can reach.
"""

import http.client
import ipaddress
import socket
import ssl
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import BinaryIO
from urllib.parse import SplitResult, quote, urljoin, urlsplit

from choreai.errors import ConfigError, MediaError, ObjectMissingError, StorageError
from choreai.storage.uris import without_secrets

_CHUNK_BYTES = 1 << 18
_REDIRECTS = (301, 302, 303, 307, 308)
_PAGES = ("text/html", "application/xhtml+xml")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class DownloadLimits:
    """How much of a stranger's server is put up with."""

    max_bytes: int = 2 * 2**30
    max_seconds: float = 600.0
    """From the first connection to the last byte."""
    max_redirects: int = 5
    timeout_seconds: float = 30.0
    """Without a byte for so long, the connection counts as broken."""


DEFAULT_LIMITS = DownloadLimits()


def is_web_address(text: str) -> bool:
    """Return whether `text` is an http:// or https:// address."""
    return text.lower().startswith(("http://", "https://"))


def check_address(address: str) -> None:
    """Raise ConfigError for an address that is not to be asked, as far as it shows without a network."""
    _split(address)


def fetch_video(
    address: str, path: Path, *, allow_private: bool = False, limits: DownloadLimits = DEFAULT_LIMITS
) -> None:
    """Download `address` to `path`, following redirects.

    Raises ConfigError for an address that is not to be asked, MediaError for what is no video file or too large,
    ObjectMissingError and StorageError where the server or the network fails; then there is nothing at `path`.
    """
    deadline = time.monotonic() + limits.max_seconds
    shown = without_secrets(address)
    try:
        with network_errors(shown), open_following(address, deadline, limits, allow_private) as response:
            _check_reply(shown, response, limits)
            with path.open("wb") as file:
                _copy(shown, response, file, deadline, limits)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@contextmanager
def open_following(
    address: str, deadline: float, limits: DownloadLimits, allow_private: bool, asked: Mapping[str, str] | None = None
) -> Iterator[http.client.HTTPResponse]:
    """Yield the reply of the address that the redirects end at; `asked` are further headers of the request."""
    for _ in range(limits.max_redirects + 1):
        if time.monotonic() > deadline:
            raise _too_slow(without_secrets(address), limits)
        with closing(_connection(address, limits, allow_private)) as connection:
            connection.request("GET", _target(address, connection), headers={
                "Host": urlsplit(address).netloc, "User-Agent": f"choreai/{version('choreai')}",
                "Accept-Encoding": "identity",
                **(asked or {}),
            })  # fmt: skip
            with closing(connection.getresponse()) as response:
                location = response.headers.get("Location") if response.status in _REDIRECTS else None
                if location is None:
                    yield response
                    return
            address = urljoin(address, location)
    raise MediaError(
        without_secrets(address), f"more than {limits.max_redirects} redirects; give the file's own address"
    )


def _connection(address: str, limits: DownloadLimits, allow_private: bool) -> http.client.HTTPConnection:
    """Return a connection for the address, through the environment's proxy if there is one for it."""
    parts = _split(address)
    host, is_tls = str(parts.hostname), parts.scheme == "https"
    port = parts.port or (443 if is_tls else 80)
    proxy = urllib.request.getproxies().get(parts.scheme)
    if proxy is None or urllib.request.proxy_bypass(host):
        kind = _CheckedTLSConnection if is_tls else _CheckedConnection
        connection = kind(host, port, timeout=limits.timeout_seconds)
        connection.allow_private = allow_private
        return connection
    if not allow_private:
        _check_if_known(host, port)
    through = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    via = (str(through.hostname), through.port or 80)
    if not is_tls:
        return http.client.HTTPConnection(*via, timeout=limits.timeout_seconds)
    tunnel = http.client.HTTPSConnection(*via, timeout=limits.timeout_seconds)
    tunnel.set_tunnel(host, port)
    return tunnel


def _target(address: str, connection: http.client.HTTPConnection) -> str:
    """Return what to ask for: the path, or of an HTTP proxy the whole address."""
    parts = urlsplit(address)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    path = quote(path, safe="/%?&=:@!$'()*+,;~-._")
    is_direct = isinstance(connection, _CheckedConnection | http.client.HTTPSConnection)
    return path if is_direct else f"{parts.scheme}://{parts.netloc}{path}"


def _split(address: str) -> SplitResult:
    shown = without_secrets(address)
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018  raises for a port that is no number
    except ValueError as exc:
        raise ConfigError(f"{shown!r} is no web address ({exc})") from exc
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"{shown!r} is not downloaded; only http:// and https:// addresses with a host are")
    if parts.username is not None:
        raise ConfigError(f"{shown!r} carries credentials; download the video yourself and give its path")
    return parts


class _CheckedConnection(http.client.HTTPConnection):
    """Connects to the very address that was checked: a name could have another one a moment later."""

    allow_private = False

    def connect(self) -> None:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        if not self.allow_private:
            _check_addresses(self.host, [str(each[4][0]) for each in found])
        problem: OSError | None = None
        for family, kind, protocol, _, where in found:
            candidate = socket.socket(family, kind, protocol)
            candidate.settimeout(self.timeout)
            try:
                candidate.connect(where)
            except OSError as exc:
                candidate.close()
                problem = exc
            else:
                self.sock = candidate
                return
        raise problem or OSError("the host has no address")


class _CheckedTLSConnection(http.client.HTTPSConnection, _CheckedConnection):
    """The same below TLS: `HTTPSConnection.connect` has the plain connection made first."""


def _check_if_known(host: str, port: int) -> None:
    """Check a host that a proxy is going to look up, as far as this machine knows it."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except socket.gaierror:
        return
    _check_addresses(host, [str(each[4][0]) for each in found])


def _check_addresses(host: str, addresses: list[str]) -> None:
    for address in addresses:
        if not is_public(address):
            raise ConfigError(
                f"{host} is {address}, an address of this machine or a private network; if it is meant, "
                "--allow-private-addresses allows it"
            )


def is_public(address: str) -> bool:
    """Return whether an IP address belongs to the public internet, also where IPv6 wraps an IPv4 address."""
    ip: _Address = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return ip.is_global and not ip.is_multicast


def _check_reply(shown: str, response: http.client.HTTPResponse, limits: DownloadLimits) -> None:
    if response.status in (404, 410):
        raise ObjectMissingError(shown, f"the server has nothing here ({response.status}); check the address")
    if response.status != 200:
        raise StorageError(
            shown, f"the server answered {response.status} {response.reason}; download it by other means"
        )
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind in _PAGES:
        raise MediaError(
            shown, "is a web page, not a video file; give the address of the file itself, or download the video first"
        )
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) > limits.max_bytes:
        raise _too_large(shown, limits)


def _copy(
    shown: str, response: http.client.HTTPResponse, file: BinaryIO, deadline: float, limits: DownloadLimits
) -> None:
    length = response.headers.get("Content-Length", "")
    done = 0
    while chunk := response.read1(_CHUNK_BYTES):
        done += len(chunk)
        if done > limits.max_bytes:
            raise _too_large(shown, limits)
        if time.monotonic() > deadline:
            raise _too_slow(shown, limits)
        file.write(chunk)
    if length.isdecimal() and done < int(length):
        raise StorageError(shown, f"the connection was cut after {done:,} of {int(length):,} bytes; try again")
    if not done:
        raise MediaError(shown, "is empty")


def _too_large(shown: str, limits: DownloadLimits) -> MediaError:
    return MediaError(shown, f"is larger than {limits.max_bytes / 2**30:g} GiB; download it yourself and give its path")


def _too_slow(shown: str, limits: DownloadLimits) -> StorageError:
    return StorageError(shown, f"took longer than {limits.max_seconds:g} s; download it yourself and give its path")


@contextmanager
def network_errors(shown: str) -> Iterator[None]:
    """Turn what the network's libraries raise into a StorageError with a remedy."""
    try:
        yield
    except socket.gaierror as exc:
        raise StorageError(shown, f"the host is not found ({exc.strerror}); check the address and the network") from exc
    except ssl.SSLCertVerificationError as exc:
        raise StorageError(shown, f"the server's certificate is not trusted ({exc.verify_message})") from exc
    except http.client.InvalidURL as exc:
        raise ConfigError(f"{shown!r} is no web address ({exc})") from exc
    except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as exc:
        raise StorageError(shown, f"the connection broke ({exc or type(exc).__name__}); try again") from exc
    except OSError as exc:
        raise StorageError(shown, f"cannot be downloaded ({exc.strerror or exc})") from exc
