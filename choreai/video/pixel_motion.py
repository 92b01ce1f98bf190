"""Pixel motion: how much the picture changes where somebody is, once the camera's own movement is taken out.

Needs no keypoints, so it also tells a dancer whom the pose network misreads, upside down or wrapped in cloth.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from choreai.arrays import FloatArray, ImageArray

LONGER_SIDE = 160
"""Frames are compared at this many pixels: limbs still show, compression noise is gone."""
BLUR_PIXELS = 5
MIN_SIDE = 8
"""Pixels of the smaller frame's shorter side; OpenCV finds no shift between slivers."""
NOISE_LEVEL = 0.3
"""Grey levels of change that a still picture shows: what a frame without movement is divided by."""


@dataclass(frozen=True, eq=False)
class MotionMap:
    """The change of one frame against the one before."""

    levels: FloatArray
    """(h, w) absolute difference in grey levels, camera shift removed; 0 in a video's first frame."""
    scale: float
    """Pixels of the map per pixel of the frame."""

    def in_boxes(self, box_xyxy: FloatArray) -> FloatArray:
        """Return (P,) mean change in each of (P, 4) boxes over that of the whole frame: 1 is as everywhere."""
        everywhere = float(self.levels.mean()) + NOISE_LEVEL
        return np.array([self._mean_in(box) for box in box_xyxy], np.float32) / np.float32(everywhere)

    def _mean_in(self, box: FloatArray) -> float:
        height, width = self.levels.shape
        x0, y0, x1, y1 = np.floor(box.astype(np.float64) * self.scale).astype(int)
        x0, y0 = min(max(x0, 0), width - 1), min(max(y0, 0), height - 1)
        return float(self.levels[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)].mean())


class PixelMotion:
    """Compares each frame of one video with the one before. One object per video."""

    def __init__(self) -> None:
        self._before: FloatArray | None = None

    def update(self, image: ImageArray) -> MotionMap:
        """Return the change from the previous frame to this one, (H, W, 3) RGB."""
        scale = LONGER_SIDE / max(image.shape[:2])
        now = _small_grey(image, scale)
        before, self._before = self._before, now
        if before is None or before.shape != now.shape:
            return MotionMap(np.zeros_like(now), scale)
        return MotionMap(np.abs(now - _shift_onto(before, now)), scale)


def _small_grey(image: ImageArray, scale: float) -> FloatArray:
    size_wh = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = cv2.resize(image, size_wh, interpolation=cv2.INTER_AREA)
    grey = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (BLUR_PIXELS, BLUR_PIXELS), 0)
    return grey.astype(np.float32)


def _shift_onto(before: FloatArray, now: FloatArray) -> FloatArray:
    """`before` moved as a whole to where it fits `now` best (phase correlation)."""
    if min(now.shape) < MIN_SIDE:
        return before
    (x, y), _ = cv2.phaseCorrelate(before, now)
    shift = np.array([[1, 0, x], [0, 1, y]], np.float64)
    moved = cv2.warpAffine(before, shift, before.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)
