"""tag on single videos: answered in this process, with and without an output, as text and as JSON."""

import json
import re
import sys
from pathlib import Path

import pytest
from arms_tagging import ArmsTagWorker
from tag_rows import tag_row, write_tags
from tiny_poses import TinyWorker, write_clips
from weights_server import WeightsServer

from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.cli import tag as tag_command
from choreai.cli.answers import print_answers, print_counts, print_one
from choreai.cli.console import shorten
from choreai.cli.flags import tag_parser
from choreai.cli.main import main
from choreai.demo.dancers import write_clip
from choreai.pipeline.answers import Answer, clear_tempo, read_answers
from choreai.tables.schemas import UNKNOWN

LONG = "a-video-with-a-name-that-goes-on-and-on-and-on-and-ends-in-2019.mp4"
DOUBT = "score 0.41 below 0.51; several people, dancer uncertain"
SURE = Answer("dance.mp4", "/dance.mp4", "locking", "locking", 0.91, None, 1, 112.4, ("locks its arms", "is slow"),
              {"locking": 0.91, "popping": 0.06, "breaking": 0.03})  # fmt: skip
UNSURE = Answer(LONG, "/x.mp4", UNKNOWN, "popping", 0.41, DOUBT, 3, None, ("isolates",), {"popping": 0.41})
EMPTY = Answer("empty.mp4", "/empty.mp4", None, None, None, "cannot be used: no video stream", 0, None, (), {})


def tag(*words: str) -> int:
    return tag_command.run(tag_parser(None).parse(list(words)), pose_worker=TinyWorker, tag_worker=ArmsTagWorker)


