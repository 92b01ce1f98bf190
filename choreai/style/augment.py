"""Variations of training windows that leave the style as it is: mirrored, another camera, body and tempo.

A few dozen dancers are few: without variations the network learns them by heart. Everything is drawn from one
generator for the whole batch, so that the result does not depend on how many workers share it.
"""

import numpy as np
import numpy.typing as npt

from choreai.motion.skeleton import MIRROR, NUM_KEYPOINTS

FloatArray = npt.NDArray[np.float32]

MAX_STRETCH = 1.2
"""Tempo: windows are played up to this much faster or slower; around what separates dancers of one song."""
MAX_SCALE = 1.15
"""Width and height each, about the hips: body proportions, and how far the camera looks down."""
MAX_ROLL_DEGREES = 6.0
"""A camera held askew."""
NOISE = 0.02
"""Of keypoints, in torso lengths: about MediaPipe's own (0.04, most of which is not noise but bias)."""
MIRROR_SHARE = 0.5


def vary(steps: FloatArray, rng: np.random.Generator) -> FloatArray:
    """A variation of each of the (W, T, 51) windows (x, y, score of each keypoint; see `Windows`)."""
    num_windows, num_steps, _ = steps.shape
    keypoints = steps.reshape(num_windows, num_steps, NUM_KEYPOINTS, 3).copy()
    mirrored = rng.random(num_windows) < MIRROR_SHARE
    keypoints[mirrored] = keypoints[mirrored][:, :, MIRROR] * np.array([-1, 1, 1], np.float32)
    keypoints = _stretched(keypoints, _around_one(rng, MAX_STRETCH, num_windows))
    xy = keypoints[..., :2] * _around_one(rng, MAX_SCALE, (num_windows, 1, 1, 2)).astype(np.float32)
    keypoints[..., :2] = np.einsum("wtkc,wdc->wtkd", xy, _rolls(rng, num_windows))
    keypoints[..., :2] += NOISE * rng.standard_normal(keypoints[..., :2].shape, np.float32)
    return keypoints.reshape(steps.shape)


def _around_one(rng: np.random.Generator, most: float, shape: int | tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Factors between 1 / most and most, as often above one as below."""
    return np.exp(rng.uniform(-np.log(most), np.log(most), shape))


def _rolls(rng: np.random.Generator, num_windows: int) -> FloatArray:
    """(W, 2, 2) rotations in the picture's plane."""
    angle = np.radians(rng.uniform(-MAX_ROLL_DEGREES, MAX_ROLL_DEGREES, num_windows))
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], 1).astype(np.float32)


def _stretched(keypoints: FloatArray, speeds: npt.NDArray[np.float64]) -> FloatArray:
    """(W, T, 17, 3) windows played at other speeds, ending where they ended; the first pose is held if need be."""
    num_steps = keypoints.shape[1]
    last = num_steps - 1
    at = np.clip(last - speeds[:, None] * (last - np.arange(num_steps)), 0, last)  # (W, T)
    before = np.floor(at).astype(np.int64)
    share = (at - before).astype(np.float32)[:, :, None, None]
    rows = np.arange(len(keypoints))[:, None]
    return (1 - share) * keypoints[rows, before] + share * keypoints[rows, np.minimum(before + 1, last)]
