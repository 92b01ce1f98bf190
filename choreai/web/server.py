"""The HTTP server in front of the application, with the timeouts and limits that untrusted clients require.

It runs in its own process next to Ray Serve's replicas: Serve's proxy would buffer whole bodies in memory, accept
headers of any size, and wait forever for the rest of a request. The parser is h11's, in uvicorn's protocol; what is
here adds what neither has: deadlines for headers, bodies and slow readers, a limit of connections per address, and
RFC 9112's refusal of requests that two servers in a row might read differently.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from choreai.web.errors import WebProblem
from choreai.web.limits import UPLOAD_PATH
from choreai.web.live import MAX_PICTURE_BYTES
from choreai.web.live_socket import LiveSocket
from choreai.web.readers import ReaderWatch

MAX_HEADER_BYTES = 16 * 2**10
HEADER_SECONDS = 10.0
BODY_SECONDS = 10.0
"""For a whole body of a few kB; uploads have deadlines of their own, and this one at the end."""
UPLOAD_SECONDS = 1800.0
LINGER_SECONDS = 1.0
"""What is left of a refused body is read and dropped for this long, so that the client hears the answer."""
MAX_DROPPED_BYTES = 4 * 2**20
"""The same: a client that goes on sending after that does not listen."""
KEEP_ALIVE_SECONDS = 15
MAX_CONNECTIONS = 256
MAX_CONNECTIONS_PER_ADDRESS = 64


class ImpatientProtocol(ReaderWatch, H11Protocol):
    """HTTP/1.1 with deadlines for everything that a client may be slow with."""

    _patience: asyncio.TimerHandle | None = None
    _phase = ""
    """What the deadline is for: "headers", "body", "upload" or "linger"; "idle" between requests, "" while we work."""
    _is_upgraded = False
    """Whether the connection is a WebSocket by now, which has deadlines of its own."""
    _since = 0.0
    _num_dropped = 0

    def __init__(self, *arguments: Any, **options: Any) -> None:  # as uvicorn calls it
        super().__init__(*arguments, **options)
        self.conn = StrictConnection(h11.SERVER, MAX_HEADER_BYTES)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = time.monotonic()
        if self._make_room():
            self._watch()
        else:
            self._drop()

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        if self._phase == "linger":
            self._num_dropped += len(data)
            if self._num_dropped > MAX_DROPPED_BYTES:
                self._drop()
                return
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._wait_for("")

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:
            self._wait_for("idle")
        else:
            self._watch()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        self._is_upgraded = True
        self.stop_looking()
        super().handle_websocket_upgrade(event)

    def _watch(self) -> None:
        """Start or stop the deadline that fits what the client owes."""
        if self.transport.is_closing() or self._is_upgraded:
            return self._wait_for("")
        theirs, ours = self.conn.their_state, self.conn.our_state
        if theirs is h11.IDLE:
            return self._wait_for("headers")
        if theirs is not h11.SEND_BODY:
            return self._wait_for("")
        if ours in (h11.DONE, h11.MUST_CLOSE, h11.CLOSED):
            return self._wait_for("linger")
        return self._wait_for("upload" if self.scope["path"] == UPLOAD_PATH else "body")

    def _wait_for(self, phase: str) -> None:
        if phase == self._phase:
            return
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._phase, self._since, self._num_dropped = phase, time.monotonic(), 0
        seconds = {
            "headers": HEADER_SECONDS, "body": BODY_SECONDS, "upload": UPLOAD_SECONDS, "linger": LINGER_SECONDS,
        }.get(phase)  # fmt: skip
        if seconds is not None:
            self._patience = self.loop.call_later(seconds, self._drop)

    @property
    def only_waits(self) -> bool:
        """Whether nothing but the client's next bytes is waited for, or its reading of the last ones."""
        return self._phase in ("headers", "body", "linger", "idle") or self.is_full or self.transport.is_closing()

    def _make_room(self) -> bool:
        """Return whether this connection may stay; connections that only wait make room for it."""
        others = [each for each in self.connections if each is not self]
        mine = [each for each in others if _address(each) == _address(self)]
        if len(mine) >= MAX_CONNECTIONS_PER_ADDRESS:
            return _drop_longest_waiting(mine)
        return len(others) < MAX_CONNECTIONS or _drop_longest_waiting(others)

    def _drop(self) -> None:
        self.connections.discard(self)
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request with a problem document too, unless the request is answered already."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            problem = WebProblem(400, "this is not a valid HTTP request, or its headers are too large")
            self.transport.write(problem.as_last_answer())
        if self.cycle is not None:
            self.cycle.disconnected = True  # whoever works on the request has nobody left to answer
        self.transport.close()


class StrictConnection(h11.Connection):
    """h11, which also refuses what two servers in a row might read in two ways (RFC 9112, sections 2.2, 3.2 and 6.1).

    h11 alone takes bare line feeds, folded headers, any target, and a Content-Length beside a Transfer-Encoding.
    """

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        if self.their_state is h11.IDLE:
            head, end, _ = self.trailing_data[0].partition(b"\r\n\r\n")
            if b"\n" in head.replace(b"\r\n", b"") or (end and _is_ambiguous(head)):
                raise h11.RemoteProtocolError("ambiguous request")
        return super().next_event()


_LENGTH = b"content-length:"
_MAX_LENGTH_DIGITS = 15


def _is_ambiguous(head: bytes) -> bool:
    """Return whether a request's head has a length in two ways, a strange target, or folded lines."""
    lines = head.lstrip(b"\r\n").split(b"\r\n")
    if b"\0" in head or any(line[:1] in (b" ", b"\t") for line in lines):
        return True
    words = lines[0].split(b" ")
    if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        return True
    if not (words[1].startswith(b"/") or (words[1] == b"*" and words[0] == b"OPTIONS")):
        return True
    names = [line.partition(b":")[0].strip().lower() for line in lines[1:]]
    lengths, codings = names.count(b"content-length"), names.count(b"transfer-encoding")
    if lengths + codings > 1 or (codings and words[2] != b"HTTP/1.1"):
        return True
    length = next((line.partition(b":")[2].strip(b" \t") for line in lines[1:] if line[:15].lower() == _LENGTH), b"0")
    return not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS


def _address(protocol: object) -> object:
    client = getattr(protocol, "client", None)
    return client[0] if client else None


def _drop_longest_waiting(protocols: Sequence[object]) -> bool:
    """Drop the connection that has waited for its client for longest; return False if none waits."""
    waiting = [each for each in protocols if isinstance(each, ImpatientProtocol) and each.only_waits]
    if not waiting:
        return False
    min(waiting, key=lambda each: each._since)._drop()
    return True


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server for `app`; call its `run` with a bound socket."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=ImpatientProtocol,
            ws=LiveSocket,
            ws_max_size=2 * MAX_PICTURE_BYTES,
            ws_max_queue=2,
            ws_per_message_deflate=False,  # pictures are compressed, and a bomb would be too
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            limit_concurrency=2 * MAX_CONNECTIONS,  # `ImpatientProtocol` has its own, with our headers
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=5,
            proxy_headers=False,  # clients could forge the address that limits are counted by
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="error",  # clients must not be able to fill the log
        )
    )
