"""Bodies whose kinematics are known, and generated dancers, measured."""

from functools import cache

import numpy as np
import numpy.typing as npt
from keypoint_sequences import sequence_from

from choreai.demo.dancers import STYLES, clip_keypoints
from choreai.motion.kinematics import FEATURES, Kinematics, measure_kinematics

Array = npt.NDArray[np.float64]
TORSO = 100.0  # pixels
CLIPS = [(style, seed) for style in STYLES for seed in range(300, 308)]


def times(seconds: float, frames_per_second: float) -> Array:
    return np.arange(round(seconds * frames_per_second)) / frames_per_second


def standing(num_rows: int) -> Array:
    """(N, 17, 2) upright and still, facing the camera, arms half down; hips 1.6 torso lengths above the ankles."""
    pose = np.zeros((17, 2))
    pose[:5] = (0, -1.35)
    pose[5:11] = (0.3, -1), (-0.3, -1), (0.6, -0.7), (-0.6, -0.7), (0.9, -0.4), (-0.9, -0.4)
    pose[11:] = (0.15, 0), (-0.15, 0), (0.15, 0.8), (-0.15, 0.8), (0.15, 1.6), (-0.15, 1.6)
    return np.tile(pose * TORSO + (320, 180), (num_rows, 1, 1))


def measure(
    xy: Array, frames_per_second: float, *, scores: Array | None = None, xyz: Array | None = None
) -> Kinematics:
    seconds = np.arange(len(xy)) / frames_per_second
    return measure_kinematics(sequence_from(seconds, xy, scores=0.9 if scores is None else scores, xyz=xyz))


def numbers(kinematics: Kinematics) -> Array:
    return np.array([getattr(kinematics, feature) for feature in FEATURES])


@cache
def clip(style: str, seed: int, frames_per_second: int) -> Array:
    xy = clip_keypoints(style=style, seed=seed, duration_seconds=10, frames_per_second=frames_per_second)
    return xy.astype(np.float64)


@cache
def plain(style: str, seed: int, frames_per_second: int) -> Kinematics:
    return measure(clip(style, seed, frames_per_second), frames_per_second)
