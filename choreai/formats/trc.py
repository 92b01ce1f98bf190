"""TRC, the marker files of OpenSim, as Pose2Sim and Sports2D write them too: a line a frame, X, Y, Z of each marker.

Coordinates point right, up and out of the picture. A file is of one person.
"""

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.glimpse import Glimpse
from choreai.formats.marker_names import coco_points, coco_sources
from choreai.formats.markers import add_markers, metres_in
from choreai.formats.one_person import one_person, plane_points, row_rate
from choreai.formats.people import PeopleBuffer
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import abbreviate, number_in
from choreai.formats.written import write_file
from choreai.motion.skeleton import KEYPOINT_NAMES
from choreai.storage import objects

_FIRST = "PathFileType"
_SHORT = {"left": "L", "right": "R"}
MARKERS = tuple(
    _SHORT.get(name.partition("_")[0], "") + name.rpartition("_")[2].capitalize() for name in KEYPOINT_NAMES
)
"""OpenPose's short names, which Pose2Sim's OpenSim models go by: Nose, LEye, ..., LShoulder, ..., RAnkle."""


def is_trc(glimpse: Glimpse) -> bool:
    """Return whether the first line is TRC's."""
    return glimpse.text.startswith(_FIRST)


def read_trc(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of one person.

    Markers become keypoints by their names (`marker_names`); scores are 1. Where all Z are 0 (Sports2D) the picture is
    the plane, otherwise it is seen from the front and `keypoints_xyz` has the points (`markers`). frame_index: time x
    rate. Raises TableError, which names line and column, or the markers if none is a keypoint.
    """
    people = PeopleBuffer(uri)
    data = objects.read_object(uri)
    people.digest.update(data)
    lines = data.decode("utf-8-sig", errors="replace").splitlines()
    if len(lines) < 5 or not lines[0].startswith(_FIRST):
        raise TableError(f"{uri}: it does not begin with the five lines of a TRC file; export it again")
    about = dict(zip(lines[1].split(), lines[2].split(), strict=False))
    names = [name for name in lines[3].rstrip("\r\n").split("\t")[2:] if name.strip()]
    sources = coco_sources(names)
    if not any(sources):
        raise TableError(f"{uri}: none of the markers {', '.join(names)[:300]} is a keypoint; name them LKnee, ...")
    counts, times, points = _values(lines, len(names), uri)
    rate = settings.rate_of(uri, told=_rate(about, counts, times, uri))
    frames = np.round(times * rate).astype(np.int64) if len(times) else np.zeros(0, np.int64)
    add_markers(people, frames, coco_points(points, sources), metres_per_unit=metres_in(about.get("Units", "m"), uri))
    return people.to_table(settings, frames_per_second=rate)


def write_trc(table: pa.Table, uri: str, settings: ConvertSettings, *, about: str = "") -> None:
    """Write one person's keypoints as markers in the plane Z = 0; a missing one is empty.

    In pixels from the upper left corner, with Y = -y; with `settings.person_height_metres` in metres, from the floor.
    `about` stands behind the file's name in the first line, where readers expect nothing that they need.
    """
    person = one_person(table, uri, settings)
    points, unit = plane_points(person, settings)
    times, frames = person["pts_seconds"].to_numpy().astype(np.float64), person["frame_index"].to_numpy()
    rate = f"{row_rate(times):.6g}"
    name = uri.rstrip("/").rpartition("/")[2]
    head = [
        f"{_FIRST}\t4\t(X/Y/Z)\t{name}" + (f" ({about})" if about else ""),
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"{rate}\t{rate}\t{len(times)}\t{len(MARKERS)}\t{unit}\t{rate}\t0\t{len(times)}",
        "Frame#\tTime\t" + "\t\t\t".join(MARKERS) + "\t\t",
        "\t\t" + "\t".join(f"X{n}\tY{n}\tZ{n}" for n in range(1, len(MARKERS) + 1)),
        "",
    ]
    with write_file(uri) as path, path.open("w", encoding="utf-8") as file:
        file.write("\n".join(head) + "\n")
        for frame, time, places in zip(frames, times, points, strict=True):
            cells = [cell for place in places for cell in _marker_cells(place)]
            file.write("\t".join([str(frame), f"{time:.6f}", *cells]) + "\n")


def _marker_cells(place: Float64Array) -> list[str]:
    return [f"{place[0]:.6g}", f"{place[1]:.6g}", "0"] if np.isfinite(place).all() else ["", "", ""]


def _values(lines: list[str], num_markers: int, uri: str) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Return Frame# (T,), times (T,) and points (T, M, 3), NaN where empty."""
    rows = []
    for number, line in enumerate(lines[5:], start=6):
        if not line.strip():
            continue
        where = f"{uri}: line {number}"
        words = line.rstrip("\r\n").split("\t")
        row = [number_in(word, f"{where}, column {column}") for column, word in enumerate(words, start=1)]
        row = row[: 2 + 3 * num_markers] + [np.nan] * (2 + 3 * num_markers - len(row))
        if not np.isfinite(row[:2]).all():
            raise TableError(f"{where}: frame {abbreviate(words[0])} has no usable number or time; correct the line")
        rows.append(row)
    values = np.array(rows, np.float64).reshape(-1, 2 + 3 * num_markers)
    return values[:, 0], values[:, 1], values[:, 2:].reshape(len(values), num_markers, 3)


def _rate(about: dict[str, str], counts: Float64Array, times: Float64Array, uri: str) -> float:
    """Return frames a second: as frames and times tell, otherwise what the head says."""
    if len(times) > 1 and times[-1] > times[0] and counts[-1] > counts[0]:
        return float((counts[-1] - counts[0]) / (times[-1] - times[0]))
    told = number_in(about.get("DataRate", ""), f"{uri}: DataRate")
    if not told > 0:
        raise TableError(f"{uri}: DataRate is {abbreviate(about.get('DataRate'))}; give --frames-per-second")
    return told
