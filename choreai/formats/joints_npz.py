"""Joints in space as NumPy archives: what motion capture and networks such as GVHMR, WHAM and TRAM are dumped to.

An `.npz` of one person with the joints' places in metres: of COCO's 17, of SMPL's 22 or 24, or of any names that the
file tells.
"""

import io
import zipfile

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.glimpse import Glimpse
from choreai.formats.marker_names import coco_points, coco_sources
from choreai.formats.markers import add_markers
from choreai.formats.people import PeopleBuffer
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import MAX_NUMBER
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.storage import objects

PLACES = ("xyz", "joints", "joints3d", "joints_3d", "keypoints_3d")
"""Names of the array of places; the first that is there is read."""
RATES = ("fps", "frames_per_second", "mocap_framerate", "mocap_frame_rate")
NAMES = ("joint_names", "names")
SMPL = (
    "pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle",
    "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder",
    "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hand", "right_hand",
)  # fmt: skip
MAX_BYTES = 1 << 30


def is_joints_npz(glimpse: Glimpse) -> bool:
    """Return whether it is a zip archive of that suffix."""
    return glimpse.suffix == ".npz" and glimpse.head[:2] == b"PK"


def read_joints_npz(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of one person, seen from the front (`markers`), with 3D; scores are 1, and 0 where a
    place is NaN.

    `fps` in the file tells the rate. Raises TableError, which names the arrays, if none has places of known joints.
    """
    people = PeopleBuffer(uri)
    data = objects.read_object(uri)
    people.digest.update(data)
    arrays = _arrays(data, uri)
    places = next((arrays[name] for name in PLACES if name in arrays), None)
    if places is None:
        found = ", ".join(sorted(arrays)) or "none"
        raise TableError(
            f"{uri}: no array of places; name it {PLACES[0]}, with (frames, joints, 3) metres; has {found}"
        )
    points = _coco(_checked(places, uri), arrays, uri)
    rate = next((float(arrays[name]) for name in RATES if name in arrays and arrays[name].size == 1), None)
    add_markers(people, np.arange(len(points)), points, metres_per_unit=1.0)
    return people.to_table(settings, frames_per_second=settings.rate_of(uri, told=rate if rate and rate > 0 else None))


def _arrays(data: bytes, uri: str) -> dict[str, npt.NDArray[np.generic]]:
    """Return the arrays of the archive, without those of Python objects, which may run code."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if (size := sum(info.file_size for info in archive.infolist())) > MAX_BYTES:
                raise TableError(f"{uri}: {size / 1e9:.1f} GB unpacked; leave out all but the joints, or divide it")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            return {name: array for name in file.files if (array := _plain(file, name)) is not None}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as exc:
        raise TableError(f"{uri}: no NumPy archive that can be read ({exc}); write it again") from exc


def _plain(file: "np.lib.npyio.NpzFile", name: str) -> npt.NDArray[np.generic] | None:
    try:
        return np.asarray(file[name])
    except ValueError:  # Python objects
        return None


def _checked(places: npt.NDArray[np.generic], uri: str) -> Float64Array:
    if places.ndim != 3 or places.shape[2] != 3 or not np.issubdtype(places.dtype, np.number):
        raise TableError(f"{uri}: places must be (frames, joints, 3) numbers, got {places.shape} {places.dtype}")
    points = np.asarray(places, np.float64)
    points[~(np.abs(points) <= MAX_NUMBER).all(axis=2)] = np.nan
    return points


def _coco(points: Float64Array, arrays: dict[str, npt.NDArray[np.generic]], uri: str) -> Float64Array:
    """Return (T, 17, 3) COCO's keypoints among the joints."""
    named = next((arrays[name] for name in NAMES if name in arrays), None)
    count = points.shape[1]
    if named is None and count == NUM_KEYPOINTS:
        return points
    names = [str(name) for name in named.ravel()] if named is not None else list(SMPL[:count])
    if len(names) != count or (named is None and count not in (22, 24)):
        raise TableError(
            f"{uri}: {count} joints of which {len(names) if named is not None else 'none'} are named; give the names "
            f"of all as {NAMES[0]}, or COCO's {NUM_KEYPOINTS}, or SMPL's 22 or 24"
        )
    sources = coco_sources(names)
    if not any(sources):
        raise TableError(f"{uri}: none of the joints {', '.join(names)[:300]} is a keypoint; name them as COCO does")
    return coco_points(points, sources)
