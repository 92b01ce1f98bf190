"""Noise and its removal: the schedule, the loss of training, and the sampler.

Denoising diffusion (Ho and others, 2020) with the cosine schedule (Nichol and Dhariwal, 2021), a network that guesses
x0, deterministic sampling (DDIM, Song and others, 2021) and guidance without a classifier (Ho and Salimans, 2022).
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from choreai.generate.network import Denoiser
from choreai.generate.plan import FRAMES_PER_SECOND, GUIDANCE, NUM_STEPS
from choreai.generate.representation import LEFT_ANKLE, RIGHT_ANKLE, Proportions, joints_of

DROP_CONDITION = 0.1
"""Share of windows that are learned without style and beat, for guidance."""
FOOT_WEIGHT, SPEED_WEIGHT = 0.5, 1.0
CONTACT_SPEED = 0.06
"""Body heights a second below which a low ankle counts as standing."""
CONTACT_HEIGHT = 0.09
"""Body heights: an ankle lower than this may stand."""
SMOOTHING = (1 / 16, 4 / 16, 6 / 16, 4 / 16, 1 / 16)
_OFFSET = 0.008


@dataclass(frozen=True, eq=False)
class Condition:
    """What a window should be: by frame."""

    style: torch.Tensor
    """(B, F) indices."""
    beat: torch.Tensor
    """(B, F, BEAT_FEATURES)."""
    known: torch.Tensor
    """(B, F, NUM_FEATURES) normalised features."""
    is_known: torch.Tensor
    """(B, F) bool."""


def kept(step: torch.Tensor) -> torch.Tensor:
    """Return the share of the signal's variance, in (0, 1], that is left at `step` in [0, 1]."""
    angle = (step + _OFFSET) / (1 + _OFFSET) * math.pi / 2
    return (angle.cos() / math.cos(_OFFSET / (1 + _OFFSET) * math.pi / 2)).square().clamp(1e-5, 1.0)


def training_loss(
    network: nn.Module,
    clean: torch.Tensor,
    condition: Condition,
    *,
    no_style: int,
    scale: Callable[[torch.Tensor], torch.Tensor],
    generator: torch.Generator,
) -> torch.Tensor:
    """Return the loss of a batch `clean` (B, F, NUM_FEATURES), normalised; `scale` undoes that.

    Squared errors of the movement and of its change from frame to frame, where nothing is known, and the squared speed
    of feet that stand: a body whose feet slide is seen at once, however small the error.
    """
    batch = len(clean)
    step = torch.rand(batch, generator=generator)
    left = kept(step)[:, None, None]
    noise = torch.randn(clean.shape, generator=generator)
    dropped = torch.rand(batch, 1, generator=generator) < DROP_CONDITION
    style = torch.where(dropped, no_style, condition.style)
    beat = torch.where(dropped[..., None], torch.zeros(()), condition.beat)
    noisy = left.sqrt() * clean + (1 - left).sqrt() * noise
    guess = network(noisy, step, style, beat, condition.known, condition.is_known)
    wanted = (~condition.is_known)[..., None].float()
    error = ((guess - clean).square() * wanted).mean()
    change = ((guess.diff(dim=1) - clean.diff(dim=1)).square() * wanted[:, 1:]).mean()
    return error + SPEED_WEIGHT * change + FOOT_WEIGHT * _foot_loss(scale(guess), scale(clean))


def _foot_loss(guess: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    lengths = torch.from_numpy(Proportions().lengths())
    feet, wanted = (
        joints_of(each, lengths, FRAMES_PER_SECOND)[:, :, [LEFT_ANKLE, RIGHT_ANKLE]] for each in (guess, clean)
    )
    speed = feet.diff(dim=1) * FRAMES_PER_SECOND
    stands = (wanted[:, 1:, :, 1] < CONTACT_HEIGHT) & (
        (wanted.diff(dim=1) * FRAMES_PER_SECOND).norm(dim=-1) < CONTACT_SPEED
    )
    height = (feet[..., 1] - wanted[..., 1]).square()
    return (speed.square().sum(-1) * stands).mean() * 10 + height.mean() * 10


@torch.inference_mode()
def sample(
    network: Denoiser,
    condition: Condition,
    *,
    generator: torch.Generator,
    num_steps: int = NUM_STEPS,
    guidance: float = GUIDANCE,
) -> torch.Tensor:
    """Return movements (B, F, NUM_FEATURES), normalised, that keep the condition; the generator decides which."""
    current = torch.randn(condition.known.shape, generator=generator)
    steps = torch.linspace(1, 0, num_steps + 1)
    for now, after in itertools.pairwise(steps):
        guess = smooth(_guided(network, current, now.expand(len(current)), condition, guidance))
        guess = torch.where(condition.is_known[..., None], condition.known, guess)
        left, left_after = kept(now), kept(after)
        noise = (current - left.sqrt() * guess) / (1 - left).sqrt().clamp_min(1e-3)
        current = left_after.sqrt() * guess + (1 - left_after).sqrt() * noise if after > 0 else guess
    return current


def smooth(features: torch.Tensor) -> torch.Tensor:
    """Return features (B, F, N) without what is faster than bodies move.

    A binomial filter: of 15 frames a second, 43 % of 3 Hz stays and 6 % of 5 Hz.
    """
    padded = torch.cat([features[:, :1].expand(-1, 2, -1), features, features[:, -1:].expand(-1, 2, -1)], 1)
    length = features.shape[1]
    return sum((w * padded[:, n : n + length] for n, w in enumerate(SMOOTHING)), torch.zeros_like(features))


def _guided(
    network: Denoiser, noisy: torch.Tensor, step: torch.Tensor, condition: Condition, guidance: float
) -> torch.Tensor:
    """Return the guess for the condition, moved away from the guess without it by the factor `guidance`."""

    def twice(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([values, values])

    style = torch.cat([condition.style, torch.full_like(condition.style, network.no_style)])
    beat = torch.cat([condition.beat, torch.zeros_like(condition.beat)])
    both = network(twice(noisy), twice(step), style, beat, twice(condition.known), twice(condition.is_known))
    wanted, free = both.chunk(2)
    guided: torch.Tensor = free + guidance * (wanted - free)
    return guided
