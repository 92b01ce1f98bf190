"""Picture signatures: a video's pictures, tiny and a few a second, by which copies are told.

Taken while the frames are decoded anyway. A copy that is mirrored, cropped, faster or slower, cut shorter or compressed
again keeps the course of light and dark over its picture (`choreai.video.picture_match`), whoever an estimator takes
for a dancer; two people who do the same steps do not. A picture of 16 x 9 shows nobody's face.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from choreai.arrays import Float64Array, ImageArray

SIZE_WH = (16, 9)
"""Twice as many a side tell no more: copies reach the same correlation, strangers too (docs/experiments.md)."""
SECONDS_BETWEEN = 0.2
TOLERANCE_SECONDS = 0.001
MAX_PICTURES = 3000
"""Ten minutes: 430 kB. Of a longer video its beginning."""
LumaArray = npt.NDArray[np.uint8]
"""(T, 9, 16)."""


@dataclass(frozen=True, eq=False)
class PictureSignature:
    """The pictures of one video, T of them."""

    luma: LumaArray
    """(T, 9, 16)."""
    pts_seconds: Float64Array
    """(T,), rising, SECONDS_BETWEEN or more apart."""

    def __post_init__(self) -> None:
        width, height = SIZE_WH
        if self.luma.shape != (len(self.pts_seconds), height, width):
            raise ValueError(f"luma must be ({len(self.pts_seconds)}, {height}, {width}), got {self.luma.shape}")

    def __len__(self) -> int:
        return len(self.luma)


class PictureSampler:
    """Takes the signature of one video from its sampled frames, in order."""

    def __init__(self) -> None:
        self._luma: list[LumaArray] = []
        self._pts_seconds: list[float] = []

    def add(self, image: ImageArray, *, pts_seconds: float) -> None:
        """Take the next frame, (H, W, 3) RGB, unless it follows the last one too soon."""
        is_due = not self._luma or pts_seconds - self._pts_seconds[-1] >= SECONDS_BETWEEN - TOLERANCE_SECONDS
        if is_due and len(self._luma) < MAX_PICTURES:
            self._luma.append(_shrink(image))
            self._pts_seconds.append(pts_seconds)

    def signature(self) -> PictureSignature:
        """Return the signature of what was taken so far."""
        width, height = SIZE_WH
        luma = np.array(self._luma, np.uint8).reshape(-1, height, width)
        return PictureSignature(luma, np.array(self._pts_seconds, np.float64))


def _shrink(image: ImageArray) -> LumaArray:
    """Return (9, 16) luma. Of a large picture every second, third, ... pixel is used: as good, and faster."""
    step = max(1, min(image.shape[0] // 180, image.shape[1] // 320))
    small = cv2.resize(image[::step, ::step], SIZE_WH, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)
