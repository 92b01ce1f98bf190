"""How a body moves: speed, acceleration, range, fluidity, rhythm, symmetry, travel and turning over a trajectory.

Lengths in torso lengths, times in seconds. Hands and head are measured from the shoulder centre, feet from the hip
centre: their own movement, whatever the body (or a panning camera) does.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from choreai.arrays import Float64Array
from choreai.motion.posture import BODY, LEFT_ANKLE, LEFT_WRIST, NOSE, RIGHT_ANKLE, RIGHT_WRIST
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from choreai.motion.smoothness import log_dimensionless_jerk, spectral_arc_length
from choreai.motion.summary import correlation_of, high_of, mean_of, range_of, ratio_of, share_of
from choreai.motion.tempo import find_tempo
from choreai.motion.trajectory import STEP_SECONDS, Trajectory, low_pass, rate_of_change

STILL_SPEED = 0.5
"""Torso lengths a second, about 25 cm/s."""
TREND_HZ = 0.5
"""Movement slower than this is travel, faster is bounce."""
MIN_TREND_SECONDS = 1.0
SMOOTHNESS_SECONDS = 2.0
"""Both measures of smoothness fall with the length of the stretch, so all stretches have this length."""
MIN_PEAK_SPEED = 0.5
"""Torso lengths a second: where nothing goes faster there is no movement whose smoothness could be measured."""
TURN_WIDTH = 0.15
"""Torso lengths of shoulder width, seen from the front or the back, before a turn counts."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The positions of the body parts, each (T, 2) and from its own origin (see the module)."""

    left_hand: Float64Array
    right_hand: Float64Array
    left_foot: Float64Array
    right_foot: Float64Array
    head: Float64Array
    hips: Float64Array  # in the picture
    whole: Float64Array  # (T, 13, 2) from the hip centre

    @classmethod
    def from_trajectory(cls, body: Trajectory) -> Self:
        """Return the parts of a trajectory in the picture."""
        shoulders, hips = body.at(LEFT_SHOULDER, RIGHT_SHOULDER), body.at(LEFT_HIP, RIGHT_HIP)
        return cls(
            left_hand=body.at(LEFT_WRIST) - shoulders,
            right_hand=body.at(RIGHT_WRIST) - shoulders,
            left_foot=body.at(LEFT_ANKLE) - hips,
            right_foot=body.at(RIGHT_ANKLE) - hips,
            head=body.at(NOSE) - shoulders,
            hips=hips,
            whole=body.positions[:, BODY] - hips[:, None],
        )

    @property
    def hands(self) -> Float64Array:
        """(T, 2, 2): left, right."""
        return np.stack([self.left_hand, self.right_hand], axis=1)

    @property
    def feet(self) -> Float64Array:
        """(T, 2, 2): left, right."""
        return np.stack([self.left_foot, self.right_foot], axis=1)


def speed_features(parts: Parts) -> dict[str, float]:
    """Return speed and acceleration of body, hands, feet, hips and head."""
    features = {}
    tracks = {"body": parts.whole, "hands": parts.hands, "feet": parts.feet, "hips": parts.hips, "head": parts.head}
    for name, track in tracks.items():
        speed, acceleration = _size(rate_of_change(track)), _size(rate_of_change(rate_of_change(track)))
        features[f"{name}_speed_mean"] = mean_of(speed)
        features[f"{name}_speed_p95"] = high_of(speed)
        features[f"{name}_acceleration_mean"] = mean_of(acceleration)
    hands = _size(rate_of_change(parts.hands))
    features["hands_acceleration_p95"] = high_of(_size(rate_of_change(rate_of_change(parts.hands))))
    features["hands_still_share"] = share_of(hands, below=STILL_SPEED)
    features["feet_still_share"] = share_of(_size(rate_of_change(parts.feet)), below=STILL_SPEED)
    features["left_hand_speed_mean"], features["right_hand_speed_mean"] = mean_of(hands[:, 0]), mean_of(hands[:, 1])
    return features


def range_features(parts: Parts) -> dict[str, float]:
    """Return how far hands, feet, head and hips move."""
    ranges = {
        name: float(np.hypot(range_of(track[:, 0]), range_of(track[:, 1])))
        for name, track in (
            ("left_hand", parts.left_hand),
            ("right_hand", parts.right_hand),
            ("left_foot", parts.left_foot),
            ("right_foot", parts.right_foot),
            ("head", parts.head),
        )
    }
    return {
        **{f"{name}_range": value for name, value in ranges.items()},
        "hands_range_ratio": ratio_of(ranges["left_hand"], ranges["right_hand"]),
        "feet_range_ratio": ratio_of(ranges["left_foot"], ranges["right_foot"]),
        "hands_mirror_correlation": _mirror_correlation(parts.left_hand, parts.right_hand),
        "feet_mirror_correlation": _mirror_correlation(parts.left_foot, parts.right_foot),
        "hips_vertical_range": range_of(parts.hips[:, 1]),
        "hips_horizontal_range": range_of(parts.hips[:, 0]),
    }


