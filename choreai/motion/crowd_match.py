"""Laying crowds over each other: the lag, speed, side and place on which most windows of two videos agree."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray, IntArray
from choreai.motion.crowd_signature import LAID_HOP, SPEEDS, CrowdSignature, MotionWindows
from choreai.motion.signature import SAMPLES_PER_SECOND, SignatureMatch

MIN_LIKENESS = 0.6
"""Cosine of two windows from which an alignment is tried."""
NUM_ALIGNMENTS = 12
MIN_FIT_LIKENESS = 0.5
MAX_POSE_DISTANCE = 0.3
"""Torso lengths between the mean poses of two windows, root mean square over the coordinates known in both."""
MIN_BLOCKS = 4
MIN_OVERLAP_SHARE = 0.6
NUM_BLOCKS_OF_DOUBT = 2
"""Blocks in which nothing agrees, counted in beside those seen: a short overlap may agree by chance."""
MIN_FIRST_AGREEMENT = 0.2
"""Less is not worth a second look."""
MAX_WHOLE_LAG_SAMPLES = 5.0
"""Between copies that begin and end together."""
MIN_WHOLE_LIKENESS = 0.5
MIN_WHOLE_HITS = 3
MIN_STRETCH = 0.94
MIN_REPEAT_SAMPLES, MAX_REPEAT_SAMPLES = 8, 30
"""Between steps and the same again: quicker ones are seen within one window."""


class _Tolerance(NamedTuple):
    """How exactly two windows of one person must lie over each other."""

    lag: float
    """Samples."""
    distance: float
    """In the picture, of the keypoints' spread."""
    size_ratio: float


TOLERANCES = (_Tolerance(2.0, 0.5, 1.5), _Tolerance(2.0, 0.5, 1.5), _Tolerance(1.2, 0.3, 1.25))
"""Of one pass after the other: the first knows one pair of windows, the last the line through all that agree."""


class CrowdMatcher:
    """Lays one video's crowd over others', at every speed and side."""

    def __init__(self, signature: CrowdSignature) -> None:
        self._sides = [(mirrored, speed) for mirrored in (False, True) for speed in SPEEDS]
        parts = [signature.at_speed(speed) for speed in SPEEDS]
        parts += [windows.mirrored() for windows in parts]
        self._side_of = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        self.windows = MotionWindows.joined(parts)
        """Of all sides and speeds: what is searched for."""

    def num_hits(self, likeness: FloatArray, firsts: IntArray) -> IntArray:
        """Return of each of several videos how many windows, of one side and speed, have their like in it.

        `likeness`: (windows, others) cosines with all their windows, those of each video from a place in `firsts` on.
        """
        if not len(self.windows):
            return np.zeros(len(firsts), np.int64)
        is_hit = np.maximum.reduceat(likeness, firsts, axis=1) >= MIN_LIKENESS
        _, sides = np.unique(self._side_of, return_index=True)
        return np.asarray(np.add.reduceat(is_hit.astype(np.int64), sides, axis=0).max(axis=0))

    def match(self, other: MotionWindows, likeness: FloatArray | None = None) -> SignatureMatch:
        """Return how `other` lies over it where they fit best; -1 is the correlation where nothing fits.

        `likeness`: (windows, other) cosines, where they are known.
        """
        best = SignatureMatch(-1.0, False, 1.0, 0.0)
        if likeness is None:
            likeness = self.windows.courses @ other.courses.T
        tried = np.zeros(likeness.shape, np.bool_)
        for row, column in _most_alike(likeness):
            if tried[row, column]:
                continue
            side = int(self._side_of[row])
            rows = slice(*np.searchsorted(self._side_of, [side, side + 1]))
            laid = self.windows.take(rows)
            alike = _alike_poses(laid, other, likeness[rows])
            fit = _fit(laid, other, alike, row - rows.start, column)
            tried[rows] |= fit.is_inlier
            if fit.agreement > best.correlation:
                mirrored, speed = self._sides[side]
                best = SignatureMatch(fit.agreement, mirrored, speed / fit.stretch, fit.lag / SAMPLES_PER_SECOND)
        return best


