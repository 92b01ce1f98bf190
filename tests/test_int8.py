"""Int8 networks: made of float32 ones with videos of a catalog, refused where keypoints move, known by their record."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper
from tiny_onnx import constant_network, serialize
from topdown_fakes import FakeDetector

from choreai.catalog.catalog import read_catalog
from choreai.cli.main import main
from choreai.demo.dancers import write_clip
from choreai.errors import CatalogError, WeightsError
from choreai.operations.int8 import quantize_pose_network, refusal
from choreai.pose.agreement import box_agreement, keypoint_agreement
from choreai.pose.alphapose.architecture import PoseArchitecture
from choreai.pose.alphapose.checkpoint import PoseNetwork
from choreai.pose.alphapose.inference import predict_heatmaps
from choreai.pose.alphapose.onnx_export import export_onnx
from choreai.pose.crop_keypoints import CropKeypoints
from choreai.pose.detectors.detector import Boxes
from choreai.pose.int8_record import Int8Record
from choreai.pose.onnx_pose import OnnxPose
from choreai.pose.onnx_session import OnnxNetwork
from choreai.pose.quantize import RECIPES, Quantizer, Recipe, with_record

SIZE_HW = (64, 48)
RECORD = Int8Record("a" * 64, "b" * 16, "oks", 0.995, 0.98, 40, 64, "none", "unit")


def pose_network(*, loud_channel: float = 1.0, depth: int = 0) -> bytes:
    """17 heatmaps of a crop's brightness, each with a peak elsewhere; SIZE_HW crops; `depth` convolutions between.

    A loud channel beside the others takes all of the range that eight bits have for them.
    """
    height, width = SIZE_HW[0] // 4, SIZE_HW[1] // 4
    ramps = np.random.default_rng(0).random((1, 17, height, width)).astype(np.float32) / 4
    for keypoint in range(17):
        ramps[0, keypoint, 2 + keypoint % 12, 1 + keypoint % 9] = 2
    spread = np.full((18, 3, 4, 4), 1 / 48, np.float32)
    spread[17] *= loud_channel
    mix = np.zeros((17, 18, 1, 1), np.float32)
    mix[np.arange(17), np.arange(17)] = 1
    mix[:, 17] = 1e-3 / loud_channel
    between = [helper.make_node("Conv", [f"cells{at}", "same"], [f"cells{at + 1}"]) for at in range(depth)]
    nodes = [
        helper.make_node("Conv", ["images", "spread"], ["cells0"], strides=[4, 4]),
        *between,
        helper.make_node("Conv", [f"cells{depth}", "mix"], ["levels"]),
        helper.make_node("Add", ["levels", "ramps"], ["heatmaps"]),
    ]
    return serialize(
        nodes, {"images": ["N", 3, *SIZE_HW]}, {"heatmaps": ["N", 17, height, width]},
        {"spread": spread, "mix": mix, "ramps": ramps, "same": np.eye(18, dtype=np.float32)[:, :, None, None]},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine videos, three of them each for calibrating, choosing and measuring."""
    folder = tmp_path_factory.mktemp("videos")
    write_clip(folder / "0.mp4", style="hiphop", seed=0, duration_seconds=8.0, frames_per_second=1)
    for number in range(1, 9):
        (folder / f"{number}.mp4").write_bytes((folder / "0.mp4").read_bytes())
    return folder


def two_people() -> FakeDetector:
    return FakeDetector([[(100 + 40 * at, 40, 260 + 40 * at, 300) for at in range(2)]])


def crops(num: int = 24) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).random((num, 3, *SIZE_HW)).astype(np.float32))


def quantized(model: bytes, recipe: Recipe = RECIPES[0]) -> bytes:
    images = [crop[None].numpy() for crop in crops(8)]
    return Quantizer(model, OnnxNetwork(model, num_threads=1), images).quantize(recipe)


# ---- the network ----


