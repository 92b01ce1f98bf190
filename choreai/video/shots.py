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
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from choreai.video.frame import Frame

LumaArray = npt.NDArray[np.float32]

DETECTOR_VERSION = 1
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

MIN_CHANGE = 0.22
MIN_LEAP = 0.17
"""A cut changes the picture by `MIN_CHANGE` or more, and by `MIN_LEAP` more than the samples around it were changed
(`docs/experiments.md`)."""
SAME_VIEW = 0.9
"""Halves of two pictures that correlate so well, wherever they lie, show one view: the camera swung by up to half a
picture, or black bars came. Cuts between cameras on one stage reached 0.89."""
HALF_ROWS = slice(5, 31)
HALF_WIDTH = 28
NEIGHBOURS = 2
"""Samples on either side that a cut must stand out from."""
LARGEST_SHARE = 0.7
"""The largest change among them may be another cut, or a flash, so only this share of it counts; of the others all."""
MIN_DIFFERENCE = 0.14
"""Mean absolute difference of luma in units of its contrast, below which there is no need to look closer: three of four
samples. At real cuts it was 0.43 or more, at cuts of a video within a still picture 0.16."""

RETURN_SECONDS = 0.14
"""What comes back within so long was never away: a flash takes one to three frames, and the shortest shots of the
music video it was measured on 0.2 s."""
RETURN_SHARE = 0.8
"""The picture has come back when it differs from the one before by less than this share of the change."""
MAX_PAST = 32
"""Samples remembered: two seconds at 15 a second."""
MAX_AHEAD = 16
"""Samples looked ahead at most: `RETURN_SECONDS` at 110 a second."""
MAX_HELD_BYTES = 128 * 2**20
"""Of pixels that `mark_shots` holds back while it looks ahead: 20 frames at 1080p, one at 8K."""
MIN_INSET_CHANGE = 0.04
MIN_INSET_SAMPLES = 4
STILL_PIXEL = 2.0
MIN_LIVE_SHARE, MAX_LIVE_SHARE = 0.08, 0.6
LIVE_LINE_SHARE = 0.25
"""A video within a still picture: where the rest has not moved by `STILL_PIXEL` of 255 since the shot began, the part
that moves is looked at alone. It fills `MIN_LIVE_SHARE` to `MAX_LIVE_SHARE` of the picture; a row or column belongs to
it that has `LIVE_LINE_SHARE` as many moving pixels as the one with most."""
FADE_SHARE, FADE_SHARE_AFTER_BLANK = 0.6, 0.9
"""A picture whose contrast is less than this share of what it will be in `RETURN_SECONDS` is fading in. What follows
a black picture is suspected sooner."""


@dataclass(frozen=True, eq=False)
class _Picture:
    """One frame, small enough to keep."""

    pts_seconds: float
    wide: LumaArray
    """(72, 128) luma: twice `SIZE_WH`, so that a part of it can be looked at too."""

    @cached_property
    def luma(self) -> LumaArray:
        """(36, 64)."""
        return cv2.resize(self.wide, SIZE_WH, interpolation=cv2.INTER_AREA).astype(np.float32)

    @cached_property
    def contrast(self) -> float:
        return float(self.luma.std())

    @property
    def is_blank(self) -> bool:
        return self.contrast < BLANK_CONTRAST

    @cached_property
    def blocks(self) -> list[tuple[LumaArray, LumaArray, float]]:
        """Of each block its pixels, the larger area in which it is looked for, and its weight."""
        (width, height), (reach_x, reach_y) = BLOCK_WH, REACH_WH
        border = cv2.BORDER_REFLECT_101
        padded = np.asarray(cv2.copyMakeBorder(self.luma, reach_y, reach_y, reach_x, reach_x, border), np.float32)
        found = []
        for y in range(0, SIZE_WH[1], height):
            for x in range(0, SIZE_WH[0], width):
                block = self.luma[y : y + height, x : x + width]
                around = padded[y : y + height + 2 * reach_y, x : x + width + 2 * reach_x]
                found.append((block, around, min(float(block.std()), FULL_WEIGHT_CONTRAST)))
        return found

    def within(self, area: tuple[slice, slice]) -> "_Picture":
        """Return the same frame, of which `area` of `wide` fills the picture."""
        whole = cv2.resize(self.wide[area], (2 * SIZE_WH[0], 2 * SIZE_WH[1]))
        return _Picture(self.pts_seconds, np.asarray(whole, np.float32))


