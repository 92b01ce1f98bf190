"""How loud a sound is: integrated loudness by ITU-R BS.1770 of the mono mix, in LUFS, its peak, and its silences."""

from dataclasses import dataclass, field

import numpy as np
from scipy import signal

from choreai.arrays import Float64Array, FloatArray

BLOCK_SECONDS = 0.4
"""Of the standard; blocks begin every quarter of one."""
GATE_LUFS, RELATIVE_GATE = -70.0, 10.0
SILENCE_LUFS = -55.0
"""A block below is silence: the hiss of a microphone, not its music."""
_OFFSET = -0.691


@dataclass
class LoudnessMeter:
    """Takes samples piece by piece."""

    samples_per_second: int
    peak: float = 0.0
    _quarters: list[float] = field(default_factory=list)
    _rest: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    _state: Float64Array | None = None

    def add(self, samples: FloatArray) -> None:
        """Take the next samples."""
        if not len(samples):
            return
        self.peak = max(self.peak, float(np.abs(samples).max()))
        sections = k_weighting(self.samples_per_second)
        if self._state is None:
            self._state = np.zeros((len(sections), 2))
        weighted, self._state = signal.sosfilt(sections, samples, zi=self._state)
        joined = np.concatenate([self._rest, weighted])
        size = round(BLOCK_SECONDS / 4 * self.samples_per_second)
        num = len(joined) // size
        self._quarters += (joined[: num * size].reshape(num, size) ** 2).mean(axis=1).tolist()
        self._rest = joined[num * size :]

    @property
    def lufs(self) -> float:
        """Integrated loudness; NaN where all is below -70 LUFS, or shorter than a block."""
        blocks = self._blocks()
        loud = blocks[_to_lufs(blocks) > GATE_LUFS]
        if not len(loud):
            return float("nan")
        gated = loud[_to_lufs(loud) > _to_lufs(loud.mean()) - RELATIVE_GATE]
        return float(_to_lufs(gated.mean()))

    @property
    def peak_dbfs(self) -> float:
        """The largest sample in dB of full scale; -120 for none."""
        return float(20 * np.log10(max(self.peak, 1e-6)))

    @property
    def silent_share(self) -> float:
        """The share of blocks below SILENCE_LUFS; 1 where there is none."""
        blocks = self._blocks()
        return float((_to_lufs(blocks) < SILENCE_LUFS).mean()) if len(blocks) else 1.0

    def _blocks(self) -> Float64Array:
        quarters = np.array(self._quarters)
        return np.convolve(quarters, np.full(4, 0.25), "valid") if len(quarters) >= 4 else np.zeros(0)


def _to_lufs(power: Float64Array) -> Float64Array:
    return _OFFSET + 10 * np.log10(np.maximum(power, 1e-12))


def k_weighting(samples_per_second: int) -> Float64Array:
    """Return the standard's two filters as second-order sections for any sampling rate."""
    shelf = _high_shelf(1681.974450955533, 3.999843853973347, 0.7071752369554196, samples_per_second)
    return np.stack([shelf, _high_pass(38.13547087602444, 0.5003270373238773, samples_per_second)])


def _high_shelf(hz: float, gain_db: float, q: float, rate: int) -> Float64Array:
    k, high = np.tan(np.pi * hz / rate), 10 ** (gain_db / 20)
    band = high**0.4996667741545416
    a0 = 1 + k / q + k * k
    b = [(high + band * k / q + k * k) / a0, 2 * (k * k - high) / a0, (high - band * k / q + k * k) / a0]
    return np.array([*b, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0])


def _high_pass(hz: float, q: float, rate: int) -> Float64Array:
    k = np.tan(np.pi * hz / rate)
    a0 = 1 + k / q + k * k
    return np.array([1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0])
