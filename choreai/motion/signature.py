"""Motion signatures: the pose of a video's dancer over its liveliest minute, by which copies of a video are told.

A copy may be mirrored, cropped, faster or slower, cut shorter, or compressed again: two signatures are laid over each
other at every lag, speed and side, and compared by correlation. Unlike a style model's embeddings they tell one
performance of a dance from another, and need no model.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from choreai.arrays import BoolArray, Float64Array, FloatArray, IntArray
from choreai.motion.prominence import choose_dancers, moment_prominence
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, MIRROR, RIGHT_HIP, RIGHT_SHOULDER

SAMPLES_PER_SECOND = 10.0
MAX_SAMPLES = 600
"""A minute; of a longer video the liveliest one."""
NUM_LAID = 120
"""Samples of the shorter signature, its liveliest, that are laid over the longer one."""
JOINTS = tuple(range(5, 17))
"""Shoulders to ankles, from the hip centre: the face tells where somebody looks."""
NUM_POINTS = len(JOINTS) + 1
"""And the hip centre itself, on its way through the picture: travel, jumps, and the camera's own movement."""
MIRRORED_POINTS = (*(MIRROR[joint] - JOINTS[0] for joint in JOINTS), len(JOINTS))
"""Of each point the one that takes its place in a mirror image."""
MIN_SCORE = 0.2
MAX_GAP_SECONDS = 0.3
MAX_COORDINATE = 4.0
SPEEDS = tuple(round(1.02**n, 4) for n in range(-11, 12))
"""0.80 to 1.24. Over 12 seconds 1 % of error is 0.06 s at either end."""
MIN_OVERLAP_SAMPLES = 40
MIN_OVERLAP_SHARE = 0.6
"""Of what is laid over: less would be alike by chance."""
SMOOTHED_SAMPLES = 5
"""Half a second: estimators shiver, the more so the worse the picture."""
MAX_DEVIATION = 0.6
"""Torso lengths: somebody else taken for the dancer, for a moment, must not decide."""
LIMBS_SHARE = 0.6
_LIMBS, _HIPS = slice(0, len(JOINTS)), slice(len(JOINTS), NUM_POINTS)
DRIFT_SECONDS = 5.0
"""Poses are taken around their mean over so much to either side: by it a pose held for long says nothing."""


@dataclass(frozen=True, eq=False)
class MotionSignature:
    """One video's dancer over time, T samples at SAMPLES_PER_SECOND, T at most MAX_SAMPLES."""

    poses: FloatArray
    """(T, NUM_POINTS, 2) in torso lengths: JOINTS from the hip centre, and it from its median place; 0 where unseen."""
    seen: BoolArray
    """(T, NUM_POINTS)."""
    start_seconds: float

    def mirrored(self) -> "MotionSignature":
        """Return what a mirror image of the video would give."""
        order = list(MIRRORED_POINTS)
        poses = self.poses[:, order] * np.array([-1, 1], np.float32)
        return MotionSignature(poses, self.seen[:, order], self.start_seconds)

    def liveliest(self, most: int) -> "MotionSignature":
        """Return the stretch of at most so many samples with the most movement."""
        first = _liveliest(self.poses, self.seen, most)
        kept = slice(first, first + most)
        return MotionSignature(self.poses[kept], self.seen[kept], self.start_seconds + first / SAMPLES_PER_SECOND)


@dataclass(frozen=True)
class SignatureMatch:
    """How two signatures lie over each other where they fit best."""

    correlation: float
    """-1 to 1, over all joints and samples seen in both; -1 where they never overlap long enough."""
    mirrored: bool
    speed: float
    """Of the second over the first: 1.1 where it plays a tenth faster."""
    offset_seconds: float
    """Where in the second, in its time, the first begins: negative where that was cut off."""

    def reversed(self) -> "SignatureMatch":
        """Return how the second lies over the first."""
        return SignatureMatch(self.correlation, self.mirrored, 1 / self.speed, -self.offset_seconds * self.speed)


