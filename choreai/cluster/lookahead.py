"""The frames of one shard's videos, the next of which is opened and decoded while the last frames of one are estimated.

Without it the estimator, and a GPU with it, waits at the beginning of every video for its store and its decoder. Only
one video at a time is read, and a buffer's frames of it held (`choreai.video.prefetch`).
"""

import threading
from collections.abc import Callable

from choreai.video.prefetch import Prefetch

Start = Callable[[int, Callable[[], None]], Prefetch]
"""Begins with the video of an index; the call is made once it is decoded to its end."""
PATIENCE_SECONDS = 2.0
"""A decoder that is told to stop does so after a frame."""


class Lookahead:
    """The videos of a shard, taken one after the other."""

    def __init__(self, start: Start, *, num_videos: int) -> None:
        self._start, self._num_videos = start, num_videos
        self._lock = threading.Lock()
        self._turn = -1
        self._taken: Prefetch | None = None
        self._ahead: Prefetch | None = None
        self._is_given_up = False

    def take(self, index: int) -> Prefetch:
        """Return the frames of a video, begun with or not; they are the caller's to close."""
        with self._lock:
            frames, self._ahead = self._ahead, None
            if frames is None:
                frames = self._begin(index)
            self._turn, self._taken, self._is_given_up = index, frames, False
        if frames.has_ended:
            self._begin_after(index)
        return frames

    def give_up(self) -> bool | None:
        """Stop what is done ahead of the video that was taken, until the next is taken.

        Return whether anything was; None if it does not stop.
        """
        with self._lock:
            ahead, self._ahead, self._is_given_up = self._ahead, None, True
        if ahead is None:
            return False
        return ahead.close(timeout=PATIENCE_SECONDS) or None

    def close(self) -> None:
        """Stop everything, though not wait for what does not stop."""
        self.give_up()
        if self._taken is not None:
            self._taken.close(timeout=PATIENCE_SECONDS)

    def _begin(self, index: int) -> Prefetch:
        return self._start(index, lambda: self._begin_after(index))

    def _begin_after(self, index: int) -> None:
        with self._lock:
            # A short video may be decoded before its turn has come: then the one after it waits.
            is_due = index == self._turn and self._ahead is None and not self._is_given_up
            if is_due and index + 1 < self._num_videos:
                self._ahead = self._begin(index + 1)
