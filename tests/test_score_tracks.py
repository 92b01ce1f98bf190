"""`choreai score-tracks`: MOT Challenge's and DanceTrack's folders, its own results and those of `choreai pose`."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from onnx import helper
from tiny_onnx import constant_network, serialize

from choreai.cli import pose_run, score_tracks
from choreai.cli.pose import pose_parser
from choreai.cli.score_tracks import score_tracks_parser
from choreai.errors import ConfigError, TableError

NUM_FRAMES = 6


def score(*arguments: object) -> int:
    return score_tracks.run(score_tracks_parser("choreai score-tracks").parse_args([str(a) for a in arguments]))


def scores_of(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert score(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def lines(*ids: int, x: float = 22) -> str:
    """Somebody who stands still and has this id in each frame."""
    return "".join(f"{frame},{track_id},{x},12,20,40,1,1,1\n" for frame, track_id in enumerate(ids, start=1))


def make_sequence(root: Path, name: str, text: str = "") -> None:
    (root / name / "gt").mkdir(parents=True)
    (root / name / "gt" / "gt.txt").write_text(text or lines(*[1] * NUM_FRAMES))
    (root / name / "seqinfo.ini").write_text(f"[Sequence]\nname={name}\nseqLength={NUM_FRAMES}\n")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three sequences of one person, in DanceTrack's tree."""
    for name in ("dancetrack0010", "dancetrack0002", "dancetrack0001"):
        make_sequence(tmp_path / "val", name)
    return tmp_path / "val"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "dancetrack0001.txt").write_text(lines(*[5] * NUM_FRAMES))
    (folder / "dancetrack0002.txt").write_text(lines(5, 5, 5, 6, 6, 6))
    (folder / "dancetrack0010.txt").write_text(lines(*[5] * NUM_FRAMES, x=500))
    return folder


def test_each_sequence_and_all_together_are_scored(dataset, results, capsys: pytest.CaptureFixture[str]) -> None:
    found = scores_of(capsys, dataset, results)
    assert list(found["sequences"]) == ["dancetrack0001", "dancetrack0002", "dancetrack0010"]
    assert found["sequences"]["dancetrack0001"]["hota"] == pytest.approx(1)
    assert found["sequences"]["dancetrack0002"] == pytest.approx(
        {
            "hota": np.sqrt(0.5), "det_a": 1, "ass_a": 0.5, "idf1": 0.5, "mota": 5 / 6, "switches": 1,
            "true_boxes": 6, "found_boxes": 6,
        }
    )  # fmt: skip
    assert found["sequences"]["dancetrack0010"]["mota"] == pytest.approx(-1)
    assert found["combined"]["idf1"] == pytest.approx((6 + 3) / 18)
    assert found["combined"]["true_boxes"] == 18


