"""The shapes a body takes: angles, heights, reach and extent, as statistics over a trajectory.

All lengths in torso lengths, all angles in degrees; "range" is from the 5th to the 95th percentile over time.
"""

import numpy as np

from choreai.arrays import Float64Array
from choreai.motion.skeleton import KEYPOINT_NAMES, LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from choreai.motion.summary import high_of, mean_of, range_of, share_of
from choreai.motion.trajectory import Trajectory, rate_of_change

NOSE = KEYPOINT_NAMES.index("nose")
LEFT_ELBOW, RIGHT_ELBOW = KEYPOINT_NAMES.index("left_elbow"), KEYPOINT_NAMES.index("right_elbow")
LEFT_WRIST, RIGHT_WRIST = KEYPOINT_NAMES.index("left_wrist"), KEYPOINT_NAMES.index("right_wrist")
LEFT_KNEE, RIGHT_KNEE = KEYPOINT_NAMES.index("left_knee"), KEYPOINT_NAMES.index("right_knee")
LEFT_ANKLE, RIGHT_ANKLE = KEYPOINT_NAMES.index("left_ankle"), KEYPOINT_NAMES.index("right_ankle")
BODY = (NOSE, *range(LEFT_SHOULDER, RIGHT_ANKLE + 1))
"""One keypoint for the head, and all below it."""

BENT_DEGREES = 140.0
LOW_HIPS = 1.0
"""Hips less than a torso above the feet. Standing, they are 1.7: hip 0.530, shoulder 0.818, ankle 0.039 of the body
height (Drillis & Contini 1966, in Winter, "Biomechanics and Motor Control of Human Movement")."""
SAME_LEVEL = 0.25
PLANTED_SPEED = 0.5
"""Torso lengths a second, about 25 cm/s."""
MIN_BODY_KEYPOINTS = 10
"""Of the 13, for an extent."""

_CORNERS = {
    "left_elbow": (LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST),
    "right_elbow": (RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST),
    "left_knee": (LEFT_HIP, LEFT_KNEE, LEFT_ANKLE),
    "right_knee": (RIGHT_HIP, RIGHT_KNEE, RIGHT_ANKLE),
    "left_hip": (LEFT_SHOULDER, LEFT_HIP, LEFT_KNEE),
    "right_hip": (RIGHT_SHOULDER, RIGHT_HIP, RIGHT_KNEE),
}


def angle_features(body: Trajectory) -> dict[str, float]:
    """Return joint angles and lean of a trajectory in the picture or in space (D = 2 or 3, y down)."""
    features = {}
    angles = {name: _angle(body.at(a) - body.at(b), body.at(c) - body.at(b)) for name, (a, b, c) in _CORNERS.items()}
    for name, angle in angles.items():
        features[f"{name}_degrees_mean"] = mean_of(angle)
        features[f"{name}_degrees_range"] = range_of(angle)
    spine = body.at(LEFT_SHOULDER, RIGHT_SHOULDER) - body.at(LEFT_HIP, RIGHT_HIP)
    up = np.zeros_like(spine)
    up[:, 1] = -1
    lean = _angle(spine, up)
    features["torso_lean_degrees_mean"] = mean_of(lean)
    features["torso_lean_degrees_range"] = range_of(lean)
    features["bent_elbows_share"] = share_of(_pair(angles, "elbow"), below=BENT_DEGREES)
    features["bent_knees_share"] = share_of(_pair(angles, "knee"), below=BENT_DEGREES)
    return features


def height_features(body: Trajectory) -> dict[str, float]:
    """Return the heights of hips, head and hands above the lower foot, and how firmly the feet stand."""
    hips = body.at(LEFT_HIP, RIGHT_HIP)[:, 1]
    ankles = body.positions[:, [LEFT_ANKLE, RIGHT_ANKLE], 1]
    floor = ankles.max(axis=1)
    wrists = body.positions[:, [LEFT_WRIST, RIGHT_WRIST], 1]
    shoulders = body.at(LEFT_SHOULDER, RIGHT_SHOULDER)[:, 1]
    return {
        "hips_height_mean": mean_of(floor - hips),
        "low_hips_share": share_of(floor - hips, below=LOW_HIPS),
        "head_height_mean": mean_of(floor - body.at(NOSE)[:, 1]),
        "upside_down_share": share_of(hips - body.at(NOSE)[:, 1], below=0.0),
        "hands_up_share": share_of(wrists - shoulders[:, None], below=0.0),
        "hands_down_share": share_of(floor[:, None] - wrists, below=SAME_LEVEL),
        "feet_contact_share": share_of(_unsteadiness(body, ankles, floor), below=1.0),
    }


def extent_features(body: Trajectory) -> dict[str, float]:
    """Return how much room the body takes."""
    shoulders = body.at(LEFT_SHOULDER, RIGHT_SHOULDER)
    reach = np.stack([np.linalg.norm(body.at(w) - shoulders, axis=1) for w in (LEFT_WRIST, RIGHT_WRIST)])
    points = body.positions[:, BODY]
    known = np.isfinite(points[:, :, 0])
    points = points[known.sum(axis=1) >= MIN_BODY_KEYPOINTS]
    if len(points):
        size = np.nanmax(points, axis=1) - np.nanmin(points, axis=1)
        centre = np.nanmean(points, axis=1, keepdims=True)
        expansion = np.sqrt(np.nanmean(((points - centre) ** 2).sum(axis=2), axis=1))
    else:
        size, expansion = np.zeros((0, 2)), np.zeros(0)
    return {
        "reach_mean": mean_of(reach),
        "reach_p95": high_of(reach),
        "width_mean": mean_of(size[:, 0]),
        "height_mean": mean_of(size[:, 1]),
        "expansion_mean": mean_of(expansion),
        "expansion_range": range_of(expansion),
        "stance_width_mean": mean_of(np.abs(body.at(LEFT_ANKLE)[:, 0] - body.at(RIGHT_ANKLE)[:, 0])),
    }


def _unsteadiness(body: Trajectory, ankles: Float64Array, floor: Float64Array) -> Float64Array:
    """Return (T, 2), below 1 where a foot hardly moves and is about as low as the other."""
    speed = np.linalg.norm(rate_of_change(body.positions[:, [LEFT_ANKLE, RIGHT_ANKLE]]), axis=2)
    return np.maximum(speed / PLANTED_SPEED, (floor[:, None] - ankles) / SAME_LEVEL)


def _pair(angles: dict[str, Float64Array], name: str) -> Float64Array:
    return np.stack([angles[f"left_{name}"], angles[f"right_{name}"]])


def _angle(first: Float64Array, second: Float64Array) -> Float64Array:
    """Return (T,) degrees between two directions (T, D); NaN where one has no length."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine = (first * second).sum(axis=1) / np.where(lengths > 0, lengths, np.nan)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
