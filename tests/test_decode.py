"""The decoder: frames, times and pictures of real files of many kinds."""

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import psutil
import pytest
from clips import all_frames, corners, number_of, numbered, sampled, write_clip

from choreai.video.decode import VideoReader
from choreai.video.quality import InputQuality

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


# Time


def test_all_frames_come_once_in_presentation_order_with_index_and_time(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", num_frames=20, options={"bf": "3"})
    frames = all_frames(path)
    assert [number_of(f.image) for f in frames] == list(range(20))
    assert [f.frame_index for f in frames] == list(range(20))
    assert [f.pts_seconds for f in frames] == pytest.approx([i / 30 for i in range(20)], abs=1e-4)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov", "ts", "flv"])
def test_sampling_takes_the_first_frame_at_or_after_each_grid_point(tmp_path: Path, suffix) -> None:
    path = write_clip(tmp_path / f"a.{suffix}", num_frames=60, options={"bf": "2"})
    frames = sampled(path, frames_per_second=8)
    expected = [-(-k * 30 // 8) for k in range(16)]
    assert [f.frame_index for f in frames] == expected
    assert [number_of(f.image) for f in frames] == expected


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sampling_at_the_video_s_own_rate_takes_every_frame(tmp_path: Path, suffix) -> None:
    path = write_clip(tmp_path / f"a.{suffix}", num_frames=60)
    assert [f.frame_index for f in sampled(path, frames_per_second=30)] == list(range(60))


def test_a_video_slower_than_the_sampling_rate_yields_every_frame_once(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", num_frames=10, frames_per_second=4)
    assert [f.frame_index for f in sampled(path, frames_per_second=8)] == list(range(10))


def test_a_frame_held_for_three_seconds_is_not_repeated(tmp_path: Path) -> None:
    times = [0, 0.1, 0.2, 3.2, 3.3, 3.4, 3.5]
    path = write_clip(tmp_path / "a.mp4", num_frames=7, pts_seconds=times)
    frames = sampled(path, frames_per_second=8)
    # After the gap the grid is at 3.25, 3.375, 3.5.
    assert [f.frame_index for f in frames] == [0, 2, 3, 4, 5, 6]
    assert [f.pts_seconds for f in frames] == pytest.approx([0, 0.2, 3.2, 3.3, 3.4, 3.5], abs=1e-4)


@pytest.mark.parametrize("rate", [2.5, 7.3, 12, 24])
def test_the_average_rate_never_exceeds_the_one_asked_for(tmp_path: Path, rate) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.005, 0.12, 80)).tolist()
    frames = sampled(write_clip(tmp_path / "a.mkv", num_frames=80, pts_seconds=times), frames_per_second=rate)
    assert len(frames) <= int((times[-1] - times[0]) * rate + 1e-2) + 1
    assert len({f.frame_index for f in frames}) == len(frames)


def test_a_closed_reader_may_be_closed_again_and_leaves_the_file_open(tmp_path: Path) -> None:
    with write_clip(tmp_path / "a.mp4").open("rb") as file:
        reader = VideoReader(file, uri="a")
        reader.close()
        reader.close()
        assert not file.closed


def test_a_grid_point_met_half_a_tick_early_is_not_served_again(tmp_path: Path) -> None:
    # Grid points at 33.3 and 66.7 ms; Matroska counts whole milliseconds.
    path = write_clip(tmp_path / "a.mkv", num_frames=5, pts_seconds=[0, 0.033, 0.05, 0.067, 0.08])
    assert [f.frame_index for f in sampled(path, frames_per_second=30)] == [0, 1, 3]


def test_time_counts_from_the_first_frame(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", num_frames=5, pts_seconds=[7 + i / 10 for i in range(5)])
    assert [f.pts_seconds for f in all_frames(path)] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4], abs=2e-3)


def test_avi_without_presentation_times_keeps_order_and_rate(tmp_path: Path) -> None:
    # FFmpeg's generated times for H.264 with B-frames in AVI go backwards; ours must not come from there.
    path = write_clip(tmp_path / "a.avi", num_frames=30, options={"bf": "3"})
    frames = all_frames(path)
    assert [number_of(f.image) for f in frames] == list(range(30))
    assert [f.pts_seconds for f in frames] == pytest.approx([i / 30 for i in range(30)], abs=1e-4)


def write_packets(path: Path, stamps: list[int], *, order: list[int] | None = None) -> Path:
    """An MJPEG video of 25 frames a second: a packet for each pts (in frames); `order` are their dts."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index, (pts, dts) in enumerate(zip(stamps, order or range(len(stamps)), strict=True)):
            packet = av.Packet(cv2.imencode(".jpg", numbered(index)[..., ::-1])[1].tobytes())
            packet.stream, packet.time_base, packet.pts = stream, Fraction(1, 25), pts
            packet.dts, packet.is_keyframe = dts, True
            container.mux(packet)
    return path


def times_and_quality(path: Path) -> tuple[list[float], InputQuality]:
    with path.open("rb") as file, VideoReader(file, uri="a") as reader:
        times = [frame.pts_seconds for frame in reader.frames()]
        return times, reader.quality


def test_frames_out_of_order_are_skipped_and_counted(tmp_path: Path) -> None:
    path = write_packets(tmp_path / "a.mkv", [0, 1, 2, 6, 4, 5, 7, 8, 9])
    times, quality = times_and_quality(path)
    assert times == pytest.approx([n / 25 for n in (0, 1, 2, 6, 7, 8, 9)], abs=1e-3)
    assert (quality.num_frames_skipped, quality.num_clock_jumps) == (2, 0)
    assert quality.remarks == ("frames skipped",)


def test_a_recording_appended_to_another_continues_the_clock(tmp_path: Path) -> None:
    one = write_clip(tmp_path / "a.ts", num_frames=60).read_bytes()
    both = tmp_path / "both.ts"
    both.write_bytes(one + one)
    times, quality = times_and_quality(both)
    assert len(times) == 120
    assert times[-1] == pytest.approx(119 / 30, abs=0.05)
    assert quality.num_clock_jumps == 1
    assert quality.remarks == ("clock jumps",)


@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_recordings_of_less_than_a_second_are_played_one_after_the_other(tmp_path: Path, suffix: str) -> None:
    codec = "mpeg2video" if suffix == "mpg" else "libx264"
    one = write_clip(tmp_path / f"a.{suffix}", num_frames=20, codec=codec).read_bytes()
    both = tmp_path / f"both.{suffix}"
    both.write_bytes(one + one + one)
    frames = all_frames(both)
    assert len(frames) >= 57  # where one stream ends, FFmpeg may leave out its last picture
    assert frames[-1].pts_seconds == pytest.approx(len(frames) / 30, abs=0.1)


def test_recordings_that_overlap_are_played_one_after_the_other(tmp_path: Path) -> None:
    for name, start in (("first", 0.0), ("second", 0.7)):
        times = [start + i / 30 for i in range(30)]
        write_clip(tmp_path / f"{name}.ts", num_frames=30, pts_seconds=times, options={"bf": "0"})
    path = tmp_path / "both.ts"
    path.write_bytes((tmp_path / "first.ts").read_bytes() + (tmp_path / "second.ts").read_bytes())
    times, quality = times_and_quality(path)
    assert times == pytest.approx([i / 30 for i in range(60)], abs=1e-3)
    assert quality.num_clock_jumps == 1


def test_a_video_of_a_single_frame_yields_it(tmp_path: Path) -> None:
    assert [f.pts_seconds for f in sampled(write_clip(tmp_path / "a.mp4", num_frames=1), frames_per_second=8)] == [0]


def test_a_reader_is_read_once(tmp_path: Path) -> None:
    with write_clip(tmp_path / "a.mp4").open("rb") as file, VideoReader(file, uri="a") as reader:
        list(reader.frames())
        with pytest.raises(ValueError, match="read once"):
            reader.sample(frames_per_second=8)


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_sampling_rate_that_is_no_rate_is_refused(tmp_path: Path, rate) -> None:
    with write_clip(tmp_path / "a.mp4").open("rb") as file, VideoReader(file, uri="a") as reader:
        with pytest.raises(ValueError, match="frames_per_second"):
            reader.sample(frames_per_second=rate)


# Kinds of files


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mp4", "mpeg4", "yuv420p"),
        ("a.webm", "libvpx-vp9", "yuv420p"),
        ("a.ogg", "libvpx", "yuv420p"),
        ("a.mpg", "mpeg2video", "yuv420p"),
        ("a.wmv", "wmv2", "yuv420p"),
        ("a.gif", "gif", "rgb8"),
        ("a.mov", "prores_ks", "yuv422p10le"),
        ("a.mkv", "ffv1", "gray"),
        ("a.mkv", "ffv1", "gray10le"),
        ("a.mkv", "ffv1", "yuva420p"),
        ("a.mkv", "ffv1", "bgra"),
        ("a.avi", "rawvideo", "bgr24"),
        ("a.mkv", "libx264", "yuv420p10le"),
        ("a.mkv", "libx264rgb", "rgb24"),
    ],
)
def test_many_codecs_and_pixel_formats_decode(tmp_path: Path, name, codec, pixel_format) -> None:
    path = write_clip(tmp_path / name, codec=codec, pixel_format=pixel_format)
    frames = all_frames(path)
    assert [number_of(f.image) for f in frames] == list(range(12))
    assert all(f.image.flags.writeable and f.image.flags.c_contiguous for f in frames)


def test_drawing_on_a_frame_does_not_reach_later_ones(tmp_path: Path) -> None:
    # QuickTime animation decodes straight to RGB and keeps the last picture to build the next one on.
    path = write_clip(tmp_path / "a.mov", codec="qtrle", pixel_format="rgb24")
    numbers = []
    with path.open("rb") as file, VideoReader(file, uri="a") as reader:
        for frame in reader.frames():
            numbers.append(number_of(frame.image))
            frame.image[:] = 255
    assert numbers == list(range(12))


def test_interlaced_video_decodes(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.ts", size_wh=(64, 64), options={"x264-params": "tff=1", "flags": "+ildct+ilme"})
    assert [number_of(f.image) for f in all_frames(path)] == list(range(12))


@pytest.mark.parametrize("size_wh", [(63, 47), (2, 2), (1, 1), (65, 48)])
def test_odd_sizes_come_out_exactly(tmp_path: Path, size_wh) -> None:
    path = write_clip(tmp_path / "a.mkv", size_wh=size_wh, pixel_format="yuv444p", codec="ffv1")
    assert {f.image.shape for f in all_frames(path)} == {(size_wh[1], size_wh[0], 3)}


@pytest.mark.parametrize(
    ("turned", "hflip", "clockwise"),
    [
        (0, False, 0),
        (-90, False, 90),
        (180, False, 180),
        (90, False, 270),
        (0, True, 0),
        (-90, True, 90),
        (90, True, 270),
    ],
)
def test_rotation_and_mirroring_are_undone(tmp_path: Path, turned, hflip, clockwise) -> None:
    """The file holds the picture so stored that its display matrix makes `corners` of it."""
    upright = corners()
    before_flip = upright[:, ::-1] if hflip else upright
    stored = np.ascontiguousarray(np.rot90(before_flip, -turned // 90))
    path = write_clip(
        tmp_path / "a.mp4",
        size_wh=(stored.shape[1], stored.shape[0]),
        paint=lambda _: stored,
        rotation_degrees=turned,
        hflip=hflip,
        num_frames=2,
    )
    with path.open("rb") as file, VideoReader(file, uri="a") as reader:
        image = next(reader.frames()).image
        assert (reader.info.width, reader.info.height) == (96, 64)
        assert reader.info.rotation_degrees == clockwise
    assert image.shape == upright.shape
    assert np.abs(image[8::16, 8::16].astype(int) - upright[8::16, 8::16]).max() < 40


@pytest.mark.parametrize("color", [(1, 1), (1, 2), (6, 1), (6, 2), (9, 1)])
@pytest.mark.parametrize("size_wh", [(64, 48), (63, 47)])
def test_colours_come_back_under_every_matrix_and_range(tmp_path: Path, color, size_wh) -> None:
    wanted = np.array([200, 40, 70], np.uint8)
    painted = np.broadcast_to(wanted, (size_wh[1], size_wh[0], 3)).copy()
    path = write_clip(
        tmp_path / "a.mkv",
        size_wh=size_wh,
        paint=lambda _: painted,
        color=color,
        pixel_format="yuv444p" if size_wh[0] % 2 else "yuv420p",
        options={"qp": "0"},
        num_frames=2,
    )
    image = all_frames(path)[0].image
    assert np.abs(image.astype(int) - wanted).max() <= 4


def test_a_nonsense_colour_tag_does_not_lose_the_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mkv", options={"colorspace": "ycgco"})
    assert [number_of(f.image) for f in all_frames(path)] == list(range(12))


def test_a_resolution_switch_is_scaled_to_the_first_size(tmp_path: Path) -> None:
    small, large = tmp_path / "small.ts", tmp_path / "large.ts"
    write_clip(small, num_frames=30, size_wh=(64, 48), pts_seconds=[i / 30 for i in range(30)], options={"bf": "0"})
    write_clip(
        large,
        num_frames=30,
        size_wh=(128, 96),
        pts_seconds=[1 + i / 30 for i in range(30)],
        options={"bf": "0"},
    )
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    frames = all_frames(both)
    assert {f.image.shape for f in frames} == {(48, 64, 3)}
    assert [number_of(f.image) for f in frames] == [*range(30), *range(30)]


def test_the_info_tells_size_rate_duration_codec_and_sound(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", num_frames=45, frames_per_second=15, with_audio=True)
    with path.open("rb") as file, VideoReader(file, uri="a") as reader:
        info = reader.info
    assert (info.width, info.height, info.codec, info.has_audio) == (64, 48, "h264", True)
    assert info.frames_per_second == 15
    assert info.duration_seconds == pytest.approx(3)


def test_a_header_that_lies_about_frames_and_duration_changes_nothing(tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "a.avi", codec="mpeg4", num_frames=30).read_bytes())
    at = data.index(b"avih") + 8
    data[at + 16 : at + 20] = struct.pack("<I", 3)
    with VideoReader(io.BytesIO(bytes(data)), uri="a") as reader:
        assert len(list(reader.frames())) == 30


def test_metadata_that_is_no_utf8_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "dance-title"
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(3), "rgb24")))
        container.mux(stream.encode(None))
    data = path.read_bytes()
    assert data.count(b"dance-title") == 1
    path.write_bytes(data.replace(b"dance-title", b"\xff\xfe\xe9nce-\xc3\x28le"))
    assert [number_of(f.image) for f in all_frames(path)] == [3]


def test_the_decoder_gets_exactly_the_threads_asked_for_and_yields_the_same(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", num_frames=40, options={"bf": "2"})
    decoded = {}
    for num_threads, started in ((1, 0), (2, 2), (5, 5)):
        before = psutil.Process().num_threads()
        with path.open("rb") as file, VideoReader(file, uri="a", num_threads=num_threads) as reader:
            decoded[num_threads] = list(reader.frames())
            assert psutil.Process().num_threads() - before == started
        assert psutil.Process().num_threads() == before, "closing ends the decoder's threads"
    one, many = decoded[1], decoded[5]
    assert [f.pts_seconds for f in many] == [f.pts_seconds for f in one]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(many, one, strict=True))


# Real clips


@pytest.mark.shared
@pytest.mark.parametrize("folder", ["videos", "streetdance/clips"])
def test_real_clips_decode_without_errors(folder) -> None:
    paths = sorted((SHARED_DATA / folder).glob("*.mp4"))
    if not paths:
        pytest.skip(f"no clips in {SHARED_DATA / folder}")
    for path in paths[:8]:
        with path.open("rb") as file, VideoReader(file, uri=path.name) as reader:
            frames = [f.pts_seconds for f in reader.sample(frames_per_second=8)]
            assert reader.num_decode_errors == 0, path.name
            assert reader.num_frames_backwards == 0, path.name
            assert reader.info.duration_seconds is not None
            assert len(frames) == pytest.approx(reader.info.duration_seconds * 8, abs=2), path.name
