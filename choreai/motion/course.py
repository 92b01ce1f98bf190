"""The course of a movement: how fast, how high and at which tempo, moment by moment. For pictures."""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import AnyFloatArray, Float64Array
from choreai.motion.kinematics import MIN_BEAT_STRENGTH, measure_kinematics
from choreai.motion.movement import Parts
from choreai.motion.skeleton import LEFT_SHOULDER, RIGHT_SHOULDER
from choreai.motion.trajectory import (
    MAX_SPEED,
    STEP_SECONDS,
    rate_of_change,
    seen_keypoints,
    smooth_trajectory,
    torso_length,
)

TEMPO_SPAN_SECONDS = 6.0
TEMPO_EVERY_SECONDS = 0.5


@dataclass(frozen=True, eq=False)
class Course:
    """One track moment by moment, NaN where unknown."""

    seconds: Float64Array
    """(T,)."""
    hands_speed: Float64Array
    """(T,) torso lengths a second, of both hands' mean, relative to the shoulders."""
    feet_speed: Float64Array
    """(T,) likewise, relative to the hips."""
    hips_rise: Float64Array
    """(T,) torso lengths above their median height in the picture."""
    head_rise: Float64Array
    """(T,) likewise, above the hips' median height."""
    tempo_seconds: Float64Array
    """(B,) the middles of the spans in which a tempo was looked for."""
    beats_per_minute: Float64Array
    """(B,), NaN where there is no clear beat."""


def course_of(
    pts_seconds: AnyFloatArray,
    *,
    keypoints_xy: AnyFloatArray,
    keypoint_scores: AnyFloatArray,
    keypoints_xyz: AnyFloatArray | None = None,
) -> Course:
    """The course of one track's N samples; arrays as `measure_kinematics` takes them."""
    seconds, rows = np.unique(np.asarray(pts_seconds, np.float64), return_index=True)
    xy, scores = keypoints_xy[rows].astype(np.float64), keypoint_scores[rows]
    seen = seen_keypoints(xy, scores)
    torso = torso_length(xy, seen)
    body = smooth_trajectory(seconds, xy / torso, seen & np.isfinite(torso), max_speed=MAX_SPEED)
    parts = Parts.of(body)
    ground = np.nanmedian(parts.hips[:, 1]) if np.isfinite(parts.hips[:, 1]).any() else np.nan
    shoulders = body.at(LEFT_SHOULDER, RIGHT_SHOULDER)[:, 1]
    xyz = None if keypoints_xyz is None else keypoints_xyz[rows]
    middles = _middles(seconds)
    beats = [_tempo(seconds, xy, scores, xyz, middle) for middle in middles]
    return Course(
        seconds=(seconds[0] if len(seconds) else 0.0) + np.arange(len(body)) * STEP_SECONDS,
        hands_speed=_speed(parts.hands),
        feet_speed=_speed(parts.feet),
        hips_rise=ground - parts.hips[:, 1],
        head_rise=ground - (shoulders + parts.head[:, 1]),
        tempo_seconds=middles,
        beats_per_minute=np.array(beats, np.float64),
    )


def _speed(tracks: Float64Array) -> Float64Array:
    """(T,) the mean speed of (T, 2, 2)."""
    return np.linalg.norm(rate_of_change(tracks), axis=2).mean(axis=1)


def _middles(seconds: Float64Array) -> Float64Array:
    if len(seconds) < 2 or np.ptp(seconds) < TEMPO_SPAN_SECONDS:
        return np.array([seconds.mean()]) if len(seconds) else np.zeros(0)
    half = TEMPO_SPAN_SECONDS / 2
    return np.arange(seconds[0] + half, seconds[-1] - half + 1e-9, TEMPO_EVERY_SECONDS)


def _tempo(
    seconds: Float64Array, xy: Float64Array, scores: AnyFloatArray, xyz: AnyFloatArray | None, middle: float
) -> float:
    inside = np.abs(seconds - middle) <= TEMPO_SPAN_SECONDS / 2
    measured = measure_kinematics(
        seconds[inside],
        keypoints_xy=xy[inside],
        keypoint_scores=scores[inside],
        keypoints_xyz=None if xyz is None else xyz[inside],
    )
    return measured.beats_per_minute if measured.beat_strength >= MIN_BEAT_STRENGTH else np.nan
