"""Training a lifter: every step sees other sequences, from other cameras, through another estimator's mistakes."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from choreai.arrays import FloatArray
from choreai.lift.network import NUM_CHANNELS, LifterNetwork
from choreai.lift.views import draw_view
from choreai.motion.skeleton3d import LIMBS

LEARNING_RATE = 2e-3
WARMUP_STEPS = 50
VELOCITY_WEIGHT = 1.0
LIMB_WEIGHT = 0.2
MAX_GRADIENT_NORM = 1.0
_STARTS = [pair[0] for pairs in LIMBS.values() for pair in pairs]
_STOPS = [pair[1] for pairs in LIMBS.values() for pair in pairs]


@dataclass(frozen=True)
class LifterSettings:
    """How a lifter is trained."""

    seed: int = 0
    num_steps: int = 3000
    batch_size: int = 32
    num_frames: int = 48
    """Of a sequence, 15 a second."""
    num_dancers: int = 250
    """Generated, each in every style."""
    num_random: int = 3000
    """Sequences of random articulated movement."""
    num_channels: int = NUM_CHANNELS
    num_judged: int = 20
    """Generated dancers to judge it by."""

    def __post_init__(self) -> None:
        for name in ("num_steps", "batch_size", "num_dancers", "num_random", "num_channels", "num_judged"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")
        if self.num_frames < 2:
            raise ValueError(f"num_frames must be at least 2, got {self.num_frames}")


def fit_lifter(
    bank: FloatArray, settings: LifterSettings, *, on_step: Callable[[int, float], None] | None = None
) -> LifterNetwork:
    """Return a network trained on sequences (M, T, 17, 3); `on_step` is told the step's number and its error in
    millimetres."""
    torch.manual_seed(settings.seed)
    random = torch.Generator().manual_seed(settings.seed)
    sequences = torch.from_numpy(np.ascontiguousarray(bank, np.float32))
    network = LifterNetwork(settings.num_channels).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, settings.num_steps))
    for step in range(settings.num_steps):
        rows = torch.randint(len(sequences), (settings.batch_size,), generator=random)
        view = draw_view(sequences[rows], random)
        poses = network(view.inputs)
        error = _joint_error(poses, view.poses)
        loss = error + VELOCITY_WEIGHT * _joint_error(poses.diff(dim=1), view.poses.diff(dim=1))
        loss = loss + LIMB_WEIGHT * (_limbs(poses) - _limbs(view.poses)).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        schedule.step()
        if on_step is not None:
            on_step(step, 1000 * float(error.detach()))
    return network.eval()


def _rate(step: int, num_steps: int) -> float:
    """Return the share of the learning rate: a short rise, then a cosine to nothing."""
    return min((step + 1) / WARMUP_STEPS, 0.5 + 0.5 * math.cos(math.pi * step / num_steps))


def _joint_error(poses: Tensor, wanted: Tensor) -> Tensor:
    return (poses - wanted).norm(dim=-1).mean()


def _limbs(poses: Tensor) -> Tensor:
    return (poses[..., _STARTS, :] - poses[..., _STOPS, :]).norm(dim=-1)
