"""Twelve rhythms written by hand, which the beat network was not trained on, played with other instruments each time.

A letter is a stroke (x hard, o soft), a dot a rest.
"""

import numpy as np

from choreai.arrays import Float64Array
from choreai.music.patterns import Layer, Meter
from choreai.music.synthesis import Song, add_room, make_grid, play, surround

_TABLE = """
house          4x4 118-130  kick x...x...x...x...  clap ....x.......x...       open_hat ..x...x...x...x.
rock           4x4  90-140  kick x.......x.x.....  snare ....x.......x...      hat x.o.x.o.x.o.x.o.
hip-hop        4x4  82-102  kick x..x......xx....  snare ....x..o....x...      hat x.x.x.x.x.xxx.x.
drum-and-bass  4x4 160-178  kick x.........x.....  snare ....x.......x..o      hat x.x.x.x.x.x.x.x.
waltz          3x4  90-170  kick x...........      snare ....o...o...          hat x...x...x...
salsa          4x4  85-110  skin ..x...xx..x...xx  woodblock x..x..x...x.x...  shaker x.ox.o.xo.xox.o.
reggaeton      4x4  86-100  kick x...x...x...x...  snare ...x..x....x..x.      hat x.x.x.x.x.x.x.x.
samba          4x4  92-125  kick o.....x.o.....x.  skin x.xx.x.x.xx.x.x.       shaker xooxxooxxooxxoox
shuffle        4x3  88-140  kick x.....x.....      snare ...x.....x..          hat x.ox.ox.ox.o
afrobeat       4x4  98-122  kick x..x..x.x.......  snare ....o..o..o.x..o      woodblock x..x..x..x.x..x.
trap           4x4   65-80  kick x.....x...x.....  clap ....x.......x...       hat x.x.x.xxx.x.xxxx
one-drop       4x4   68-84  kick ........x.......  woodblock ........x.......  hat x.x.x.x.x.x.x.x.
"""
"""Name, beats a bar and steps a beat, slowest and fastest bpm, and the strokes of three drums."""


def _parsed(line: str) -> tuple[str, tuple[Meter, tuple[float, float], dict[str, str]]]:
    name, meter, bpm, *drums = line.split()
    beats, steps = meter.split("x")
    slowest, fastest = bpm.split("-")
    strokes = dict(zip(drums[::2], drums[1::2], strict=True))
    return name, (Meter(int(beats), int(steps)), (float(slowest), float(fastest)), strokes)


RHYTHMS = dict(_parsed(line) for line in _TABLE.strip().splitlines())
SURROUNDINGS = ("clean", "loud")
"""As it was played; and in a room with people and noise, from a phone."""


def draw_rhythm(name: str, surrounding: str, seed: int, *, seconds: float = 24.0) -> Song:
    """A piece of one rhythm, with bass and chords half the time."""
    meter, (slowest, fastest), strokes = RHYTHMS[name]
    rng = np.random.default_rng((sorted(RHYTHMS).index(name), SURROUNDINGS.index(surrounding), seed, 77))
    bpm = float(rng.uniform(slowest, fastest))
    grid = make_grid(meter, bpm, seconds, rng, loose=False)
    layers = [Layer(drum, _strengths(text)) for drum, text in strokes.items()]
    samples = play(grid, layers, rng, seconds=seconds, tonal=bool(rng.random() < 0.5))
    if surrounding == "loud":
        samples = surround(add_room(samples, rng.uniform(0.3, 1.0), 0.3, rng), rng)
    inside = (grid.beats >= 0) & (grid.beats < seconds)
    is_downbeat = (np.arange(len(grid.beats)) % meter.beats == 0).astype(float)
    return Song(samples / np.abs(samples).max() * np.float32(0.5), grid.beats[inside], is_downbeat[inside], bpm)


def _strengths(text: str) -> Float64Array:
    return np.array([{"x": 1.0, "o": 0.5, ".": 0.0}[each] for each in text])
