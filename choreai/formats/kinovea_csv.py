"""Kinovea's CSV of trajectories (Export, Spreadsheet, CSV): `"Time","left knee/0/X","left knee/0/Y",...`.

A track is known by the name that was given to it in Kinovea: left knee, LKnee, L_Knee. Lists are divided by commas, or
by semicolons where numbers have decimal commas. Times are seconds, milliseconds or frames, as Kinovea was set.
"""

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array, IntArray
from choreai.errors import ConfigError, TableError
from choreai.formats.delimited import cells, read_rows
from choreai.formats.glimpse import Glimpse
from choreai.formats.marker_names import coco_points, coco_sources
from choreai.formats.markers import picture_of_plane
from choreai.formats.people import PeopleBuffer, is_seen
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import number_in

MILLISECONDS = 2.0
"""Steps above this are milliseconds, since no video has a frame in two seconds; steps of 1 are frames."""


def is_kinovea_csv(glimpse: Glimpse) -> bool:
    """Return whether the head is Kinovea's: Time, and pairs of .../X and .../Y."""
    head = glimpse.head_cells
    return head[:1] == ["Time"] and len(head) > 2 and all(name.endswith(("/X", "/Y")) for name in head[1:])


def read_kinovea_csv(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of one person.

    Scores are 1. Kinovea's y points upwards, and lengths are pixels or those of its calibration: the picture is turned,
    and lengths are made pixels as `picture_of_plane` says. Raises TableError, which names line and column, or says
    which tracks there are if none is a keypoint.
    """
    people, head = PeopleBuffer(uri), list[str]()
    times, rows = list[float](), list[Float64Array]()
    for number, row in read_rows(uri, people):
        where = f"{uri}: line {number}"
        if not head:
            head, has_comma = [name.strip() for name in row], False
            continue
        line = cells(row, len(head), where)
        has_comma = has_comma or any("," in cell for cell in line)
        values = [
            number_in(cell, f"{where}, {name}", decimal_comma=has_comma) for cell, name in zip(line, head, strict=True)
        ]
        times.append(values[0])
        rows.append(np.array(values[1:]).reshape(-1, 2))
    names = [name.removesuffix("/X") for name in head[1::2]]
    sources = coco_sources([_track_of(name) for name in names])
    if not any(sources):
        raise TableError(
            f"{uri}: none of the tracks {', '.join(names)[:300]} is named as a keypoint; name them left knee, ..."
        )
    frames, rate = _frames(np.array(times), settings, uri)
    points = coco_points(np.array(rows).reshape(len(rows), -1, 2), sources)
    for frame, place in zip(frames.tolist(), picture_of_plane(points), strict=True):
        points = np.column_stack([place, np.where(np.isfinite(place).all(axis=1), 1.0, 0.0)])
        if is_seen(points):
            people.add(frame, points)
    return people.to_table(settings, frames_per_second=rate)


def _track_of(name: str) -> str:
    """Return the track's name of "left knee/0", and the point's of "Human model 2/left knee"."""
    series, _, point = name.rpartition("/")
    return series if point.isdigit() else point


def _frames(times: Float64Array, settings: ConvertSettings, uri: str) -> tuple[IntArray, float]:
    """Return frame_index (T,) and the rate; times may be seconds, milliseconds or frames."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if not np.isfinite(times).all() or step <= 0:
        raise TableError(f"{uri}: its times do not rise by an even step; export it from Kinovea again")
    if step.is_integer() and step <= MILLISECONDS:
        rate = settings.rate_of(uri)
        return np.round(times).astype(np.int64), rate
    seconds = times / 1000 if step > MILLISECONDS else times
    rate = settings.rate_of(uri, told=1 / (step / 1000 if step > MILLISECONDS else step))
    if (seconds < 0).any():
        raise ConfigError(f"{uri}: times before 0; set Kinovea's time origin to the beginning of the video")
    return np.round(seconds * rate).astype(np.int64), rate
