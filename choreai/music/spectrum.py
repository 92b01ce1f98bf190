"""Mel spectra of sound, 50 frames a second, and what the beat network takes of them."""

from functools import cache

import numpy as np
from scipy import fft
from scipy.ndimage import uniform_filter1d

from choreai.arrays import FloatArray

SAMPLES_PER_SECOND = 22_050
FRAMES_PER_SECOND = 50
HOP = SAMPLES_PER_SECOND // FRAMES_PER_SECOND
WINDOW = 1024
"""46 ms: longer ones blur the onsets, shorter ones do not tell a bass from a bass drum."""
NUM_BANDS = 40
LOWEST_HZ, HIGHEST_HZ = 30.0, 10_000.0
NUM_INPUTS = 2 * NUM_BANDS
LEVEL_SECONDS = 8.0
"""The level that spectra are compared with is a mean over so long, so that soft music is heard as loud music is."""
_QUIETEST = 1e-9
"""Of a full-scale sine's power: -90 dB."""
_FLOOR = 1e-4
"""Of the level: 40 dB below it nothing is told apart."""


def power_spectra(samples: FloatArray) -> FloatArray:
    """Return the (T, WINDOW // 2 + 1) power spectra of the T whole windows in `samples`, a hop apart; a sine of full
    scale is 1."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    spectra = fft.rfft(windows * _hann(), axis=1)
    power: FloatArray = (spectra.real**2 + spectra.imag**2) * np.float32((4 / WINDOW) ** 2)
    return power


def mel_powers(power: FloatArray) -> FloatArray:
    """Return (T, NUM_BANDS) mean powers of mel bands."""
    return power @ _mel_bands()


def network_inputs(mel: FloatArray) -> FloatArray:
    """Return (T, NUM_INPUTS) for the beat network: each band's logarithm above the level around it, and its rise over
    two frames."""
    level = uniform_filter1d(mel.mean(axis=1), int(LEVEL_SECONDS * FRAMES_PER_SECOND), mode="nearest")[:, None]
    logs = np.log10(mel + _FLOOR * level + _QUIETEST)
    heights = logs - np.log10(level + 10 * _QUIETEST)
    rises = np.maximum(0, logs - np.concatenate([logs[:1], logs[:1], logs[:-2]])[: len(logs)])
    return np.concatenate([heights / 2, rises], axis=1).astype(np.float32)


@cache
def _hann() -> FloatArray:
    return np.hanning(WINDOW + 1)[:-1].astype(np.float32)


@cache
def frequencies() -> FloatArray:
    """Return the frequency in Hz of each bin of a power spectrum."""
    return np.fft.rfftfreq(WINDOW, 1 / SAMPLES_PER_SECOND).astype(np.float32)


@cache
def _mel_bands() -> FloatArray:
    """Return (bins, NUM_BANDS) triangles, evenly spaced in mel, none narrower than a bin."""
    edges = _hz(np.linspace(_mel(LOWEST_HZ), _mel(HIGHEST_HZ), NUM_BANDS + 2))
    bins = np.arange(WINDOW // 2 + 1)
    places = edges * WINDOW / SAMPLES_PER_SECOND
    left, middle, right = places[:-2], places[1:-1], places[2:]
    up = (bins[:, None] - left) / np.maximum(1, middle - left)
    down = (right - bins[:, None]) / np.maximum(1, right - middle)
    triangles = np.maximum(0, np.minimum(1 + np.minimum(0, up - 1), 1 + np.minimum(0, down - 1)))
    return (triangles / np.maximum(1e-9, triangles.sum(axis=0))).astype(np.float32)


def _mel(hz: float) -> float:
    return float(2595 * np.log10(1 + hz / 700))


def _hz(mel: FloatArray) -> FloatArray:
    return 700 * (10 ** (mel / 2595) - 1)
