"""What else is heard in time: onsets, bars, and the rhythm of bass, middle and treble within a bar."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from choreai.arrays import Float64Array, FloatArray
from choreai.music.beat_network import Heard, rises_of
from choreai.music.beats import Beats
from choreai.music.spectrum import FRAMES_PER_SECOND, NUM_BANDS

BEATS_PER_BAR = (4, 3)
MIN_BAR_CONTRAST = 0.15
"""By which a downbeat must be likelier on one beat of the bar than on the others, for bars to be clear."""
MIN_BARS = 3
STEPS_PER_BEAT = 4
BAND_EDGES = (0, 5, 20, NUM_BANDS)
"""Mel bands where bass, middle and treble begin: 30 Hz, 280 Hz and 2 kHz."""
MIN_RISE, ONSET_SECONDS = 0.12, 0.06
"""An onset rises by so much more than what is usual around it (in powers of ten, the mean over bands), and is the
highest within so long."""


@dataclass(frozen=True, eq=False)
class Bars:
    """Where bars begin."""

    beats_per_bar: int
    first: int
    """The beat that begins the first bar."""
    contrast: float
    """By how much a downbeat is likelier there than on the bar's other beats."""


def find_onsets(logs: FloatArray) -> Float64Array:
    """Return the seconds at which something begins to sound, in (T, NUM_BANDS) mel spectra (logarithms of powers)."""
    if len(logs) < 3:
        return np.zeros(0)
    rises = rises_of(logs)
    usual = uniform_filter1d(rises, FRAMES_PER_SECOND // 2)
    reach = 2 * round(ONSET_SECONDS * FRAMES_PER_SECOND / 2) + 1
    is_onset = (rises == maximum_filter1d(rises, reach)) & (rises > usual + MIN_RISE)
    return np.flatnonzero(is_onset) / FRAMES_PER_SECOND


def find_bars(heard: Heard, beats: Beats) -> Bars | None:
    """Return the bars of music whose beats are known; None where they are not clear."""
    frames = np.round(beats.seconds * FRAMES_PER_SECOND).astype(int)
    near = np.clip(frames[:, None] + np.arange(-2, 3), 0, max(0, len(heard) - 1))
    chances = heard.downbeat[near].max(axis=1)
    found = [_bars_of(chances, num, first) for num in BEATS_PER_BAR for first in range(num)]
    best = max(found, key=lambda bars: bars.contrast)
    is_clear = best.contrast >= MIN_BAR_CONTRAST and len(beats) >= MIN_BARS * best.beats_per_bar
    return best if is_clear else None


def _bars_of(chances: FloatArray, num: int, first: int) -> Bars:
    begins = np.arange(len(chances)) % num == first
    if begins.all() or not begins.any():
        return Bars(num, first, 0.0)
    return Bars(num, first, float(chances[begins].mean() - chances[~begins].mean()))


def rhythm_pattern(logs: FloatArray, beats: Beats, bars: Bars) -> FloatArray:
    """Return (3, steps of a bar) shares of the onsets of bass, middle and treble on each step.

    Each row adds up to 1.
    """
    rises = np.maximum(0, np.diff(logs.astype(np.float32), axis=0, prepend=logs[:1].astype(np.float32)))
    bands = np.stack([rises[:, a:b].mean(axis=1) for a, b in pairwise(BAND_EDGES)])
    whole = np.arange(bars.first, len(beats) - 1)
    places = whole[:, None] + np.arange(STEPS_PER_BEAT) / STEPS_PER_BEAT
    seconds = np.interp(places, np.arange(len(beats)), beats.seconds)
    frames = np.clip(np.round(seconds * FRAMES_PER_SECOND).astype(int), 0, len(logs) - 1)
    around = [bands[:, np.clip(frames + k, 0, len(logs) - 1)] for k in (-1, 0, 1)]
    strokes = np.maximum.reduce(around)  # (3, beats, steps)
    sums = np.zeros((3, bars.beats_per_bar, STEPS_PER_BEAT))
    for beat in range(bars.beats_per_bar):
        sums[:, beat] = strokes[:, (whole - bars.first) % bars.beats_per_bar == beat].mean(axis=1)
    flat = sums.reshape(3, -1)
    return (flat / np.maximum(flat.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)


def band_shares(logs: FloatArray) -> tuple[float, float, float]:
    """Return the shares of bass, middle and treble in the power of a sound; zeros in silence."""
    power = 10 ** logs.astype(np.float32)
    sums = [float(power[:, a:b].sum()) for a, b in pairwise(BAND_EDGES)]
    whole = sum(sums) or 1.0
    return sums[0] / whole, sums[1] / whole, sums[2] / whole
