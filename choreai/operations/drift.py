"""Drift of a run's values from a reference run's, as the population stability index (PSI).

PSI = sum over bins of (p - q) ln(p / q), p and q being the shares of the run and of the reference. The bands are the
usual ones of credit scoring (Siddiqi, Credit Risk Scorecards, 2006): below 0.1 stable, to 0.25 shifting, above it
shifted. A small sample gives a large index by chance alone: without any drift PSI / (1/n + 1/m) is about chi-squared
with bins - 1 degrees of freedom (Yurdakul and Naranjo, Statistical properties of the population stability index,
2020), so a value below that distribution's 95th percentile is reported as chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from choreai.arrays import Float64Array, FloatArray

NUM_BINS = 10
STABLE_BELOW, SHIFTED_ABOVE = 0.1, 0.25
_EMPTY_COUNT = 0.5
"""Count that replaces an empty bin's 0, whose logarithm is undefined."""

Band = Literal["stable", "shifting", "shifted", "chance"]


@dataclass(frozen=True)
class Drift:
    """The drift of one quantity."""

    name: str
    psi: float
    by_chance: float
    """The PSI that chance alone exceeds in one of twenty comparisons of samples of this size."""
    num_reference: int
    num_now: int

    @property
    def band(self) -> Band:
        if self.psi < STABLE_BELOW:
            return "stable"
        if self.psi <= self.by_chance:
            return "chance"
        return "shifting" if self.psi <= SHIFTED_ABOVE else "shifted"


def drift_of_counts(name: str, reference: Mapping[str, int], now: Mapping[str, int]) -> Drift | None:
    """Return the drift between two counts by category; None if one of them is empty."""
    categories = sorted(reference.keys() | now.keys())
    counts = [np.array([each.get(category, 0) for category in categories], np.float64) for each in (reference, now)]
    return _measure_drift(name, *counts)


def drift_of_values(name: str, reference: FloatArray, now: FloatArray) -> Drift | None:
    """Return the drift between two samples; None if one of them is empty. NaN counts as a category of its own.

    The bins are the reference's deciles, fewer where values repeat.
    """
    known = reference[~np.isnan(reference)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, NUM_BINS + 1)[1:-1])) if len(known) else np.zeros(0)
    return _measure_drift(name, _count_in_bins(reference, edges), _count_in_bins(now, edges))


def _count_in_bins(values: FloatArray, edges: Float64Array) -> Float64Array:
    """Count the values up to each edge, above the last one, and those that are missing (NaN)."""
    known = values[~np.isnan(values)]
    counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
    return np.append(counts, len(values) - len(known)).astype(np.float64)


def _measure_drift(name: str, reference: Float64Array, now: Float64Array) -> Drift | None:
    from scipy.stats import chi2

    num_reference, num_now = reference.sum(), now.sum()
    if not num_reference or not num_now:
        return None
    used = (reference + now) > 0
    p, q = (np.maximum(counts[used], _EMPTY_COUNT) / counts.sum() for counts in (now, reference))
    by_chance = chi2.ppf(0.95, max(used.sum() - 1, 1)) * (1 / num_reference + 1 / num_now)
    psi = float(((p - q) * np.log(p / q)).sum())
    return Drift(name, psi, float(by_chance), int(num_reference), int(num_now))
