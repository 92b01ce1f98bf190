"""The HTTP server in front of the application, with the patience and the limits that strangers call for.

It is its own process beside Ray Serve's stages: Serve's proxy would hold a body in memory as fast as it comes, takes
headers of any size, and waits for the rest of a request for ever.
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
    """HTTP/1.1 whose request headers must be there in `HEADER_SECONDS`, or the connection ends."""

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
        """A clock runs from a request's first byte (or the connection) to the end of its headers."""
        if self.conn.their_state is not h11.IDLE:
            self._stop_watching()
        elif self._patience is None:
            self._patience = self.loop.call_later(HEADER_SECONDS, self.transport.close)

    def _stop_watching(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem document too."""
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
    """A server of `app`; `run` it on a socket that is bound."""
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
            proxy_headers=False,  # an address that anybody could write is none to count by
            server_header=False,
            access_log=False,
            log_config=None,
            log_level="error",  # strangers must not be able to fill the log
        )
    )
