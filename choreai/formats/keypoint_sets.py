"""The keypoint sets of other programs that do not begin with COCO's 17, by COCO's names, and where the 17 are in them.

Those that begin with them are in `choreai.motion.keypoint_sets`.
"""

from collections.abc import Sequence

import numpy as np

from choreai.arrays import AnyFloatArray, Float64Array
from choreai.motion.keypoint_sets import KEYPOINT_SETS
from choreai.motion.skeleton import KEYPOINT_NAMES, NUM_KEYPOINTS

_RIGHT_AND_LEFT_ARM = (
    "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
_RIGHT_AND_LEFT_LEG = ("right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle")
_HEAD = ("right_eye", "left_eye", "right_ear", "left_ear")
_FEET = (
    "left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip

OPENPOSE_18 = ("nose", "neck", *_RIGHT_AND_LEFT_ARM, *_RIGHT_AND_LEFT_LEG, *_HEAD)
"""OpenPose's COCO model, of its first releases, and what AlphaPose writes with `--format open`."""
BODY_25 = ("nose", "neck", *_RIGHT_AND_LEFT_ARM, "mid_hip", *_RIGHT_AND_LEFT_LEG, *_HEAD, *_FEET)
"""OpenPose's own model."""

BLAZEPOSE_33 = (
    "nose",
    "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""MediaPipe's landmarks, as its own `PoseLandmark` names them."""

COCO_FIRST = tuple(sorted(KEYPOINT_SETS))
"""Sizes of sets whose first 17 are COCO's: COCO, Halpe-26 and -68, COCO-WholeBody, Halpe-136."""


def pick_coco(points: AnyFloatArray, names: Sequence[str]) -> Float64Array:
    """Return (17, C) of (J, C) points that are named so; NaN for a keypoint that is not among the names."""
    picked = np.full((NUM_KEYPOINTS, points.shape[1]), np.nan)
    for k, name in enumerate(KEYPOINT_NAMES):
        if name in names:
            picked[k] = points[names.index(name)]
    return picked


def others_of_set(points: AnyFloatArray) -> AnyFloatArray | None:
    """Return the keypoints after COCO's 17 of (J, 3) points of a set that begins with them; None if there are none."""
    is_larger = len(points) in COCO_FIRST and len(points) > NUM_KEYPOINTS
    return points[NUM_KEYPOINTS:] if is_larger else None


def names_of_set(num_keypoints: int) -> Sequence[str] | None:
    """Return the names of COCO's keypoints in a set that begins with them; None for any other number."""
    return KEYPOINT_NAMES if num_keypoints in COCO_FIRST else None
