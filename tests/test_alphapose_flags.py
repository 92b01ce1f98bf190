"""AlphaPose's command line: what is taken, what changes nothing, and what is refused with advice."""

import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from detector_files import small_checkpoint
from tiny_pose_networks import results_of, run, spot, write_networks

from choreai.cli.checks import check_arguments
from choreai.cli.pose import pose_parser
from choreai.cli.pose_alphapose import REFUSED, WITHOUT_EFFECT, find_detector, show_only
from choreai.errors import ConfigError
from choreai.formats.alphapose_json import read_alphapose_json
from choreai.pose.alphapose.architecture import PoseArchitecture
from choreai.pose.alphapose.checkpoint import build_network
from choreai.video.decode import VideoReader
from choreai.weights.resolve import shipped_catalogue


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> list[object]:
    return write_networks(tmp_path_factory.mktemp("networks"))


COMMAND = (
    "--cfg configs/coco/resnet/256x192_res50_lr1e-3_1x.yaml --checkpoint pretrained_models/fast_res50_256x192.pth "
    "--indir examples/demo/ --eval --gpu 0,1,2,3"
)
"""Of the student report, and of AlphaPose's own introduction."""
CONFIG = """\
DATA_PRESET: {TYPE: simple, SIGMA: 2, NUM_JOINTS: 17, IMAGE_SIZE: [256, 192], HEATMAP_SIZE: [64, 48]}
MODEL: {TYPE: FastPose, PRETRAINED: '', TRY_LOAD: '', NUM_DECONV_FILTERS: [256, 256, 256], NUM_LAYERS: 50}
LOSS: {TYPE: MSELoss}
DETECTOR: {NAME: yolo, CONFIG: detector/yolo/cfg/yolov3-spp.cfg, WEIGHTS: detector/yolo/data/yolov3-spp.weights}
"""


@pytest.fixture
def alphapose_folder(networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """AlphaPose's folder, its files where the command expects them; the network of that shape has weights of zero."""
    names = ("pretrained_models", "configs/coco/resnet", "detector/yolo/data", "detector/yolox/data", "examples/demo")
    for name in names:
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "configs/coco/resnet/256x192_res50_lr1e-3_1x.yaml").write_text(CONFIG)
    with torch.device("meta"):
        state = build_network(PoseArchitecture("FastPose", 17, 50, conv_dim=128)).state_dict()
    zeros = {key: torch.zeros((), dtype=value.dtype).expand(value.shape) for key, value in state.items()}
    torch.save(zeros | {"conv_out.bias": torch.full((17,), 0.5)}, tmp_path / "pretrained_models/fast_res50_256x192.pth")
    shutil.copy(networks[3], tmp_path / "detector/yolo/data/yolov3-spp.onnx")
    shutil.copy(networks[3], tmp_path / "detector/yolox/data/yolox_x.onnx")
    for number in (785, 13):
        cv2.imwrite(str(tmp_path / f"examples/demo/{number:012d}.jpg"), spot(1))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    return tmp_path


