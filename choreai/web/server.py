"""The HTTP server in front of the application, with the timeouts and limits that untrusted clients require.

It runs in its own process next to Ray Serve's replicas: Serve's proxy would buffer whole bodies in memory, accept
headers of any size, and wait forever for the rest of a request.
"""

import asyncio
import json

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from choreai.web.errors import MEDIA_TYPE, WebProblem
from choreai.web.live import MAX_PICTURE_BYTES

MAX_HEADER_BYTES = 16 * 2**10
HEADER_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 15
MAX_CONNECTIONS = 256


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 that closes a connection whose request headers are not complete within `HEADER_SECONDS`."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch_headers()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stop_watching()

    def _watch_headers(self) -> None:
        """Run a timer from a request's first byte (or the connection) to the end of its headers."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._patience is None:
            self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_watching(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def send_400_response(self, msg: str) -> None:
        """Answer a malformed request with a problem document too."""
        body = json.dumps(WebProblem(400, "this is not a valid HTTP request, or its headers are too large").body())
        headers = [("content-type", MEDIA_TYPE), ("connection", "close")]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=body.encode()),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


def make_server(app: ASGIApp) -> uvicorn.Server:
    """Return a server for `app`; call its `run` with a bound socket."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=ImpatientProtocol,
            ws="websockets-sansio",
            ws_max_size=2 * MAX_PICTURE_BYTES,
            ws_max_queue=2,
            ws_per_message_deflate=False,  # pictures are compressed, and a bomb would be too
            ws_ping_interval=20.0,
            ws_ping_timeout=20.0,
            limit_concurrency=MAX_CONNECTIONS,
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