def motion_signature(sequence: KeypointSequence, named: Collection[int] | None = None) -> MotionSignature:
    """Return the signature of the dancer, at each moment the most prominent one; T is 0 where nobody is seen."""
    times, poses, seen = dancer_poses(sequence, named)
    if len(times) < 2:
        return MotionSignature(np.zeros((0, NUM_POINTS, 2), np.float32), np.zeros((0, NUM_POINTS), np.bool_), 0.0)
    grid = np.arange(times[0], times[-1], 1 / SAMPLES_PER_SECOND)
    poses, seen = resample(times, poses, seen, grid)
    poses = smooth(poses, seen)
    return MotionSignature(poses.astype(np.float32), seen, float(grid[0])).liveliest(MAX_SAMPLES)


def dancer_poses(
    sequence: KeypointSequence, named: Collection[int] | None
) -> tuple[Float64Array, Float64Array, BoolArray]:
    """Return times (F,), poses (F, NUM_POINTS, 2) and seen (F, NUM_POINTS) of the most prominent dancer of each
    frame."""
    dancing = sequence.take(choose_dancers(sequence, named).is_main)
    order = np.lexsort((-moment_prominence(dancing), dancing.frame_index))
    _, first = np.unique(dancing.frame_index[order], return_index=True)
    found = normal_poses(dancing, order[first])
    return found.seconds, found.poses, found.seen


class NormalPoses(NamedTuple):
    """Somebody's poses over time, F frames."""

    seconds: Float64Array
    poses: Float64Array
    """(F, NUM_POINTS, 2) as in `MotionSignature`."""
    seen: BoolArray
    """(F, NUM_POINTS)."""
    hips: Float64Array
    """(F, 2) pixels, NaN where unknown."""
    torso: float
    """Pixels, the median."""


def normal_poses(sequence: KeypointSequence, rows: IntArray) -> NormalPoses:
    """Return the poses of some rows, in order of time, in torso lengths around the hip centre."""
    xy = sequence.keypoints_xy[rows].astype(np.float64)
    seen = np.isfinite(xy).all(axis=2) & (sequence.keypoint_scores[rows] >= MIN_SCORE)
    hips = xy[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1)
    shoulders = xy[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1)
    torso = np.linalg.norm(shoulders - hips, axis=1)
    scale = np.nanmedian(torso) if np.isfinite(torso).any() else np.nan
    usable = np.isfinite(torso) & (scale > 1e-6)
    way = hips - np.nanmedian(hips[usable], axis=0) if usable.any() else hips
    relative = np.concatenate([xy[:, list(JOINTS)] - hips[:, None], way[:, None]], axis=1) / scale
    sees_hips = seen[:, [LEFT_HIP, RIGHT_HIP]].all(axis=1, keepdims=True)
    seen = np.concatenate([seen[:, list(JOINTS)], sees_hips], axis=1) & usable[:, None]
    poses = np.where(seen[..., None], relative.clip(-MAX_COORDINATE, MAX_COORDINATE), 0.0)
    centres = np.where(usable[:, None], hips, np.nan)
    return NormalPoses(sequence.pts_seconds[rows].astype(np.float64), poses, seen, centres, float(scale))


def resample(
    times: Float64Array, poses: Float64Array, seen: BoolArray, grid: Float64Array
) -> tuple[Float64Array, BoolArray]:
    """Return poses and seen at the times of `grid`, linear between the frames; unseen in gaps of MAX_GAP_SECONDS."""
    after = np.searchsorted(times, grid, side="right").clip(1, len(times) - 1)
    span = times[after] - times[after - 1]
    share = ((grid - times[after - 1]) / np.maximum(span, 1e-6))[:, None, None].clip(0, 1)
    between = poses[after - 1] * (1 - share) + poses[after] * share
    both = seen[after - 1] & seen[after] & (span <= MAX_GAP_SECONDS)[:, None]
    return np.where(both[..., None], between, 0.0), both


