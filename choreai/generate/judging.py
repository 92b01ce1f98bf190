"""Are generated dances what they should be? Every figure stands beside what real dances reach.

Two unlike judges, trained on other people than the generator, say which style they see; distances, diversity, sliding
feet and the beat are measured (`choreai.generate.measures`); and a copy is one that lies nearer to the dances the
generator learned from than held-out real dances do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from choreai.arrays import Float64Array, FloatArray
from choreai.generate import measures
from choreai.generate.dances import Dance
from choreai.generate.plan import FRAMES_PER_SECOND
from choreai.generate.representation import NUM_FEATURES, Proportions, decode

WINDOW = 75
"""Frames that are judged at once."""
HEIGHT = 1.70
LEAST_NOVELTY = 0.9
"""A generator whose windows are nearer to those it learned than this share of a real dance's distance copies."""


@dataclass(frozen=True)
class Figures:
    """What one set of dances reached, and what real dances of unseen people reach by the same measure."""

    style_by_measures: float
    """Share of windows whose style the first judge sees: a logistic regression on the measures."""
    style_by_network: float
    """The same by the second: a small convolutional network on the bones' directions."""
    real_style_by_measures: float
    real_style_by_network: float
    frechet_kinetic: float
    frechet_geometric: float
    real_frechet_kinetic: float
    """Real dances of some people against real dances of others."""
    real_frechet_geometric: float
    diversity: float
    """Mean distance of dances of one style, over that of real ones."""
    slide: float
    """Metres a second."""
    real_slide: float
    on_beat: float
    """How often more of the movement repeats with the beat than with a tempo a quarter off."""
    real_on_beat: float
    novelty: float
    """Distance to the nearest window learned from, over that of held-out real dances; below LEAST_NOVELTY it copies."""

    @property
    def copies(self) -> bool:
        return self.novelty < LEAST_NOVELTY

    def to_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Measured:
    """Windows of dances, and what is measured of each."""

    styles: Float64Array
    """(N,) numbers."""
    features: FloatArray
    """(N, WINDOW, NUM_FEATURES)."""
    kinetic: Float64Array
    geometric: Float64Array
    slide: Float64Array
    on_beat: Float64Array

    @property
    def both(self) -> Float64Array:
        return np.concatenate([self.kinetic, self.geometric], 1)


def measure(dances: Sequence[Dance], labels: Sequence[str]) -> Measured:
    """Return the measures of every window of the dances, each posed on one and the same body."""
    windows = [window for dance in dances for window in _cut(dance, labels.index(dance.style))]
    if not windows:
        raise ValueError(f"no dance is {WINDOW / FRAMES_PER_SECOND:g} seconds long or longer")
    joints = [decode(features, height=HEIGHT) for _, features, _ in windows]
    hips = 0.53 * HEIGHT
    return Measured(
        styles=np.array([style for style, _, _ in windows]),
        features=np.stack([features for _, features, _ in windows]),
        kinetic=np.stack([measures.kinetic(each, frames_per_second=FRAMES_PER_SECOND) for each in joints]),
        geometric=np.stack([measures.geometric(each, standing_height=hips) for each in joints]),
        slide=np.array([_slide(each) for each in joints]),
        on_beat=np.array([_on_beat(each, beat) for each, (_, _, beat) in zip(joints, windows, strict=True)]),
    )  # fmt: skip


def _cut(dance: Dance, style: int) -> Iterator[tuple[int, FloatArray, Float64Array | None]]:
    """Yield the style, features and beats of windows that follow each other."""
    for start in range(0, len(dance.features) - WINDOW + 1, WINDOW):
        part = slice(start, start + WINDOW)
        yield style, dance.features[part], None if dance.beat is None else dance.beat[part]


def _slide(joints: Float64Array) -> float:
    ankle = Proportions().ankle * HEIGHT
    return measures.foot_slide(joints, standing_height=ankle, frames_per_second=FRAMES_PER_SECOND)


