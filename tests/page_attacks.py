"""What a stranger may try on the page, as functions of its address; `python tests/page_attacks.py HOST PORT` runs all.

Each returns what it saw in words, and raises AssertionError where the server gave in. The attacker comes from
127.0.0.2 and 127.0.0.3, so that a user from 127.0.0.1 is somebody else.
"""

import io
import json
import socket
import statistics
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial

import requests
from PIL import Image
from websockets.exceptions import InvalidHandshake
from websockets.sync.client import connect

ATTACKER = "127.0.0.2"
MAX_USER_SECONDS = 0.3
HOST = b"Host: localhost\r\n"
POST = b"POST /v1/session HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n"
HANDSHAKE = (
    b"GET /v1/live HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
SECOND = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"

SMUGGLING = {
    "length and chunks": POST + b"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunks and length": POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n"
    + SECOND
    + b"\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 44\r\n\r\n" + SECOND,
    "the same length twice": POST + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}" + SECOND,
    "a list of lengths": POST + b"Content-Length: 2, 2\r\n\r\n{}" + SECOND,
    "a signed length": POST + b"Content-Length: +2\r\n\r\n{}" + SECOND,
    "a length in hexadecimal": POST + b"Content-Length: 0x2\r\n\r\n{}" + SECOND,
    "a negative length": POST + b"Content-Length: -1\r\n\r\n" + SECOND,
    "an endless length": POST + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n" + SECOND,
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunked and identity": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n" + SECOND,
    "a strange coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunked in capitals": POST + b"Transfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n" + SECOND,
    "chunked behind a tab": POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n" + SECOND,
    "chunked in HTTP/1.0": POST.replace(b"/1.1", b"/1.0") + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SECOND,
    "a blank before the colon": POST + b"Content-Length : 2\r\n\r\n{}" + SECOND,
    "a folded header": POST + b"X-A: b\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n{}" + SECOND,
    "a folded first line": b"GET / HTTP/1.1\r\n Host: localhost\r\n\r\n" + SECOND,
    "bare line feeds": b"GET /health HTTP/1.1\nHost: localhost\n\n" + SECOND,
    "one bare line feed": b"GET /health HTTP/1.1\r\nX-A: b\nX-C: d\r\n" + HOST + b"\r\n" + SECOND,
    "a bare carriage return": b"GET /health HTTP/1.1\r\nX-A: b\rX-C: d\r\n" + HOST + b"\r\n" + SECOND,
    "a zero byte": b"GET /health HTTP/1.1\r\nX-A: \0\r\n" + HOST + b"\r\n" + SECOND,
    "two hosts": b"GET /health HTTP/1.1\r\n" + HOST + b"Host: e.example\r\n\r\n" + SECOND,
    "no host": b"GET /health HTTP/1.1\r\n\r\n" + SECOND,
    "another host's address": b"GET http://e.example/health HTTP/1.1\r\n" + HOST + b"\r\n" + SECOND,
    "a target without a slash": b"GET health HTTP/1.1\r\n" + HOST + b"\r\n" + SECOND,
    "a proxy's CONNECT": b"CONNECT e.example:443 HTTP/1.1\r\n" + HOST + b"\r\n" + SECOND,
    "HTTP/0.9": b"GET /health\r\n" + SECOND,
    "HTTP/2 by force": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SECOND,
    "a version of its own": b"GET /health HTTP/1.9\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    + SECOND,
}
"""Requests that two servers in a row may read differently, each with a second one behind it."""


