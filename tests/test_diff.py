"""diff: which videos changed between two runs, models or pose fingerprints, how, and why."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_skeletons import dancer_xy
from tag_rows import tag_row, video_row, write_rows

from choreai.cli.main import main
from choreai.errors import ConfigError
from choreai.motion.distance import measure_distance
from choreai.motion.sequence import KeypointSequence
from choreai.operations.difference import Cause, Difference, Move, compare
from choreai.tables.pose_parts import PosePartWriter, VideoRows
from choreai.tables.runs import RunManifest

ONE, TWO, THREE = (f"2026110{n}T000000Z-000000" for n in (1, 2, 3))


def write_run(root: str, run_id: str, *, poses: str, model: str, **settings: Any) -> None:
    run = RunManifest("tag_catalog", run_id, {"catalog": "c.csv", "pose": settings}, poses, model_version=model)
    run.wall_seconds = 1.0
    run.write(root)


def tag(video_id: str, style: str | None, score: float | None, *, run: str, **others: Any) -> dict[str, Any]:
    return tag_row(video_id, style, score, run_id=run, **others)


@pytest.fixture
def root(tmp_path: Path) -> str:
    """Two nights of one model, with new bytes of a video in the second; then a night of another model and poses."""
    root = str(tmp_path / "out")
    write_run(root, ONE, poses="fp1", model="lstm-a", fps=8)
    write_run(root, TWO, poses="fp1", model="lstm-a", fps=8)
    write_run(root, THREE, poses="fp2", model="lstm-b", fps=15)
    first = [
        tag("same", "hiphop", 0.9, run=ONE),
        tag("bytes", "hiphop", 0.8, run=ONE),
        tag("score", "house", 0.9, run=ONE),
    ]
    write_rows(root, "tags", "lstm-a", "1", [*first, tag("broken", "house", 0.7, run=ONE)])
    second = [tag("bytes", "house", 0.6, run=TWO, content_id="c2", night=1), tag("new", "house", 0.7, run=TWO, night=1)]
    write_rows(root, "tags", "lstm-a", "2", second)
    names = ("same", "bytes", "score", "broken")
    write_rows(root, "videos", "fp1", "1", [video_row(each, run_id=ONE) for each in names])
    write_rows(root, "videos", "fp1", "2", [
        video_row("bytes", run_id=TWO, content_id="c2"), video_row("new", run_id=TWO),
        video_row("bad", run_id=ONE, status="quarantined", reason="torn off"),
    ])  # fmt: skip
    of_b: dict[str, Any] = {"run": THREE, "model": "lstm-b", "pose_fingerprint": "fp2", "night": 2}
    write_rows(root, "tags", "lstm-b", "3", [
        tag("same", "hiphop", 0.91, **of_b), tag("bytes", "house", 0.62, content_id="c2", **of_b),
        tag("score", "house", 0.5, **of_b), tag("new", "unknown", 0.3, **of_b), tag("bad", "krump", 0.9, **of_b),
    ])  # fmt: skip
    write_rows(root, "videos", "fp2", "3", [
        *(video_row(each, run_id=THREE, content_id="c2" if each == "bytes" else "c1")
          for each in ("same", "bytes", "score", "new", "bad")),
        video_row("broken", run_id=THREE, status="quarantined", stage="decode", reason="no frames"),
    ])  # fmt: skip
    return root


def changes(found: Difference) -> dict[str, tuple[str, str]]:
    return {each.video_id: (each.change, each.cause) for each in found.videos}


def test_a_night_is_what_it_and_those_before_left(root: str) -> None:
    found = compare(root, ONE, TWO)
    assert changes(found) == {"bytes": ("tag", "bytes"), "new": ("new", "")}
    assert (found.num_before, found.num_now, found.num_changed) == (5, 6, 2)
    assert found.moves == (Move("hiphop", "house", 1),)
    assert found.settings == ()


def test_a_night_of_another_model_and_poses_says_so(root: str) -> None:
    found = compare(root, TWO, THREE)
    why = "poses and model"
    assert changes(found) == {
        "new": ("tag", why), "score": ("score", why), "bad": ("quarantine", why), "broken": ("quarantine", why),
    }  # fmt: skip
    assert Cause("quarantine", why, 2) in found.causes
    assert [(each.name, each.before, each.now) for each in found.settings] == [("pose.fps", "8", "15")]
    reasons = {each.video_id: each.reason for each in found.videos}
    assert (reasons["bad"], reasons["broken"], reasons["score"]) == ("torn off", "no frames", None)


def test_a_review_and_a_setting_are_reasons_of_their_own(root: str) -> None:
    write_rows(root, "tags", "lstm-b", "4", [tag("same", "krump", 0.9, run="20261104", model="lstm-b", night=3,
                                                  pose_fingerprint="fp2")])  # fmt: skip
    write_run(root, "20261104", poses="fp2", model="lstm-b", fps=15)
    assert changes(compare(root, THREE, "20261104")) == {"same": ("tag", "done again")}
    write_run(root, "20261104", poses="fp2", model="lstm-b", fps=15, more=1)
    assert changes(compare(root, THREE, "20261104")) == {"same": ("tag", "settings")}


def test_models_and_fingerprints_are_compared_by_all_that_they_have(root: str) -> None:
    assert compare(root, "lstm-a", "lstm-b").num_changed == 4
    poses = compare(root, "fp1", "fp2")
    assert {name for name, _ in changes(poses).items()} == {"bad", "broken"}
    assert compare(root, "fp1", "fp1").num_changed == 0
    assert compare(root, "lstm-a", "lstm-b", min_score_change=0.5).num_changed == 3


def test_a_name_that_nothing_has_is_refused_with_the_nearest(root: str) -> None:
    with pytest.raises(ConfigError, match=r"'lstm-c' is no run, model or pose fingerprint here; did you mean lstm-"):
        compare(root, "lstm-a", "lstm-c")


def test_the_command_prints_counts_and_writes_a_page_and_json(
    root: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "diff.html"
    assert main(["diff", TWO, THREE, "--output", root, "--to", str(page)]) == 0
    said = capsys.readouterr().out
    assert "6 videos before, 6 now, 4 changed" in said
    assert "krump 0.90" in said
    assert "no frames" in page.read_text()
    assert "<script" not in page.read_text()
    assert main(["diff", TWO, THREE, "--output", root, "--to", str(page)]) == 2
    capsys.readouterr()
    assert main(["diff", TWO, THREE, "--output", root, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["num_changed"] == 4


def sequence(xy: np.ndarray[Any, Any], *, step: int = 1, shift: float = 0.0) -> KeypointSequence:
    num = len(xy[::step])
    return KeypointSequence(
        frame_index=np.arange(0, len(xy), step, dtype=np.int32),
        pts_seconds=(np.arange(0, len(xy), step) / 8).astype(np.float32),
        track_id=np.zeros(num, np.int32),
        keypoints_xy=(xy[::step] + shift).astype(np.float32),
        keypoint_scores=np.ones((num, 17), np.float32),
    )


def test_keypoints_that_moved_by_five_pixels_are_five_pixels_apart() -> None:
    xy = dancer_xy("clockwise", seed=0, num_frames=40, frames_per_second=8)
    same = measure_distance(sequence(xy), sequence(xy))
    moved = measure_distance(sequence(xy), sequence(xy + np.array([3.0, 4.0])))
    assert same is not None
    assert moved is not None
    assert (same.median_pixels, same.matched_share) == (0.0, 1.0)
    assert moved.median_pixels == pytest.approx(5.0, abs=1e-3)
    assert 0 < moved.median_share < 0.2
    half = measure_distance(sequence(xy), sequence(xy, step=2))
    assert half is not None
    assert half.matched_share == 1.0
    assert measure_distance(sequence(xy), KeypointSequence.empty()) is None


def test_each_person_is_compared_with_the_nearest_of_the_other_side() -> None:
    xy = dancer_xy("clockwise", seed=0, num_frames=8, frames_per_second=8)
    two = _both(sequence(xy), sequence(xy, shift=200.0))
    swapped = _both(sequence(xy, shift=201.0), sequence(xy, shift=1.0))
    found = measure_distance(two, swapped)
    assert found is not None
    assert found.median_pixels == pytest.approx(2**0.5, abs=1e-3)


def _both(one: KeypointSequence, other: KeypointSequence) -> KeypointSequence:
    names = ("frame_index", "pts_seconds", "keypoints_xy", "keypoint_scores")
    joined = {name: np.concatenate([getattr(one, name), getattr(other, name)]) for name in names}
    return KeypointSequence(track_id=np.repeat(np.arange(2, dtype=np.int32), len(one)), **joined)


def test_keypoints_of_changed_videos_are_compared_between_fingerprints(tmp_path: Path) -> None:
    root = str(tmp_path)
    for poses, shift in (("fp1", 0.0), ("fp2", 2.0)):
        with PosePartWriter(root, shard_id="s", pose_fingerprint=poses, trace={}) as writer:
            rows = VideoRows(writer.scratch, video_id="v", content_id="c1")
            for number, xy in enumerate(dancer_xy("clockwise", seed=0, num_frames=16, frames_per_second=8)):
                rows.add(
                    frame_index=number, pts_seconds=number / 8, track_ids=np.zeros(1, np.int32),
                    box_xyxy=np.zeros((1, 4), np.float32), box_scores=np.ones(1, np.float32),
                    keypoints_xy=(xy[None] + [shift, 0]).astype(np.float32),
                    keypoint_scores=np.ones((1, 17), np.float32), keypoints_xyz=None,
                )  # fmt: skip
            record = {name: value for name, value in video_row("v").items() if name != "shard_id"}
            writer.add_video(record, rows)
            writer.commit()
    (moved,) = compare(root, "fp1", "fp2").keypoints
    assert moved.video_id == "v"
    assert moved.distance.median_pixels == pytest.approx(2.0, abs=1e-3)
    assert compare(root, "fp1", "fp2", num_keypoints=0).keypoints == ()
