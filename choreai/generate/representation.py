"""A movement as numbers a network can learn: where each bone points, how the hips travel, and how the body turns.

World axes are those of the generated dancers (`choreai.demo.body`): metres, x to the right of the screen, y up, z
towards the camera, the floor at y = 0. A frame is NUM_FEATURES numbers: BONES' unit vectors in the heading frame (y up,
z where hips and shoulders face), the hips' height, their velocity along the heading frame's x and z, and the rate of
turning. Lengths are in body heights, so that one network serves bodies of every size, and bones keep their length.
"""

from dataclasses import dataclass

import numpy as np
import torch

from choreai.arrays import Float64Array, FloatArray
from choreai.generate.plan import FRAMES_PER_SECOND

BONES = (
    "hips", "spine", "shoulders", "head", "face",
    "left_upper_arm", "right_upper_arm", "left_forearm", "right_forearm",
    "left_thigh", "right_thigh", "left_shank", "right_shank",
)  # fmt: skip
"""`hips` and `shoulders` point from right to left, `head` from the shoulders' middle to the ears', `face` from there to
the nose; all others away from the trunk."""
NUM_BONES = len(BONES)
HEIGHT, VELOCITY, TURN = 3 * NUM_BONES, slice(3 * NUM_BONES + 1, 3 * NUM_BONES + 3), 3 * NUM_BONES + 3
NUM_FEATURES = 3 * NUM_BONES + 4
_LIMBS = ((5, 7), (6, 8), (7, 9), (8, 10), (11, 13), (12, 14), (13, 15), (14, 16))
LEFT_ANKLE, RIGHT_ANKLE = 15, 16


@dataclass(frozen=True)
class Proportions:
    """Lengths of the bones in body heights; by default the mean of generated dancers' (Drillis and Contini, 1966)."""

    hips: float = 0.105
    spine: float = 0.275
    shoulders: float = 0.210
    head: float = 0.140
    face: float = 0.069
    upper_arm: float = 0.169
    forearm: float = 0.1475
    thigh: float = 0.247
    shank: float = 0.238
    ankle: float = 0.045
    """Height of the ankle of a foot that stands."""

    def lengths(self) -> FloatArray:
        """Return (NUM_BONES,) in BONES' order."""
        pairs = (self.upper_arm, self.forearm, self.thigh, self.shank)
        return np.array([self.hips, self.spine, self.shoulders, self.head, self.face, *np.repeat(pairs, 2)], np.float32)


def encode(joints_xyz: Float64Array, *, height: float, frames_per_second: float = FRAMES_PER_SECOND) -> FloatArray:
    """Return the features (F, NUM_FEATURES) of a body's COCO-17 joints (F, 17, 3), world metres, of a person `height`
    metres tall.

    The last frame's velocities repeat the one before. Raises ValueError for fewer than two frames, or joints that are
    not finite.
    """
    if len(joints_xyz) < 2 or not np.isfinite(joints_xyz).all():
        raise ValueError("a movement needs two frames or more of finite joints")
    joints = np.asarray(joints_xyz, np.float64) / height
    yaw = heading(joints)
    root = joints[:, 11:13].mean(1)
    directions = np.einsum("fij,fbj->fbi", _turn(-yaw), _bone_vectors(joints))
    directions /= np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), 1e-9)
    moved = np.diff(root, axis=0, append=root[-1:] * 2 - root[-2:-1]) * frames_per_second
    velocity = np.einsum("fij,fj->fi", _turn(-yaw), moved)[:, [0, 2]]
    rate = np.diff(yaw, append=yaw[-1] * 2 - yaw[-2]) * frames_per_second
    features = [directions.reshape(len(joints), -1), root[:, 1:2], velocity, rate[:, None]]
    return np.concatenate(features, 1).astype(np.float32)


def heading(joints_xyz: Float64Array) -> Float64Array:
    """Return the yaw (F,) in radians, unwrapped: 0 faces +z, and turning to one's left is positive."""
    across = joints_xyz[:, 11] - joints_xyz[:, 12] + joints_xyz[:, 5] - joints_xyz[:, 6]
    return np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))


