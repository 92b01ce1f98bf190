"""COCO-17 in three dimensions: axes, limbs, body lengths, heading, and how far two poses are apart.

Camera axes, as OpenCV and MediaPipe have them: x to the right of the picture, y down, z away from the camera, metres.
A pose is hip-centred: the middle between the hips is its origin. `upright` axes are the same for a camera that is
level. Somebody who faces the camera has heading 0, and the left side at +x; the heading grows as the person turns to
the left (counterclockwise as seen from above).
"""

from dataclasses import dataclass, fields

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER

STANDARD_SIZE = 1.3135
"""Thigh, shank and torso together of a body of 1.70 m, metres (Drillis and Contini 1966). A single camera sees no
absolute size, so a lifted body has this one unless its height is given."""
STANDARD_HEIGHT = 1.70
"""Metres."""

LIMBS: dict[str, tuple[tuple[int, int], tuple[int, int]]] = {
    "upper_arm": ((5, 7), (6, 8)),
    "forearm": ((7, 9), (8, 10)),
    "thigh": ((11, 13), (12, 14)),
    "shank": ((13, 15), (14, 16)),
}
"""The rigid limbs: (from, to) on the left and on the right."""
_FACE = [0, 1, 2, 3, 4]


@dataclass(frozen=True)
class BodyLengths:
    """The lengths of one body, metres; of both sides the mean."""

    hips: float
    """From hip to hip."""
    shoulders: float
    torso: float
    """From hip centre to shoulder centre."""
    neck: float
    """From shoulder centre to the middle between the ears."""
    head: float
    """From ear to ear."""
    upper_arm: float
    forearm: float
    thigh: float
    shank: float

    @property
    def size(self) -> float:
        """Thigh, shank and torso together: what a body is scaled by."""
        return self.thigh + self.shank + self.torso

    def scaled(self, factor: float) -> "BodyLengths":
        """Return the lengths of a body `factor` times as large."""
        return BodyLengths(**{field.name: factor * getattr(self, field.name) for field in fields(self)})


def measure_lengths(xyz: FloatArray | Float64Array) -> BodyLengths:
    """Return the median lengths of the body in poses `xyz` (F, 17, 3), in their unit."""
    shoulders, hips, ears = _middle(xyz, (5, 6)), _middle(xyz, (11, 12)), _middle(xyz, (3, 4))
    limbs = {name: float(np.nanmedian([_distance(xyz, pair) for pair in pairs])) for name, pairs in LIMBS.items()}
    return BodyLengths(
        hips=float(np.nanmedian(_distance(xyz, (11, 12)))),
        shoulders=float(np.nanmedian(_distance(xyz, (5, 6)))),
        torso=float(np.nanmedian(np.linalg.norm(shoulders - hips, axis=-1))),
        neck=float(np.nanmedian(np.linalg.norm(ears - shoulders, axis=-1))),
        head=float(np.nanmedian(_distance(xyz, (3, 4)))),
        **limbs,
    )


def with_lengths(xyz: FloatArray | Float64Array, lengths: BodyLengths) -> Float64Array:
    """Return the poses `xyz` (F, 17, 3) on a body of other lengths: every part keeps its direction.

    The hip centre stays where it is. A torso that bends is shorter than `lengths.torso`, in the same share as before.
    """
    xyz = np.asarray(xyz, np.float64)
    found = measure_lengths(xyz)
    pelvis, chest, ears = _middle(xyz, (11, 12)), _middle(xyz, (5, 6)), _middle(xyz, (3, 4))
    new = np.empty_like(xyz)
    new[:, [11, 12]] = _spread(pelvis, xyz, (11, 12), lengths.hips)
    shoulders = pelvis + (chest - pelvis) * (lengths.torso / found.torso)
    new[:, [5, 6]] = _spread(shoulders, xyz, (5, 6), lengths.shoulders)
    head = shoulders + (ears - chest) * (lengths.neck / found.neck)
    new[:, _FACE] = head[:, None] + (xyz[:, _FACE] - ears[:, None]) * (lengths.head / found.head)
    for name, pairs in LIMBS.items():
        for start, stop in pairs:
            new[:, stop] = new[:, start] + _unit(xyz[:, stop] - xyz[:, start]) * getattr(lengths, name)
    return new


def steady_limbs(xyz: FloatArray) -> FloatArray:
    """Return the poses `xyz` (F, 17, 3) of one track with limbs, hips and shoulders of one length, the track's median.

    What an estimator makes longer and shorter from frame to frame no body does. NaN stays NaN.
    """
    steady = with_lengths(xyz, measure_lengths(xyz))
    steady[:, _FACE] = xyz[:, _FACE]
    return np.asarray(centred(steady), np.float32)


def limb_variation(xyz: FloatArray | Float64Array) -> float:
    """Return the largest coefficient of variation of a limb's length over the poses (F, 17, 3) of one track."""
    lengths = np.stack([_distance(xyz, pair) for pairs in LIMBS.values() for pair in pairs], axis=1)
    return float(np.nanmax(np.nanstd(lengths, axis=0) / np.nanmean(lengths, axis=0)))


