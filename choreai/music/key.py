"""The key of a piece: which of 24 profiles of listeners' ratings its pitch classes are most like.

The profiles are those of Krumhansl and Kessler (1982).
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array, FloatArray

NOTES = ("C", "C sharp", "D", "E flat", "E", "F", "F sharp", "G", "A flat", "A", "B flat", "B")
MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])
MIN_LIKENESS = 0.6
"""Correlation with the best profile below which a piece has no key: drums, noise."""
LOWEST_HZ, HIGHEST_HZ = 80.0, 2000.0


@dataclass(frozen=True)
class Key:
    """A key, and how much more like it the piece is than like the next best."""

    name: str
    confidence: float
    """The lead in correlation over the best other key, in [0, 1]."""


def pitch_classes(power: FloatArray, hz: FloatArray) -> Float64Array:
    """Return (12,) the energy of each pitch class, from C on, in (T, bins) power spectra: of their peaks only."""
    inside = (hz >= LOWEST_HZ) & (hz <= HIGHEST_HZ)
    levels = np.sqrt(power[:, inside])
    is_peak = np.zeros(levels.shape, bool)
    is_peak[:, 1:-1] = (levels[:, 1:-1] > levels[:, :-2]) & (levels[:, 1:-1] >= levels[:, 2:])
    is_peak &= levels > 0.05 * levels.max(axis=1, keepdims=True)
    classes = np.round(12 * np.log2(hz[inside] / 440) + 9).astype(int) % 12
    strengths = np.where(is_peak, levels, 0).sum(axis=0)
    energies: Float64Array = np.bincount(classes, weights=strengths, minlength=12).astype(np.float64)
    return energies


def find_key(classes: Float64Array) -> Key | None:
    """Return the key that (12,) energies of pitch classes are most like; None where they are like none."""
    if not classes.sum() or classes.std() < 1e-9:
        return None
    likeness = np.array(
        [np.corrcoef(classes, np.roll(profile, root))[0, 1] for profile in (MAJOR, MINOR) for root in range(12)]
    )
    best, second = np.argsort(likeness)[::-1][:2]
    if likeness[best] < MIN_LIKENESS:
        return None
    name = f"{NOTES[best % 12]} {'major' if best < 12 else 'minor'}"
    return Key(name, float(likeness[best] - likeness[second]))
