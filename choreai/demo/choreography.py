"""A dance: moves of one style in a random order, in time with a random tempo."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from choreai.demo.body import Array, Pose
from choreai.demo.moves import COMMON_MOVES, STYLES_BY_NAME, Manner, Move, eased

COMMON_SHARE = 0.15
"""Of the moves, how many are such as all styles have: what keeps the task from being trivial."""
LEVELLING = 0.8
CENTRING = 0.7
BEATS_PER_MINUTE = (80.0, 112.0)
"""The same for every style."""


@dataclass(frozen=True, eq=False)
class Choreography:
    """What is danced when."""

    style: str
    manner: Manner
    moves: tuple[Move, ...]
    """Danced in turn, from the first again after the last."""
    move_beats: int
    beats_per_minute: float
    first_beat: float
    wander: Array
    """(3, 3) amplitude in metres, frequency in Hz and phase of three slow drifts along x."""

    @classmethod
    def draw(cls, style: str, manner: Manner, rng: np.random.Generator) -> Self:
        own = STYLES_BY_NAME[style].moves
        moves = [own[i] for i in rng.permutation(len(own))]
        for index in range(len(moves)):
            # Never two common moves in a row: every few seconds the style can be seen.
            follows_common = index > 0 and moves[index - 1] in COMMON_MOVES
            if not follows_common and rng.random() < COMMON_SHARE:
                moves[index] = COMMON_MOVES[rng.integers(len(COMMON_MOVES))]
        return cls(
            style=style,
            manner=manner,
            moves=tuple(moves),
            move_beats=4,
            beats_per_minute=rng.uniform(*BEATS_PER_MINUTE),
            first_beat=rng.uniform(0, 8),
            wander=rng.uniform([0.01, 0.10, 0.0], [0.05, 0.35, 2 * np.pi], (3, 3)),
        )

    def pose(self, seconds: Array) -> Pose:
        """The pose at each of the times `seconds` (F,), which must rise."""
        beat = self.first_beat + seconds * self.beats_per_minute / 60
        number = np.floor(beat / self.move_beats).astype(int)
        parts = [self._move(int(n), beat[number == n]) for n in np.unique(number)]
        pose = self._levelled(Pose.joined(parts), seconds)
        amplitude, frequency, phase = self.wander.T
        pose.travel[:, 0] += np.sin(2 * np.pi * frequency * seconds[:, None] + phase) @ amplitude
        return pose

    def _move(self, number: int, beat: Array) -> Pose:
        """The `number`-th move of the dance, blended in from the one before."""
        since = beat - number * self.move_beats
        current = self.moves[number % len(self.moves)](self.manner, beat, since)
        previous = self.moves[(number - 1) % len(self.moves)](self.manner, beat, since + self.move_beats)
        return previous.blended(current, eased(since / STYLES_BY_NAME[self.style].blend_beats))

    def _levelled(self, pose: Pose, seconds: Array) -> Pose:
        """The pose with hands that dwell where the manner wants them and limbs as lively as it wants."""
        m = self.manner
        step = float(np.mean(np.diff(seconds)))

        def level(channel: Array, speed: float, about: Array) -> Array:
            now = np.linalg.norm(np.diff(channel, axis=0), axis=-1).mean() / step + 1e-6
            return about + (channel - channel.mean(0)) * np.clip((speed / now) ** LEVELLING, 0.4, 2.5)

        def mean(channel: Array) -> Array:
            return channel.mean(0)
        home = (1 - CENTRING) * mean(pose.hands) + CENTRING * (m.home + np.array([0, .35, 0]))
        pose.hands = level(pose.hands, 1.0 * m.arm_size, home)
        pose.chest = level(pose.chest, 0.7 * m.size, mean(pose.chest))
        pose.head = level(pose.head, 0.3 * m.size, mean(pose.head))
        pose.pelvis = level(pose.pelvis, 0.5 * m.size, mean(pose.pelvis))
        pose.sway = level(pose.sway, 0.20 * m.size, mean(pose.sway))
        pose.drop = level(pose.drop[:, None], 0.22 * m.size, mean(pose.drop[:,None]))[:, 0]
        pose.shoulders = level(pose.shoulders[..., None], 0.4 * m.size, mean(pose.shoulders[..., None]))[..., 0]
        rest = np.array([m.stance, 0, 0])
        now = np.linalg.norm(np.diff(pose.feet, axis=0), axis=-1).mean() / step + 1e-6
        pose.feet = rest + (pose.feet - rest) * np.clip((0.2 * m.size / now) ** LEVELLING, 0.4, 2.5)
        return pose
