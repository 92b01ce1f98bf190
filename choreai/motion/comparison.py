"""Two videos of a dance side by side: which moment of one belongs to which of the other, and how far apart they are.

For a dancer who learns from another's video. Both are laid over each other at every speed, lag and side; from there
each moment may shift by a little (dynamic time warping in a band), because nobody dances exactly in time. Poses are
compared in torso lengths around the hip centre: where in the picture somebody stands, and how tall, does not matter.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray, IntArray
from choreai.motion.sequence import KeypointSequence
from choreai.motion.signature import JOINTS, MIRRORED_POINTS, SAMPLES_PER_SECOND, dancer_poses, resample
from choreai.motion.skeleton import KEYPOINT_NAMES

MAX_SECONDS = 300.0
"""What follows in a longer video is not compared."""
MIN_SECONDS = 2.0
MIN_OVERLAP_SHARE = 0.6
"""Of the shorter video: less would be alike by chance."""
SPEEDS = tuple(round(1.08**n, 4) for n in range(-9, 10))
"""0.50 to 2.00: a dancer may learn at half speed."""
SPEED_DOUBT = 0.2
"""By how much, for each natural logarithm of the speed, another one must fit better than the same."""
SEARCH_STEP = 2
"""Every second sample is enough to find speed and lag."""
MAX_SHIFT_SAMPLES = 12
"""How much a moment may come early or late."""
SHIFT_COST = 0.03
"""Torso lengths for a shift by one more sample: who holds a pose is not moved to and fro by noise."""
MIN_JOINTS = 4
"""Seen in both; of fewer nothing is said."""
NEIGHBOUR_SAMPLES = 5
MIN_APART_SECONDS = 1.5
MIN_WORST = 0.25
"""Torso lengths: estimators alone put two videos of one performance 0.1 to 0.15 apart."""
UNLIKE_SHARE = 0.4
"""Of the distance of moments that do not belong together. Altered copies of 15 street-dance clips reached 0.31 (the
median 0.1), pairs of other clips 0.25 to 0.62 (the median 0.49)."""
PARTS: Mapping[str, tuple[str, ...]] = {
    "left arm": ("left_elbow", "left_wrist"),
    "right arm": ("right_elbow", "right_wrist"),
    "left leg": ("left_knee", "left_ankle"),
    "right leg": ("right_knee", "right_ankle"),
    "shoulders": ("left_shoulder", "right_shoulder"),
}
_ROWS = {part: [KEYPOINT_NAMES.index(name) - JOINTS[0] for name in names] for part, names in PARTS.items()}  # of JOINTS


class Moment(NamedTuple):
    """A moment at which the two are far apart."""

    seconds: float
    """In the first video."""
    other_seconds: float
    distance: float
    """Torso lengths, the mean of the joints over half a second."""
    part: str
    """Of PARTS, by the first dancer's sides: the one that is furthest away."""
    part_distance: float
    way: str
    """Where the first dancer's is: "higher", "lower" or "sideways"; mostly."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """One dance beside another, T moments at SAMPLES_PER_SECOND."""

    seconds: Float64Array
    """(T,) in the first video."""
    other_seconds: Float64Array
    """(T,) the moments of the second that belong to them, rising."""
    ways: FloatArray
    """(T, joints, 2) torso lengths from the second's joint to the first's, x to the right; NaN where one is unseen."""
    mirrored: bool
    """Whether the second was laid over the first as in a mirror."""
    speed: float
    """Of the first dance over the second: 0.5 where the first is danced half as fast."""
    chance_distance: float
    """What is to be expected of moments that do not belong together; NaN where there are too few to tell."""

    @property
    def joint_distances(self) -> FloatArray:
        """(T, joints) torso lengths, NaN where unseen."""
        return np.asarray(np.linalg.norm(self.ways, axis=2), np.float32)

    @property
    def distances(self) -> FloatArray:
        """(T,) the mean of the joints, NaN where too few are seen in both."""
        joints = self.joint_distances
        counts = np.isfinite(joints).sum(axis=1)
        sums = np.nansum(joints, axis=1)
        return np.where(counts >= MIN_JOINTS, sums / np.maximum(counts, 1), np.nan).astype(np.float32)

    @property
    def distance(self) -> float:
        """The mean over all moments."""
        return float(np.nanmean(self.distances))

    @property
    def is_unlike(self) -> bool:
        """Whether the two are as far apart as different dances are."""
        return bool(self.distance > UNLIKE_SHARE * self.chance_distance)  # False where there is nothing to tell by

    def worst(self, most: int = 5) -> list[Moment]:
        """Return the moments that are clearly further apart than the dance is on the whole, the worst first."""
        smooth = _means(self.distances)
        least = max(MIN_WORST, 1.15 * float(np.nanmedian(smooth)))
        found: list[int] = []
        for place in np.argsort(-np.nan_to_num(smooth, nan=-1.0), kind="stable").tolist():
            if len(found) == most or not smooth[place] >= least:
                break
            if all(abs(place - other) >= MIN_APART_SECONDS * SAMPLES_PER_SECOND for other in found):
                found.append(place)
        return [self._moment(place, float(smooth[place])) for place in found]

    def _moment(self, place: int, distance: float) -> Moment:
        reach = NEIGHBOUR_SAMPLES // 2
        near = self.ways[max(place - reach, 0) : place + reach + 1]
        by_part = {part: _mean_or(np.linalg.norm(near[:, rows], axis=2), -1.0) for part, rows in _ROWS.items()}
        part = max(by_part, key=lambda name: by_part[name])
        x, y = (_mean_or(near[:, _ROWS[part], axis], 0.0) for axis in (0, 1))
        way = "sideways" if abs(x) >= abs(y) else "lower" if y > 0 else "higher"
        return Moment(float(self.seconds[place]), float(self.other_seconds[place]), distance, part, by_part[part], way)


def compare_dances(
    one: KeypointSequence,
    other: KeypointSequence,
    *,
    named: Collection[int] | None = None,
    other_named: Collection[int] | None = None,
    mirrored: bool | None = None,
) -> Comparison | None:
    """Return the dancer of `one` beside the dancer of `other`; None where either is not seen for long enough.

    `mirrored` says whether they face each other as in a mirror; by default whichever fits better.
    """
    first, second = _course(one, named), _course(other, other_named)
    if min(len(first.poses), len(second.poses)) < MIN_SECONDS * SAMPLES_PER_SECOND:
        return None
    sides = (False, True) if mirrored is None else (mirrored,)
    tried = (
        (_lag(first, second.as_seen(is_mirrored, speed)), is_mirrored, speed)
        for is_mirrored in sides
        for speed in SPEEDS
    )
    fit, is_mirrored, speed = min(tried, key=lambda one: one[0].distance * (1 + SPEED_DOUBT * abs(np.log(one[2]))))
    if not np.isfinite(fit.distance):
        return None
    laid = second.as_seen(is_mirrored, speed)
    places, partners = _warp(_distances(first, laid), fit.lag)
    both = first.seen[places] & laid.seen[partners]
    ways = np.where(both[..., None], first.poses[places] - laid.poses[partners], np.nan).astype(np.float32)
    comparison = Comparison(
        seconds=first.start_seconds + places / SAMPLES_PER_SECOND,
        other_seconds=second.start_seconds + _steady(partners - places, places) * speed / SAMPLES_PER_SECOND,
        ways=ways,
        mirrored=is_mirrored,
        speed=speed,
        chance_distance=fit.chance,
    )
    return comparison if np.isfinite(comparison.distances).any() else None


@dataclass(frozen=True, eq=False)
class _Course:
    """One dancer's poses at SAMPLES_PER_SECOND."""

    poses: FloatArray
    """(T, joints, 2) torso lengths from the hip centre, 0 where unseen."""
    seen: BoolArray
    start_seconds: float

    def as_seen(self, mirrored: bool, speed: float) -> "_Course":
        """Return the same in a mirror, or played `speed` times as fast."""
        poses, seen = self.poses, self.seen
        if mirrored:
            order = list(MIRRORED_POINTS[:-1])
            poses, seen = poses[:, order] * np.array([-1, 1], np.float32), seen[:, order]
        if speed != 1:
            grid = np.arange(0, len(poses) - 1 + 1e-6, speed)
            poses, seen = _at(poses, seen, grid)
        return _Course(poses, seen, self.start_seconds)


