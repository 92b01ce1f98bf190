"""A dance: moves of one style in a random order, in time with a random tempo."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from choreai.demo.body import Array, Body, Pose, Skeleton, pose_skeleton
from choreai.demo.moves import COMMON_MOVES, STYLES_BY_NAME, Manner, Move, eased

COMMON_SHARE = 0.15
"""Of the moves, how many are such as all styles have: what keeps the task from being trivial."""
LEVELLING_ROUNDS = 3
BEATS_PER_MINUTE = (88.0, 116.0)
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
            move_beats=3,
            beats_per_minute=rng.uniform(*BEATS_PER_MINUTE),
            first_beat=rng.uniform(0, 8),
            wander=rng.uniform([0.005, 0.10, 0.0], [0.025, 0.35, 2 * np.pi], (3, 3)),
        )

    def pose(self, seconds: Array, body: Body) -> Pose:
        """The pose at each of the times `seconds` (F,), which must rise."""
        beat = self.first_beat + seconds * self.beats_per_minute / 60
        number = np.floor(beat / self.move_beats).astype(int)
        parts = [self._move(int(n), beat[number == n]) for n in np.unique(number)]
        pose = Pose.joined(parts)
        amplitude, frequency, phase = self.wander.T
        pose.travel[:, 0] += np.sin(2 * np.pi * frequency * seconds[:, None] + phase) @ amplitude
        return _levelled(pose, seconds, body, self.manner)

    def _move(self, number: int, beat: Array) -> Pose:
        """The `number`-th move of the dance, blended in from the one before."""
        since = beat - number * self.move_beats
        current = self.moves[number % len(self.moves)](self.manner, beat, since)
        previous = self.moves[(number - 1) % len(self.moves)](self.manner, beat, since + self.move_beats)
        return previous.blended(current, eased(since / STYLES_BY_NAME[self.style].blend_beats))


def _part_speeds(skeleton: Skeleton, seconds: Array, height: float) -> dict[str, float]:
    """Mean speed of each part in the picture plane, body heights a second."""
    xy = skeleton.keypoints_xyz[..., :2] / height
    hips, shoulders = xy[:, 11:13].mean(1, keepdims=True), xy[:, 5:7].mean(1, keepdims=True)
    tracks = {
        "hips": hips,
        "trunk": xy[:, 5:7] - hips,
        "head": xy[:, 0:5] - shoulders,
        "arms": xy[:, 9:11] - shoulders,
        "legs": xy[:, 15:17],
    }
    steps = np.diff(seconds)[:, None]
    return {
        part: float(np.mean(np.linalg.norm(np.diff(track, axis=0), axis=-1) / steps)) for part, track in tracks.items()
    }


def _scaled(pose: Pose, m: Manner, factor: dict[str, float]) -> Pose:
    """The pose with each part's movement made larger or smaller around where it is on average."""

    def around_mean(channel: Array, part: str) -> Array:
        return channel.mean(0) + (channel - channel.mean(0)) * factor[part]

    stand = np.array([m.stance, 0, 0])
    return replace(
        pose,
        travel=pose.travel * factor["hips"],
        sway=around_mean(pose.sway, "hips"),
        drop=around_mean(pose.drop, "hips"),
        pelvis=around_mean(pose.pelvis, "trunk"),
        chest=around_mean(pose.chest, "trunk"),
        shoulders=around_mean(pose.shoulders, "trunk"),
        head=around_mean(pose.head, "head"),
        hands=m.home + (pose.hands - pose.hands.mean((0, 1))) * factor["arms"],
        feet=stand + (pose.feet - stand) * factor["legs"],
        toes_down=pose.toes_down * min(factor["legs"], 1.0),
    )


def _levelled(pose: Pose, seconds: Array, body: Body, m: Manner) -> Pose:
    """The pose with every part of the body as lively as the manner wants it, whatever the style.

    Like levelling the loudness of songs: mean speed and mean pose say nothing of the style any more.
    """
    factor = dict.fromkeys(m.liveliness, 1.0)
    for _ in range(LEVELLING_ROUNDS):
        now = _part_speeds(pose_skeleton(body, _scaled(pose, m, factor)), seconds, body.height)
        factor = {
            part: float(np.clip(factor[part] * wanted / now[part], 0.25, 3.5)) for part, wanted in m.liveliness.items()
        }
    return _scaled(pose, m, factor)
