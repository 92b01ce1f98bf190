"""MOT, OpenSim's files of motion: joint angles over time, as Sports2D writes them. (Boxes of MOT Challenge are
`mot`.)"""

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.formats.glimpse import Glimpse
from choreai.formats.one_person import one_person, plane_points
from choreai.formats.settings import ConvertSettings
from choreai.formats.written import write_file
from choreai.motion.skeleton import KEYPOINT_NAMES

_JOINTS = {
    "knee": ("hip", "knee", "ankle"),
    "hip": ("shoulder", "hip", "knee"),
    "elbow": ("shoulder", "elbow", "wrist"),
}
_HEAD = """\
Coordinates
version=1
nRows={rows}
nColumns={columns}
inDegrees=yes

Units are S.I. units (second, meters, Newtons, ...)
If the header above contains a line with 'inDegrees', this indicates whether rotational values are in degrees (yes) or \
radians (no).

endheader
"""


def is_opensim_mot(glimpse: Glimpse) -> bool:
    """Return whether it has OpenSim's head."""
    return any(line.strip() == "endheader" for line in glimpse.lines[:40])


def write_opensim_mot(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write one person's joint angles in degrees, in the picture plane; NaN where a keypoint is missing.

    Knees, hips and elbows: the flexion, 0 where straight. Shoulders: between upper arm and trunk, 0 where the arm
    hangs. trunk: the lean from upright. None of them has a sign.
    """
    person = one_person(table, uri, settings)
    points, _ = plane_points(person, settings)
    angles = joint_angles(points)
    times = person["pts_seconds"].to_numpy()
    with write_file(uri) as path, path.open("w", encoding="utf-8") as file:
        file.write(_HEAD.format(rows=len(times), columns=len(angles) + 1))
        file.write("\t".join(["time", *angles]) + "\n")
        for time, *values in zip(times, *angles.values(), strict=True):
            file.write("\t".join([f"{time:.6f}", *(f"{value:.4f}" for value in values)]) + "\n")


def joint_angles(points: Float64Array) -> dict[str, Float64Array]:
    """Return (T,) degrees by name of (T, 17, 2) points with y upwards."""
    found = {}
    for side in ("right", "left"):
        for joint, (above, _, below) in _JOINTS.items():
            corner = _at(points, f"{side}_{joint}")
            ways = _at(points, f"{side}_{above}") - corner, _at(points, f"{side}_{below}") - corner
            found[f"{side}_{joint}"] = 180 - _between(*ways)
        shoulder = _at(points, f"{side}_shoulder")
        found[f"{side}_shoulder"] = _between(
            _at(points, f"{side}_elbow") - shoulder, _at(points, f"{side}_hip") - shoulder
        )
    spine = sum(_at(points, f"{side}_shoulder") - _at(points, f"{side}_hip") for side in ("right", "left"))
    found["trunk"] = _between(np.asarray(spine), np.broadcast_to([0.0, 1.0], (len(points), 2)))
    return found


def _at(points: Float64Array, name: str) -> Float64Array:
    return points[:, KEYPOINT_NAMES.index(name)]


def _between(first: Float64Array, second: Float64Array) -> Float64Array:
    """Return (T,) degrees between two ways; NaN where one has no length."""
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    cosine = (first * second).sum(axis=1) / np.where(lengths > 0, lengths, np.nan)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))
