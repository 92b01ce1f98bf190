"""Output of the version before is read, extended, tagged and searched, and nothing is estimated again."""

import json
from pathlib import Path

import previous_output
import pytest
from previous_output import CORRECTED, FINGERPRINT, MODEL_VERSION, VIDEO_IDS

import choreai
from choreai.cli.main import main
from choreai.demo.dancers import write_catalog


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return previous_output.copy_output(tmp_path)


def manifests(output: Path) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in (output / "runs").glob("*/manifest.json")]


def test_its_keypoints_are_read(output: Path) -> None:
    poses = choreai.read_keypoints(str(output), video_id="afrobeat-10000")
    assert poses.pose_fingerprint == FINGERPRINT
    assert len(poses) == 75
    assert poses.sequence.track_ids == [0]


def test_its_model_tags_its_keypoints_as_it_did(output: Path) -> None:
    model = choreai.load_model(str(previous_output.MODEL))
    for video_id in VIDEO_IDS:
        tag = choreai.tag_keypoints(choreai.read_keypoints(str(output), video_id=video_id), model=model)
        assert tag.style == video_id.partition("-")[0]


def test_its_tags_are_searched_and_a_correction_still_counts(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "style = afrobeat", "--output", str(output), "--format", "csv"]) == 0
    found = capsys.readouterr().out
    assert "afrobeat-10000" in found
    assert CORRECTED in found


def test_its_run_has_a_report(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--output", str(output)]) == 0
    assert "4 tagged" in capsys.readouterr().out


@pytest.mark.ray
@pytest.mark.usefixtures("mediapipe")
def test_a_second_night_estimates_the_new_video_alone(output: Path, tmp_path: Path) -> None:
    write_catalog(tmp_path / "new", num_per_style=1, first_seed=20_000, duration_seconds=3.0)
    new = tmp_path / "new" / "videos" / "hiphop-20000.mp4"
    rows = (
        previous_output.WRITTEN / "catalog.csv"
    ).read_text().strip() + f"\nnew,{new},hiphop,dancer-20000,bytes-of-new\n"
    (tmp_path / "catalog.csv").write_text(rows)
    before = len(manifests(output))
    arguments = ["tag", str(tmp_path / "catalog.csv"), "--output", str(output), "--num-workers", "1"]
    assert main(arguments) == 0
    added = {str(run["job"]): run for run in manifests(output) if run["num_done_before"] == 4}
    assert len(manifests(output)) == before + 2
    assert {job: run["statuses"] for job, run in added.items()} == {
        "extract_poses": {"ok": 1},
        "tag_catalog": {"tagged": 1},
    }
    assert {run["pose_fingerprint"] for run in added.values()} == {FINGERPRINT}
    assert added["tag_catalog"]["model_version"] == MODEL_VERSION
