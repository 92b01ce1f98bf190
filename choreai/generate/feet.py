"""Feet that stand: where an ankle is low and slow it is held in place, and the leg is bent anew to reach it."""

import numpy as np

from choreai.arrays import BoolArray, Float64Array

LEGS = ((11, 13, 15), (12, 14, 16))
STANDING_SPEED = 0.12
"""Metres a second below which a low ankle is taken to stand."""
STANDING_MARGIN = 0.025
"""Metres above the height of a standing ankle."""
MIN_FRAMES = 3
BLEND_FRAMES = 3
"""Frames before and after a stand over which the foot is led to its place and away."""
REACH = 0.998
"""A knee is never quite straight."""


def lock_feet(joints_xyz: Float64Array, *, standing_height: float, frames_per_second: float) -> Float64Array:
    """Return the joints (F, 17, 3), world metres with y up, with feet that stand where they stand.

    Hips do not move; thighs and shanks keep their lengths, and a foot out of reach comes as near as it can. No ankle is
    lower than `standing_height`, metres.
    """
    joints = joints_xyz.copy()
    for hip, knee, ankle in LEGS:
        target = joints[:, ankle].copy()
        target[:, 1] = np.maximum(target[:, 1], standing_height)
        for start, stop in _runs(stands(target, standing_height=standing_height, frames_per_second=frames_per_second)):
            _hold(target, start, stop)
        joints[:, knee], joints[:, ankle] = _reach(joints[:, hip], joints[:, knee], joints[:, ankle], target)
    return joints


def stands(ankle_xyz: Float64Array, *, standing_height: float, frames_per_second: float) -> BoolArray:
    """Return (F,) whether a foot with this ankle (F, 3) carries: it is low and slow."""
    speed = np.linalg.norm(np.gradient(ankle_xyz, axis=0)[:, [0, 2]], axis=1) * frames_per_second
    return (ankle_xyz[:, 1] < standing_height + STANDING_MARGIN) & (speed < STANDING_SPEED)


def _runs(flags: BoolArray) -> list[tuple[int, int]]:
    """Return (start, stop) of every run of MIN_FRAMES or more."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(int)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= MIN_FRAMES]


def _hold(target: Float64Array, start: int, stop: int) -> None:
    """Put the frames of a stand in their middle, and lead the frames around them there."""
    place = np.median(target[start:stop], axis=0)
    before, after = target[start] - place, target[stop - 1] - place
    target[start:stop] = place
    for away in range(1, BLEND_FRAMES + 1):
        share = 1 - away / (BLEND_FRAMES + 1)
        if start - away >= 0:
            target[start - away] -= before * share
        if stop - 1 + away < len(target):
            target[stop - 1 + away] -= after * share


def _reach(
    hip: Float64Array, knee: Float64Array, ankle: Float64Array, target: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Return knee and ankle (F, 3) of the leg that reaches for `target`, its knee bent to the side it was."""
    upper, lower = np.linalg.norm(knee - hip, axis=1), np.linalg.norm(ankle - knee, axis=1)
    line = target - hip
    span = np.linalg.norm(line, axis=1)
    direction = line / np.maximum(span, 1e-9)[:, None]
    span = np.clip(span, np.abs(upper - lower) + 0.02 * upper, REACH * (upper + lower))
    along = (upper**2 - lower**2 + span**2) / (2 * span)
    aside = np.sqrt(np.maximum(upper**2 - along**2, 0))
    bend = knee - hip
    bend -= direction * np.sum(bend * direction, axis=1, keepdims=True)
    bend /= np.maximum(np.linalg.norm(bend, axis=1, keepdims=True), 1e-9)
    return hip + along[:, None] * direction + aside[:, None] * bend, hip + span[:, None] * direction
