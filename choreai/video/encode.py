"""Write drawn frames to files: H.264 in MP4, which every browser and player reads, and PNG.

A file appears under its final name only once it is complete.
"""

import os
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from PIL import Image

from choreai.arrays import ImageArray
from choreai.errors import StorageError
from choreai.storage.files import temporary_path, write_atomically
from choreai.video.sound import Sound, add_sound

_TIME_BASE = Fraction(1, 90_000)
_BT709 = 1
"""Its number in AVColorSpace, AVColorPrimaries and AVColorTransferCharacteristic alike."""


class VideoWriter:
    """Writes an MP4 (H.264, yuv420p, BT.709, index first) frame by frame; use it in a `with` block.

    The first frame sets the size; since H.264 needs even sides, an odd one is extended by repeating its last row or
    column. The file gets its final name at the end of the block; if the block raises, nothing is left behind.
    """

    sound: Sound | None = None
    """What is to be heard; may be set until the block ends."""
    sound_problem: str = ""
    """After the block: why there is no sound although there should be."""

    def __init__(self, path: Path, *, num_threads: int = 1, comment: str = "") -> None:
        """`comment` is stored in the file's metadata."""
        self._path, self._comment = path, comment
        self._num_threads = num_threads
        self._temporary = temporary_path(path)
        self._reformatter = VideoReformatter()
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None
        self._shape: tuple[int, ...] = ()
        self._last_pts = -1

    def __enter__(self) -> Self:
        try:
            self._container = av.open(str(self._temporary), "w", format="mp4", options={"movflags": "+faststart"})
        except av.FFmpegError as exc:
            raise self._error(exc) from exc
        if self._comment:
            self._container.metadata["comment"] = self._comment
        return self

    def write(self, image: ImageArray, pts_seconds: float) -> None:
        """Append (H, W, 3) uint8 RGB `image`, shown from `pts_seconds` on.

        Raises ValueError if times do not increase or sizes differ, StorageError if writing fails.
        """
        if self._container is None:
            raise ValueError("write inside the writer's with block")
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8, got {image.shape} {image.dtype}")
        if self._stream is None:
            self._shape = image.shape
            self._stream = self._add_stream(self._container)
        if image.shape != self._shape:
            raise ValueError(f"all frames must be {self._shape} like the first, got {image.shape}")
        pts = round(pts_seconds / _TIME_BASE)
        if pts <= self._last_pts:
            raise ValueError(f"pts_seconds must increase and not be negative, got {pts_seconds}")
        self._last_pts = pts
        try:
            self._container.mux(self._stream.encode(self._to_yuv(image, pts)))
        except av.FFmpegError as exc:
            raise self._error(exc) from exc

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._container is not None
        try:
            if kind is None:
                self._finish(self._container)
        finally:
            # After a failed write closing fails too, with nothing new to report.
            with suppress(av.FFmpegError):
                self._container.close()
            self._container = None
            self._temporary.unlink(missing_ok=True)

    def _finish(self, container: av.container.OutputContainer) -> None:
        if self._stream is None:
            raise ValueError(f"no frame was written to {self._path}")
        try:
            container.mux(self._stream.encode(None))
            container.close()
            if self.sound is not None:
                self.sound_problem = add_sound(self._temporary, self.sound)
            os.replace(self._temporary, self._path)
        except (av.FFmpegError, OSError) as exc:
            raise self._error(exc) from exc

    def _add_stream(self, container: av.container.OutputContainer) -> av.VideoStream:
        height, width = self._shape[:2]
        stream = container.add_stream("libx264", options={"preset": "veryfast", "crf": "21"})
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.thread_count = self._num_threads
        context.time_base = _TIME_BASE
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        return stream

    def _to_yuv(self, image: ImageArray, pts: int) -> av.VideoFrame:
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = np.asarray(cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)
        rgb = av.VideoFrame.from_ndarray(image, "rgb24")
        frame = self._reformatter.reformat(
            rgb,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.pts, frame.time_base = pts, _TIME_BASE
        return frame

    def _error(self, exc: Exception) -> StorageError:
        return StorageError(str(self._path), f"the video cannot be written: {exc}")


def read_comment(path: Path) -> str:
    """Return the comment in a video's metadata; empty where there is none, or no such video."""
    try:
        with av.open(str(path), metadata_errors="replace") as container:
            return container.metadata.get("comment", "")
    except (av.FFmpegError, OSError):
        return ""


def write_png(path: Path, image: ImageArray) -> None:
    """Write (H, W, 3) uint8 RGB `image`. Raises StorageError."""
    try:
        with write_atomically(path) as temporary:
            Image.fromarray(image, "RGB").save(temporary, format="PNG")
    except OSError as exc:
        raise StorageError(str(path), f"the image cannot be written: {exc}") from exc
