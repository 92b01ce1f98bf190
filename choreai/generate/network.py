"""The denoiser: a transformer over the frames of a window that guesses the clean movement from a noisy one."""

import math

import torch
from torch import nn

from choreai.generate.representation import NUM_FEATURES

BEAT_FEATURES = 4
"""Sine and cosine of the beat's phase, and of half a beat a time: which of two beats it is."""


class Denoiser(nn.Module):
    """Guesses the movement x0 from x_t, given each frame's style and beat and the frames that are known."""

    def __init__(self, *, num_styles: int, num_frames: int, size: int, num_layers: int, num_heads: int) -> None:
        super().__init__()
        self.no_style = num_styles
        """The style of a frame that has none: by it the same network learns movement of every style."""
        self.frames = nn.Linear(2 * NUM_FEATURES + 1 + BEAT_FEATURES, size)
        self.style = nn.Embedding(num_styles + 1, size)
        self.step = nn.Sequential(nn.Linear(size, size), nn.SiLU(), nn.Linear(size, size))
        self.place = nn.Parameter(torch.randn(num_frames, size) * 0.02)
        self.layers = nn.ModuleList(_Layer(size, num_heads) for _ in range(num_layers))
        self.out = nn.Sequential(nn.LayerNorm(size), nn.Linear(size, NUM_FEATURES))
        self.size = size

    def forward(
        self,
        noisy: torch.Tensor,
        step: torch.Tensor,
        style: torch.Tensor,
        beat: torch.Tensor,
        known: torch.Tensor,
        is_known: torch.Tensor,
    ) -> torch.Tensor:
        """Return (B, F, NUM_FEATURES) of `noisy` (the same), `step` (B,) in [0, 1], `style` (B, F) indices, `beat`
        (B, F, BEAT_FEATURES), and `known` (B, F, NUM_FEATURES) where `is_known` (B, F)."""
        mask = is_known[..., None].float()
        hidden = self.frames(torch.cat([noisy, known * mask, mask, beat], -1)) + self.place + self.style(style)
        hidden = hidden + self.step(_waves(step, self.size))[:, None]
        for layer in self.layers:
            hidden = layer(hidden)
        clean: torch.Tensor = self.out(hidden)
        return clean


class _Layer(nn.Module):
    """Attention over the window, then a network for each frame; both see normalised input."""

    def __init__(self, size: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.before, self.between = nn.LayerNorm(size), nn.LayerNorm(size)
        self.ask, self.answer = nn.Linear(size, 3 * size), nn.Linear(size, size)
        self.think = nn.Sequential(nn.Linear(size, 3 * size), nn.GELU(), nn.Linear(3 * size, size))

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        query, key, value = (
            part.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for part in self.ask(self.before(hidden)).chunk(3, -1)
        )
        seen = nn.functional.scaled_dot_product_attention(query, key, value)
        hidden = hidden + self.answer(seen.transpose(1, 2).flatten(2))
        after: torch.Tensor = hidden + self.think(self.between(hidden))
        return after


def _waves(step: torch.Tensor, size: int) -> torch.Tensor:
    """Return (B, size) sines and cosines of `step` (B,), as transformers mark positions (Vaswani and others, 2017)."""
    rates = torch.exp(-math.log(10_000) * torch.arange(size // 2, device=step.device) / (size // 2))
    angles = 1000 * step[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], -1)
