"""Sounds for tests, computed: songs with known beats, chords, and files of any codec, rate and number of channels."""

import io
from functools import cache

import av
import numpy as np

from choreai.arrays import FloatArray
from choreai.music.distractors import draw_speech
from choreai.music.patterns import Layer, Meter
from choreai.music.spectrum import SAMPLES_PER_SECOND
from choreai.music.synthesis import Song, make_grid, play

METER = Meter(4, 4)


@cache
def drums(bpm: float = 120.0, *, seconds: float = 16.0, seed: int = 0) -> Song:
    """A plain beat: bass drum on one and three, snare on two and four, hi-hats on every half beat."""
    rng = np.random.default_rng(seed)
    layers = [Layer(name, np.array(list(strokes), float)) for name, strokes in _STROKES.items()]
    grid = make_grid(METER, bpm, seconds, rng, loose=False)
    samples = play(grid, layers, rng, seconds=seconds, tonal=False)
    inside = (grid.beats >= 0) & (grid.beats < seconds)
    downbeats = (np.arange(len(grid.beats)) % 4 == 0).astype(float)
    return Song(samples / np.abs(samples).max() * 0.5, grid.beats[inside], downbeats[inside], bpm)


_STROKES = {"kick": "1000000010100000", "snare": "0000100000001000", "hat": "1010101010101010"}


def speech(seconds: float = 12.0) -> FloatArray:
    """Something like speech."""
    mix = draw_speech(int(seconds * SAMPLES_PER_SECOND), np.random.default_rng(1))
    return (mix / np.abs(mix).max() * 0.5).astype(np.float32)


def sine(hz: float = 440.0, *, seconds: float = 5.0, peak: float = 0.5) -> FloatArray:
    t = np.arange(int(seconds * SAMPLES_PER_SECOND)) / SAMPLES_PER_SECOND
    return (peak * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def sound_file(
    samples: FloatArray,
    *,
    codec: str = "pcm_s16le",
    container: str = "matroska",
    rate: int = SAMPLES_PER_SECOND,
    layout: str = "mono",
    from_rate: int = SAMPLES_PER_SECOND,
) -> bytes:
    """The bytes of a file of this sound, resampled to `rate`, the same on every channel."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as written:
        stream = written.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        resampler = av.AudioResampler(stream.codec_context.format.name, layout, rate, frame_size=0)
        channels = av.AudioLayout(layout).nb_channels
        for start in range(0, len(samples), 4096):
            piece = np.repeat(samples[None, start : start + 4096], channels, axis=0)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(piece), "fltp", layout)
            frame.sample_rate, frame.pts = from_rate, start
            for resampled in resampler.resample(frame):
                written.mux(stream.encode(resampled))
        for resampled in resampler.resample(None):
            written.mux(stream.encode(resampled))
        written.mux(stream.encode(None))
    return file.getvalue()