def shrink(image: npt.NDArray[np.uint8]) -> LumaArray:
    """Return (72, 128) luma of an (H, W, 3) RGB image. Of a large one every second, third, ... pixel is used."""
    step = max(1, min(image.shape[0] // 216, image.shape[1] // 384))
    size = (2 * SIZE_WH[0], 2 * SIZE_WH[1])
    small = cv2.resize(image[::step, ::step], size, interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)


class ShotDetector:
    """Says of each frame of one video whether a shot begins with it; the first frame begins one.

    Answers come in order, most at once; where a cut is likely they wait for `RETURN_SECONDS` of what follows. What it
    keeps does not grow with the video.
    """

    def __init__(self) -> None:
        self._past: deque[_Picture] = deque(maxlen=MAX_PAST)
        """Decided, oldest first, without the blank ones; a blank one only while the video has shown no other."""
        self._waiting: deque[_Picture] = deque()
        self._shot_start_seconds = -np.inf
        self._after_blank = False

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
            if begins:
                self._shot_start_seconds = picture.pts_seconds
            if self._past and self._past[-1].is_blank:
                self._past.clear()
            if not picture.is_blank or not self._past:
                self._past.append(picture)
            self._after_blank = picture.is_blank
        return decided

    def _begins_shot(self, ended: bool) -> bool | None:
        """Whether the oldest waiting frame begins a shot; None if that depends on what comes."""
        picture = self._waiting[0]
        if not self._past:
            return True
        if picture.is_blank or self._past[-1].is_blank or _differ_little(self._past[-1], picture):
            return False
        change = _change(self._past[-1], picture)
        if change < MIN_CHANGE:
            return self._begins_inset_shot(ended) if change >= MIN_INSET_CHANGE else False
        if not (ended or self._sees_far_enough()):
            return None
        around = _Around(list(self._past), list(self._waiting), self._after_blank)
        return around.is_cut(change) and not _same_view_moved(self._past[-1], picture)

    def _begins_inset_shot(self, ended: bool) -> bool | None:
        """The same, if all of the shot happens in a part of the picture: a video within a still frame."""
        shot = [p for p in self._past if p.pts_seconds >= self._shot_start_seconds - 1e-6]
        area = _find_live_area([*shot, self._waiting[0]]) if len(shot) >= MIN_INSET_SAMPLES else None
        if area is None:
            return False
        past, waiting = ([p.within(area) for p in side] for side in (self._past, self._waiting))
        change = _change(past[-1], waiting[0])
        if change < MIN_CHANGE:
            return False
        if not (ended or self._sees_far_enough()):
            return None
        return _Around(past, waiting, self._after_blank).is_cut(change)

    def _sees_far_enough(self) -> bool:
        num_ahead = len(self._waiting) - 1
        seconds = self._waiting[-1].pts_seconds - self._waiting[0].pts_seconds
        return num_ahead >= MAX_AHEAD or (num_ahead >= NEIGHBOURS and seconds >= RETURN_SECONDS - 1e-3)


@dataclass(frozen=True, eq=False)
class _Around:
    """What surrounds a likely cut: it lies between the last picture of `past` and the first of `ahead`."""

    past: list[_Picture]
    ahead: list[_Picture]
    after_blank: bool

    def is_cut(self, change: float) -> bool:
        return self._stands_out(change) and not self._comes_back(change) and not self._fades_in()

    def _stands_out(self, change: float) -> bool:
        ahead = [p for p in self.ahead if not p.is_blank][: NEIGHBOURS + 1]
        sides = (self.past[-NEIGHBOURS - 1 :], ahead)
        changes = sorted(_change(*pair) for side in sides for pair in pairwise(side))
        usual = max([0.0, *changes[:-1], *(LARGEST_SHARE * largest for largest in changes[-1:])])
        return change - usual >= MIN_LEAP

    def _comes_back(self, change: float) -> bool:
        """Whether the picture before is seen again soon, or the picture after was seen a moment ago: a flash."""
        before, picture = self.past[-1], self.ahead[0]
        apart = RETURN_SECONDS + picture.pts_seconds - before.pts_seconds + 1e-3
        soon = [p for p in self.ahead[1:] if p.pts_seconds - before.pts_seconds <= apart]
        recent = [p for p in self.past[:-1] if picture.pts_seconds - p.pts_seconds <= apart]
        limit = RETURN_SHARE * change
        return any(_change(before, p) < limit for p in soon) or any(_change(p, picture) < limit for p in recent)

    def _fades_in(self) -> bool:
        share = FADE_SHARE_AFTER_BLANK if self.after_blank else FADE_SHARE
        return self.ahead[0].contrast < share * max(p.contrast for p in self.ahead)


def _change(before: _Picture, after: _Picture) -> float:
    return 1 - (_share_found(before, after) + _share_found(after, before)) / 2


def _share_found(where: _Picture, what: _Picture) -> float:
    """The weighted mean over the blocks of `what` of the best correlation with a place of `where` near by."""
    total = weights = 1e-6
    for (block, _, weight), (_, around, _) in zip(what.blocks, where.blocks, strict=True):
        if weight > 1:
            total += weight * _best_match(block, around)
            weights += weight
    return total / weights


def _best_match(what: LumaArray, where: LumaArray) -> float:
    """The greatest correlation of `what` with any place of `where`, 0 to 1."""
    return min(max(float(cv2.matchTemplate(where, what, cv2.TM_CCOEFF_NORMED).max()), 0.0), 1.0)


def _differ_little(before: _Picture, after: _Picture) -> bool:
    return float(cv2.norm(before.luma, after.luma, cv2.NORM_L1)) / before.luma.size < MIN_DIFFERENCE * after.contrast


def _same_view_moved(before: _Picture, after: _Picture) -> bool:
    """Whether half of each picture is found anywhere in the other, but for the rows in which black bars come and go."""
    return min(_best_half(before, after), _best_half(after, before)) >= SAME_VIEW


def _best_half(what: _Picture, where: _Picture) -> float:
    halves = (what.luma[HALF_ROWS, :HALF_WIDTH], what.luma[HALF_ROWS, -HALF_WIDTH:])
    return max(_best_match(half, where.luma) for half in halves)


def _find_live_area(pictures: list[_Picture]) -> tuple[slice, slice] | None:
    """The rows and columns of `wide` in which anything moves; None if that is everywhere or nowhere."""
    lumas = np.stack([p.luma for p in pictures])
    moved = np.abs(lumas - lumas[-2]).max(axis=0) > STILL_PIXEL
    if not moved.any() or moved.mean() > MAX_LIVE_SHARE:
        return None
    rows, columns = (np.flatnonzero(n >= LIVE_LINE_SHARE * n.max()) for n in (moved.sum(axis=1), moved.sum(axis=0)))
    area = slice(2 * rows[0], 2 * (rows[-1] + 1)), slice(2 * columns[0], 2 * (columns[-1] + 1))
    share = len(range(*area[0].indices(2 * SIZE_WH[1]))) * len(range(*area[1].indices(2 * SIZE_WH[0])))
    return area if MIN_LIVE_SHARE <= share / (4 * SIZE_WH[0] * SIZE_WH[1]) <= MAX_LIVE_SHARE else None


def mark_shots(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Return the same frames, each with the index of its shot. Holds back a few of them where a cut is likely."""
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
