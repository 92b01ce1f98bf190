"""Laying one video's pictures over another's: at which lag, speed, side and cut light and dark take the same course.

Pictures are compared in two ways: as they stand (`still`), which tells the place, and around their mean over a few
seconds (`moving`), which tells the performance. Short windows of a coarse picture find where two videos may agree, and
all that they share then decides.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace
from operator import itemgetter

import cv2
import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray, IntArray
from choreai.video.picture_signature import SECONDS_BETWEEN, SIZE_WH, PictureSignature

HALF_MEAN_SAMPLES = 7
"""To either side of the mean around which pictures move: what stays for longer tells the place, not what happens."""
COARSE_WH = (4, 3)
WINDOW_SAMPLES = 20
"""4 seconds."""
OWN_HOP, LAID_HOP = 1, 8
NUM_COSINES = 8
"""Of each coarse pixel's course over a window: up to 1 Hz."""
MIN_MOVEMENT = 0.15
"""Of 255, root mean square: in a still picture nothing happens that could be recognised. Of a small dancer before a
camera on a tripod it is 0.2."""
MAX_OWN_WINDOWS = 600
"""Of a long video: two minutes, evenly spread."""
SPEEDS = (0.83, 0.91, 1.0, 1.1, 1.21)
MIN_LIKENESS = 0.55
"""Cosine of two windows from which an alignment is tried."""
NUM_ALIGNMENTS = 3
STRETCHES = (0.96, 0.98, 1.0, 1.02, 1.04)
FINE_STRETCHES = (0.96, 0.98, 0.99, 1.0, 1.01, 1.02, 1.04)
LAGS = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""Samples."""
NUM_NEARBY = 2
"""Alignments that are looked at closely: of a cropped copy coarse pictures are a poor judge."""
SCALES = (1.0, 0.9, 0.8, 0.7)
"""Of a cropped picture's sides."""
MIN_OVERLAP_SAMPLES = 20
MIN_OVERLAP_SHARE = 0.6
"""Of the shorter video."""
SAMPLES_OF_DOUBT = 10
"""Counted in beside those that both show, as if nothing agreed in them: a short overlap may agree by chance."""
MIN_SPEED, MAX_SPEED = 0.8, 1.25
MIN_FIRST_CORRELATION = 0.2
"""Of coarse pictures: less is not worth a second look."""


@dataclass(frozen=True)
class PictureMatch:
    """How two videos' pictures lie over each other where they fit best."""

    moving: float
    """Correlation of what moves, over all that both show and SAMPLES_OF_DOUBT; -1 where nothing fits."""
    still: float
    """Correlation of their mean pictures."""
    mirrored: bool
    speed: float
    """Of the second over the first: 1.1 where it plays a tenth faster."""
    offset_seconds: float
    """Where in the second, in its time, the first begins."""

    def reversed(self) -> "PictureMatch":
        """Return how the first lies over the second."""
        return replace(self, speed=1 / self.speed, offset_seconds=-self.offset_seconds * self.speed)


NO_MATCH = PictureMatch(-1.0, -1.0, False, 1.0, 0.0)


