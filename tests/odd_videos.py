"""A corpus of odd videos, each a tiny file that a script makes: what cameras, broadcasts and torn downloads give.

Every frame carries its number (`clips.numbered`), so that a test can say which frames came and in which order. A change
to the decoder runs against all of them (`tests/test_odd_videos.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from clips import Image, numbered, write_clip

from choreai.video import quality

NUM_FRAMES = 12
PQ, HLG = 16, 18
_X265 = {"preset": "ultrafast", "x265-params": "log-level=none"}


@dataclass(frozen=True)
class OddVideo:
    """One file, and what must be read from it."""

    name: str
    write: Callable[[Path], Path]
    """Writes it to the path given, and returns the path."""
    numbers: tuple[int, ...] = tuple(range(NUM_FRAMES))
    """Of its frames, in order."""
    size_wh: tuple[int, int] = (64, 48)
    remarks: tuple[str, ...] = ()
    last_seconds: float | None = (NUM_FRAMES - 1) / 30
    """Time of the last frame; None: not told."""


def clip(**settings: object) -> Callable[[Path], Path]:
    return lambda path: write_clip(path, **{"num_frames": NUM_FRAMES, **settings})  # type: ignore[arg-type]


def cut(write: Callable[[Path], Path], share: float) -> Callable[[Path], Path]:
    """The first `share` of a file's bytes."""

    def write_cut(path: Path) -> Path:
        data = write(path).read_bytes()
        path.write_bytes(data[: int(len(data) * share)])
        return path

    return write_cut


def appended(*parts: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """Several files written one behind the other."""

    def write_appended(path: Path) -> Path:
        path.write_bytes(b"".join(write(path).read_bytes() for write in parts))
        return path

    return write_appended


def edited(write: Callable[[Path], Path], old: bytes, new: bytes) -> Callable[[Path], Path]:
    """A file with other bytes in some places."""

    def write_edited(path: Path) -> Path:
        data = write(path).read_bytes()
        assert old in data
        path.write_bytes(data.replace(old, new))
        return path

    return write_edited


def two_streams(path: Path) -> Path:
    """A preview of 32 x 24 first, then the video."""
    with av.open(str(path), "w") as container:
        streams = []
        for size_wh in ((32, 24), (64, 48)):
            stream = container.add_stream("libx264", rate=30)
            stream.width, stream.height, stream.pix_fmt = *size_wh, "yuv420p"
            streams.append(stream)
        for index in range(NUM_FRAMES):
            for stream in streams:
                image = numbered(index, size_wh=(stream.width, stream.height))
                container.mux(stream.encode(_frame(image, index)))
        for stream in streams:
            container.mux(stream.encode(None))
    return path


def cover_first(path: Path) -> Path:
    """A cover picture larger than the video, as the first stream."""
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 640, 480, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(numbered(99, size_wh=(640, 480)), "rgb24").reformat(format="yuvj420p")
        packets = [*cover.encode(picture), *cover.encode(None)]
        container.mux(packets)
        for index in range(NUM_FRAMES):
            container.mux(stream.encode(_frame(numbered(index), index)))
        container.mux(stream.encode(None))
    return path


def interlaced(codec: str, *, top_first: bool = True, flagged: bool = True) -> Callable[[Path], Path]:
    """Two fields a frame, flagged so or not; a white column goes right from field to field, below the number."""

    def write_interlaced(path: Path) -> Path:
        options = {"flags": "+ildct+ilme", "qscale": "2"}
        if codec == "libx264":
            options = {"x264-params": f"{'tff' if top_first else 'bff'}=1", "qp": "10"}
        if not flagged:
            options = {"qp": "10"}
        return write_clip(path, codec=codec, num_frames=NUM_FRAMES, size_wh=(128, 96), paint=woven, options=options)

    def woven(index: int) -> Image:
        fields = [numbered(index, size_wh=(128, 96)) for _ in range(2)]
        for number, field in enumerate(fields):
            x = 8 + 8 * index + 4 * (number if top_first else 1 - number)
            field[52:, x : x + 12] = 255
        fields[0][1::2] = fields[1][1::2]
        return fields[0]

    return write_interlaced


def broadcast_that_changes(path: Path) -> Path:
    """4:3 and then 16:9, the same number of stored pixels."""
    sizes = (Fraction(16, 15), Fraction(64, 45))
    parts = [clip(codec="mpeg2video", size_wh=(90, 72), frames_per_second=25, pixel_aspect=each) for each in sizes]
    return appended(*parts)(path)


def wild_stamp(path: Path) -> Path:
    """A transport stream whose sixth packet claims to be from five hours later."""
    plain = write_clip(path.with_name(f"plain{path.suffix}"), num_frames=NUM_FRAMES, options={"bf": "0"})
    with av.open(str(plain)) as source, av.open(str(path), "w", format="mpegts") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.dts is not None):
            assert packet.pts is not None
            if number == 5:
                packet.pts += 5 * 3600 * 90_000
            packet.stream = stream
            target.mux(packet)
    return path


