"""Decode a video file into upright RGB frames; all decoding happens here.

`VideoReader` opens a file object, describes its contents, and yields its frames once, in presentation order, either
sampled in time or all of them. It holds a few frames in memory, however long the video.

Left as stored: the pixels of a stream with a non-square sample aspect ratio, the fields of interlaced video, and high
dynamic range (no tone mapping). A stream without a colour matrix is decoded as BT.601: FFmpeg's rule, also followed by
OpenCV and thus by the pose networks' training frames.
"""

import math
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, Self

import av
import cv2
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter

from choreai.arrays import ImageArray
from choreai.errors import MediaError
from choreai.video.container import MAX_PIXELS, NO_VIDEO_STREAM, FileSource, open_container
from choreai.video.frame import Frame

MAX_SIDE = 16_384

_ASSUMED_FRAMES_PER_SECOND = 25
_CLOCK_RESET_SECONDS = 1.0

# The matrices that swscale converts from (AVColorSpace): RGB, BT.709, unspecified, FCC, BT.470BG, SMPTE 170M,
# SMPTE 240M, BT.2020. It refuses a frame with any other tag, and in the wild the tags are often wrong.
_COLOR_MATRICES = frozenset({0, 1, 2, 4, 5, 6, 7, 9})
_UNSPECIFIED_MATRIX = 2

_NOT_VIDEO = frozenset({Disposition.attached_pic, Disposition.still_image, Disposition.timed_thumbnails})


@dataclass(frozen=True)
class VideoInfo:
    """What the container and the first frame declare. Rate and duration may be wrong; decoding uses neither."""

    width: int
    """Pixels, upright. All frames of the video have this size."""
    height: int
    frames_per_second: float
    """Average; 0 if unknown."""
    duration_seconds: float | None
    codec: str
    rotation_degrees: int
    """Clockwise rotation that was applied to make the stored picture upright: 0, 90, 180 or 270. Mirroring, if any,
    comes after it."""
    has_audio: bool


@dataclass(frozen=True)
class _Turn:
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


