"""Music that is computed, with its beats known to the sample: what the beat network learns.

`draw_song(rng)` is a piece with drums, bass, chords, melody or some of them, at 60 to 200 bpm, in a room, with noise
and people; `draw_distractor(rng)` in `choreai.music.distractors` is anything else. All follows from the generator.
"""

from dataclasses import dataclass

import numpy as np
from scipy import signal

from choreai.arrays import Float64Array, FloatArray
from choreai.music import instruments
from choreai.music.distractors import draw_crowd
from choreai.music.instruments import SAMPLES_PER_SECOND, Note
from choreai.music.patterns import Layer, Meter, draw_layers, draw_meter

Rng = np.random.Generator
SCALES = ((0, 2, 4, 5, 7, 9, 11), (0, 2, 3, 5, 7, 8, 10), (0, 2, 3, 5, 7, 9, 10), (0, 3, 5, 7, 10))
_DRUMS = {drum.__name__: drum for drum in (*instruments.DRUMS, instruments.crash)}


@dataclass(frozen=True, eq=False)
class Song:
    """A piece of sound and the truth about it."""

    samples: FloatArray
    """Mono, at SAMPLES_PER_SECOND."""
    beats: Float64Array
    """Seconds of the beats; empty where there is none."""
    is_downbeat: Float64Array
    """1 for beats that begin a bar."""
    bpm: float
    """0 without a beat."""


@dataclass(frozen=True, eq=False)
class Grid:
    """When each step of each bar sounds."""

    meter: Meter
    step_seconds: Float64Array
    """Of all steps, swing and drift included."""

    @property
    def beats(self) -> Float64Array:
        """Seconds of the beats."""
        return self.step_seconds[:: self.meter.steps_per_beat]


def draw_bpm(rng: Rng, meter: Meter) -> float:
    """Return a tempo, most often 80 to 150: how people count, whatever the pattern."""
    while True:
        bpm = float(np.exp(rng.normal(np.log(112), 0.28)))
        if 60 <= bpm <= 200:
            return bpm if meter.steps_per_beat == 4 else min(bpm, 160.0)


def make_grid(meter: Meter, bpm: float, seconds: float, rng: Rng, *, loose: bool = True) -> Grid:
    """Return the steps of a piece: swung, drifting and beginning anywhere in the first bar."""
    num_beats = int(seconds * bpm / 60) + 2 * meter.beats + 2
    beat_seconds = np.full(num_beats, 60 / bpm)
    if loose and rng.random() < 0.3:
        wave = np.sin(2 * np.pi * np.arange(num_beats) / rng.uniform(8, 40) + rng.uniform(0, 6))
        beat_seconds *= 1 + rng.uniform(0, 0.03) * wave
    starts = np.concatenate([[0.0], np.cumsum(beat_seconds)])
    inside = np.arange(meter.steps_per_beat) / meter.steps_per_beat
    if loose and meter.steps_per_beat == 4 and rng.random() < 0.3:
        swing = rng.uniform(0.5, 0.68)
        inside = np.array([0, swing / 2, 0.5, 0.5 + swing / 2]) if rng.random() < 0.5 else _warped(inside, swing)
    steps = (starts[:-1, None] + inside * beat_seconds[:, None]).ravel()
    return Grid(meter, steps - rng.uniform(0, meter.beats) * 60 / bpm)


def _warped(inside: Float64Array, swing: float) -> Float64Array:
    """Return the places in a beat with its middle at `swing`."""
    return np.interp(inside, [0, 0.5, 1], [0, swing, 1])


def draw_song(rng: Rng, *, seconds: float = 20.0) -> Song:
    """Return a random piece in random surroundings."""
    meter = draw_meter(rng)
    bpm = draw_bpm(rng, meter)
    grid = make_grid(meter, bpm, seconds, rng)
    samples = play(grid, draw_layers(meter, rng), rng, seconds=seconds)
    return finish(samples, grid, bpm, rng)