def _course(sequence: KeypointSequence, named: Collection[int] | None) -> _Course:
    times, poses, seen = dancer_poses(sequence.between(0, MAX_SECONDS), named)
    joints = slice(0, len(JOINTS))
    if len(times) < 2:
        return _Course(np.zeros((0, len(JOINTS), 2), np.float32), np.zeros((0, len(JOINTS)), np.bool_), 0.0)
    grid = np.arange(times[0], times[-1] + 1e-3, 1 / SAMPLES_PER_SECOND)
    poses, seen = resample(times, poses[:, joints], seen[:, joints], grid)
    return _Course(poses.astype(np.float32), seen, float(grid[0]))


def _at(poses: FloatArray, seen: BoolArray, places: Float64Array) -> tuple[FloatArray, BoolArray]:
    """Return poses and seen between the samples."""
    before = np.floor(places).astype(np.int64).clip(0, max(len(poses) - 2, 0))
    after = np.minimum(before + 1, len(poses) - 1)
    share = (places - before)[:, None, None]
    both = seen[before] & seen[after]
    between = poses[before] * (1 - share) + poses[after] * share
    return np.where(both[..., None], between, 0.0).astype(np.float32), both


def _distances(one: _Course, other: _Course) -> FloatArray:
    """Return (T, U) torso lengths, root mean square over the joints seen in both; their mean where too few are."""
    mine, theirs = one.poses.reshape(len(one.poses), -1), other.poses.reshape(len(other.poses), -1)
    sees, they_see = np.repeat(one.seen, 2, axis=1), np.repeat(other.seen, 2, axis=1)
    counts = sees.astype(np.float32) @ they_see.T.astype(np.float32) / 2
    squares = mine**2 @ they_see.T + sees @ (theirs**2).T - 2 * mine @ theirs.T
    distances = np.sqrt(squares.clip(0, None) / np.maximum(counts, 1))
    known = counts >= MIN_JOINTS
    mean = float(distances[known].mean()) if known.any() else np.inf
    return np.where(known, distances, mean).astype(np.float32)


