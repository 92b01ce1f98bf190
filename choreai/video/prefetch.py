"""Decode frames ahead in a thread, so that decoder and estimator work at the same time."""

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing

from choreai.video.frame import Frame

MAX_FRAMES = 32
MAX_BYTES = 256 * 2**20
"""Limit on buffered pixels: 40 frames at 1080p, two at 8K."""


class Prefetch:
    """Frames that a thread reads from now on, at most `max_frames` and `max_bytes` ahead; to be taken once.

    A frame larger than `max_bytes` is buffered alone. An exception from `frames` is raised to whoever takes them, after
    the frames before it. The thread closes `frames` if they are a generator, and then calls `on_end`, unless nobody
    wanted them to their end.
    """

    def __init__(
        self,
        frames: Iterable[Frame],
        *,
        max_frames: int = MAX_FRAMES,
        max_bytes: int = MAX_BYTES,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self._buffer = _Buffer(max_frames=max_frames, max_bytes=max_bytes)
        self._on_end = on_end
        self._thread = threading.Thread(target=self._fill, args=(frames,), name="prefetch", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Frame]:
        while (frame := self._buffer.take()) is not None:
            yield frame

    @property
    def has_ended(self) -> bool:
        """Whether everything has been read, though perhaps not taken."""
        return self._buffer.has_ended

    def close(self, *, timeout: float | None = None) -> bool:
        """Drop what nobody took, and end the thread: return whether it ended within `timeout` seconds."""
        self._buffer.stop()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _fill(self, frames: Iterable[Frame]) -> None:
        failure: BaseException | None = None
        try:
            for frame in frames:
                if not self._buffer.put(frame):
                    break
            if isinstance(frames, Generator):
                frames.close()
        except BaseException as exc:
            failure = exc  # raised again by `take`
        if self._buffer.end(failure):
            self._on_end()


def prefetch(
    frames: Iterable[Frame], *, max_frames: int = MAX_FRAMES, max_bytes: int = MAX_BYTES
) -> Generator[Frame, None, None]:
    """Yield the same frames, read ahead by a thread (`Prefetch`); of a `Prefetch`, those that it reads already.

    Exhaust or close the generator: the thread stops reading `frames` only then.
    """
    ahead = frames if isinstance(frames, Prefetch) else Prefetch(frames, max_frames=max_frames, max_bytes=max_bytes)
    with closing(ahead):
        yield from ahead


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

    def end(self, failure: BaseException | None) -> bool:
        """Mark the last frame, or the exception that ended the frames early; return False if the reader has stopped."""
        with self._changed:
            self._ended, self._failure = True, failure
            self._changed.notify_all()
            return not self._stopped

    @property
    def has_ended(self) -> bool:
        with self._changed:
            return self._ended

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
