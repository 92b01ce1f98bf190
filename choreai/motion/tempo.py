"""The tempo of a movement: how often it repeats, in beats per minute."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array
from choreai.motion.trajectory import STEP_SECONDS

SLOWEST_BEATS_PER_MINUTE = 80.0
"""Tempi are given from here to twice this: a movement repeats with the beat, with half of it and with two, and only
the music could say which of them is called the beat. 65 comes out as 130, 170 as 85."""
PERIODS_PER_OCTAVE = 240
"""A resolution of 0.3 %."""
MIN_SECONDS = 3.0
"""Two of the longest lags, which are two of the slowest beats."""


@dataclass(frozen=True)
class Tempo:
    """The beat of a movement."""

    beats_per_minute: float
    """In [80, 160); NaN where nothing repeats."""
    strength: float
    """Mean correlation of the signals with themselves one beat and two beats later, 0 (no beat) to 1 (a machine);
    NaN where nothing moves or too little was seen."""


def find_tempo(signals: Sequence[Float64Array]) -> Tempo:
    """Return the beat that the signals share best: (T,) each, STEP_SECONDS apart, without their slow trends.

    By autocorrelation; NaN in a signal is left out of its sums. A beat needs movement at 0.67 to 2.7 Hz, or at half of
    that: samples at 8 a second show all of it, at 4 a second (2 Hz) not the fast ones.
    """
    autocorrelations = [r for r in map(_autocorrelation, signals) if np.isfinite(r).all()]
    if not autocorrelations:
        return Tempo(beats_per_minute=np.nan, strength=np.nan)
    r = np.mean(autocorrelations, axis=0)
    # One more at either end: a beat is a peak, and not where a slope happens to be cut off.
    tempi = SLOWEST_BEATS_PER_MINUTE * 2 ** (np.arange(-1, PERIODS_PER_OCTAVE + 1) / PERIODS_PER_OCTAVE)
    lags = 60 / tempi / STEP_SECONDS
    from scipy.interpolate import CubicSpline  # here: scipy takes longer to load than --help may

    curve = CubicSpline(np.arange(len(r)), r)  # lags between steps
    scores = (curve(lags) + curve(2 * lags)) / 2
    peaks = 1 + np.flatnonzero((scores[1:-1] >= scores[:-2]) & (scores[1:-1] > scores[2:]) & (scores[1:-1] > 0))
    if not len(peaks):
        return Tempo(beats_per_minute=np.nan, strength=0.0)
    best = peaks[np.argmax(scores[peaks])]
    return Tempo(beats_per_minute=float(tempi[best]), strength=float(min(scores[best], 1.0)))


def _autocorrelation(signal: Float64Array) -> Float64Array:
    """Return (L,) for lags of 0 to two of the slowest beats, 1 at lag 0; NaN if too little of the signal is known."""
    num_lags = int(2 * 60 / SLOWEST_BEATS_PER_MINUTE / STEP_SECONDS) + 3
    known: Float64Array = np.isfinite(signal).astype(np.float64)
    if known.sum() * STEP_SECONDS < MIN_SECONDS:
        return np.full(num_lags, np.nan)
    x = np.nan_to_num(signal, nan=0.0)
    energy = _shifted_sums(np.square(x), known, num_lags) * _shifted_sums(known, np.square(x), num_lags)
    if not (energy > 1e-12 * energy[0]).all() or energy[0] < 1e-12:
        return np.full(num_lags, np.nan)
    return _shifted_sums(x, x, num_lags) / np.sqrt(energy)


def _shifted_sums(first: Float64Array, second: Float64Array, num_lags: int) -> Float64Array:
    """Return (num_lags,) sums of first[t] * second[t + lag]."""
    return np.array([first[: len(first) - lag] @ second[lag:] for lag in range(num_lags)])
