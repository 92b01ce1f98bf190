"""The beat network: spectra in, how likely each frame is a beat, a downbeat and music with a beat, and the tempo.

A temporal convolution of about 60,000 numbers in plain NumPy; `choreai.music.training` makes its weights. It hears ten
seconds to either side of a frame, so a long sound is heard piece by piece with the same result.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self

import numpy as np
from safetensors.numpy import load_file
from scipy.ndimage import maximum_filter1d

from choreai.arrays import FloatArray
from choreai.music.spectrum import FRAMES_PER_SECOND, LEVEL_SECONDS, network_inputs

CHANNELS, KERNEL = 32, 5
DILATIONS = (1, 2, 4, 8, 16, 32, 64, 128)
CONTEXT = 1 + KERNEL // 2 * sum(DILATIONS)
"""Frames to either side that a frame's result depends on."""
MARGIN_FRAMES = CONTEXT + int(LEVEL_SECONDS * FRAMES_PER_SECOND)
QUIETEST_LOG = -8.0
"""Of a power: what is softer than -80 dB of full scale does not rise."""
BASS_BANDS, STROKE_PERCENTILE = 3, 97
"""Below 200 Hz; three frames of a hundred are a bass drum's."""
PIECE_FRAMES = 60 * FRAMES_PER_SECOND
"""A long sound is heard in pieces of so many frames, with the margin to either side."""
NUM_TRACES = 3
"""Beat, downbeat, and whether there is music with a beat."""
SLOWEST_BPM, FASTEST_BPM, NUM_TEMPI = 50.0, 220.0, 40
WEIGHTS = Path(__file__).with_name("beat_network.safetensors")


def tempo_place(bpm: float) -> float:
    """Return where a tempo lies among the classes, which are evenly spaced in its logarithm."""
    return float(np.log(bpm / SLOWEST_BPM) / np.log(FASTEST_BPM / SLOWEST_BPM) * (NUM_TEMPI - 1))


def class_bpm() -> FloatArray:
    """Return the tempo in the middle of each class."""
    return np.geomspace(SLOWEST_BPM, FASTEST_BPM, NUM_TEMPI).astype(np.float32)


@dataclass(frozen=True, eq=False)
class Heard:
    """What the network heard in T frames, 50 a second."""

    beat: FloatArray
    """(T,) probability that the frame is a beat."""
    downbeat: FloatArray
    """(T,) probability that a bar begins."""
    presence: FloatArray
    """(T,) probability that this is music with a beat."""
    rise: FloatArray
    """(T,) mean rise over the bands, in powers of ten: what begins to sound, whatever the network makes of it."""
    bass: FloatArray
    """(T,) how much the bass swells, from 0 to 1 where it swells as much as in the loudest strokes."""
    tempo: FloatArray
    """(seconds, NUM_TEMPI) logits of the tempo classes, a row a second; their mean over a sound is its tempo's."""

    def __len__(self) -> int:
        return len(self.beat)

    @classmethod
    def join(cls, pieces: "list[Heard]") -> Self:
        """Return the pieces one after the other."""
        names = ("beat", "downbeat", "presence", "rise", "bass", "tempo")
        return cls(**{name: np.concatenate([getattr(piece, name) for piece in pieces]) for name in names})


class BeatNetwork:
    """The network with its weights."""

    def __init__(self, weights: dict[str, FloatArray]) -> None:
        self._weights = {name: np.asarray(value, np.float32) for name, value in weights.items()}

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> Self:
        """Return the network in a file of `choreai.music.training`."""
        return cls(load_file(path))

    def logits(self, inputs: FloatArray) -> FloatArray:
        """Return (T, NUM_TRACES + NUM_TEMPI) for (T, F) inputs (`choreai.music.spectrum.network_inputs`)."""
        hidden = _elu(self._convolve(inputs, "enter", 1))
        for layer, dilation in enumerate(DILATIONS):
            wide = _elu(self._convolve(hidden, f"wide.{layer}", dilation))
            hidden = hidden + self._convolve(wide, f"mix.{layer}", 1)
        return self._convolve(_elu(hidden), "leave", 1)

    def logits_of(self, logs: FloatArray) -> FloatArray:
        """Return the logits for (T, NUM_BANDS) mel spectra, logarithms of powers; `hear` does it in bounded memory."""
        return self.logits(network_inputs(10 ** logs.astype(np.float32)))

    def _convolve(self, inputs: FloatArray, name: str, dilation: int) -> FloatArray:
        kernel, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]  # (out, in, k), (out,)
        num = kernel.shape[2]
        reach = num // 2 * dilation
        padded = np.pad(inputs, ((reach, reach), (0, 0)))
        result = np.broadcast_to(bias, (len(inputs), len(bias))).copy()
        for tap in range(num):
            result += padded[tap * dilation : tap * dilation + len(inputs)] @ kernel[:, :, tap].T
        return result


def _elu(values: FloatArray) -> FloatArray:
    return np.where(values > 0, values, np.expm1(np.minimum(values, 0)))


@cache
def shipped_network() -> BeatNetwork:
    """Return the network that comes with the package."""
    return BeatNetwork.load()


def hear(network: BeatNetwork, logs: FloatArray) -> Heard:
    """Return what the network hears in (T, NUM_BANDS) mel spectra, logarithms of powers; in bounded memory."""
    pieces = []
    rises, bass = rises_of(logs), bass_of(logs)
    for start in range(0, max(1, len(logs)), PIECE_FRAMES):
        stop = min(len(logs), start + PIECE_FRAMES)
        first, last = max(0, start - MARGIN_FRAMES), min(len(logs), stop + MARGIN_FRAMES)
        logits = network.logits_of(logs[first:last])[start - first : stop - first]
        pieces.append(_heard(logits, rises[start:stop], bass[start:stop]))
    return Heard.join(pieces)


def rises_of(logs: FloatArray) -> FloatArray:
    """Return (T,) the mean rise over the bands from frame to frame, of (T, NUM_BANDS) logarithms of powers."""
    floored = np.maximum(logs, QUIETEST_LOG).astype(np.float32)
    rises: FloatArray = np.maximum(0, np.diff(floored, axis=0, prepend=floored[:1])).mean(axis=1)
    return rises


def bass_of(logs: FloatArray) -> FloatArray:
    """Return (T,) how much the lowest bands swell over two frames, as shares of a loud stroke's swelling."""
    if not len(logs):
        return np.zeros(0, np.float32)
    level = np.sqrt((10 ** logs[:, :BASS_BANDS].astype(np.float32)).sum(axis=1))
    swell = maximum_filter1d(np.maximum(0, level - np.concatenate([level[:1], level[:1], level[:-2]])[: len(level)]), 3)
    return np.clip(swell / (np.percentile(swell, STROKE_PERCENTILE) + 1e-6), 0, 1).astype(np.float32)


def _heard(logits: FloatArray, rises: FloatArray, bass: FloatArray) -> Heard:
    beat, downbeat, presence = 1 / (1 + np.exp(-logits[:, :NUM_TRACES].T))
    starts = np.arange(0, len(logits), FRAMES_PER_SECOND)
    counts = np.diff(starts, append=len(logits))
    tempo = np.add.reduceat(logits[:, NUM_TRACES:], starts, axis=0) / counts[:, None] if len(logits) else logits[:, 3:]
    return Heard(beat, downbeat, presence, rises, bass, tempo)
