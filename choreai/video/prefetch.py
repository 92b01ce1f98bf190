"""Decode frames ahead in a thread, so that decoder and estimator work at the same time."""

import threading
from collections import deque
from collections.abc import Generator, Iterable

from choreai.video.frame import Frame

MAX_FRAMES = 32
MAX_BYTES = 256 * 2**20
"""Limit on buffered pixels: 40 frames at 1080p, two at 8K."""


def prefetch(
    frames: Iterable[Frame], *, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES
) -> Generator[Frame, None, None]:
    """Yield the same frames, read by a thread that stays at most `max_frames` and `max_bytes` ahead.

    A frame larger than `max_bytes` is buffered alone. An exception from `frames` is raised here, after the frames
    before it. Exhaust or close the generator: the thread stops reading `frames` only then.
    """
    buffer = _Buffer(max_frames=max_frames, max_bytes=max_bytes)
    thread = threading.Thread(target=_fill, args=(buffer, frames), name="prefetch", daemon=True)
    thread.start()
    try:
        while (frame := buffer.take()) is not None:
            yield frame
    finally:
        buffer.stop()
        thread.join()


def _fill(buffer: "_Buffer", frames: Iterable[Frame]) -> None:
    try:
        for frame in frames:
            if not buffer.put(frame):
                return
    except BaseException as exc:
        buffer.end(exc)  # raised again by `take`
    else:
        buffer.end(None)


class _Buffer:
    """A queue between two threads, bounded by frames and by bytes."""

    def __init__(self, *, max_frames: int, max_bytes: int) -> None:
        if max_frames < 1 or max_bytes < 1:
            raise ValueError(f"at least one frame and one byte must fit, got {max_frames} and {max_bytes}")
        self._max_frames, self._max_bytes = max_frames, max_bytes
        self._frames: deque[Frame] = deque()
        self._num_bytes = 0
        self._stopped = self._ended = False
        self._failure: BaseException | None = None
        self._changed = threading.Condition()

    def put(self, frame: Frame) -> bool:
        """Wait for room and add the frame; return False if the reader has stopped."""
        size = frame.image.nbytes
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._has_room(size))
            if not self._stopped:
                self._frames.append(frame)
                self._num_bytes += size
                self._changed.notify_all()
            return not self._stopped

    def take(self) -> Frame | None:
        """Return the next frame, None after the last. Raises the exception that ended the frames early."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._frames) or self._ended)
            if self._frames:
                frame = self._frames.popleft()
                self._num_bytes -= frame.image.nbytes
                self._changed.notify_all()
                return frame
        if self._failure is not None:
            raise self._failure
        return None

    def end(self, failure: BaseException | None) -> None:
        """Mark the last frame, or the exception that ended the frames early."""
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()

    def stop(self) -> None:
        """Drop the buffered frames and refuse further ones."""
        with self._changed:
            self._stopped = True
            self._frames.clear()
            self._changed.notify_all()

    def _has_room(self, size: int) -> bool:
        if not self._frames:
            return True
        return len(self._frames) < self._max_frames and self._num_bytes + size <= self._max_bytes
