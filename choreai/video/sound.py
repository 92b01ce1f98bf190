"""Put the sound of a video file under pictures that were drawn from it, in time.

AAC is copied packet by packet; anything else is decoded and encoded as AAC, which every browser plays. Sound is never a
reason to lose the pictures: where it cannot be had, they stay as they are, and the reason is returned.
"""

import heapq
import itertools
import os
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO

import av
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from av.stream import Disposition

from choreai.errors import MediaError, StorageError
from choreai.storage.files import temporary_path
from choreai.video.container import FileSource, open_container

SAMPLES_PER_SECOND = 48_000
"""Of sound that is encoded anew."""
BITS_PER_SECOND = 160_000
MAX_PACKET_BYTES = 16 * 2**20
"""A second of eight channels of floats at 96 kHz takes three megabytes."""
MAX_FRAME_SECONDS = 10.0
"""Longer pieces at once are made up, and would be resampled in memory."""
_RATES = range(4_000, 768_001)
_FRAME_SAMPLES = 1024  # of AAC
_PREROLL_PACKETS = 2
"""Packets before the first picture that are copied too: AAC needs the one before to decode one. Players skip them."""

_Packet = Any
"""An av.Packet, whose stream is replaced on its way: its type parameter cannot say so."""


@dataclass(frozen=True, eq=False)
class Sound:
    """The sound that belongs to pictures: the file that has it, and where in the file's time the pictures begin."""

    file: BinaryIO
    """Seekable; it stays open."""
    uri: str
    start_seconds: float
    """When the first picture is shown, by the file's own clock (`VideoReader.start_seconds`)."""


class _NoSoundError(Exception):
    """Why there is no sound."""


def add_sound(pictures: Path, sound: Sound) -> str:
    """Add the sound to an MP4 of pictures, for as long as they last; return why there is none, "" if there is.

    The file is replaced in one step. Raises StorageError if it cannot be written, and what reading `sound.file` raises.
    """
    temporary = temporary_path(pictures)
    try:
        _join(pictures, sound, temporary)
        os.replace(temporary, pictures)
    except _NoSoundError as exc:
        return str(exc)
    except OSError as exc:  # av.FFmpegError is one too
        raise StorageError(str(pictures), f"the sound cannot be written: {exc}") from exc
    finally:
        temporary.unlink(missing_ok=True)
    return ""


def _join(pictures: Path, sound: Sound, target: Path) -> None:
    with ExitStack() as stack:
        shown = stack.enter_context(av.open(str(pictures)))
        heard = _HeardSound(sound, stack, stop_seconds=(shown.duration or 0) / av.time_base)
        written = stack.enter_context(av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}))
        written.metadata["comment"] = shown.metadata.get("comment", "")
        picture_packets = _copied_pictures(shown, written)
        sound_packets = heard.copied(written) if heard.can_be_copied else heard.encoded(written)
        first = next(sound_packets, None)
        if first is None:
            raise _NoSoundError("there is none while the pictures last")
        for packet in heapq.merge(picture_packets, itertools.chain([first], sound_packets), key=_decoding_seconds):
            written.mux(packet)


def _copied_pictures(shown: InputContainer, written: OutputContainer) -> Iterator[_Packet]:
    stream = shown.streams.video[0]
    copy = written.add_stream_from_template(stream)
    return (_moved_to(copy, packet) for packet in shown.demux(stream) if packet.size)


def _moved_to(stream: av.stream.Stream, packet: _Packet) -> _Packet:
    packet.stream = stream
    return packet


def _decoding_seconds(packet: _Packet) -> float:
    return float(packet.dts * packet.time_base)


