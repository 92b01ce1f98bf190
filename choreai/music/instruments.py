"""Instruments that are computed: each note is drawn anew from a few random numbers, so no sample library is needed.

All return mono float32 at `SAMPLES_PER_SECOND`, peak about 1. An instrument is a function of a generator, called once
a song; it returns a function of the pitch in Hz and the length in seconds, called once a note.
"""

from collections.abc import Callable

import numpy as np
from scipy import signal

from choreai.arrays import Float64Array, FloatArray

SAMPLES_PER_SECOND = 22_050
Note = Callable[[float, float], FloatArray]
"""A note of one song's instrument, by pitch in Hz and length in seconds; drums ignore both."""
Rng = np.random.Generator


def _times(seconds: float) -> Float64Array:
    return np.arange(max(32, int(seconds * SAMPLES_PER_SECOND))) / SAMPLES_PER_SECOND


def _peak_one(samples: Float64Array) -> FloatArray:
    return (samples / max(1e-9, float(np.abs(samples).max()))).astype(np.float32)


def _band(noise: Float64Array, low: float, high: float, order: int = 2) -> Float64Array:
    top = SAMPLES_PER_SECOND / 2 * 0.98
    sos = signal.butter(order, [min(low, top * 0.8), min(high, top)], "bandpass", fs=SAMPLES_PER_SECOND, output="sos")
    filtered: Float64Array = signal.sosfilt(sos, noise)
    return filtered


def _once(samples: FloatArray) -> Note:
    return lambda pitch, seconds: samples


def kick(rng: Rng) -> Note:
    """Return a bass drum: a tone that falls, and a click."""
    high, low = rng.uniform(90, 320), rng.uniform(38, 70)
    fall, decay = rng.uniform(0.01, 0.06), rng.uniform(0.06, 0.35)
    t = _times(4 * decay)
    phase = 2 * np.pi * np.cumsum(low + (high - low) * np.exp(-t / fall)) / SAMPLES_PER_SECOND
    click = rng.normal(size=len(t)) * np.exp(-t / 0.003) * rng.uniform(0, 0.4)
    return _once(_peak_one(np.tanh(np.sin(phase) * np.exp(-t / decay) * rng.uniform(1, 3)) + click))


def snare(rng: Rng) -> Note:
    """Return a snare drum: a tone and a band of noise."""
    decay, tone = rng.uniform(0.04, 0.2), rng.uniform(150, 280)
    t = _times(4 * decay)
    noise = _band(rng.normal(size=len(t)), rng.uniform(300, 1800), rng.uniform(5000, 10_000))
    body = np.sin(2 * np.pi * tone * t) * np.exp(-t / (decay * 0.5)) * rng.uniform(0.1, 1.2)
    return _once(_peak_one(noise * np.exp(-t / decay) * rng.uniform(0.5, 1.5) + body))


def clap(rng: Rng) -> Note:
    """Return a hand clap: a few bursts of noise."""
    t = _times(0.3)
    envelope = np.zeros(len(t))
    for start in np.sort(rng.uniform(0, 0.03, rng.integers(2, 5))):
        envelope += np.where(t >= start, np.exp(-(t - start) / rng.uniform(0.003, 0.05)), 0)
    return _once(_peak_one(_band(rng.normal(size=len(t)), rng.uniform(600, 1200), rng.uniform(2500, 8000)) * envelope))


def hat(rng: Rng, decay: float | None = None) -> Note:
    """Return a closed or open hi-hat: high noise, or a bundle of squares."""
    decay = decay or rng.uniform(0.008, 0.07)
    t = _times(5 * decay)
    noise = rng.normal(size=len(t))
    if rng.random() < 0.4:
        noise = sum(np.sign(np.sin(2 * np.pi * rng.uniform(2000, 9000) * t)) for _ in range(5)) + 0.2 * noise
    return _once(_peak_one(_band(noise, rng.uniform(3000, 7000), 10_700) * np.exp(-t / decay)))


def open_hat(rng: Rng) -> Note:
    """Return an open hi-hat or a ride cymbal."""
    return hat(rng, rng.uniform(0.1, 0.4))


def crash(rng: Rng) -> Note:
    """Return a crash cymbal."""
    return hat(rng, rng.uniform(0.5, 1.2))


def shaker(rng: Rng) -> Note:
    """Return a shaker or a brush: noise that swells."""
    rise, decay = rng.uniform(0.005, 0.04), rng.uniform(0.02, 0.07)
    t = _times(rise + 4 * decay)
    envelope = np.minimum(1, t / rise) * np.exp(-np.maximum(0, t - rise) / decay)
    return _once(_peak_one(_band(rng.normal(size=len(t)), rng.uniform(2000, 5000), 10_500) * envelope))


def woodblock(rng: Rng) -> Note:
    """Return a short struck thing: rim, clave, woodblock, cowbell, triangle."""
    pitch, decay = rng.uniform(500, 4500), rng.choice([rng.uniform(0.008, 0.05), rng.uniform(0.05, 0.3)])
    t = _times(5 * decay)
    tones = sum(np.sin(2 * np.pi * pitch * ratio * t) * rng.uniform(0.1, 1) for ratio in (1, *rng.uniform(1.2, 3, 2)))
    return _once(_peak_one(tones * np.exp(-t / decay)))