def decode(
    features: FloatArray,
    *,
    height: float,
    proportions: Proportions | None = None,
    start_xz: tuple[float, float] = (0.0, 0.0),
    start_yaw: float = 0.0,
    frames_per_second: float = FRAMES_PER_SECOND,
) -> Float64Array:
    """Return the joints (F, 17, 3), world metres, that move as `features` (F, NUM_FEATURES) say."""
    lengths = torch.from_numpy((proportions or Proportions()).lengths())
    joints = joints_of(torch.from_numpy(np.ascontiguousarray(features))[None], lengths, frames_per_second)[0]
    xyz = joints.numpy().astype(np.float64) @ _turn(np.array([start_yaw]))[0].T * height
    return xyz + np.array([start_xz[0], 0.0, start_xz[1]])


def joints_of(features: torch.Tensor, lengths: torch.Tensor, frames_per_second: float) -> torch.Tensor:
    """Return the joints (B, F, 17, 3) in body heights of `features` (B, F, NUM_FEATURES), from x = z = 0 and yaw 0 on;
    differentiable, for losses on what the body does."""
    bones = features[..., :HEIGHT].unflatten(-1, (NUM_BONES, 3))
    bones = bones / bones.norm(dim=-1, keepdim=True).clamp_min(1e-6) * lengths[:, None]
    yaw = _before(features[..., TURN]) / frames_per_second
    cos, sin = yaw.cos(), yaw.sin()
    velocity = features[..., VELOCITY]
    across, along = velocity.unbind(-1)
    moved = torch.stack([cos * across + sin * along, cos * along - sin * across], -1)
    place = _before(moved.transpose(1, 2)).transpose(1, 2) / frames_per_second
    root = torch.stack([place[..., 0], features[..., HEIGHT], place[..., 1]], -1)
    x, y, z = bones.unbind(-1)
    turned = torch.stack([cos[..., None] * x + sin[..., None] * z, y, cos[..., None] * z - sin[..., None] * x], -1)
    return root[..., None, :] + _from_root(turned)


def _before(steps: torch.Tensor) -> torch.Tensor:
    """Return the sum of all steps (..., F) before each."""
    return torch.nn.functional.pad(steps.cumsum(-1)[..., :-1], (1, 0))


def _from_root(bones: torch.Tensor) -> torch.Tensor:
    """Return the joints (..., 17, 3) from the hips' middle."""
    hips, spine, shoulders, head, face, *limbs = bones.unbind(-2)
    left_shoulder, right_shoulder = spine + shoulders / 2, spine - shoulders / 2
    ears = spine + head
    nose = ears + face
    side = torch.linalg.cross(head, face)
    side = side / side.norm(dim=-1, keepdim=True).clamp_min(1e-6) * face.norm(dim=-1, keepdim=True)
    up = head / head.norm(dim=-1, keepdim=True).clamp_min(1e-6) * face.norm(dim=-1, keepdim=True)
    eyes = ears + 0.85 * face + 0.3 * up
    elbows, knees = (left_shoulder + limbs[0], right_shoulder + limbs[1]), (hips / 2 + limbs[4], limbs[5] - hips / 2)
    return torch.stack(
        [
            nose, eyes + 0.27 * side, eyes - 0.27 * side, ears + 0.66 * side, ears - 0.66 * side,
            left_shoulder, right_shoulder, *elbows, elbows[0] + limbs[2], elbows[1] + limbs[3],
            hips / 2, -hips / 2, *knees, knees[0] + limbs[6], knees[1] + limbs[7],
        ],
        -2,
    )  # fmt: skip


def _bone_vectors(joints: Float64Array) -> Float64Array:
    """Return the bones (F, NUM_BONES, 3) of joints (F, 17, 3)."""
    root, neck, ears = joints[:, 11:13].mean(1), joints[:, 5:7].mean(1), joints[:, 3:5].mean(1)
    trunk = [joints[:, 11] - joints[:, 12], neck - root, joints[:, 5] - joints[:, 6], ears - neck, joints[:, 0] - ears]
    return np.stack([*trunk, *(joints[:, end] - joints[:, start] for start, end in _LIMBS)], 1)


def _turn(yaw: Float64Array) -> Float64Array:
    """Return rotations (F, 3, 3) about y by `yaw` (F,)."""
    cos, sin, none = np.cos(yaw), np.sin(yaw), np.zeros_like(yaw)
    rows = [[cos, none, sin], [none, none + 1, none], [-sin, none, cos]]
    return np.stack([np.stack(row, -1) for row in rows], -2)
