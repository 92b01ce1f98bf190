"""A dance: moves of one style in random order, at a random tempo, with the dancer's own liveliness."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from choreai.arrays import Float64Array
from choreai.demo.body import Body, Pose, Skeleton, pose_skeleton
from choreai.demo.manner import Manner
from choreai.demo.moves import COMMON_MOVES, STYLES_BY_NAME, Move, ease

COMMON_CHANCE = 0.20
"""Probability that a move is one that all styles share, if neither of the last two was: 15 % of all moves, which keeps
the task from being trivial."""
BEATS_PER_MINUTE = (88.0, 116.0)
"""The same for every style."""
MOVE_BEATS = 3
COMMON_MOVE_BEATS = 2

LEVELLING_ROUNDS = 3
"""Limbs depend on the trunk and the trunk on the hips, so one round does not reach the target speeds."""
SCALE_LIMITS = (0.25, 3.5)
MAX_HEAD_ANGLE = 0.4
"""Radians; a face turned further away is not recognised."""
MAX_TRUNK_ANGLE = 0.4
"""Radians; little is seen of a trunk bent further towards the camera."""


@dataclass(frozen=True, eq=False)
class Choreography:
    """The moves of a dance and their timing."""

    style: str
    manner: Manner
    moves: tuple[Move, ...]
    """Danced in turn, starting over after the last."""
    beats_per_minute: float
    first_beat: float
    wander: Float64Array
    """(3, 3) amplitude in metres, frequency in Hz and phase of three slow drifts along x."""

    @classmethod
    def draw(cls, style: str, manner: Manner, rng: np.random.Generator) -> Self:
        """Return a random dance of `style`."""
        return cls(
            style=style,
            manner=manner,
            moves=_draw_moves(STYLES_BY_NAME[style].moves, rng),
            beats_per_minute=rng.uniform(*BEATS_PER_MINUTE),
            first_beat=rng.uniform(0, 8),
            wander=rng.uniform([0.005, 0.10, 0.0], [0.025, 0.35, 2 * np.pi], (3, 3)),
        )

    def pose(self, seconds: Float64Array, body: Body) -> Pose:
        """Return the pose of `body` at the times `seconds` (F,), which must increase."""
        beat = self.first_beat + seconds * self.beats_per_minute / 60
        starts = self._starts(until=beat[-1])
        number = np.searchsorted(starts, beat, side="right") - 1
        pose = Pose.concatenate([self._move(int(n), beat[number == n], starts) for n in np.unique(number)])
        amplitude, frequency, phase = self.wander.T
        pose.travel[:, 0] += np.sin(2 * np.pi * frequency * seconds[:, None] + phase) @ amplitude
        return _level_speeds(pose, seconds, body, self.manner)

    def _starts(self, *, until: float) -> Float64Array:
        """Return the beats at which moves begin, from 0 to the first one after `until`."""
        lengths = [COMMON_MOVE_BEATS if move in COMMON_MOVES else MOVE_BEATS for move in self.moves]
        num_rounds = int(until // sum(lengths)) + 1
        return np.concatenate([[0.0], np.cumsum(lengths * num_rounds)])

    def _move(self, number: int, beat: Float64Array, starts: Float64Array) -> Pose:
        """Return the `number`-th move of the dance, blended in from the previous one."""
        before = max(number - 1, 0)
        current = self.moves[number % len(self.moves)](self.manner, beat, beat - starts[number])
        previous = self.moves[before % len(self.moves)](self.manner, beat, beat - starts[before])
        blend = (beat - starts[number]) / STYLES_BY_NAME[self.style].blend_beats
        return previous.blend(current, ease(blend))


def _draw_moves(own: tuple[Move, ...], rng: np.random.Generator) -> tuple[Move, ...]:
    """Return a style's own moves in random order, some replaced by common ones."""
    moves = [own[i] for i in rng.permutation(len(own))]
    for index in range(len(moves)):
        # At most one in three, so that the style can be seen every few seconds.
        recent = moves[max(index - 2, 0) : index]
        if not any(move in COMMON_MOVES for move in recent) and rng.random() < COMMON_CHANCE:
            moves[index] = COMMON_MOVES[rng.integers(len(COMMON_MOVES))]
    return tuple(moves)


def _level_speeds(pose: Pose, seconds: Float64Array, body: Body, manner: Manner) -> Pose:
    """Return the pose with every part of the body moving at the manner's speed, whatever the style.

    Like normalising the loudness of songs: only the shape of the movement then distinguishes the styles.
    """
    scale = dict.fromkeys(manner.liveliness, 1.0)
    for _ in range(LEVELLING_ROUNDS):
        speed = _part_speeds(pose_skeleton(body, _scale_parts(pose, manner, scale)), seconds, body.height)
        scale = {
            part: float(np.clip(scale[part] * wanted / speed[part], *SCALE_LIMITS))
            for part, wanted in manner.liveliness.items()
        }
    return _scale_parts(pose, manner, scale)


def _part_speeds(skeleton: Skeleton, seconds: Float64Array, height: float) -> dict[str, float]:
    """Return the mean speed of each part in the image plane, in body heights per second."""
    xy = skeleton.keypoints_xyz[..., :2] / height
    hips, shoulders = xy[:, 11:13].mean(1, keepdims=True), xy[:, 5:7].mean(1, keepdims=True)
    tracks = {
        "hips": hips,
        "trunk": xy[:, 5:7] - hips,
        "head": xy[:, 0:5] - shoulders,
        "arms": xy[:, 9:11] - shoulders,
        "legs": xy[:, 15:17],
    }
    spacing = np.diff(seconds)[:, None]
    steps = {part: np.linalg.norm(np.diff(track, axis=0), axis=-1) for part, track in tracks.items()}
    return {part: max(float(np.mean(step / spacing)), 1e-6) for part, step in steps.items()}


def _scale_parts(pose: Pose, manner: Manner, scale: dict[str, float]) -> Pose:
    """Return the pose with each part's movement scaled around its mean; the hands' around their home, the feet's around
    the stance."""

    def around_mean(channel: Float64Array, part: str) -> Float64Array:
        return channel.mean(0) + (channel - channel.mean(0)) * scale[part]

    stance = np.array([manner.stance, 0, 0])
    return replace(
        pose,
        travel=pose.travel * scale["hips"],
        sway=around_mean(pose.sway, "hips"),
        drop=around_mean(pose.drop, "hips"),
        pelvis=np.clip(around_mean(pose.pelvis, "trunk"), -MAX_TRUNK_ANGLE, MAX_TRUNK_ANGLE),
        chest=np.clip(around_mean(pose.chest, "trunk"), -MAX_TRUNK_ANGLE, MAX_TRUNK_ANGLE),
        shoulders=around_mean(pose.shoulders, "trunk"),
        head=np.clip(around_mean(pose.head, "head"), -MAX_HEAD_ANGLE, MAX_HEAD_ANGLE),
        hands=manner.home + (pose.hands - pose.hands.mean((0, 1))) * scale["arms"],
        feet=stance + (pose.feet - stance) * scale["legs"],
        toes_down=pose.toes_down * min(scale["legs"], 1.0),
    )
