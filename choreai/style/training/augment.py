"""Variations of training windows that do not change the style: mirrored, other camera, body and tempo, worse
visibility.

With a few dozen dancers, a network without variations memorises them. Everything is drawn from one generator for the
whole batch, so that the result does not depend on how many workers share it.
"""

from functools import lru_cache

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray
from choreai.motion.keypoint_sets import keypoint_set
from choreai.motion.kinematics import FEATURES
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.style.examples import Inputs

MAX_STRETCH = 1.2
"""Tempo: windows are played up to this much faster or slower; around what separates dancers of one song."""
MAX_SCALE = 1.15
"""Width and height each, about the hips: body proportions, and how far the camera looks down."""
MAX_ROLL_DEGREES = 6.0
"""A camera held askew."""
MAX_TILT_DEGREES = 8.0
"""In space, sideways and forward: the estimator's depth is a guess."""
MAX_TURN_DEGREES = 20.0
"""In space, about the vertical, on top of the heading that the window was turned to."""
NOISE = 0.02
"""Of keypoints, in torso lengths: about MediaPipe's own (0.04, most of which is not noise but bias)."""
MAX_NOISE = 0.12
"""Up to this in some windows: a dancer far away, blurred or in the dark."""
NOISY_SHARE = 0.3
HIDDEN_SHARE = 0.2
"""Of the windows, those with limbs that something in the way or the picture's edge hides throughout. (Shorter gaps
are interpolated when windows are cut, and do no harm.)"""
MAX_HIDDEN_LIMBS = 2
MIRROR_SHARE = 0.5


def _other_side(name: str) -> str:
    if name.startswith("left_"):
        return name.replace("left_", "right_", 1)
    return name.replace("right_", "left_", 1) if name.startswith("right_") else name


MIRRORED_FEATURES = [FEATURES.index(_other_side(name)) for name in FEATURES]
"""`features[:, MIRRORED_FEATURES]` is of the mirrored dancer."""

LIMB_KEYPOINTS = ((0, 1, 2, 3, 4), (7, 9), (8, 10), (13, 15), (14, 16))
"""Head, arms, legs; shoulders and hips, which give the scale, are of none."""
OTHERS_OF_LIMBS = (("head_", "face_"), ("left_hand_",), ("right_hand_",), ("left_big_", "left_small_", "left_heel"),
                   ("right_big_", "right_small_", "right_heel"))  # fmt: skip
"""How the names of a larger set's keypoints begin that are of each of these limbs."""


@lru_cache
def _limbs(num_keypoints: int) -> BoolArray:
    """Return (limbs, J) which keypoints are of which limb."""
    names = keypoint_set(num_keypoints).keypoints
    return np.array(
        [
            [k in limb or (k >= NUM_KEYPOINTS and name.startswith(beginnings)) for k, name in enumerate(names)]
            for limb, beginnings in zip(LIMB_KEYPOINTS, OTHERS_OF_LIMBS, strict=True)
        ]
    )