class WholeMatcher:
    """Lays one video's crowd over others' from beginning to end: copies that were not cut.

    Their lengths tell the speed, and the lag is 0. So few alignments agree by chance by much less than of all.
    """

    def __init__(self, signature: CrowdSignature) -> None:
        self._seconds = signature.seconds
        self._signature = signature
        self._sides: dict[float, tuple[MotionWindows, MotionWindows]] = {}

    def match(self, other: CrowdSignature) -> SignatureMatch:
        """Return how the other lies over it; -1 is the correlation where it does not."""
        best = SignatureMatch(-1.0, False, 1.0, 0.0)
        speed = min(SPEEDS, key=lambda each: abs(np.log(each * other.seconds / max(self._seconds, 1e-3) + 1e-9)))
        stretch = speed * other.seconds / max(self._seconds, 1e-3)
        if not MIN_STRETCH <= stretch <= 1 / MIN_STRETCH:
            return best
        if speed not in self._sides:
            windows = self._signature.at_speed(speed)
            self._sides[speed] = (windows, windows.mirrored())
        for mirrored, laid in enumerate(self._sides[speed]):
            fit = _best_whole(laid, other.own, stretch)
            if fit is not None and fit.agreement > best.correlation:
                lag = fit.lag / SAMPLES_PER_SECOND
                best = SignatureMatch(fit.agreement, bool(mirrored), speed / fit.stretch, lag)
        return best


def _best_whole(laid: MotionWindows, other: MotionWindows, stretch: float) -> "_Fit | None":
    """Return the alignment without a lag on which most windows agree, if there is one."""
    is_near = np.abs(other.starts - stretch * laid.starts[:, None]) <= MAX_WHOLE_LAG_SAMPLES
    likeness = np.where(is_near, laid.courses @ other.courses.T, 0.0)
    if (likeness >= MIN_WHOLE_LIKENESS).any(axis=1).sum() < MIN_WHOLE_HITS:
        return None
    return _best_fit(laid, other, likeness, stretch)


def repetition(signature: CrowdSignature) -> float:
    """Return how far a video's crowd agrees with itself at another moment: steps that repeat tell no performance."""
    laid, own = signature.at_speed(1.0), signature.own
    apart = np.abs(own.starts - laid.starts[:, None])
    is_other = (apart >= MIN_REPEAT_SAMPLES) & (apart <= MAX_REPEAT_SAMPLES)
    fit = _best_fit(laid, own, np.where(is_other, laid.courses @ own.courses.T, 0.0), 1.0)
    return -1.0 if fit is None else fit.agreement


def _best_fit(laid: MotionWindows, other: MotionWindows, likeness: FloatArray, stretch: float) -> "_Fit | None":
    """Return the alignment on which most windows agree, of those where `likeness` is not 0."""
    alike = _alike_poses(laid, other, likeness)
    best, tried = None, np.zeros(likeness.shape, np.bool_)
    for row, column in _most_alike(alike, least=MIN_WHOLE_LIKENESS):
        if not tried[row, column]:
            fit = _fit(laid, other, alike, row, column, stretch=stretch)
            tried |= fit.is_inlier
            if best is None or fit.agreement > best.agreement:
                best = fit
    return best


def _alike_poses(laid: MotionWindows, other: MotionWindows, likeness: FloatArray) -> FloatArray:
    """Return the likeness of windows, 0 where their mean poses differ."""
    return np.where(_pose_distances(laid, other) < MAX_POSE_DISTANCE, likeness.clip(0, None), 0.0)