def play(grid: Grid, layers: list[Layer], rng: Rng, *, seconds: float, tonal: bool | None = None) -> FloatArray:
    """Return the drums of `layers`, with bass, chords and melody where `tonal` (None: at random)."""
    mix = np.zeros(int(seconds * SAMPLES_PER_SECOND), np.float32)
    jitter = rng.choice([0.0, 0.004, 0.012])
    has_tones = rng.random() < 0.7 if tonal is None else tonal
    has_drums = not has_tones or rng.random() < 0.93
    rests = _rests(grid, rng) if has_tones else np.ones(len(grid.step_seconds))
    for layer in layers if has_drums else []:
        note = _DRUMS[layer.drum](rng)
        strokes = np.resize(layer.strokes, len(grid.step_seconds)) * rests
        gain = rng.uniform(0.3, 1.0) * (1.3 if layer.drum in ("kick", "snare", "skin") else 0.6)
        for step in np.flatnonzero(strokes):
            at = grid.step_seconds[step] + rng.normal(0, jitter)
            _add(mix, note(0, 0), at, gain * strokes[step] * rng.uniform(0.85, 1))
    if has_tones:
        _add_tones(mix, grid, rng, loud=1.0 if has_drums else 2.0)
    return mix


def _rests(grid: Grid, rng: Rng) -> Float64Array:
    """Return 1 where the drums play; a bar or four of silence in one piece of five."""
    playing = np.ones(len(grid.step_seconds))
    if rng.random() < 0.2:
        start = int(rng.integers(0, len(playing)))
        playing[start : start + grid.meter.steps * int(rng.integers(1, 5))] = 0
    return playing


def _add(mix: FloatArray, note: FloatArray, seconds: float, gain: float) -> None:
    start = round(seconds * SAMPLES_PER_SECOND)
    first = max(0, -start)
    stop = min(len(note), len(mix) - start)
    if stop > first:
        mix[start + first : start + stop] += np.float32(gain) * note[first:stop]


def _add_tones(mix: FloatArray, grid: Grid, rng: Rng, *, loud: float) -> None:
    """Add bass, chords and melody over a progression of four chords."""
    root, scale = rng.uniform(36, 48), SCALES[int(rng.integers(len(SCALES)))]
    degrees = [0, *rng.integers(0, len(scale), 3)]
    bars_each = int(rng.choice([1, 1, 2]))
    for part, chance in ((_play_bass, 0.7), (_play_chords, 0.65), (_play_melody, 0.4)):
        if rng.random() < chance:
            part(mix, grid, root, scale, degrees, bars_each, loud * rng.uniform(0.15, 0.7), rng)


def _pitch(semitones: float) -> float:
    return 440 * 2 ** ((semitones - 69) / 12)