class MovingPictures:
    """One video's pictures, ready to be laid over others'."""

    def __init__(self, signature: PictureSignature) -> None:
        times = signature.pts_seconds
        grid = np.arange(0.0, times[-1] - times[0] + 1e-6, SECONDS_BETWEEN) if len(signature) > 1 else np.zeros(0)
        self.still = _interpolate(signature.luma.astype(np.float32), np.interp(grid + times[:1], times, _places(times)))
        """(T, 9, 16) luma, SECONDS_BETWEEN apart."""
        self.moving = _around_mean(self.still)
        self.coarse = _coarse(self.moving)
        """(T, 3, 4)."""
        self.own = _windows(self.coarse, 1.0, max(OWN_HOP, -(-len(self.coarse) // MAX_OWN_WINDOWS)))

    def __len__(self) -> int:
        return len(self.still)

    def mirrored(self) -> "MovingPictures":
        """Return the pictures of the mirror image; its `own` windows are not mirrored."""
        flipped = copy(self)
        for name in ("still", "moving", "coarse"):
            setattr(flipped, name, np.ascontiguousarray(getattr(self, name)[:, :, ::-1]))
        return flipped

    def laid(self) -> "Windows":
        """Return the windows, each LAID_HOP, at every speed and side: what is searched for."""
        parts = [_windows(self.coarse, speed, LAID_HOP) for speed in SPEEDS]
        return Windows.joined([*parts, *(part.mirrored() for part in parts)])


@dataclass(frozen=True, eq=False)
class Windows:
    """W windows of a video's coarse pictures, of those in which something moves."""

    courses: FloatArray
    """(W, 3 * 4 * NUM_COSINES) of length 1."""
    starts: FloatArray
    """(W,) samples from the beginning, at `speeds`."""
    speeds: FloatArray
    """(W,)."""
    is_mirrored: BoolArray
    """(W,)."""

    def __len__(self) -> int:
        return len(self.starts)

    def mirrored(self) -> "Windows":
        """Return the windows of the video's mirror image."""
        width, height = COARSE_WH
        flipped = self.courses.reshape(len(self), height, width, NUM_COSINES)[:, :, ::-1]
        return Windows(flipped.reshape(self.courses.shape), self.starts, self.speeds, ~self.is_mirrored)

    @classmethod
    def joined(cls, parts: Sequence["Windows"]) -> "Windows":
        """Return the windows of all parts, one behind the other; at least one part."""
        return cls(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))


@dataclass(frozen=True)
class _Alignment:
    """Which samples of two videos show the same: the other's sample t is shown at `speed * (t - lag)` of one."""

    speed: float
    lag: float

    def place_here(self, there: float) -> float:
        return (there - self.lag) * self.speed

    def shared(self, num_here: int, num_there: int) -> tuple[Float64Array, slice]:
        """Return the places in one video of the samples of the other that it shows, and which of the other's they are;
        none where they are too few."""
        places = (np.arange(num_there) - self.lag) * self.speed
        shown = np.flatnonzero((places >= 0) & (places <= num_here - 1))
        if len(shown) < max(MIN_OVERLAP_SAMPLES, MIN_OVERLAP_SHARE * min(num_here / self.speed, num_there)):
            return np.zeros(0), slice(0, 0)
        return places[shown], slice(int(shown[0]), int(shown[-1]) + 1)


class PictureMatcher:
    """Lays one video's pictures over others'."""

    def __init__(self, pictures: MovingPictures) -> None:
        self._sides = (pictures, pictures.mirrored())
        self.windows = pictures.laid()

    def likenesses(self, courses: FloatArray, firsts: IntArray) -> FloatArray:
        """Return of each of several videos the cosine of the two windows that are most alike; 0 where it has none.

        `courses`: (N, D) of all their own windows, those of each video from a place in `firsts` on.
        """
        if not len(self.windows) or not len(courses):
            return np.zeros(len(firsts), np.float32)
        best = (self.windows.courses @ courses.T).max(axis=0)
        padded = np.append(best, np.float32(0))
        counts = np.diff(np.append(firsts, len(courses)))
        return np.where(counts > 0, np.maximum.reduceat(padded, firsts), 0).astype(np.float32)

    def match(self, other: MovingPictures) -> PictureMatch:
        """Return how the other lies over it where they fit best."""
        best = NO_MATCH
        for mirrored, alignment in self._alignments(other):
            found = _fit(self._sides[mirrored], other, alignment, mirrored=mirrored)
            if found.moving > best.moving:
                best = found
        return best

    def _alignments(self, other: MovingPictures) -> Iterator[tuple[bool, _Alignment]]:
        """Yield side and alignment of the windows most alike, the most alike first."""
        likeness = self.windows.courses @ other.own.courses.T
        for _ in range(NUM_ALIGNMENTS if likeness.size else 0):
            row, column = np.unravel_index(int(likeness.argmax()), likeness.shape)
            if likeness[row, column] < MIN_LIKENESS:
                return
            windows = self.windows
            lag = float(other.own.starts[column] - windows.starts[row])
            yield bool(windows.is_mirrored[row]), _Alignment(float(windows.speeds[row]), lag)
            is_side = (windows.is_mirrored == windows.is_mirrored[row]) & (windows.speeds == windows.speeds[row])
            lags = other.own.starts - windows.starts[:, None]
            likeness[is_side[:, None] & (np.abs(lags - lag) <= LAID_HOP)] = -1


def _fit(one: MovingPictures, other: MovingPictures, first: _Alignment, *, mirrored: bool) -> PictureMatch:
    """Return the match near one alignment, of which coarse pictures have some idea."""
    near = _nearby(one.coarse, other.coarse, first, STRETCHES)[:NUM_NEARBY]
    tried = [(_best_cut(one, other, each), each) for correlation, each in near if correlation >= MIN_FIRST_CORRELATION]
    if not tried:
        return NO_MATCH
    cut, alignment = max(tried, key=lambda each: each[0].moving)
    if cut.moving < MIN_FIRST_CORRELATION:
        return PictureMatch(cut.moving, cut.still, mirrored, alignment.speed, alignment.lag * SECONDS_BETWEEN)
    finer = _nearby(*cut.crop(one.moving, other.moving), alignment, FINE_STRETCHES)
    moving, alignment = max([(MIN_FIRST_CORRELATION, alignment), *finer], key=itemgetter(0))
    return PictureMatch(moving, cut.still, mirrored, alignment.speed, alignment.lag * SECONDS_BETWEEN)


def _nearby(
    here: FloatArray, there: FloatArray, around: _Alignment, stretches: Sequence[float]
) -> list[tuple[float, _Alignment]]:
    """Return the correlations of (T, H, W) pictures in alignments around one, the highest first."""
    middle = around.place_here(len(there) / 2)
    found = []
    for stretch in stretches:
        for shift in LAGS:
            # What is shown in the middle stays where it is: the lag at the beginning changes with the speed.
            speed = around.speed * stretch
            if not MIN_SPEED <= speed <= MAX_SPEED:
                continue
            alignment = _Alignment(speed, len(there) / 2 - middle / speed + shift)
            places, shown = alignment.shared(len(here), len(there))
            if len(places):
                doubt = len(places) / (len(places) + SAMPLES_OF_DOUBT)
                found.append((doubt * _cosine(_interpolate(here, places), there[shown]), alignment))
    return sorted(found, key=itemgetter(0), reverse=True)


@dataclass(frozen=True, eq=False)
class _Cut:
    """How one of two videos is a cut-out of the other, or all of it."""

    moving: float
    still: float
    """Correlations, as in `PictureMatch`."""
    is_other: bool
    """Whether it is the second that is the cut-out."""
    area: tuple[slice, slice]
    """Rows and columns of the uncut picture."""

    def crop(self, moving: FloatArray, other_moving: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the pictures of both where they show the same, in the same size."""
        if self.is_other:
            return moving[:, *self.area], _shrink_to(self.area, other_moving)
        return _shrink_to(self.area, moving), other_moving[:, *self.area]


def _best_cut(one: MovingPictures, other: MovingPictures, alignment: _Alignment) -> _Cut:
    places, shown = alignment.shared(len(one), len(other))
    here = [_interpolate(values, places) for values in (one.still, one.moving)]
    there = [other.still[shown], other.moving[shown]]
    cuts = [_cut(*here, *there, scale=scale, is_other=True) for scale in SCALES]
    cuts += [_cut(*there, *here, scale=scale, is_other=False) for scale in SCALES]
    return max(cuts, key=lambda cut: cut.moving + cut.still)


def _cut(
    still: FloatArray,
    moving: FloatArray,
    cut_still: FloatArray,
    cut_moving: FloatArray,
    *,
    scale: float,
    is_other: bool,
) -> _Cut:
    """Return the correlations where the second pictures are a cut-out of the first, `scale` times as large; all four
    (T, 9, 16)."""
    width, height = round(SIZE_WH[0] * scale), round(SIZE_WH[1] * scale)
    mean, spread = still.mean(axis=0), moving.std(axis=0)
    cut_mean, cut_spread = (_resize(each, width, height) for each in (cut_still.mean(axis=0), cut_moving.std(axis=0)))
    fits = cv2.matchTemplate(mean, cut_mean, cv2.TM_CCOEFF_NORMED)
    fits = fits + cv2.matchTemplate(spread, cut_spread, cv2.TM_CCOEFF_NORMED)
    y, x = (int(place) for place in np.unravel_index(int(fits.argmax()), fits.shape))
    area = slice(y, y + height), slice(x, x + width)
    around = mean[area] - mean[area].mean()
    return _Cut(
        moving=_cosine(moving[:, *area], _shrink_to(area, cut_moving)),
        still=_cosine(around, cut_mean - cut_mean.mean()),
        is_other=is_other,
        area=area,
    )


def _shrink_to(area: tuple[slice, slice], pictures: FloatArray) -> FloatArray:
    """Return (T, 9, 16) pictures in the size of a part of such a picture."""
    height, width = (side.stop - side.start for side in area)
    return np.stack([_resize(each, width, height) for each in pictures])


def _resize(picture: FloatArray, width: int, height: int) -> FloatArray:
    if picture.shape == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _windows(coarse: FloatArray, speed: float, hop: int) -> Windows:
    """Return the windows, `hop` samples apart, of a video that is played `speed` times as fast."""
    played = _interpolate(coarse, np.arange(0, max(len(coarse) - 1, 0) + 1e-6, speed)) if len(coarse) else coarse
    starts = np.arange(0, len(played) - WINDOW_SAMPLES + 1, hop)
    size = COARSE_WH[0] * COARSE_WH[1]
    windows = played.reshape(len(played), size)[starts[:, None] + np.arange(WINDOW_SAMPLES)]
    courses = np.einsum("wsp,sc->wpc", windows, _COSINES).reshape(len(starts), size * NUM_COSINES)
    is_lively = np.sqrt((windows**2).mean(axis=(1, 2))) >= MIN_MOVEMENT
    courses, starts = courses[is_lively], starts[is_lively]
    courses /= np.linalg.norm(courses, axis=1, keepdims=True) + 1e-9
    num = len(starts)
    return Windows(
        courses.astype(np.float32), starts.astype(np.float32), np.full(num, speed, np.float32), np.zeros(num, np.bool_)
    )


def _around_mean(pictures: FloatArray) -> FloatArray:
    """Return (T, H, W) pictures less their mean over HALF_MEAN_SAMPLES to either side."""
    sums = np.cumsum(np.pad(pictures, ((1, 0), (0, 0), (0, 0))).astype(np.float64), axis=0)
    places = np.arange(len(pictures))
    first = np.maximum(places - HALF_MEAN_SAMPLES, 0)
    stop = np.minimum(places + HALF_MEAN_SAMPLES + 1, len(pictures))
    return (pictures - (sums[stop] - sums[first]) / (stop - first)[:, None, None]).astype(np.float32)


def _coarse(pictures: FloatArray) -> FloatArray:
    """Return (T, 3, 4) means of (T, 9, 16) pictures."""
    width, height = COARSE_WH
    blocks = pictures.reshape(len(pictures), height, SIZE_WH[1] // height, width, SIZE_WH[0] // width)
    return np.asarray(blocks.mean(axis=(2, 4)), np.float32)


def _interpolate(pictures: FloatArray, places: Float64Array) -> FloatArray:
    """Return the pictures (T, H, W) at (N,) places, 0 to T - 1."""
    before = np.floor(places).astype(np.int64).clip(0, max(len(pictures) - 2, 0))
    share = (places - before).astype(np.float32)[:, None, None]
    after = np.minimum(before + 1, max(len(pictures) - 1, 0))
    return pictures[before] * (1 - share) + pictures[after] * share


def _places(times: Float64Array) -> Float64Array:
    return np.arange(len(times), dtype=np.float64)


def _cosine(one: FloatArray, other: FloatArray) -> float:
    return float((one * other).sum() / np.sqrt((one**2).sum() * (other**2).sum() + 1e-9))


_COSINES = np.stack(
    [np.cos(np.pi * n * (np.arange(WINDOW_SAMPLES) + 0.5) / WINDOW_SAMPLES) for n in range(1, NUM_COSINES + 1)], axis=1
).astype(np.float32)