class VideoReader:
    """Reads one video's frames, once, from first to last.

    After a change of resolution in mid-stream, frames are scaled to the first frame's size, so that all keypoints of
    a video share one coordinate system.
    """

    info: VideoInfo
    num_decode_errors: int
    """Packets so far that could not be decoded, or only partially (in which case the frames are yielded)."""
    num_frames_decoded: int
    """Frames decoded so far, sampled or not."""
    num_frames_backwards: int
    """Frames so far whose time was not later than the previous one's; they are skipped and not counted in indices."""

    def __init__(self, file: BinaryIO, *, uri: str, num_threads: int = 1) -> None:
        """Open `file`, which must be seekable and stays open, and decode its first frame.

        `uri` names the video in error messages. The decoder gets exactly `num_threads`. Raises MediaError if this is
        not a video that can be decoded, and whatever reading `file` raises.
        """
        if num_threads < 1:
            raise ValueError(f"num_threads must be at least 1, got {num_threads}")
        self.num_decode_errors = self.num_frames_decoded = self.num_frames_backwards = 0
        self._uri = uri
        self._started = False
        self._reformatter = VideoReformatter()
        self._source = FileSource(file)
        with ExitStack() as stack:
            self._container = stack.enter_context(open_container(self._source, uri=uri))
            self._stream = self._choose_stream()
            # PyAV ends a decoder's threads once nothing refers to it.
            stack.callback(delattr, self, "_stream")
            self._set_up_decoder(num_threads)
            self._time_base = self._stream.time_base or Fraction(1, 90_000)
            self._clock = _Clock(self._time_base, self._rate() or Fraction(_ASSUMED_FRAMES_PER_SECOND))
            self._placed_frames = self._place_frames()
            stack.callback(self._placed_frames.close)
            first = next(self._placed_frames, None)
            if first is None:
                raise MediaError(uri, "no frame could be decoded; is the file damaged or truncated?")
            self._first = first
            self._size_wh = first.picture.width, first.picture.height
            self._turn = _read_turn(first.picture)
            self.info = self._describe()
            self._closer = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the decoder and its threads; the file object stays open."""
        self._closer.close()

    def sample(self, *, frames_per_second: float) -> Iterator[Frame]:
        """Yield the first frame at or after each point k / frames_per_second in time, without repeating any.

        A frame shown for longer than a period (variable frame rate) is yielded once, and every frame is yielded of a
        video with a lower frame rate. Raises MediaError, and whatever reading the file raises.
        """
        if not (math.isfinite(frames_per_second) and frames_per_second > 0):
            raise ValueError(f"frames_per_second must be a positive number, got {frames_per_second}")
        ticks_per_sample = 1 / (Fraction(frames_per_second) * self._time_base)
        return self._read(ticks_per_sample)

    def frames(self) -> Iterator[Frame]:
        """Yield all frames. Raises MediaError, and whatever reading the file raises."""
        return self._read(None)

    def _read(self, ticks_per_sample: Fraction | None) -> Iterator[Frame]:
        if self._started:
            raise ValueError("a VideoReader can be read once; open the video again to read it again")
        self._started = True
        return self._convert_sampled(ticks_per_sample)

    def _convert_sampled(self, ticks_per_sample: Fraction | None) -> Iterator[Frame]:
        next_tick = 0
        placed: _PlacedFrame | None = self._first
        del self._first
        while placed is not None:
            if placed.ticks >= next_tick:
                seconds = placed.ticks * self._time_base.numerator / self._time_base.denominator
                yield Frame(image=self._image(placed.picture), frame_index=placed.index, pts_seconds=seconds)
                if ticks_per_sample is not None:
                    next_tick = _tick_of_next_sample(placed.ticks, ticks_per_sample)
            placed = next(self._placed_frames, None)

    def _choose_stream(self) -> av.VideoStream:
        streams = [s for s in self._container.streams.video if not any(s.disposition & d for d in _NOT_VIDEO)]
        if not streams:
            has_audio = bool(self._container.streams.audio)
            raise MediaError(self._uri, NO_VIDEO_STREAM if has_audio else "the file has no video stream")
        stream = max(streams, key=lambda s: bool(s.disposition & Disposition.default))
        if stream.codec_context is None:
            raise MediaError(self._uri, "the video's codec is not supported; convert it to H.264")
        self._check_size(stream.codec_context.width, stream.codec_context.height)
        return stream

    def _check_size(self, width: int, height: int) -> None:
        limits = f"the limits are {MAX_SIDE} pixels per side and {MAX_PIXELS // 10**6} megapixels"
        if not (width and height):
            # FFmpeg, given the limit, also reports a size above it as zero.
            raise MediaError(self._uri, f"the picture has no usable size ({width}x{height}); {limits}")
        if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
            raise MediaError(self._uri, f"the picture is {width}x{height}; {limits}")

    def _set_up_decoder(self, num_threads: int) -> None:
        context = self._stream.codec_context
        context.thread_count = num_threads
        context.thread_type = "AUTO" if num_threads > 1 else "NONE"
        context.options = {"max_pixels": str(MAX_PIXELS)}

    def _rate(self) -> Fraction | None:
        return self._stream.average_rate or self._stream.guessed_rate

    def _describe(self) -> VideoInfo:
        width, height = self._size_wh[::-1] if self._turn.transpose else self._size_wh
        duration: float | None = None
        if self._stream.duration is not None:
            duration = float(self._stream.duration * self._time_base)
        elif self._container.duration is not None:
            duration = self._container.duration / av.time_base
        return VideoInfo(
            width=width,
            height=height,
            frames_per_second=float(self._stream.average_rate or 0),
            duration_seconds=duration,
            codec=self._stream.codec_context.codec.canonical_name,
            rotation_degrees=self._turn.clockwise_degrees,
            has_audio=bool(self._container.streams.audio),
        )

    def _place_frames(self) -> "Generator[_PlacedFrame]":
        for picture in self._decode():
            self._check_size(picture.width, picture.height)
            ticks = self._clock.place(picture)
            if ticks is None:
                self.num_frames_backwards += 1
                continue
            self.num_frames_decoded += 1
            yield _PlacedFrame(picture=picture, index=self.num_frames_decoded - 1, ticks=ticks)

    def _decode(self) -> Iterator[av.VideoFrame]:
        for packet in self._demux():
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                self.num_decode_errors += 1
                continue
            for picture in pictures:
                self.num_decode_errors += picture.is_corrupt
                yield picture

    def _demux(self) -> "Iterator[av.Packet[av.VideoStream]]":
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                # The container is damaged from here on; the frames before this point are good.
                self._source.raise_failure()
                self.num_decode_errors += 1
                return
            self._source.raise_failure()
            if packet is None:
                return
            yield packet

    def _image(self, picture: av.VideoFrame) -> ImageArray:
        if picture.colorspace not in _COLOR_MATRICES:
            picture.colorspace = _UNSPECIFIED_MATRIX
        width, height = self._size_wh
        try:
            rgb = self._reformatter.reformat(picture, width=width, height=height, format="rgb24", threads=1)
        except av.FFmpegError as exc:
            reason = f"pixel format {picture.format.name} cannot be converted to RGB: {exc.strerror}"
            raise MediaError(self._uri, reason) from exc
        image = self._turn.apply(np.asarray(rgb.to_ndarray(), np.uint8))
        # An RGB stream's frame is returned unconverted, and the decoder may still refer to it.
        return image.copy() if rgb is picture else np.ascontiguousarray(image)


@dataclass(frozen=True)
class _PlacedFrame:
    picture: av.VideoFrame
    index: int
    ticks: int
    """Time since the first frame, in units of the stream's time base."""