def smooth(poses: Float64Array, seen: BoolArray) -> Float64Array:
    """Return the mean of each sample and those around it that are seen, SMOOTHED_SAMPLES in all; 0 where unseen."""
    ahead, behind = SMOOTHED_SAMPLES // 2, SMOOTHED_SAMPLES - SMOOTHED_SAMPLES // 2 - 1
    weights = np.pad(seen.astype(np.float64), ((ahead, behind), (0, 0)))
    values = np.pad(poses, ((ahead, behind), (0, 0), (0, 0)))
    sums = sum(values[shift : shift + len(poses)] for shift in range(SMOOTHED_SAMPLES))
    counts = sum(weights[shift : shift + len(poses)] for shift in range(SMOOTHED_SAMPLES))
    return np.where(seen[..., None], sums / np.maximum(counts, 1)[..., None], 0.0)


def _liveliest(poses: FloatArray, seen: BoolArray, most: int) -> int:
    """Return where the `most` samples with the most movement begin; in a copy they lie about there in the dance."""
    if len(poses) <= most:
        return 0
    both = seen[1:] & seen[:-1]
    steps = (np.linalg.norm(np.diff(poses, axis=0), axis=2) * both).sum(axis=1)
    sums = np.concatenate([[0.0], np.cumsum(np.concatenate([[0.0], steps]))])
    return int((sums[most:] - sums[:-most]).argmax())


def outline(signature: MotionSignature) -> FloatArray:
    """Return (52,) numbers that a copy nearly shares, whatever its lag, speed and cut: to choose whom to match.

    Of each coordinate the mean and the standard deviation over time, in torso lengths; NaN for joints seldom seen.
    """
    counts = signature.seen.sum(axis=0)
    known = counts >= MIN_OVERLAP_SAMPLES
    around = _around_mean(signature)
    mean = signature.poses.sum(axis=0) / np.maximum(counts, 1)[:, None]
    spread = np.sqrt((around**2).sum(axis=0) / np.maximum(counts, 1)[:, None])
    return np.where(known[:, None], np.concatenate([mean, spread], axis=1), np.nan).astype(np.float32).ravel()


class SignatureMatcher:
    """Lays one signature over others that are no shorter, at every speed and side."""

    def __init__(self, signature: MotionSignature) -> None:
        self._laid = signature.liveliest(NUM_LAID)
        self._sides = [(mirrored, speed) for mirrored in (False, True) for speed in SPEEDS]
        sides = (self._laid, self._laid.mirrored())
        self._versions = [_at_speed(sides[mirrored], speed) for mirrored, speed in self._sides]
        self._spectra: dict[int, _Spectra] = {}

    def match(self, other: MotionSignature) -> SignatureMatch:
        """Return where on the other it fits best."""
        size = next(each for each in _FFT_SIZES if each >= _LONGEST_LAID + len(other.poses))
        if size not in self._spectra:
            self._spectra[size] = _Spectra.of(self._versions, size)
        correlation = self._spectra[size].correlate(_Spectra.of([other], size), size)
        side, lag = np.unravel_index(int(correlation.argmax()), correlation.shape)
        mirrored, speed = self._sides[int(side)]
        shift = int(lag) if lag < size - _LONGEST_LAID else int(lag) - size
        offset = other.start_seconds + shift / SAMPLES_PER_SECOND - self._laid.start_seconds / speed
        return SignatureMatch(float(correlation[side, lag]), mirrored, speed, offset)


def match_signatures(one: MotionSignature, other: MotionSignature) -> SignatureMatch:
    """Return how the other lies over the one where they fit best."""
    if len(one.poses) <= len(other.poses):
        return SignatureMatcher(one).match(other)
    return SignatureMatcher(other).match(one).reversed()


_LONGEST_LAID = int(np.ceil(NUM_LAID / SPEEDS[0]))
_FFT_SIZES = (320, 480, 768)
"""Products of small primes, which are quick; each holds what is laid and what it is laid over, one behind the other."""


