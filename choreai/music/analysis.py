"""Listen to a whole sound, piece by piece in bounded memory, and say what it is: `listen(samples)`."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from choreai.arrays import Float64Array, FloatArray
from choreai.music.beat_network import BeatNetwork, hear, shipped_network
from choreai.music.key import Key, find_key, pitch_classes
from choreai.music.landmarks import WINDOW as LANDMARK_WINDOW
from choreai.music.landmarks import Landmarks, find_landmarks
from choreai.music.loudness import LoudnessMeter
from choreai.music.rhythm import Bars, band_shares, find_bars, find_onsets, rhythm_pattern
from choreai.music.spectrum import HOP, NUM_BANDS, SAMPLES_PER_SECOND, WINDOW, mel_powers, power_spectra
from choreai.music.tempo import Pulse, find_pulse

MusicStatus = Literal["ok", "silent", "too_short", "no_beat"]
MIN_SECONDS = 3.0
"""Of sound: four beats of a slow piece."""
MAX_SECONDS = 4 * 3600.0
"""What comes later is not heard: it would take more memory than a worker has to spare."""
MIN_LUFS = -60.0
"""Below it a sound is silent: what a muted microphone hisses."""
_PIECE = 30 * SAMPLES_PER_SECOND // HOP * HOP
_KEY_WINDOW, _KEY_HOP = 4096, 4 * HOP


@dataclass(frozen=True, eq=False)
class Music:
    """What a sound is."""

    status: MusicStatus
    seconds: float
    """That were heard."""
    lufs: float
    """Integrated loudness of the mono mix by ITU-R BS.1770; NaN in silence."""
    peak_dbfs: float
    silent_share: float
    """The share of 0.4-s blocks below -55 LUFS."""
    band_shares: tuple[float, float, float]
    """Of the power: below 280 Hz, to 2 kHz, above."""
    key: Key | None
    onsets: Float64Array
    """Seconds."""
    pulse: Pulse | None
    """None where the status is neither "ok" nor "no_beat"."""
    bars: Bars | None
    """None where they are not clear."""
    rhythm: FloatArray | None
    """(3, steps of a bar), as `rhythm_pattern` has it."""
    landmarks: Landmarks

    @property
    def beats(self) -> Float64Array:
        """Seconds of the beats; none where there is no beat."""
        return self.pulse.beats.seconds if self.pulse is not None and self.status == "ok" else np.zeros(0)


def listen(pieces: Iterable[FloatArray], *, network: BeatNetwork | None = None) -> Music:
    """Return what a sound is, given as pieces of mono samples at SAMPLES_PER_SECOND."""
    listener = Listener()
    for piece in pieces:
        listener.add(piece)
    return listener.finish(network or shipped_network())


@dataclass
class Listener:
    """Takes samples piece by piece, and keeps only what is measured of them."""

    num_samples: int = 0
    _meter: LoudnessMeter = field(default_factory=lambda: LoudnessMeter(SAMPLES_PER_SECOND))
    _held: list[FloatArray] = field(default_factory=lambda: [np.zeros(WINDOW // 2, np.float32)])
    _num_held: int = WINDOW // 2
    _logs: list[FloatArray] = field(default_factory=list)
    _landmarks: list[Landmarks] = field(default_factory=list)
    _classes: Float64Array = field(default_factory=lambda: np.zeros(12))

    def add(self, samples: FloatArray) -> None:
        """Take the next samples; those beyond MAX_SECONDS are left out."""
        samples = samples[: max(0, int(MAX_SECONDS * SAMPLES_PER_SECOND) - self.num_samples)]
        self.num_samples += len(samples)
        self._meter.add(samples)
        self._held.append(samples)
        self._num_held += len(samples)
        if self._num_held >= _PIECE + LANDMARK_WINDOW:
            self._measure(is_last=False)

    def finish(self, network: BeatNetwork) -> Music:
        """Return what the sound is."""
        self._held.append(np.zeros(WINDOW // 2, np.float32))
        self._num_held += WINDOW // 2
        self._measure(is_last=True)
        logs = np.concatenate([np.zeros((0, NUM_BANDS), np.float16), *self._logs])
        pulse = bars = rhythm = None
        status = self._status()
        if status == "ok":
            heard = hear(network, logs)
            pulse = find_pulse(heard)
            status = "ok" if pulse.has_beat else "no_beat"
            bars = find_bars(heard, pulse.beats) if status == "ok" else None
            rhythm = rhythm_pattern(logs, pulse.beats, bars) if bars else None
        is_heard = status in ("ok", "no_beat")
        return Music(
            status=status,
            seconds=self.num_samples / SAMPLES_PER_SECOND,
            lufs=self._meter.lufs,
            peak_dbfs=self._meter.peak_dbfs,
            silent_share=self._meter.silent_share,
            band_shares=band_shares(logs),
            key=find_key(self._classes) if is_heard else None,
            onsets=find_onsets(logs) if is_heard else np.zeros(0),
            pulse=pulse,
            bars=bars,
            rhythm=rhythm,
            landmarks=Landmarks.join(self._landmarks),
        )

    def _status(self) -> MusicStatus:
        if self.num_samples < MIN_SECONDS * SAMPLES_PER_SECOND:
            return "too_short"
        return "ok" if self._meter.lufs >= MIN_LUFS else "silent"  # NaN is silence too

    def _measure(self, *, is_last: bool) -> None:
        """Measure what is held but for its last window, which the next piece begins with."""
        joined = np.concatenate(self._held)
        num_frames = max(0, (len(joined) - WINDOW) // HOP + 1) if is_last else (len(joined) - LANDMARK_WINDOW) // HOP
        if num_frames:
            power = power_spectra(joined[: (num_frames - 1) * HOP + WINDOW])
            self._logs.append(np.log10(mel_powers(power) + 1e-10).astype(np.float16))
        first = sum(len(piece) for piece in self._logs) - num_frames
        with_room = joined if is_last else joined[: (num_frames - 1) * HOP + LANDMARK_WINDOW]
        self._landmarks.append(find_landmarks(with_room, first_frame=first))
        self._classes += _pitch_classes(joined[: num_frames * HOP])
        self._held = [joined[num_frames * HOP :]]
        self._num_held = len(self._held[0])


def _pitch_classes(samples: FloatArray) -> Float64Array:
    """Return the energies of the pitch classes, by windows long enough to tell a semitone in the bass."""
    if len(samples) < _KEY_WINDOW:
        return np.zeros(12)
    windows = np.lib.stride_tricks.sliding_window_view(samples, _KEY_WINDOW)[::_KEY_HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(_KEY_WINDOW), axis=1)) ** 2
    return pitch_classes(power.astype(np.float32), np.fft.rfftfreq(_KEY_WINDOW, 1 / SAMPLES_PER_SECOND))
