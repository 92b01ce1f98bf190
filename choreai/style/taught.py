"""Taught styles: a style added to a trained model by a few examples, without training and without touching the others.

In the space of motion embeddings every style has a prototype, the mean of its videos. A video is of the taught style
where two things hold: it lies nearer to that prototype than to the others', in the metric of how videos of one known
style spread (linear discriminant analysis with a shrunk covariance); and it lies about as near to it as known videos
lie to their own, so that a third dance, which nobody taught, is less likely to pass for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from choreai.arrays import Float64Array, FloatArray, IntArray
from choreai.tables.schemas import EMBEDDING_SIZE

SHRINKAGE = 0.8
"""Of the covariance towards a sphere. With less, the noise of a few dozen videos in 128 dimensions decides: at 0.3 the
known styles' unseen videos passed for the taught one four times as often as at 0.8."""
ACCEPTED_SHARE = 0.02
"""Of the known styles' videos, out of fold, that may lie nearer to the taught prototype: the limit is drawn there."""
FAR_SHARE = 0.15
"""Of the known styles' videos that lie further from their own prototype than a video of the taught style may."""
MIN_KNOWN_VIDEOS = 20
NUM_FOLDS = 5
DIGITS = 5


@dataclass(frozen=True)
class Expectation:
    """What to expect of a taught style, from what was left out while it was taught."""

    found_share: float | None
    """Of the examples, each judged by the others; None for a single example."""
    false_share: float
    """Of the known styles' videos that passed for it."""
    precision: float | None
    """The share of its tags that are right where it is as frequent as each known style; None for a single example."""


@dataclass(frozen=True)
class TaughtStyle:
    """What tells one style from the known ones: plain numbers, for model.json."""

    weights: tuple[tuple[float, ...], ...]
    """(1 + S, EMBEDDING_SIZE): the taught style's, then those of the S known styles."""
    biases: tuple[float, ...]
    """(1 + S,)."""
    prototype: tuple[float, ...]
    """(EMBEDDING_SIZE,) a unit vector."""
    min_log_odds: float
    min_nearness: float
    """Of the dot product with the prototype."""
    log_odds_spread: float
    """Of the known videos, out of fold: the unit in which evidence is counted."""
    nearness_spread: float
    """Of the known videos, to their own prototypes."""
    video_ids: tuple[str, ...]
    """The examples."""
    expectation: Expectation

    def __post_init__(self) -> None:
        if len(self.weights) < 2 or {len(row) for row in (*self.weights, self.prototype)} != {EMBEDDING_SIZE}:
            raise ValueError(f"prototype and two or more rows of weights must have {EMBEDDING_SIZE} numbers")
        if len(self.biases) != len(self.weights):
            raise ValueError(f"there must be {len(self.weights)} biases, got {len(self.biases)}")
        limits = (self.min_log_odds, self.min_nearness, self.log_odds_spread, self.nearness_spread)
        if not np.isfinite([*limits, *self.biases, *self.prototype, *np.ravel(self.weights)]).all():
            raise ValueError("weights, biases, prototype and limits must be finite numbers")
        if not (self.log_odds_spread > 0 and self.nearness_spread > 0):
            raise ValueError(f"spreads must be positive, got {self.log_odds_spread} and {self.nearness_spread}")

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """Return what `asdict` has made of one. Raises TypeError, KeyError or ValueError for anything else."""
        lists = {name: tuple(values[name]) for name in ("biases", "prototype", "video_ids")}
        weights = tuple(map(tuple, values["weights"]))
        return cls(**{**values, **lists, "weights": weights, "expectation": Expectation(**values["expectation"])})

    def evidence(self, vectors: FloatArray) -> FloatArray:
        """Return (V,) evidence for the style, or against it below 0: the weaker of both grounds.

        `vectors` (V, D): the means of the videos' motion embeddings.
        """
        logits = vectors.astype(np.float64) @ np.array(self.weights).T + np.array(self.biases)
        odds = (_log_odds(logits) - self.min_log_odds) / self.log_odds_spread
        nearness = (vectors @ np.array(self.prototype) - self.min_nearness) / self.nearness_spread
        return np.minimum(odds, nearness).astype(np.float32)


