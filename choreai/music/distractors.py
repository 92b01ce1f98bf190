"""Sounds without a beat: speech, crowds, noise, animals, machines, tones, and playing without time.

The beat network learns from them that most of the world has no tempo.
"""

import numpy as np
from scipy import signal

from choreai.arrays import Float64Array, FloatArray
from choreai.music import instruments
from choreai.music.instruments import SAMPLES_PER_SECOND

Rng = np.random.Generator


def draw_distractor(rng: Rng, *, seconds: float = 20.0) -> FloatArray:
    """Return a sound without a beat, mono, at SAMPLES_PER_SECOND, at a random level; perhaps two at once."""
    num = int(seconds * SAMPLES_PER_SECOND)
    kinds = rng.choice(len(_KINDS), 1 if rng.random() < 0.7 else 2, p=_SHARES)
    mix = sum(_KINDS[int(kind)](num, rng) * rng.uniform(0.3, 1) for kind in kinds)
    mix = mix / (np.abs(mix).max() + 1e-9) * 10 ** (-rng.uniform(0, 40) / 20)
    if rng.random() < 0.15:
        mix = mix * 0  # silence, but for what a microphone hisses
    if rng.random() < 0.6:
        mix = mix + rng.normal(size=num) * 10 ** (-rng.uniform(35, 90) / 20)
    return mix.astype(np.float32)


def _put(mix: Float64Array, sound: FloatArray, at: int, gain: float) -> None:
    stop = min(len(mix), at + len(sound))
    if stop > at:
        mix[at:stop] += gain * sound[: stop - at]


def draw_speech(num: int, rng: Rng) -> Float64Array:
    """Return something like speech: syllables of a buzz through formants and hisses, with breaths between phrases."""
    mix = np.zeros(num)
    vowel, hiss = instruments.voice(rng), instruments.shaker(rng)
    pitch, pace, at = rng.uniform(85, 260), rng.uniform(3, 6.5), 0
    while at < num:
        for _ in range(int(rng.integers(3, 18))):
            length = float(rng.gamma(4, 1 / (4 * pace)))
            _put(mix, vowel(pitch * float(np.exp(rng.normal(0, 0.12))), 0.9 * length), at, rng.uniform(0.4, 1))
            if rng.random() < 0.5:
                _put(mix, hiss(0, 0), at, rng.uniform(0, 0.5))
            at += int((length + 0.01) * SAMPLES_PER_SECOND)
        at += int(rng.uniform(0.1, 1.2) * SAMPLES_PER_SECOND)
    return mix


def draw_crowd(num: int, rng: Rng) -> FloatArray:
    """Return people in a hall: babble, cheers, applause and shouts, of power 1."""
    phrase = draw_speech(min(num, 4 * SAMPLES_PER_SECOND), rng)
    others = (draw_speech(len(phrase), rng) for _ in range(2))
    babble = phrase + sum(np.roll(other, int(rng.integers(9999))) for other in others)
    mix = np.resize(babble, num) + 0.3 * _swelling(num, rng) * rng.normal(size=num)
    if rng.random() < 0.5:
        mix = np.add(mix, draw_applause(num, rng) * rng.uniform(0.2, 1))
    return (mix / (mix.std() + 1e-9)).astype(np.float32)


def draw_applause(num: int, rng: Rng) -> Float64Array:
    """Return many hands that clap, each at its own time."""
    mix = np.zeros(num)
    claps = [instruments.clap(rng)(0, 0) for _ in range(6)]
    for at in rng.integers(0, num, int(num / SAMPLES_PER_SECOND * rng.uniform(5, 40))):
        _put(mix, claps[int(rng.integers(6))], int(at), rng.uniform(0.1, 1))
    return mix * _swelling(num, rng)