def _on_beat(joints: Float64Array, beat: Float64Array | None) -> float:
    if beat is None:
        return float("nan")
    own = measures.beat_coherence(joints, beat)
    return float(np.mean([own > measures.beat_coherence(joints, beat * wrong) for wrong in (0.8, 1.25)]))


def judge(
    dances: Measured, *, learned: Measured, judges: Measured, real: Measured, num_labels: int, seed: int = 0
) -> Figures:
    """Return the figures of `dances`. `learned` is what the generator saw, `judges` what the judges are trained on and
    `real` what all are compared with: dances of three groups of different people."""
    by_measures = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000)).fit(judges.both, judges.styles)
    by_network = _NetworkJudge(judges, num_labels, seed)
    scale = judges.features.std((0, 1)) + 1e-6

    def flat(windows: FloatArray) -> Float64Array:
        return (windows[:, ::5] / scale).reshape(len(windows), -1).astype(np.float64)

    known = flat(learned.features)
    return Figures(
        style_by_measures=float((by_measures.predict(dances.both) == dances.styles).mean()),
        style_by_network=by_network.share_right(dances),
        real_style_by_measures=float((by_measures.predict(real.both) == real.styles).mean()),
        real_style_by_network=by_network.share_right(real),
        frechet_kinetic=measures.frechet_distance(dances.kinetic, judges.kinetic),
        frechet_geometric=measures.frechet_distance(dances.geometric, judges.geometric),
        real_frechet_kinetic=measures.frechet_distance(real.kinetic, judges.kinetic),
        real_frechet_geometric=measures.frechet_distance(real.geometric, judges.geometric),
        diversity=_diversity(dances, judges) / _diversity(real, judges),
        slide=float(np.nanmean(dances.slide)),
        real_slide=float(np.nanmean(real.slide)),
        on_beat=float(np.nanmean(dances.on_beat)),
        real_on_beat=float(np.nanmean(real.on_beat)),
        novelty=float(
            np.median(measures.nearest_distance(flat(dances.features), known))
            / np.median(measures.nearest_distance(flat(real.features), known))
        ),
    )


def _diversity(dances: Measured, scale: Measured) -> float:
    values = (dances.both - scale.both.mean(0)) / (scale.both.std(0) + 1e-6)
    return float(
        np.mean([measures.mean_distance(values[dances.styles == style]) for style in np.unique(dances.styles)])
    )


class _NetworkJudge:
    """Convolutions over time and their mean; a minute's training, and another view than the measures'."""

    def __init__(self, known: Measured, num_labels: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.mean, self.scale = known.features.mean((0, 1)), known.features.std((0, 1)) + 1e-6
        self.layers = nn.Sequential(
            nn.Conv1d(NUM_FEATURES, 48, 5, padding=2), nn.ReLU(), nn.Conv1d(48, 48, 5, stride=2), nn.ReLU(),
            nn.Conv1d(48, 48, 5, stride=2), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(48, num_labels),
        )  # fmt: skip
        inputs, wanted = self._inputs(known), torch.from_numpy(known.styles).long()
        optimizer = torch.optim.AdamW(self.layers.parameters(), lr=2e-3, weight_decay=1e-2)
        rng = np.random.default_rng(seed)
        for _ in range(12):
            for batch in np.array_split(rng.permutation(len(inputs)), max(1, len(inputs) // 32)):
                optimizer.zero_grad()
                noisy = inputs[batch] + 0.1 * torch.randn_like(inputs[batch])
                nn.functional.cross_entropy(self.layers(noisy), wanted[batch]).backward()
                optimizer.step()
        self.layers.eval()

    def share_right(self, dances: Measured) -> float:
        with torch.inference_mode():
            seen = self.layers(self._inputs(dances)).argmax(1).numpy()
        return float((seen == dances.styles).mean())

    def _inputs(self, dances: Measured) -> torch.Tensor:
        return torch.from_numpy((dances.features - self.mean) / self.scale).float().transpose(1, 2)