@pytest.fixture
def clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two clips in the working folder; temporary outputs go below it too."""
    write_clips(tmp_path, [1, 2])
    (tmp_path / "0.mp4").rename(tmp_path / "a.mp4")
    (tmp_path / "1.mp4").rename(tmp_path / "b.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_videos_are_tagged_without_ray_and_without_an_output(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tag("a.mp4", "b.mp4", "--model", "m") == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if ".mp4" in line] == ["a.mp4", "b.mp4"]
    ray = sys.modules.get("ray")
    assert ray is None or not ray.is_initialized()
    (output,) = clips.glob("choreai-*")
    assert (output.stat().st_mode & 0o077, len(list(output.glob("tags/*/*.parquet")))) == (0, 1)


def test_an_output_is_kept_and_what_is_tagged_is_answered_again(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tag("a.mp4", "--model", "m", "--output", "out") == 0
    first = capsys.readouterr().out
    assert tag("a.mp4", "--model", "m", "--output", "out") == 0
    assert capsys.readouterr().out == first
    assert first.startswith("a.mp4: ")


def test_json_has_every_video_and_nothing_else_is_on_standard_output(
    clips: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (clips / "broken.mp4").write_bytes(b"no video")
    assert tag("a.mp4", "b.mp4", "broken.mp4", "--model", "m", "--output", "out", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert [video["video_id"] for video in found["videos"]] == ["a.mp4", "b.mp4", "broken.mp4"]
    assert found["videos"][2]["doubt"].startswith("cannot be used: ")
    assert found["this_run"]["poses"] == {"ok": 2, "quarantined": 1}


def test_an_address_is_downloaded_once_and_tagged(
    clips: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = WeightsServer(files={"/clips/dance.mp4": (clips / "a.mp4").read_bytes()})
    words = [f"{server.address}/clips/dance.mp4", "--allow-private-addresses", "--model", "m", "--output", "out"]
    try:
        assert [tag(*words), tag(*words)] == [0, 0]
    finally:
        server.stop()
    assert len(server.requests) == 1
    assert [path.name[:6] for path in (clips / "out" / "downloads").iterdir()] == ["dance-"]
    assert capsys.readouterr().out.startswith("dance-")


@pytest.mark.usefixtures("real_poses")
def test_without_a_model_what_needs_none_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = tmp_path / "dance.mp4"
    write_clip(clip, style="hiphop", seed=5, duration_seconds=2.0, frames_per_second=15)
    assert main(["tag", str(clip)]) == 2
    out = capsys.readouterr().out
    assert out.startswith("dance.mp4: 2.0 s, 1 shot, 1 person, ")
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["speed", "size", "posture", "levels", "stillness"]
    assert main(["tag", str(tmp_path)]) == 2
    assert f"`choreai extract {tmp_path} --output out`" in capsys.readouterr().err
    assert main(["describe", str(clip), str(tmp_path), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["video_id"] == "dance.mp4"
    assert found["tracks"][0]["kinematics"]["body_speed_mean"] > 0


def test_one_video_is_told_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    for answer in (SURE, UNSURE, EMPTY):
        print_one(answer)
    lines = capsys.readouterr().out.splitlines()
    assert lines[:5] == [
        "dance.mp4: locking, score 0.91",
        "  locks its arms",
        "  is slow",
        "  other styles: popping 0.06, breaking 0.03",
        "  1 dancer, 112 beats per minute",
    ]
    assert lines[5].endswith("unknown (score 0.41 below 0.51; several people, dancer uncertain); most like popping, "
                             "score 0.41")  # fmt: skip
    assert lines[-1] == "empty.mp4: no style, cannot be used: no video stream"


def test_a_table_of_tags_fits_80_columns_and_breaks_no_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    print_answers([SURE, UNSURE, EMPTY])
    out = capsys.readouterr().out
    assert not re.search(r"\x1b\[[\d;]*3\dm", out), "no colour"
    lines = re.sub(r"\x1b\[[\d;]*m", "", out).splitlines()
    assert max(map(len, lines)) <= 80
    names = [line.split("  ")[0] for line in lines if ".mp4" in line]
    assert names == ["dance.mp4", shorten(UNSURE.video_id, len(names[1])), "empty.mp4"]
    assert (names[1][:7], names[1][-4:]) == ("a-video", ".mp4")


def test_in_a_pipe_nothing_is_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    print_answers([UNSURE])
    print_counts([("locking", 3, 0.8), (UNKNOWN, 1, 0.4)])
    out = capsys.readouterr().out
    assert UNSURE.video_id in out
    assert [line.strip("│ ").replace("│", " ").split() for line in out.splitlines() if "%" in line] == [
        ["locking", "3", "75%", "0.80"],
        ["unknown", "1", "25%"],
    ]


def test_answers_are_those_of_the_catalog_in_its_order(tmp_path: Path) -> None:
    write_tags(
        str(tmp_path), [tag_row("b", "popping", 0.8), tag_row("a", "locking", 0.7), tag_row("z", "locking", 0.7)]
    )
    (tmp_path / "catalog.csv").write_text("video_id,uri,content_id\nb,b.mp4,c1\nnever,n.mp4,c1\na,a.mp4,c1\n")
    catalog = with_content_ids(read_catalog(str(tmp_path / "catalog.csv")))
    found = read_answers(str(tmp_path), catalog, pose_id="fp1", model_version="lstm-a", limit=50)
    assert [(answer.video_id, answer.style) for answer in found] == [("b", "popping"), ("a", "locking")]
    assert len(read_answers(str(tmp_path), catalog, pose_id="fp1", model_version="lstm-a", limit=1)) == 1


def test_a_tempo_is_told_only_where_there_is_a_clear_beat() -> None:
    assert clear_tempo(100.0, 0.2) == 100.0
    assert (clear_tempo(100.0, 0.1), clear_tempo(None, 0.2), clear_tempo(float("nan"), 0.2)) == (None, None, None)


def test_quiet_leaves_only_results_and_what_went_wrong(clips: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (clips / "broken.mp4").write_bytes(b"no video")
    assert main(["extract", "broken.mp4", "--output", "out", "--quiet"]) == 1
    out, err = capfd.readouterr()
    assert "quarantined" in out
    assert [line for line in err.splitlines() if "ERROR" not in line and "WARNING" not in line] == []
    assert "INFO" not in err
