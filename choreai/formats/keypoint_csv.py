"""CSV with named columns, one row a frame and person:
`frame_index,pts_seconds,track_id,...,nose_x,nose_y,nose_score,...`.

What spreadsheets, R and pandas take. Read is any CSV whose columns name COCO's keypoints in this manner: the third
column of a keypoint may also be called confidence, likelihood or visibility, or be missing. Lines before the head that
begin with `#` say where the numbers come from.
"""

import csv
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.delimited import cells, read_rows
from choreai.formats.glimpse import Glimpse
from choreai.formats.people import PeopleBuffer, is_seen, track_id_in
from choreai.formats.rows import keypoints_of, one_video
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import number_in
from choreai.formats.written import write_file
from choreai.motion.skeleton import KEYPOINT_NAMES, NUM_KEYPOINTS
from choreai.tables.schemas import from_list_column

_BOX = ("box_x1", "box_y1", "box_x2", "box_y2")
COLUMNS = (
    "frame_index", "pts_seconds", "track_id", *_BOX, "box_score",
    *(f"{name}_{part}" for name in KEYPOINT_NAMES for part in ("x", "y", "score")),
)  # fmt: skip
_SCORES = ("score", "confidence", "likelihood", "visibility", "conf")
_FRAMES = ("frame_index", "frame", "frame_id", "frame_number")
_TIMES = ("pts_seconds", "time", "seconds", "time_s")


def is_keypoint_csv(glimpse: Glimpse) -> bool:
    """Return whether the head names COCO's keypoints, and none of BlazePose's that COCO has not."""
    head = {_plain(name) for name in glimpse.head_cells}
    return {"left_shoulder_x", "left_shoulder_y", "right_hip_x"} <= head and "left_eye_inner_x" not in head


def read_keypoint_csv(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table.

    frame_index: a column of that name, frame, frame_id or frame_number, otherwise the row, from 0. The rate is that of
    `pts_seconds` and `frame_index`, where both are there. An empty cell is a missing keypoint. Raises TableError, which
    names line and column.
    """
    people, head = PeopleBuffer(uri), dict[str, int]()
    times: list[tuple[int, float]] = []
    for number, row in read_rows(uri, people):
        if not head:
            head = {name: column for column, name in enumerate(_plain_names(row))}
            continue
        line = _Line(head, cells(row, len(head), f"{uri}: line {number}"), f"{uri}: line {number}")
        frame = line.whole(_FRAMES)
        frame = len(times) if frame is None else frame
        times.append((frame, line.number(next((name for name in _TIMES if name in head), "")) or 0.0))
        box = [line.number(name) for name in _BOX]
        points = line.keypoints()
        if not is_seen(points):
            continue
        people.add(
            frame,
            points,
            track_id=line.whole(("track_id",)),
            box_xyxy=None if None in box else [value for value in box if value is not None],
            box_score=line.number("box_score"),
        )
    return people.to_table(settings, frames_per_second=settings.rate_of(uri, told=_rate(times)))


def write_keypoint_csv(table: pa.Table, uri: str, settings: ConvertSettings, *, about: Sequence[str] = ()) -> None:
    """Write a row for each frame and person, by frame; the cells of a missing keypoint are empty, its score 0.

    `about`: lines that stand above, each behind a `#`.
    """
    one_video(table, uri)
    table = table.sort_by([("frame_index", "ascending"), ("track_id", "ascending")])
    named = [table[name].to_pylist() for name in ("frame_index", "pts_seconds", "track_id", "box_score")]
    boxes, keypoints = from_list_column(table["box_xyxy"]), keypoints_of(table)
    with write_file(uri) as path, path.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"# {line}\n" for line in about)
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for frame, time, track, score, box, points in zip(*named, boxes, keypoints, strict=True):
            values = [value for point in points for value in _point_cells(point)]
            writer.writerow([frame, _text(time), track, *map(_text, box), _text(score), *values])


class _Line:
    """One line of the file, read by the names of its columns."""

    def __init__(self, head: dict[str, int], row: list[str], where: str) -> None:
        self._head, self._row, self._where = head, row, where

    def number(self, name: str) -> float | None:
        """Return a number; None if the column is not there or its cell is empty."""
        if name not in self._head:
            return None
        value = number_in(self._row[self._head[name]], f"{self._where}, {name}")
        return None if np.isnan(value) else value

    def whole(self, names: tuple[str, ...]) -> int | None:
        name = next((name for name in names if name in self._head), "")
        return track_id_in(self.number(name), f"{self._where}, {name}")

    def keypoints(self) -> Float64Array:
        points = np.full((NUM_KEYPOINTS, 3), np.nan)
        for k, name in enumerate(KEYPOINT_NAMES):
            x, y = self.number(f"{name}_x"), self.number(f"{name}_y")
            if x is not None and y is not None:
                scored = next((f"{name}_{word}" for word in _SCORES if f"{name}_{word}" in self._head), None)
                score = 1.0 if scored is None else self.number(scored)
                points[k] = x, y, np.nan if score is None else score
        return points


def _rate(times: list[tuple[int, float]]) -> float | None:
    """Return frames a second of (frame, seconds) pairs; None where they do not tell."""
    if not times:
        return None
    (first, start), (last, stop) = min(times), max(times)
    return (last - first) / (stop - start) if stop > start and last > first else None


def _plain(name: str) -> str:
    return name.strip().lower().replace(" ", "_").replace(".", "_").replace("-", "_")


def _plain_names(row: list[str]) -> list[str]:
    names = [_plain(name) for name in row]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise TableError(f"the head has the column {twice!r} twice; remove one of them")
    return names


def _point_cells(point: Float64Array) -> list[str]:
    seen = np.isfinite(point).all() and point[2] > 0
    return [_text(value) for value in point] if seen else ["", "", "0"]


def _text(value: float) -> str:
    """Return a float32 in as many digits as it needs."""
    return repr(float(str(np.float32(value))))