def test_a_quantized_network_answers_nearly_the_same() -> None:
    model = pose_network()
    exact, int8 = (OnnxPose(each, preprocessing="unit", num_threads=1) for each in (model, quantized(model)))
    found, expected = int8.find_keypoints(crops()), exact.find_keypoints(crops())
    assert (found.scores - expected.scores).abs().max() > 0
    assert (found.scores - expected.scores).abs().max() < 0.05
    assert keypoint_agreement(found, expected, np.full((24, 2), 40, np.float32)).mean > 0.99


def test_layers_kept_in_float32_bring_the_network_nearer() -> None:
    model = pose_network(loud_channel=300)
    exact = OnnxPose(model, preprocessing="unit", num_threads=1).find_keypoints(crops()).scores

    def error(recipe: Recipe) -> float:
        int8 = OnnxPose(quantized(model, recipe), preprocessing="unit", num_threads=1)
        return float((int8.find_keypoints(crops()).scores - exact).abs().mean())

    assert error(Recipe(1, 1)) < 0.5 * error(Recipe(0, 0))


@pytest.mark.parametrize("opset", [11, 17])
def test_a_file_of_an_old_opset_is_converted(opset: int) -> None:
    import onnx

    model = onnx.load_model_from_string(pose_network())
    model.opset_import[0].version = opset
    names = [weight.name for weight in model.graph.initializer]
    for weight in model.graph.initializer:  # as files did before IR version 4
        model.graph.input.append(helper.make_tensor_value_info(weight.name, 1, list(weight.dims)))
    int8 = onnx.load_model_from_string(Quantizer(
        model.SerializeToString(), OnnxNetwork(pose_network(), num_threads=1), [crops(1).numpy()]
    ).quantize(Recipe(0, 0)))  # fmt: skip
    assert not {entry.name for entry in int8.graph.input} & set(names)
    assert any(node.op_type == "QuantizeLinear" for node in int8.graph.node)


def test_an_alphapose_network_is_exported_with_its_batch_norms_folded() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 17, 4, stride=4, bias=False), torch.nn.BatchNorm2d(17)).eval()
    architecture = PoseArchitecture("FastPose", 17, 50, conv_dim=128)
    model = export_onnx(PoseNetwork(module, architecture, "MSELoss", "0" * 64))
    images = torch.randn(3, 3, 256, 192)
    (found,) = OnnxNetwork(model, num_threads=1).run(images.numpy())
    torch.testing.assert_close(torch.from_numpy(found), predict_heatmaps(module, images), rtol=0, atol=1e-5)
    deformable = PoseArchitecture("FastPose", 17, 50, conv_dim=128, deformable=True)
    with pytest.raises(WeightsError, match="deformable"):
        export_onnx(PoseNetwork(module, deformable, "MSELoss", "0" * 64))
    with pytest.raises(WeightsError, match="L1JointRegression"):
        export_onnx(PoseNetwork(module, architecture, "L1JointRegression", "0" * 64))


# ---- made with a catalog, and refused ----


def test_a_good_network_says_what_it_comes_from_and_changes_the_fingerprint(folder: Path) -> None:
    import hashlib

    model, catalog = pose_network(), read_catalog(str(folder))
    outcome = quantize_pose_network(model, catalog, detector=two_people(), is_onnx=True, preprocessing="unit")
    assert outcome.is_good
    record = Int8Record.from_metadata(OnnxNetwork(outcome.model, num_threads=1).metadata)
    assert record == outcome.record
    assert record.source_sha256 == hashlib.sha256(model).hexdigest()
    assert (record.measure, record.preprocessing, record.kept) == ("oks", "unit", "none")
    assert record.mean > 0.99
    assert [trial.part for trial in outcome.trials] == ["choose", "measure"]
    before = OnnxPose(model, preprocessing="unit", num_threads=1).settings()
    assert OnnxPose(outcome.model, preprocessing="unit", num_threads=1).settings() != before
    with pytest.raises(WeightsError, match='set preprocessing = "unit"'):
        OnnxPose(outcome.model, preprocessing="imagenet", num_threads=1)


