"""One person of a keypoint table, for formats that hold no more, in the plane of biomechanics: right and up."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.rows import keypoints_of, one_video
from choreai.formats.settings import ConvertSettings
from choreai.motion.skeleton import KEYPOINT_NAMES

EYE_TO_ANKLE = 0.936 - 0.039
"""Of the body's height (Drillis and Contini 1966)."""
_LINKS = (
    (("left_eye", "right_eye"), ("left_shoulder", "right_shoulder")),
    (("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")),
    (("left_hip",), ("left_knee",)),
    (("right_hip",), ("right_knee",)),
    (("left_knee",), ("left_ankle",)),
    (("right_knee",), ("right_ankle",)),
)
_SHARES = (1.0, 1.0, 0.5, 0.5, 0.5, 0.5)
STRETCHED = 0.9
"""The quantile at which a link counts as seen in its full length: in a picture limbs look shorter, never longer."""


def one_person(table: pa.Table, uri: str, settings: ConvertSettings) -> pa.Table:
    """Return the rows of `settings.track_id`, or of the only one, by frame. Raises TableError naming the target."""
    one_video(table, uri)
    tracks = sorted(table["track_id"].unique().to_pylist())
    track = settings.track_id
    if track is None and len(tracks) > 1:
        some = ", ".join(map(str, tracks[:10])) + (", ..." if len(tracks) > 10 else "")
        raise TableError(
            f"{uri}: such a file holds one person, the table {len(tracks)} (tracks {some}); choose one with --track"
        )
    if track is not None and track not in tracks:
        raise TableError(f"{uri}: the table has no track {track}; it has {', '.join(map(str, tracks[:10]))}")
    rows = table if track is None else table.filter(pc.equal(table["track_id"], track))
    return rows.sort_by([("frame_index", "ascending")])


def plane_points(person: pa.Table, settings: ConvertSettings) -> tuple[Float64Array, str]:
    """Return (T, 17, 2) points, y upwards, NaN where missing, and their unit.

    With `settings.person_height_metres` metres, the origin on the floor below the middle of the picture's people;
    otherwise pixels ("px"), the origin in the upper left corner.
    """
    keypoints = keypoints_of(person).astype(np.float64)
    points = np.where(
        np.isfinite(keypoints).all(axis=2, keepdims=True) & (keypoints[..., 2:] > 0), keypoints[..., :2], np.nan
    )
    points = points * (1.0, -1.0)
    if settings.person_height_metres is None:
        return points, "px"
    scale = settings.person_height_metres / _height(points)
    floor = np.nanmin(points[..., 1]) if np.isfinite(points).any() else 0.0
    middle = np.nanmedian(points[..., 0]) if np.isfinite(points).any() else 0.0
    return (points - (middle, floor)) * scale, "m"


def row_rate(times: Float64Array) -> float:
    """Return rows a second; 1 for a single row."""
    return 1.0 if len(times) < 2 else float(1 / np.median(np.diff(times)))


def _height(points: Float64Array) -> float:
    """Return the body's height in pixels: the sum of its links, each as long as when stretched in the picture."""
    total = 0.0
    for (above, below), share in zip(_LINKS, _SHARES, strict=True):
        lengths = np.linalg.norm(_middle(points, above) - _middle(points, below), axis=1)
        if not np.isfinite(lengths).any():
            raise TableError(
                f"no row has {above[0]} and {below[0]}, so a height in metres cannot be used; leave it out"
            )
        total += share * float(np.nanquantile(lengths, STRETCHED))
    return total / EYE_TO_ANKLE


def _middle(points: Float64Array, names: tuple[str, ...]) -> Float64Array:
    return points[:, [KEYPOINT_NAMES.index(name) for name in names]].mean(axis=1)
