"""Pictures read as a video: those of a folder in natural order at a steady rate, or one for itself.

`open_reader` opens either these or a video file; both are read in the same way.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, Self

import cv2
import numpy as np

from choreai.arrays import ImageArray
from choreai.errors import MediaError
from choreai.video.container import MAX_PIXELS
from choreai.video.decode import VideoInfo, VideoReader, Wanted
from choreai.video.frame import Frame
from choreai.video.picture_files import Picture, Pictures
from choreai.video.quality import InputQuality, Levels, measure_brightness


def open_reader(
    source: BinaryIO | Pictures, *, uri: str, num_threads: int = 1, max_pixels: int = MAX_PIXELS
) -> "VideoReader | PictureReader":
    """Open a video file or pictures, named `uri` in messages. Raises MediaError."""
    if isinstance(source, Pictures):
        return PictureReader(source, uri=uri, max_pixels=max_pixels)
    return VideoReader(source, uri=uri, num_threads=num_threads, max_pixels=max_pixels)


def decode_image(data: bytes) -> ImageArray | None:
    """Return an image file's pixels, upright RGB; None if it is none."""
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def fit_into(image: ImageArray, size_hw: tuple[int, int]) -> ImageArray:
    """Return an image in a size, black where its shape is another."""
    rows, columns = size_hw
    height, width = image.shape[:2]
    if size_hw == (height, width):
        return image
    scale = min(rows / height, columns / width)
    fitted = cv2.resize(image, (max(1, round(width * scale)), max(1, round(height * scale))))
    top, left = (rows - fitted.shape[0]) // 2, (columns - fitted.shape[1]) // 2
    canvas = np.zeros((rows, columns, 3), np.uint8)
    canvas[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return canvas


class PictureReader:
    """Reads pictures as `VideoReader` reads a video; use it as a context manager.

    A picture that cannot be read, or is too large, is a decode error and left out; its place in time stays empty.
    Pictures of another size than the first are fitted into it, with black bars.
    """

    start_seconds = 0.0

    def __init__(self, pictures: Pictures, *, uri: str, max_pixels: int = MAX_PIXELS) -> None:
        """Raises MediaError, with `uri`, if there is no picture that can be read."""
        self._pictures, self._max_pixels = pictures, max_pixels
        self.num_frames_decoded = self.num_decode_errors = 0
        self._brightness, self._sizes = Levels(), set[tuple[int, int]]()
        first = next((image for image in map(self._decode, pictures.files) if image is not None), None)
        self._sizes.clear()
        if first is None:
            raise MediaError(uri, f"none of its {len(pictures.files)} pictures can be read")
        height, width = first.shape[:2]
        seconds = len(pictures.files) / pictures.per_second
        self.info = VideoInfo(width, height, pictures.per_second, seconds, "pictures", 0, has_audio=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do nothing: files are open only while they are read."""

    def sample(self, *, frames_per_second: float) -> Iterator[Frame]:
        """Yield the first picture at or after each point k / frames_per_second in time, without repeating any."""
        if not (math.isfinite(frames_per_second) and frames_per_second > 0):
            raise ValueError(f"frames_per_second must be a positive number, got {frames_per_second}")
        return self._read(Fraction(frames_per_second) / Fraction(self._pictures.per_second), None)

    def frames(self, *, wanted: Wanted = None) -> Iterator[Frame]:
        """Yield all pictures, or those whose index is `wanted`."""
        return self._read(Fraction(1), wanted)

    def _read(self, samples_per_picture: Fraction, wanted: Wanted) -> Iterator[Frame]:
        next_sample = 0
        for index, file in enumerate(self._pictures.files):
            self.num_frames_decoded += 1
            sample = math.floor(index * samples_per_picture)
            if index * samples_per_picture < next_sample or not (wanted is None or wanted(index)):
                continue
            image = self._decode(file)
            if image is None:
                self.num_decode_errors += 1
                continue
            self._sizes.add((image.shape[0], image.shape[1]))
            self._brightness.add(measure_brightness(image))
            next_sample = sample + 1
            yield Frame(fit_into(image, (self.info.height, self.info.width)), index, index / self._pictures.per_second)

    def _decode(self, file: Picture) -> ImageArray | None:
        image = decode_image(file.read())
        return None if image is None or image.shape[0] * image.shape[1] > self._max_pixels else image

    @property
    def quality(self) -> InputQuality:
        """The input quality, as far as the pictures were read."""
        brightness = self._brightness.median()
        return InputQuality(
            read_seconds=self.num_frames_decoded / self._pictures.per_second,
            num_sizes=max(1, len(self._sizes)),
            brightness=None if brightness is None else 255 * brightness,
            damaged_share=self.num_decode_errors / max(1, self.num_frames_decoded),
        )
