"""The HTTP server's handling of requests that are wrong, odd, slow, pipelined or half a WebSocket's."""

import asyncio
import logging
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from tag_rows import tag_row, write_tags
from web_server import RunningServer, running_server, wait_until

from choreai.web import readers

HOST = b"Host: localhost\r\n"
HEALTH = b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n"
UPGRADE = (
    b"GET /v1/live HTTP/1.1\r\n" + HOST + b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
LARGE_BYTES = 20 * 2**20


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, bytes]]:
    """A server, and a request to it for a file that no buffer between us and the client holds."""
    folder = tmp_path_factory.mktemp("large")
    with (folder / "long.mp4").open("wb") as file:
        file.truncate(LARGE_BYTES)
    write_tags(str(folder / "out"), [tag_row("v", uri=str(folder / "long.mp4"))])
    with running_server(folder / "web", output=str(folder / "out")) as running:
        key = requests.get(running.url + "/v1/search", timeout=10).json()["videos"][0]["key"]
        request = b"GET /v1/catalog/" + key.encode() + b"/media HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
        yield running, request


@pytest.fixture
def no_errors(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Fail the test if the server logged an error: what a stranger sends must not fill the log."""
    yield
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == []


def talk(server: RunningServer, *parts: bytes, pause: float = 0.05, patience: float = 0.25) -> list[bytes]:
    """Return the statuses that come back until the server hangs up, or sends nothing for `patience` seconds."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=patience) as client:
        for part in parts:
            client.sendall(part)
            time.sleep(pause)
        answer = b""
        with suppress(OSError):
            while data := client.recv(65536):
                answer += data
    return [status.split(b" ")[1] for status in re.findall(rb"HTTP/1\.1 \d{3} [^\r]*", answer)]


@pytest.mark.parametrize("path", ["/v1/session", "/v1/classify"])
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.usefixtures("no_errors")
def test_a_body_that_breaks_the_rules_ends_the_connection_after_one_answer(server, path: str, at_once: bool) -> None:
    head = b"POST " + path.encode() + b" HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    parts = [head + b"zz\r\n"] if at_once else [head, b"zz\r\n"]
    assert talk(server, *parts) == ([b"400"] if at_once else [b"411"])


@pytest.mark.parametrize(
    "more",
    [b"Content-Length: 4\r\n", b"X: a\r\n" * 200, b"X: " + b"a" * 12_000 + b"\r\n"],
    ids=["a body", "200 headers", "a long header"],
)
def test_a_websocket_handshake_beyond_its_parser_is_refused_at_once(server, more: bytes) -> None:
    assert talk(server, UPGRADE + more + b"\r\nabcd") == [b"400"]


def test_a_server_stops_in_order_whatever_handshakes_are_under_way(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        clients = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(3)]
        for client, sent in zip(
            clients, (UPGRADE, UPGRADE + b"Content-Length: 4\r\n\r\n", UPGRADE + b"\r\n"), strict=True
        ):
            client.sendall(sent)
    for client in clients:
        client.close()


@pytest.mark.usefixtures("no_errors")
@pytest.mark.parametrize("frames", [b"\x81\x82\0\0\0\0\xff\xfe", b"\x01\x80\0\0\0\0" + b"\0\x80\0\0\0\0" * 2000])
def test_a_websocket_message_of_no_text_or_of_endless_pieces_ends_the_session(server, frames: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client, suppress(ConnectionError):
        client.sendall(UPGRADE + b"\r\n")
        assert client.recv(65536).startswith(b"HTTP/1.1 101")
        client.sendall(frames)
        while client.recv(65536):
            pass
    wait_until(lambda: not server.backend.sessions, "the session to end")


def test_requests_sent_ahead_are_answered_in_order(server) -> None:
    missing = HEALTH.replace(b"health", b"nothing")
    assert talk(server, HEALTH + missing + HEALTH) == [b"200", b"404", b"200"]
    assert talk(server, HEALTH + missing[:9], missing[9:]) == [b"200", b"404"]
    assert talk(server, HEALTH + b"nonsense\r\n\r\n") == [b"200", b"400"]
    assert talk(server, HEALTH + UPGRADE + b"\r\n") == [b"200", b"101"]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [(b"Content-Type: application/json\r\n", [b"100", b"204"]), (b"Transfer-Encoding: chunked\r\n", [b"411"])],
)
def test_a_client_that_asks_first_sends_its_body_only_if_it_is_wanted(server, headers: bytes, expected) -> None:
    length = b"" if b"chunked" in headers else b"Content-Length: 13\r\n"
    head = b"POST /v1/session HTTP/1.1\r\n" + HOST + b"Expect: 100-continue\r\n" + length + headers + b"\r\n"
    assert talk(server, head, *([b'{"token":"a"}'] if b"100" in expected else [])) == expected


def test_a_connection_serves_on_after_an_error(server) -> None:
    assert talk(server, HEALTH.replace(b"health", b"nothing"), HEALTH) == [b"404", b"200"]
    refused = b"POST /v1/classify HTTP/1.1\r\n" + HOST + b"Content-Type: text/html\r\nContent-Length: 90000\r\n\r\n"
    assert talk(server, refused, bytes(45_000), bytes(45_000), HEALTH) == [b"415", b"200"]


def test_head_is_answered_as_get_without_the_body(server) -> None:
    for path in ("/health", "/", "/static/page.js", "/v1/nothing"):
        head, get = (requests.request(method, server.url + path, timeout=10) for method in ("HEAD", "GET"))
        assert (head.status_code, head.content) == (get.status_code, b"")
        assert head.headers["Content-Length"] == str(len(get.content))
    assert requests.post(server.url + "/health", timeout=10).headers["Allow"] == "GET"


def slow_reader(server: RunningServer) -> socket.socket:
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 2**10)
    client.settimeout(10)
    client.connect(("127.0.0.1", server.port))
    return client


def test_a_client_that_stops_reading_is_hung_up_on(large, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LOOK_SECONDS", 0.2)
    server, request = large
    with slow_reader(server) as client:
        client.sendall(request)
        time.sleep(1.0)
        read = sum(len(data) for data in iter(lambda: client.recv(2**20), b""))
    assert 0 < read < LARGE_BYTES


def test_a_connection_that_closes_does_not_wait_for_ever_for_its_client_to_read(monkeypatch) -> None:
    monkeypatch.setattr(readers, "LOOK_SECONDS", 0.1)
    assert asyncio.run(_seconds_until_lost()) < 2


async def _seconds_until_lost() -> float:
    class Sender(readers.ReaderWatch):
        def __init__(self) -> None:
            self.loop, self.is_lost = asyncio.get_running_loop(), asyncio.Event()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport
            super().connection_made(transport)
            self.transport.write(bytes(LARGE_BYTES))
            self.transport.close()

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            self.is_lost.set()

    sender, (ours, theirs) = Sender(), socket.socketpair()
    started = time.monotonic()
    await sender.loop.connect_accepted_socket(lambda: sender, ours)
    await asyncio.wait_for(sender.is_lost.wait(), 10)
    theirs.close()
    return time.monotonic() - started


def test_a_client_that_reads_slowly_gets_everything(large, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "LOOK_SECONDS", 0.5)
    server, request = large
    with slow_reader(server) as client:
        client.sendall(request)
        read = 0
        until = time.monotonic() + 1.6  # three looks
        while time.monotonic() < until:
            time.sleep(0.02)
            read += len(client.recv(60_000))
        while data := client.recv(2**20):
            read += len(data)
    assert read > LARGE_BYTES
