"""A local HTTP server whose requests one function answers, whatever their method."""

import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


class LocalServer:
    """Answers at `address` until it is stopped; a client that hangs up is no trouble."""

    def __init__(self, answer: Callable[[BaseHTTPRequestHandler], None]) -> None:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"  # under 1.0 a client that expects "100 Continue" waits a second for it

            def log_message(self, format: str, *args: object) -> None:
                """Quiet."""

            def do_GET(self) -> None:
                answer(self)

            do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def body_of(request: BaseHTTPRequestHandler) -> bytes:
    return request.rfile.read(int(request.headers.get("Content-Length", 0)))


def reply(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", headers: Headers = ()) -> None:
    """Send a whole answer: the body's length where no header gives one, and no body to a HEAD."""
    request.send_response(status)
    fields = list(headers.items() if isinstance(headers, Mapping) else headers)
    if not any(name.lower() == "content-length" for name, _ in fields) and status != 204:
        fields.append(("Content-Length", str(len(body))))
    for name, value in fields:
        request.send_header(name, value)
    request.end_headers()
    if request.command != "HEAD":
        request.wfile.write(body)