def test_the_table_is_in_percent_and_ends_with_all_together(
    dataset, results, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score(dataset, results) == 0
    shown = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    rows = {row[0]: row[1:] for row in shown if row}
    assert rows["dancetrack0002"][:6] == ["70.7", "100.0", "50.0", "50.0", "83.3", "1"]
    assert list(rows)[-1] == "combined"


def test_one_sequence_needs_no_folder_of_results(dataset, results, capsys: pytest.CaptureFixture[str]) -> None:
    truth, result = dataset / "dancetrack0002", results / "dancetrack0002.txt"
    by_folder = scores_of(capsys, truth, result)
    by_file = scores_of(capsys, truth / "gt" / "gt.txt", result)
    assert by_folder == by_file
    assert list(by_file["sequences"]) == ["dancetrack0002"]


def test_a_flat_folder_of_ground_truths_is_taken(
    dataset, results, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("dancetrack0001", "dancetrack0002", "dancetrack0010"):
        (tmp_path / f"{name}.txt").write_text((dataset / name / "gt" / "gt.txt").read_text())
    assert scores_of(capsys, tmp_path, results) == scores_of(capsys, dataset, results)


def test_some_sequences_can_be_chosen(dataset, results, capsys: pytest.CaptureFixture[str]) -> None:
    (results / "dancetrack0010.txt").unlink()
    found = scores_of(capsys, dataset, results, "--sequences", "dancetrack0002, dancetrack0001")
    assert list(found["sequences"]) == ["dancetrack0001", "dancetrack0002"]
    with pytest.raises(ConfigError, match="no sequences dancetrack0003; there are dancetrack0001"):
        score(dataset, results, "--sequences", "dancetrack0003")


def test_a_sequence_without_a_result_is_not_passed_over(dataset, results) -> None:
    (results / "dancetrack0010.txt").unlink()
    with pytest.raises(ConfigError, match=r"1 of 3 sequences, dancetrack0010; looked for dancetrack0010\.txt"):
        score(dataset, results)


def test_a_folder_without_ground_truth_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no ground truth"):
        score(tmp_path, tmp_path)
    with pytest.raises(ConfigError, match="no such file or folder"):
        score(tmp_path / "nowhere", tmp_path)


def test_a_result_longer_than_the_sequence_is_refused(dataset, results) -> None:
    (results / "dancetrack0001.txt").write_text(lines(*[5] * (NUM_FRAMES + 1)))
    with pytest.raises(TableError, match=rf"line 7, frame: '7'; the sequence has frames 1 to {NUM_FRAMES}"):
        score(dataset, results)


def test_boxes_with_a_low_score_can_be_left_out(dataset, results, capsys: pytest.CaptureFixture[str]) -> None:
    false = "".join(f"{frame},9,400,12,20,40,0.2\n" for frame in range(1, NUM_FRAMES + 1))
    (results / "dancetrack0001.txt").write_text(lines(*[5] * NUM_FRAMES) + false)
    only = ("--sequences", "dancetrack0001")
    assert scores_of(capsys, dataset, results, *only)["combined"]["mota"] == pytest.approx(0)
    assert scores_of(capsys, dataset, results, *only, "--min-score", 0.3)["combined"]["mota"] == pytest.approx(1)


# ---------------------------------------------------------------- the way from pictures


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    """A detector that sees one person at (22, 12) of 20 x 40 in every picture, and a pose network."""
    folder = tmp_path_factory.mktemp("networks")
    predictions = np.zeros((1, 84, 85), np.float32)
    predictions[..., :2] = 40.0
    predictions[0, 0, :6] = (32, 32, 20, 40, 0.9, 0.99)
    (folder / "detector.onnx").write_bytes(constant_network(predictions))
    pose = serialize(
        [helper.make_node("Conv", ["images", "weight"], ["heatmaps"], strides=[4, 4])],
        {"images": ["N", 3, 256, 192]},
        {"heatmaps": ["N", 17, 64, 48]},
        {"weight": np.full((17, 3, 1, 1), 1 / 3, np.float32)},
    )
    (folder / "pose.onnx").write_bytes(pose)
    flags = ["--checkpoint", folder / "pose.onnx", "--detector-checkpoint", folder / "detector.onnx"]
    return [*flags, "--preprocessing", "unit", "--gpus", "-1"]


@pytest.mark.parametrize("first", [1, 0], ids=["numbered from 1", "numbered from 0"])
def test_a_dancetrack_folder_goes_through_choreai_pose_and_is_scored(
    networks, dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], first
) -> None:
    for name in ("dancetrack0001", "dancetrack0002"):
        images = dataset / name / "img1"
        images.mkdir()
        for number in range(first, first + NUM_FRAMES):
            cv2.imwrite(str(images / f"{number:08d}.jpg"), np.full((64, 64, 3), 90, np.uint8))
        flags = [*networks, "--indir", images, "--pose_track", "--outdir", tmp_path / "poses" / name]
        assert pose_run.run_pose(pose_parser("choreai pose").parse_args([str(flag) for flag in flags])) == 0
    capsys.readouterr()
    chosen = ("--sequences", "dancetrack0001,dancetrack0002")
    combined = scores_of(capsys, dataset, tmp_path / "poses", *chosen)["combined"]
    assert combined == pytest.approx(
        {"hota": 1, "det_a": 1, "ass_a": 1, "idf1": 1, "mota": 1, "switches": 0, "true_boxes": 12, "found_boxes": 12}
    )


def test_every_second_picture_keeps_its_number(
    networks, dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = dataset / "dancetrack0001" / "img1"
    images.mkdir()
    for number in (1, 3, 5):
        cv2.imwrite(str(images / f"{number:08d}.jpg"), np.full((64, 64, 3), 90, np.uint8))
    flags = [*networks, "--indir", images, "--pose_track", "--outdir", tmp_path / "pose"]
    pose_run.run_pose(pose_parser("choreai pose").parse_args([str(flag) for flag in flags]))
    capsys.readouterr()
    moves = "".join(f"{frame},1,{22 if frame % 2 else 500},12,20,40,1,1,1\n" for frame in range(1, NUM_FRAMES + 1))
    (dataset / "dancetrack0001" / "gt" / "gt.txt").write_text(moves)
    combined = scores_of(capsys, dataset / "dancetrack0001", tmp_path / "pose")["combined"]
    assert combined["mota"] == pytest.approx(0.5)
