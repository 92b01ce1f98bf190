"""Kinematics: one dancer's movement in numbers that a person can read and a model can learn from.

The first half of an explanation (`reasons` is the second). Lengths are in torso lengths (shoulder centre to hip centre,
the median over the samples), times in seconds, angles in degrees, shares in [0, 1]; all of it in the picture plane.
Movements are followed up to 3 Hz (see `trajectory`): 4 samples a second show less than 8, and 30 no more.
"""

from dataclasses import asdict, dataclass, fields

import numpy as np

from choreai.motion import movement, posture
from choreai.motion.sequence import KeypointSequence
from choreai.motion.trajectory import Samples

MIN_BEAT_STRENGTH = 0.15
"""Below it `beats_per_minute` is unreliable: the noise of a person standing still reaches 0.12."""


@dataclass(frozen=True)
class Kinematics:
    """The movement of one track, or of a span of it; NaN where a value is missing.

    A mean or a `_p95` (95th percentile) of several keypoints is over all of their steps; a `_range` is from the 5th to
    the 95th percentile. Hands and head move relative to the shoulder centre, feet relative to the hip centre, the
    body's 13 keypoints (nose, and all below the head) likewise; hips move in the picture.
    """

    seconds: float
    """From the first sample to the last."""
    seen_share: float
    """Of the samples' keypoints, those scored well enough to be used."""

    # Speed, torso lengths a second, and acceleration, torso lengths a second squared.
    body_speed_mean: float
    body_speed_p95: float
    body_acceleration_mean: float
    hands_speed_mean: float
    hands_speed_p95: float
    hands_acceleration_mean: float
    hands_acceleration_p95: float
    feet_speed_mean: float
    feet_speed_p95: float
    feet_acceleration_mean: float
    hips_speed_mean: float
    hips_speed_p95: float
    hips_acceleration_mean: float
    head_speed_mean: float
    head_speed_p95: float
    head_acceleration_mean: float
    left_hand_speed_mean: float
    right_hand_speed_mean: float
    hands_still_share: float
    """Of the time, per hand, slower than half a torso length a second."""
    feet_still_share: float

    # Amplitude, torso lengths.
    left_hand_range: float
    """Diagonal of the box that holds the movement, here and below."""
    right_hand_range: float
    left_foot_range: float
    right_foot_range: float
    head_range: float
    hips_vertical_range: float
    hips_horizontal_range: float
    reach_mean: float
    """Distance of the hands from the shoulder centre."""
    reach_p95: float
    width_mean: float
    height_mean: float
    expansion_mean: float
    """Root mean square distance of the body's keypoints from their centre."""
    expansion_range: float
    stance_width_mean: float
    """Between the ankles, sideways."""

    # Fluidity: both measures fall, away from zero, as a movement gets jerkier (see `smoothness`). Means over
    # stretches of two seconds in which something moves; jerk is that of the velocity vector.
    hands_spectral_arc_length: float
    hands_log_dimensionless_jerk: float
    feet_spectral_arc_length: float
    feet_log_dimensionless_jerk: float

    # Rhythm (see `tempo`): of hip and head height and of the speed of hands and feet together, then of some alone.
    beats_per_minute: float
    """In [80, 160), its half and its double counted as the same; unreliable where `beat_strength` is below 0.15
    (the noise of a person standing still reaches 0.12)."""
    beat_strength: float
    hands_beat_strength: float
    bounce_beat_strength: float
    bounce_height: float
    """Top to bottom of the hips' movement faster than 0.5 Hz, torso lengths, as of a sine."""

    # Symmetry.
    hands_mirror_correlation: float
    """Of the velocities: 1 where one hand mirrors the other, -1 where it does the opposite."""
    feet_mirror_correlation: float
    hands_range_ratio: float
    """The smaller range over the larger."""
    feet_range_ratio: float

    # Angles, degrees: 180 is straight; torso lean is 0 upright. In space where the estimator has depth, else in the
    # picture, where limbs that point at the camera look bent: values of the two kinds do not compare.
    left_elbow_degrees_mean: float
    left_elbow_degrees_range: float
    right_elbow_degrees_mean: float
    right_elbow_degrees_range: float
    left_knee_degrees_mean: float
    left_knee_degrees_range: float
    right_knee_degrees_mean: float
    right_knee_degrees_range: float
    left_hip_degrees_mean: float
    left_hip_degrees_range: float
    right_hip_degrees_mean: float
    right_hip_degrees_range: float
    torso_lean_degrees_mean: float
    torso_lean_degrees_range: float
    bent_elbows_share: float
    """Of the time, per elbow, below 140 degrees."""
    bent_knees_share: float

    # Ground and levels: heights above the lower ankle in the picture, torso lengths.
    hips_height_mean: float
    head_height_mean: float
    low_hips_share: float
    """Of the time, hips less than a torso length above the lower ankle; standing, they are 1.7."""
    upside_down_share: float
    """Of the time, head below the hips."""
    hands_up_share: float
    """Of the time, per hand, above the shoulders."""
    hands_down_share: float
    """Of the time, per hand, at the level of the feet."""
    feet_contact_share: float
    """Of the time, per foot, still in the picture and about as low as the other."""

    # Travel and turning.
    travel_speed_mean: float
    """Of the hips' movement slower than 0.5 Hz, torso lengths a second; a moving camera counts too."""
    back_turned_share: float
    """Of the time, left shoulder left of the right one in the picture."""
    shoulder_width_range: float
    """Of the width between the shoulders as the picture shows it, negative from behind: a proxy for turning."""
    half_turns_per_second: float

    def row(self) -> dict[str, float | None]:
        """Return the values by field, for a table: None in place of NaN."""
        return {name: None if np.isnan(value) else float(value) for name, value in asdict(self).items()}


FEATURES: tuple[str, ...] = tuple(
    field.name for field in fields(Kinematics) if field.name not in ("seconds", "seen_share")
)
"""The fields that describe the movement, and not how much of it was seen."""


def measure_kinematics(track: KeypointSequence) -> Kinematics:
    """Return the kinematics of one track, or of a span of it: `measure_kinematics(track.between(10.0, 25.0))`.

    Values that are not finite count as unseen; `keypoints_xyz` may be in any unit. Without a torso length every feature
    is NaN. Raises ValueError for a sequence of more than one track.
    """
    samples = Samples.from_track(track)
    body = samples.smooth_in_picture()
    in_space = samples.smooth_in_space()
    shape = body if in_space is None else in_space
    parts = movement.Parts.from_trajectory(body)
    return Kinematics(
        seconds=float(np.ptp(samples.seconds)) if len(samples.seconds) else 0.0,
        seen_share=float(samples.seen.mean()) if samples.seen.size else 0.0,
        **movement.speed_features(parts),
        **movement.range_features(parts),
        **movement.fluidity_features(parts),
        **movement.rhythm_features(body, parts),
        **movement.travel_features(body, parts),
        **posture.angle_features(shape),
        **posture.height_features(body),
        **posture.extent_features(body),
    )
