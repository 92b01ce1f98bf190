"""BVH, the animators' motion capture: a skeleton of joints, and how they turn in each frame.

The joints' places are worked out and become keypoints by their names: Mixamo's and LAFAN1's LeftArm, CMU's LeftUpLeg,
Biped's L Thigh, SMPL's L_Hip. BVH names no unit of length: legs are taken for `LEG_METRES`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.glimpse import Glimpse
from choreai.formats.marker_names import coco_points, coco_sources
from choreai.formats.markers import add_markers
from choreai.formats.people import PeopleBuffer
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import MAX_NUMBER, abbreviate
from choreai.motion.skeleton import KEYPOINT_NAMES
from choreai.storage import objects

LEG_METRES = 0.83
"""From hip to ankle: 0.491 of a body of 1.70 m (Drillis and Contini 1966)."""
MAX_JOINTS = 10_000

_AXES = "XYZ"
_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in _AXES)
_LEFT_LEG = [KEYPOINT_NAMES.index(f"left_{part}") for part in ("hip", "knee", "ankle")]


def is_bvh(glimpse: Glimpse) -> bool:
    """Return whether the first word is BVH's."""
    return glimpse.text.lstrip().startswith("HIERARCHY")


def read_bvh(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of one person, seen from the front (`markers`), with 3D; scores are 1.

    The nose is in the middle between the head's joint and its end; eyes and ears are missing. Raises TableError, which
    names line and word, or the joints if none is a keypoint.
    """
    people = PeopleBuffer(uri)
    data = objects.read_object(uri)
    people.digest.update(data)
    lines = data.decode("utf-8-sig", errors="replace").splitlines()
    joints, start = _hierarchy(lines, uri)
    rate, motion = _motion(lines, start, sum(len(joint.channels) for joint in joints), uri)
    places = _places(joints, motion)
    sources = coco_sources([joint.name for joint in joints])
    if not all(sources[k] for k in _LEFT_LEG):
        names = ", ".join(joint.name for joint in joints if joint.name)
        raise TableError(
            f"{uri}: no hip, knee and ankle among the joints {names[:300]}; name them LeftUpLeg, LeftLeg, LeftFoot"
        )
    points = coco_points(places, sources)
    leg = points[:, _LEFT_LEG]
    lengths = np.linalg.norm(np.diff(leg, axis=1), axis=2).sum(axis=1)
    length = float(np.median(lengths)) if len(lengths) else 1.0
    if not length > 0:
        raise TableError(
            f"{uri}: its left leg has no length, since hip, knee and ankle are at one place; export it again"
        )
    add_markers(people, np.arange(len(points)), points, metres_per_unit=LEG_METRES / length)
    return people.to_table(settings, frames_per_second=settings.rate_of(uri, told=rate))


@dataclass(eq=False)
class _Joint:
    name: str
    """Empty for the end of a limb, "nose" for the middle between the head and its end."""
    parent: int
    offset: Float64Array = field(default_factory=lambda: np.zeros(3))
    channels: list[str] = field(default_factory=list)


def _hierarchy(lines: list[str], uri: str) -> tuple[list[_Joint], int]:
    """Return the joints, parents first, and the index of the line MOTION."""
    joints: list[_Joint] = []
    open_joints: list[int] = []
    for index, line in enumerate(lines):
        words = line.split()
        where = f"{uri}: line {index + 1}"
        if words[:1] == ["MOTION"]:
            if not joints or open_joints:
                raise TableError(f"{where}: the motion begins before the skeleton ends; the file is damaged")
            return joints, index
        if words[:1] in (["ROOT"], ["JOINT"], ["End"]):
            name = "" if words[0] == "End" else " ".join(words[1:])
            joints.append(_Joint(name, open_joints[-1] if open_joints else -1))
        elif words[:1] == ["{"] and joints:
            open_joints.append(len(joints) - 1)
        elif words[:1] == ["}"] and open_joints:
            open_joints.pop()
        elif words[:1] == ["OFFSET"] and joints:
            joints[-1].offset = np.array(_numbers(words[1:], 3, where))
            if not joints[-1].name and "head" in joints[joints[-1].parent].name.lower():
                joints.append(_Joint("nose", joints[-1].parent, joints[-1].offset / 2))
        elif words[:1] == ["CHANNELS"] and joints:
            joints[-1].channels = words[2:]
            if unknown := set(words[2:]) - set(_CHANNELS):
                raise TableError(f"{where}: channel {abbreviate(min(unknown))} is none of {', '.join(_CHANNELS)}")
        elif words and words != ["HIERARCHY"]:
            raise TableError(f"{where}: {abbreviate(line.strip())} is no part of a skeleton; export it again")
        if len(joints) > MAX_JOINTS:
            raise TableError(f"{where}: more than {MAX_JOINTS} joints; the file is damaged")
    raise TableError(f"{uri}: no MOTION after its skeleton; the file is cut off, so copy it again")


def _motion(lines: list[str], start: int, num_channels: int, uri: str) -> tuple[float | None, Float64Array]:
    """Return the rate and the channels' values (T, num_channels)."""
    rate: float | None = None
    rows = []
    for index, line in enumerate(lines[start + 1 :], start=start + 2):
        words, where = line.split(), f"{uri}: line {index}"
        if not words or words[0].lower().startswith("frames"):
            continue
        if words[0].lower() == "frame" and len(words) > 2:
            (seconds,) = _numbers(words[2:3], 1, where)
            rate = 1 / seconds if seconds > 0 else None
        else:
            rows.append(_numbers(words, num_channels, where))
    return rate, np.array(rows, np.float64).reshape(len(rows), num_channels)


def _numbers(words: list[str], count: int, where: str) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != count or not all(abs(value) <= MAX_NUMBER for value in values):
        raise TableError(
            f"{where}: {abbreviate(' '.join(words))} are not {count} numbers; the file is cut off or damaged"
        )
    return values


def _places(joints: list[_Joint], motion: Float64Array) -> Float64Array:
    """Return (T, J, 3) places of the joints: each turns all that hangs on it."""
    places = np.zeros((len(motion), len(joints), 3))
    turns: list[Float64Array] = []
    for index, (joint, values) in enumerate(zip(joints, _by_joint(joints, motion), strict=True)):
        moved, turn = _own_motion(joint, values)
        if joint.parent < 0:
            places[:, index] = joint.offset + moved
            turns.append(turn)
        else:
            above = turns[joint.parent]
            places[:, index] = places[:, joint.parent] + np.einsum("tij,tj->ti", above, joint.offset + moved)
            turns.append(above @ turn)
    return places


def _by_joint(joints: list[_Joint], motion: Float64Array) -> Iterator[Float64Array]:
    start = 0
    for joint in joints:
        yield motion[:, start : start + len(joint.channels)]
        start += len(joint.channels)


def _own_motion(joint: _Joint, values: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return (T, 3) by which a joint is moved and (T, 3, 3) by which it is turned, axes in the order of its
    channels."""
    moved, turn = np.zeros((len(values), 3)), np.broadcast_to(np.eye(3), (len(values), 3, 3))
    for column, channel in enumerate(joint.channels):
        axis = _AXES.index(channel[0])
        if channel.endswith("position"):
            moved[:, axis] = values[:, column]
        else:
            turn = turn @ _turn_about(axis, np.radians(values[:, column]))
    return moved, turn


def _turn_about(axis: int, angle: Float64Array) -> Float64Array:
    """Return (T, 3, 3) rotations about one axis."""
    turn = np.zeros((len(angle), 3, 3))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    turn[:, axis, axis] = 1
    turn[:, first, first] = turn[:, second, second] = np.cos(angle)
    turn[:, first, second], turn[:, second, first] = -np.sin(angle), np.sin(angle)
    return turn
