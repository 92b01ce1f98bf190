"""Crowd signatures: everybody's movement in short windows, by which copies of a video with many people are told.

Of a crowd an estimator takes other people in each copy, and loses and finds them again, so that no person can be
followed through both. But at nearly every moment somebody is seen in both: windows of 1.6 seconds of one person are
compared, and those that are alike must agree on one lag, one speed, one side and one place in the picture
(`choreai.motion.crowd_match`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray, IntArray
from choreai.motion.sequence import KeypointSequence
from choreai.motion.signature import (
    JOINTS,
    MIRRORED_POINTS,
    NUM_POINTS,
    SAMPLES_PER_SECOND,
    normal_poses,
    resample,
    smooth,
)

WINDOW_SAMPLES = 16
"""A crowd's tracks seldom last for longer than a few seconds."""
OWN_HOP, LAID_HOP = 2, 8
"""Samples between the windows that are searched, and between those that are searched for."""
NUM_COSINES = 6
"""Of each coordinate's course over a window: up to 2 Hz."""
MAX_DEVIATION = 0.8
"""Torso lengths from the window's mean: a keypoint on somebody else must not decide."""
MIN_MOVEMENT = 0.06
"""Torso lengths, root mean square: who stands still is like everybody who stands still."""
MIN_SEEN_SHARE = 0.6
MAX_WINDOWS = 1000
"""Of a long video those of its liveliest stretch that has so many: a minute and a half of a crowd."""
SPEEDS = (0.83, 0.91, 1.0, 1.1, 1.21)
"""Steps of a tenth: over one window 5 % are 0.04 s at either end, and over the video the line is fitted."""


@dataclass(frozen=True, eq=False)
class MotionWindows:
    """Windows of WINDOW_SAMPLES of a video's people: W of them, of those who move and are seen."""

    courses: FloatArray
    """(W, NUM_POINTS * 2 * NUM_COSINES) of length 1: how each point moves around its mean."""
    starts: FloatArray
    """(W,) samples from the video's beginning."""
    places: FloatArray
    """(W, 2) pixels: the middle of the joints."""
    spreads: FloatArray
    """(W,) pixels: their root mean square distance from it."""
    poses: FloatArray
    """(W, joints * 2) the mean pose in torso lengths from the hip centre; 0 where unseen."""
    known: FloatArray
    """(W, joints * 2) 1 where a joint is seen, else 0."""

    def __len__(self) -> int:
        return len(self.starts)

    def take(self, rows: IntArray | BoolArray | slice) -> "MotionWindows":
        """Return some of the windows."""
        return MotionWindows(*(values[rows] for values in vars(self).values()))

    def mirrored(self) -> "MotionWindows":
        """Return the windows of the video's mirror image, with its picture's left edge at the right."""
        joints = MIRRORED_POINTS[:-1]
        return replace(
            self,
            courses=_flipped(self.courses, MIRRORED_POINTS, NUM_COSINES),
            places=self.places * np.array([-1, 1], np.float32),
            poses=_flipped(self.poses, joints, 1),
            known=self.known.reshape(len(self), len(joints), 2)[:, joints].reshape(self.known.shape),
        )

    @classmethod
    def joined(cls, parts: Sequence["MotionWindows"]) -> "MotionWindows":
        """Return the windows of all parts, one behind the other."""
        if not parts:
            sizes = ((0, NUM_POINTS * 2 * NUM_COSINES), (0,), (0, 2), (0,), (0, 2 * len(JOINTS)), (0, 2 * len(JOINTS)))
            return cls(*(np.zeros(size, np.float32) for size in sizes))
        return cls(*(np.concatenate(values) for values in zip(*(vars(part).values() for part in parts), strict=True)))


@dataclass(frozen=True, eq=False)
class _Track:
    """One person's poses on the samples of the video's clock."""

    first: float
    """Sample."""
    poses: Float64Array
    """(T, NUM_POINTS, 2) torso lengths, as in `MotionSignature`."""
    seen: BoolArray
    """(T, NUM_POINTS)."""
    centres: Float64Array
    """(T, 2) pixels."""
    torso: float
    """Pixels."""

    def at_speed(self, speed: float) -> "_Track":
        """Return the same person where the video is played `speed` times as fast."""
        if speed == 1:
            return self
        places = np.arange(0, len(self.poses) - 1 + 1e-6, speed)
        before = np.floor(places).astype(np.int64).clip(0, len(self.poses) - 2)
        share = (places - before)[:, None]
        both = self.seen[before] & self.seen[before + 1]
        poses = self.poses[before] * (1 - share[..., None]) + self.poses[before + 1] * share[..., None]
        centres = self.centres[before] * (1 - share) + self.centres[before + 1] * share
        return replace(
            self, first=self.first / speed, poses=np.where(both[..., None], poses, 0.0), seen=both, centres=centres
        )


@dataclass(frozen=True, eq=False)
class CrowdSignature:
    """Everybody's movement in one video."""

    own: MotionWindows
    """Each OWN_HOP, at the video's own speed."""
    seconds: float
    """When the last one is seen."""
    _tracks: tuple[_Track, ...]

    def at_speed(self, speed: float) -> MotionWindows:
        """Return the windows, each LAID_HOP, of the same stretch where the video is played `speed` times as fast."""
        windows = _windows(self._tracks, speed, LAID_HOP)
        if not len(self.own):
            return windows
        starts = windows.starts * speed
        return windows.take((starts >= self.own.starts.min()) & (starts <= self.own.starts.max()))


