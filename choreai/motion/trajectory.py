"""A track's keypoints as smooth curves on fixed time steps, from which movement is measured.

One linear problem per keypoint resamples, bridges short gaps and filters at once, so that irregular times, missing
samples and different frame rates all end in the same band of frequencies.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt

from choreai.arrays import AnyFloatArray, BoolArray, Float64Array
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, NUM_KEYPOINTS, RIGHT_HIP, RIGHT_SHOULDER

STEP_SECONDS = 1 / 30
CUTOFF_HZ = 3.0
"""Half of a movement at this frequency is left, 92 % at 2 Hz, 2 % at 6 Hz. Eight samples a second carry no
more than 4 Hz."""
MIN_SCORE = 0.2
"""Keypoints scored below this count as unseen."""
MAX_GAP_SECONDS = 0.5
"""A keypoint unseen for longer is not interpolated."""
MIN_RUN_SAMPLES = 4
MIN_RUN_SECONDS = 0.25
MAX_SPEED = 20.0
"""Torso lengths a second, about 10 m/s: a keypoint that comes and goes faster was misplaced, not moved."""
TORSO_TO_EXTENT = 0.3
"""Torso length over the extent of all keypoints (the larger of width and height) of a standing person."""
MIN_TORSO_TO_EXTENT = 0.1
"""Below this the torso is seen end-on or badly estimated, and the extent takes its place."""


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One person's keypoints at T times, STEP_SECONDS apart."""

    positions: Float64Array
    """(T, 17, D), NaN where unknown. In two dimensions x right, y down, in torso lengths."""

    def __post_init__(self) -> None:
        if self.positions.ndim != 3 or self.positions.shape[1] != NUM_KEYPOINTS:
            raise ValueError(f"positions must be (T, {NUM_KEYPOINTS}, D), got {self.positions.shape}")

    def __len__(self) -> int:
        return len(self.positions)

    def at(self, *keypoints: int) -> Float64Array:
        """Return (T, D) a keypoint, or the centre of several; NaN where any of them is."""
        return self.positions[:, list(keypoints)].mean(axis=1)


@dataclass(frozen=True, eq=False)
class Samples:
    """One track's N samples, ready to be smoothed."""

    seconds: Float64Array
    """(N,), rising."""
    keypoints_xy: Float64Array
    """(N, 17, 2) torso lengths; NaN throughout where the torso length is unknown."""
    keypoints_xyz: Float64Array | None
    """(N, 17, 3)."""
    seen: BoolArray
    """(N, 17)."""

    @classmethod
    def from_track(cls, track: KeypointSequence) -> Self:
        """Return the samples of one track; of several at the same time, the first.

        Raises ValueError for a sequence of more than one track.
        """
        if len(track.track_ids) > 1:
            raise ValueError(f"expected one track, got tracks {track.track_ids}; take one with .track(track_id)")
        seconds, rows = np.unique(track.pts_seconds.astype(np.float64), return_index=True)
        rows, seconds = rows[np.isfinite(seconds)], seconds[np.isfinite(seconds)]
        xy = track.keypoints_xy[rows].astype(np.float64)
        seen = seen_keypoints(xy, track.keypoint_scores[rows])
        xyz = None if track.keypoints_xyz is None else track.keypoints_xyz[rows].astype(np.float64)
        return cls(seconds, xy / torso_length(xy, seen), xyz, seen)

    def smooth_in_picture(self) -> Trajectory:
        """Return the movement in the picture, in torso lengths."""
        scaled = self.seen & np.isfinite(self.keypoints_xy).all(axis=2)
        return smooth_trajectory(self.seconds, self.keypoints_xy, scaled, max_speed=MAX_SPEED)

    def smooth_in_space(self) -> Trajectory | None:
        """Return the movement in space, None where the estimator has no such coordinates."""
        if self.keypoints_xyz is None:
            return None
        return smooth_trajectory(
            self.seconds, self.keypoints_xyz, self.seen & np.isfinite(self.keypoints_xyz).all(axis=2)
        )


def seen_keypoints(keypoints: AnyFloatArray, keypoint_scores: AnyFloatArray) -> BoolArray:
    """Return (N, 17) which of the keypoints (N, 17, D) count as seen, given their scores (N, 17)."""
    return np.isfinite(keypoints).all(axis=2) & (np.nan_to_num(keypoint_scores, nan=0.0) >= MIN_SCORE)


def torso_length(keypoints_xy: Float64Array, seen: BoolArray) -> float:
    """Return the median distance from shoulder centre to hip centre, pixels; NaN if unknown.

    Where the torso is not seen or too short to be true, it is 0.3 of the median extent of the seen keypoints.
    """
    masked = np.where(seen[:, :, None], keypoints_xy, np.nan)
    spread = masked[seen.any(axis=1)]
    if not len(spread):
        return np.nan
    extent = float(np.median((np.nanmax(spread, axis=1) - np.nanmin(spread, axis=1)).max(axis=1)))
    shoulders = masked[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1)
    hips = masked[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1)
    lengths = np.linalg.norm(shoulders - hips, axis=1)
    lengths = lengths[np.isfinite(lengths)]
    torso = float(np.median(lengths)) if len(lengths) >= MIN_RUN_SAMPLES else 0.0
    if torso <= MIN_TORSO_TO_EXTENT * extent:
        torso = TORSO_TO_EXTENT * extent
    return torso if torso > 0 else np.nan