class Page:
    """A running server, and how to speak to it as an attacker or as a user."""

    def __init__(
        self, host: str, port: int, *, token: str | None = None, max_user_seconds: float = MAX_USER_SECONDS
    ) -> None:
        self.host, self.port, self.token, self.max_user_seconds = host, port, token, max_user_seconds
        self.url = f"http://{host}:{port}"
        self.usual_seconds = 0.0
        """What a user waits at most without an attack, on a machine that has other work too."""

    def open(self, source: str = ATTACKER) -> socket.socket:
        return socket.create_connection((self.host, self.port), timeout=30, source_address=(source, 0))

    def send(self, data: bytes, *, seconds: float = 5.0) -> bytes:
        """All that the server answers until it hangs up, or has been silent for `seconds`."""
        answer = b""
        with self.open() as client:
            client.settimeout(seconds)
            with suppress(OSError):
                client.sendall(data)
            with suppress(OSError):
                while piece := client.recv(65536):
                    answer += piece
        return answer

    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}


def smuggle(page: Page, name: str) -> str:
    answer = page.send(SMUGGLING[name], seconds=3.0)
    statuses = [line.split(b" ")[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.")]
    assert b"smuggled" not in answer
    assert len(statuses) <= 1, f"answered {len(statuses)} times: {statuses}"
    assert not statuses or statuses[0] in (b"400", b"411", b"413", b"501", b"505"), statuses
    return statuses[0].decode() if statuses else "hung up"


def measure_usual_seconds(page: Page, *, seconds: float = 5.0) -> None:
    """Let a user ask for pages in peace, and keep the longest wait in `page.usual_seconds`."""
    page.usual_seconds = float("inf")
    with user_served(page) as waits:
        time.sleep(seconds)
    page.usual_seconds = max(waits)


class UserWaited(AssertionError):
    """Another user waited too long: for us, or for a machine that was busy with something else."""


@contextmanager
def user_served(page: Page) -> Iterator[list[float]]:
    """Somebody else asks for pages all the while; every one must come within `max_user_seconds`."""
    seconds: list[float] = []
    problems: list[str] = []
    done = threading.Event()

    def ask() -> None:
        paths = ["/health", "/", "/static/style.css", "/login"]
        while not done.is_set():
            started = time.monotonic()
            try:
                answer = requests.get(page.url + paths[len(seconds) % len(paths)], timeout=10, headers=page.headers())
                if answer.status_code != 200:
                    problems.append(str(answer.status_code))
            except requests.RequestException as exc:
                problems.append(repr(exc))
            seconds.append(time.monotonic() - started)
            done.wait(0.1)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield seconds
    finally:
        done.set()
        thread.join()
    assert not problems, problems[:3]
    if max(seconds) >= page.max_user_seconds + page.usual_seconds:
        raise UserWaited(f"a user waited {max(seconds):.2f} s, and {page.usual_seconds:.2f} s before the attack")


def hold(page: Page, first_bytes: bytes, *, number: int = 300, num_addresses: int = 2, seconds: float = 4.0) -> str:
    """Open `number` connections that say `first_bytes` and then nothing, while another user is served."""
    held: list[socket.socket] = []
    with user_served(page) as waits:
        for count in range(number):
            with suppress(OSError):
                client = page.open(f"127.0.0.{2 + count % num_addresses}")
                held.append(client)
                client.sendall(first_bytes)
        time.sleep(seconds)
    num_open = sum(map(_is_open, held))
    for client in held:
        client.close()
    return f"{num_open} of {number} still open, a user waited {statistics.median(waits):.3f} s"


def _is_open(client: socket.socket) -> bool:
    client.setblocking(False)
    try:
        return client.recv(1) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False


def large_json(page: Page) -> str:
    """A body of 100 MB that would parse to four times as much."""
    with page.open() as client:
        client.settimeout(10)
        size = 100_000_000
        client.sendall(POST + b"Content-Length: %d\r\n\r\n" % size)
        sent = 0
        with suppress(OSError):
            while sent < size:
                sent += client.send(b"[" + b"1," * 32_000)
        answer = b""
        with suppress(OSError):
            answer = client.recv(65536)
    assert sent < 20_000_000, f"{sent} bytes were taken"
    assert not answer or answer.split(b" ")[1] == b"413", answer[:100]
    return f"413 after {sent} bytes"


def chunked_json(page: Page) -> str:
    answer = page.send(POST + b"Transfer-Encoding: chunked\r\n\r\nffff\r\n" + b"[" * 65535 + b"\r\n")
    assert answer.split(b" ")[1] == b"411", answer[:100]
    return "411"


def body_that_never_comes(page: Page, *, within: float) -> str:
    started = time.monotonic()
    with page.open() as client:
        client.settimeout(within)
        client.sendall(POST + b"Content-Length: 100\r\n\r\n{")
        with suppress(ConnectionError):
            while client.recv(65536):
                pass
    return f"hung up on after {time.monotonic() - started:.1f} s"


def trickled_upload(page: Page, *, within: float) -> str:
    started = time.monotonic()
    authorization = b"".join(b"%s: %s\r\n" % (k.encode(), v.encode()) for k, v in page.headers().items())
    with page.open() as client:
        client.settimeout(1.0)
        client.sendall(
            b"POST /v1/classify HTTP/1.1\r\n" + HOST + authorization
            + b"Content-Type: video/mp4\r\nContent-Length: 100000000\r\n\r\n"
        )  # fmt: skip
        while time.monotonic() - started < within:
            try:
                client.sendall(b"x" * 100)
                client.recv(65536)  # an answer, or the end
                break
            except TimeoutError:
                continue
            except OSError:
                break
    took = time.monotonic() - started
    assert took < within, "it went on"
    return f"refused after {took:.1f} s"


def progressive_picture(page: Page) -> str:
    """A JPEG of some kB whose hundreds of scans would each be decoded over the whole picture."""
    url, picture = f"ws://{page.host}:{page.port}/v1/live", many_scans(1600, 300)
    with connect(url, compression=None, additional_headers=page.headers()) as viewer:
        assert json.loads(viewer.recv(timeout=30))["type"] == "welcome"
        with user_served(page):
            started = time.monotonic()
            viewer.send(struct.pack("<d", 0.0) + picture)
            answer = json.loads(viewer.recv(timeout=30))
            took = time.monotonic() - started
    assert answer["type"] == "problem", answer
    assert took < 1.5, f"{took:.1f} s"
    return f"refused after {took:.2f} s"


def many_scans(side: int, number: int) -> bytes:
    """A progressive JPEG whose last scan is repeated `number` times."""
    picture = io.BytesIO()
    Image.effect_noise((side, side), 20).convert("RGB").save(picture, "JPEG", progressive=True, quality=1)
    data = picture.getvalue()
    last = data.rindex(b"\xff\xda")
    scan = data[last:-2]
    return data[:-2] + scan[:1200] * number + b"\xff\xd9"


def odd_tokens(page: Page) -> str:
    for token in ("ключ" * 5, "日本" * 9, "\ud800", "\0", "x" * 400, "a\nb", "ü" * 20):
        answer = requests.post(page.url + "/v1/session", json={"token": token}, timeout=10)
        allowed = (401, 422) if page.token else (204, 422)
        assert answer.status_code in allowed, (token, answer.status_code)
    raw = page.send(
        b"GET /v1/search HTTP/1.1\r\n" + HOST + b"Authorization: Bearer \xff\xfe\xfd\r\nConnection: close\r\n\r\n"
    )
    assert raw.split(b" ")[1] != b"500", raw[:100]
    return "no 500"


def foreign_pages(page: Page) -> str:
    """Every change asked for by another site, with the user's own cookie, is refused."""
    for headers in ({"Origin": "https://e.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"},
                    {"Sec-Fetch-Site": "same-site"}, {"Origin": f"{page.url}.e.example"}):  # fmt: skip
        for path in ("/v1/session", "/v1/classify", "/v1/catalog/" + "0" * 24 + "/corrections"):
            answer = requests.post(page.url + path, data=b"{}", headers={**page.headers(), **headers}, timeout=10)
            assert answer.status_code == 403, (headers, path, answer.status_code)
    try:
        with connect(f"ws://{page.host}:{page.port}/v1/live", origin="https://e.example"):
            raise AssertionError("a WebSocket of another site was taken")
    except InvalidHandshake:
        return "403"


NEEDED_HEADERS = (
    "content-security-policy", "x-content-type-options", "referrer-policy", "x-frame-options",
    "cross-origin-opener-policy",
)  # fmt: skip


def headers_everywhere(page: Page) -> str:
    asks = {
        "a page": b"GET / HTTP/1.1\r\n" + HOST, "a script": b"GET /static/login.js HTTP/1.1\r\n" + HOST,
        "nothing": b"GET /nothing HTTP/1.1\r\n" + HOST, "wrong": b"GET x HTTP/1.1\r\n" + HOST,
        "large": POST + b"Content-Length: 99999999\r\n", "chunked": POST + b"Transfer-Encoding: chunked\r\n",
        "method": b"DELETE / HTTP/1.1\r\n" + HOST, "host": b"GET / HTTP/1.1\r\nHost: e.example\r\n",
        "head": b"HEAD / HTTP/1.1\r\n" + HOST, "options": b"OPTIONS / HTTP/1.1\r\n" + HOST,
        "foreign": POST + b"Origin: https://e.example\r\nContent-Length: 0\r\n",
    }  # fmt: skip
    for name, head in asks.items():
        answer = page.send(head + b"Connection: close\r\n\r\n", seconds=3.0).lower()
        missing = [each for each in NEEDED_HEADERS if f"\r\n{each}:".encode() not in answer]
        assert not missing, (name, missing, answer[:300])
        assert b"'unsafe-inline'" not in answer
    return f"{len(asks)} kinds of answers"


def quick_attacks() -> dict[str, Callable[[Page], str]]:
    """The attacks that take seconds, by name."""
    named: dict[str, Callable[[Page], str]] = {f"smuggling: {name}": partial(smuggle, name=name) for name in SMUGGLING}
    return named | {
        "a JSON body of 100 MB": large_json,
        "a JSON body in chunks": chunked_json,
        "300 connections that say nothing": lambda page: hold(page, b""),
        "300 requests whose headers never end": lambda page: hold(page, b"GET / HTTP/1.1\r\nHost: localhost\r\n"),
        "300 bodies that never come": lambda page: hold(page, POST + b"Content-Length: 100\r\n\r\n{"),
        "300 uploads that never come": lambda page: hold(
            page, b"POST /v1/classify HTTP/1.1\r\n" + HOST + b"Content-Type: video/mp4\r\nContent-Length: 1000\r\n\r\n"
        ),
        "300 handshakes of no WebSocket": lambda page: hold(
            page, HANDSHAKE + b"Content-Length: 4\r\n\r\n", num_addresses=5, seconds=1.0
        ),
        "300 unread answers": lambda page: hold(page, b"GET /static/live.js HTTP/1.1\r\n" + HOST + b"\r\n"),
        "a picture of 300 scans": progressive_picture,
        "tokens of other alphabets": odd_tokens,
        "changes asked for by other sites": foreign_pages,
        "headers of every answer": headers_everywhere,
    }


def slow_attacks() -> dict[str, Callable[[Page], str]]:
    """The attacks that wait for the server's deadlines."""
    return {
        "a body that never comes": lambda page: body_that_never_comes(page, within=15),
        "an upload that trickles": lambda page: trickled_upload(page, within=40),
    }


def main() -> int:
    page, num_bad = Page(sys.argv[1], int(sys.argv[2])), 0
    measure_usual_seconds(page)
    for name, attack in {**quick_attacks(), **slow_attacks()}.items():
        try:
            print(f"ok      {name}: {attack(page)}")
        except Exception as exc:  # whatever it is, it is a finding
            num_bad += 1
            print(f"NOT OK  {name}: {exc}")
    return int(num_bad > 0)


if __name__ == "__main__":
    sys.exit(main())
