"""Decode a video file into upright RGB frames with square pixels; all decoding happens here.

`VideoReader` opens a file object, describes its contents, and yields its frames once, in presentation order, either
sampled in time or all of them. It holds a few frames in memory, however long the video.

Corrected on the way, and told in `VideoReader.quality`: a sample aspect ratio other than 1, interlaced frames, high
dynamic range, changes of size, and timestamps that jump. A stream without a colour matrix is decoded as BT.601:
FFmpeg's rule, also followed by OpenCV and thus by the pose networks' training frames.
"""

import math
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import BinaryIO, Self

import av
from av.stream import Disposition

from choreai.arrays import ImageArray
from choreai.errors import MediaError
from choreai.video.clock import Clock, Placed
from choreai.video.completeness import ends_early, stated_seconds
from choreai.video.container import MAX_PIXELS, NO_VIDEO_STREAM, FileSource, open_container
from choreai.video.deinterlace import Deinterlacer
from choreai.video.frame import Frame
from choreai.video.picture import UPRIGHT, Decoded, PictureConverter, Shape, dynamic_range_of, read_turn, shape_of
from choreai.video.picture_limits import MAX_SIDE, PictureLimits
from choreai.video.quality import InputQuality, Levels, as_ratio, is_combed, is_cut_short, measure_brightness
from choreai.video.tone import DynamicRange

_ASSUMED_FRAMES_PER_SECOND = 25
_JUMPING_CLOCK = 0x0200  # AVFMT_TS_DISCONT
_DEFAULT_STREAM_BONUS = 5_000_000
"""Pixels by which a stream that the file marks as its main one is preferred: FFmpeg's own rule."""
_RESTART_FRAMES = 64
"""A step back in the packets' order is seen in the frames at most so many frames later."""
_COMB_EVERY = 8  # sampled frames
_OWN_DURATION_FORMATS = ("mov", "mxf")
"""Formats that state the duration of the pictures themselves. Matroska does too, in a tag; of others, the file's
duration counts where the file ends early."""

_NOT_VIDEO = frozenset({Disposition.attached_pic, Disposition.still_image, Disposition.timed_thumbnails})
Wanted = Callable[[int], bool] | None  # of frame indices


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