@dataclass(frozen=True, eq=False)
class _Spectra:
    """Spectra over time of S versions of a signature, F frequencies: of the poses around their mean, of their
    squares, and of what was seen."""

    poses: npt.NDArray[np.complex64]  # (S, F, 24)
    squares: npt.NDArray[np.complex64]  # (S, F, 12)
    seen: npt.NDArray[np.complex64]  # (S, F, 12)
    num_samples: IntArray  # (S,)

    @classmethod
    def of(cls, versions: Sequence[MotionSignature], size: int) -> "_Spectra":
        """Return the spectra of these versions, padded to `size` samples."""
        padded = np.zeros((len(versions), size, NUM_POINTS, 2), np.float32)
        seen = np.zeros((len(versions), size, NUM_POINTS), np.float32)
        for place, version in enumerate(versions):
            padded[place, : len(version.poses)] = _around_mean(version)
            seen[place, : len(version.poses)] = version.seen
        num_samples = np.array([len(version.poses) for version in versions])
        return cls(
            _spectrum(padded.reshape(*seen.shape[:2], -1)),
            _spectrum((padded**2).sum(axis=3)),
            _spectrum(seen),
            num_samples,
        )

    def correlate(self, other: "_Spectra", size: int) -> FloatArray:
        """Return (S, lags) the correlation of each version with the one of `other` that begins so much earlier.

        It is the mean of the limbs' and the hips': a few jumps through the picture, or one arm, fit by chance.
        """
        counts = np.fft.irfft((self.seen.conj() * other.seen).sum(axis=2), n=size, axis=1)
        shortest = np.minimum(self.num_samples, other.num_samples)[:, None]
        enough = counts / NUM_POINTS >= np.maximum(MIN_OVERLAP_SAMPLES, MIN_OVERLAP_SHARE * shortest)
        limbs, hips = (self._correlate(other, size, points) for points in (_LIMBS, _HIPS))
        return np.where(enough, LIMBS_SHARE * limbs + (1 - LIMBS_SHARE) * hips, -1.0).astype(np.float32)

    def _correlate(self, other: "_Spectra", size: int, points: slice) -> Float64Array:
        """Return (S, lags) the correlation of some of the points together; 0 where they do not move."""
        coordinates = slice(2 * points.start, 2 * points.stop)
        both, own, others = (
            np.fft.irfft((one.conj() * two).sum(axis=2), n=size, axis=1)
            for one, two in (
                (self.poses[..., coordinates], other.poses[..., coordinates]),
                (self.squares[..., points], other.seen[..., points]),
                (self.seen[..., points], other.squares[..., points]),
            )
        )
        energy = np.sqrt(np.maximum(own, 0) * np.maximum(others, 0))
        return np.asarray(np.where(energy > 1e-3, both / np.maximum(energy, 1e-3), 0.0))


def _spectrum(values: FloatArray) -> npt.NDArray[np.complex64]:
    """Return the spectrum of (S, size, D) over time, (S, F, D)."""
    return np.fft.rfft(values, axis=1).astype(np.complex64)


def _around_mean(signature: MotionSignature) -> FloatArray:
    """Return (T, NUM_POINTS, 2) each point around its mean over DRIFT_SECONDS to either side, clipped; 0 where it is
    unseen."""
    num = len(signature.poses)
    reach = round(DRIFT_SECONDS * SAMPLES_PER_SECOND)
    starts = np.maximum(np.arange(num) - reach, 0)
    stops = np.minimum(np.arange(num) + reach + 1, num)
    sums = np.concatenate([np.zeros((1, NUM_POINTS, 2)), np.cumsum(signature.poses, axis=0, dtype=np.float64)])
    counts = np.concatenate([np.zeros((1, NUM_POINTS), np.int64), np.cumsum(signature.seen, axis=0)])
    mean = (sums[stops] - sums[starts]) / np.maximum(counts[stops] - counts[starts], 1)[..., None]
    deviations = (signature.poses - mean).clip(-MAX_DEVIATION, MAX_DEVIATION)
    return np.where(signature.seen[..., None], deviations, 0.0).astype(np.float32)


def _at_speed(signature: MotionSignature, speed: float) -> MotionSignature:
    """Return the signature of the same video played `speed` times as fast."""
    num = len(signature.poses)
    if num < 2:
        return signature
    places = np.arange(0, num - 1 + 1e-6, speed)
    before = np.floor(places).astype(np.int64).clip(0, num - 2)
    share = (places - before)[:, None, None]
    both = signature.seen[before] & signature.seen[before + 1]
    between = signature.poses[before] * (1 - share) + signature.poses[before + 1] * share
    return MotionSignature(np.where(both[..., None], between, 0.0).astype(np.float32), both, signature.start_seconds)