def centred(xyz: FloatArray | Float64Array) -> Float64Array:
    """Return poses (..., 17, 3) with the hip centre at the origin."""
    return np.asarray(xyz - _middle(xyz, (11, 12))[..., None, :], np.float64)


def from_y_up(xyz: FloatArray | Float64Array) -> Float64Array:
    """Return points (..., 3) of a world with y up and z towards the viewer in upright camera axes, or back again."""
    return np.asarray(xyz * np.array([1.0, -1.0, -1.0]), np.float64)


def turn_about_vertical(xyz: FloatArray | Float64Array, angle: float | Float64Array) -> Float64Array:
    """Return poses (F, 17, 3) turned to their left by `angle` radians, one for all or one for each frame."""
    cos, sin = np.cos(angle)[..., None], np.sin(angle)[..., None]
    x, y, z = np.moveaxis(np.asarray(xyz, np.float64), -1, 0)
    return np.stack([cos * x - sin * z, y, sin * x + cos * z], -1)


def headings(xyz: FloatArray | Float64Array) -> Float64Array:
    """Return (F,) the heading of each pose (F, 17, 3), radians in (-pi, pi]: the mean of hips' and shoulders'."""
    across = xyz[:, LEFT_HIP] - xyz[:, RIGHT_HIP] + xyz[:, LEFT_SHOULDER] - xyz[:, RIGHT_SHOULDER]
    return np.asarray(np.arctan2(across[:, 2], across[:, 0]), np.float64)


def joint_error(xyz: FloatArray | Float64Array, truth: FloatArray | Float64Array) -> Float64Array:
    """Return (F,) the mean distance of the joints of hip-centred poses (F, 17, 3) from the truth: MPJPE, in their
    unit."""
    return np.asarray(np.linalg.norm(xyz - truth, axis=-1).mean(-1), np.float64)


def aligned_error(xyz: FloatArray | Float64Array, truth: FloatArray | Float64Array) -> Float64Array:
    """Return (F,) the joint error left after the best turn, scale and shift of each pose: PA-MPJPE."""
    mean, true_mean = xyz.mean(1, keepdims=True), truth.mean(1, keepdims=True)
    a, b = np.asarray(xyz - mean, np.float64), np.asarray(truth - true_mean, np.float64)
    u, s, vt = np.linalg.svd(np.einsum("fki,fkj->fij", a, b))
    flip = np.ones_like(s)
    flip[:, 2] = np.sign(np.linalg.det(u @ vt))
    turn = (u * flip[:, None]) @ vt
    scale = (s * flip).sum(1) / np.maximum((a**2).sum((1, 2)), 1e-12)
    return joint_error(scale[:, None, None] * (a @ turn), b)


def fit_to_picture(xyz: FloatArray, xy: FloatArray, seen: BoolArray) -> tuple[Float64Array, Float64Array]:
    """Return (F,) metres a pixel, and (F,) by how much of the person's size the poses miss the seen keypoints."""
    weight = seen[..., None].astype(np.float64)
    count = np.maximum(weight.sum(1, keepdims=True), 1.0)
    model, picture = np.asarray(xyz[..., :2], np.float64), np.where(seen[..., None], xy, 0.0).astype(np.float64)
    model = (model - (model * weight).sum(1, keepdims=True) / count) * weight
    picture = (picture - (picture * weight).sum(1, keepdims=True) / count) * weight
    power = np.maximum((picture**2).sum((1, 2)), 1e-9)
    pixels = (model * picture).sum((1, 2)) / np.maximum((model**2).sum((1, 2)), 1e-9)  # a metre
    residual = np.sqrt(((picture - pixels[:, None, None] * model) ** 2).sum((1, 2)) / power)
    return 1 / np.maximum(pixels, 1e-6), np.where(pixels > 1e-6, residual, np.inf)


def _middle(xyz: FloatArray | Float64Array, pair: tuple[int, int]) -> Float64Array:
    return np.asarray((xyz[..., pair[0], :] + xyz[..., pair[1], :]) / 2, np.float64)


def _distance(xyz: FloatArray | Float64Array, pair: tuple[int, int]) -> Float64Array:
    return np.asarray(np.linalg.norm(xyz[:, pair[0]] - xyz[:, pair[1]], axis=-1), np.float64)


def _unit(vectors: Float64Array) -> Float64Array:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9)


def _spread(middle: Float64Array, xyz: Float64Array, pair: tuple[int, int], width: float) -> Float64Array:
    """Return (F, 2, 3): two joints `width` apart around `middle`, in the direction that they have in `xyz`."""
    across = _unit(xyz[:, pair[0]] - xyz[:, pair[1]]) * (width / 2)
    return np.stack([middle + across, middle - across], 1)