def vary(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    """Return a variation of each of the windows.

    Of the kinematic features, which cover more than the window, only left and right change.
    """
    num_windows = len(inputs)
    mirrored = rng.random(num_windows) < MIRROR_SHARE
    steps, xyz = (_mirror(_by_keypoint(array), mirrored) for array in (inputs.steps, inputs.xyz))
    speeds = _draw_around_one(rng, MAX_STRETCH, num_windows)
    steps, xyz = _stretch(steps, speeds), _stretch(xyz, speeds)
    steps[_before_start(speeds, steps.shape[1])] *= np.array([1, 1, 0], np.float32)  # a held pose was not seen
    steps[..., :2] *= _draw_around_one(rng, MAX_SCALE, (num_windows, 1, 1, 2)).astype(np.float32)
    steps[..., :2] = _rotate(steps[..., :2], _draw_rotations(rng, num_windows, 0, 1, MAX_ROLL_DEGREES)[:, :2, :2])
    xyz *= _draw_around_one(rng, MAX_SCALE, (num_windows, 1, 1, 3)).astype(np.float32)
    for first, second, degrees in ((0, 1, MAX_TILT_DEGREES), (1, 2, MAX_TILT_DEGREES), (0, 2, MAX_TURN_DEGREES)):
        xyz = _rotate(xyz, _draw_rotations(rng, num_windows, first, second, degrees))
    known = inputs.xyz.any(axis=(1, 2))  # zeros stand for an estimator without a third dimension
    noise = np.where(rng.random(num_windows) < NOISY_SHARE, rng.uniform(NOISE, MAX_NOISE, num_windows), NOISE)
    noise = noise.astype(np.float32)[:, None, None, None]
    steps[..., :2] += noise * rng.standard_normal(steps[..., :2].shape, np.float32)
    xyz += noise * rng.standard_normal(xyz.shape, np.float32) * known[:, None, None, None]
    shown = ~_draw_hidden(rng, num_windows, num_keypoints=steps.shape[2])[:, None, :, None]
    steps, xyz = steps * shown, xyz * shown[:, :, :NUM_KEYPOINTS]  # what was never seen is at the origin, score 0
    features = inputs.kinematic_features
    features = np.where(mirrored[:, None], features[:, MIRRORED_FEATURES], features)
    return Inputs(steps.reshape(inputs.steps.shape), xyz.reshape(inputs.xyz.shape), features)


def _by_keypoint(array: FloatArray) -> FloatArray:
    return array.reshape(*array.shape[:2], array.shape[2] // 3, 3)


def _mirror(keypoints: FloatArray, which: BoolArray) -> FloatArray:
    """Return (W, T, J, 3) with left and right swapped in some windows; x is the first coordinate."""
    keypoints = keypoints.copy()
    mirror = keypoint_set(keypoints.shape[2]).mirror
    keypoints[which] = keypoints[which][:, :, mirror] * np.array([-1, 1, 1], np.float32)
    return keypoints


def _draw_hidden(rng: np.random.Generator, num_windows: int, *, num_keypoints: int) -> BoolArray:
    """Return (W, J) the keypoints of one limb or more, in some windows."""
    some = rng.random(num_windows) < HIDDEN_SHARE
    num_limbs = some * rng.integers(1, MAX_HIDDEN_LIMBS + 1, num_windows)
    limbs = _limbs(num_keypoints)
    order = rng.random((num_windows, len(limbs))).argsort(axis=1)
    return (order < num_limbs[:, None]) @ limbs


def _draw_around_one(rng: np.random.Generator, most: float, shape: int | tuple[int, ...]) -> Float64Array:
    """Return factors between 1 / most and most, as often above one as below."""
    return np.exp(rng.uniform(-np.log(most), np.log(most), shape))


def _draw_rotations(rng: np.random.Generator, num_windows: int, first: int, second: int, most: float) -> FloatArray:
    """Return (W, 3, 3) rotations by up to `most` degrees, in the plane of two of the three axes."""
    angle = np.radians(rng.uniform(-most, most, num_windows))
    rotations = np.tile(np.eye(3, dtype=np.float32), (num_windows, 1, 1))
    rotations[:, first, first] = rotations[:, second, second] = np.cos(angle)
    rotations[:, first, second], rotations[:, second, first] = -np.sin(angle), np.sin(angle)
    return rotations


def _rotate(keypoints: FloatArray, rotations: FloatArray) -> FloatArray:
    return keypoints @ rotations.transpose(0, 2, 1)[:, None]


def _stretch(keypoints: FloatArray, speeds: Float64Array) -> FloatArray:
    """Return (W, T, J, 3) windows played at other speeds with the same end; the first pose is held if need be."""
    last = keypoints.shape[1] - 1
    at = np.clip(_positions(speeds, last + 1), 0, last)
    before = np.floor(at).astype(np.int64)
    share = (at - before).astype(np.float32)[:, :, None, None]
    rows = np.arange(len(keypoints))[:, None]
    return (1 - share) * keypoints[rows, before] + share * keypoints[rows, np.minimum(before + 1, last)]


def _before_start(speeds: Float64Array, num_steps: int) -> BoolArray:
    """Return (W, T) whether a stretched step lies before the window."""
    return _positions(speeds, num_steps) < -0.5


def _positions(speeds: Float64Array, num_steps: int) -> Float64Array:
    """Return (W, T) the step of the original window that each step of the stretched one shows."""
    last = float(num_steps - 1)
    return last - speeds[:, None] * (last - np.arange(num_steps))
