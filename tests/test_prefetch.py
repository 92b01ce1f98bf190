"""Frames read ahead by a thread: the same frames, in bounded memory, and errors where they belong."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from choreai.errors import MediaError, StorageError
from choreai.video.frame import Frame
from choreai.video.prefetch import prefetch


def blank(number: int, *, side: int = 8) -> Frame:
    return Frame(np.zeros((side, side, 3), np.uint8), number, float(number))


class Source:
    """Frames that note how many of them were taken, and by which thread."""

    def __init__(self, num_frames: int, *, failure: Exception | None = None, side: int = 8) -> None:
        self.num_taken = 0
        self.threads: set[str] = set()
        self.taken = threading.Condition()
        self._num_frames, self._failure, self._side = num_frames, failure, side

    def __iter__(self) -> Iterator[Frame]:
        for number in range(self._num_frames):
            with self.taken:
                self.num_taken += 1
                self.threads.add(threading.current_thread().name)
                self.taken.notify_all()
            yield blank(number, side=self._side)
        if self._failure is not None:
            raise self._failure

    def wait_for(self, num_taken: int) -> bool:
        with self.taken:
            return self.taken.wait_for(lambda: self.num_taken >= num_taken, timeout=10)


def test_frames_come_in_order_from_another_thread() -> None:
    source = Source(100)
    assert [frame.frame_index for frame in prefetch(source, max_frames=3)] == list(range(100))
    assert source.threads == {"prefetch"}


@pytest.mark.parametrize("limits", [{"max_frames": 4}, {"max_bytes": 4 * 8 * 8 * 3}])
def test_no_more_frames_are_held_than_allowed(limits) -> None:
    source = Source(100)
    frames = prefetch(source, **limits)
    next(frames)
    # One given out, four held, and one in the thread's hand, waiting for room.
    assert source.wait_for(6)
    assert not source_moves_on(source, beyond=6)
    frames.close()


def source_moves_on(source: Source, *, beyond: int) -> bool:
    with source.taken:
        return source.taken.wait_for(lambda: source.num_taken > beyond, timeout=0.2)


def test_a_frame_larger_than_the_limit_still_passes() -> None:
    source = Source(3, side=100)
    assert len(list(prefetch(source, max_bytes=100))) == 3


@pytest.mark.parametrize("failure", [MediaError("a.mp4", "cut short"), StorageError("s3://b/a.mp4", "gone")])
def test_an_error_comes_after_the_frames_before_it_and_unchanged(failure) -> None:
    frames = prefetch(Source(5, failure=failure), max_frames=2)
    assert [next(frames).frame_index for _ in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(type(failure)) as caught:
        next(frames)
    assert caught.value is failure


def test_closing_early_ends_the_thread() -> None:
    frames = prefetch(Source(10**9), max_frames=4)
    next(frames)
    frames.close()
    assert "prefetch" not in {thread.name for thread in threading.enumerate()}
