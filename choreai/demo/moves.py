"""The moves of the three styles, and the few that all styles share.

A move is a function of the dancer's manner, of the music (`beat`, counted from an arbitrary point in the song) and of
the beats `since` the move began, all for F frames at once; it returns a new `Pose`. A style's moves start from its
groove, the pulse that continues underneath. Stance and habits come from the `Manner`, and the choreography levels the
size of movements in the same way for every style, so that neither distinguishes the styles. What does is the
coordination of the limbs: alternating (afrobeat), both arms up and down over slow legs (classical), both arms and feet
apart and together (hip-hop).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array
from choreai.demo.body import LEFT, OUTWARD, PITCH, RIGHT, ROLL, YAW, Pose
from choreai.demo.manner import Manner

Move = Callable[[Manner, Float64Array, Float64Array], Pose]


@dataclass(frozen=True)
class Style:
    """A style: its moves and how they are joined."""

    moves: tuple[Move, ...]
    blend_beats: float
    """Duration of the transition between two moves."""


def ease(x: Float64Array) -> Float64Array:
    """Return 0 up to x = 0, 1 from x = 1, and a smooth transition in between (smoothstep)."""
    inside = np.clip(x, 0, 1)
    return inside * inside * (3 - 2 * inside)


def _keyframes(beat: Float64Array, values: Float64Array, *, hold: float, attack: float) -> Float64Array:
    """Return (F, ...): the `values` (K, ...) in turn, each for `hold` beats and reached within `attack` beats."""
    index = np.floor(beat / hold).astype(int)
    weight = ease((beat - index * hold) / attack).reshape(-1, *[1] * (values.ndim - 1))
    previous, current = values[(index - 1) % len(values)], values[index % len(values)]
    return previous + (current - previous) * weight


def _vector(*parts: Float64Array | float) -> Float64Array:
    """Return (F, 3) from three numbers or (F,) arrays."""
    return np.stack(np.broadcast_arrays(*parts), -1).astype(np.float64)


def _step(beat: Float64Array, side: int) -> Float64Array:
    """Return a curve from 0 to 1 and back in the beats that belong to `side`, 0 in the others."""
    return np.maximum(np.sin(np.pi * (beat + side)), 0)


def _at_home(m: Manner, beat: Float64Array) -> Pose:
    pose = Pose.standing(len(beat))
    pose.facing += m.facing
    pose.hands[:] = m.home
    pose.elbows[:] = m.elbows
    pose.feet[..., 0] = m.stance
    pose.toes_out[:] = m.turnout
    pose.drop += m.depth
    pose.chest[:, PITCH] += m.lean
    pose.head[:, PITCH] -= 0.5 * m.lean
    return pose


# --- moves of every style ---


def _plain_groove(m: Manner, beat: Float64Array) -> Pose:
    pose = _at_home(m, beat)
    pose.drop += 0.05 * m.taste[0] * (0.5 + 0.5 * np.cos(2 * np.pi * beat))
    pose.sway[:, 0] += 0.06 * m.taste[1] * np.sin(np.pi * beat)
    return pose


def walk_in_place(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    pose = _plain_groove(m, beat)
    swing = 0.15 * np.sin(np.pi * beat)
    for side in (LEFT, RIGHT):
        step = _step(beat, side)
        pose.feet[:, side] += _vector(0, 0.06 * step, 0.05 * step)
        pose.hands[:, side, 2] += OUTWARD[side] * swing
    return pose


def side_to_side(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    pose = _plain_groove(m, beat)
    pose.travel[:, 0] += 0.10 * np.sin(np.pi * beat / 2)
    for side in (LEFT, RIGHT):
        pose.feet[:, side, 1] += 0.04 * _step(beat, side)
    return pose


def open_arms(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    pose = _plain_groove(m, beat)
    opened = (0.5 - 0.5 * np.cos(np.pi * beat / 2))[:, None, None]
    pose.hands += opened * (np.array([0.60, 0.55, 0.20]) - m.home)
    return pose


def hands_on_hips(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """A breather: the weight goes from one foot to the other."""
    pose = _plain_groove(m, beat)
    pose.hands[:] = (0.15, -0.55, 0.15)
    pose.sway[:, 0] += 0.06 * np.sin(np.pi * beat / 2)
    pose.chest[:, ROLL] += 0.10 * np.sin(np.pi * beat / 2)
    return pose


COMMON_MOVES: tuple[Move, ...] = (walk_in_place, side_to_side, open_arms, hands_on_hips)


# --- afrobeat: hips circle, everything bounces twice a beat, feet work ---


def _afrobeat_groove(m: Manner, beat: Float64Array) -> Pose:
    pose = _at_home(m, beat)
    swing, double = np.sin(np.pi * beat), np.cos(2 * np.pi * beat)
    pose.drop += 0.07 * (0.5 + 0.5 * double)
    pose.sway[:, 0] += 0.09 * swing
    pose.pelvis += _vector(0.15 * np.sin(np.pi * beat + 1), 0.12 * double, 0.16 * swing)
    pose.chest += _vector(
        -0.25 * np.sin(np.pi * beat + 1),
        -0.16 * np.cos(2 * np.pi * beat + 0.6),
        -0.20 * np.sin(np.pi * beat + 0.3),
    )
    pose.head[:, PITCH] += 0.08 * double
    pose.head[:, ROLL] -= 0.15 * swing
    for side in (LEFT, RIGHT):
        sway = OUTWARD[side] * swing
        pose.shoulders[:, side] += 0.5 * OUTWARD[side] * np.sin(2 * np.pi * beat)
        pose.hands[:, side] += _vector(0.10 * swing, 0.10 * double, 0.16 * sway)
    return pose


def azonto(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """One foot twists on its ball while the arms drive up and down by turns."""
    pose = _afrobeat_groove(m, beat)
    twist, drive, lead = np.sin(2 * np.pi * beat), np.sin(np.pi * beat), m.lead
    pose.toes_out[:, lead] = 0.2 + 0.4 * twist
    pose.toes_down[:, lead] = 0.35
    pose.knees_out[:, lead] = 0.3 * twist
    pose.feet[:, lead] += (0.03, 0, 0.07)
    for side, up in ((lead, drive), (1 - lead, -drive)):
        pose.hands[:, side] = _vector(0.20, -0.05 + 0.50 * up, 0.45 + 0.10 * up)
    return pose


def shaku(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """Crossed wrists swing like a bell over quick little steps."""
    pose = _afrobeat_groove(m, beat)
    swing = np.sin(np.pi * beat)
    pose.travel[:, 0] += 0.06 * np.sin(np.pi * beat / 2)
    for side in (LEFT, RIGHT):
        across = OUTWARD[side] * swing
        pose.hands[:, side] = _vector(0.05 + 0.30 * across, -0.15 + 0.30 * across, 0.50)
        pose.feet[:, side] += _vector(0, 0.045 * np.maximum(across, 0), 0.03 * across)
    return pose


def legwork(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """Knees lift in turn and the same side's arm goes up with them."""
    pose = _afrobeat_groove(m, beat)
    for side in (LEFT, RIGHT):
        kick = _step(beat, side) ** 1.3
        pose.feet[:, side] += _vector(0.02, 0.11 * kick, 0.14 * kick)
        pose.toes_out[:, side] = 0.5
        pose.toes_down[:, side] = 0.3 * kick
        pose.hands[:, side] = _vector(0.30 + 0.10 * kick, -0.45 + 0.90 * kick, 0.30)
    return pose