class _Clock:
    """Computes each decoded frame's time since the first, from the timestamps that it has."""

    def __init__(self, time_base: Fraction, frames_per_second: Fraction) -> None:
        self._frame_ticks = max(1, round(1 / (frames_per_second * time_base)))
        self._reset_ticks = round(_CLOCK_RESET_SECONDS / time_base)
        self._start: int | None = None
        self._last = 0

    def place(self, picture: av.VideoFrame) -> int | None:
        """Return the ticks since the first frame; None if the frame is not later than the previous one.

        Without a pts the dts is used (AVI has no pts), and without either the frame rate. A long step back means that
        one recording was appended to another (DVD, transport streams): time continues from where the first one ended.
        """
        stamp = picture.pts if picture.pts is not None else picture.dts
        if self._start is None:
            self._start = stamp or 0
            return 0
        ticks = self._last + self._frame_ticks if stamp is None else stamp - self._start
        if self._last - ticks > self._reset_ticks:
            self._start += ticks - (self._last + self._frame_ticks)
            ticks = self._last + self._frame_ticks
        if ticks <= self._last:
            return None
        self._last = ticks
        return ticks


def _tick_of_next_sample(ticks: int, ticks_per_sample: Fraction) -> int:
    """Return the earliest tick that may be sampled after a frame at `ticks`: half a tick before the next grid point,
    because containers round times to ticks."""
    half = Fraction(1, 2)
    next_point = math.floor((ticks + half) / ticks_per_sample) + 1
    return math.ceil(next_point * ticks_per_sample - half)


def _read_turn(picture: av.VideoFrame) -> _Turn:
    """Return the quarter turn and mirroring closest to the frame's display matrix.

    FFmpeg's libavutil/display.h: x' = a x + c y and y' = b x + d y for the matrix (a b u, c d v, x y w).
    """
    matrix = picture.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return _Turn(transpose=False, flip_x=False, flip_y=False)
    # PyAV's stubs do not know that side data is a buffer.
    numbers = np.frombuffer(bytes(matrix), np.int32)  # type: ignore[call-overload]
    a, b, _, c, d = numbers[:5].tolist()
    if abs(a) >= abs(c):
        return _Turn(transpose=False, flip_x=a < 0, flip_y=d < 0)
    return _Turn(transpose=True, flip_x=c < 0, flip_y=b < 0)