def teach_style(
    examples: FloatArray, known: FloatArray, known_label: IntArray, *, video_ids: Sequence[str], seed: int = 0
) -> TaughtStyle:
    """Return the style of the `examples` (E, D), told from the `known` videos (N, D) of other styles.

    Both are means of the windows' motion embeddings; `known_label` (N,) numbers the styles. Raises ValueError for fewer
    than one example or MIN_KNOWN_VIDEOS.
    """
    if not len(examples) or len(known) < MIN_KNOWN_VIDEOS:
        raise ValueError(
            f"it takes an example and {MIN_KNOWN_VIDEOS} known videos, got {len(examples)} and {len(known)}"
        )
    rng = np.random.default_rng(seed)
    odds = _held_out_odds(examples, known, known_label, rng)
    nearness = _own_nearness(known, known_label, len(examples), rng)
    discriminant = _Discriminant.fit(examples, known, known_label)
    limits = {
        "min_log_odds": float(np.quantile(odds, 1 - ACCEPTED_SHARE)),
        "min_nearness": float(np.quantile(nearness, FAR_SHARE)),
        "log_odds_spread": max(float(odds.std()), 10.0**-DIGITS),
        "nearness_spread": max(float(nearness.std()), 10.0**-DIGITS),
    }
    return TaughtStyle(
        weights=tuple(tuple(np.round(row, DIGITS).tolist()) for row in discriminant.weights),
        biases=tuple(np.round(discriminant.biases, DIGITS).tolist()),
        prototype=tuple(np.round(_prototype(examples), DIGITS).tolist()),
        **{name: round(value, DIGITS) for name, value in limits.items()},
        video_ids=tuple(video_ids),
        expectation=_expect(examples, known, known_label, odds, limits["min_log_odds"], limits["min_nearness"]),
    )


def _held_out_odds(
    examples: FloatArray, known: FloatArray, known_label: IntArray, rng: np.random.Generator
) -> Float64Array:
    """Return (N,) the known videos' log odds of being of the taught style, each from prototypes made without it."""
    fold = rng.permutation(len(known)) % NUM_FOLDS
    odds = np.zeros(len(known))
    for number in range(NUM_FOLDS):
        out = fold == number
        odds[out] = _Discriminant.fit(examples, known[~out], known_label[~out]).log_odds(known[out])
    return odds


def _own_nearness(
    known: FloatArray, known_label: IntArray, num_examples: int, rng: np.random.Generator
) -> Float64Array:
    """Return how near known videos lie to a prototype of so many others of their style; of styles of one video none."""
    found = []
    for style in np.unique(known_label):
        own = np.flatnonzero(known_label == style)
        for place in own if len(own) > 1 else []:
            others = rng.choice(own[own != place], min(num_examples, len(own) - 1), replace=False)
            found.append(float(known[place] @ _prototype(known[others])))
    return np.array(found)


def _prototype(vectors: FloatArray) -> FloatArray:
    mean = vectors.mean(axis=0)
    return mean / max(float(np.linalg.norm(mean)), 1e-9)


def _expect(
    examples: FloatArray,
    known: FloatArray,
    known_label: IntArray,
    odds: Float64Array,
    min_log_odds: float,
    min_nearness: float,
) -> Expectation:
    """Return what to expect; shares of few videos are drawn towards a half, as by one more of either kind."""
    passed = (odds >= min_log_odds) & (known @ _prototype(examples) >= min_nearness)
    false_share = float((np.count_nonzero(passed) + 1) / (len(known) + 2))
    if len(examples) < 2:
        return Expectation(None, false_share, None)
    num_found = 0
    for place in range(len(examples)):
        others, own = np.delete(examples, place, axis=0), examples[place : place + 1]
        is_nearer = _Discriminant.fit(others, known, known_label).log_odds(own)[0] >= min_log_odds
        num_found += bool(is_nearer and own[0] @ _prototype(others) >= min_nearness)
    found_share = (num_found + 1) / (len(examples) + 2)
    num_styles = len(np.unique(known_label))
    return Expectation(found_share, false_share, found_share / (found_share + num_styles * false_share))


@dataclass(frozen=True, eq=False)
class _Discriminant:
    """Linear discriminant analysis: the first class is the taught style, the others are the known ones."""

    weights: Float64Array  # (1 + S, D)
    biases: Float64Array  # (1 + S,)

    @classmethod
    def fit(cls, examples: FloatArray, known: FloatArray, known_label: IntArray) -> "_Discriminant":
        styles = np.unique(known_label)
        means = np.array([known[known_label == style].mean(axis=0) for style in styles], np.float64)
        spread = known - means[np.searchsorted(styles, known_label)]
        covariance = spread.T @ spread / len(known)
        size = len(covariance)
        shrunk = (1 - SHRINKAGE) * covariance + SHRINKAGE * np.trace(covariance) / size * np.eye(size)
        prototypes = np.concatenate([examples.mean(axis=0, keepdims=True), means])
        weights = np.linalg.solve(shrunk, prototypes.T).T
        return cls(weights, -0.5 * (weights * prototypes).sum(axis=1))

    def log_odds(self, vectors: FloatArray) -> Float64Array:
        """Return (N,) of the taught style against the known ones together."""
        return _log_odds(vectors @ self.weights.T + self.biases)


def _log_odds(logits: Float64Array) -> Float64Array:
    """Return (N,) of the first class against the others together."""
    return np.asarray(logits[:, 0] - np.logaddexp.reduce(logits[:, 1:], axis=1))
