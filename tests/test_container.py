"""Damaged and hostile files: what is decoded all the same, and what a refusal says."""

import io
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from clips import number_of, numbered, reason, write_audio, write_clip

from choreai.errors import MediaError, StorageError
from choreai.video.decode import VideoReader

# Damage


def test_corrupt_packets_are_counted_and_the_frames_around_them_yielded(tmp_path: Path) -> None:
    data = bytearray(
        write_clip(tmp_path / "a.mp4", num_frames=60, size_wh=(160, 120), options={"g": "10"}).read_bytes()
    )
    start = data.index(b"mdat") + 4
    middle = start + (len(data) - start) * 4 // 10
    data[middle : middle + 800] = np.random.default_rng(0).bytes(800)
    with VideoReader(io.BytesIO(bytes(data)), uri="a") as reader:
        frames = list(reader.frames())
        assert reader.num_decode_errors > 0
        assert reader.num_frames_decoded == len(frames)
    assert 30 < len(frames) < 60
    assert number_of(frames[0].image) == 0
    assert number_of(frames[-1].image) == 59
    assert frames[-1].pts_seconds == pytest.approx(59 / 30, abs=1e-3)


def test_frames_decoded_only_in_part_are_yielded_and_counted(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.avi", codec="mpeg4", num_frames=60, size_wh=(160, 120))
    data = bytearray(path.read_bytes())
    middle = data.index(b"movi") + (data.index(b"idx1") - data.index(b"movi")) // 2
    data[middle : middle + 60] = bytes(60)
    with VideoReader(io.BytesIO(bytes(data)), uri="a") as reader:
        assert len(list(reader.frames())) >= 58
        assert reader.num_decode_errors > 0


@pytest.mark.parametrize(("name", "options"), [("a.mkv", {}), ("a.mp4", {"movflags": "faststart"})])
def test_a_truncated_file_yields_the_frames_it_has(tmp_path: Path, name, options) -> None:
    path = write_clip(tmp_path / name, num_frames=60, size_wh=(160, 120), container_options=options)
    data = path.read_bytes()
    with VideoReader(io.BytesIO(data[: len(data) * 6 // 10]), uri="a") as reader:
        frames = list(reader.frames())
    assert 10 < len(frames) < 60
    # The last may be half a picture.
    assert [number_of(f.image) for f in frames[:-1]] == list(range(len(frames) - 1))


def test_a_file_whose_every_packet_is_garbage_is_a_media_error(tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "a.mp4", num_frames=30).read_bytes())
    start, stop = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:stop] = np.random.default_rng(1).bytes(stop - start)
    assert "no frame could be decoded" in reason(bytes(data))


def test_decoding_damage_prints_nothing(tmp_path: Path) -> None:
    data = bytearray(write_clip(tmp_path / "a.mp4", num_frames=30, size_wh=(160, 120)).read_bytes())
    data[len(data) // 3 : len(data) // 2] = np.random.default_rng(2).bytes(len(data) // 2 - len(data) // 3)
    (tmp_path / "bad.mp4").write_bytes(data)
    code = (
        "import sys; from choreai.video.decode import VideoReader\n"
        "r = VideoReader(open(sys.argv[1], 'rb'), uri='a'); list(r.frames()); assert r.num_decode_errors"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "bad.mp4")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


class FailingFile(io.BytesIO):
    """A file whose reads fail once `num_bytes` have been read, as a store's do when the line is cut."""

    def __init__(self, data: bytes, *, num_bytes: int) -> None:
        super().__init__(data)
        self._left = num_bytes

    def read(self, size: int | None = -1, /) -> bytes:
        self._left -= size or 0
        if self._left < 0:
            raise StorageError("s3://bucket/a.mp4", "connection lost")
        return super().read(size)


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.ts"])
def test_a_read_error_comes_out_as_the_storage_error_it_was(
    tmp_path: Path, name, share, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(5).integers(0, 255, (240, 320, 3), np.uint8)
    path = write_clip(
        tmp_path / name,
        size_wh=(320, 240),
        num_frames=40,
        paint=lambda i: np.roll(noise, 9 * i, axis=1),
        options={"preset": "ultrafast", "qp": "8"},
    )
    data = path.read_bytes()
    assert len(data) > 1_500_000
    file = FailingFile(data, num_bytes=int(len(data) * share))
    with pytest.raises(StorageError, match="connection lost"):
        with VideoReader(file, uri="s3://bucket/a.mp4") as reader:
            list(reader.sample(frames_per_second=8))
    assert capfd.readouterr().err == ""


# Files that are no videos


def test_an_empty_file_is_named_so() -> None:
    assert reason(b"") == "the file is empty"


def test_a_header_cut_off_is_named_so(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "a.mp4").read_bytes()
    assert "moov" in reason(data[: data.index(b"moov") - 8])


@pytest.mark.parametrize("text", ["<!DOCTYPE html><html>Not found</html>", "ça n'existe pas\n" * 100])
def test_text_is_named_so(text) -> None:
    assert "text" in reason(text.encode())


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".bmp", ".tiff"])
def test_a_still_image_is_named_so(suffix) -> None:
    assert reason(cv2.imencode(suffix, numbered(1))[1].tobytes()) == "the file is a still image, not a video"


@pytest.mark.parametrize(
    ("name", "codec", "with_cover"),
    [
        ("a.mp4", "aac", False),
        ("a.m4a", "aac", True),
        ("a.mp3", "libmp3lame", False),
        ("a.mp3", "libmp3lame", True),
        ("a.wav", "pcm_s16le", False),
        ("a.flac", "flac", False),
    ],
)
def test_sound_alone_is_named_so_cover_or_not(tmp_path: Path, name, codec, with_cover) -> None:
    path = write_audio(tmp_path / name, codec=codec, with_cover=with_cover)
    if with_cover:
        with av.open(str(path)) as container:
            assert len(container.streams.video) == 1, "the test file has no cover"
    assert "no video stream" in reason(path.read_bytes())


def test_random_bytes_are_no_container() -> None:
    assert "not a supported video container" in reason(np.random.default_rng(0).bytes(5000))


def test_an_unknown_codec_is_named_so(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "a.mp4").read_bytes().replace(b"avc1", b"zzz1").replace(b"avcC", b"zzzC")
    assert "codec is not supported" in reason(data)


def test_a_picture_without_size_is_named_so(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "a.avi", codec="rawvideo", pixel_format="bgr24").read_bytes()
    assert "no usable size (0x0)" in reason(with_avi_size(data, width=0, height=0))


@pytest.mark.parametrize(("width", "height"), [(20_000, 16), (16, 20_000), (12_000, 12_000), (16_000, 16_000)])
def test_a_picture_too_large_to_be_honest_is_refused(tmp_path: Path, width, height) -> None:
    data = write_clip(tmp_path / "a.avi", codec="rawvideo", pixel_format="bgr24").read_bytes()
    assert "megapixels" in reason(with_avi_size(data, width=width, height=height))


def test_a_later_picture_too_large_to_be_honest_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        for index, size_wh in enumerate([(64, 48), (64, 48), (16_400, 16)]):
            packet = av.Packet(cv2.imencode(".jpg", numbered(index, size_wh=size_wh))[1].tobytes())
            packet.stream, packet.time_base, packet.pts = stream, Fraction(1, 10), index
            packet.dts, packet.is_keyframe = index, True
            container.mux(packet)
    with path.open("rb") as file, VideoReader(file, uri="a") as reader:
        frames = reader.frames()
        assert [number_of(next(frames).image) for _ in range(2)] == [0, 1]
        with pytest.raises(MediaError, match="16400x16"):
            next(frames)


def test_a_container_that_is_not_on_the_list_is_refused(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.nut")
    with av.open(str(path)) as unguarded:
        assert number_of(np.asarray(next(unguarded.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)) == 0
    assert "not a supported video container" in reason(path.read_bytes())


# Files that name other files


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.ffconcat", "ffconcat version 1.0\n{}\nfile secret.ts\n"),
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n{}\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n"),
    ],
)
@pytest.mark.parametrize("note", ["# seen as text", "# not seen as text: \x01"])
def test_a_playlist_never_opens_what_it_names(
    tmp_path: Path, name, text, note, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_clip(tmp_path / "secret.ts")
    monkeypatch.chdir(tmp_path)
    playlist = tmp_path / name
    playlist.write_text(text.format(note))
    with playlist.open("rb") as file, av.open(file) as unguarded:
        assert number_of(np.asarray(next(unguarded.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)) == 0
    with playlist.open("rb") as file, pytest.raises(MediaError):
        VideoReader(file, uri="clip.mp4")


def with_avi_size(data: bytes, *, width: int, height: int) -> bytes:
    """The AVI with another size in its stream's BITMAPINFOHEADER."""
    at = data.index(b"strf") + 8
    return data[: at + 4] + struct.pack("<ii", width, height) + data[at + 12 :]
