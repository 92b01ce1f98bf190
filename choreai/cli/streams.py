"""Standard output and error that are closed, full or no longer read: a run goes on without them."""

import errno
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

logger = logging.getLogger(__name__)


class ForgivingOutput:
    """A text stream whose rest is dropped at the first error: nobody reads on, or its disk is full."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.has_failed = False
        """Whether something could not be written that somebody is waiting for: not so where a pipe was closed."""

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as exc:
            self._drop(exc)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as exc:
            self._drop(exc)

    def __getattr__(self, name: str) -> Any:  # whatever a text stream has
        return getattr(self._stream, name)

    def _drop(self, exc: OSError) -> None:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self._stream.fileno())  # what is buffered goes there too
        os.close(nowhere)
        if exc.errno != errno.EPIPE:
            self.has_failed = True
            logger.error("standard output cannot be written (%s); the rest of it is dropped", exc.strerror or exc)


@contextmanager
def forgiving_output() -> Iterator[ForgivingOutput]:
    """Put a `ForgivingOutput` in the place of standard output while the block runs."""
    _open_what_is_closed()
    before = sys.stdout
    output = ForgivingOutput(before)
    sys.stdout = output
    try:
        yield output
    finally:
        output.flush()
        sys.stdout = before


def _open_what_is_closed() -> None:
    """Open the null device in the place of closed standard streams, or the next files would get their numbers."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