def trimmed(path: Path) -> Path:
    """An edit list leaves out the first four frames."""
    times = [(index - 4) / 30 for index in range(NUM_FRAMES + 4)]
    options = {"bf": "0", "g": "1"}
    container = {"use_editlist": "1", "avoid_negative_ts": "disabled"}
    settings = {"num_frames": NUM_FRAMES + 4, "pts_seconds": times, "options": options, "container_options": container}
    return write_clip(path, paint=lambda index: numbered(max(0, index - 4)), **settings)  # type: ignore[arg-type]


def textured(index: int) -> Image:
    """A numbered frame with noise below the number, so that most of the file is pictures."""
    image = numbered(index)
    image[28:] = np.random.default_rng(index).integers(0, 255, (20, 64, 3), np.uint8)
    return image


def dark(index: int) -> Image:
    return np.asarray(numbered(index) // 8, np.uint8)


def _frame(image: Image, index: int) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(image, "rgb24")
    frame.pts, frame.time_base = index, Fraction(1, 30)
    return frame


_JUMPY = [0, 0.03, 0.1, 0.11, 0.5, 0.52, 0.6, 0.9, 0.91, 1.3, 1.31, 1.4]
_FASTSTART = {"movflags": "faststart"}
_TALKING = clip(with_audio=True)
_LONG = 60

ODD_VIDEOS = (
    # ---- containers
    OddVideo("variable_rate.mp4", clip(pts_seconds=_JUMPY), last_seconds=1.4),
    OddVideo("fragmented.mp4", clip(container_options={"movflags": "frag_keyframe+empty_moov"})),
    OddVideo("live.webm", clip(codec="libvpx", container_options={"live": "1"})),
    OddVideo("wrap.ts", clip(pts_seconds=[95441.9 + index / 30 for index in range(NUM_FRAMES)])),
    OddVideo("edit_list.mp4", trimmed),
    OddVideo("b_frames.avi", clip(options={"bf": "3"})),
    OddVideo("unknown_sound.mp4", edited(_TALKING, b"mp4a", b"zzz2")),
    OddVideo("cover_first.mp4", cover_first),
    OddVideo("preview_first.mkv", two_streams, remarks=(quality.SEVERAL_STREAMS,)),
    OddVideo("camcorder.mts", clip()),
    OddVideo("dvd.vob", clip(codec="mpeg2video")),
    OddVideo("raw.m2v", clip(codec="mpeg2video"), last_seconds=None),
    OddVideo("raw.h264", clip(), last_seconds=(NUM_FRAMES - 1) / 25),
    OddVideo("studio.mxf", clip(codec="mpeg2video")),
    OddVideo("old_phone.3g2", clip(codec="mpeg4")),
    OddVideo("flash.f4v", clip()),
    OddVideo("windows.asf", clip(codec="wmv2")),
    OddVideo("loop.gif", clip(codec="gif", pixel_format="rgb8", frames_per_second=25),
             last_seconds=(NUM_FRAMES - 1) / 25),
    # ---- codecs and pixels
    OddVideo("apple.mov", clip(codec="prores_ks", pixel_format="yuva444p10le", options={"profile": "4"})),
    OddVideo("alpha.webm", clip(codec="libvpx-vp9", pixel_format="yuva420p")),
    OddVideo("av1.mp4", clip(codec="libsvtav1", options={"preset": "12", "svtav1-params": "lp=1"})),
    OddVideo("webcam.avi", clip(codec="mjpeg", pixel_format="yuvj420p")),
    OddVideo("camcorder.dv", clip(codec="dvvideo", size_wh=(720, 576), frames_per_second=25), size_wh=(768, 576),
             remarks=(quality.NON_SQUARE, quality.INTERLACED), last_seconds=(NUM_FRAMES - 1) / 25),
    OddVideo("phone.mov", clip(codec="libx265", pixel_format="yuv420p10le", color=(9, 1), transfer=HLG,
                               rotation_degrees=180, options=_X265,
                               paint=lambda index: np.ascontiguousarray(numbered(index)[::-1, ::-1])),
             remarks=(quality.HDR,)),
    OddVideo("hdr10.mp4", clip(codec="libx265", pixel_format="yuv420p10le", color=(9, 1), transfer=PQ, options=_X265),
             remarks=(quality.HDR,)),
    # ---- pictures
    OddVideo("anamorphic.mp4", clip(size_wh=(90, 72), pixel_aspect=Fraction(64, 45)), size_wh=(128, 72),
             remarks=(quality.NON_SQUARE,)),
    OddVideo("anamorphic.mkv", clip(size_wh=(90, 72), pixel_aspect=Fraction(64, 45)), size_wh=(128, 72),
             remarks=(quality.NON_SQUARE,)),
    OddVideo("anamorphic.ts", clip(size_wh=(90, 72), pixel_aspect=Fraction(64, 45)), size_wh=(128, 72),
             remarks=(quality.NON_SQUARE,)),
    OddVideo("narrow.avi", clip(size_wh=(96, 48), pixel_aspect=Fraction(1, 2)), size_wh=(48, 48),
             remarks=(quality.NON_SQUARE,)),
    OddVideo("nearly_square.mp4", clip(pixel_aspect=Fraction(1035, 1036))),
    OddVideo("nonsense_aspect.mkv", clip(pixel_aspect=Fraction(1, 8)), remarks=(quality.NON_SQUARE,)),
    OddVideo("interlaced.mpg", interlaced("mpeg2video"), size_wh=(128, 96), remarks=(quality.INTERLACED,)),
    OddVideo("interlaced.ts", interlaced("libx264"), size_wh=(128, 96), remarks=(quality.INTERLACED,)),
    OddVideo("bottom_first.mkv", interlaced("libx264", top_first=False), size_wh=(128, 96),
             remarks=(quality.INTERLACED,)),
    OddVideo("combed.mp4", interlaced("libx264", flagged=False), size_wh=(128, 96), remarks=(quality.COMBED,)),
    OddVideo("dark.mp4", clip(paint=dark), numbers=(0,) * NUM_FRAMES, remarks=(quality.DARK,)),
    # ---- time
    OddVideo("appended.ts", appended(clip(), clip()), numbers=(*range(NUM_FRAMES), *range(NUM_FRAMES)),
             remarks=(quality.CLOCK_JUMPS,), last_seconds=(2 * NUM_FRAMES - 1) / 30),
    OddVideo("wild.ts", wild_stamp, remarks=(quality.CLOCK_JUMPS,)),
    OddVideo("changing.ts", broadcast_that_changes, numbers=(*range(NUM_FRAMES), *range(NUM_FRAMES)), size_wh=(96, 72),
             remarks=(quality.CLOCK_JUMPS, quality.SIZE_CHANGES, quality.NON_SQUARE), last_seconds=None),
    OddVideo("larger.ts", appended(clip(), clip(size_wh=(160, 90))), numbers=(*range(NUM_FRAMES), *range(NUM_FRAMES)),
             remarks=(quality.CLOCK_JUMPS, quality.SIZE_CHANGES), last_seconds=None),
    # ---- torn
    *(
        OddVideo(name, cut(clip(num_frames=_LONG, paint=textured, **settings), 0.6), numbers=(), last_seconds=None,
                 remarks=(quality.CUT_SHORT,) if name != "cut.asf" else (quality.CUT_SHORT, quality.DAMAGED))
        for name, settings in (
            ("cut.mp4", {"container_options": _FASTSTART}),
            ("cut_with_sound.mp4", {"container_options": _FASTSTART, "with_audio": True}),
            ("cut.mkv", {}),
            ("cut_with_sound.mkv", {"with_audio": True}),
            ("cut.webm", {"codec": "libvpx"}),
            ("cut.avi", {"codec": "mpeg4"}),
            ("cut.flv", {"codec": "flv"}),
            ("cut.mxf", {"codec": "mpeg2video"}),
            ("cut_fragments.mp4", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
            ("cut_raw.avi", {"codec": "rawvideo", "pixel_format": "bgr24"}),
            ("cut.asf", {"codec": "wmv2"}),
        )
    ),
)  # fmt: skip
