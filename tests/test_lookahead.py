"""The next video is begun with while one is estimated: one at most, whatever comes first, and stopped on demand."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from choreai.cluster import lookahead
from choreai.cluster.limits import VideoLimitError, VideoLimits, watch_limits
from choreai.cluster.lookahead import Lookahead
from choreai.video.frame import Frame
from choreai.video.prefetch import Prefetch


class Videos:
    """Videos of so many frames, and which of them were begun with and ended, in order; None: one that does not move
    until it is `freed`."""

    def __init__(self, *num_frames: int | None) -> None:
        self._num_frames = num_frames
        self.events: list[str] = []
        self.changed = threading.Condition()
        self.freed = threading.Event()

    def start(self, index: int, on_end: Callable[[], None]) -> Prefetch:
        self._note(f"begin {index}")
        return Prefetch(self._frames(index), max_frames=4, on_end=on_end)

    def _frames(self, index: int) -> Iterator[Frame]:
        num_frames = self._num_frames[index]
        if num_frames is None:
            self.freed.wait(30)
        for number in range(num_frames or 0):
            yield Frame(np.zeros((4, 4, 3), np.uint8), number, float(number))
        self._note(f"end {index}")

    def _note(self, event: str) -> None:
        with self.changed:
            self.events.append(event)
            self.changed.notify_all()

    def wait_for(self, event: str) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: event in self.events, timeout=10)


def test_the_next_video_begins_when_one_is_decoded_and_before_its_frames_are_taken() -> None:
    videos = Videos(3, 3, 3)
    ahead = Lookahead(videos.start, num_videos=3)
    first = ahead.take(0)
    assert videos.wait_for("end 1")
    assert len(list(first)) == 3
    assert "begin 2" not in videos.events  # the video after the next waits, short as they are
    assert len(list(ahead.take(1))) == 3
    assert videos.wait_for("begin 2")
    assert len(list(ahead.take(2))) == 3
    assert videos.events[0::2] == [f"begin {index}" for index in range(3)]
    ahead.close()


def test_a_long_video_is_read_alone() -> None:
    videos = Videos(100, 3)
    ahead = Lookahead(videos.start, num_videos=2)
    frames = iter(ahead.take(0))
    for _ in range(90):
        next(frames)
    assert "begin 1" not in videos.events
    assert len(list(frames)) == 10
    assert videos.wait_for("begin 1")
    ahead.close()


def test_what_was_given_up_begins_again_in_its_turn() -> None:
    videos = Videos(1, 100)
    ahead = Lookahead(videos.start, num_videos=2)
    ahead.take(0)
    assert videos.wait_for("begin 1")
    assert ahead.give_up() is True
    assert ahead.give_up() is False  # there is nothing left
    assert len(list(ahead.take(1))) == 100
    assert videos.events.count("begin 1") == 2
    ahead.close()


def test_of_two_videos_neither_is_blamed_where_the_next_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookahead, "PATIENCE_SECONDS", 0.1)
    videos = Videos(1, None)
    ahead = Lookahead(videos.start, num_videos=2)
    ahead.take(0)
    assert videos.wait_for("begin 1")
    held: list[np.ndarray] = []

    def hog() -> None:
        held.append(np.ones(64 << 20, np.uint8))
        videos.freed.wait(30)

    with ThreadPoolExecutor(1) as thread:
        limits = VideoLimits(max_bytes=16 << 20)
        watched = watch_limits(hog, thread=thread, limits=limits, index=0, what="video a", give_up=ahead.give_up)
        with pytest.raises(VideoLimitError) as caught:
            list(watched)
        videos.freed.set()
    assert caught.value.index is None
