"""A keypoint table frame by frame, as the tools that people correct keypoints with take it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.formats.rows import keypoints_of, one_video, without_missing
from choreai.tables.schemas import from_list_column


@dataclass(frozen=True, eq=False)
class FramePerson:
    """A person in one frame."""

    frame_index: int
    track_id: int
    box_xyxy: Float64Array
    box_score: float
    keypoints: Float64Array
    """(17, 3): x, y, score; 0, 0, 0 where missing."""


def people_by_frame(table: pa.Table, uri: str) -> Iterator[list[FramePerson]]:
    """Yield the people of each frame that has some, in the order of frames and tracks. Raises TableError for several
    videos, naming the target `uri`."""
    one_video(table, uri)
    table = table.sort_by([("frame_index", "ascending"), ("track_id", "ascending")])
    people: list[FramePerson] = []
    for person in _people(table):
        if people and person.frame_index != people[0].frame_index:
            yield people
            people = []
        people.append(person)
    if people:
        yield people


def people_by_track(table: pa.Table, uri: str) -> Iterator[list[FramePerson]]:
    """Yield the frames of each track, in the order of tracks. Raises TableError as `people_by_frame` does."""
    one_video(table, uri)
    table = table.sort_by([("track_id", "ascending"), ("frame_index", "ascending")])
    people: list[FramePerson] = []
    for person in _people(table):
        if people and person.track_id != people[0].track_id:
            yield people
            people = []
        people.append(person)
    if people:
        yield people


def _people(table: pa.Table) -> Iterator[FramePerson]:
    columns = (table[name].to_pylist() for name in ("frame_index", "track_id", "box_score"))
    boxes = from_list_column(table["box_xyxy"]).astype(np.float64)
    keypoints = without_missing(keypoints_of(table)).astype(np.float64)
    for frame, track, score, box, points in zip(*columns, boxes, keypoints, strict=True):
        yield FramePerson(frame, track, box, score, points)
