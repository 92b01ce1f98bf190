"""CSV of MediaPipe's 33 pose landmarks, as scripts around it write them: MediaPipe itself writes no file.

Wide, a row for each frame: `x0,y0,z0,v0,...` (counted from 0 or 1), `landmark_0_x,...` or
`NOSE_x,NOSE_y,NOSE_z,NOSE_visibility,...`. Long, a row for each landmark: `frame,landmark,x,y,z,visibility`, the
landmark by number or name.
"""

import csv
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.delimited import cells, read_rows
from choreai.formats.glimpse import Glimpse, delimiter_of
from choreai.formats.keypoint_sets import BLAZEPOSE_33, pick_coco
from choreai.formats.people import PeopleBuffer, is_seen, track_id_in
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import abbreviate, number_in

NUM_LANDMARKS = len(BLAZEPOSE_33)
PIXEL_CENTRE = -0.5
"""Shares of the picture count from the edge of the first pixel, our pixels from its centre."""

_PARTS = {"x": 0, "y": 1, "v": 2, "vis": 2, "visibility": 2, "score": 2, "confidence": 2}
_PART = "(x|y|v|vis|visibility|score|confidence)"
_NAMED_LAST = re.compile(rf"(?:(?:pose|landmarks?|lm|point|kp)[_. ]?)*(\w+?)[_. ]{_PART}")
_NAMED_FIRST = re.compile(rf"{_PART}[_. ]?(\d+)")
_FRAMES = ("frame", "frame_index", "frame_id", "frame_number", "frame_num", "frame_no")
_LANDMARKS = ("landmark", "landmark_id", "landmark_index", "landmark_name", "index", "id", "name", "joint", "keypoint")


def is_mediapipe_csv(glimpse: Glimpse) -> bool:
    """Return whether the head has all 33 landmarks, or the rows name them."""
    names = [name.lower() for name in glimpse.head_cells]
    if _is_long(names):
        at = next(names.index(name) for name in _LANDMARKS if name in names)
        rows = [
            row for row in csv.reader(glimpse.lines[1:40], delimiter=delimiter_of(glimpse.lines[0])) if len(row) > at
        ]
        return any(_number_of(row[at].strip().lower()) == NUM_LANDMARKS - 1 for row in rows)
    return len(_columns(names)) > 2 * NUM_LANDMARKS - 1


def read_mediapipe_csv(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of one person.

    frame_index: a column called frame (or frame_index, frame_id, ...), otherwise the row, from 0. Shares of the picture
    need `settings.size_wh`; without visibilities every score is 1. Rows without numbers are frames without
    anybody. Raises TableError, which names line and column.
    """
    rate = settings.rate_of(uri)
    people, layout = PeopleBuffer(uri), None
    frames: dict[int, Float64Array] = {}
    for number, row in read_rows(uri, people):
        where = f"{uri}: line {number}"
        if layout is None:
            layout = _Layout.of([name.strip().lower() for name in row], where)
        else:
            layout.add(cells(row, len(layout.names), where), where, frames)
    for frame, landmarks in sorted(frames.items()):
        if is_seen(points := pick_coco(landmarks, BLAZEPOSE_33)):
            people.add(frame, points)
    if people.are_shares():
        size = settings.size_of(uri, why="MediaPipe's landmarks are shares of the picture")
        people.scale(size, shift=PIXEL_CENTRE)
    return people.to_table(settings, frames_per_second=rate)


@dataclass(frozen=True)
class _Layout:
    """Which column has what."""

    names: list[str]
    columns: dict[tuple[int, int], int]
    """By landmark and part (0 x, 1 y, 2 visibility); of a long file the landmark is 0."""
    frame: int | None
    landmark: int | None
    """The column that names a long file's landmark; None if the file is wide."""

    @classmethod
    def of(cls, names: list[str], where: str) -> "_Layout":
        frame = next((names.index(name) for name in _FRAMES if name in names), None)
        if not _is_long(names):
            columns = _columns(names)
            if not {(landmark, part) for landmark in range(NUM_LANDMARKS) for part in (0, 1)} <= columns.keys():
                raise TableError(f"{where}: the head does not name MediaPipe's 33 landmarks; see docs/formats.md")
            return cls(names, columns, frame, None)
        if frame is None:
            raise TableError(f"{where}: no column says the frame of a landmark; add one that is called frame")
        columns = {(0, part): names.index(name) for name, part in _PARTS.items() if name in names}
        return cls(names, columns, frame, next(names.index(name) for name in _LANDMARKS if name in names))

    def add(self, row: list[str], where: str, frames: dict[int, Float64Array]) -> None:
        """Add a line to the landmarks (33, 3) of its frame."""
        frame = len(frames) if self.frame is None else self._frame_in(row[self.frame], where)
        if self.landmark is None and frame in frames:
            raise TableError(f"{where}: frame {frame} is there already; such a file holds one person, so divide it")
        landmarks = frames.setdefault(frame, self._empty())
        first = 0 if self.landmark is None else _landmark_in(row[self.landmark], where)
        for (landmark, part), column in self.columns.items():
            landmarks[first + landmark, part] = number_in(row[column], f"{where}, {self.names[column]}")

    def _empty(self) -> Float64Array:
        landmarks = np.full((NUM_LANDMARKS, 3), np.nan)
        if not any(part == 2 for _, part in self.columns):
            landmarks[:, 2] = 1
        return landmarks

    def _frame_in(self, cell: str, where: str) -> int:
        value = number_in(cell, where)
        frame = None if np.isnan(value) else track_id_in(value, where)
        if frame is None or frame < 0:
            raise TableError(f"{where}: {abbreviate(cell)} is no frame; number the frames from 0")
        return frame


def _is_long(names: list[str]) -> bool:
    return {"x", "y"} <= set(names) and bool(set(_LANDMARKS) & set(names))


def _columns(names: list[str]) -> dict[tuple[int, int], int]:
    """Return the column of each (landmark, part) that the head has."""
    found: dict[tuple[int, int], int] = {}
    for column, name in enumerate(names):
        last, first = _NAMED_LAST.fullmatch(name), _NAMED_FIRST.fullmatch(name)
        word, part = (first[2], first[1]) if first else (last[1], last[2]) if last else ("", "")
        landmark = _number_of(word)
        if landmark is not None and part in _PARTS:
            found[landmark, _PARTS[part]] = column
    from_one = min(found, default=(0, 0))[0] == 1 and max(found, default=(0, 0))[0] == NUM_LANDMARKS
    shifted = {(landmark - from_one, part): column for (landmark, part), column in found.items()}
    return {key: column for key, column in shifted.items() if key[0] < NUM_LANDMARKS}


def _number_of(word: str) -> int | None:
    """Return a landmark's number, as the head counts, or that of its name; None for anything else."""
    if word.isascii() and word.isdigit() and len(word) < 3:
        return int(word) if int(word) <= NUM_LANDMARKS else None
    name = word.removeprefix("poselandmark.").replace(" ", "_")
    return BLAZEPOSE_33.index(name) if name in BLAZEPOSE_33 else None


def _landmark_in(cell: str, where: str) -> int:
    number = _number_of(cell.strip().lower())
    if number is None or number >= NUM_LANDMARKS:
        raise TableError(f"{where}: {abbreviate(cell)} is no landmark of MediaPipe; they are 0 to 32, or nose, ...")
    return number
