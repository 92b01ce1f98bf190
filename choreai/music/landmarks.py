"""Landmarks of a sound: its most prominent peaks in time and frequency, by which a song is known again through noise.

After Wang (2003), with pitch as a logarithm: a song played faster moves all landmarks by one step and one factor.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import fft
from scipy.ndimage import maximum_filter

from choreai.arrays import Float64Array, FloatArray, Int32Array
from choreai.music.spectrum import HOP, SAMPLES_PER_SECOND

WINDOW = 2048
LOWEST_HZ, HIGHEST_HZ = 200.0, 4500.0
STEPS_PER_OCTAVE = 96
"""Of pitches as they are kept."""
PER_SECOND = 14
"""Landmarks kept of each second: the most prominent."""
LEAD = 512
"""Zeros before the first sample: half a window of the mel spectra, whose frames these are."""
_PIECE_SAMPLES = 30 * SAMPLES_PER_SECOND
REACH_FRAMES, REACH_BINS = 5, 9
"""A landmark is the highest point within so much time and frequency: 0.1 s and 97 Hz."""


@dataclass(frozen=True, eq=False)
class Landmarks:
    """N landmarks in the order of time."""

    frames: Int32Array
    """(N,) hops of 20 ms since the sound began."""
    pitches: Int32Array
    """(N,) steps above LOWEST_HZ, STEPS_PER_OCTAVE of them in an octave."""

    def __post_init__(self) -> None:
        if self.frames.shape != self.pitches.shape or self.frames.ndim != 1:
            raise ValueError(f"frames and pitches must be (N,), got {self.frames.shape} and {self.pitches.shape}")

    def __len__(self) -> int:
        return len(self.frames)

    def between(self, start: int, stop: int) -> "Landmarks":
        """Return those of the frames [start, stop)."""
        chosen = slice(*np.searchsorted(self.frames, [start, stop]))
        return Landmarks(self.frames[chosen], self.pitches[chosen])

    @classmethod
    def join(cls, pieces: "list[Landmarks]") -> "Landmarks":
        """Return the pieces one after the other."""
        nothing = np.zeros(0, np.int32)
        frames = np.concatenate([nothing, *(piece.frames for piece in pieces)])
        return cls(frames, np.concatenate([nothing, *(piece.pitches for piece in pieces)]))


def find_landmarks(samples: FloatArray, *, first_frame: int = 0) -> Landmarks:
    """Return the landmarks of `samples`, whose first window of WINDOW samples is `first_frame`."""
    if len(samples) < WINDOW:
        return Landmarks.join([])
    windows = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    low, high = (round(hz * WINDOW / SAMPLES_PER_SECOND) for hz in (LOWEST_HZ, HIGHEST_HZ))
    spectra = fft.rfft(windows * np.hanning(WINDOW).astype(np.float32), axis=1)[:, low - 1 : high + 2]
    logs = np.log10(np.abs(spectra) + 1e-4)
    heights = logs - np.median(logs, axis=1, keepdims=True)
    is_peak = maximum_filter(logs, (2 * REACH_FRAMES + 1, 2 * REACH_BINS + 1)) == logs
    is_peak[:, [0, -1]] = False
    is_peak &= logs > -2.5  # nothing sounds
    frames, bins = np.nonzero(is_peak)
    kept = _most_prominent(frames, heights[frames, bins])
    frames, bins = frames[kept], bins[kept]
    hz = (bins + low - 1 + _peak_shift(logs, frames, bins)) * SAMPLES_PER_SECOND / WINDOW
    pitches = np.round(STEPS_PER_OCTAVE * np.log2(hz / LOWEST_HZ)).astype(np.int32)
    return Landmarks((frames + first_frame).astype(np.int32), pitches)


def _most_prominent(frames: "np.ndarray[tuple[int, ...], np.dtype[np.int64]]", heights: FloatArray) -> Float64Array:
    """Return which peaks are among the PER_SECOND highest of their second, in the order of time."""
    seconds = frames * HOP // SAMPLES_PER_SECOND
    order = np.lexsort((-heights, seconds))
    ranks = np.arange(len(order)) - np.searchsorted(seconds[order], seconds[order])
    return np.sort(order[ranks < PER_SECOND])


def _peak_shift(logs: FloatArray, frames: Float64Array, bins: Float64Array) -> FloatArray:
    """Return by how many bins the top of a parabola through each peak and its neighbours lies beside the bin."""
    left, middle, right = (logs[frames, bins + k] for k in (-1, 0, 1))
    bend = left - 2 * middle + right
    return np.where(bend < -1e-6, 0.5 * (left - right) / np.minimum(bend, -1e-6), 0)


def landmarks_of(pieces: Iterable[FloatArray]) -> Landmarks:
    """Return the landmarks of a whole sound, given as pieces of mono samples at SAMPLES_PER_SECOND.

    The same as `choreai.music.analysis.Listener` finds: the sound begins in the middle of a window of the mel spectra.
    """
    found: list[Landmarks] = []
    held: list[FloatArray] = [np.zeros(LEAD, np.float32)]
    num_held, first = LEAD, 0
    for piece in pieces:
        held.append(piece)
        num_held += len(piece)
        if num_held >= _PIECE_SAMPLES + WINDOW:
            joined = np.concatenate(held)
            num = (len(joined) - WINDOW) // HOP
            found.append(find_landmarks(joined[: (num - 1) * HOP + WINDOW], first_frame=first))
            first += num
            held = [joined[num * HOP :]]
            num_held = len(held[0])
    found.append(find_landmarks(np.concatenate(held), first_frame=first))
    return Landmarks.join(found)
