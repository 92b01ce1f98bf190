"""Random movement of random bodies: joints that turn within human limits, from standing to lying and upside down.

It has no style and no sense; it fills the space of poses between those of generated dancers and of motion capture.
All N sequences of T frames are made at once, in upright camera axes (`choreai.motion.skeleton3d`).
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array
from choreai.demo.body import FACE_KEYPOINTS, rotation
from choreai.motion.skeleton3d import STANDARD_HEIGHT, STANDARD_SIZE, BodyLengths

FRAMES_PER_SECOND = 15.0
_STANDING, _BENT, _ANYHOW = 0.65, 0.15, 0.20
"""Shares of the sequences: upright, bent over or low, and in any orientation."""
_FACE = np.asarray(FACE_KEYPOINTS) * np.array([0.046, 0.066, 0.056]) * STANDARD_HEIGHT
"""(5, 3) nose, eyes and ears from the middle of the head, y up."""


def draw_lengths(rng: np.random.Generator) -> BodyLengths:
    """Return the lengths of a random body of standard size: proportions vary somewhat more than among adults."""
    height = STANDARD_HEIGHT
    leg = rng.uniform(0.455, 0.515) * height
    thigh = rng.uniform(0.49, 0.53)
    lengths = BodyLengths(
        hips=rng.uniform(0.085, 0.125) * height,
        shoulders=rng.uniform(0.175, 0.245) * height,
        torso=rng.uniform(0.265, 0.315) * height,
        neck=rng.uniform(0.095, 0.135) * height,
        head=rng.uniform(0.080, 0.102) * height,
        upper_arm=rng.uniform(0.150, 0.188) * height,
        forearm=rng.uniform(0.132, 0.160) * height,
        thigh=thigh * leg,
        shank=(1 - thigh) * leg,
    )
    return lengths.scaled(STANDARD_SIZE / lengths.size)


@dataclass(frozen=True, eq=False)
class _Angles:
    """Joint angles in radians, (N, T, ...)."""

    whole: Float64Array  # (N, T, 3) yaw, pitch, roll of the pelvis
    chest: Float64Array  # (N, T, 3) relative to the pelvis
    head: Float64Array  # (N, T, 3) relative to the chest
    arms: Float64Array  # (N, T, 2, 3) flexion, abduction, twist
    elbows: Float64Array  # (N, T, 2)
    legs: Float64Array  # (N, T, 2, 3)
    knees: Float64Array  # (N, T, 2)


def draw_movement(rng: np.random.Generator, *, num_sequences: int, num_frames: int) -> Float64Array:
    """Return (N, T, 17, 3) metres, the lowest joint of each sequence near y = 0 but for jumps."""
    angles = _draw_angles(rng, num_sequences, num_frames)
    lengths = [draw_lengths(rng) for _ in range(num_sequences)]
    xyz = _pose(angles, lengths)
    drift = _course(rng, num_sequences, num_frames, np.array([0.25, 0.10, 0.25]))
    lowest = xyz[..., 1].min(axis=2)
    floor = _smooth(lowest)
    moved = np.stack([drift[..., 0], np.maximum(drift[..., 1], 0) - floor, drift[..., 2]], -1)
    return (xyz + moved[:, :, None]) * np.array([1.0, -1.0, -1.0])


def _draw_angles(rng: np.random.Generator, num: int, frames: int) -> _Angles:
    kind = rng.choice(3, num, p=[_STANDING, _BENT, _ANYHOW])
    lively = rng.uniform(0.3, 1.0, (num, 1, 1))

    def course(spread: list[float], home: list[float]) -> Float64Array:
        still = rng.normal(0, 1, (num, 1, len(home))) * np.asarray(home)
        return still + lively * _course(rng, num, frames, np.asarray(spread))

    tilt = np.select([kind == 0, kind == 1], [0.15, 0.8], 0.0)[:, None, None]
    whole = course([0.5, 0.15, 0.12], [0, 0, 0])
    whole[..., 1:] += tilt * rng.normal(0, 1, (num, 1, 2)) * np.array([1.0, 0.4])
    whole[..., 1:] += np.where(kind == 2, 1.0, 0.0)[:, None, None] * rng.uniform(-np.pi, np.pi, (num, 1, 2))
    spins = rng.random(num) < 0.2
    whole[..., 0] += np.linspace(0, 1, frames) * (spins * rng.normal(0, 4.0, num))[:, None]

    arms = np.stack([course([0.8, 0.5, 0.6], [0.7, 0.4, 0.6]) for _ in range(2)], 2)
    arms = np.clip(arms + np.array([0.6, 0.5, 0.0]), [-1.0, -0.4, -1.5], [3.0, 2.6, 1.5])
    elbows = np.clip(np.stack([course([0.7], [0.6])[..., 0] for _ in range(2)], 2) + 0.9, 0.02, 2.6)

    standing = (kind == 0)[:, None, None]
    crouch = np.abs(rng.normal(0, 0.35, (num, 1))) + np.abs(_course(rng, num, frames, np.array([0.25]))[..., 0])
    crouch = np.where(kind[:, None] == 0, crouch, np.abs(rng.normal(0.4, 0.6, (num, 1))))
    legs, knees = [], []
    for _ in range(2):
        free = course([0.5, 0.3, 0.3], [0.5, 0.3, 0.3])
        bound = course([0.22, 0.12, 0.15], [0.10, 0.08, 0.25])
        leg = np.where(standing, bound, free) + np.array([0.0, 0.12, 0.0])
        leg[..., 0] += crouch
        lift = np.abs(course([0.35], [0.1])[..., 0]) * np.where(kind[:, None] == 0, 0.7, 1.5)
        legs.append(np.clip(leg, [-0.6, -0.4, -0.8], [2.1, 1.1, 0.8]))
        knees.append(np.clip(2 * crouch + lift, 0.02, 2.5))
    return _Angles(
        whole=whole,
        chest=course([0.18, 0.20, 0.15], [0.2, 0.2, 0.12]),
        head=course([0.25, 0.2, 0.12], [0.25, 0.2, 0.1]),
        arms=arms,
        elbows=elbows,
        legs=np.stack(legs, 2),
        knees=np.stack(knees, 2),
    )


def _pose(angles: _Angles, lengths: list[BodyLengths]) -> Float64Array:
    """Return (N, T, 17, 3), y up, facing +z, the hip centre at the origin."""

    def per_body(name: str) -> Float64Array:
        return np.array([getattr(each, name) for each in lengths])[:, None]

    pelvis = rotation(angles.whole)
    half = pelvis @ rotation(angles.chest / 2)
    chest = pelvis @ rotation(angles.chest)
    head = chest @ rotation(angles.head)
    torso = 0.42 * pelvis[..., 1] + 0.58 * (half + chest)[..., 1] / 2
    shoulders = torso * per_body("torso")[..., None]
    xyz = np.zeros((*angles.whole.shape[:2], 17, 3))
    ears = shoulders + (0.6 * chest[..., 1] + 0.4 * head[..., 1] + 0.12 * head[..., 2]) * per_body("neck")[..., None]
    face = _FACE - _FACE[3:].mean(0)
    size = per_body("head")[..., None, None] / np.linalg.norm(_FACE[3] - _FACE[4])
    xyz[:, :, :5] = ears[:, :, None] + np.einsum("ntij,kj->ntki", head, face) * size
    for side, sign in enumerate((1.0, -1.0)):
        xyz[:, :, 5 + side] = shoulders + sign * chest[..., 0] * per_body("shoulders")[..., None] / 2
        xyz[:, :, 11 + side] = sign * pelvis[..., 0] * per_body("hips")[..., None] / 2
        arm = chest @ _limb_axes(angles.arms[:, :, side], sign)
        leg = pelvis @ _limb_axes(angles.legs[:, :, side], sign)
        forearm = arm @ _flex(-angles.elbows[:, :, side])
        shank = leg @ _flex(angles.knees[:, :, side])
        for start, axes, name in (
            (5, arm, "upper_arm"),
            (7, forearm, "forearm"),
            (11, leg, "thigh"),
            (13, shank, "shank"),
        ):
            xyz[:, :, start + 2 + side] = xyz[:, :, start + side] - axes[..., 1] * per_body(name)[..., None]
    return xyz


def _limb_axes(angles: Float64Array, sign: float) -> Float64Array:
    """Return (N, T, 3, 3) axes of a limb that hangs along -y at rest: flexion forward, abduction outward, twist."""
    flexion, abduction, twist = np.moveaxis(angles, -1, 0)
    zero = np.zeros_like(twist)
    aside = rotation(np.stack([zero, zero, sign * abduction], -1))
    return aside @ _flex(-flexion) @ rotation(np.stack([sign * twist, zero, zero], -1))


def _flex(angle: Float64Array) -> Float64Array:
    """Return (N, T, 3, 3) turns about x: what hangs along -y goes forward for a negative angle."""
    zero = np.zeros_like(angle)
    return rotation(np.stack([zero, angle, zero], -1))


def _course(rng: np.random.Generator, num: int, frames: int, spread: Float64Array) -> Float64Array:
    """Return (N, T, P) smooth random curves around 0: one random value every 0.25 to 1 s, and cosines between."""
    spacing = rng.uniform(0.25, 1.0, num) * FRAMES_PER_SECOND
    num_keys = int(np.ceil(frames / (0.25 * FRAMES_PER_SECOND))) + 3
    keys = rng.normal(0, 1, (num, num_keys, len(spread)))
    place = (np.arange(frames) + rng.uniform(0, 1, (num, 1)) * spacing[:, None]) / spacing[:, None]
    before = np.floor(place).astype(int)
    share = (0.5 - 0.5 * np.cos(np.pi * (place - before)))[..., None]
    rows = np.arange(num)[:, None]
    return (keys[rows, before] * (1 - share) + keys[rows, before + 1] * share) * spread


def _smooth(values: Float64Array) -> Float64Array:
    """Return (N, T) running means over about a second."""
    width = min(15, values.shape[1])
    padded = np.pad(values, ((0, 0), (width // 2, width - 1 - width // 2)), mode="edge")
    sums = np.cumsum(np.pad(padded, ((0, 0), (1, 0))), axis=1)
    return (sums[:, width:] - sums[:, :-width]) / width
