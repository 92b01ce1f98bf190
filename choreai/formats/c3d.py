"""C3D, the files of motion capture systems: read by ezc3d (`pip install "choreai[formats]"`)."""

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import ConfigError, TableError
from choreai.formats.glimpse import Glimpse
from choreai.formats.marker_names import coco_points, coco_sources, subjects_of
from choreai.formats.markers import add_markers, metres_in
from choreai.formats.people import PeopleBuffer
from choreai.formats.settings import ConvertSettings
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder

_MAGIC = 0x50


def is_c3d(glimpse: Glimpse) -> bool:
    """Return whether the second byte and the suffix are C3D's."""
    return glimpse.suffix == ".c3d" and glimpse.head[1:2] == bytes([_MAGIC])


def read_c3d(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table; each subject ("Anna:LSHO") is a track.

    Markers become keypoints by their names, and are seen from the front (`markers`); scores are 1, and 0 where a marker
    was not tracked. frame_index counts from the first frame of the file. Raises ConfigError without ezc3d, TableError
    for a file that it cannot read or that has no such markers.
    """
    people = PeopleBuffer(uri)
    names, points, rate, unit = _read(uri, people)
    subjects = {
        subject: coco_points(points[:, markers], sources)
        for subject, markers in subjects_of(names).items()
        if any(sources := coco_sources([names[marker] for marker in markers]))
    }
    if not subjects:
        raise TableError(
            f"{uri}: none of the markers {', '.join(names)[:300]} is a keypoint; name them LSHO, LKNE, ..."
        )
    frames = np.arange(len(points))
    for track, markers in enumerate(subjects.values()):
        add_markers(people, frames, markers, metres_per_unit=metres_in(unit, uri), track_id=track)
    return people.to_table(settings, frames_per_second=settings.rate_of(uri, told=rate))


def _read(uri: str, people: PeopleBuffer) -> tuple[list[str], Float64Array, float, str]:
    """Return the markers' names, points (T, M, 3) with NaN where missing, the rate and the unit."""
    try:
        import ezc3d
    except ImportError as exc:
        message = f'{uri}: reading C3D needs ezc3d; install it with `pip install "choreai[formats]"`'
        raise ConfigError(message) from exc
    data = objects.read_object(uri)
    people.digest.update(data)
    with scratch_folder() as folder:
        path = folder / "markers.c3d"
        path.write_bytes(data)
        try:
            read = ezc3d.c3d(str(path))
            about = read["parameters"]["POINT"]
            names = [name for key, part in sorted(about.items()) if _is_labels(key) for name in part["value"]]
            points = read["data"]["points"][:3].transpose(2, 1, 0).astype(np.float64)
            lost = read["data"]["meta_points"]["residuals"][0].T < 0
            rate, unit = float(about["RATE"]["value"][0]), str(about.get("UNITS", {"value": ["mm"]})["value"][0])
        except (OSError, RuntimeError, ValueError, KeyError, IndexError, MemoryError) as exc:
            raise TableError(f"{uri}: ezc3d cannot read it ({exc}); export it again") from exc
    points[lost | (points == 0).all(axis=2)] = np.nan
    if rate <= 0:
        raise TableError(f"{uri}: its rate is {rate:g} frames a second; give --frames-per-second")
    return names[: points.shape[1]], points[:, : len(names)], rate, unit


def _is_labels(key: str) -> bool:
    """LABELS, and LABELS2, LABELS3, ... for markers from 256 on."""
    return key == "LABELS" or (key.startswith("LABELS") and key[6:].isdigit())
