"""One decoded picture made an upright RGB image with square pixels, of the size of the video's first."""

from dataclasses import dataclass

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from choreai.arrays import ImageArray
from choreai.errors import MediaError
from choreai.video.quality import is_plausible, is_square
from choreai.video.tone import DYNAMIC_RANGES, DynamicRange, tone_map

# The matrices that swscale converts from (AVColorSpace): RGB, BT.709, unspecified, FCC, BT.470BG, SMPTE 170M,
# SMPTE 240M, BT.2020. It refuses a frame with any other tag, and in the wild the tags are often wrong.
_COLOR_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
_UNSPECIFIED_MATRIX, _BT2020_MATRIX = 2, 9


@dataclass(frozen=True)
class Turn:
    """The operations that make the stored picture upright: transpose first, then the flips."""

    transpose: bool
    flip_x: bool
    flip_y: bool

    @property
    def clockwise_degrees(self) -> int:
        return 90 * self.transpose + 180 * self.flip_y

    def apply(self, image: ImageArray) -> ImageArray:
        if self.transpose:
            image = np.asarray(cv2.transpose(image), np.uint8)
        if self.flip_x or self.flip_y:
            image = np.asarray(cv2.flip(image, -1 if self.flip_x and self.flip_y else int(self.flip_x)), np.uint8)
        return image


UPRIGHT = Turn(transpose=False, flip_x=False, flip_y=False)


@dataclass(frozen=True)
class Shape:
    """How a stored picture is shown."""

    size_wh: tuple[int, int]
    """With square pixels, before it is turned."""
    turn: Turn

    @property
    def upright_wh(self) -> tuple[int, int]:
        return self.size_wh[::-1] if self.turn.transpose else self.size_wh


@dataclass(frozen=True)
class Decoded:
    """A picture as it comes from the decoder."""

    picture: av.VideoFrame
    pixel_aspect: float
    """Width of a stored pixel over its height."""


def shape_of(picture: av.VideoFrame, *, pixel_aspect: float, turn: Turn, max_side: int, max_pixels: int) -> Shape:
    """Return the shape of a picture whose stored pixels are `pixel_aspect` times as wide as high.

    As players do, the width is corrected and the height kept; not where the result would exceed the limits.
    """
    width, height = picture.width, picture.height
    if not is_square(pixel_aspect) and is_plausible(pixel_aspect):
        wider = max(1, round(width * pixel_aspect))
        if wider <= max_side and wider * height <= max_pixels:
            width = wider
    return Shape((width, height), turn)


def dynamic_range_of(picture: av.VideoFrame) -> DynamicRange:
    """Return the dynamic range that the picture's transfer characteristic says."""
    return DYNAMIC_RANGES.get(picture.color_trc, "sdr")


class PictureConverter:
    """Converts the pictures of one video."""

    def __init__(self, target: Shape, *, uri: str) -> None:
        self._target, self._uri = target, uri
        self._reformatter = VideoReformatter()

    def convert(self, picture: av.VideoFrame, shape: Shape) -> ImageArray:
        """Return the (H, W, 3) RGB image; a picture of another shape than the first is fitted in, with black bars."""
        image = shape.turn.apply(self._to_rgb(picture, shape))
        if shape != self._target:
            image = fit_into(image, self._target.upright_wh)
        return image

    def _to_rgb(self, picture: av.VideoFrame, shape: Shape) -> ImageArray:
        dynamic_range = dynamic_range_of(picture)
        if dynamic_range != "sdr" and picture.colorspace in (_UNSPECIFIED_MATRIX, *range(10, 256)):
            picture.colorspace = _BT2020_MATRIX
        if picture.colorspace not in _COLOR_MATRICES:
            picture.colorspace = _UNSPECIFIED_MATRIX
        width, height = shape.size_wh
        wanted = "rgb24" if dynamic_range == "sdr" else "rgb48le"
        try:
            rgb = self._reformatter.reformat(picture, width=width, height=height, format=wanted, threads=1)
        except av.FFmpegError as exc:
            reason = f"pixel format {picture.format.name} cannot be converted to RGB: {exc.strerror}"
            raise MediaError(self._uri, reason) from exc
        if dynamic_range != "sdr":
            signal = np.asarray(rgb.to_ndarray(), np.uint16)
            return tone_map(signal, dynamic_range=dynamic_range, primaries=picture.color_primaries)
        image = np.ascontiguousarray(np.asarray(rgb.to_ndarray(), np.uint8))
        # An RGB stream's frame is returned unconverted, and the decoder may still refer to it.
        return image.copy() if rgb is picture else image


def fit_into(image: ImageArray, size_wh: tuple[int, int]) -> ImageArray:
    """Return the image scaled to fit into a picture of `size_wh`, in its middle, its aspect kept."""
    width, height = size_wh
    scale = min(width / image.shape[1], height / image.shape[0])
    new_width, new_height = (max(1, round(scale * side)) for side in (image.shape[1], image.shape[0]))
    new_width, new_height = min(new_width, width), min(new_height, height)
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    scaled = cv2.resize(image, (new_width, new_height), interpolation=how)
    fitted = np.zeros((height, width, 3), np.uint8)
    left, top = (width - new_width) // 2, (height - new_height) // 2
    fitted[top : top + new_height, left : left + new_width] = scaled
    return fitted


def read_turn(picture: av.VideoFrame) -> Turn | None:
    """Return the quarter turn and mirroring closest to the frame's display matrix; None where it has none.

    FFmpeg's libavutil/display.h: x' = a x + c y and y' = b x + d y for the matrix (a b u, c d v, x y w).
    """
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return None
    # PyAV's stubs do not know that side data is a buffer.
    numbers = np.frombuffer(bytes(matrix), np.int32)  # type: ignore[call-overload]
    a, b, _, c, d = numbers[:5].tolist()
    if abs(a) >= abs(c):
        return Turn(transpose=False, flip_x=a < 0, flip_y=d < 0)
    return Turn(transpose=True, flip_x=c < 0, flip_y=b < 0)
