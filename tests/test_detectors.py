"""Detectors: exports are recognised, real people are found."""

import os
from typing import Any

import numpy as np
import pytest
import tiny_onnx
import torch
from detector_files import noise, saved, small_checkpoint
from people_pictures import SHARED, YOLOX_NANO, Picture, best_ious, read_pictures
from torch import nn

from choreai.errors import WeightsError
from choreai.pose.detectors.detector import PersonDetector
from choreai.pose.detectors.letterbox import letterbox_images
from choreai.pose.detectors.onnx_detector import load_onnx_detector
from choreai.pose.detectors.yolo import YoloDetector
from choreai.pose.detectors.yolov3 import load_yolov3
from choreai.pose.detectors.yolox import load_yolox, yolox_letterbox
from choreai.pose.detectors.yolox_network import SIZES, Yolox, decode_yolox
from choreai.pose.onnx_session import OnnxNetwork

without_nano = pytest.mark.skipif(not YOLOX_NANO.exists(), reason=f"{YOLOX_NANO} is absent")


# Exports


def yolox_answer(is_decoded: bool) -> np.ndarray:
    """One person around (24, 12), 32 x 48, on a canvas of 64 x 64."""
    raw = torch.zeros(1, 84, 85)
    raw[0, 64 + 5, :6] = torch.tensor([0.5, -0.25, np.log(2), np.log(3), 0.8, 0.9])
    return (decode_yolox(raw, (64, 64)) if is_decoded else raw).numpy()


@pytest.mark.parametrize("is_decoded", [False, True], ids=["raw", "decoded"])
def test_raw_and_decoded_exports_are_told_apart(is_decoded: bool) -> None:
    detector = load_onnx_detector(tiny_onnx.constant_network(yolox_answer(is_decoded)), num_threads=1)
    found = detector.detect([noise(32, 32), noise(64, 32)])
    np.testing.assert_allclose(found[0].box_xyxy, [[4, 0, 20, 18]], atol=1e-4)
    np.testing.assert_allclose(found[1].box_xyxy, [[8, 0, 32, 36]], atol=1e-4)
    np.testing.assert_allclose(found[0].scores, [0.8])


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([np.zeros((1, 84, 5))], "one output"),
        ([np.zeros((1, 85, 85))], "one output"),
        ([np.zeros((1, 84, 85)), np.zeros((1, 3))], "one output"),
        ([np.zeros((2, 84, 85))], "for 1 images"),
    ],
)
def test_other_exports_are_refused(answers: list[np.ndarray], reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        load_onnx_detector(tiny_onnx.constant_network(*answers), num_threads=1)


def detections_network(*, size_hw: tuple[int | str, int | str]) -> bytes:
    """A person above another, somebody unlikely, a chair, and a box without area."""
    boxes = [[8, 4, 24, 20, 0.6], [32, 8, 60, 70, 0.9], [0, 0, 9, 9, 0.05], [1, 1, 9, 9, 0.8], [5, 5, 5, 9, 0.7]]
    return tiny_onnx.constant_network(np.array([boxes]), np.array([[0, 0, 0, 56, 0]]), size_hw=size_hw)


@pytest.mark.parametrize("size_hw", [(416, 416), ("height", "width")], ids=["fixed", "free"])
def test_a_detector_with_suppression_inside_gives_people_in_the_image_the_surest_first(size_hw) -> None:
    detector = load_onnx_detector(detections_network(size_hw=size_hw), num_threads=1, min_score=0.1)
    found = detector.detect([noise(832, 832), noise(104, 52)])
    np.testing.assert_allclose(found[0].box_xyxy, [[64, 16, 120, 140], [16, 8, 48, 40]], atol=1e-4)
    np.testing.assert_allclose(found[0].scores, [0.9, 0.6])
    np.testing.assert_allclose(found[1].box_xyxy, [[8, 2, 15, 17.5], [2.0, 1, 6, 5]], atol=1e-4)
    assert detector.settings()["input_size"] == "416x416"
    assert detector.detect([]) == []


def test_a_pose_network_of_free_size_is_still_refused() -> None:
    with pytest.raises(WeightsError, match="fixed height and width"):
        OnnxNetwork(detections_network(size_hw=("height", "width")), num_threads=1)


# Real weights and people


def checkpoint_of_nano() -> tuple[bytes, Yolox]:
    """Megvii's nano as a checkpoint, made of the export's folded weights: its batch norms only add the bias."""
    import onnx

    graph = onnx.load(str(YOLOX_NANO)).graph
    values = {one.name: torch.from_numpy(onnx.numpy_helper.to_array(one).copy()) for one in graph.initializer}
    network = Yolox(SIZES["nano"]).eval()
    run: list[nn.Conv2d] = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda conv, *_: run.append(conv))
    network(torch.zeros(1, 3, 64, 64))
    exported = [node for node in graph.node if node.op_type == "Conv"]
    norms: dict[Any, Any] = {block.conv: block.bn for block in network.modules() if hasattr(block, "bn")}
    for conv, node in zip(run, exported, strict=True):
        weight, bias = (values[name] for name in node.input[1:])
        assert conv.weight.shape == weight.shape
        conv.weight.data = weight
        if conv in norms:
            norms[conv].bias.data = bias
            norms[conv].running_var.fill_(1 - norms[conv].eps)
        else:
            assert conv.bias is not None
            conv.bias.data = bias
    return saved({"start_epoch": 300, "model": network.state_dict()}), network


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return read_pictures()


