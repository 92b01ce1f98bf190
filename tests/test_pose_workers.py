"""`choreai pose --gpus 0,1,2,3`: a worker for each GPU, and what one process would answer, in order."""

import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import ray
from clips import write_clip
from tiny_pose_networks import results_of, spot, write_networks

from choreai.cli.pose import pose_parser
from choreai.cli.pose_inputs import Share, open_input
from choreai.cli.pose_run import pose_settings, run_pose
from choreai.cli.pose_workers import pose_here, pose_share

FILES = ("alphapose-results.json", "keypoints.parquet", "frames.parquet")


def pose(out: Path, *flags: object, num_gpus: int) -> int:
    return run_pose(pose_parser(None).parse_args([str(flag) for flag in (*flags, "--outdir", out)]), num_gpus=num_gpus)


def test_blocks_of_frames_go_round_the_workers() -> None:
    shares = [Share(number, 3, 4) for number in range(3)]
    assert [next(share.number for share in shares if share.has(index)) for index in range(16)] == (
        [0] * 4 + [1] * 4 + [2] * 4 + [0] * 4
    )


@pytest.fixture
def four_gpus():
    ray.init(
        address="local", num_cpus=2, num_gpus=4, include_dashboard=False, log_to_driver=False,
        object_store_memory=100_000_000, logging_level="ERROR",
    )  # fmt: skip
    yield
    ray.shutdown()


@pytest.mark.ray
@pytest.mark.usefixtures("four_gpus")
def test_four_workers_share_the_pictures_and_their_files_are_one_worker_s(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO, "choreai")
    networks = write_networks(tmp_path, num_keypoints=26)
    (tmp_path / "in").mkdir()
    for number in range(11):
        cv2.imwrite(str(tmp_path / f"in/{number}.png"), spot(number))
    (tmp_path / "in/4.png").write_bytes(b"no picture")
    flags = [*networks, "--indir", tmp_path / "in", "--detbatch", 2, "--save_img", "--pose_track"]
    for out, num_gpus in (("one", 0), ("four", 4)):
        assert pose(tmp_path / out, *flags, num_gpus=num_gpus) == 1  # for the one that is none
    for name in (*FILES, *(f"vis/{number}.png" for number in range(11) if number != 4)):
        assert (tmp_path / "four" / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name
    assert [person["image_id"] for person in results_of(tmp_path / "four")] == [f"{n}.png" for n in range(11) if n != 4]
    assert caplog.text.count("4.png cannot be read as an image") == 2
    assert capsys.readouterr().out.count("skipped, not readable as images: 4.png") == 2
    (shared,) = [record.getMessage() for record in caplog.records if "GPU" in record.getMessage()]
    assert sorted(shared.split(", ")) == ["GPU 0: 4 frames", "GPU 1: 3 frames", "GPU 2: 1 frames", "GPU 3: 2 frames"]


def test_the_shares_of_a_video_are_together_what_one_process_finds(tmp_path: Path) -> None:
    video = write_clip(tmp_path / "dance.mp4", num_frames=9, size_wh=(64, 64), paint=spot)
    flags = [*write_networks(tmp_path), "--video", video, "--detbatch", 2]
    arguments = pose_parser(None).parse_args([str(flag) for flag in flags])
    settings = pose_settings(arguments)
    shares = [
        [block for block in pose_share(arguments, settings, 2, number) if isinstance(block, list)]
        for number in range(2)
    ]
    with open_input(arguments, num_threads=1) as source:
        whole = list(pose_here(source, settings, num_threads=1))
    assert [[frame.frame_index for frame in block] for block in shares[0]] == [[0, 1], [4, 5], [8]]
    assert [[frame.frame_index for frame in block] for block in shares[1]] == [[2, 3], [6, 7]]
    for found in (frame for share in shares for block in share for frame in block):
        frame, poses = whole[found.frame_index]
        assert found.pts_seconds == frame.pts_seconds
        np.testing.assert_array_equal(found.poses.keypoints_xy, poses.keypoints_xy)
        np.testing.assert_array_equal(found.poses.keypoint_scores, poses.keypoint_scores)