def _most_alike(likeness: FloatArray, *, least: float = MIN_LIKENESS) -> Iterator[tuple[int, int]]:
    """Yield the places of the highest numbers, falling, of at least `least`."""
    num = min(4 * NUM_ALIGNMENTS, likeness.size)
    if not num:
        return
    places = np.argpartition(likeness, likeness.size - num, axis=None)[-num:]
    places = places[np.argsort(-likeness.ravel()[places], kind="stable")]
    places = places[likeness.ravel()[places] >= least][:NUM_ALIGNMENTS]
    yield from ((int(place) // likeness.shape[1], int(place) % likeness.shape[1]) for place in places)


@dataclass(frozen=True, eq=False)
class _Fit:
    """One alignment of two videos' windows: the other's sample is `stretch` times one's and `lag`."""

    agreement: float
    lag: float
    stretch: float
    is_inlier: BoolArray
    """(K, W)."""


def _fit(
    laid: MotionWindows, other: MotionWindows, likeness: FloatArray, row: int, column: int, *, stretch: float = 1.0
) -> _Fit:
    """Return the alignment on which most windows agree with this one of each; `likeness` is 0 where poses differ."""
    lag = float(other.starts[column] - stretch * laid.starts[row])
    scale = float(other.spreads[column] / laid.spreads[row])
    shift = other.places[column] - scale * laid.places[row]
    agreement, is_inlier = -1.0, np.zeros(likeness.shape, np.bool_)
    for tolerance in TOLERANCES:
        is_near = np.abs(other.starts - stretch * laid.starts[:, None] - lag) <= tolerance.lag
        way = scale * laid.places[:, None] + shift - other.places
        ratio = other.spreads / (scale * laid.spreads[:, None])
        is_there = ((way**2).sum(axis=2) < (tolerance.distance * other.spreads) ** 2) & (
            np.maximum(ratio, 1 / ratio) < tolerance.size_ratio
        )
        is_inlier = is_near & is_there
        agreed = np.where(is_inlier, likeness, 0.0)
        agreement = _agreement(laid, other, agreed, is_near)
        rows, columns = np.nonzero(agreed > MIN_FIT_LIKENESS)
        if agreement < MIN_FIRST_AGREEMENT or len(rows) < 2:
            break
        if tolerance is not TOLERANCES[-1]:
            weights = agreed[rows, columns]
            stretch, lag = _line(laid.starts[rows], other.starts[columns], weights)
            scale, shift = _similarity(laid, other, rows, columns, weights)
    return _Fit(agreement, lag, stretch, is_inlier)


def _agreement(laid: MotionWindows, other: MotionWindows, agreed: FloatArray, is_near: BoolArray) -> float:
    """Return the mean, over the blocks of time in which both have windows, of the best that agree; -1 for too few."""
    blocks, places = np.unique(laid.starts // LAID_HOP, return_inverse=True)
    best, has_both = np.zeros(len(blocks)), np.zeros(len(blocks), np.bool_)
    np.maximum.at(best, places, agreed.max(axis=1))
    np.logical_or.at(has_both, places, is_near.any(axis=1))
    shorter = min(len(blocks), len(np.unique(other.starts // LAID_HOP)))
    if has_both.sum() < max(MIN_BLOCKS, MIN_OVERLAP_SHARE * shorter):
        return -1.0
    return float(best[has_both].sum() / (has_both.sum() + NUM_BLOCKS_OF_DOUBT))


def _pose_distances(laid: MotionWindows, other: MotionWindows) -> FloatArray:
    """Return (K, W) torso lengths between mean poses, root mean square over the coordinates known in both."""
    squares = (
        (laid.poses**2) @ other.known.T + laid.known @ (other.poses**2).T - 2 * laid.poses @ other.poses.T
    ) / np.maximum(laid.known @ other.known.T, 1)
    return np.asarray(np.sqrt(squares.clip(0, None)))


def _line(here: FloatArray, there: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Return slope and offset of there over here, the slope within half a step of SPEEDS."""
    mean_here, mean_there = np.average(here, weights=weights), np.average(there, weights=weights)
    spread = np.average((here - mean_here) ** 2, weights=weights)
    slope = np.average((here - mean_here) * (there - mean_there), weights=weights) / max(spread, 1e-6)
    slope = float(slope.clip(0.95, 1.05)) if spread > LAID_HOP**2 else 1.0
    return slope, float(mean_there - slope * mean_here)


def _similarity(
    laid: MotionWindows, other: MotionWindows, rows: IntArray, columns: IntArray, weights: FloatArray
) -> tuple[float, FloatArray]:
    """Return scale and shift of the other's picture over one's, by all windows that agree."""
    (here, around_here), (there, around_there) = (
        _moments(windows, places, weights) for windows, places in ((laid, rows), (other, columns))
    )
    scale = float(np.sqrt(around_there / around_here))
    return scale, np.asarray(there - scale * here, np.float32)


def _moments(windows: MotionWindows, places: IntArray, weights: FloatArray) -> tuple[Float64Array, float]:
    """Return the mean place of some windows, and the mean square of their joints around it."""
    mean = np.average(windows.places[places], axis=0, weights=weights)
    squares = ((windows.places[places] - mean) ** 2).sum(axis=1) + windows.spreads[places] ** 2
    return mean, float(np.average(squares, weights=weights))