@pytest.fixture(scope="module")
def nano() -> YoloDetector:
    return load_yolox(checkpoint_of_nano()[0])


@pytest.fixture(scope="module")
def nano_onnx() -> PersonDetector:
    return load_onnx_detector(YOLOX_NANO, num_threads=1)


@pytest.mark.shared
@without_nano
class TestNano:
    def test_our_network_answers_as_the_export(self, pictures: list[Picture]) -> None:
        import onnxruntime

        session = onnxruntime.InferenceSession(str(YOLOX_NANO), providers=["CPUExecutionProvider"])
        canvas = letterbox_images([pictures[0].image], yolox_letterbox((416, 416))).float()
        with torch.inference_mode():
            found = checkpoint_of_nano()[1](canvas)
        expected = session.run(None, {"images": canvas.numpy()})[0]
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-3)

    def test_all_twelve_people_are_found(
        self, nano: YoloDetector, nano_onnx: PersonDetector, pictures: list[Picture]
    ) -> None:
        images = [picture.image for picture in pictures]
        for detector in (nano, nano_onnx):
            found = detector.detect(images)
            ious = [best_ious(one.box_xyxy, boxes.box_xyxy) for one, boxes in zip(pictures, found, strict=True)]
            assert (np.concatenate(ious) > 0.5).sum() == 12
        assert nano.settings()["detector"] == "yolox-nano"
        assert nano.settings()["input_size"] == "416x416"
        assert len(str(nano.settings()["detector_sha256"])) == 64

    @pytest.mark.parametrize("batch_size", [1, 7, 32])
    def test_the_batch_size_changes_nothing(
        self, nano: YoloDetector, nano_onnx: PersonDetector, pictures: list[Picture], batch_size: int
    ) -> None:
        crops = [picture.image[:, edge:] for edge in (0, 30) for picture in pictures]  # sizes are mixed
        images = [*crops, torch.zeros((120, 160, 3), dtype=torch.uint8)]
        for detector in (nano, nano_onnx):
            expected = [detector.detect([image])[0] for image in images]
            detector.batch_size, before = batch_size, detector.batch_size
            found = detector.detect(images)
            detector.batch_size = before
            assert len(found[-1]) == 0
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one.box_xyxy, other.box_xyxy, atol=0.01)
                np.testing.assert_allclose(one.scores, other.scores, atol=1e-4)
        assert nano.detect([]) == []

    def test_a_cut_export_is_refused(self) -> None:
        with pytest.raises(WeightsError, match="not an ONNX network"):
            load_onnx_detector(YOLOX_NANO.read_bytes()[:100_000], num_threads=1)

    @pytest.mark.gpu
    @pytest.mark.skipif(
        not torch.cuda.is_available() and os.environ.get("CHOREAI_REQUIRE_GPU") != "1", reason="needs an NVIDIA GPU"
    )
    def test_a_gpu_finds_the_same_boxes(self, nano: YoloDetector, pictures: list[Picture]) -> None:
        on_gpu = load_yolox(checkpoint_of_nano()[0], device="cuda")
        images = [picture.image for picture in pictures]
        for one, other in zip(on_gpu.detect([image.cuda() for image in images]), nano.detect(images), strict=True):
            np.testing.assert_allclose(one.box_xyxy, other.box_xyxy, atol=0.1)


def test_a_missing_file_is_named() -> None:
    missing = SHARED / "there is no such file"
    for load in (load_yolox, load_yolov3, lambda path: load_onnx_detector(path, num_threads=1)):
        with pytest.raises(WeightsError, match="no such file"):
            load(missing)


def test_input_sizes_must_be_multiples_of_32() -> None:
    with pytest.raises(ValueError, match="multiple of 32"):
        load_yolox(saved({"model": small_checkpoint()}), input_size=400)
    with pytest.raises(ValueError, match="multiple of 32"):
        load_yolov3(b"", input_size=600)
