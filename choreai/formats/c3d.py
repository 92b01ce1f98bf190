"""C3D, the files of motion capture systems: read by ezc3d (`pip install "choreai[formats]"`)."""

import os
import subprocess
import sys
from importlib.util import find_spec

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
"""The second byte of every C3D file."""


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
    if find_spec("ezc3d") is None:
        raise ConfigError(f'{uri}: reading C3D needs ezc3d; install it with `pip install "choreai[formats]"`')
    data = objects.read_object(uri)
    people.digest.update(data)
    with scratch_folder() as folder:
        source, target = folder / "markers.c3d", folder / "points.npz"
        source.write_bytes(data)
        command = [sys.executable, "-m", "choreai.formats.c3d_child", str(source), str(target)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            said = done.stderr.strip().splitlines()[-1:] or ["it ends the process"]
            raise TableError(f"{uri}: ezc3d cannot read it ({said[0][:300]}); the file is damaged, so export it again")
        with np.load(target) as read:
            names, points = read["names"].tolist(), read["points"]
            rate, unit = float(read["rate"]), str(read["unit"])
    if not rate > 0:
        raise TableError(f"{uri}: its rate is {rate:g} frames a second; export it again")
    return names, points, rate, unit
