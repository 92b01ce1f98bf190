"""Generated dancers as a camera sees them, with the truth in space beside, and a lifter of a few training steps."""

from dataclasses import dataclass

import numpy as np
from keypoint_sequences import sequence_from

from choreai.arrays import Float64Array, FloatArray
from choreai.demo.dancers import Dancer
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton3d import centred, from_y_up, turn_about_vertical

PIXELS, DISTANCE = 600.0, 4.0


@dataclass(frozen=True, eq=False)
class SeenDancer:
    """A generated dancer filmed from some side."""

    track: KeypointSequence
    xyz: Float64Array
    """(F, 17, 3) hip-centred, camera axes, metres."""


def seen_dancer(
    seed: int, *, style: str = "hiphop", degrees: float = 0.0, num_frames: int = 45, turned: FloatArray | None = None
) -> SeenDancer:
    """A dancer seen from `degrees` to their right, 15 frames a second; `turned` (F,) are radians they turn to the left
    besides."""
    world = from_y_up(Dancer(style, seed).skeleton(np.arange(num_frames) / 15).keypoints_xyz)
    angles = np.full(num_frames, np.radians(degrees)) + (0 if turned is None else turned)
    world = turn_about_vertical(world, angles)
    camera = world + np.array([0.0, 1.0, DISTANCE])
    xy = camera[..., :2] / camera[..., 2:] * PIXELS + 500
    return SeenDancer(sequence_from(np.arange(num_frames) / 15, xy), centred(camera))
