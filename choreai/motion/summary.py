"""Statistics over the known part of a movement: NaN is left out, and too few values give NaN."""

import numpy as np

from choreai.arrays import Float64Array
from choreai.motion.trajectory import STEP_SECONDS

MIN_KNOWN_SECONDS = 0.5


def mean_of(values: Float64Array) -> float:
    """Return the mean."""
    known = _drop_missing(values)
    return float(known.mean()) if len(known) else float("nan")


def high_of(values: Float64Array) -> float:
    """Return the 95th percentile."""
    known = _drop_missing(values)
    return float(np.percentile(known, 95)) if len(known) else float("nan")


def range_of(values: Float64Array) -> float:
    """Return the distance from the 5th to the 95th percentile."""
    known = _drop_missing(values)
    return float(np.subtract(*np.percentile(known, [95, 5]))) if len(known) else float("nan")


def share_of(values: Float64Array, *, below: float) -> float:
    """Return the share of the known values that are below the limit."""
    known = _drop_missing(values)
    return float((known < below).mean()) if len(known) else float("nan")


def correlation_of(first: Float64Array, second: Float64Array) -> float:
    """Return the correlation of two velocities (T, D), in [-1, 1], about zero, which is standing still."""
    both = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    if both.sum() * STEP_SECONDS < MIN_KNOWN_SECONDS:
        return float("nan")
    a, b = first[both], second[both]
    energy = float((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / np.sqrt(energy)) if energy > 0 else float("nan")


def ratio_of(first: float, second: float) -> float:
    """Return the smaller over the larger, in [0, 1]."""
    largest = max(first, second)
    return min(first, second) / largest if largest > 0 else float("nan")


def _drop_missing(values: Float64Array) -> Float64Array:
    known = values[np.isfinite(values)]
    return known if len(known) * STEP_SECONDS >= MIN_KNOWN_SECONDS else known[:0]