def fluidity_features(parts: Parts) -> dict[str, float]:
    """Return the smoothness of hands and feet."""
    hands = _smoothness([parts.left_hand, parts.right_hand])
    feet = _smoothness([parts.left_foot, parts.right_foot])
    return {
        "hands_spectral_arc_length": hands[0],
        "hands_log_dimensionless_jerk": hands[1],
        "feet_spectral_arc_length": feet[0],
        "feet_log_dimensionless_jerk": feet[1],
    }


def rhythm_features(body: Trajectory, parts: Parts) -> dict[str, float]:
    """Return tempo, beat strengths, bounce and symmetry."""
    hips = without_trend(parts.hips[:, 1])
    head = without_trend(body.at(NOSE)[:, 1])
    hands = without_trend(_size(rate_of_change(parts.hands)).mean(axis=1))
    feet = without_trend(_size(rate_of_change(parts.feet)).mean(axis=1))
    tempo = find_tempo([hips, head, hands, feet])
    return {
        "beats_per_minute": tempo.beats_per_minute,
        "beat_strength": tempo.strength,
        "hands_beat_strength": find_tempo([hands]).strength,
        "bounce_beat_strength": find_tempo([hips, head]).strength,
        # A sine of this height from top to bottom has the same standard deviation.
        "bounce_height": float(np.sqrt(8 * mean_of(hips**2))),
    }


def travel_features(body: Trajectory, parts: Parts) -> dict[str, float]:
    """Return travel and turning."""
    slow = np.stack([axis - without_trend(axis) for axis in parts.hips.T], axis=1)
    width = body.at(LEFT_SHOULDER)[:, 0] - body.at(RIGHT_SHOULDER)[:, 0]
    return {
        "travel_speed_mean": mean_of(_size(rate_of_change(slow))),
        "back_turned_share": share_of(width, below=0.0),
        "shoulder_width_range": range_of(width),
        "half_turns_per_second": _half_turns(width),
    }


def without_trend(values: Float64Array) -> Float64Array:
    """Return the values (T,) without what is slower than TREND_HZ; NaN where the known stretch is too short."""
    rest = np.full(len(values), np.nan)
    known = np.flatnonzero(np.isfinite(values))
    for run in np.split(known, np.flatnonzero(np.diff(known) > 1) + 1):
        if len(run) * STEP_SECONDS >= MIN_TREND_SECONDS:
            times = np.arange(len(run), dtype=np.float64)
            trend = low_pass(times, values[run, None], num_steps=len(run), cutoff_hz=TREND_HZ)
            rest[run] = values[run] - trend[:, 0]
    return rest


def _smoothness(tracks: list[Float64Array]) -> tuple[float, float]:
    """Return the mean spectral arc length and log dimensionless jerk of all known stretches of SMOOTHNESS_SECONDS."""
    size = round(SMOOTHNESS_SECONDS / STEP_SECONDS)
    found = []
    for track in tracks:
        velocity = rate_of_change(track)
        for start in range(0, len(velocity) - size + 1, size // 2):
            stretch = velocity[start : start + size]
            speed = _size(stretch)
            if np.isfinite(speed).all() and speed.max() >= MIN_PEAK_SPEED:
                arc = spectral_arc_length(speed, step_seconds=STEP_SECONDS)
                found.append((arc, log_dimensionless_jerk(stretch, step_seconds=STEP_SECONDS)))
    if not found:
        return float("nan"), float("nan")
    arc_length, jerk = np.mean(found, axis=0)
    return float(arc_length), float(jerk)


def _mirror_correlation(left: Float64Array, right: Float64Array) -> float:
    """Return 1 where the left side moves as the right one's mirror image, -1 where it does the opposite."""
    return correlation_of(rate_of_change(left) * (-1, 1), rate_of_change(right))


def _half_turns(width: Float64Array) -> float:
    """Return how often a second the left and the right shoulder change places in the picture."""
    known = width[np.isfinite(width)]
    seconds = len(known) * STEP_SECONDS
    sides = np.sign(known[np.abs(known) > TURN_WIDTH])
    return float((np.diff(sides) != 0).sum() / seconds) if seconds >= MIN_TREND_SECONDS else float("nan")


def _size(vectors: Float64Array) -> Float64Array:
    return np.linalg.norm(vectors, axis=-1)
