"""Trails: the recent path of hands and feet, drawn behind a skeleton."""

from collections.abc import Sequence

import cv2
import numpy as np

from choreai.arrays import FloatArray, ImageArray
from choreai.visualize.draw import Color

TRAIL_SECONDS = 0.5
NUM_AGES = 4
"""A trail is drawn in so many pieces, the older the thinner and darker."""
_OLDEST = 0.35
"""What is left of the colour at a trail's far end."""
_SHIFT_BITS = 4


def draw_trails(image: ImageArray, trails: Sequence[FloatArray], *, color: Color) -> None:
    """Draw curves into (H, W, 3) uint8 RGB `image`, each (N, 2) pixels, oldest point first, with a gap where a point is
    not finite."""
    thickness = max(2, round(min(image.shape[:2]) / 300))
    reach = 4 * max(image.shape[:2])  # OpenCV's fixed-point numbers hold no more
    for age in range(NUM_AGES):
        share = _OLDEST + (1 - _OLDEST) * age / (NUM_AGES - 1)
        pieces = [run for trail in trails for run in _runs(_piece(trail, age))]
        if pieces:
            fixed = [np.rint(run.clip(-reach, reach) * 2**_SHIFT_BITS).astype(np.int32) for run in pieces]
            shade = tuple(round(share * part) for part in color)
            width = max(1, round(thickness * (age + 1) / NUM_AGES))
            cv2.polylines(image, fixed, False, shade, width, cv2.LINE_AA, _SHIFT_BITS)


def _piece(trail: FloatArray, age: int) -> FloatArray:
    """Return the part of a trail that is drawn at once, with the point that joins it to the next."""
    edges = np.linspace(0, max(len(trail) - 1, 0), NUM_AGES + 1).round().astype(int)
    return trail[edges[age] : edges[age + 1] + 1]


def _runs(points: FloatArray) -> list[FloatArray]:
    """Return the stretches of two or more finite points."""
    breaks = np.flatnonzero(~np.isfinite(points).all(axis=1))
    stretches = np.split(points, breaks)
    runs = [stretch[np.isfinite(stretch).all(axis=1)] for stretch in stretches]
    return [run for run in runs if len(run) > 1]
