"""The course of a movement over time: speed, height and tempo, for pictures."""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array
from choreai.motion.kinematics import MIN_BEAT_STRENGTH, measure_kinematics
from choreai.motion.movement import Parts
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import LEFT_SHOULDER, RIGHT_SHOULDER
from choreai.motion.trajectory import STEP_SECONDS, Samples, rate_of_change

TEMPO_SPAN_SECONDS = 6.0
TEMPO_EVERY_SECONDS = 0.5


@dataclass(frozen=True, eq=False)
class Course:
    """One track's movement over time; NaN where unknown."""

    seconds: Float64Array
    """(T,)."""
    hands_speed: Float64Array
    """(T,) torso lengths a second, the mean of both hands, relative to the shoulders."""
    feet_speed: Float64Array
    """(T,) likewise, relative to the hips."""
    hips_rise: Float64Array
    """(T,) torso lengths above their median height in the picture."""
    head_rise: Float64Array
    """(T,) likewise, above the hips' median height."""
    tempo_seconds: Float64Array
    """(B,) middles of the spans in which a tempo was looked for."""
    beats_per_minute: Float64Array
    """(B,), NaN where there is no clear beat."""


def measure_course(track: KeypointSequence) -> Course:
    """Return the course of one track's movement. Raises ValueError for a sequence of more than one track."""
    samples = Samples.from_track(track)
    body = samples.smooth_in_picture()
    parts = Parts.from_trajectory(body)
    ground = np.nanmedian(parts.hips[:, 1]) if np.isfinite(parts.hips[:, 1]).any() else np.nan
    shoulders = body.at(LEFT_SHOULDER, RIGHT_SHOULDER)[:, 1]
    middles = _tempo_middles(samples.seconds)
    return Course(
        seconds=(samples.seconds[0] if len(samples.seconds) else 0.0) + np.arange(len(body)) * STEP_SECONDS,
        hands_speed=_mean_speed(parts.hands),
        feet_speed=_mean_speed(parts.feet),
        hips_rise=ground - parts.hips[:, 1],
        head_rise=ground - (shoulders + parts.head[:, 1]),
        tempo_seconds=middles,
        beats_per_minute=np.array([_beats_per_minute(track, middle) for middle in middles], np.float64),
    )


def _mean_speed(tracks: Float64Array) -> Float64Array:
    """Return (T,) mean speeds of tracks (T, 2, 2)."""
    return np.linalg.norm(rate_of_change(tracks), axis=2).mean(axis=1)


def _tempo_middles(seconds: Float64Array) -> Float64Array:
    """Return (B,) the middles of the spans in which a tempo is looked for."""
    if len(seconds) < 2 or np.ptp(seconds) < TEMPO_SPAN_SECONDS:
        return np.array([seconds.mean()]) if len(seconds) else np.zeros(0)
    half = TEMPO_SPAN_SECONDS / 2
    return np.arange(seconds[0] + half, seconds[-1] - half + 1e-9, TEMPO_EVERY_SECONDS)


def _beats_per_minute(track: KeypointSequence, middle: float) -> float:
    inside = np.abs(track.pts_seconds.astype(np.float64) - middle) <= TEMPO_SPAN_SECONDS / 2
    measured = measure_kinematics(track.take(inside))
    return measured.beats_per_minute if measured.beat_strength >= MIN_BEAT_STRENGTH else np.nan
