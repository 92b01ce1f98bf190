"""An HTTP proxy in front of an S3 server that answers badly when told to."""

import http.client
import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

STALL_SECONDS = 65.0
"""Longer than the client's read time-out."""
_ERRORS = {
    "error 500": (500, "InternalError"),
    "error 503": (503, "ServiceUnavailable"),
    "throttling": (503, "SlowDown"),
}
REFUSALS = {
    "revoked": (403, "AccessDenied"),
    "expired": (400, "ExpiredToken"),
    "archived": (403, "InvalidObjectState"),
    "wrong region": (301, "PermanentRedirect"),
    "wrong clock": (403, "RequestTimeTooSkewed"),
    "no such key": (403, "InvalidAccessKeyId"),
}
"""Answers that mean something, where a trouble passes."""
TROUBLES = (*_ERRORS, "cut connection", "slow", "stall")


class FaultyProxy:
    """Forwards to `endpoint`; `trouble(...)` makes a share of the requests fail for a while."""

    def __init__(self, endpoint: str) -> None:
        proxy = self
        self.num_faults = 0
        self._kind: str | None = None
        self._share, self._left = 0.0, 0
        self._random = random.Random(0)
        self._lock = threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: object) -> None:
                pass

            def do_GET(self) -> None:
                proxy._handle(self)

            do_PUT = do_HEAD = do_DELETE = do_POST = do_GET

        self.only: str | None = None
        """Requests whose path has this in it meet the trouble; None: all."""
        self._target = urlsplit(endpoint)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def trouble(self, kind: str, *, share: float, at_most: int, seed: int) -> Iterator[None]:
        """Within, a `share` of the requests meets `kind`, `at_most` so many."""
        with self._lock:
            self._kind, self._share, self._left, self._random = kind, share, at_most, random.Random(seed)
        try:
            yield
        finally:
            with self._lock:
                self._kind = None

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _draw(self) -> str | None:
        with self._lock:
            if self._kind is None or not self._left or self._random.random() >= self._share:
                return None
            self._left -= 1
            self.num_faults += 1
            return self._kind

    def _handle(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        kind = self._draw() if self.only is None or self.only in request.path else None
        answers = {**_ERRORS, **REFUSALS}
        if kind in answers:
            status, code = answers[kind]
            reply = f"<Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
            return self._reply(request, status, [("Content-Type", "application/xml")], reply)
        if kind == "stall":
            request.close_connection = True
            time.sleep(STALL_SECONDS)
            return None
        status, headers, reply = self._forward(request, body)
        if kind == "slow":
            time.sleep(1.0)
        if kind == "no ETag":
            headers = [(name, value) for name, value in headers if name.lower() != "etag"]
        if kind == "year 33658":
            headers = [(n, "Sat, 27 Sep 33658 01:46:40 GMT" if n.lower() == "last-modified" else v) for n, v in headers]
            reply = re.sub(rb"<LastModified>[^<]*", b"<LastModified>33658-09-27T01:46:40.000Z", reply)
            if request.command != "HEAD":
                headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        if kind == "cut connection":  # the store has done what was asked; who asked hears half of it, or nothing
            request.close_connection = True
            if len(reply) < 2:
                return None
            request.send_response(status)
            for name, value in headers:
                request.send_header(name, value)
            request.end_headers()
            request.wfile.write(reply[: len(reply) // 2])
            return None
        return self._reply(request, status, headers, reply)

    def _forward(self, request: BaseHTTPRequestHandler, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self._target.hostname or "", self._target.port, timeout=60)
        try:
            connection.request(request.command, request.path, body, dict(request.headers))
            reply = connection.getresponse()
            hop = {"connection", "transfer-encoding", "keep-alive", "server", "date"}
            headers = [(name, value) for name, value in reply.getheaders() if name.lower() not in hop]
            return reply.status, headers, reply.read()
        finally:
            connection.close()

    def _reply(self, request: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        request.send_response(status)
        for name, value in headers:
            request.send_header(name, value)
        if not any(name.lower() == "content-length" for name, _ in headers) and status != 204:
            request.send_header("Content-Length", str(len(body)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(body)
