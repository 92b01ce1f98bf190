"""Clients who do not read: their connections, and the memory of what they were to read, would stay for ever."""

import asyncio
import fcntl
import struct
import termios
from typing import Any

LOOK_SECONDS = 30.0
MIN_BYTES_READ = 30_000
"""What a client must at least read of a waiting answer between two looks: 1 kB/s."""


class ReaderWatch(asyncio.Protocol):
    """A protocol that hangs up on a client who does not read what waits for it; mixed into those of uvicorn.

    Only what nothing is added to can be measured: the rest of an answer while its sender waits or is done.
    """

    transport: Any
    loop: asyncio.AbstractEventLoop
    is_full = False
    """Whether more than the transport buffers waits for the client to read."""
    _unread: int | None = None
    """Bytes that waited at the last look, with nothing added since."""
    _look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_at_reader)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.stop_looking()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.is_full = True

    def resume_writing(self) -> None:
        super().resume_writing()
        self.is_full, self._unread = False, None

    def stop_looking(self) -> None:
        """Leave the connection to another protocol."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_at_reader(self) -> None:
        waits = self.is_full or self.transport.is_closing()
        unread = _unread_bytes(self.transport) if waits else None
        if unread is not None and self._unread is not None and unread > self._unread - MIN_BYTES_READ:
            self.transport.abort()
            return
        self._unread = unread
        self._look = self.loop.call_later(LOOK_SECONDS, self._look_at_reader)


def _unread_bytes(transport: Any) -> int:
    """Return the bytes that the client's machine has not taken yet: what we hold, and what the kernel holds for us.

    The kernel's may be megabytes, and it takes more from us only once a third of them is gone.
    """
    try:
        waiting = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    except OSError:  # not of sockets on this system
        waiting = bytes(4)
    return int(transport.get_write_buffer_size()) + int(struct.unpack("i", waiting)[0])
