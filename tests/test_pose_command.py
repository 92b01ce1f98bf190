"""`choreai pose`: AlphaPose's flags and files, on tiny networks that everybody has, and on real ones where at hand."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import people_pictures
import pyarrow.parquet as pq
import pytest
from clips import write_clip
from tiny_pose_networks import results_of, run, spot, write_networks

from choreai.errors import ConfigError, MediaError, TableError, WeightsError
from choreai.formats.alphapose_json import read_alphapose_json
from choreai.formats.alphapose_results import to_coco, to_openpose
from choreai.motion.skeleton import KEYPOINT_NAMES
from choreai.pose.estimator import Poses
from choreai.pose.pipeline import TrackedPoses


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    return write_networks(tmp_path_factory.mktemp("networks"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    for number in (1, 2, 10):
        cv2.imwrite(str(folder / f"{number}.png"), spot(min(number, 8)))
    (folder / "notes.txt").write_text("no picture")
    return folder


def frames_of(outdir: Path) -> list[dict[str, object]]:
    return pq.read_table(outdir / "frames.parquet").to_pylist()


def nose_x(person: dict[str, object]) -> float:
    keypoints = person["keypoints"]
    assert isinstance(keypoints, list)
    return float(keypoints[0])


# ---------------------------------------------------------------- inputs


def test_every_frame_of_a_video_is_in_the_results_under_alphapose_s_names(
    networks, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    video = write_clip(tmp_path / "dance.mp4", num_frames=9, size_wh=(64, 64), paint=spot)
    out = tmp_path / "out"
    assert run(*networks, "--video", video, "--outdir", out, "--save_video", "--save_img", "--detbatch", 4) == 0
    people = results_of(out)
    assert [person["image_id"] for person in people] == [f"{number}.jpg" for number in range(9)]
    assert {person["idx"] for person in people} == {0}
    # The spot is five pixels wide and equally bright all over.
    np.testing.assert_allclose([nose_x(person) for person in people], 27 + np.arange(9), atol=2.5)
    np.testing.assert_allclose(people[0]["box"], [22, 12, 20, 40], atol=1e-4)
    assert [frame["num_people"] for frame in frames_of(out)] == [1] * 9
    assert pq.read_table(out / "keypoints.parquet").num_rows == 9
    assert (out / "AlphaPose_dance.mp4").stat().st_size > 0
    assert len(list((out / "vis").iterdir())) == 9
    assert "9 people in 9 of 9 frames" in capsys.readouterr().out


def test_our_own_reader_reads_the_results(networks, tmp_path: Path) -> None:
    video = write_clip(tmp_path / "dance.mp4", num_frames=3, size_wh=(64, 64), paint=spot)
    run(*networks, "--video", video, "--outdir", tmp_path)
    table = read_alphapose_json(str(tmp_path / "alphapose-results.json"), video_id="dance", frames_per_second=30)
    written = pq.read_table(tmp_path / "keypoints.parquet")
    assert table["keypoints_xy"].equals(written["keypoints_xy"])
    assert table["track_id"].equals(written["track_id"])


@pytest.mark.parametrize("source", ["indir", "list", "image"])
def test_images_come_in_natural_order_under_their_names(networks, pictures, tmp_path: Path, source) -> None:
    (tmp_path / "names.txt").write_text("10.png\n\n1.png\n")
    flags = {
        "indir": ["--indir", pictures],
        "list": ["--list", tmp_path / "names.txt", "--indir", pictures],
        "image": ["--image", pictures / "2.png"],
    }
    expected = {"indir": ["1.png", "2.png", "10.png"], "list": ["10.png", "1.png"], "image": ["2.png"]}
    assert run(*networks, *flags[source], "--outdir", tmp_path / "out", "--save_img") == 0
    assert [person["image_id"] for person in results_of(tmp_path / "out")] == expected[source]
    assert sorted(path.name for path in (tmp_path / "out" / "vis").iterdir()) == sorted(expected[source])


def test_images_of_one_name_are_told_apart_by_their_folders(networks, pictures, tmp_path: Path) -> None:
    for folder in ("left", "right"):
        (tmp_path / "in" / folder).mkdir(parents=True)
        (tmp_path / "in" / folder / "1.png").write_bytes((pictures / "1.png").read_bytes())
    run(*networks, "--indir", tmp_path / "in", "--outdir", tmp_path / "out", "--save_img")
    assert [person["image_id"] for person in results_of(tmp_path / "out")] == ["left/1.png", "right/1.png"]
    assert (tmp_path / "out" / "vis" / "right" / "1.png").exists()


def test_boxes_of_a_detfile_stand_in_for_a_detector(networks, pictures, tmp_path: Path) -> None:
    boxes = [
        {"image_id": "2.png", "bbox": [10, 10, 40, 50], "score": 0.5, "category_id": 1},
        {"image_id": "1.png", "bbox": [20, 10, 20, 40], "score": 0.7},
        {"image_id": "2.png", "bbox": [63, 63, 400, 500], "score": 0.1},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    flags = [*networks[:2], *networks[4:], "--detfile", tmp_path / "boxes.json", "--indir", pictures]
    assert run(*flags, "--outdir", tmp_path) == 0
    assert [frame["image_id"] for frame in frames_of(tmp_path)] == ["2.png", "1.png"]
    by_image = {person["image_id"]: person["box"] for person in results_of(tmp_path)}
    assert by_image == {"2.png": [10, 10, 40, 50], "1.png": [20, 10, 20, 40]}


def test_a_picture_that_cannot_be_read_costs_only_itself_and_is_told(
    networks, pictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "1.png").write_bytes(b"")
    (folder / "2.png").write_bytes((pictures / "2.png").read_bytes()[:60])
    (folder / "3.png").write_bytes((pictures / "10.png").read_bytes())
    boxes = [{"image_id": f"{n}.png", "bbox": [10, 10, 30 + n, 40], "score": 0.9} for n in (1, 2, 3)]
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    detfile = [*networks[:2], *networks[4:], "--detfile", tmp_path / "boxes.json"]
    assert run(*detfile, "--indir", folder, "--outdir", tmp_path / "out") == 1
    (person,) = results_of(tmp_path / "out")
    assert (person["image_id"], person["box"]) == ("3.png", [10, 10, 33, 40])  # its own box, not the first
    assert "1.png, 2.png" in capsys.readouterr().out


def test_nobody_in_a_whole_video_is_a_result(networks, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    video = write_clip(tmp_path / "empty.mp4", num_frames=5, size_wh=(64, 64))
    flags = [*networks, "--min_box_score", "0.95"]
    assert run(*flags, "--video", video, "--outdir", tmp_path, "--format", "open") == 0
    assert json.loads((tmp_path / "alphapose-results.json").read_text()) == {}
    assert [frame["num_people"] for frame in frames_of(tmp_path)] == [0] * 5
    assert "no person was found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "error", "message"),
    [
        ([], ConfigError, "give one input"),
        (["--video", "a.mp4", "--image", "b.png"], ConfigError, "got 2: video, image"),
        (["--video", "gone.mp4"], ConfigError, r"gone\.mp4: no such file"),
        (["--video", "pictures.txt"], MediaError, r"pictures\.txt"),
        (["--indir", "gone"], ConfigError, "no such folder"),
        (["--list", "pictures.txt"], ConfigError, r"1 of 1 images are missing, the first is nothing\.png"),
        (["--detfile", "pictures.txt"], TableError, "not valid JSON"),
        (["--image", "1.png", "--detector", "yolo"], ConfigError, "YOLOv3-SPP"),
        (["--image", "1.png", "--flip"], ConfigError, "flip applies to AlphaPose checkpoints"),
        (["--image", "1.png", "--detector-checkpoint", ""], ConfigError, "--detector-checkpoint is missing"),
        (["--image", "1.png", "--detector-checkpoint", "gone.onnx"], WeightsError, r"gone\.onnx"),
        (["--image", "1.png", "--checkpoint", "1.png"], WeightsError, r"1\.png: the checkpoint of"),
    ],
)
def test_wrong_flags_say_what_to_do(
    networks, pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags, error, message
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pictures.txt").write_text("nothing.png")
    Path("1.png").write_bytes((pictures / "1.png").read_bytes())
    with pytest.raises(error, match=message):
        run(*networks, *flags, "--outdir", tmp_path / "out")
    assert not (tmp_path / "out" / "alphapose-results.json").exists()


def test_flags_of_alphapose_that_mean_nothing_here_are_taken(networks, pictures, tmp_path: Path) -> None:
    flags = ["--image", pictures / "1.png", "--sp", "--qsize", "64", "--vis_fast", "--posebatch", "2"]
    assert run(*networks, *flags, "--outdir", tmp_path) == 0


# ---------------------------------------------------------------- formats


def two_people() -> TrackedPoses:
    rng = np.random.default_rng(0)
    poses = Poses(
        box_xyxy=np.array([[0, 0, 10, 20], [30, 5, 50, 45]], np.float32),
        box_scores=np.array([0.5, 0.25], np.float32),
        keypoints_xy=rng.uniform(0, 50, (2, 17, 2)).astype(np.float32),
        keypoint_scores=np.linspace((0.1, 0.2), (0.5, 0.9), 17, axis=1).astype(np.float32),
    )
    return TrackedPoses(7, 0.25, poses, np.array([3, 1], np.int32))


def test_coco_people_keep_the_order_of_pose_nms_and_their_score_is_alphapose_s() -> None:
    people = two_people()
    first, second = to_coco(people, image_id="7.jpg")
    assert (first["idx"], second["idx"]) == (3, 1)  # though the second scores higher
    assert second["score"] == pytest.approx(0.55 + 0.25 + 1.25 * 0.9)
    assert second["box"] == [30, 5, 20, 40]
    keypoints: Any = second["keypoints"]
    np.testing.assert_array_equal(np.reshape(keypoints, (17, 3))[:, :2], people.poses.keypoints_xy[1])


@pytest.mark.parametrize(
    ("name", "outer", "inner"), [("cmu", "bodies", "joints"), ("open", "people", "pose_keypoints_2d")]
)
def test_openpose_has_its_18_keypoints_with_a_neck_between_the_shoulders(name, outer, inner) -> None:
    people = two_people()
    written: Any = to_openpose(people, result_format=name)
    assert written["version"] == "AlphaPose v0.3"
    best = np.reshape(written[outer][1][inner], (18, 3))
    coco = dict(zip(KEYPOINT_NAMES, people.poses.keypoints_xy[1], strict=True))
    names = ["nose", "neck"]
    names += [f"{side}_{part}" for side in ("right", "left") for part in ("shoulder", "elbow", "wrist")]
    names += [f"{side}_{part}" for side in ("right", "left") for part in ("hip", "knee", "ankle")]
    names += ["right_eye", "left_eye", "right_ear", "left_ear"]
    coco["neck"] = (coco["left_shoulder"] + coco["right_shoulder"]) / 2
    np.testing.assert_allclose(best[:, :2], [coco[name] for name in names], rtol=1e-6)
    assert best[1, 2] == pytest.approx(people.poses.keypoint_scores[1, [5, 6]].mean())


# ---------------------------------------------------------------- real networks


@pytest.mark.shared
@pytest.mark.skipif(not people_pictures.SIMPLE_POSE.exists(), reason="../shared/data is absent")
def test_real_pictures_give_several_people_and_one_file_each(tmp_path: Path) -> None:
    weights = ["--checkpoint", people_pictures.SIMPLE_POSE, "--detector-checkpoint", people_pictures.YOLOX_NANO]
    assert run(*weights, "--indir", people_pictures.FOLDER, "--outdir", tmp_path, "--format", "cmu") == 0
    found = json.loads((tmp_path / "alphapose-results.json").read_text())
    assert sorted(len(image["bodies"]) for image in found.values())[-2] >= 3
    assert len(list((tmp_path / "sep-json").iterdir())) == len(found) == 4
