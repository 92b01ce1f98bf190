"""What the generator learns from: movements with their style and their beats, cut into windows."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from choreai.arrays import Float64Array, FloatArray
from choreai.demo.dancers import STYLES, Dancer
from choreai.generate.diffusion import Condition
from choreai.generate.plan import FRAMES_PER_SECOND
from choreai.generate.representation import encode

KNOWN_FRAMES = 15
"""Frames at a window's beginning, or end, that may be given: the second that it shares with its neighbour."""
KNOWN_CHANCE = 0.35
"""Of a window whose beginning is given, and of one whose end is."""


@dataclass(frozen=True, eq=False)
class Dance:
    """One person's movement."""

    style: str
    person: str
    features: FloatArray
    """(F, NUM_FEATURES), FRAMES_PER_SECOND a second."""
    beat: Float64Array | None
    """(F,) time in beats; None: without music."""


def generated_dances(seeds: Iterable[int], *, styles: Sequence[str] = STYLES, seconds: float = 20.0) -> Iterator[Dance]:
    """Yield the demo's dancers of these seeds, each in every style, from their second second on."""
    times = 1.0 + np.arange(round(seconds * FRAMES_PER_SECOND)) / FRAMES_PER_SECOND
    for seed in seeds:
        for style in styles:
            dancer = Dancer(style, seed)
            joints = dancer.skeleton(times).keypoints_xyz
            beat = dancer.choreography.first_beat + times * dancer.beats_per_minute / 60
            yield Dance(style, dancer.name, encode(joints, height=dancer.body.height), beat)


def beat_features(beat: Float64Array | None, num_frames: int) -> FloatArray:
    """Return (F, BEAT_FEATURES) of the time in beats (F,); zeros where there is no music."""
    if beat is None:
        return np.zeros((num_frames, 4), np.float32)
    angles = 2 * np.pi * np.stack([beat, beat / 2], 1)
    return np.concatenate([np.sin(angles), np.cos(angles)], 1).astype(np.float32)


class Windows:
    """All dances in memory, and batches of windows drawn from them, each style equally often."""

    def __init__(self, dances: Sequence[Dance], *, labels: Sequence[str], num_frames: int) -> None:
        """Raise ValueError where a label has no dance of `num_frames`."""
        self.num_frames = num_frames
        kept = [dance for dance in dances if len(dance.features) >= num_frames and dance.style in labels]
        by_style = [[n for n, dance in enumerate(kept) if dance.style == label] for label in labels]
        if missing := [label for label, found in zip(labels, by_style, strict=True) if not found]:
            raise ValueError(f"no movement of {num_frames} frames or more of {', '.join(missing)}")
        self._by_style = by_style
        self._features = [torch.from_numpy(dance.features) for dance in kept]
        self._beats = [torch.from_numpy(beat_features(dance.beat, len(dance.features))) for dance in kept]
        every = torch.cat(self._features)
        self.mean = every.mean(0)
        self.deviation = every.std(0).clamp_min(0.02)

    def draw(self, batch: int, rng: np.random.Generator) -> tuple[torch.Tensor, Condition]:
        """Return `batch` windows (B, F, NUM_FEATURES), normalised, and what is told of them."""
        style = rng.integers(len(self._by_style), size=batch)
        number = [self._by_style[s][rng.integers(len(self._by_style[s]))] for s in style]
        start = [int(rng.integers(len(self._features[n]) - self.num_frames + 1)) for n in number]
        parts = [slice(s, s + self.num_frames) for s in start]
        clean = torch.stack([self._features[n][part] for n, part in zip(number, parts, strict=True)])
        clean = (clean - self.mean) / self.deviation
        beat = torch.stack([self._beats[n][part] for n, part in zip(number, parts, strict=True)])
        styles = torch.from_numpy(style)[:, None].expand(-1, self.num_frames)
        return clean, Condition(styles, beat, clean, _draw_known(batch, self.num_frames, rng))


def _draw_known(batch: int, num_frames: int, rng: np.random.Generator) -> torch.Tensor:
    frame = np.arange(num_frames)
    first, last = rng.integers(1, KNOWN_FRAMES + 1, (2, batch, 1))
    first, last = first * (rng.random((batch, 1)) < KNOWN_CHANCE), last * (rng.random((batch, 1)) < KNOWN_CHANCE)
    return torch.from_numpy((frame < first) | (frame >= num_frames - last))
