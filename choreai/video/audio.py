"""Decode the sound of a file to mono at one sampling rate, in the time of its pictures, in bounded memory.

Sample 0 is heard with the first picture; of a file without pictures it is the first of its sound. Gaps are silence.
Samples that are no numbers count as silence too.
"""

import math
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any, BinaryIO, Self

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.stream import Disposition

from choreai.arrays import FloatArray
from choreai.errors import MediaError
from choreai.video.container import FileSource, open_container

MAX_PACKET_BYTES = 16 * 2**20
MAX_FRAME_SECONDS = 10.0
MAX_DRIFT_SECONDS = 0.1
"""By which timestamps may differ from the samples counted before a gap is filled, or an overlap left out."""
MAX_GAP_SECONDS = 600.0
"""A longer gap is a timestamp that is wrong."""
MAX_OVERLAPS = 50
"""Frames in a row that lie before what was heard; then the clock has been set back, and they follow on."""
LOUDEST = 8.0
"""Samples are limited to so many times full scale: floating-point files may hold anything."""
_RATES = range(1_000, 768_001)


class NoSoundError(MediaError):
    """The file has no sound that can be heard."""


@dataclass
class AudioState:
    """What was met on the way."""

    num_frames: int = 0
    num_decode_errors: int = 0
    num_bad_samples: int = 0
    """Samples that are no numbers."""
    ended_by_error: bool = False

    @property
    def is_damaged(self) -> bool:
        """Whether something could not be read."""
        return self.ended_by_error or self.num_decode_errors > 0


@dataclass(frozen=True)
class AudioInfo:
    """What the file says of its sound."""

    codec: str
    sample_rate: int
    num_channels: int
    duration_seconds: float | None


class AudioReader:
    """Reads one file's sound, once, from first to last."""

    info: AudioInfo
    state: AudioState

    def __init__(self, file: BinaryIO, *, uri: str, samples_per_second: int) -> None:
        """Open `file`, which must be seekable and stays open.

        Raises NoSoundError if it has no sound, MediaError if it cannot be opened, and whatever reading `file` raises.
        """
        self._uri, self._rate, self.state = uri, samples_per_second, AudioState()
        self._source = FileSource(file)
        with ExitStack() as stack:
            self._container = stack.enter_context(open_container(self._source, uri=uri, may_be_sound=True))
            self._stream = self._choose_stream()
            stack.callback(delattr, self, "_stream")
            self._time_base = self._stream.time_base or Fraction(1, 90_000)
            self.info = self._describe()
            self._closer = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the decoder; the file object stays open."""
        self._closer.close()

    def samples(self) -> Iterator[FloatArray]:
        """Yield the samples in pieces of any size, in order, without gaps; about 1 is full scale."""
        timeline = _Timeline(self._rate, start_seconds=self._picture_start())
        for frame in self._frames():
            yield from timeline.add(frame, self._seconds_of(frame))
        yield from timeline.finish()

    def _choose_stream(self) -> av.AudioStream:
        """Return the stream that players take: the file's main one, else the first."""
        streams = [stream for stream in self._container.streams.audio if stream.codec_context is not None]
        if not streams:
            has_any = bool(self._container.streams.audio)
            raise NoSoundError(self._uri, "the sound's codec is not supported" if has_any else "the file has no sound")
        return max(streams, key=lambda stream: bool(stream.disposition & Disposition.default))

    def _describe(self) -> AudioInfo:
        context, duration = self._stream.codec_context, None
        if self._stream.duration:
            duration = float(self._stream.duration * self._time_base)
        elif self._container.duration:
            duration = self._container.duration / av.time_base
        return AudioInfo(context.name, context.sample_rate, context.channels, duration)

    def _picture_start(self) -> float | None:
        """Return when the first picture is shown by the file's clock; None where it has no pictures."""
        covers = Disposition.attached_pic | Disposition.still_image
        for stream in self._container.streams.video:
            if not stream.disposition & covers and stream.time_base:
                return float((stream.start_time or 0) * stream.time_base)
        return None

    def _seconds_of(self, frame: av.AudioFrame) -> float | None:
        return None if frame.pts is None else float(frame.pts * (frame.time_base or self._time_base))

    def _frames(self) -> Iterator[av.AudioFrame]:
        for packet in self._packets():
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self.state.num_decode_errors += 1
                continue
            for frame in frames:
                if frame.sample_rate in _RATES and 0 < frame.samples <= MAX_FRAME_SECONDS * frame.sample_rate:
                    self.state.num_frames += 1
                    yield self._cleaned(frame)

    def _cleaned(self, frame: av.AudioFrame) -> av.AudioFrame:
        """Return the frame with numbers only; integers are."""
        if not frame.format.name.startswith(("flt", "dbl")):
            return frame
        samples = frame.to_ndarray()
        good = np.abs(samples) <= LOUDEST  # not for NaN
        if good.all():
            return frame
        self.state.num_bad_samples += int((~np.isfinite(samples)).sum())
        limited: Any = np.clip(np.nan_to_num(samples, nan=0, posinf=0, neginf=0), -LOUDEST, LOUDEST)
        cleaned = av.AudioFrame.from_ndarray(limited, frame.format.name, frame.layout.name)
        cleaned.sample_rate, cleaned.pts, cleaned.time_base = frame.sample_rate, frame.pts, frame.time_base
        return cleaned

    def _packets(self) -> "Iterator[av.Packet[av.AudioStream]]":
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                packet, self.state.ended_by_error = None, True
            self._source.raise_failure()
            if packet is None or packet.size > MAX_PACKET_BYTES:
                return
            yield packet


