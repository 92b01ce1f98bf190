"""show on several videos and folders, as pictures and as JSON."""

import json
from pathlib import Path

import pytest
from clips import write_clip as write_plain_clip

from choreai.cli.main import main
from choreai.demo.dancers import write_clip


@pytest.fixture(autouse=True)
def _needs_mediapipe() -> None:
    pytest.importorskip("mediapipe")


def test_videos_and_folders_are_drawn_and_one_that_cannot_be_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, pictures = tmp_path / "clips", tmp_path / "pictures"
    folder.mkdir()
    write_clip(tmp_path / "solo.mp4", style="hiphop", seed=5, duration_seconds=1.0, frames_per_second=8)
    write_plain_clip(folder / "empty-room.mp4", num_frames=8)
    (folder / "broken.mp4").write_bytes(b"no video")
    words = ["show", str(tmp_path / "solo.mp4"), str(folder), "--to", str(pictures), "--json"]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert [video["video_id"] for video in json.loads(out)] == ["solo", "empty-room"]
    assert {path.name for path in pictures.glob("*.mp4")} == {"solo.annotated.mp4", "empty-room.annotated.mp4"}
    assert "broken.mp4" in err


def test_a_person_is_named_in_one_video_only(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.mp4", "b.mp4"):
        write_plain_clip(tmp_path / name, num_frames=8)
    assert main(["show", str(tmp_path), "--person", "1", "--to", str(tmp_path / "pictures")]) == 2
    assert "--person names somebody in one video; 2 are given" in capsys.readouterr().err