class _HeardSound:
    """The packets of a file's sound from the first picture to the end of the last, counted from the first."""

    def __init__(self, sound: Sound, stack: ExitStack, *, stop_seconds: float) -> None:
        """Raises _NoSoundError if there is none that can be read."""
        self._source = FileSource(sound.file)
        try:
            container = stack.enter_context(open_container(self._source, uri=sound.uri))
        except MediaError as exc:
            raise _NoSoundError(exc.reason) from exc
        self._container = container
        self._stream = _choose_stream(container)
        self._stop_seconds = stop_seconds
        self._time_base = self._stream.time_base or Fraction(1, 90_000)
        self._start = round(sound.start_seconds / self._time_base)

    @property
    def can_be_copied(self) -> bool:
        """Whether MP4 can hold the packets as they are: of AAC with its configuration beside it, unlike in MPEG-TS."""
        context = self._stream.codec_context
        return context.name == "aac" and bool(context.extradata) and context.sample_rate in _RATES

    def copied(self, written: OutputContainer) -> Iterator[_Packet]:
        """Add a stream to `written` and return the packets for it."""
        copy = written.add_stream_from_template(self._stream)
        return self._copied_to(copy)

    def _copied_to(self, copy: av.stream.Stream) -> Iterator[_Packet]:
        last = None
        for packet in self._packets():
            is_next = packet.pts is not None and (last is None or packet.pts > last)
            if is_next and packet.pts + (1 + _PREROLL_PACKETS) * (packet.duration or 0) > 0:
                last = packet.pts
                yield _moved_to(copy, packet)

    def encoded(self, written: OutputContainer) -> Iterator[_Packet]:
        """Add a stream of AAC to `written` and return the packets for it."""
        context = self._stream.codec_context
        if context.sample_rate not in _RATES:
            raise _NoSoundError(f"its sampling rate of {context.sample_rate} Hz is none of sound")
        layout = "mono" if context.channels == 1 else "stereo"
        stream = written.add_stream("aac", rate=SAMPLES_PER_SECOND, layout=layout)
        stream.codec_context.bit_rate = BITS_PER_SECOND
        return self._encoded_to(stream, layout)

    def _encoded_to(self, stream: av.AudioStream, layout: str) -> Iterator[_Packet]:
        graph = None
        for frame in self._frames():
            graph = graph or _resampler(frame, layout)
            graph.push(frame)
            for resampled in _pulled(graph):
                yield from stream.encode(resampled)
        if graph is not None:
            graph.push(None)
            for resampled in _pulled(graph):
                yield from stream.encode(resampled)
            yield from stream.encode(None)

    def _frames(self) -> Iterator[av.AudioFrame]:
        """Yield what can be decoded; gaps are filled with silence later."""
        for packet in self._packets():
            with suppress(av.FFmpegError):
                for frame in packet.decode():
                    if frame.pts is not None and frame.samples <= MAX_FRAME_SECONDS * frame.sample_rate:
                        yield frame

    def _packets(self) -> Iterator[_Packet]:
        """Yield the packets with their times counted from the first picture, as far as the file can be read."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                packet = None  # damaged from here on; the sound before this point is good
            self._source.raise_failure()
            if packet is None or not packet.size:
                return
            if packet.size > MAX_PACKET_BYTES:
                raise _NoSoundError("it is damaged")
            if packet.pts is not None:
                packet.pts = packet.dts = packet.pts - self._start
                if packet.pts * self._time_base >= self._stop_seconds:
                    continue
            yield packet


def _choose_stream(container: InputContainer) -> av.AudioStream:
    """Return the stream that players take: the file's main one, else the first."""
    streams = [stream for stream in container.streams.audio if stream.codec_context is not None]
    if not streams:
        raise _NoSoundError("its codec is not supported" if container.streams.audio else "the video has none")
    return max(streams, key=lambda stream: bool(stream.disposition & Disposition.default))


def _resampler(frame: av.AudioFrame, layout: str) -> Graph:
    """Return a filter to AAC's frames that begins at time 0 and fills gaps with silence."""
    graph = Graph()
    graph.link_nodes(
        graph.add_abuffer(
            sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
        ),
        graph.add("aresample", f"{SAMPLES_PER_SECOND}:async=1:first_pts=0"),
        graph.add("aformat", f"sample_fmts=fltp:channel_layouts={layout}:sample_rates={SAMPLES_PER_SECOND}"),
        graph.add("asetnsamples", f"n={_FRAME_SAMPLES}:p=0"),
        graph.add("abuffersink"),
    ).configure()
    return graph


def _pulled(graph: Graph) -> Iterator[av.AudioFrame]:
    while True:
        try:
            frame = graph.pull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return
        assert isinstance(frame, av.AudioFrame)
        yield frame
