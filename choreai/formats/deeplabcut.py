"""DeepLabCut's tables of body parts, as CSV and as HDF5: predictions of videos, and labelled data.

The head has scorer, (individuals,) bodyparts and coords. A body part is known by its name: left_shoulder, LShoulder,
and the shoulder1 (right) and shoulder2 of DeepLabCut's own human model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.deeplabcut_h5 import is_hdf5, read_h5
from choreai.formats.delimited import cells, read_rows
from choreai.formats.frame_names import frame_numbers
from choreai.formats.glimpse import Glimpse
from choreai.formats.marker_names import coco_points, coco_sources
from choreai.formats.people import PeopleBuffer, is_seen
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import MAX_NUMBER, abbreviate, number_in

_HEAD = ("scorer", "individuals", "bodyparts", "coords")
_PARTS = {"x": 0, "y": 1, "likelihood": 2}
_RIGHT_AND_LEFT = {"1": "right ", "2": "left "}
_NOBODY = "single"
"""The individual of parts that belong to nobody: a ball, a door."""


def is_deeplabcut(glimpse: Glimpse) -> bool:
    """Return whether a CSV begins with DeepLabCut's head, or it is HDF5."""
    starts = [line.partition(",")[0].strip() for line in glimpse.lines[:4]]
    return (starts[:1] == ["scorer"] and "coords" in starts) or is_hdf5(glimpse.head)


def read_deeplabcut(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table; each individual is a track, in the order of the file.

    frame_index: the row's number, of labelled pictures that in the name. Scores: the likelihoods, of labelled data 1.
    Raises TableError, which names line and column, or the body parts if none is a keypoint.
    """
    rate, people = settings.rate_of(uri), PeopleBuffer(uri)
    names: list[str] = []
    layout: _Layout | None = None
    for name, row, columns in read_h5(uri, people) if _starts_as_hdf5(uri) else _read_csv(uri, people):
        layout = layout or _Layout.of(columns, uri)
        for track, points in enumerate(layout.people_in(row)):
            if is_seen(points):
                people.add(len(names), points, track_id=track)
        names.append(name)
    return people.to_table(settings, frames_per_second=rate, frame_index=frame_numbers(names))


Column = tuple[str, ...]
"""scorer, (individual,) body part, coordinate."""


@dataclass(frozen=True)
class _Layout:
    """Which column has what."""

    at: list[Float64Array]
    """By individual (parts, 3): the columns of x, y and likelihood; NaN where there is none."""
    sources: list[list[tuple[int, ...]]]
    """By individual and keypoint the parts whose mean it is."""

    @classmethod
    def of(cls, columns: Sequence[Column], uri: str) -> "_Layout":
        found: dict[str, dict[str, Float64Array]] = {}
        for column, (_, *individual, part, coordinate) in enumerate(columns):
            parts = found.setdefault(individual[0] if individual else "", {})
            if coordinate in _PARTS:
                parts.setdefault(part, np.full(3, np.nan))[_PARTS[coordinate]] = column
        found = {individual: parts for individual, parts in found.items() if parts and individual != _NOBODY}
        sources = [coco_sources(_sided(list(parts))) for parts in found.values()]
        if not any(any(each) for each in sources):
            names = ", ".join(dict.fromkeys(part for parts in found.values() for part in parts))
            raise TableError(
                f"{uri}: none of the body parts {names[:300]} is named as a keypoint; name them LKnee, ..."
            )
        return cls([np.array(list(parts.values())) for parts in found.values()], sources)

    def people_in(self, row: Float64Array) -> Iterator[Float64Array]:
        """Yield (17, 3) of each individual."""
        for at, sources in zip(self.at, self.sources, strict=True):
            has_column = np.isfinite(at)
            values = np.where(has_column, row[np.where(has_column, at, 0).astype(np.int64)], np.nan)
            values[:, 2] = np.where(has_column[:, 2], values[:, 2], 1.0)
            yield coco_points(values, sources)


def _columns(head: dict[str, list[str]], num_index: int, where: str) -> list[Column]:
    """Return the columns behind those that name the row. Raises TableError if the head is not as wide everywhere."""
    levels = [head[name] for name in _HEAD if name in head]
    if len({len(level) for level in levels}) > 1 or not {"scorer", "bodyparts"} <= head.keys():
        raise TableError(f"{where}: scorer, bodyparts and coords are not there in equal length; export it again")
    return list(zip(*(level[num_index:] for level in levels), strict=True))


def _sided(parts: list[str]) -> list[str]:
    """Return the names with sides in the place of the numbers of DeepLabCut's human model."""
    if not {"shoulder1", "shoulder2"} <= set(parts):
        return parts
    return [_RIGHT_AND_LEFT[part[-1]] + part[:-1] if part[-1:] in _RIGHT_AND_LEFT else part for part in parts]


def _starts_as_hdf5(uri: str) -> bool:
    from choreai.storage import objects

    with objects.open_object(uri) as file:
        return is_hdf5(file.read(8))


def _read_csv(uri: str, people: PeopleBuffer) -> Iterator[tuple[str, Float64Array, Sequence[Column]]]:
    """Yield name, values and the columns of each row."""
    head: dict[str, list[str]] = {}
    num_index = 0
    columns: list[Column] = []
    for number, row in read_rows(uri, people, delimiter=","):
        where = f"{uri}: line {number}"
        if "coords" not in head:
            if row[0] not in _HEAD:
                raise TableError(
                    f"{where} begins with {abbreviate(row[0])}, not with one of {', '.join(_HEAD)}; is this a table of "
                    "DeepLabCut?"
                )
            head[row[0]] = row
            if row[0] == "coords":
                num_index = next((i for i, cell in enumerate(row) if cell in _PARTS), len(row))
                columns = _columns(head, num_index, where)
            continue
        line = cells(row, num_index + len(columns), where)
        yield line[num_index - 1], _numbers(line[num_index:], columns, where), columns


def _numbers(row: list[str], columns: list[Column], where: str) -> Float64Array:
    """Return (C,) numbers, NaN for empty cells. Raises TableError, which names the first cell that is none."""
    try:
        values = np.array([cell or "nan" for cell in row]).astype(np.float64)
    except ValueError:
        values = np.full(1, np.inf)
    if (np.abs(np.nan_to_num(values)) <= MAX_NUMBER).all() and not np.isinf(values).any():
        return values
    named = zip(row, columns, strict=True)
    return np.array([number_in(cell, f"{where}, {column[-2]} {column[-1]}") for cell, column in named])