def low_hips(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """The pelvis draws circles low over wide feet, the arms tip like scales."""
    pose = _afrobeat_groove(m, beat)
    swing, circle = np.sin(np.pi * beat), np.cos(np.pi * beat)
    pose.drop += 0.07 * ease(since)
    pose.sway += 0.11 * np.stack([swing, circle], -1)
    pose.pelvis[:, PITCH] += 0.15 * circle
    for side in (LEFT, RIGHT):
        pose.hands[:, side] = _vector(0.50, -0.05 + 0.40 * OUTWARD[side] * swing, 0.30)
    return pose


def swirl(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """One arm swings a cloth overhead for two beats, then the other."""
    pose = _afrobeat_groove(m, beat)
    turn = 2 * np.pi * beat
    aloft = _keyframes(beat, np.array([1.0, 0.0]), hold=2.0, attack=0.8)
    for side, up in ((LEFT, aloft), (RIGHT, 1 - aloft)):
        pose.hands[:, side] = _vector(
            0.25 + 0.16 * up * np.cos(turn), -0.60 + 1.25 * up, 0.20 + 0.16 * up * np.sin(turn)
        )
        pose.feet[:, side, 1] += 0.05 * _step(beat, side)
    return pose


# --- classical: long lines over two to four beats, turned-out legs, arms through the positions ---

_PORT_DE_BRAS = np.array([(0.15, -0.70, 0.40), (0.35, 0.05, 0.40), (0.15, 0.80, 0.25), (0.35, 0.05, 0.40)])
"""Where the arms go, both alike: low, opening, overhead (fifth), opening."""


def _classical_groove(m: Manner, beat: Float64Array) -> Pose:
    pose = _at_home(m, beat)
    slow = np.pi * beat / 4
    pose.drop += 0.03 * np.sin(2 * slow)
    pose.sway[:, 0] += 0.04 * np.sin(slow)
    pose.pelvis += _vector(0.10 * np.sin(2 * slow + 1), 0, 0.06 * np.sin(2 * slow))
    pose.shoulders += 0.15 * np.sin(slow)[:, None]
    pose.chest += _vector(0.10 * np.sin(2 * slow), 0.05 * np.sin(2 * slow + 2), 0.06 * np.sin(2 * slow + 1))
    pose.head[:, YAW] += 0.50 * np.sin(2 * slow + 6 * m.taste[2])
    pose.head[:, PITCH] += 0.10 * np.sin(2 * slow + 2)
    pose.elbows += (1.0, -0.4, 0.3)
    pose.toes_out += 0.2
    pose.hands[:] = _keyframes(beat + int(4 * m.taste[3]), _PORT_DE_BRAS, hold=1.0, attack=1.0)[:, None]
    return pose


def plie(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """The knees open and bend deep in two beats, then stretch, perhaps up to the balls of the feet."""
    pose = _classical_groove(m, beat)
    wave = np.cos(np.pi * beat / 2)
    rise = 0.7 * np.maximum(wave, 0) ** 2 * (m.taste[4] > 0.4)
    pose.drop += 0.22 * (0.5 - 0.5 * wave) ** 1.3 - 0.10 * np.sin(rise)
    pose.toes_down += rise[:, None]
    return pose


def tendu(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """One leg in turn slides out with a stretched foot and returns."""
    pose = _classical_groove(m, beat)
    out = np.sin(np.pi * (beat % 4) / 4) ** 0.8
    direction = np.array([(0.16, 0.03), (0.0, 0.20), (0.02, -0.18)])[int(3 * m.taste[4])]
    for side in (LEFT, RIGHT):
        mine = out * (np.floor(beat / 4) % 2 == side)
        pose.feet[:, side] += _vector(direction[0], (0.02 + 0.10 * m.taste[5]), direction[1]) * mine[:, None]
        pose.toes_down[:, side] += 0.8 * mine
        pose.sway[:, 0] -= 0.06 * OUTWARD[side] * mine
    return pose


def adage(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """One leg unfolds high to the side, the front or the back (arabesque) and sinks."""
    pose = _classical_groove(m, beat)
    up, lead = np.sin(np.pi * np.clip(since / 3, 0, 1)) ** 1.2, m.lead
    height = 0.20 + 0.24 * m.taste[6]
    kind = int(3 * m.taste[7])
    foot = [(0.30, height, 0.05), (0.03, height, 0.34), (0.02, 0.8 * height, -0.38)][kind]
    pose.feet[:, lead] += np.array(foot) * up[:, None]
    pose.toes_down[:, lead] += 0.9 * up
    pose.sway[:, 0] -= 0.10 * OUTWARD[lead] * up
    if kind == 2:
        pose.chest[:, PITCH] += 0.12 * up
        pose.head[:, PITCH] -= 0.12 * up
    else:
        pose.chest[:, ROLL] += 0.12 * OUTWARD[lead] * up
    return pose


def passe(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """One foot is drawn up to the other knee in turn, standing high on the ball of the other foot."""
    pose = _classical_groove(m, beat)
    up = np.sin(np.pi * (beat % 2) / 2) ** 0.8
    pose.drop -= 0.06 * up
    for side in (LEFT, RIGHT):
        mine = up * (np.floor(beat / 2) % 2 == side)
        pose.feet[:, side] += _vector(-0.02, 0.22, 0.04) * mine[:, None]
        pose.knees_out[:, side] += 0.3 * mine
        pose.toes_down[:, side] += 0.9 * mine
        pose.toes_down[:, 1 - side] += 0.6 * mine
        pose.sway[:, 0] -= 0.06 * OUTWARD[side] * mine
    return pose


def saute(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """A jump with stretched legs every two beats, out of a plié and into one."""
    pose = _classical_groove(m, beat)
    at = (beat % 2) / 2
    air = np.maximum(np.sin(np.pi * np.clip((at - 0.42) / 0.34, 0, 1)), 0)
    bend = np.exp(-(((at - 0.30) / 0.11) ** 2)) + np.exp(-(((at - 0.86) / 0.10) ** 2))
    pose.drop += 0.14 * bend - 0.22 * air
    pose.feet += air[:, None, None] * np.array([0.02, 0.095, 0.0])
    pose.toes_down += 0.8 * np.minimum(2 * air, 1)[:, None]
    return pose


# --- hip-hop: the weight drops on the beat, arms hit and hold ---

_WIDE = np.array([(0.80, 0.02, 0.15), (0.72, -0.15, 0.20), (0.75, 0.12, 0.20)])
_CLOSE = np.array([(-0.15, -0.05, 0.55), (-0.05, -0.15, 0.50), (0.0, 0.05, 0.60)])
"""Where the hands hit, both alike."""


def _hit_hands(m: Manner, beat: Float64Array, *, hold: float) -> Float64Array:
    """(F, 1, 3): hands that snap from hit to hit, wide and close in turn."""
    wide, close = np.roll(_WIDE, int(3 * m.taste[1]), axis=0), np.roll(_CLOSE, int(3 * m.taste[2]), axis=0)
    turns = np.stack([wide, close], 1).reshape(-1, 3)
    return _keyframes(beat, turns, hold=hold, attack=0.25)[:, None]


def _hiphop_groove(m: Manner, beat: Float64Array) -> Pose:
    pose = _at_home(m, beat)
    down = (0.5 + 0.5 * np.cos(2 * np.pi * beat)) ** 1.5
    pose.drop += 0.085 * down
    pose.sway[:, 0] += 0.05 * np.sin(np.pi * beat)
    pose.chest += _vector(0.10 * np.sin(np.pi * beat), 0.04 * down, 0.14 * np.sin(np.pi * beat))
    pose.head[:, PITCH] += 0.10 * down
    pose.head[:, ROLL] += 0.30 * np.sin(np.pi * beat)
    pose.knees_out += 0.35 * down[:, None]
    pose.elbows += (0.0, 0.35, 0.0)
    pose.shoulders -= 0.3 * down[:, None]
    for side in (LEFT, RIGHT):
        swing = OUTWARD[side] * np.sin(np.pi * beat)
        pose.hands[:, side] += _vector(0, -0.06 * down, 0.10 * swing)
    return pose


def hits(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """An arm picture on every beat, snapped into and held, wide and close in turn."""
    pose = _hiphop_groove(m, beat)
    punch = np.exp(-5 * (beat % 1))
    twist = _keyframes(beat, np.array([0.3, -0.3, 0.0]), hold=1.0, attack=0.25)
    pose.hands[:] = _hit_hands(m, beat, hold=1.0)
    pose.chest[:, PITCH] -= 0.06 * punch
    pose.chest[:, YAW] += twist
    pose.head[:, YAW] -= 0.6 * twist
    return pose


def two_step(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """A quick step to one side, a hold, a quick step back; the arms open with every step."""
    pose = _hiphop_groove(m, beat)
    there = _keyframes(beat, np.array([1.0, -1.0]), hold=1.0, attack=0.55)
    pose.travel[:, 0] += 0.10 * there
    pose.pelvis += _vector(0.2 * there, 0, -0.08 * there)
    hop = np.sin(np.pi * np.minimum(1, (beat % 1) / 0.55))
    pose.hands[:] = _vector(-0.05 + 0.75 * hop, -0.20 + 0.15 * hop, 0.45 - 0.20 * hop)[:, None]
    for side in (LEFT, RIGHT):
        mine = hop * (np.floor(beat) % 2 == side)
        pose.feet[:, side] += _vector(0.06 * mine, 0.05 * mine, 0.02)
    return pose


def criss_cross(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """The feet jump apart and together, the arms with them."""
    pose = _hiphop_groove(m, beat)
    apart = _keyframes(beat, np.array([1.0, 0.0]), hold=1.0, attack=0.4)
    hop = np.sin(np.pi * np.minimum(1, (beat % 1) / 0.4))
    pose.drop -= 0.06 * hop
    pose.feet += _vector(0.09 * apart - 0.03, 0.03 * hop, 0)[:, None]
    pose.hands[:] = _vector(-0.05 + 0.75 * apart, -0.15 + 0.10 * apart, 0.45 - 0.20 * apart)[:, None]
    return pose


def pop(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """The chest pops twice a beat under arms that change picture every second beat."""
    pose = _hiphop_groove(m, beat)
    kick = np.exp(-5 * ((2 * beat) % 1))
    pose.chest[:, PITCH] -= 0.08 * kick
    pose.head[:, PITCH] += 0.15 * kick
    pose.drop -= 0.04 * kick
    pose.shoulders += 0.7 * kick[:, None]
    pose.hands[:] = _hit_hands(m, beat, hold=2.0) + np.array([0.10, 0.05, 0.03]) * kick[:, None, None]
    return pose


def body_roll(m: Manner, beat: Float64Array, since: Float64Array) -> Pose:
    """A wave runs through chest and pelvis while the arms close and open."""
    pose = _hiphop_groove(m, beat)
    turn = np.pi * beat
    pose.chest[:, PITCH] += 0.18 * np.sin(turn)
    pose.pelvis[:, PITCH] -= 0.14 * np.sin(turn + 1.2)
    pose.head[:, PITCH] += 0.2 * np.sin(turn - 1)
    pose.sway[:, 1] += 0.08 * np.sin(turn + 1)
    pose.drop += 0.05 + 0.05 * np.sin(turn + 1.5)
    pose.hands[:] = _vector(0.35 + 0.40 * np.sin(turn), -0.10, 0.35)[:, None]
    return pose


STYLES_BY_NAME: dict[str, Style] = {
    "afrobeat": Style(moves=(azonto, shaku, legwork, low_hips, swirl), blend_beats=0.7),
    "classical": Style(moves=(plie, tendu, adage, passe, saute), blend_beats=1.0),
    "hiphop": Style(moves=(hits, two_step, criss_cross, pop, body_roll), blend_beats=0.5),
}
