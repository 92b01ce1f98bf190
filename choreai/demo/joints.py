"""A body around joints that come from elsewhere: a generated dance, motion capture, a pose lifted from a video.

The surface of the generated dancers is attached to any COCO-17 joints. What they do not say, hands, toes and how the
back bends, follows from what they do.
"""

from dataclasses import replace

import numpy as np

from choreai.arrays import Float64Array
from choreai.demo.body import (
    BALL_OF_FOOT,
    FACE_KEYPOINTS,
    SIDES,
    WAIST_LEVEL,
    Body,
    Bone,
    Skeleton,
    aim_bone,
    rotation,
    spine_bones,
    unit,
)

MAX_TOES_DOWN = 0.9
"""Radians by which a raised heel lets the toes hang."""
_UP = np.array([0.0, 1.0, 0.0])
_LEGS = ((11, 13, 15), (12, 14, 16))
_ARMS = ((5, 7, 9), (6, 8, 10))


def body_of_joints(joints_xyz: Float64Array, rng: np.random.Generator) -> Body:
    """Return a random adult with the lengths of joints (F, 17, 3), metres."""

    def length(*pairs: tuple[int, int]) -> float:
        return float(np.median([np.linalg.norm(joints_xyz[:, a] - joints_xyz[:, b], axis=1) for a, b in pairs]))

    drawn = Body.draw(rng)
    thigh, shank = length((11, 13), (12, 14)), length((13, 15), (14, 16))
    height = (thigh + shank) / 0.485  # the legs' share of the height, the mean of `Body.draw`
    return replace(
        drawn,
        height=height,
        thigh=thigh,
        shank=shank,
        ankle_height=0.045 * height,
        half_hips=max(length((11, 12)) / 2, 0.04 * height),
        torso=float(np.median(np.linalg.norm(joints_xyz[:, 5:7].mean(1) - joints_xyz[:, 11:13].mean(1), axis=1))),
        half_shoulders=max(length((5, 6)) / 2, 0.08 * height),
        upper_arm=length((5, 7), (6, 8)),
        forearm=length((7, 9), (8, 10)),
        neck=drawn.neck / drawn.height * height,
    )


def skeleton_of_joints(body: Body, joints_xyz: Float64Array) -> Skeleton:
    """Return the skeleton of `body` with its joints at `joints_xyz` (F, 17, 3), world metres with y up and the floor at
    y = 0."""
    root, neck, ears = joints_xyz[:, 11:13].mean(1), joints_xyz[:, 5:7].mean(1), joints_xyz[:, 3:5].mean(1)
    spine = neck - root
    pelvis = Bone(root, _axes(joints_xyz[:, 11] - joints_xyz[:, 12], spine))
    chest = Bone(neck, _axes(joints_xyz[:, 5] - joints_xyz[:, 6], spine))
    half_bent = _orthonormal(pelvis.axes + chest.axes)
    bones = spine_bones(body, pelvis, root + WAIST_LEVEL * spine, half_bent, chest)
    bones |= _head(body, chest, ears, joints_xyz[:, 0] - ears, joints_xyz[:, 3] - joints_xyz[:, 4])
    for side, arm, leg in zip(SIDES, _ARMS, _LEGS, strict=True):
        bones |= {f"{side}_{part}": bone for part, bone in _arm(joints_xyz, arm, chest).items()}
        bones |= {f"{side}_{part}": bone for part, bone in _leg(body, joints_xyz, leg, pelvis).items()}
    return Skeleton(joints_xyz, bones)


def _axes(across: Float64Array, upward: Float64Array) -> Float64Array:
    """Return axes (F, 3, 3) whose x runs along `across` and whose y is as near to `upward` as possible."""
    x = unit(across)
    z = unit(np.cross(x, upward))
    return np.stack([x, np.cross(z, x), z], -1)


def _orthonormal(axes: Float64Array) -> Float64Array:
    return _axes(axes[..., 0], axes[..., 1])


def _head(body: Body, chest: Bone, ears: Float64Array, face: Float64Array, across: Float64Array) -> dict[str, Bone]:
    """Return neck and head: the face looks where the nose is, a little above the line from ears to nose."""
    x = unit(across)
    forward = unit(face - x * np.sum(face * x, axis=-1, keepdims=True))
    axes = np.stack([x, np.cross(forward, x), forward], -1)
    middle = ears - axes @ (FACE_KEYPOINTS[3:].mean(0) * body.head_radii)
    base = chest.point([0, 0.030 * body.height, -0.008 * body.height])
    top = middle - axes @ (np.array([0, 0.6, 0.15]) * body.head_radii)
    return {"neck": aim_bone(base, top - base, chest.axes[..., 2]), "head": Bone(middle, axes)}


def _arm(joints: Float64Array, arm: tuple[int, int, int], chest: Bone) -> dict[str, Bone]:
    shoulder, elbow, wrist = (joints[:, joint] for joint in arm)
    bend = _bend(shoulder, elbow, wrist, -chest.axes[..., 2])
    return {
        "shoulder": aim_bone(shoulder, shoulder - chest.origin, chest.axes[..., 2]),
        "upper_arm": aim_bone(shoulder, elbow - shoulder, bend),
        "forearm": aim_bone(elbow, wrist - elbow, bend),
    }


def _leg(body: Body, joints: Float64Array, leg: tuple[int, int, int], pelvis: Bone) -> dict[str, Bone]:
    hip, knee, ankle = (joints[:, joint] for joint in leg)
    bend = _bend(hip, knee, ankle, pelvis.axes[..., 2])
    flat = unit((pelvis.axes[..., 2] + bend) * (1 - _UP))
    facing = np.arctan2(flat[:, 0], flat[:, 2])
    raised = (ankle[:, 1] - body.ankle_height) / (BALL_OF_FOOT * body.height)
    down = np.clip(raised, 0, np.sin(MAX_TOES_DOWN))
    foot = rotation(np.stack([facing, np.arcsin(down), np.zeros_like(facing)], -1))
    return {
        "thigh": aim_bone(hip, knee - hip, foot[..., 2]),
        "shank": aim_bone(knee, ankle - knee, foot[..., 2]),
        "foot": Bone(ankle, foot),
    }


def _bend(start: Float64Array, middle: Float64Array, end: Float64Array, otherwise: Float64Array) -> Float64Array:
    """Return the unit vector (F, 3) to the side where the limb is bent; near `otherwise` where it is straight."""
    line = unit(end - start)
    aside = middle - start
    aside = aside - line * np.sum(aside * line, axis=-1, keepdims=True)
    return unit(aside + 0.02 * otherwise)
