"""Virtual cameras and a made-up estimator: what training sees of poses in space.

A real estimator misplaces a keypoint for a whole clip (its idea of a hip is another), lets it wander, and jitters; it
loses keypoints for a while, mistakes a limb for something else, and swaps left and right. Sizes below are shares of the
person's size in the picture, 0.01 being about 5 mm.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from choreai.lift.inputs import network_inputs
from choreai.motion.skeleton import LEFT_HIP, MIRROR, NUM_KEYPOINTS, RIGHT_HIP

ANY_SIDE_SHARE = 0.65
"""Of the sequences, seen from any side; the others roughly from the front."""
NEAREST_METRES, FURTHEST_METRES = 2.2, 9.0
BIAS, WANDERING, JITTER = 0.020, 0.018, 0.008
"""MediaPipe on generated dancers: 0.01 to 0.03, 0.01 to 0.04 and as much as that between neighbouring frames."""
ARMS_WORSE = 1.7
"""So much larger are they at elbows and wrists."""
MISTAKEN_SHARE, MISTAKE = 0.03, 0.25
SWAPPED_SHARE = 0.03
LOST_SHARE = 0.05
LEGS_CUT_SHARE, FACE_LOST_SHARE = 0.05, 0.15


@dataclass(frozen=True, eq=False)
class View:
    """What one camera sees: input and what is wanted of the network."""

    inputs: Tensor
    """(B, T, NUM_INPUTS)."""
    poses: Tensor
    """(B, T, 17, 3) hip-centred, camera axes."""


def draw_view(xyz_BTK3: Tensor, random: torch.Generator) -> View:
    """Return the view of a random camera for each sequence of upright poses, half of them mirrored."""
    num = len(xyz_BTK3)
    mirrored = torch.rand(num, generator=random) < 0.5
    swapped = xyz_BTK3[:, :, list(MIRROR)] * torch.tensor([-1.0, 1.0, 1.0])
    xyz = torch.where(mirrored[:, None, None, None], swapped, xyz_BTK3)
    xyz = xyz - _hip_centre(xyz).mean(1)[:, None, None]
    seen_axes = xyz @ _draw_turns(num, random)[:, None].transpose(-1, -2)
    poses = seen_axes - _hip_centre(seen_axes)[:, :, None]
    span = math.log(FURTHEST_METRES / NEAREST_METRES)
    distance = NEAREST_METRES * torch.exp(span * torch.rand(num, generator=random))
    aside = 0.10 * torch.randn(num, 2, generator=random) * distance[:, None]
    place = torch.cat([aside, distance[:, None]], 1)
    from_camera = seen_axes + place[:, None, None]
    xy = from_camera[..., :2] / from_camera[..., 2:].clamp_min(0.3)
    noisy, seen = disturb(xy, random)
    return View(network_inputs(noisy, seen), poses)


def disturb(xy_BTK2: Tensor, random: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return keypoints as an estimator might find them, and which of them it finds, (B, T, 17) bool."""
    num, frames = xy_BTK2.shape[:2]
    size = (xy_BTK2 - _hip_centre(xy_BTK2)[:, :, None]).square().sum(-1).mean((1, 2)).sqrt()[:, None, None, None]

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    level = torch.exp(0.6 * normal(num, 1, 1, 1)) * torch.ones(NUM_KEYPOINTS, 1)
    level[..., 7:11, :] *= ARMS_WORSE
    noise = level * (
        BIAS * normal(num, 1, NUM_KEYPOINTS, 2)
        + WANDERING * _wandering(num, frames, random)
        + JITTER * normal(num, frames, NUM_KEYPOINTS, 2)
    )
    mistaken = _spells(num, frames, MISTAKEN_SHARE, random)[..., None]
    noise = noise + mistaken * MISTAKE * normal(num, 1, NUM_KEYPOINTS, 2)
    xy = xy_BTK2 + size * noise
    is_swapped = _spells(num, frames, SWAPPED_SHARE, random)[..., :1, None]
    xy = torch.where(is_swapped, xy[:, :, list(MIRROR)], xy)
    seen = ~_spells(num, frames, LOST_SHARE, random)
    cut = torch.rand(num, generator=random) < LEGS_CUT_SHARE
    faceless = torch.rand(num, generator=random) < FACE_LOST_SHARE
    seen[..., 13:] &= ~cut[:, None, None]
    seen[..., :5] &= ~faceless[:, None, None]
    return xy, seen


def _hip_centre(points: Tensor) -> Tensor:
    return (points[..., LEFT_HIP, :] + points[..., RIGHT_HIP, :]) / 2


def _draw_turns(num: int, random: torch.Generator) -> Tensor:
    """Return (B, 3, 3) from upright axes to the camera's: first about the vertical, then pitch, then roll."""
    around = (torch.rand(num, generator=random) * 2 - 1) * math.pi
    frontal = 0.5 * torch.randn(num, generator=random)
    yaw = torch.where(torch.rand(num, generator=random) < ANY_SIDE_SHARE, around, frontal)
    pitch = 0.08 + 0.15 * torch.randn(num, generator=random)
    roll = 0.04 * torch.randn(num, generator=random)
    return _turn(2, roll) @ _turn(0, pitch) @ _turn(1, yaw)


def _turn(axis: int, angle: Tensor) -> Tensor:
    turns = torch.zeros(len(angle), 3, 3)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turns[:, axis, axis] = 1
    turns[:, first, first] = turns[:, second, second] = torch.cos(angle)
    turns[:, first, second], turns[:, second, first] = -torch.sin(angle), torch.sin(angle)
    return turns


def _wandering(num: int, frames: int, random: torch.Generator) -> Tensor:
    """Return (B, T, 17, 2) noise that changes over about half a second, of unit size."""
    keys = torch.randn(num * NUM_KEYPOINTS * 2, 1, frames // 6 + 2, generator=random)
    courses = torch.nn.functional.interpolate(keys, size=frames, mode="linear", align_corners=True)
    return 1.2 * courses.reshape(num, NUM_KEYPOINTS, 2, frames).permute(0, 3, 1, 2)


def _spells(num: int, frames: int, share: float, random: torch.Generator) -> Tensor:
    """Return (B, T, 17) bool: spells of a fifth of a second to a second that make up about this share of the time."""
    length = torch.randint(3, 16, (num, 1, NUM_KEYPOINTS), generator=random)
    begins = torch.rand(num, 1, NUM_KEYPOINTS, generator=random) * (frames / (share * 10)) - length
    time = torch.arange(frames)[None, :, None]
    return (time >= begins) & (time < begins + length)
