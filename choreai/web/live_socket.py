"""The WebSocket protocol of the HTTP server, with answers to what uvicorn's own waits for, or fails on, for ever."""

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame

from choreai.web.errors import WebProblem
from choreai.web.readers import ReaderWatch

MAX_FRAGMENTS = 1000
"""Of one message; empty ones cost memory and count towards no limit of size."""


class LiveSocket(ReaderWatch, WebSocketsSansIOProtocol):
    """A WebSocket of a client that may be slow, hostile or wrong."""

    def data_received(self, data: bytes) -> None:
        if self.transport.is_closing():
            return
        super().data_received(data)
        if not self.handshake_initiated and not self.transport.is_closing():
            # The head came as a whole: its parser has given up, and nothing would ever happen.
            self.transport.write(WebProblem(400, "this is not a valid WebSocket handshake").as_last_answer())
            self.transport.close()

    def handle_cont(self, event: Frame) -> None:
        super().handle_cont(event)
        if len(self.frames) > MAX_FRAGMENTS:
            self.transport.abort()

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self.conn.fail(1007)  # uvicorn would log it
            self.handle_parser_exception()
        else:
            super().send_receive_event_to_app()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self.transport.abort()  # to wait until it reads the goodbye is to wait for ever

    def shutdown(self) -> None:
        if self.handshake_initiated:
            super().shutdown()
        else:
            self.transport.abort()


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
