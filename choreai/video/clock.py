"""The clock of a video: each decoded frame's time since the first, from timestamps that may be missing, wild or reset.

A stamp that lies far from where it is expected is not believed at once: the frames from there on are held until the
next ones show whether the stamp alone was wild (the others come back), a second recording was appended (they go on from
an earlier time) or there is a gap. However it ends, no frame is lost and none moves all later ones by hours.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Generic, TypeVar

PictureT = TypeVar("PictureT")

MAX_STEP_SECONDS = 2.0
"""A longer step forward between two frames is looked at twice."""
MAX_STEP_BACK_SECONDS = 1.0
"""A longer step back is never a matter of the order in which frames were stored."""
MAX_HELD = 3
"""Frames that must agree on a new time before it is believed."""
MAX_GAP_SECONDS = 3600.0
"""A gap between two frames that is still believed: a still picture, or a camera that was paused."""
MAX_GAP_SECONDS_OF_STREAMS = 10.0
"""The same in transport and program streams, whose clocks jump; FFmpeg's own limit (dts_delta_threshold)."""


@dataclass(frozen=True)
class Placed(Generic[PictureT]):
    """A picture and its time since the first one."""

    picture: PictureT
    ticks: int
    """In units of the stream's time base."""


class Clock(Generic[PictureT]):
    """Places frames in time, in the order in which they are decoded."""

    num_jumps: int
    """Times so far that the stamps were not believed: wild ones, appended recordings, gaps too long to be one."""
    num_skipped: int
    """Frames so far whose time was not later than the previous one's, and that were left out for it."""
    first_stamp: int
    """The first picture's own, in units of the time base; 0 where it has none."""
    removed_ticks: int
    """What gaps that were not believed would have added."""

    def __init__(self, time_base: Fraction, frames_per_second: Fraction, *, is_stream: bool = False) -> None:
        """`is_stream`: a format whose clock may jump, such as MPEG-TS."""
        self.frame_ticks = max(1, round(1 / (frames_per_second * time_base)))
        self._max_step, self._max_step_back, self._max_gap = (
            round(Fraction(seconds) / time_base)
            for seconds in (
                MAX_STEP_SECONDS,
                MAX_STEP_BACK_SECONDS,
                MAX_GAP_SECONDS_OF_STREAMS if is_stream else MAX_GAP_SECONDS,
            )
        )
        self._start: int | None = None
        self._held: list[tuple[int, PictureT]] = []
        self.last = self.first_stamp = 0
        self.num_jumps = self.num_skipped = self.removed_ticks = 0

    def place(self, picture: PictureT, stamp: int | None, *, restarted: bool = False) -> Iterator[Placed[PictureT]]:
        """Yield the pictures whose time is now known.

        `stamp` is the picture's pts, or its dts where it has none (AVI); without either, None, the frame rate counts.
        `restarted`: the container's own order shows that a recording ended not long ago and another began.
        """
        if self._start is None:
            self._start = self.first_stamp = stamp or 0
            yield Placed(picture, 0)
        elif stamp is None:
            yield from self._place_held_before(self.last + (len(self._held) + 1) * self.frame_ticks)
            yield self._put(picture, self.last + self.frame_ticks)
        elif self._held:
            yield from self._place_after_held(picture, stamp)
        else:
            step = stamp - self._start - self.last
            if step > self._max_step or -step > self._max_step_back or (step <= 0 and restarted):
                self._held.append((stamp, picture))
            elif step <= 0:
                self.num_skipped += 1
            else:
                yield self._put(picture, self.last + step)

    def finish(self) -> Iterator[Placed[PictureT]]:
        """Yield the pictures that are still held."""
        while self._held:
            yield from self._believe_held()

    def _place_after_held(self, picture: PictureT, stamp: int) -> Iterator[Placed[PictureT]]:
        assert self._start is not None
        ticks, first_held = stamp - self._start, self._held[0][0] - self._start
        num_frames = len(self._held) + 1
        is_back = num_frames <= ticks - self.last <= self._max_step + num_frames * self.frame_ticks
        if is_back and (ticks < first_held or first_held <= self.last):
            yield from self._place_held_before(ticks)  # time goes on where it was: the held stamps were wild
            yield self._put(picture, ticks)
            return
        self._held.append((stamp, picture))
        if len(self._held) >= MAX_HELD:
            yield from self._believe_held()

    def _place_held_before(self, ticks: int) -> Iterator[Placed[PictureT]]:
        """Place what is held evenly between the last frame and one at `ticks`."""
        held, self._held = self._held, []
        self.num_jumps += bool(held)
        before = self.last
        for number, (_, picture) in enumerate(held, start=1):
            yield self._put(picture, before + max(number, number * (ticks - before) // (len(held) + 1)))

    def _believe_held(self) -> Iterator[Placed[PictureT]]:
        """Go on from the time of the first held frame: after a gap, or right behind the last frame."""
        assert self._start is not None
        held, self._held = self._held, []
        stamp, picture = held[0]
        step = stamp - self._start - self.last
        if not 0 < step <= self._max_gap:
            self.num_jumps += 1
            self.removed_ticks += max(0, step - self.frame_ticks)
            self._start += step - self.frame_ticks
            step = self.frame_ticks
        yield self._put(picture, self.last + step)
        for stamp, picture in held[1:]:
            yield from self.place(picture, stamp)

    def _put(self, picture: PictureT, ticks: int) -> Placed[PictureT]:
        self.last = ticks
        return Placed(picture, ticks)