def test_a_network_whose_keypoints_move_is_refused_when_made_and_when_used() -> None:
    record = Int8Record("a" * 64, "b" * 16, "oks", 0.95, 0.8, 40, 64, "none", "unit")
    assert "more than one OKS point" in str(refusal(record))
    with pytest.raises(WeightsError, match=r"agrees with its float32 network by 0\.950 \(oks\)"):
        OnnxPose(with_record(pose_network(), record), preprocessing="unit", num_threads=1)
    OnnxPose(with_record(pose_network(), RECORD), preprocessing="unit", num_threads=1)


def test_a_record_that_is_broken_is_no_record() -> None:
    with pytest.raises(WeightsError, match="quantize the network again"):
        Int8Record.from_metadata({"choreai.int8": '{"mean": 1}'})
    assert Int8Record.from_metadata({"author": "somebody"}) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: [(folder / f"{number}.mp4").unlink() for number in range(2, 9)], "3 videos or more"),
        (lambda folder: (folder / "1.mp4").write_bytes(b"no video"), "to choose the int8 network on"),
    ],
)
def test_a_catalog_that_proves_nothing_is_refused(
    folder: Path, tmp_path: Path, change: Callable[[Path], object], words: str
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.mp4").write_bytes((folder / "0.mp4").read_bytes())
    for number in range(3, 9):
        (tmp_path / f"{number}.mp4").touch()
    change(tmp_path)
    with pytest.raises(CatalogError, match=words):
        quantize_pose_network(
            pose_network(), read_catalog(str(tmp_path)), detector=two_people(), is_onnx=True, preprocessing="unit"
        )


# ---- what is compared ----


def test_keypoints_that_do_not_move_agree_wholly_and_unsure_ones_do_not_count() -> None:
    xy, scores = torch.rand(3, 17, 2) * 100, torch.full((3, 17), 0.9)
    scores[1, 5:] = 0.1
    scores[2] = 0.1
    moved = xy.clone()
    moved[1, 5:] += 50
    box_wh = np.full((3, 2), 100, np.float32)
    agreement = keypoint_agreement(CropKeypoints(moved, scores), CropKeypoints(xy, scores), box_wh)
    assert agreement.values.tolist() == [1, 1]
    moved[0] += 3
    assert keypoint_agreement(CropKeypoints(moved, scores), CropKeypoints(xy, scores), box_wh).values[0] < 0.99


def test_a_box_that_only_one_detector_sees_agrees_with_nothing() -> None:
    one, two = (
        Boxes(np.array(boxes, np.float32), np.full(len(boxes), 0.9, np.float32))
        for boxes in ([[0, 0, 10, 20]], [[0, 0, 10, 20], [50, 50, 60, 70]])
    )
    assert box_agreement([two], [one]).values.tolist() == [1, 1, 0]
    assert box_agreement([one], [two]).found == pytest.approx(2 / 3)


# ---- the command ----


def quantize(folder: Path, tmp_path: Path, model: bytes) -> int:
    """Run `choreai weights quantize` with a detector that sees the same two people in every frame."""
    boxes = np.array([[[4, 2, 30, 40, 0.9], [30, 4, 60, 44, 0.8]]])
    (tmp_path / "detector.onnx").write_bytes(constant_network(boxes, np.zeros((1, 2))))
    (tmp_path / "pose.onnx").write_bytes(model)
    paths = [str(tmp_path / f"{name}.onnx") for name in ("pose", "detector", "int8")]
    pose, detector, output = paths
    files = ["--catalog", str(folder), "--detector-checkpoint", detector, "--output", output]
    return main(["weights", "quantize", pose, *files, "--preprocessing", "unit"])


def test_the_command_prints_what_it_measured_and_writes_the_network(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantize(folder, tmp_path, pose_network()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines[1:3]] == ["choose", "measure"]
    assert max(map(len, lines[:4])) <= 80
    assert 'preprocessing = "unit"' in lines[-1]
    OnnxPose(tmp_path / "int8.onnx", preprocessing="unit", num_threads=1)


def test_the_command_refuses_and_writes_nothing_where_keypoints_move(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert quantize(folder, tmp_path, pose_network(loud_channel=3000, depth=10)) == 2
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 1 + len(RECIPES) + 1 + 1
    assert "int8 is refused: keypoints move by more than one OKS point" in told.err
    assert not (tmp_path / "int8.onnx").exists()