class _Lag(NamedTuple):
    lag: int
    """Samples: the second's place less the first's."""
    distance: float
    """Torso lengths on the whole; infinite where they never overlap for long enough."""
    chance: float
    """The median over other lags."""


def _lag(one: _Course, other: _Course) -> _Lag:
    """Return the lag at which two dances are nearest."""
    thinned = (_Course(each.poses[::SEARCH_STEP], each.seen[::SEARCH_STEP], 0.0) for each in (one, other))
    distances = _distances(*thinned)
    height, width = distances.shape
    lags = np.arange(1 - height, width)
    diagonal = (np.arange(width) - np.arange(height)[:, None] + height - 1).ravel()
    counts = np.bincount(diagonal, minlength=len(lags))
    means = np.bincount(diagonal, weights=distances.ravel(), minlength=len(lags)) / counts
    shortest = MIN_SECONDS * SAMPLES_PER_SECOND / SEARCH_STEP
    means = np.where(counts >= max(MIN_OVERLAP_SHARE * min(height, width), shortest), means, np.inf)
    best = int(means.argmin())
    others = means[np.isfinite(means) & (np.abs(lags - lags[best]) > SAMPLES_PER_SECOND / SEARCH_STEP)]
    chance = float(np.median(others)) if len(others) >= SAMPLES_PER_SECOND / SEARCH_STEP else np.nan
    return _Lag(int(lags[best]) * SEARCH_STEP, float(means[best]), chance)


def _warp(distances: FloatArray, lag: int) -> tuple[IntArray, IntArray]:
    """Return places in the first and their partners in the second, of (T, U): the cheapest way through the band around
    the lag. From one place to the next the shift changes by at most one, so that partners never go back."""
    height, width = distances.shape
    places = np.arange(max(0, -lag), min(height, width - lag))
    shifts = np.arange(-MAX_SHIFT_SAMPLES, MAX_SHIFT_SAMPLES + 1)
    partners = places[:, None] + lag + shifts
    is_there = (partners >= 0) & (partners < width)
    costs = np.where(is_there, distances[places[:, None], partners.clip(0, width - 1)], np.inf)
    total = costs[0] + SHIFT_COST * np.abs(shifts)
    came_from = np.zeros(costs.shape, np.int64)
    for step in range(1, len(places)):
        padded = np.pad(total, 1, constant_values=np.inf)
        ways = np.stack([padded[:-2] + SHIFT_COST, padded[1:-1], padded[2:] + SHIFT_COST])
        choice = ways.argmin(axis=0)
        came_from[step] = choice - 1
        total = ways[choice, np.arange(len(shifts))] + costs[step]
    path = np.zeros(len(places), np.int64)
    path[-1] = int(total.argmin())
    for step in range(len(places) - 1, 0, -1):
        path[step - 1] = path[step] + came_from[step, path[step]]
    return places, partners[np.arange(len(places)), path]


def _steady(shifts: IntArray, places: IntArray) -> Float64Array:
    """Return partners without the steps of a whole sample, still rising: a player follows them."""
    return np.maximum.accumulate(places + _means(shifts.astype(np.float64)))


def _means(values: FloatArray | Float64Array) -> Float64Array:
    """Return the mean of each value and its neighbours, without those that are NaN; NaN where it is so itself."""
    reach = NEIGHBOUR_SAMPLES // 2
    padded = np.pad(values.astype(np.float64), reach, constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1)
    known = np.isfinite(windows)
    means = np.where(known, windows, 0.0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return np.where(np.isfinite(values), means, np.nan)


def _mean_or(values: FloatArray, default: float) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else default
