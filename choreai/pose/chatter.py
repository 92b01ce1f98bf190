"""Keeps start-up messages of MediaPipe and LiteRT, which need no action, off standard error."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

# Start-up messages that MediaPipe's C++ code writes to file descriptor 2 at any log level, because the libraries in its
# wheel never call absl::InitializeLog. They are the same for every video and need no action.
_KNOWN_CHATTER = (
    b"Created TensorFlow Lite XNNPACK delegate",
    b"before absl::InitializeLog() is called",
    b"inference_feedback_manager.cc",
    b"landmark_projection_calculator.cc",
)


@contextmanager
def without_chatter() -> Iterator[None]:
    """Capture what is written to file descriptor 2 and pass on all but MediaPipe's known start-up messages.

    The descriptor belongs to the whole process, so lines of other threads are delayed too, until the block ends.
    """
    sys.stderr.flush()
    stderr_fd = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(stderr_fd, 2)
            held.seek(0)
            for line in held:
                if not any(known in line for known in _KNOWN_CHATTER):
                    os.write(stderr_fd, line)
            os.close(stderr_fd)