def smooth_trajectory(
    seconds: Float64Array, keypoints: Float64Array, seen: BoolArray, *, max_speed: float = np.inf
) -> Trajectory:
    """Return the keypoints (N, 17, D) at rising times (N,), where `seen` (N, 17), on fixed steps from the first time
    on.

    A keypoint that moves faster than `max_speed`, in its own units a second, counts as misplaced. It is NaN in gaps
    longer than MAX_GAP_SECONDS and where too few samples are left to smooth.
    """
    num_steps = int((seconds[-1] - seconds[0]) / STEP_SECONDS + 1e-6) + 1 if len(seconds) else 0
    positions = np.full((num_steps, NUM_KEYPOINTS, keypoints.shape[2]), np.nan)
    for k in range(NUM_KEYPOINTS):
        rows = _drop_implausible(seconds, keypoints[:, k], np.flatnonzero(seen[:, k]), max_speed=max_speed)
        breaks = np.flatnonzero(np.diff(seconds[rows]) > MAX_GAP_SECONDS + STEP_SECONDS / 2) + 1
        for run in np.split(rows, breaks):
            if len(run) >= MIN_RUN_SAMPLES and np.ptp(seconds[run]) >= MIN_RUN_SECONDS:
                times = (seconds[run] - seconds[0]) / STEP_SECONDS
                first, last = int(np.ceil(times[0] - 1e-6)), int(times[-1] + 1e-6)
                curve = low_pass(times - first, keypoints[run, k], num_steps=last - first + 1, cutoff_hz=CUTOFF_HZ)
                positions[first : last + 1, k] = curve
    return Trajectory(positions)


def _drop_implausible(
    seconds: Float64Array, points: Float64Array, rows: npt.NDArray[np.intp], *, max_speed: float
) -> npt.NDArray[np.intp]:
    """Return the rows without those that are reached and left faster than anybody moves."""
    if len(rows) < 3:
        return rows
    fast = np.linalg.norm(np.diff(points[rows], axis=0), axis=1) > max_speed * np.diff(seconds[rows])
    ends = np.array([False])
    return rows[~(np.concatenate([ends, fast]) & np.concatenate([fast, ends]))]


def low_pass(times: Float64Array, points: Float64Array, *, num_steps: int, cutoff_hz: float) -> Float64Array:
    """Return (num_steps, D) the smooth curve through the `points` (N, D) at rising `times` (N,), counted in steps.

    The curve z minimises the integral of (z - points)^2 + (2 pi cutoff)^-6 z'''^2, a smoothing spline (Reinsch 1967; on
    a grid, Whittaker 1923). Its response is 1 / (1 + (f / cutoff)^6), that of a third-order Butterworth filter run
    forward and backward, at any sampling that can carry the cutoff. It has no delay and holds parabolas exactly, also
    at its ends.
    """
    cell = np.clip(np.floor(times).astype(int), 0, max(num_steps - 2, 0))
    fraction = times - cell
    # Each point stands for the time around it: the same curve whatever the frame rate.
    gaps = np.diff(times)
    weights = STEP_SECONDS * (np.append(gaps, gaps[-1]) + np.append(gaps[0], gaps)) / 2
    bands = _jerk_penalty(num_steps) * (STEP_SECONDS**-5 * (2 * np.pi * cutoff_hz) ** -6)
    np.add.at(bands[3], cell, weights * (1 - fraction) ** 2)
    np.add.at(bands[3], cell + 1, weights * fraction**2)
    np.add.at(bands[2], cell + 1, weights * fraction * (1 - fraction))
    centre = points.mean(axis=0)  # keeps digits where people stand far from the origin
    target = np.zeros((num_steps, points.shape[1]))
    np.add.at(target, cell, (weights * (1 - fraction))[:, None] * (points - centre))
    np.add.at(target, cell + 1, (weights * fraction)[:, None] * (points - centre))
    from scipy.linalg import solveh_banded  # here: scipy takes longer to load than --help may

    return solveh_banded(bands, target, check_finite=False) + centre


def _jerk_penalty(num_steps: int) -> Float64Array:
    """Return (4, num_steps) the sum of squared third differences, as upper bands for `solveh_banded`."""
    bands = np.zeros((4, num_steps))
    stencil = np.array([-1.0, 3.0, -3.0, 1.0])
    num_rows = num_steps - 3
    for i in range(4):
        for j in range(i, 4):
            bands[3 - (j - i), j : j + num_rows] += stencil[i] * stencil[j]
    return bands


def rate_of_change(curve: Float64Array) -> Float64Array:
    """Return the change per second of a curve (T, ...), by central differences; NaN where a neighbour is."""
    if len(curve) < 2:
        return np.full(curve.shape, np.nan)
    return np.gradient(curve, STEP_SECONDS, axis=0)