@dataclass
class _Timeline:
    """Resamples frames and puts them where their timestamps say."""

    rate: int
    start_seconds: float | None
    """The file's time of sample 0; None: the first frame's."""
    _resampler: AudioResampler | None = None
    _shape: tuple[object, ...] = ()
    _num_out: int = 0
    """Samples that were yielded or skipped: negative while before sample 0."""
    _is_placed: bool = False
    _num_overlaps: int = 0
    _shift: float = 0.0
    """Seconds by which the file's clock was set back since."""
    _late: float = 0.0
    """Seconds of silence before the first frame that are still to come."""

    def add(self, frame: av.AudioFrame, seconds: float | None) -> Iterator[FloatArray]:
        """Yield what can be heard now that `frame` is there."""
        if not self._is_placed:
            self._place_first(seconds)
        elif seconds is not None and self.start_seconds is not None:
            ahead = seconds + self._shift - self.start_seconds - self._expected()
            if ahead < -MAX_DRIFT_SECONDS and self._num_overlaps < MAX_OVERLAPS:
                self._num_overlaps += 1
                return
            if abs(ahead) > MAX_GAP_SECONDS or ahead < -MAX_DRIFT_SECONDS:
                self._shift -= ahead
            elif ahead > MAX_DRIFT_SECONDS:
                yield from self._flushed()
                yield from self._silence(ahead)
            self._num_overlaps = 0
        yield from self._resampled(frame)

    def finish(self) -> Iterator[FloatArray]:
        """Yield what the resampler still holds."""
        yield from self._flushed()

    def _place_first(self, seconds: float | None) -> None:
        self._is_placed = True
        if self.start_seconds is None:
            self.start_seconds = seconds or 0.0
        ahead = (seconds if seconds is not None else self.start_seconds) - self.start_seconds
        if abs(ahead) < MAX_GAP_SECONDS:
            self._num_out = min(0, math.floor(ahead * self.rate))
            self._late = max(0.0, ahead)
        else:
            self._late, self._shift = 0.0, -ahead

    def _expected(self) -> float:
        return self._num_out / self.rate + self._late

    def _resampled(self, frame: av.AudioFrame) -> Iterator[FloatArray]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or shape != self._shape:
            yield from self._flushed()
            self._resampler, self._shape = AudioResampler("flt", "mono", self.rate), shape
        if self._late:
            late, self._late = self._late, 0.0
            yield from self._silence(late)
        frame.pts = None
        for resampled in self._resampler.resample(frame):
            yield from self._counted(resampled.to_ndarray()[0])

    def _flushed(self) -> Iterator[FloatArray]:
        if self._resampler is not None:
            for resampled in self._resampler.resample(None):
                yield from self._counted(resampled.to_ndarray()[0])
            self._resampler = None

    def _silence(self, seconds: float) -> Iterator[FloatArray]:
        left = round(seconds * self.rate)
        while left > 0:
            num = min(left, 10 * self.rate)
            yield from self._counted(np.zeros(num, np.float32))
            left -= num

    def _counted(self, samples: FloatArray) -> Iterator[FloatArray]:
        skipped = min(len(samples), max(0, -self._num_out))
        self._num_out += len(samples)
        if skipped < len(samples):
            yield samples[skipped:]
