"""BVH written from joints in space: bones of one length each, and how they turn in every frame.

A bone turns the shortest way from where its parent points it, so that what is read back has the joints where they
were. The torso and neck, which keypoints show bending, have their median length.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array, FloatArray
from choreai.errors import TableError
from choreai.formats.one_person import one_person, row_rate
from choreai.formats.settings import ConvertSettings
from choreai.formats.written import write_file
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.motion.skeleton3d import fit_to_picture, from_y_up
from choreai.tables.schemas import from_any_list_column, from_list_column

CENTIMETRES = 100.0
"""In a metre: animators' programs take a unit of BVH for a centimetre."""


@dataclass(frozen=True)
class _Joint:
    """A joint: where it hangs, and which keypoints it lies between."""

    name: str
    parent: str
    """Empty for the root."""
    at: tuple[int, ...]
    """The keypoints whose middle it is."""


_JOINTS = (
    _Joint("Hips", "", (11, 12)),
    _Joint("LeftUpLeg", "Hips", (11,)),
    _Joint("LeftLeg", "LeftUpLeg", (13,)),
    _Joint("LeftFoot", "LeftLeg", (15,)),
    _Joint("RightUpLeg", "Hips", (12,)),
    _Joint("RightLeg", "RightUpLeg", (14,)),
    _Joint("RightFoot", "RightLeg", (16,)),
    _Joint("Spine", "Hips", (11, 12)),
    _Joint("Spine1", "Spine", (5, 6)),
    _Joint("LeftArm", "Spine1", (5,)),
    _Joint("LeftForeArm", "LeftArm", (7,)),
    _Joint("LeftHand", "LeftForeArm", (9,)),
    _Joint("RightArm", "Spine1", (6,)),
    _Joint("RightForeArm", "RightArm", (8,)),
    _Joint("RightHand", "RightForeArm", (10,)),
    _Joint("Head", "Spine1", (3, 4)),
    _Joint("Nose", "Head", (0,)),
)
"""Parents first, each followed by all that hangs on it."""
_REST = {
    "Spine": (0, 1, 0), "Spine1": (0, 1, 0), "Head": (0, 1, 0), "Nose": (0, 0, 1),
    "LeftArm": (1, 0, 0), "LeftForeArm": (1, 0, 0), "LeftHand": (1, 0, 0),
    "RightArm": (-1, 0, 0), "RightForeArm": (-1, 0, 0), "RightHand": (-1, 0, 0),
    "LeftUpLeg": (1, 0, 0), "LeftLeg": (0, -1, 0), "LeftFoot": (0, -1, 0),
    "RightUpLeg": (-1, 0, 0), "RightLeg": (0, -1, 0), "RightFoot": (0, -1, 0),
}  # fmt: skip
"""Where a joint lies from its parent in the T-pose, y up, facing +z."""

_WIDTHS = {"Hips": ("LeftUpLeg", "RightUpLeg", "Spine1"), "Spine1": ("LeftArm", "RightArm", "Head")}
"""What several joints hang on: it turns with the line from its left to its right, and points up as far as that goes."""
_END = 0.08
"""Metres by which hands, feet and the nose go on beyond their joint."""