def _degree(scale: tuple[int, ...], degree: int) -> int:
    return scale[degree % len(scale)] + 12 * (degree // len(scale))


def _chord_at(grid: Grid, step: int, degrees: list[int], bars_each: int) -> int:
    return degrees[(step // grid.meter.steps // bars_each) % len(degrees)]


def _onsets(grid: Grid, rng: Rng, density: float) -> Float64Array:
    """Return a pattern of one bar over all steps, with the first beat likely."""
    meter = grid.meter
    one = rng.random(meter.steps) < density
    one[:: meter.steps_per_beat] |= rng.random(meter.beats) < density
    one[0] = rng.random() < 0.9
    return np.resize(one.astype(float), len(grid.step_seconds))


def _lengths(onsets: Float64Array, grid: Grid) -> list[tuple[int, float]]:
    """Return each onset's step and the seconds to the next."""
    steps = np.flatnonzero(onsets)
    times = grid.step_seconds[steps]
    return list(zip(steps.tolist(), np.diff(times, append=times[-1:] + 0.5).tolist(), strict=True))


def _play_bass(
    mix: FloatArray,
    grid: Grid,
    root: float,
    scale: tuple[int, ...],
    degrees: list[int],
    bars_each: int,
    gain: float,
    rng: Rng,
) -> None:
    note = instruments.bass(rng)
    short = rng.uniform(0.3, 1.0)
    for step, length in _lengths(_onsets(grid, rng, rng.uniform(0.1, 0.5)), grid):
        degree = _chord_at(grid, step, degrees, bars_each) + int(rng.choice([0, 0, 0, 4, 2]))
        _add(mix, note(_pitch(root + _degree(scale, degree)), min(1.0, short * length)), grid.step_seconds[step], gain)


def _play_chords(
    mix: FloatArray,
    grid: Grid,
    root: float,
    scale: tuple[int, ...],
    degrees: list[int],
    bars_each: int,
    gain: float,
    rng: Rng,
) -> None:
    note = instruments.tone(rng)
    kind, meter = rng.random(), grid.meter
    onsets = _onsets(grid, rng, rng.uniform(0.05, 0.4))
    if kind < 0.25:  # held for a bar
        onsets = np.zeros(len(onsets))
        onsets[:: meter.steps] = 1
    elif kind < 0.4 and meter.steps_per_beat % 2 == 0:  # on the off-beats
        onsets = np.zeros(len(onsets))
        onsets[meter.steps_per_beat // 2 :: meter.steps_per_beat] = 1
    played: dict[int, FloatArray] = {}
    for step, length in _lengths(onsets, grid):
        degree = _chord_at(grid, step, degrees, bars_each)
        if degree not in played:
            tones = [note(_pitch(root + 12 + _degree(scale, degree + k)), min(1.5, 0.9 * length)) for k in (0, 2, 4)]
            played[degree] = np.mean(tones, axis=0, dtype=np.float32)
        _add(mix, played[degree], grid.step_seconds[step], gain * rng.uniform(0.8, 1))


def _play_melody(
    mix: FloatArray,
    grid: Grid,
    root: float,
    scale: tuple[int, ...],
    degrees: list[int],
    bars_each: int,
    gain: float,
    rng: Rng,
) -> None:
    note: Note = instruments.tone(rng) if rng.random() < 0.7 else instruments.voice(rng)
    degree = 0
    for step, length in _lengths(_onsets(grid, rng, rng.uniform(0.15, 0.5)), grid):
        degree = int(np.clip(degree + rng.integers(-2, 3), -3, 10))
        at = grid.step_seconds[step] + rng.normal(0, 0.01)
        _add(mix, note(_pitch(root + 24 + _degree(scale, degree)), min(1.2, 0.9 * length)), at, gain)


def finish(samples: FloatArray, grid: Grid, bpm: float, rng: Rng) -> Song:
    """Return the piece as a phone in the room would record it, with its beats."""
    recorded = surround(samples, rng)
    beats = grid.beats
    is_downbeat = (np.arange(len(beats)) % grid.meter.beats == 0).astype(float)
    inside = (beats >= 0) & (beats < len(samples) / SAMPLES_PER_SECOND)
    return Song(recorded, beats[inside], is_downbeat[inside], bpm)


def surround(samples: FloatArray, rng: Rng) -> FloatArray:
    """Return the sound after a room, a filter, a limiter, noise and people, each at random, and at a random level."""
    samples = samples / max(1e-6, float(np.abs(samples).max()))
    if rng.random() < 0.5:
        samples = add_room(samples, rng.uniform(0.1, 1.2), rng.uniform(0.05, 0.6), rng)
    if rng.random() < 0.5:
        samples = _filtered(samples, rng)
    if rng.random() < 0.4:
        samples = np.tanh(samples * rng.uniform(1, 6))
    level = float(np.sqrt(np.mean(samples**2))) + 1e-9
    if rng.random() < 0.6:
        samples = samples + _noise(len(samples), rng) * level * 10 ** (-rng.uniform(3, 35) / 20)
    if rng.random() < 0.4:
        samples = samples + draw_crowd(len(samples), rng) * level * 10 ** (-rng.uniform(2, 25) / 20)
    peak = float(np.abs(samples).max()) + 1e-9
    return (samples / peak * 10 ** (-rng.uniform(0, 35) / 20)).astype(np.float32)


def add_room(samples: FloatArray, seconds: float, share: float, rng: Rng) -> FloatArray:
    """Return the sound with the reverberation of a room: noise that decays by 60 dB in `seconds`."""
    t = np.arange(int(seconds * SAMPLES_PER_SECOND)) / SAMPLES_PER_SECOND
    tail = (rng.normal(size=len(t)) * 10 ** (-3 * t / seconds)).astype(np.float32)
    wet = signal.oaconvolve(samples, tail)[: len(samples)]
    wet *= np.sqrt(np.mean(samples**2) / (np.mean(wet**2) + 1e-12))
    return ((1 - share) * samples + share * wet).astype(np.float32)


def _filtered(samples: FloatArray, rng: Rng) -> FloatArray:
    kinds = [("lowpass", rng.uniform(1500, 9000)), ("highpass", rng.uniform(40, 500))]
    kind, frequency = kinds[int(rng.integers(2))]
    sos = signal.butter(int(rng.integers(1, 4)), frequency, kind, fs=SAMPLES_PER_SECOND, output="sos")
    return signal.sosfilt(sos, samples).astype(np.float32)


def _noise(num: int, rng: Rng) -> FloatArray:
    """Return white to brown noise of power 1."""
    colour = rng.uniform(0, 2)
    spectrum = np.fft.rfft(rng.normal(size=num))
    spectrum *= np.maximum(1, np.arange(len(spectrum))) ** (-colour / 2)
    noise = np.fft.irfft(spectrum, num)
    return (noise / (noise.std() + 1e-9)).astype(np.float32)