def _swelling(num: int, rng: Rng) -> Float64Array:
    """Return a level that wanders."""
    points = rng.uniform(0, 1, max(2, num // SAMPLES_PER_SECOND)) ** 2
    return np.interp(np.linspace(0, len(points) - 1, num), np.arange(len(points)), points)


def _coloured(num: int, rng: Rng) -> Float64Array:
    """Return noise of any colour: wind, traffic, the sea, hum."""
    noise = rng.normal(size=num)
    if rng.random() < 0.7:
        low = rng.uniform(30, 3000)
        sos = signal.butter(1, [low, min(10_500, low * rng.uniform(2, 20))], "bandpass", fs=22_050, output="sos")
        noise = signal.sosfilt(sos, noise)
    if rng.random() < 0.6:
        noise = noise * _swelling(num, rng)
    if rng.random() < 0.3:
        noise = noise + np.sin(2 * np.pi * 50 * np.arange(num) / SAMPLES_PER_SECOND) * rng.uniform(0, 3)
    return noise / (noise.std() + 1e-9)


def _calls(num: int, rng: Rng) -> Float64Array:
    """Return animals and sirens: tones that glide, at any moment, as whales, birds and wolves have them."""
    mix, at = np.zeros(num), 0
    top = float(rng.choice([400, 1500, 5000]))
    while at < num:
        length = rng.uniform(0.05, 4) if top < 2000 else rng.uniform(0.03, 0.6)
        t = np.arange(int(length * SAMPLES_PER_SECOND)) / SAMPLES_PER_SECOND
        pitch = np.interp(t / length, np.linspace(0, 1, 4), rng.uniform(0.15, 1, 4) * top)
        phase = 2 * np.pi * np.cumsum(pitch) / SAMPLES_PER_SECOND
        tones = np.sin(phase) + rng.uniform(0, 0.7) * np.sin(2 * phase) + rng.uniform(0, 0.5) * np.sin(3 * phase)
        _put(mix, tones * np.sin(np.pi * t / length) ** 0.5, at, rng.uniform(0.3, 1))
        at += int((length + rng.exponential(1.0)) * SAMPLES_PER_SECOND)
    return mix


def _strokes_at_random(num: int, rng: Rng) -> Float64Array:
    """Return drums or clicks at moments that no pulse explains: rain, a kitchen, typing, building work."""
    mix = np.zeros(num)
    notes = [instruments.DRUMS[int(rng.integers(len(instruments.DRUMS)))](rng)(0, 0) for _ in range(4)]
    for at in rng.integers(0, num, int(num / SAMPLES_PER_SECOND * rng.uniform(0.5, 12)) + 1):
        _put(mix, notes[int(rng.integers(len(notes)))], int(at), rng.uniform(0.2, 1))
    return mix


def _playing_without_time(num: int, rng: Rng) -> Float64Array:
    """Return one instrument or voice alone, its notes of any length."""
    mix, at = np.zeros(num), 0
    note = instruments.voice(rng) if rng.random() < 0.3 else instruments.tone(rng)
    semitone, longest = rng.uniform(45, 75), rng.uniform(0.4, 2.0)
    while at < num:
        length = float(rng.uniform(0.12, longest) ** rng.choice([1.0, 1.5]))
        semitone = float(np.clip(semitone + rng.integers(-4, 5), 40, 84))
        _put(mix, note(440 * 2 ** ((semitone - 69) / 12), length), at, rng.uniform(0.4, 1))
        at += int((length + (rng.uniform(0.2, 1.5) if rng.random() < 0.15 else 0)) * SAMPLES_PER_SECOND)
    return mix


def _drone(num: int, rng: Rng) -> Float64Array:
    """Return chords that are held for many seconds."""
    t = np.arange(num) / SAMPLES_PER_SECOND
    mix = np.zeros(num)
    for _ in range(int(rng.integers(2, 7))):
        pitch = 440 * 2 ** ((rng.uniform(30, 80) - 69) / 12)
        mix += np.sin(2 * np.pi * pitch * t + rng.uniform(0, 6)) * np.clip(_swelling(num, rng) * 2, 0, 1)
    return mix / 3


_KINDS = (draw_speech, draw_crowd, draw_applause, _coloured, _calls, _strokes_at_random, _playing_without_time, _drone)
_SHARES = (0.24, 0.1, 0.06, 0.14, 0.14, 0.1, 0.16, 0.06)
