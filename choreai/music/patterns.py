"""Rhythms that are drawn at random: on which steps of a bar each drum sounds, and how hard.

A bar has steps (usually four a beat). The families below are how drummers of many places divide work among their
hands; each draw differs, and layers of evenly spread strokes (Euclid's rhythms) cross them.
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array

Rng = np.random.Generator


@dataclass(frozen=True, eq=False)
class Meter:
    """How a bar is divided."""

    beats: int
    steps_per_beat: int

    @property
    def steps(self) -> int:
        """Steps in a bar."""
        return self.beats * self.steps_per_beat


@dataclass(frozen=True, eq=False)
class Layer:
    """The strokes of one drum: how hard on each step of one bar or more, 0 where it rests."""

    drum: str
    strokes: Float64Array


METERS = (Meter(4, 4), Meter(3, 4), Meter(2, 6), Meter(4, 3), Meter(4, 6))
METER_SHARES = (0.76, 0.08, 0.03, 0.08, 0.05)


def draw_meter(rng: Rng) -> Meter:
    """Return a meter; four beats of four steps most of the time."""
    return METERS[int(rng.choice(len(METERS), p=METER_SHARES))]


def evenly_spread(num_strokes: int, num_steps: int, turn: int = 0) -> Float64Array:
    """Return `num_strokes` ones as evenly spread over the steps as can be, turned by `turn` steps."""
    steps = (np.arange(num_steps) * num_strokes) % num_steps < num_strokes
    return np.roll(steps.astype(float), turn)


def draw_layers(meter: Meter, rng: Rng, *, num_bars: int = 2) -> list[Layer]:
    """Return the drums of a rhythm over `num_bars` bars."""
    drawn = rng.choice(len(_FAMILIES), p=_SHARES) if meter.beats == 4 else rng.choice([1, 2, 5])
    layers = _FAMILIES[int(drawn)](meter, rng, num_bars)
    for _ in range(int(rng.choice([0, 1, 2], p=[0.5, 0.35, 0.15]))):
        layers.append(_crossing(meter, rng, num_bars))
    return layers


def _grid(meter: Meter, num_bars: int) -> Float64Array:
    return np.zeros(meter.steps * num_bars)


def _on_beats(meter: Meter, num_bars: int, beats: list[int], rng: Rng, drop: float = 0.0) -> Float64Array:
    strokes = _grid(meter, num_bars)
    for bar in range(num_bars):
        for beat in beats:
            if rng.random() >= drop:
                strokes[bar * meter.steps + beat * meter.steps_per_beat] = rng.uniform(0.8, 1)
    return strokes


def _ghosts(strokes: Float64Array, chance: float, rng: Rng, strength: float = 0.6) -> Float64Array:
    """Return the strokes with softer ones at random between them."""
    extra = (rng.random(len(strokes)) < chance) * rng.uniform(0.2, strength, len(strokes))
    return np.maximum(strokes, extra)


def _timekeeper(meter: Meter, rng: Rng, num_bars: int) -> Layer:
    """Return hi-hat, ride or shaker: on every beat, half beat, step or off-beat, accented."""
    drum = str(rng.choice(["hat", "hat", "hat", "open_hat", "shaker"]))
    strokes, per = _grid(meter, num_bars), meter.steps_per_beat
    every = int(rng.choice([1, 2, per])) if per % 2 == 0 else int(rng.choice([1, per]))
    strokes[::every] = rng.uniform(0.4, 0.9)
    if rng.random() < 0.15 and per % 2 == 0:
        strokes[:] = 0
        strokes[per // 2 :: per] = 0.9
    accents = 1 + rng.uniform(-0.5, 0.5, meter.steps)
    strokes *= np.tile(accents, num_bars)
    strokes[rng.random(len(strokes)) < rng.choice([0.0, 0.1, 0.25])] = 0
    return Layer(drum, np.clip(strokes, 0, 1))


def _four_on_the_floor(meter: Meter, rng: Rng, num_bars: int) -> list[Layer]:
    beats = list(range(meter.beats))
    kick = _ghosts(_on_beats(meter, num_bars, beats, rng), float(rng.choice([0, 0.05])), rng)
    layers = [Layer("kick", kick), _timekeeper(meter, rng, num_bars)]
    if rng.random() < 0.8:
        back = _on_beats(meter, num_bars, beats[1::2], rng)
        layers.append(Layer(str(rng.choice(["snare", "clap"])), _ghosts(back, float(rng.choice([0, 0.06])), rng)))
    if rng.random() < 0.5:
        off = _grid(meter, num_bars)
        off[meter.steps_per_beat // 2 :: meter.steps_per_beat] = 0.8
        layers.append(Layer("open_hat", off))
    return layers


def _backbeat(meter: Meter, rng: Rng, num_bars: int) -> list[Layer]:
    """Return a kick on one and here and there, a snare on the back beats."""
    accents = [1, 3] if meter.beats == 4 else ([1, 2] if meter.beats == 3 else [1])
    kick = _on_beats(meter, num_bars, [0], rng, drop=0.05)
    kick = np.maximum(kick, _syncopated(meter, rng, num_bars, density=rng.uniform(0.08, 0.3)))
    back = _on_beats(meter, num_bars, accents, rng, drop=float(rng.choice([0, 0.1])))
    kick[back > 0] *= rng.choice([0, 1], p=[0.8, 0.2])
    snare = _ghosts(back, float(rng.choice([0, 0, 0.08, 0.2])), rng)
    return [
        Layer("kick", kick),
        Layer(str(rng.choice(["snare", "snare", "clap", "woodblock"])), snare),
        _timekeeper(meter, rng, num_bars),
    ]


def _hand_drums(meter: Meter, rng: Rng, num_bars: int) -> list[Layer]:
    """Return two to four skins that share the steps, the loudest on one."""
    owner = rng.integers(0, rng.integers(2, 5), meter.steps * num_bars)
    dense = rng.random(meter.steps) < rng.uniform(0.4, 0.95)
    weights = np.tile(dense * _weights(meter) ** rng.uniform(0.2, 0.8), num_bars)
    layers = []
    for each in range(int(owner.max()) + 1):
        strokes = np.where(owner == each, weights * rng.uniform(0.6, 1), 0)
        if each == 0:
            strokes = np.maximum(strokes, _on_beats(meter, num_bars, [0], rng))
        layers.append(Layer(str(rng.choice(["skin", "skin", "skin", "woodblock", "shaker"])), strokes))
    return layers


def _half_time(meter: Meter, rng: Rng, num_bars: int) -> list[Layer]:
    """Return a snare on three only, busy hats."""
    kick = np.maximum(_on_beats(meter, num_bars, [0], rng), _syncopated(meter, rng, num_bars, density=0.15))
    snare = _on_beats(meter, num_bars, [2], rng)
    hats = _grid(meter, num_bars)
    hats[:: int(rng.choice([1, 2]))] = rng.uniform(0.4, 0.8)
    return [Layer("kick", kick), Layer(str(rng.choice(["snare", "clap"])), snare), Layer("hat", hats)]


def _broken(meter: Meter, rng: Rng, num_bars: int) -> list[Layer]:
    """Return a busy break: kicks and ghost snares on any step, two back beats that mostly hold."""
    kick = np.maximum(_on_beats(meter, num_bars, [0], rng, drop=0.1), _syncopated(meter, rng, num_bars, density=0.3))
    snare = _ghosts(_on_beats(meter, num_bars, [1, 3], rng, drop=0.12), 0.25, rng, strength=0.8)
    kick[snare > 0.75] = 0
    return [Layer("kick", kick), Layer("snare", snare), _timekeeper(meter, rng, num_bars)]


def _sparse(meter: Meter, rng: Rng, num_bars: int) -> list[Layer]:
    """Return one or two drums with few strokes: a click, a bass drum, a shaker."""
    layers = [_timekeeper(meter, rng, num_bars)] if rng.random() < 0.5 else []
    beats = [0] if rng.random() < 0.3 else list(range(meter.beats))
    layers.append(Layer(str(rng.choice(["kick", "woodblock", "clap", "skin"])), _on_beats(meter, num_bars, beats, rng)))
    return layers


def _machines(meter: Meter, rng: Rng, num_bars: int) -> list[Layer]:
    """Return glitches over a pulse, as in industrial music."""
    pulse = _on_beats(meter, num_bars, list(range(0, meter.beats, int(rng.choice([1, 2])))), rng, drop=0.05)
    layers = [Layer(str(rng.choice(["kick", "glitch", "skin"])), pulse)]
    for _ in range(int(rng.integers(1, 4))):
        layers.append(Layer("glitch", _syncopated(meter, rng, num_bars, density=rng.uniform(0.1, 0.4))))
    return layers


def _crossing(meter: Meter, rng: Rng, num_bars: int) -> Layer:
    """Return a layer of evenly spread strokes, such as three, five or seven in a bar."""
    num_strokes = int(rng.integers(2, max(3, meter.steps - 3)))
    strokes = evenly_spread(num_strokes, meter.steps, int(rng.integers(meter.steps)))
    return Layer(
        str(rng.choice(["woodblock", "skin", "hat", "shaker", "glitch"])),
        np.tile(strokes, num_bars) * rng.uniform(0.3, 0.9),
    )


def _weights(meter: Meter) -> Float64Array:
    """Return how strong each step of a bar is by its place: 1 on one, less on beats, least between."""
    weights = np.full(meter.steps, 0.35)
    if meter.steps_per_beat % 2 == 0:
        weights[:: meter.steps_per_beat // 2] = 0.5
    weights[:: meter.steps_per_beat] = 0.8
    weights[0] = 1.0
    return weights


def _syncopated(meter: Meter, rng: Rng, num_bars: int, *, density: float) -> Float64Array:
    """Return strokes on any steps, the same in every bar but for a few."""
    one = (rng.random(meter.steps) < density) * rng.uniform(0.6, 1, meter.steps)
    strokes = np.tile(one, num_bars)
    strokes[rng.random(len(strokes)) < 0.1] = 0
    return strokes


_FAMILIES = (_four_on_the_floor, _backbeat, _hand_drums, _half_time, _broken, _sparse, _machines)
_SHARES = (0.2, 0.26, 0.16, 0.06, 0.14, 0.08, 0.1)
