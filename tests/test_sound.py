"""Annotated videos keep their sound, in time: each flash of the picture and its click stay together."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import write_clip

from choreai.arrays import Float64Array
from choreai.errors import StorageError
from choreai.motion.sequence import KeypointSequence
from choreai.style.explain.annotated_video import Annotated, annotate
from choreai.style.tagging import TaggedVideo
from choreai.tables import schemas
from choreai.tables.keypoints import sequence_of
from choreai.tables.posed_video import PosedVideo
from choreai.video.decode import VideoReader
from choreai.video.encode import VideoWriter
from choreai.video.sound import Sound, add_sound

FLASHES = (0.6, 1.4, 2.36)
SECONDS, FRAMES_PER_SECOND, RATE = 3.0, 25, 44_100
MAX_LAG_SECONDS = 0.003
CLIP = Path(__file__).parents[2] / "shared" / "data" / "videos" / "tjysdsg_demo.mp4"


def clicks(*, seconds: float = SECONDS) -> Float64Array:
    """Quiet noise at `RATE` with a click of two milliseconds at each flash."""
    rng = np.random.default_rng(7)
    wave = rng.normal(scale=0.01, size=round(seconds * RATE))
    for flash in FLASHES:
        wave[round(flash * RATE) :][: RATE // 500] = 0.8 * rng.choice([-1, 1], RATE // 500)
    return wave


def write_clapper(path: Path, codec: str, *, picture_delay: float = 0.0, gap: tuple[float, float] = (0, 0)) -> Path:
    """Write a dark video that is white for one frame at each of `FLASHES`, with `clicks` at the same moments.

    The pictures begin `picture_delay` seconds after the sound; the sound's packets within `gap` are left out.
    """
    with av.open(str(path), "w", format={".mkv": "matroska", ".ts": "mpegts"}.get(path.suffix)) as container:
        video = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 90_000)
        sound = container.add_stream(codec, rate=48_000 if codec == "libopus" else RATE)
        assert isinstance(sound, av.AudioStream)
        for index in range(round(SECONDS * FRAMES_PER_SECOND)):
            seconds = index / FRAMES_PER_SECOND
            if seconds >= picture_delay:
                is_flash = min(abs(seconds - flash) for flash in FLASHES) < 1e-6
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 255 if is_flash else 20, np.uint8), "rgb24")
                frame.pts, frame.time_base = round(seconds * 90_000), Fraction(1, 90_000)
                container.mux(video.encode(frame))
        container.mux(video.encode(None))
        wave = av.AudioFrame.from_ndarray(clicks()[None].astype(np.float32), "fltp", "mono")
        wave.sample_rate, wave.pts = RATE, 0
        packets = [*sound.encode(wave), *sound.encode(None)]
        container.mux([p for p in packets if p.pts is None or not gap[0] <= float(p.pts * p.time_base) < gap[1]])
    return path


def annotated(path: Path, *, mute: bool = False) -> Annotated:
    nobody: KeypointSequence = sequence_of(schemas.KEYPOINTS.empty_table())
    video = PosedVideo(path.stem, str(path), nobody)
    return annotate(video, TaggedVideo((), None, "no tag"), folder=path.parent / "drawn", mute=mute)


def heard(path: Path, *, rate: int = RATE) -> Float64Array:
    """Return what a player plays, one channel at `rate` from time 0 on."""
    wave = np.zeros(round(rate * 60))
    stop = 0
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    with av.open(str(path)) as container:
        for frame in container.decode(container.streams.audio[0]):
            for piece in resampler.resample(frame):
                assert piece.pts is not None
                assert piece.time_base is not None
                samples = piece.to_ndarray().ravel()
                at = round(float(piece.pts * piece.time_base) * rate)
                samples, at = samples[max(0, -at) :], max(0, at)
                wave[at : at + len(samples)] = samples
                stop = at + len(samples)
    return wave[:stop]


def flash_seconds(path: Path) -> list[float]:
    with path.open("rb") as file, VideoReader(file, uri=str(path)) as reader:
        return [frame.pts_seconds for frame in reader.frames() if frame.image[24:].mean() > 180]


def lag_seconds(one: Float64Array, other: Float64Array, *, rate: int = RATE) -> float:
    """Return by how much `other` comes later than `one`, where their cross-correlation is greatest."""
    num = 1 << (len(one) + len(other)).bit_length()
    product = np.fft.irfft(np.fft.rfft(other, num) * np.conj(np.fft.rfft(one, num)))
    best = int(np.argmax(product))
    return (best - num if best > num // 2 else best) / rate


@pytest.mark.parametrize(
    ("name", "codec", "picture_delay"),
    [
        ("a.mp4", "aac", 0.0), ("a.mp4", "aac", 0.4), ("a.mkv", "aac", 0.4), ("a.ts", "aac", 0.4),
        ("a.mp4", "libmp3lame", 0.4), ("a.mkv", "libopus", 0.4), ("a.mkv", "flac", 0.4), ("a.avi", "pcm_s16le", 0.0),
    ],
)  # fmt: skip
def test_each_flash_and_its_click_stay_together(tmp_path: Path, name: str, codec: str, picture_delay: float) -> None:
    drawn = annotated(write_clapper(tmp_path / name, codec, picture_delay=picture_delay))
    assert drawn.sound_problem == ""
    flashes = flash_seconds(drawn.video)
    shift = FLASHES[0] - flashes[0]
    assert flashes == pytest.approx([flash - shift for flash in FLASHES], abs=2e-3)
    assert shift == pytest.approx(picture_delay, abs=2e-3)
    original = clicks()[round(shift * RATE) :]
    played = heard(drawn.video)
    assert abs(lag_seconds(original, played)) < MAX_LAG_SECONDS
    for flash in flashes:
        around = slice(round((flash - 0.1) * RATE), round((flash + 0.1) * RATE))
        loudest = int(np.argmax(np.convolve(np.abs(played[around]), np.ones(RATE // 500), "same")))
        assert loudest / RATE - 0.1 == pytest.approx(0.001, abs=MAX_LAG_SECONDS)


def test_sound_that_every_player_reads_is_copied_bit_by_bit(tmp_path: Path) -> None:
    source = write_clapper(tmp_path / "a.mp4", "aac")
    drawn = annotated(source)
    with av.open(str(source)) as before, av.open(str(drawn.video)) as after:
        packets = [[bytes(p) for p in c.demux(c.streams.audio[0]) if p.size] for c in (before, after)]
        assert packets[1] == packets[0][: len(packets[1])]
        assert len(packets[0]) - len(packets[1]) <= 1
        assert after.metadata["comment"].startswith("choreai ")


def test_a_hole_in_the_sound_does_not_move_what_comes_after(tmp_path: Path) -> None:
    for name, codec in (("a.mkv", "flac"), ("b.mkv", "aac")):
        drawn = annotated(write_clapper(tmp_path / name, codec, gap=(0.8, 1.2)))
        assert abs(lag_seconds(clicks(), heard(drawn.video))) < MAX_LAG_SECONDS


def test_pictures_without_sound_and_muted_ones_have_no_sound_and_no_problem(tmp_path: Path) -> None:
    silent, loud = write_clip(tmp_path / "silent.mp4"), write_clapper(tmp_path / "loud.mp4", "aac")
    for drawn in (annotated(silent), annotated(loud, mute=True)):
        assert drawn.sound_problem == ""
        with av.open(str(drawn.video)) as container:
            assert not container.streams.audio


def test_sound_that_cannot_be_read_is_told_and_costs_no_picture(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "a.mkv", with_audio=True)
    odd = tmp_path / "odd.mkv"
    odd.write_bytes(source.read_bytes().replace(b"A_AAC", b"A_ZZZ"))
    drawn = annotated(odd)
    assert drawn.sound_problem == "its codec is not supported"
    with drawn.video.open("rb") as file, VideoReader(file, uri="a") as reader:
        assert len(list(reader.frames())) == 12


def test_sound_after_the_last_picture_is_none(tmp_path: Path) -> None:
    pictures = write_clip(tmp_path / "a.mp4", num_frames=30)
    late = write_clapper(tmp_path / "late.mkv", "flac", gap=(0.0, 2.0))
    before = pictures.read_bytes()
    with late.open("rb") as file:
        assert add_sound(pictures, Sound(file, "late", 0.0)) == "there is none while the pictures last"
    assert pictures.read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {"a.mp4", "late.mkv"}


def test_a_folder_that_is_gone_is_a_storage_error(tmp_path: Path) -> None:
    loud = write_clapper(tmp_path / "loud.mp4", "aac")
    with loud.open("rb") as file, pytest.raises(StorageError, match="the sound cannot be written"):
        add_sound(tmp_path / "gone" / "a.mp4", Sound(file, "loud", 0.0))


@pytest.mark.shared
@pytest.mark.skipif(not CLIP.exists(), reason="../shared/data/videos is not there")
def test_a_real_recording_keeps_its_sound_in_time(tmp_path: Path) -> None:
    """Of this one the pictures begin 67 milliseconds after the sound."""
    with CLIP.open("rb") as file, VideoReader(file, uri="clip") as reader, CLIP.open("rb") as sound_file:
        with VideoWriter(tmp_path / "a.mp4") as writer:
            for frame in reader.frames():
                if frame.pts_seconds > 5:
                    break
                writer.write(np.ascontiguousarray(frame.image[::4, ::4]), frame.pts_seconds)
            writer.sound = Sound(sound_file, "clip", reader.start_seconds)
        start = reader.start_seconds
    assert start == pytest.approx(0.067, abs=1e-3)
    assert writer.sound_problem == ""
    original, played = heard(CLIP)[round(start * RATE) :][: 5 * RATE], heard(tmp_path / "a.mp4")
    assert abs(lag_seconds(original, played)) < MAX_LAG_SECONDS
    assert len(played) == pytest.approx(5 * RATE, rel=0.02)