def crowd_signature(sequence: KeypointSequence) -> CrowdSignature:
    """Return the signature of everybody in a video; without windows where nobody moves for long enough."""
    tracks = tuple(_tracks(sequence))
    own = _liveliest(_windows(tracks, 1.0, OWN_HOP), MAX_WINDOWS * LAID_HOP // OWN_HOP)
    return CrowdSignature(own, float(sequence.pts_seconds.max(initial=0)), tracks)


def _tracks(sequence: KeypointSequence) -> Iterator[_Track]:
    for _, rows in sequence.tracks():
        times, poses, seen, centres, torso = normal_poses(rows, np.arange(len(rows)))
        if len(times) < 2 or times[-1] - times[0] < (WINDOW_SAMPLES - 1) / SAMPLES_PER_SECOND:
            continue
        first = np.ceil(times[0] * SAMPLES_PER_SECOND - 1e-3)
        grid = np.arange(first, times[-1] * SAMPLES_PER_SECOND + 1e-3) / SAMPLES_PER_SECOND
        sampled, sees = resample(times, poses, seen, grid)
        usable = np.isfinite(centres).all(axis=1)
        if not usable.any():
            continue
        way = np.stack([np.interp(grid, times[usable], centres[usable, axis]) for axis in (0, 1)], axis=1)
        yield _Track(float(first), smooth(sampled, sees), sees, way, torso)


def _windows(tracks: Sequence[_Track], speed: float, hop: int) -> MotionWindows:
    """Return the windows, `hop` samples apart, of a video that is played `speed` times as fast."""
    moved = [track for track in (track.at_speed(speed) for track in tracks) if len(track.poses) >= WINDOW_SAMPLES]
    if not moved:
        return MotionWindows.joined([])
    begins = [np.arange(0, len(track.poses) - WINDOW_SAMPLES + 1, hop) for track in moved]
    before = np.cumsum([0, *(len(track.poses) for track in moved[:-1])])
    rows = np.concatenate([one + first for one, first in zip(begins, before, strict=True)])
    rows = rows[:, None] + np.arange(WINDOW_SAMPLES)
    return _cut(
        np.concatenate([track.poses for track in moved]).astype(np.float32)[rows],
        np.concatenate([track.seen for track in moved])[rows],
        starts=np.concatenate([one + track.first for one, track in zip(begins, moved, strict=True)]),
        centres=np.concatenate([track.centres for track in moved])[rows].mean(axis=1),
        torsos=np.repeat([track.torso for track in moved], [len(one) for one in begins]),
    )


def _cut(
    poses: FloatArray, seen: BoolArray, *, starts: Float64Array, centres: Float64Array, torsos: Float64Array
) -> MotionWindows:
    """Return of W windows, poses (W, samples, NUM_POINTS, 2), those of people who move and are seen."""
    counts = seen.sum(axis=1, dtype=np.float32)
    mean = poses.sum(axis=1) / np.maximum(counts, 1)[..., None]
    around = (poses - mean[:, None]).clip(-MAX_DEVIATION, MAX_DEVIATION) * seen[..., None]
    movement = np.sqrt((around**2).sum(axis=(1, 2, 3)) / np.maximum(counts.sum(axis=1), 1))
    kept = (counts.mean(axis=1) >= MIN_SEEN_SHARE * WINDOW_SAMPLES) & (movement >= MIN_MOVEMENT)
    courses = np.einsum("wspx,sc->wpxc", around[kept], _COSINES, optimize=True).reshape(
        int(kept.sum()), NUM_POINTS * 2 * NUM_COSINES
    )
    courses /= np.linalg.norm(courses, axis=1, keepdims=True) + 1e-9
    joints, known = mean[kept, :-1], counts[kept, :-1, None] > 0
    num = np.maximum(known.sum(axis=1), 1)
    middle = joints.sum(axis=1) / num
    spread = np.sqrt((np.where(known, joints - middle[:, None], 0) ** 2).sum(axis=(1, 2)) / num[:, 0] + 1e-6)
    arrays = (
        courses,
        starts[kept],
        centres[kept] + middle * torsos[kept, None],
        spread * torsos[kept],
        joints.reshape(len(joints), 2 * len(JOINTS)),
        np.repeat(known, 2, axis=2).reshape(len(joints), 2 * len(JOINTS)),
    )
    return MotionWindows(*(values.astype(np.float32) for values in arrays))


def _liveliest(windows: MotionWindows, most: int) -> MotionWindows:
    """Return the `most` windows that follow each other in the least time: there most people move."""
    if len(windows) <= most:
        return windows
    order = np.argsort(windows.starts, kind="stable")
    spans = windows.starts[order][most:] - windows.starts[order][:-most]
    first = int(spans.argmin())
    return windows.take(np.sort(order[first : first + most]))


def _flipped(values: FloatArray, order: Sequence[int], num_each: int) -> FloatArray:
    """Return (W, points * 2 * num_each) with left and right points changed, and x turned round."""
    parts = values.reshape(len(values), len(order), 2, num_each)[:, list(order)]
    return np.asarray((parts * np.array([-1, 1], np.float32)[:, None]).reshape(values.shape))


_COSINES = np.stack(
    [np.cos(np.pi * n * (np.arange(WINDOW_SAMPLES) + 0.5) / WINDOW_SAMPLES) for n in range(1, NUM_COSINES + 1)], axis=1
).astype(np.float32)
