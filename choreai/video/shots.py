"""Shots: where one camera's picture ends and another's begins, found on the sampled frames as they come.

Each frame is made small and laid over the one before it, block by block: how well is each block found again, near where
it was, whatever its brightness? Dancers, pans and light change few blocks, or all of them a little, sample after
sample; a cut changes nearly all of them once. What a cut is not: a flash (the picture comes back), a fade or a dissolve
(it changes sample by sample), a whip pan or a shaking camera (the samples around it change as much).
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from choreai.video.frame import Frame

FloatArray = npt.NDArray[np.float32]

SHOTS_VERSION = 1
"""Part of the pose fingerprint where shots are split: raise it with any change below that moves a cut."""

SIZE_WH = (64, 36)
"""What a frame is compared at. Blocks of it are as large as a dancer in a wide view."""
BLOCK_WH = (16, 12)
REACH_WH = (8, 6)
"""How far a block is looked for: an eighth of the picture's width, a sixth of its height."""

BLANK_CONTRAST = 4.0
"""A picture whose luma has a smaller standard deviation, of 255, is black, white or fog: it belongs to the shot before
it, and the next picture is compared with the one before it."""
FULL_WEIGHT_CONTRAST = 20.0
"""A block counts by its contrast, up to this one: the sky says little about who filmed it."""

MIN_CHANGE = 0.24
MIN_LEAP = 0.17
"""A cut changes the picture by `MIN_CHANGE` or more, and by `MIN_LEAP` more than the samples around it were changed
(`docs/experiments.md`)."""
NEIGHBOURS = 2
"""Samples on either side that a cut must stand out from. The largest change among them may be another cut, or a
flash, so the second largest counts."""
STILL_DIFFERENCE = 2.0
"""Mean absolute difference of luma below which two pictures are the same: no need to look closer."""

RETURN_SECONDS = 0.2
"""What comes back within so long was never away: a flash takes one to three frames. The shortest shots of the music
videos it was measured on last 0.27 s."""
RETURN_SHARE = 0.7
"""The picture has come back when it differs from the one before by less than this share of the change."""
MAX_AHEAD = 16
"""Samples looked ahead at most: `RETURN_SECONDS` at 80 a second."""
MAX_HELD_BYTES = 256 * 2**20
"""Of pixels that `mark_shots` holds back while it looks ahead: 40 frames at 1080p, two at 8K."""
FADE_SHARE = 0.6
"""A picture whose contrast is less than this share of what it will be in `RETURN_SECONDS` is fading in."""


@dataclass(frozen=True, eq=False)
class _Picture:
    """One frame, small enough to keep."""

    pts_seconds: float
    luma: FloatArray  # (36, 64)

    @cached_property
    def contrast(self) -> float:
        return float(self.luma.std())

    @cached_property
    def blocks(self) -> list[tuple[FloatArray, FloatArray, float]]:
        """Of each block its pixels, the larger area in which it is looked for, and its weight."""
        (width, height), (reach_x, reach_y) = BLOCK_WH, REACH_WH
        padded = cv2.copyMakeBorder(self.luma, reach_y, reach_y, reach_x, reach_x, cv2.BORDER_REFLECT_101)
        found = []
        for y in range(0, SIZE_WH[1], height):
            for x in range(0, SIZE_WH[0], width):
                block = self.luma[y : y + height, x : x + width]
                around = padded[y : y + height + 2 * reach_y, x : x + width + 2 * reach_x]
                found.append((block, around, min(float(block.std()), FULL_WEIGHT_CONTRAST)))
        return found


def measure_change(before: FloatArray, after: FloatArray) -> float:
    """How much of a picture is not found again in the other, in [0, 1]: 0 for the same view, 0.3 to 0.7 for another.

    Both are (36, 64) luma. Brightness and contrast do not matter, nor do movements of an eighth of the picture.
    """
    return _change(_Picture(0.0, before), _Picture(0.0, after))


def _change(before: _Picture, after: _Picture) -> float:
    return 1 - (_share_found(before, after) + _share_found(after, before)) / 2


def _share_found(where: _Picture, what: _Picture) -> float:
    """The weighted mean over the blocks of `what` of the best correlation with a place of `where` near by."""
    total = weights = 1e-6
    for (block, _, weight), (_, around, _) in zip(what.blocks, where.blocks, strict=True):
        if weight > 1:
            best = float(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED).max())
            total += weight * min(max(best, 0.0), 1.0)
            weights += weight
    return total / weights