def write_bvh(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write one person's joints in space as a moving skeleton, in centimetres, y up; it begins over x = z = 0.

    Rows without 3D are left out; what lies between rows further apart is held. Up, down and sideways the hips move as
    in the picture; nothing tells how far away they are. Raises TableError where no row has 3D.
    """
    person = one_person(table, uri, settings)
    has_3d = np.asarray(person["keypoints_xyz"].is_valid())
    if not has_3d.any():
        raise TableError(
            f"{uri}: BVH is of joints in space, and this table has none; convert a part of poses3d, which "
            "`choreai lift` writes, or keypoints of MediaPipe"
        )
    person = person.filter(pa.array(has_3d))
    xyz = from_any_list_column(person["keypoints_xyz"], 3 * NUM_KEYPOINTS, missing=np.nan)
    xyz = xyz.reshape(-1, NUM_KEYPOINTS, 3)
    times = person["pts_seconds"].to_numpy().astype(np.float64)
    write_skeleton(uri, from_y_up(xyz), _root_course(person, xyz), frames_per_second=row_rate(times))


def write_skeleton(uri: str, joints_xyz: Float64Array, root: Float64Array, *, frames_per_second: float) -> None:
    """Write joints (F, 17, 3) around a root that moves along `root` (F, 3), both in metres with y up, as BVH."""
    places = {joint.name: _place(joints_xyz, joint) for joint in _JOINTS}
    offsets = {joint.name: _offset(places, joint) for joint in _JOINTS}
    turns = _turns(places)
    with write_file(uri) as path, path.open("w", encoding="utf-8") as file:
        file.write("HIERARCHY\n" + "".join(f"{line}\n" for line in _hierarchy("", offsets, 0)))
        file.write(f"MOTION\nFrames: {len(root)}\nFrame Time: {1 / frames_per_second:.6f}\n")
        for row in range(len(root)):
            angles = [_angles(turns[joint.name][row]) for joint in _JOINTS]
            numbers = [*(root[row] * CENTIMETRES), *np.concatenate(angles)]
            file.write(" ".join(f"{number:.4f}" for number in numbers) + "\n")


def _place(xyz: Float64Array, joint: _Joint) -> Float64Array:
    """Return (T, 3) where the joint is: a head without ears at the nose, and what is missing between the hips."""
    place = xyz[:, list(joint.at)].mean(axis=1)
    if joint.name == "Head":
        place = np.where(np.isfinite(place), place, xyz[:, 0])
    return np.where(np.isfinite(place), place, xyz[:, [11, 12]].mean(axis=1))


def _children(name: str) -> list[_Joint]:
    return [joint for joint in _JOINTS if joint.parent == name]


def _offset(places: dict[str, Float64Array], joint: _Joint) -> Float64Array:
    """Return (3,) where the joint lies from its parent at rest: the direction of the T-pose, the median length."""
    if not joint.parent:
        return np.zeros(3)
    lengths = np.linalg.norm(places[joint.name] - places[joint.parent], axis=1)
    return np.array(_REST[joint.name]) * float(np.nan_to_num(np.nanmedian(lengths)))


def _turns(places: dict[str, Float64Array]) -> dict[str, Float64Array]:
    """Return by joint (T, 3, 3) how it turns in the axes of its parent."""
    whole: dict[str, Float64Array] = {"": np.broadcast_to(np.eye(3), (len(places["Hips"]), 3, 3))}
    own: dict[str, Float64Array] = {}
    for joint in _JOINTS:
        above = whole[joint.parent]
        wanted = _axes(places, joint, above)
        own[joint.name] = np.swapaxes(above, 1, 2) @ wanted
        whole[joint.name] = wanted
    return own


def _axes(places: dict[str, Float64Array], joint: _Joint, above: Float64Array) -> Float64Array:
    """Return (T, 3, 3) the axes of a joint in the world: its rest directions as columns x, y, z."""
    if joint.name in _WIDTHS:
        left, right, upper = _WIDTHS[joint.name]
        x = _unit(places[left] - places[right])
        upwards = places[upper] - places[joint.name]
        z = _unit(np.cross(x, upwards))
        return np.stack([x, np.cross(z, x), z], -1)
    children = _children(joint.name)
    if not children:
        return above
    (child,) = children
    rest = np.einsum("tij,j->ti", above, np.array(_REST[child.name], np.float64))
    return _shortest_turn(rest, _unit(places[child.name] - places[joint.name])) @ above


def _shortest_turn(start: Float64Array, stop: Float64Array) -> Float64Array:
    """Return (T, 3, 3) the turns that take unit vectors (T, 3) to others the shortest way."""
    axis, cos = np.cross(start, stop), np.sum(start * stop, axis=1)
    x, y, z = axis.T
    zero = np.zeros_like(x)
    skew = np.stack([np.stack(row, -1) for row in ((zero, -z, y), (z, zero, -x), (-y, x, zero))], -2)
    turn = np.eye(3) + skew + skew @ skew / np.maximum(1 + cos, 1e-9)[:, None, None]
    opposite = cos < -1 + 1e-7
    if opposite.any():  # half a turn about anything across
        across = _unit(np.cross(start, np.where(np.abs(start[:, :1]) < 0.9, [[1.0, 0, 0]], [[0, 1.0, 0]])))
        half = 2 * across[:, :, None] * across[:, None] - np.eye(3)
        turn[opposite] = half[opposite]
    return np.asarray(turn, np.float64)


def _angles(turn: Float64Array) -> Float64Array:
    """Return (3,) degrees about z, x and y, in that order, of a rotation (3, 3)."""
    x = np.arcsin(np.clip(turn[2, 1], -1, 1))
    return np.degrees([np.arctan2(-turn[0, 1], turn[1, 1]), x, np.arctan2(-turn[2, 0], turn[2, 2])])


def _hierarchy(parent: str, offsets: dict[str, Float64Array], depth: int) -> list[str]:
    lines = []
    for joint in _children(parent):
        pad = "\t" * depth
        offset = " ".join(f"{number:.4f}" for number in offsets[joint.name] * CENTIMETRES)
        kind = f"JOINT {joint.name}" if parent else f"ROOT {joint.name}"
        turns = "Zrotation Xrotation Yrotation"
        channels = f"CHANNELS 3 {turns}" if parent else f"CHANNELS 6 Xposition Yposition Zposition {turns}"
        inside = _hierarchy(joint.name, offsets, depth + 1) or _end(joint, depth + 1)
        lines += [f"{pad}{kind}", f"{pad}{{", f"{pad}\tOFFSET {offset}", f"{pad}\t{channels}", *inside, f"{pad}}}"]
    return lines


def _end(joint: _Joint, depth: int) -> list[str]:
    pad = "\t" * depth
    offset = " ".join(f"{number * _END * CENTIMETRES:.4f}" for number in _REST[joint.name])
    return [f"{pad}End Site", f"{pad}{{", f"{pad}\tOFFSET {offset}", f"{pad}}}"]


def _root_course(person: pa.Table, xyz: FloatArray) -> Float64Array:
    """Return (T, 3) places of the hips in metres, y up from the lowest joint of all frames."""
    xy = from_list_column(person["keypoints_xy"]).reshape(-1, NUM_KEYPOINTS, 2)
    seen = from_list_column(person["keypoint_scores"]) > 0
    known = np.isfinite(xyz).all(axis=2) & seen & np.isfinite(xy).all(axis=2)
    metres, _ = fit_to_picture(np.nan_to_num(xyz).astype(np.float32), xy, known)
    metre = float(np.median(metres))
    hips = xy[:, [11, 12]].astype(np.float64).mean(axis=1) * metre
    up = -hips[:, 1]
    lowest = float(np.nanmin(up[:, None] - xyz[..., 1]))
    return np.stack([hips[:, 0] - hips[0, 0], up - lowest, np.zeros(len(hips))], -1)


def _unit(vectors: Float64Array) -> Float64Array:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9), np.float64)