def test_the_command_of_the_student_report_runs_as_it_was_written(
    alphapose_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert run(*COMMAND.split()) == 0
    results = results_of(alphapose_folder / "examples/res")
    assert [person["image_id"] for person in results] == [13, 785]
    assert [len(person["keypoints"]) for person in results] == [51, 51]
    assert results[0]["score"] == pytest.approx(0.5 + 0.9 + 1.25 * 0.5, abs=1e-3)
    assert caplog.messages == ["--gpus 0,1,2,3: there is no such CUDA GPU here, so the CPU does the work"]


def test_flags_that_change_nothing_say_so(alphapose_folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run(*COMMAND.split(), "--detector", "yolox", "--sp", "--vis", "--qsize", 2048) == 0
    for flag in ("sp", "vis", "qsize"):
        assert f"--{flag} changes nothing" in caplog.text


@pytest.mark.parametrize(("name", "is_refused"), [("yolox-x", True), ("yolox-nano", False), ("yolox", False)])
def test_a_yolox_of_another_size_than_was_named_is_noticed(
    networks, tmp_path: Path, name: str, is_refused: bool
) -> None:
    torch.save({"model": small_checkpoint()}, tmp_path / "yolox.pth")
    cv2.imwrite(str(tmp_path / "1.png"), spot(1))
    flags = [*networks[:2], *networks[4:], "--detector-checkpoint", tmp_path / "yolox.pth", "--detector", name]
    flags += ["--image", tmp_path / "1.png", "--outdir", tmp_path / "out"]
    if is_refused:
        with pytest.raises(ConfigError, match="--detector yolox-x, but the file of the detector is yolox-nano"):
            run(*flags)
    else:
        assert run(*flags) == 0


def test_a_detector_that_was_fetched_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CHOREAI_WEIGHTS", str(tmp_path))
    assert find_detector("yolox-nano", config="") == ""
    entry = shipped_catalogue().find("yolox_nano")
    with (tmp_path / entry.file_name).open("wb") as file:
        file.truncate(entry.num_bytes)
    assert find_detector("yolox-nano", config="") == "weights:yolox_nano"
    assert find_detector("yolox-x", config="") == find_detector("yolo", config="") == find_detector("", config="") == ""
    (tmp_path / "detector/yolox/data").mkdir(parents=True)
    (tmp_path / "detector/yolox/data/yolox_nano.pth").touch()
    assert find_detector("yolox-nano", config="") == "detector/yolox/data/yolox_nano.pth"


@pytest.mark.parametrize("flag", ["--cfg", "--checkpoint", "--detector-checkpoint", "--indir"])
def test_a_file_that_is_missing_is_named_with_its_flag(flag: str) -> None:
    arguments = pose_parser(None).parse_args(["--checkpoint", "weights:some", flag, "nowhere/it.is"])
    with pytest.raises(ConfigError, match=f"^{flag} nowhere/it.is: no such file or folder"):
        check_arguments("pose", arguments)


@pytest.mark.parametrize("num_keypoints", [26, 68, 133, 136])
def test_all_keypoints_of_a_network_are_in_the_results(tmp_path: Path, num_keypoints: int) -> None:
    flags = write_networks(tmp_path, num_keypoints=num_keypoints)
    cv2.imwrite(str(tmp_path / "1.png"), spot(1))
    assert run(*flags, "--image", tmp_path / "1.png", "--outdir", tmp_path, "--save_img") == 0
    (person,) = results_of(tmp_path)
    keypoints = np.reshape(person["keypoints"], (num_keypoints, 3))
    np.testing.assert_allclose(keypoints, np.tile(keypoints[:1], (num_keypoints, 1)), atol=1e-5)
    assert person["score"] == pytest.approx(keypoints[:, 2].mean() + 1.25 * keypoints[:, 2].max() + 0.9, abs=1e-4)
    table = read_alphapose_json(str(tmp_path / "alphapose-results.json"), video_id="a", frames_per_second=30)
    written = pq.read_table(tmp_path / "keypoints.parquet")
    for name in ("keypoints_xy", "keypoint_scores", "other_keypoints_xy", "other_keypoint_scores"):
        assert table[name].equals(written[name])


def test_images_become_a_video_of_one_size_with_boxes(networks, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), spot(1))
    cv2.imwrite(str(folder / "2.png"), cv2.resize(spot(1), (96, 48)))
    assert run(*networks, "--indir", folder, "--outdir", tmp_path, "--save_video", "--showbox") == 0
    path = tmp_path / "AlphaPose_pictures.mp4"
    with path.open("rb") as file, VideoReader(file, uri="pictures") as reader:
        sizes = {frame.image.shape for frame in reader.frames()}
    assert sizes == {spot(1).shape}


@pytest.mark.parametrize(
    ("flags", "advice"),
    [
        (["--webcam", "0"], "choreai serve"),
        (["--webcam"], "choreai serve"),
        (["--pose_flow"], "--pose_track"),
        (["--detector", "tracker"], "--pose_track"),
        (["--detector", "efficientdet_d7"], "YOLOX"),
        (["--detector", "yolx"], "choose from"),
        (["--gpus", "all"], "numbers of GPUs"),
        (["--gpus", "0,0"], "numbers of GPUs"),
        (["--gpus", "0,-1"], "numbers of GPUs"),
    ],
)
def test_what_is_not_here_is_refused_with_what_to_use_instead(
    networks, flags, advice, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*networks, "--image", "1.png", *flags)
    assert caught.value.code == 2
    assert advice in " ".join(capsys.readouterr().err.split())


def test_pycocotools_takes_the_results_of_eval_as_they_are(networks, tmp_path: Path) -> None:
    coco_api = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    (tmp_path / "in").mkdir()
    for number in (785, 139):
        cv2.imwrite(str(tmp_path / f"in/{number:012d}.jpg"), spot(3))
    assert run(*networks, "--indir", tmp_path / "in", "--outdir", tmp_path, "--eval") == 0
    people = results_of(tmp_path)
    visible = [
        {
            "id": number,
            "image_id": person["image_id"],
            "category_id": 1,
            "iscrowd": 0,
            "area": 800.0,
            "bbox": person["box"],
            "num_keypoints": 17,
            "keypoints": [2 if k % 3 == 2 else value for k, value in enumerate(person["keypoints"])],
        }
        for number, person in enumerate(people, start=1)
    ]
    images = [{"id": number, "width": 64, "height": 64} for number in (139, 785)]
    category = {"id": 1, "name": "person", "keypoints": ["k"] * 17, "skeleton": []}
    truth = {"images": images, "annotations": visible, "categories": [category]}
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    coco = coco_api.COCO(str(tmp_path / "truth.json"))
    judged = evaluation.COCOeval(coco, coco.loadRes(str(tmp_path / "alphapose-results.json")), "keypoints")
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    assert judged.stats[0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("names", "words"),
    [(["dance.png"], "'dance.png' has no number"), (["a_7.png", "b_7.png"], "2 images have the number 7")],
)
def test_images_without_a_number_of_their_own_are_not_evaluated(networks, tmp_path: Path, names, words) -> None:
    for name in names:
        cv2.imwrite(str(tmp_path / name), spot(1))
    with pytest.raises(ConfigError, match=words):
        run(*networks, "--indir", tmp_path, "--outdir", tmp_path / "out", "--eval")


def test_the_third_gpu_is_the_third_of_those_that_are_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-7")
    show_only((2,))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "GPU-7"
    with pytest.raises(ConfigError, match="--gpus 1: CUDA_VISIBLE_DEVICES shows 1 GPUs"):
        show_only((1,))


@pytest.mark.parametrize(
    ("stated", "gpus", "expected"),
    [
        ("4,5,GPU-7", (2, 0), "GPU-7,4"),
        ("4,5", (0, 1, 2, 3), "4,5"),
        (None, (0, 1, 2, 3), "0,1,2,3"),
        ("", (0, 1), ""),  # someone has hidden all of them
        ("-1", (2,), ""),
    ],
)
def test_of_the_gpus_named_those_that_are_visible_do_the_work(monkeypatch, stated, gpus, expected) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", stated or "")
    if stated is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    show_only(gpus)
    assert os.environ["CUDA_VISIBLE_DEVICES"] == expected


ALPHAPOSE_FLAGS = (
    "cfg checkpoint sp detector detfile indir list image outdir save_img vis showbox profile format min_box_area "
    "detbatch posebatch eval gpus qsize flip debug video webcam save_video vis_fast pose_flow pose_track"
).split()
"""Of its `demo_inference.py`."""


def test_the_page_for_alphapose_s_users_says_of_every_flag_what_the_parser_does() -> None:
    page = (Path(__file__).parents[1] / "docs" / "alphapose.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `--(\w+)`[^|]*\| (\w+(?: without effect)?)", page, re.MULTILINE))
    known = {name: "taken" for name in ALPHAPOSE_FLAGS}
    known |= dict.fromkeys(WITHOUT_EFFECT, "taken without effect") | dict.fromkeys(REFUSED, "refused")
    assert rows == known
    flags = {flag for action in pose_parser(None)._actions for flag in action.option_strings}
    assert {f"--{name}" for name in ALPHAPOSE_FLAGS} <= flags