def skin(rng: Rng) -> Note:
    """Return a drum struck by hand: conga, tom, djembe, tabla."""
    pitch, decay, bend = rng.uniform(70, 500), rng.uniform(0.04, 0.3), rng.uniform(0, 0.4)
    t = _times(4 * decay)
    phase = 2 * np.pi * pitch * np.cumsum(1 + bend * np.exp(-t / 0.03)) / SAMPLES_PER_SECOND
    slap = _band(rng.normal(size=len(t)), 500, 4000) * np.exp(-t / 0.008) * rng.uniform(0, 0.8)
    overtone = np.sin(phase * rng.uniform(1.4, 2.3)) * np.exp(-t / (decay * 0.4)) * rng.uniform(0, 0.7)
    return _once(_peak_one(np.sin(phase) * np.exp(-t / decay) + overtone + slap))


def glitch(rng: Rng) -> Note:
    """Return a burst of filtered noise or of a ring-modulated tone, as machines make them."""
    decay = rng.uniform(0.01, 0.2)
    t = _times(4 * decay)
    ringing = np.sin(2 * np.pi * rng.uniform(60, 3000) * t) * np.sin(2 * np.pi * rng.uniform(20, 900) * t)
    low = rng.uniform(60, 4000)
    noise = _band(rng.normal(size=len(t)), low, low * rng.uniform(1.5, 5))
    return _once(_peak_one(np.where(rng.random() < 0.5, ringing, noise) * np.exp(-t / decay)))


DRUMS = (kick, snare, clap, hat, open_hat, shaker, woodblock, skin, glitch)


def tone(rng: Rng) -> Note:
    """Return an instrument with pitch: plucked, struck, bowed or blown, by its overtones and its envelope."""
    num = int(rng.integers(1, 16))
    slope = rng.uniform(0.3, 2.2)
    ranks = np.arange(1, num + 1)
    weights = ranks**-slope * rng.uniform(0.2, 1, num) * np.where(ranks % 2 == 0, rng.choice([0.05, 1.0]), 1.0)
    detune = 1 + rng.normal(0, rng.choice([0.0, 0.002, 0.006]), num)
    attack = float(rng.choice([rng.uniform(0.001, 0.008), rng.uniform(0.008, 0.08)]))
    decay = float(rng.choice([rng.uniform(0.05, 0.3), rng.uniform(0.3, 2.0)]))
    phases, vibrato = rng.uniform(0, 2 * np.pi, num), rng.choice([0.0, rng.uniform(0, 0.01)])

    def note(pitch: float, seconds: float) -> FloatArray:
        t = _times(seconds + 0.05)
        bend = t + vibrato / (2 * np.pi * 5.5) * np.sin(2 * np.pi * 5.5 * t)
        heard = ranks * pitch < SAMPLES_PER_SECOND * 0.45
        waves = np.sin(2 * np.pi * pitch * np.outer(ranks * detune, bend)[heard] + phases[heard, None])
        envelope = np.minimum(1, t / attack) * np.exp(-t / decay) * np.clip((t[-1] - t) / 0.04, 0, 1)
        return _peak_one(weights[heard] @ waves * envelope)

    return note


def bass(rng: Rng) -> Note:
    """Return a bass: a few low overtones, short or long."""
    weights = rng.uniform(0, 1, 6) * np.array([1.0, 0.8, 0.5, 0.4, 0.2, 0.2])
    decay, drive = rng.uniform(0.08, 0.8), rng.uniform(0.5, 3)
    attack = float(rng.choice([0.003, 0.02]))

    def note(pitch: float, seconds: float) -> FloatArray:
        t = _times(seconds + 0.03)
        waves = weights @ np.sin(2 * np.pi * pitch * np.outer(np.arange(1, 7), t))
        envelope = np.minimum(1, t / attack) * np.exp(-t / decay) * np.clip((t[-1] - t) / 0.03, 0, 1)
        return _peak_one(np.tanh(waves * drive) * envelope)

    return note


def voice(rng: Rng) -> Note:
    """Return a sung or spoken vowel: a buzz through three formants."""
    shake, breath = rng.uniform(0, 0.02), rng.uniform(0.005, 0.05)

    def note(pitch: float, seconds: float) -> FloatArray:
        t = _times(seconds + 0.05)
        glide = pitch * (1 + shake * np.sin(2 * np.pi * 5 * t) + rng.normal(0, 0.03) * t / max(t[-1], 1e-3))
        phase = np.cumsum(glide) / SAMPLES_PER_SECOND
        buzz = 2 * (phase % 1) - 1 + breath * rng.normal(size=len(t))
        formants = (rng.uniform(250, 900), rng.uniform(800, 2400), rng.uniform(2200, 3300))
        vowel = sum(_band(buzz, f * 0.9, f * 1.1, 1) / (rank + 1) for rank, f in enumerate(formants))
        return _peak_one(vowel * np.minimum(1, t / 0.03) * np.clip((t[-1] - t) / 0.06, 0, 1))

    return note
