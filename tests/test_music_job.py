"""The music job on real files of many kinds: every sound gets a status, and none a tempo from nothing."""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from clips import write_clip
from songs import drums, sine, sound_file

from choreai.arrays import FloatArray
from choreai.catalog.catalog import Video
from choreai.catalog.shards import PoseShard
from choreai.cli.main import main
from choreai.cluster.music_worker import MusicWorker
from choreai.errors import ConfigError
from choreai.music.spectrum import SAMPLES_PER_SECOND
from choreai.pipeline.songs import songs_among
from choreai.tables.music import MUSIC, STATUSES, read_music
from choreai.video.audio import AudioReader

ID = "0123456789abcdef"


def heard(folder: Path, files: dict[str, bytes]) -> dict[str, dict[str, Any]]:
    """The rows of files that a worker listens to, by name."""
    for name, data in files.items():
        (folder / name).write_bytes(data)
    videos = tuple(Video(name, str(folder / name), f"content-{name}") for name in files)
    worker = MusicWorker(str(folder / "out"), music_fingerprint=ID, run_id="run")
    worker.setup()
    shard = PoseShard.from_videos(videos, (1,) * len(videos), pose_fingerprint=ID)
    report = worker.process(shard)
    assert report.written
    assert sum(report.statuses.values()) == len(files)
    (part,) = (folder / "out" / "music" / ID).iterdir()
    table = pq.read_table(part)
    assert table.schema.equals(MUSIC)
    return {str(row["video_id"]): row for row in table.to_pylist()}


def read_samples(path: Path) -> FloatArray:
    with path.open("rb") as file, AudioReader(file, uri="a", samples_per_second=SAMPLES_PER_SECOND) as reader:
        return np.concatenate(list(reader.samples()))


def test_every_rate_and_any_number_of_channels_is_heard_as_one_sound(tmp_path: Path) -> None:
    song = drums(120.0, seconds=10.0)
    kinds: dict[str, dict[str, Any]] = {
        "8k.mkv": {"rate": 8000},
        "44k.mkv": {"rate": 44_100, "codec": "flac", "layout": "stereo"},
        "96k.mkv": {"rate": 96_000},
        "surround.mkv": {"rate": 48_000, "codec": "aac", "layout": "5.1"},
        "song.mp3": {"rate": 44_100, "codec": "mp3", "container": "mp3"},
    }
    rows = heard(tmp_path, {name: sound_file(song.samples, **kind) for name, kind in kinds.items()})
    for name, row in rows.items():
        assert row["status"] == "ok", name
        assert row["bpm"] == pytest.approx(120, rel=0.02), name
        assert row["seconds"] == pytest.approx(10, abs=0.1)
        assert row["sample_rate"] == kinds[name]["rate"]
    assert rows["surround.mkv"]["num_channels"] == 6


def test_what_cannot_be_heard_has_a_status_and_costs_no_other(tmp_path: Path) -> None:
    song = drums(120.0, seconds=10.0).samples
    silence = np.zeros(6 * SAMPLES_PER_SECOND, np.float32)
    whole = sound_file(song, codec="aac", rate=44_100)
    rng = random.Random(0)
    wrong = bytearray(whole)
    for place in rng.sample(range(2000, len(wrong)), len(wrong) // 50):
        wrong[place] = rng.randrange(256)
    write_clip(tmp_path / "mute.mp4")
    rows = heard(
        tmp_path,
        {
            "good.mkv": whole,
            "mute.mp4": (tmp_path / "mute.mp4").read_bytes(),
            "silent.mkv": sound_file(silence),
            "second.mkv": sound_file(sine(seconds=1)),
            "wrong.mkv": bytes(wrong),
            "cut.mkv": whole[: len(whole) // 2],
            "text.mkv": b"this is no video\n" * 10,
            "empty.mkv": b"",
        },
    )
    status = {name: str(row["status"]) for name, row in rows.items()}
    assert set(status.values()) <= set(STATUSES)
    assert status["good.mkv"] == "ok"
    assert status["mute.mp4"] == "no_audio"
    assert status["silent.mkv"] == "silent"
    assert status["second.mkv"] == "too_short"
    assert status["text.mkv"] == status["empty.mkv"] == "quarantined"
    assert rows["text.mkv"]["reason"]
    assert rows["cut.mkv"]["seconds"] == pytest.approx(5, abs=1.5)
    assert all(row["bpm"] is None for name, row in rows.items() if status[name] != "ok")


def test_samples_that_are_no_numbers_are_silence(tmp_path: Path) -> None:
    samples = drums(120.0, seconds=10.0).samples.copy()
    samples[50_000:60_000] = np.nan
    samples[70_000] = np.inf
    rows = heard(tmp_path, {"nan.mkv": sound_file(samples, codec="pcm_f32le")})
    assert rows["nan.mkv"]["status"] == "ok"
    assert rows["nan.mkv"]["peak_dbfs"] <= 20
    assert np.isfinite(read_samples(tmp_path / "nan.mkv")).all()


def test_a_sound_is_at_the_same_time_after_a_gap(tmp_path: Path) -> None:
    click = np.zeros(4 * SAMPLES_PER_SECOND, np.float32)
    click[3 * SAMPLES_PER_SECOND :] = 0.5
    (tmp_path / "a.mkv").write_bytes(sound_file(click))
    samples = read_samples(tmp_path / "a.mkv")
    assert np.argmax(samples > 0.2) / SAMPLES_PER_SECOND == pytest.approx(3.0, abs=0.01)


def test_the_command_listens_once_and_names_songs_by_a_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    videos, library = tmp_path / "videos", tmp_path / "songs"
    videos.mkdir()
    library.mkdir()
    song, other = drums(120.0, seconds=10.0).samples, drums(97.0, seconds=10.0, seed=3).samples
    (videos / "one.mkv").write_bytes(sound_file(song))
    (videos / "two.mkv").write_bytes(sound_file(song, codec="aac", rate=48_000))
    (videos / "three.mkv").write_bytes(sound_file(other))
    (library / "the hit.flac").write_bytes(sound_file(song, codec="flac", container="flac"))
    names = [str(videos / f"{name}.mkv") for name in ("one", "two", "three")]
    words = ["music", *names, "--output", str(tmp_path / "out"), "--json", "--quiet", "--library", str(library)]
    assert main([*words, "--csv", str(tmp_path / "songs.csv")]) == 0
    told = json.loads(capsys.readouterr().out)
    named = {video["video_id"]: video["song"] for video in told["videos"]}
    assert named["one.mkv"]["name"] == named["two.mkv"]["name"] == "the hit"
    assert named["three.mkv"] is None
    assert told["shared_songs"] == [["one.mkv", "two.mkv"]]
    assert told["this_run"] == {"ok": 3}
    assert (tmp_path / "songs.csv").read_text().splitlines()[1].startswith("one.mkv,ok,1")
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["this_run"] == {}
    assert len(read_music(str(tmp_path / "out"), told["fingerprint"])) == 3
    assert songs_among(str(tmp_path / "out"), list(named)) == [("one.mkv", "two.mkv")]
    with pytest.raises(ConfigError, match="keep_songs_together"):
        songs_among(str(tmp_path), list(named))


def test_every_column_says_what_it_holds() -> None:
    assert all(field.metadata[b"description"] for field in MUSIC)


def test_a_catalog_has_to_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["music", "--output", "out"]) == 2
    assert "name what to listen to" in capsys.readouterr().err