class VideoReader:
    """Reads one video's frames, once, from first to last.

    After a change of size or shape in mid-stream, frames are fitted into the first frame's size, so that all keypoints
    of a video share one coordinate system.
    """

    info: VideoInfo
    num_decode_errors: int
    """Packets so far that could not be decoded, or only partially (in which case the frames are yielded)."""
    num_frames_decoded: int
    """Frames decoded so far, sampled or not."""
    start_seconds: float
    """When the first frame is shown by the file's own clock, which its sound keeps too."""

    def __init__(self, file: BinaryIO, *, uri: str, num_threads: int = 1, max_pixels: int = MAX_PIXELS) -> None:
        """Open `file`, which must be seekable and stays open, and decode its first frame.

        `uri` names the video in error messages. The decoder gets exactly `num_threads`. Raises MediaError if this is
        not a video that can be decoded, and whatever reading `file` raises.
        """
        if num_threads < 1:
            raise ValueError(f"num_threads must be at least 1, got {num_threads}")
        self.num_decode_errors = self.num_frames_decoded = 0
        self._uri, self._file, self._limits = uri, file, PictureLimits(uri, max_pixels)
        self._started = self._ended = self._ended_by_error = self._last_is_torn = False
        self._num_interlaced = self._num_sampled = self._num_combed = 0
        self._dynamic_range: DynamicRange = "sdr"
        self._brightness = Levels()
        self._shapes: set[Shape] = set()
        self._last_dts: int | None = None
        self._restart_left = 0
        self._source = FileSource(file)
        with ExitStack() as stack:
            self._container = stack.enter_context(open_container(self._source, uri=uri))
            self._stream = self._choose_stream()
            # PyAV ends a decoder's threads once nothing refers to it.
            stack.callback(delattr, self, "_stream")
            self._set_up_decoder(num_threads)
            self._time_base = self._stream.time_base or Fraction(1, 90_000)
            rate = self._rate() or Fraction(_ASSUMED_FRAMES_PER_SECOND)
            self._has_jumping_clock = bool(self._container.format.flags & _JUMPING_CLOCK)
            self._clock = Clock[Decoded](self._time_base, rate, is_stream=self._has_jumping_clock)
            self._deinterlacer = Deinterlacer(self._time_base)
            self._pixel_aspect = as_ratio(self._stream.sample_aspect_ratio)
            self._last_frame_ticks = self._clock.frame_ticks
            self._placed_frames = self._place_frames()
            stack.callback(self._placed_frames.close)
            first = next(self._placed_frames, None)
            if first is None:
                raise MediaError(uri, "no frame could be decoded; is the file damaged or truncated?")
            self._first = first
            self.start_seconds = float(self._clock.first_stamp * self._time_base)
            self._turn = read_turn(first.decoded.picture) or UPRIGHT
            self._shape = self._shape_of(first.decoded)
            self._converter = PictureConverter(self._shape, uri=uri)
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

    def frames(self, *, wanted: Wanted = None) -> Iterator[Frame]:
        """Yield all frames, or those whose index is `wanted`; the others are decoded, but not converted.

        Raises MediaError, and whatever reading the file raises.
        """
        return self._read(None, wanted)

    def _read(self, ticks_per_sample: Fraction | None, wanted: Wanted = None) -> Iterator[Frame]:
        if self._started:
            raise ValueError("a VideoReader can be read once; open the video again to read it again")
        self._started = True
        return self._convert_sampled(ticks_per_sample, wanted)

    def _convert_sampled(self, ticks_per_sample: Fraction | None, wanted: Wanted) -> Iterator[Frame]:
        next_tick = 0
        placed: _IndexedFrame | None = self._first
        del self._first
        while placed is not None:
            if placed.ticks >= next_tick and (wanted is None or wanted(placed.index)):
                seconds = placed.ticks * self._time_base.numerator / self._time_base.denominator
                image = self._image(placed.decoded)
                self._look_at(image)
                yield Frame(image=image, frame_index=placed.index, pts_seconds=seconds)
                if ticks_per_sample is not None:
                    next_tick = _tick_of_next_sample(placed.ticks, ticks_per_sample)
            placed = next(self._placed_frames, None)
        self._ended = True

    def _look_at(self, image: ImageArray) -> None:
        self._brightness.add(measure_brightness(image))
        if self._num_sampled % _COMB_EVERY == 0 and self.info.codec != "gif":  # dithering looks like combs
            self._num_combed += is_combed(image)
        self._num_sampled += 1

    @property
    def num_frames_backwards(self) -> int:
        """Frames so far whose time was not later than the previous one's; they are skipped and not counted in
        indices."""
        return self._clock.num_skipped

    @property
    def quality(self) -> InputQuality:
        """The input quality, as far as the video was read; whether it is cut short is known at its end."""
        num_frames = max(1, self.num_frames_decoded)
        brightness = self._brightness.median()
        return InputQuality(
            expected_seconds=self._find_expected_seconds() if self._ended else None,
            read_seconds=self._read_seconds,
            pixel_aspect=self._pixel_aspect,
            dynamic_range=self._dynamic_range,
            interlaced_share=min(1.0, self._num_interlaced / num_frames),
            num_sizes=max(1, len(self._shapes)),
            num_clock_jumps=self._clock.num_jumps,
            num_frames_skipped=self._clock.num_skipped,
            num_video_streams=len(self._video_streams()),
            brightness=None if brightness is None else 255 * brightness,
            combed_share=self._num_combed / max(1, -(-self._num_sampled // _COMB_EVERY)),
            damaged_share=max(0, self.num_decode_errors - self._last_is_torn) / num_frames,
        )

    @property
    def _read_seconds(self) -> float:
        return float((self._clock.last + self._last_frame_ticks) * self._time_base)

    def _find_expected_seconds(self) -> float | None:
        """Return the length that the container states if the video is shorter than that, else None."""
        frame_seconds = float(self._clock.frame_ticks * self._time_base)
        with_gaps = self._read_seconds + float(self._clock.removed_ticks * self._time_base)
        own = self._own_duration()
        if own is not None:
            return own if is_cut_short(own, with_gaps, frame_seconds=frame_seconds) else None
        ends_abruptly = self._ended_by_error or self._last_is_torn
        if self._has_jumping_clock or not (ends_abruptly or ends_early(self._file)):
            return None
        whole = self._stated_duration()
        return whole if whole and is_cut_short(whole, with_gaps, frame_seconds=frame_seconds) else None

    def _stated_duration(self) -> float | None:
        """Return the length of the file, sound included, as its header has it."""
        candidates = [stated_seconds(self._file)]
        if self._container.duration is not None:
            candidates.append(self._container.duration / av.time_base)
        if self._stream.frames and self._stream.average_rate:
            candidates.append(float(self._stream.frames / self._stream.average_rate))
        return max(filter(None, candidates), default=None)

    def _own_duration(self) -> float | None:
        """Return the length of the pictures, without the sound, where the container states it."""
        if self._container.format.name.startswith(_OWN_DURATION_FORMATS):
            return float(self._stream.duration * self._time_base) if self._stream.duration else None
        return _parse_duration(self._stream.metadata.get("DURATION", ""))

    def _video_streams(self) -> list[av.VideoStream]:
        return [s for s in self._container.streams.video if not any(s.disposition & d for d in _NOT_VIDEO)]

    def _choose_stream(self) -> av.VideoStream:
        """Return the stream that FFmpeg would take: of those that can be decoded, the largest; the file's main stream
        is preferred."""
        streams = self._video_streams()
        if not streams:
            has_audio = bool(self._container.streams.audio)
            raise MediaError(self._uri, NO_VIDEO_STREAM if has_audio else "the file has no video stream")
        stream = max(streams, key=_rank)
        if stream.codec_context is None:
            raise MediaError(self._uri, "the video's codec is not supported; convert it to H.264")
        self._limits.check_size(stream.codec_context.width, stream.codec_context.height)
        return stream

    def _set_up_decoder(self, num_threads: int) -> None:
        context = self._stream.codec_context
        context.thread_count = num_threads
        context.thread_type = "AUTO" if num_threads > 1 else "NONE"
        context.options = {"max_pixels": str(self._limits.decoder_max_pixels)}

    def _rate(self) -> Fraction | None:
        return self._stream.average_rate or self._stream.guessed_rate

    def _describe(self) -> VideoInfo:
        width, height = self._shape.upright_wh
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

    def _place_frames(self) -> "Generator[_IndexedFrame]":
        for index, placed in enumerate(self._deinterlaced()):
            self.num_frames_decoded += 1
            yield _IndexedFrame(decoded=placed.picture, index=index, ticks=placed.ticks)

    def _deinterlaced(self) -> Iterator[Placed[Decoded]]:
        for placed in self._in_time():
            yield from self._deinterlacer.add(placed)
        yield from self._deinterlacer.finish()

    def _in_time(self) -> Iterator[Placed[Decoded]]:
        for picture in self._decode():
            self._limits.check_size(picture.width, picture.height)
            self._note(picture)
            stamp = picture.pts if picture.pts is not None else picture.dts
            decoded = Decoded(picture, self._current_pixel_aspect())
            yield from self._clock.place(decoded, stamp, restarted=self._restart_left > 0)
            self._restart_left = max(0, self._restart_left - 1)
        yield from self._clock.finish()

    def _note(self, picture: av.VideoFrame) -> None:
        self._num_interlaced += picture.interlaced_frame
        self._last_frame_ticks = picture.duration or self._clock.frame_ticks
        if self._dynamic_range == "sdr":
            self._dynamic_range = dynamic_range_of(picture)

    def _current_pixel_aspect(self) -> float:
        """Return the aspect of the pixels decoded now: in broadcasts it changes, elsewhere the container states it."""
        if self._has_jumping_clock:
            return as_ratio(self._stream.codec_context.sample_aspect_ratio)
        return self._pixel_aspect

    def _shape_of(self, decoded: Decoded) -> Shape:
        return shape_of(
            decoded.picture,
            pixel_aspect=decoded.pixel_aspect,
            turn=read_turn(decoded.picture) or self._turn,
            max_side=MAX_SIDE,
            max_pixels=MAX_PIXELS,
        )

    def _decode(self) -> Iterator[av.VideoFrame]:
        num_in_a_row = 0
        for packet in self._demux():
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                self.num_decode_errors += 1
                num_in_a_row += 1
                self._limits.check_errors(num_in_a_row)
                continue
            num_in_a_row = 0 if pictures else num_in_a_row
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
                self._ended_by_error = True
                return
            self._source.raise_failure()
            if packet is None:
                return
            self._note_order(packet)
            yield packet

    def _note_order(self, packet: "av.Packet[av.VideoStream]") -> None:
        """Notice where one recording ends and another begins: in decoding order time never goes back otherwise."""
        if packet.size:
            self._last_is_torn = packet.is_corrupt
        if packet.dts is None:
            return
        if self._last_dts is not None and self._last_dts - packet.dts > 2 * self._clock.frame_ticks:
            self._restart_left = _RESTART_FRAMES
        self._last_dts = packet.dts

    def _image(self, decoded: Decoded) -> ImageArray:
        shape = self._shape_of(decoded)
        self._shapes.add(shape)
        return self._converter.convert(decoded.picture, shape)


@dataclass(frozen=True)
class _IndexedFrame:
    decoded: Decoded
    index: int
    ticks: int
    """Time since the first frame, in units of the stream's time base."""


def _tick_of_next_sample(ticks: int, ticks_per_sample: Fraction) -> int:
    """Return the earliest tick that may be sampled after a frame at `ticks`: half a tick before the next grid point,
    because containers round times to ticks."""
    half = Fraction(1, 2)
    next_point = math.floor((ticks + half) / ticks_per_sample) + 1
    return math.ceil(next_point * ticks_per_sample - half)


def _rank(stream: av.VideoStream) -> tuple[bool, int]:
    is_decodable = stream.codec_context is not None
    num_pixels = stream.codec_context.width * stream.codec_context.height if is_decodable else 0
    return is_decodable, num_pixels + _DEFAULT_STREAM_BONUS * bool(stream.disposition & Disposition.default)


def _parse_duration(text: str) -> float | None:
    """Return the seconds of Matroska's "00:01:02.500000000"; None for anything else."""
    try:
        hours, minutes, seconds = text.split(":")
        found = 3600 * int(hours) + 60 * int(minutes) + float(seconds)
    except ValueError:
        return None
    return found if math.isfinite(found) and found > 0 else None