def shrink(image: npt.NDArray[np.uint8]) -> FloatArray:
    """(36, 64) luma of an (H, W, 3) RGB image. Of a large one every second, third, ... pixel is used."""
    step = max(1, min(image.shape[0] // 180, image.shape[1] // 320))
    small: npt.NDArray[Any] = cv2.resize(image[::step, ::step], SIZE_WH, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


class ShotDetector:
    """Says of each frame of one video whether a shot begins with it; the first frame begins one.

    Answers come in order, most at once; where a cut is likely they wait for `RETURN_SECONDS` of what follows. What it
    keeps does not grow with the video.
    """

    def __init__(self) -> None:
        self._past: deque[_Picture] = deque(maxlen=NEIGHBOURS + MAX_AHEAD + 1)
        """Decided, oldest first, without the blank ones."""
        self._waiting: deque[_Picture] = deque()

    def add(self, image: npt.NDArray[np.uint8], *, pts_seconds: float) -> list[bool]:
        """Take the video's next frame, (H, W, 3) RGB; return what is now known, of as many frames as it says."""
        self._waiting.append(_Picture(pts_seconds, shrink(image)))
        return self._decide(ended=False)

    def finish(self, *, num: int | None = None) -> list[bool]:
        """Decide on the `num` oldest frames that wait (all of them if None) with what is there."""
        return self._decide(ended=True, num=num)

    def _decide(self, *, ended: bool, num: int | None = None) -> list[bool]:
        decided: list[bool] = []
        while self._waiting and (num is None or len(decided) < num):
            begins = self._begins_shot(ended)
            if begins is None:
                break
            decided.append(begins)
            picture = self._waiting.popleft()
            if picture.contrast >= BLANK_CONTRAST or not self._past:
                self._past.append(picture)
        return decided

    def _begins_shot(self, ended: bool) -> bool | None:
        """Whether the oldest waiting frame begins a shot; None if that depends on what comes."""
        picture = self._waiting[0]
        if not self._past:
            return True
        before = self._past[-1]
        if picture.contrast < BLANK_CONTRAST or _is_same(before, picture):
            return False
        change = _change(before, picture)
        if change < MIN_CHANGE:
            return False
        if not (ended or self._sees_far_enough(picture)):
            return None
        return self._stands_out(change) and not self._comes_back(change) and not self._fades_in()

    def _sees_far_enough(self, picture: _Picture) -> bool:
        num_ahead = len(self._waiting) - 1
        seconds = self._waiting[-1].pts_seconds - picture.pts_seconds
        return num_ahead >= MAX_AHEAD or (num_ahead >= NEIGHBOURS and seconds >= RETURN_SECONDS - 1e-3)

    def _stands_out(self, change: float) -> bool:
        after = [p for p in self._waiting if p.contrast >= BLANK_CONTRAST][: NEIGHBOURS + 1]
        before = list(self._past)[-NEIGHBOURS - 1 :]
        changes = sorted(_change(*pair) for side in (before, after) for pair in zip(side, side[1:], strict=False))
        usual = changes[-2] if len(changes) > 2 else changes[-1] if changes else 0.0
        return change - usual >= MIN_LEAP

    def _comes_back(self, change: float) -> bool:
        """Whether the picture before is seen again soon, or the picture after was seen a moment ago: a flash."""
        before, picture = self._past[-1], self._waiting[0]
        soon = [p for p in self._waiting if p.pts_seconds - before.pts_seconds <= self._return_after(picture)]
        recent = [p for p in self._past if picture.pts_seconds - p.pts_seconds <= self._return_after(picture)]
        limit = RETURN_SHARE * change
        return any(_change(before, p) < limit for p in soon if p is not picture) or any(
            _change(p, picture) < limit for p in recent if p is not before
        )

    def _return_after(self, picture: _Picture) -> float:
        """How long a flash may keep the picture away, from the last sample before it to the first one after it."""
        return RETURN_SECONDS + (picture.pts_seconds - self._past[-1].pts_seconds) + 1e-3

    def _fades_in(self) -> bool:
        picture = self._waiting[0]
        later = [p for p in self._waiting if p.pts_seconds - picture.pts_seconds <= RETURN_SECONDS + 1e-3]
        return picture.contrast < FADE_SHARE * max(p.contrast for p in later)


def _is_same(before: _Picture, after: _Picture) -> bool:
    return float(np.abs(before.luma - after.luma).mean()) < STILL_DIFFERENCE


def mark_shots(frames: Iterable[Frame]) -> Iterator[Frame]:
    """The same frames, each with the index of its shot. Holds back a few of them where a cut is likely."""
    detector, held, shot_index = ShotDetector(), deque[Frame](), -1
    for frame in frames:
        held.append(frame)
        begins = detector.add(frame.image, pts_seconds=frame.pts_seconds)
        surplus = len(held) - len(begins) - max(2, MAX_HELD_BYTES // frame.image.nbytes)
        begins += detector.finish(num=surplus) if surplus > 0 else []
        for begin in begins:
            shot_index += begin
            yield replace(held.popleft(), shot_index=shot_index)
    for begin in detector.finish():
        shot_index += begin
        yield replace(held.popleft(), shot_index=shot_index)


