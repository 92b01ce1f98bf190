"""Writes small real video files of many kinds for tests. Every frame carries its own number, readable after
decoding, so a test can say which frame it got."""

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.stream import Disposition

from choreai.errors import MediaError
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame

Image = npt.NDArray[np.uint8]

_NUM_BITS = 8
_FORMAT_BY_SUFFIX = {
    ".mkv": "matroska", ".ts": "mpegts", ".mts": "mpegts", ".m2ts": "mpegts", ".mpg": "mpeg", ".vob": "vob",
    ".wmv": "asf", ".asf": "asf", ".m4a": "mp4", ".dv": "dv", ".m2v": "mpeg2video", ".h264": "h264", ".3g2": "3g2",
    ".f4v": "f4v", ".rmvb": "rm",
}  # fmt: skip


def numbered(number: int, *, size_wh: tuple[int, int] = (64, 48)) -> Image:
    """A grey frame whose top half shows `number` (0 to 255) as eight bars, lowest bit first."""
    width, height = size_wh
    image = np.full((height, width, 3), 96, np.uint8)
    edges = np.linspace(0, width, _NUM_BITS + 1).round().astype(int)
    for bit in range(_NUM_BITS):
        image[: height // 2, edges[bit] : edges[bit + 1]] = 255 if number >> bit & 1 else 0
    return image


def number_of(image: Image) -> int:
    """The number that `numbered` painted."""
    height, width = image.shape[:2]
    edges = np.linspace(0, width, _NUM_BITS + 1)
    centers = ((edges[:-1] + edges[1:]) / 2).astype(int)
    return sum(int(image[height // 4, x].mean() > 127) << bit for bit, x in enumerate(centers))


def corners(*, size_wh: tuple[int, int] = (96, 64)) -> Image:
    """Red top left, green top right, blue bottom left, white bottom right."""
    width, height = size_wh
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 255
    image[: height // 2, width // 2 :, 1] = 255
    image[height // 2 :, : width // 2, 2] = 255
    image[height // 2 :, width // 2 :] = 255
    return image


def write_clip(
    path: Path,
    *,
    num_frames: int = 12,
    frames_per_second: int = 30,
    size_wh: tuple[int, int] = (64, 48),
    paint: Callable[[int], Image] | None = None,
    pts_seconds: Sequence[float] | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    color: tuple[int, int] | None = None,
    transfer: int | None = None,
    pixel_aspect: Fraction | None = None,
    rotation_degrees: int = 0,
    hflip: bool = False,
    with_audio: bool = False,
) -> Path:
    """Writes frames painted by `paint(index)`, by default `numbered`; the container follows the suffix.

    `transfer` is the AVColorTransferCharacteristic that is tagged, whatever the picture.
    `pts_seconds` gives a variable frame rate. `color` is the (AVColorSpace, AVColorRange) that is converted
    to and tagged. `rotation_degrees` is counter-clockwise, as FFmpeg's display matrix has it.
    """
    container_format = _FORMAT_BY_SUFFIX.get(path.suffix)
    with av.open(str(path), "w", format=container_format, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=frames_per_second, options=options or {})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size_wh
        stream.pix_fmt = pixel_format
        stream.codec_context.thread_count = 1
        if pts_seconds is not None:
            stream.codec_context.time_base = Fraction(1, 90_000)
        if color is not None:
            stream.codec_context.colorspace, stream.codec_context.color_range = color
        if transfer is not None:
            stream.codec_context.color_trc, stream.codec_context.color_primaries = transfer, 9
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if rotation_degrees or hflip:
            stream.set_display_rotation(rotation_degrees, hflip=hflip)
        if with_audio:
            sound = container.add_stream("aac", rate=16_000)
        for index in range(num_frames):
            image = numbered(index % 256, size_wh=size_wh) if paint is None else paint(index)
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            if color is not None:
                frame = frame.reformat(format=pixel_format, dst_colorspace=color[0], dst_color_range=color[1])
            if transfer is not None:
                frame.color_trc, frame.color_primaries = transfer, 9
            frame.time_base = Fraction(1, 90_000)
            seconds = index / frames_per_second if pts_seconds is None else pts_seconds[index]
            frame.pts = round(seconds * 90_000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if with_audio:
            container.mux(sound.encode(_silence(16_000)))
            container.mux(sound.encode(None))
    return path


def write_audio(path: Path, *, codec: str = "aac", with_cover: bool = False) -> Path:
    """Writes half a second of silence, with a cover picture if asked."""
    with av.open(str(path), "w", format=_FORMAT_BY_SUFFIX.get(path.suffix)) as container:
        sound = container.add_stream(codec, rate=16_000)
        assert isinstance(sound, av.AudioStream)
        if with_cover:
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
            cover.disposition = Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(numbered(0), "rgb24").reformat(format="yuvj420p")
            packets = [*cover.encode(frame), *cover.encode(None)]
        container.mux(sound.encode(_silence(8_000)))
        container.mux(sound.encode(None))
        if with_cover:
            container.mux(packets)
    return path


def _silence(num_samples: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.zeros((1, num_samples), np.float32), "fltp", "mono")
    frame.sample_rate = 16_000
    frame.pts = 0
    return frame


def sampled(path: Path, *, frames_per_second: float) -> list[Frame]:
    with path.open("rb") as file, VideoReader(file, uri=str(path)) as reader:
        return list(reader.sample(frames_per_second=frames_per_second))


def all_frames(path: Path) -> list[Frame]:
    with path.open("rb") as file, VideoReader(file, uri=str(path)) as reader:
        return list(reader.frames())


def reason(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        VideoReader(io.BytesIO(data), uri="clip.mp4")
    assert caught.value.uri == "clip.mp4"
    return caught.value.reason
