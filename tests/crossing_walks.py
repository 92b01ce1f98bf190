"""Where people go who cross, meet, change places, leave and return."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

FRAMES_PER_SECOND = 15.0
NUM_FRAMES = 300

_Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Walks:
    """Where P people are on the stage in F frames."""

    floor_xz: _Array
    """(P, F, 2) metres: to the right, and towards the camera."""
    pan: _Array
    """(F,) by how many radians the camera is turned to the right."""


def _eased(value: _Array) -> _Array:
    value = value.clip(0, 1)
    return value * value * (3 - 2 * value)


def frame_seconds() -> _Array:
    return np.arange(NUM_FRAMES) / FRAMES_PER_SECOND


def _to_and_fro(seconds: _Array, period: float, phase: float) -> _Array:
    """From -1 to 1 and back at an even pace, in `period` seconds."""
    return 1 - 4 * np.abs((seconds / period + phase) % 1 - 0.5)


def walk_past(rng: np.random.Generator) -> Walks:
    """Two and two walk to and fro across the stage, past one another."""
    ways = []
    for person in range(4):
        period = rng.uniform(6, 8)
        x = (1 if person % 2 else -1) * 2.2 * _to_and_fro(frame_seconds(), period, rng.uniform(-0.05, 0.05))
        ways.append(np.stack((x, np.full(NUM_FRAMES, 0.8 * (person - 1.5)) + rng.normal(0, 0.1)), axis=1))
    return _walks(ways)


def turn_back(rng: np.random.Generator) -> Walks:
    """Couples come together until one hides the other, stay, and go back to where they came from."""
    ways = []
    for couple in range(2):
        period, start = rng.uniform(4.5, 6), rng.uniform(0, 2)
        near = _eased(1.6 - 3.2 * np.abs(((frame_seconds() + start) / period) % 1 - 0.5))
        for side in (-1, 1):
            x = (2 * couple - 1) * 1.5 + side * (1.25 - 1.2 * near)
            ways.append(np.stack((x, np.full(NUM_FRAMES, 0.35 * side + 0.4 * couple)), axis=1))
    return _walks(ways)


def go_round(rng: np.random.Generator) -> Walks:
    """Four in a circle, so that whoever passes at the front hides whoever is at the back."""
    angle = 2 * np.pi * frame_seconds() / rng.uniform(8, 11) + rng.uniform(0, 2 * np.pi)
    turns = [angle + 2 * np.pi * person / 4 for person in range(4)]
    return _walks([np.stack((1.7 * np.cos(turn), 1.1 * np.sin(turn)), axis=1) for turn in turns])


def change_places(rng: np.random.Generator) -> Walks:
    """Five in a formation that everybody leaves for another place every three seconds."""
    places = np.array([(-2.2, 0.5), (-1.1, -0.6), (0.0, 0.7), (1.1, -0.6), (2.2, 0.5)])
    orders = [rng.permutation(5) for _ in range(8)]
    stops = np.stack([places[order] for order in orders], axis=1)  # (5, 8, 2)
    step = frame_seconds() / 3.0
    before = np.minimum(step.astype(int), 6)
    share = _eased((step - before) * 2 - 0.5)[:, None]
    return _walks([(1 - share) * way[before] + share * way[before + 1] for way in stops])


def leave_and_return(rng: np.random.Generator) -> Walks:
    """Four; one after another walks off and is back, by either side, after one to eight seconds."""
    ways = []
    for person in range(4):
        home = np.array([-1.8 + 1.2 * person, rng.uniform(-0.7, 0.7)])
        side, other = rng.choice([-1, 1]), rng.choice([-1, 1])
        leaves = 2.0 + 3.0 * person + rng.uniform(0, 1)
        away = [1.0, 2.5, 5.0, 8.0][person]
        out = 4.6 * _eased((frame_seconds() - leaves) / 2.5)
        back = 4.6 * _eased((leaves + 2.5 + away - frame_seconds()) / 2.5 + 1)
        x = np.where(
            frame_seconds() < leaves + 2.5 + away / 2,
            home[0] + side * out * (1 + side * -home[0] / 4.6),
            home[0] + other * back * (1 + other * -home[0] / 4.6),
        )
        ways.append(np.stack((x, np.full(NUM_FRAMES, home[1])), axis=1))
    return _walks(ways)


def battle(rng: np.random.Generator) -> Walks:
    """Two dance around each other before five who stand and watch."""
    watching = [np.tile((-2.6 + 1.3 * person, -1.6 + rng.normal(0, 0.15)), (NUM_FRAMES, 1)) for person in range(5)]
    angle = 2 * np.pi * frame_seconds() / rng.uniform(6, 8)
    dancing = [
        np.stack(
            (1.6 * np.cos(angle + turn) * (0.6 + 0.4 * np.sin(0.7 * angle)), 0.5 + 0.8 * np.sin(angle + turn)), axis=1
        )
        for turn in (0, np.pi)
    ]
    return _walks([*watching, *dancing])


def walk_past_a_camera_that_pans(rng: np.random.Generator) -> Walks:
    """Past one another, while the camera swings to and fro by 12 degrees within 4 seconds."""
    walks = walk_past(rng)
    pan = np.radians(6) * np.sin(2 * np.pi * frame_seconds() / 4 + rng.uniform(0, 2 * np.pi))
    return replace(walks, floor_xz=walks.floor_xz * (0.8, 1), pan=pan)


SCENES: dict[str, Callable[[np.random.Generator], Walks]] = {
    "walk past": walk_past,
    "turn back": turn_back,
    "go round": go_round,
    "change places": change_places,
    "leave and return": leave_and_return,
    "battle": battle,
    "camera pans": walk_past_a_camera_that_pans,
}


def _walks(ways: Sequence[_Array]) -> Walks:
    return Walks(np.stack(ways), np.zeros(NUM_FRAMES))
