"""Points in space, or in a plane with y upwards, as people in a picture.

Motion capture has no picture. One is drawn: the body from the front, upright, 250 pixels to the metre. In space
(`keypoints_xyz`) the table has the points themselves, in metres from between the hips, as seen in that picture.
"""

from collections.abc import Sequence

import numpy as np

from choreai.arrays import Float64Array, IntArray
from choreai.errors import TableError
from choreai.formats.people import PeopleBuffer, hip_centred
from choreai.motion.skeleton import KEYPOINT_NAMES, LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER

PIXELS_PER_METRE = 250.0
MARGIN = 50.0
MAX_BODY_METRES = 10.0
"""What is taller is not in metres but in pixels."""

_ANKLES = [KEYPOINT_NAMES.index("left_ankle"), KEYPOINT_NAMES.index("right_ankle")]
_SHOULDERS, _HIPS = [LEFT_SHOULDER, RIGHT_SHOULDER], [LEFT_HIP, RIGHT_HIP]


def picture_of_plane(points: Float64Array, *, metres_per_unit: float = 1.0) -> Float64Array:
    """Return (T, 17, 2) pixels with y downwards, of (T, 17, 2) points whose y points up or down.

    Which way is up is told by the body: shoulders are mostly above ankles or hips. Lengths in pixels stay as they are;
    those of a body of less than `MAX_BODY_METRES` are taken for metres.
    """
    turned = points * (1.0, 1.0 if _points_down(points) else -1.0)
    height = np.nanmax(turned[..., 1]) - np.nanmin(turned[..., 1]) if np.isfinite(turned).any() else 0.0
    if height * metres_per_unit > MAX_BODY_METRES or height > 10 * MAX_BODY_METRES:
        return turned
    return turned * metres_per_unit * PIXELS_PER_METRE


def picture_of_space(points: Float64Array, *, up: int | None = None) -> tuple[Float64Array, Float64Array]:
    """Return (T, 17, 2) pixels and (T, 17, 3) metres, x right, y down, z away, of (T, 17, 3) points in metres.

    Seen from the front, so that the left of the body is on the right of the picture. `up` is the axis that points up;
    without it, it is the one along which shoulders are above ankles. The picture begins `MARGIN` left of and above all
    points.
    """
    points = points[..., _axes_of(points, up)] * _signs_of(points, up)
    pixels = points[..., :2] * PIXELS_PER_METRE
    if np.isfinite(pixels).any():
        pixels = pixels - np.nanmin(pixels.reshape(-1, 2), axis=0) + MARGIN
    return pixels, points


def metres_in(unit: str, uri: str) -> float:
    """Return the metres in a unit of length; of pixels too they are 1, so that they stay. Raises TableError."""
    known = {"m": 1.0, "meters": 1.0, "metres": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "px": 1.0, "": 1.0}
    metres = known.get(unit.strip().lower())
    if metres is None:
        raise TableError(f"{uri}: its unit of length is {unit[:60]!r}; it must be one of m, cm, mm, in and px")
    return metres


def add_markers(
    people: PeopleBuffer, frames: IntArray, points: Float64Array, *, metres_per_unit: float, track_id: int = 0
) -> None:
    """Add a person of (T, 17, 3) points, NaN where missing: from the front, or as they are if all lie in the plane z =
    0."""
    flat = points[..., 2]
    if np.isfinite(flat).any() and (flat[np.isfinite(flat)] == 0).all():
        places, spaces = picture_of_plane(points[..., :2], metres_per_unit=metres_per_unit), None
    else:
        places, spaces = picture_of_space(points * metres_per_unit)
    scores = np.where(np.isfinite(places).all(axis=2), 1.0, 0.0)
    for row, frame in enumerate(frames.tolist()):
        if scores[row].any():
            people.add(
                frame,
                np.column_stack([places[row], scores[row]]),
                track_id=track_id,
                xyz=None if spaces is None else hip_centred(spaces[row]),
            )


def _axes_of(points: Float64Array, up: int | None) -> Sequence[int]:
    """Return the axes that become x, y and z of the picture."""
    vertical = int(np.abs(_upright(points)).argmax()) if up is None else up
    across = np.abs(_across(points))
    across[vertical] = -1
    lateral = int(across.argmax())
    return lateral, vertical, 3 - lateral - vertical


def _signs_of(points: Float64Array, up: int | None) -> Float64Array:
    """Return the signs (3,) of those axes; z so that the system stays right-handed as the source's, with y down."""
    lateral, vertical, depth = _axes_of(points, up)
    x = 1.0 if _across(points)[lateral] >= 0 else -1.0
    y = -1.0 if up is not None or _upright(points)[vertical] >= 0 else 1.0
    parity = 1.0 if (lateral, vertical, depth) in ((0, 1, 2), (1, 2, 0), (2, 0, 1)) else -1.0
    return np.array([x, y, x * y * parity])


def _upright(points: Float64Array) -> Float64Array:
    """Return the median way (D,) from the ankles, or the hips where there are none, up to the shoulders."""
    for below in (_ANKLES, _HIPS):
        way = points[:, _SHOULDERS].mean(axis=1) - points[:, below].mean(axis=1)
        if np.isfinite(way).any():
            return np.nan_to_num(np.nanmedian(way, axis=0))
    return np.nan_to_num(np.zeros(points.shape[-1]))


def _across(points: Float64Array) -> Float64Array:
    """Return the median way (D,) from the right to the left of the body."""
    way = points[:, [LEFT_SHOULDER, LEFT_HIP]] - points[:, [RIGHT_SHOULDER, RIGHT_HIP]]
    flat = way.reshape(-1, points.shape[-1])
    return np.nan_to_num(np.nanmedian(flat, axis=0)) if np.isfinite(flat).any() else np.zeros(points.shape[-1])


def _points_down(points: Float64Array) -> bool:
    """Return whether y points downwards: ankles mostly have larger y than shoulders."""
    return bool(_upright(points)[1] < 0)
