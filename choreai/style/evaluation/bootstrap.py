"""Bootstrap intervals over groups: videos of one group are alike, so whole groups are drawn, not videos.

(The cluster bootstrap: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 3.8.) A class of
only a few groups says little about new ones; its consecutive videos are drawn in blocks instead, and the description
says so.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from choreai.arrays import AnyFloatArray, BoolArray, Float64Array, FloatArray, IntArray
from choreai.natural_order import natural_key
from choreai.style.predictions import Predictions

NUM_DRAWS = 2000
"""Fewer where there are so many units that their counts would take more than MAX_COUNTS."""
MAX_COUNTS = 50_000_000
MIN_GROUPS = 5
"""A class of fewer groups is drawn in blocks: the spread of two or three groups means nothing."""
BLOCK_VIDEOS = 5


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Resamples:
    """How often each of U units, groups or blocks of the V videos, is in each of B bootstrap samples."""

    counts: FloatArray
    """(B, U)."""
    unit: IntArray
    """(V,) the unit that a video belongs to, 0 to U - 1."""
    description: str
    """What was drawn, in words."""

    @classmethod
    def draw(cls, predictions: Predictions, *, seed: int) -> Self:
        """Return samples drawn within the classes, so that each keeps its number of units."""
        unit, description = _units(predictions)
        num_units = int(unit.max()) + 1
        num_draws = min(NUM_DRAWS, max(1, MAX_COUNTS // num_units))
        rng = np.random.default_rng([seed, num_units])
        counts = np.zeros((num_draws, num_units), np.float32)
        for members in _strata(unit, predictions.label_index):
            picks = rng.integers(len(members), size=(num_draws, len(members)))
            np.add.at(counts, (np.arange(num_draws)[:, None], members[picks]), 1)
        return cls(counts, unit, description)

    def sums(self, values: npt.NDArray[Any]) -> Float64Array:
        """Return (B, S) sums over each sample's videos of (V, S) values."""
        by_unit = np.zeros((self.counts.shape[1], values.shape[1]), np.float32)
        np.add.at(by_unit, self.unit, values.astype(np.float32))
        return (self.counts @ by_unit).astype(np.float64)

    def estimate_mean(self, values: AnyFloatArray) -> Estimate:
        """Return the mean of (V,) values."""
        sums = self.sums(np.stack([values, np.ones(len(values))], axis=1))
        return self.estimate(float(values.mean()), sums[:, 0] / sums[:, 1])

    def estimate(self, value: float, draws: AnyFloatArray) -> Estimate:
        """Return `value` with the interval from (B,) values of the samples; NaN among them is left out."""
        low, high = np.nanquantile(draws, [0.025, 0.975]) if np.isfinite(draws).any() else (value, value)
        return Estimate(value, min(float(low), value), max(float(high), value))

    def estimate_share(self, value: float, draws: AnyFloatArray, *, of_videos: BoolArray) -> Estimate:
        """Return the same for a share over some (V,) videos.

        Without a single mistake the samples have none either; the lower end is then that of Clopper and Pearson's
        interval for as many units.
        """
        found = self.estimate(value, draws)
        num_units = len(np.unique(self.unit[of_videos]))
        if value == 1 and found.low == 1 and num_units:
            return Estimate(1.0, 0.025 ** (1 / num_units), 1.0)
        return found


def _units(predictions: Predictions) -> tuple[IntArray, str]:
    """Return (V,) the unit with which each video is drawn, and what the units are in words."""
    groups_of = [
        {g for g, i in zip(predictions.groups, predictions.label_index, strict=True) if i == index}
        for index in range(len(predictions.labels))
    ]
    in_blocks = {i for i, groups in enumerate(groups_of) if 0 < len(groups) < MIN_GROUPS}
    names: list[tuple[str, int, int]] = [("", 0, 0)] * len(predictions)
    seen: Counter[tuple[str, int]] = Counter()
    for video in sorted(range(len(predictions)), key=lambda v: natural_key(predictions.video_ids[v])):
        group, label = predictions.groups[video], int(predictions.label_index[video])
        if label not in in_blocks:
            names[video] = (group, -1, -1)
        else:
            names[video] = (group, label, seen[group, label] // BLOCK_VIDEOS)
            seen[group, label] += 1
    place = {name: i for i, name in enumerate(dict.fromkeys(names))}
    return np.array([place[name] for name in names], np.int64), _describe(predictions, in_blocks)


def _describe(predictions: Predictions, in_blocks: set[int]) -> str:
    whole = "videos" if len(set(predictions.groups)) == len(predictions) else "groups"
    blocks = ", ".join(predictions.labels[i] for i in sorted(in_blocks))
    if not in_blocks:
        return whole
    drawn = f"blocks of {BLOCK_VIDEOS} consecutive videos"
    if len(in_blocks) == len(np.unique(predictions.label_index)):
        return f"{drawn}, as no class has {MIN_GROUPS} groups"
    return f"{whole}; {blocks} (fewer than {MIN_GROUPS} groups) by {drawn}"


def _strata(unit: IntArray, label_index: IntArray) -> list[IntArray]:
    """Return the units by the classes that they hold; units alone with their classes form one stratum."""
    labels_of: dict[int, set[int]] = {}
    for u, label in zip(unit.tolist(), label_index.tolist(), strict=True):
        labels_of.setdefault(u, set()).add(label)
    strata: dict[tuple[int, ...], list[int]] = {}
    for u, labels in labels_of.items():
        strata.setdefault(tuple(sorted(labels)), []).append(u)
    lonely = [members[0] for members in strata.values() if len(members) == 1]
    parts = [members for members in strata.values() if len(members) > 1]
    return [np.array(members, np.int64) for members in (*parts, lonely) if members]
