"""Pose networks in .onnx files: heatmaps and SimCC, batches, what is refused, and accuracy on real people."""

from collections.abc import Callable

import numpy as np
import pytest
import tiny_onnx
import torch
from onnx import TensorProto, helper
from people_pictures import SIMPLE_POSE, Picture, read_pictures

from choreai.errors import ConfigError, WeightsError
from choreai.pose.crop_keypoints import CropKeypoints
from choreai.pose.crops import crop_people, pad_boxes
from choreai.pose.onnx_pose import PREPROCESSING, OnnxPose, Preprocessing
from choreai.pose.onnx_session import OnnxNetwork

# The spread of COCO's annotators by keypoint, from the COCO keypoint evaluation.
COCO_SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000


def crops_with_spots(places: list[list[tuple[int, int]]], size_hw: tuple[int, int] = (64, 48)) -> torch.Tensor:
    """(P, 3, H, W): in crop p, colour k is 0.9 at places[p][k] (x, y) and 0 elsewhere."""
    crops = torch.zeros(len(places), 3, *size_hw)
    for crop, spots in zip(crops, places, strict=True):
        for plane, (x, y) in zip(crop, spots, strict=True):
            plane[y, x] = 0.9
    return crops


PLACES = [[(4 * ((7 * p + 3 * k) % 12), 4 * ((5 * p + k) % 16)) for k in range(3)] for p in range(5)]


@pytest.mark.parametrize("batch", ["N", 1, 2, 8])
@pytest.mark.parametrize("build", [tiny_onnx.heatmap_network, tiny_onnx.simcc_network])
def test_peaks_are_read_in_crop_pixels_whatever_the_batch(build: Callable[..., bytes], batch: str | int) -> None:
    pose = OnnxPose(build(batch=batch), preprocessing="unit", num_threads=1)
    assert pose.num_keypoints == 3
    assert pose.crop_settings.size_hw == (64, 48)
    found = pose.find_keypoints(crops_with_spots(PLACES))
    np.testing.assert_allclose(found.xy.numpy(), PLACES, atol=1e-5)
    np.testing.assert_allclose(found.scores.numpy(), 0.9, rtol=1e-6)


@pytest.mark.parametrize("build", [tiny_onnx.heatmap_network, tiny_onnx.simcc_network])
@pytest.mark.parametrize("batch", ["N", 1])
def test_no_crops_give_no_keypoints(build: Callable[..., bytes], batch: str | int) -> None:
    found = OnnxPose(build(batch=batch), preprocessing="unit", num_threads=1).find_keypoints(torch.zeros(0, 3, 64, 48))
    assert found.xy.shape == (0, 3, 2)
    assert found.scores.shape == (0, 3)


@pytest.mark.parametrize("split_ratio", [1, 2, 3])
def test_simcc_bins_are_parts_of_a_pixel(split_ratio: int) -> None:
    pose = OnnxPose(tiny_onnx.simcc_network(split_ratio=split_ratio), preprocessing="imagenet", num_threads=1)
    places = [[(47, 63), (0, 1), (13, 20)]]
    np.testing.assert_allclose(pose.find_keypoints(crops_with_spots(places)).xy.numpy(), places)


def test_simcc_scores_are_the_lower_peak_and_nothing_is_at_the_corner() -> None:
    x, y = np.zeros((1, 2, 96)), np.zeros((1, 2, 128))
    x[0, 0, 21], y[0, 0, 40] = 0.7, 0.4
    x[0, 1, 21] = 0.7  # and no peak in y
    pose = OnnxPose(tiny_onnx.constant_network(x, y, size_hw=(64, 48)), preprocessing="imagenet", num_threads=1)
    found = pose.find_keypoints(torch.zeros(1, 3, 64, 48))
    np.testing.assert_allclose(found.xy.numpy(), [[[10.5, 20], [0.0, 0]]])
    np.testing.assert_allclose(found.scores.numpy(), [[0.4, 0]])


def test_channels_may_come_last() -> None:
    pose = OnnxPose(tiny_onnx.heatmap_network(channels_last=True), preprocessing="unit", num_threads=1)
    np.testing.assert_allclose(pose.find_keypoints(crops_with_spots(PLACES)).xy.numpy(), PLACES)


def test_half_precision_networks_get_and_give_what_they_need() -> None:
    model = tiny_onnx.heatmap_network(dtype=TensorProto.FLOAT16)
    found = OnnxPose(model, preprocessing="unit", num_threads=1).find_keypoints(crops_with_spots(PLACES))
    assert found.scores.dtype == torch.float32
    np.testing.assert_allclose(found.scores.numpy(), 0.9, rtol=1e-3)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (b"", "not an ONNX network"),
        (b"not a network at all", "not an ONNX network"),
        (tiny_onnx.heatmap_network()[:-20], "not an ONNX network"),
        (tiny_onnx.constant_network(np.zeros((1, 17, 16, 16)), num_inputs=2), "must have one input"),
        (
            tiny_onnx.serialize(
                [helper.make_node("Identity", ["images"], ["same"])],
                {"images": [1, 3, 64, 48]},
                {"same": [1, 3, 64, 48]},
                {},
                dtype=TensorProto.DOUBLE,
            ),
            r"must be tensor\(float\)",
        ),
        (tiny_onnx.constant_network(*[np.zeros((1, 17, 128))] * 3), "a pose network outputs"),
        (tiny_onnx.constant_network(np.zeros((1, 3549, 85))), "a pose network outputs"),
        (tiny_onnx.constant_network(np.zeros((1, 17, 16, 12))), "a pose network outputs"),
        (tiny_onnx.constant_network(np.zeros((1, 17, 128)), np.zeros((1, 17, 96))), "a pose network outputs"),
        (tiny_onnx.constant_network(np.zeros((1, 17, 128)), np.zeros((1, 16, 128))), "a pose network outputs"),
    ],
    ids=["empty", "text", "cut", "inputs", "double", "three", "detector", "shape", "simcc", "keypoints"],
)
def test_what_is_no_pose_network_is_refused_with_the_reason(model: bytes, reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        OnnxPose(model, preprocessing="imagenet", num_threads=1)


def test_open_sizes_and_other_channels_are_refused() -> None:
    shapes: list[list[str | int]] = [["N", 3, "H", "W"], ["N", 4, 64, 48], ["N", 3, 64], [1, 1, 64, 48]]
    for shape in shapes:
        nodes = [helper.make_node("Identity", ["images"], ["heatmaps"])]
        model = tiny_onnx.serialize(nodes, {"images": shape}, {"heatmaps": shape}, {})
        with pytest.raises(WeightsError, match="export it with"):
            OnnxNetwork(model, num_threads=1)


def test_a_device_that_onnxruntime_lacks_is_a_wrong_setting() -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has CUDA")
    with pytest.raises(ConfigError, match="onnxruntime-gpu"):
        OnnxPose(tiny_onnx.heatmap_network(), preprocessing="imagenet", num_threads=1, device="cuda")


def test_crops_of_another_size_are_a_mistake() -> None:
    pose = OnnxPose(tiny_onnx.heatmap_network(), preprocessing="unit", num_threads=1)
    with pytest.raises(ValueError, match="crops must be"):
        pose.find_keypoints(torch.zeros(1, 3, 256, 192))


def test_keypoints_come_back_into_the_frame() -> None:
    """A spot drawn in a frame is found where it was drawn, through box, crop, network and back."""
    frame = torch.zeros((300, 400, 3), dtype=torch.uint8)
    for colour, (x, y) in enumerate([(200, 100), (230, 160), (180, 140)]):
        frame[y - 3 : y + 4, x - 3 : x + 4, colour] = 200
        frame[y, x, colour] = 255
    for model in (tiny_onnx.heatmap_network(), tiny_onnx.simcc_network()):
        pose = OnnxPose(model, preprocessing="unit", num_threads=1)
        boxes = pad_boxes(np.array([[150, 60, 250, 200]], np.float32), pose.crop_settings)
        found = pose.find_keypoints(crop_people([frame], boxes, np.zeros(1, np.int64), pose.crop_settings))
        in_frame = found.in_frame(boxes, pose.crop_settings)[0]
        np.testing.assert_allclose(in_frame, [(200, 100), (230, 160), (180, 140)], atol=8)  # a heatmap cell is 11 px
    exact = CropKeypoints(torch.tensor([[[24.0, 32.0], [0.0, 0.0]]]), torch.ones(1, 2))
    centre, corner = exact.in_frame(boxes, pose.crop_settings)[0]
    np.testing.assert_allclose(centre, [200, 130])
    np.testing.assert_allclose(corner, boxes[0, :2])


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return read_pictures()


@pytest.mark.shared
@pytest.mark.skipif(not SIMPLE_POSE.exists(), reason=f"{SIMPLE_POSE} is absent")
def test_real_people_are_posed_as_annotated(pictures: list[Picture]) -> None:
    """COCO's object keypoint similarity; 0.79 was measured elsewhere with this network and these boxes."""
    pose = OnnxPose(SIMPLE_POSE, preprocessing="imagenet", num_threads=1)
    similarities = []
    for picture in pictures:
        boxes = pad_boxes(picture.box_xyxy, pose.crop_settings)
        crops = crop_people([picture.image], boxes, np.zeros(len(boxes), np.int64), pose.crop_settings)
        found = pose.find_keypoints(crops).in_frame(boxes, pose.crop_settings)
        errors = ((found - picture.keypoints[..., :2]) ** 2).sum(2)
        closeness = np.exp(-errors / (2 * (2 * COCO_SIGMAS) ** 2 * picture.areas[:, None]))
        annotated = picture.keypoints[..., 2] > 0
        similarities += [closeness[person][annotated[person]].mean() for person in range(len(boxes))]
    assert len(similarities) == 12
    assert np.mean(similarities) > 0.77


def test_presets_are_what_their_networks_were_trained_with() -> None:
    white = torch.full((8, 8, 3), 255, dtype=torch.uint8)
    white[..., 2] = 0
    expected: dict[Preprocessing, list[float]] = {
        "imagenet": [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, -0.406 / 0.225],
        "imagenet-bgr": [-0.406 / 0.225, (1 - 0.456) / 0.224, (1 - 0.485) / 0.229],
        "unit": [1, 1, 0],
        "alphapose": [1 - 0.406, 1 - 0.457, -0.480],
    }
    assert expected.keys() == PREPROCESSING.keys()
    for name, values in expected.items():
        crop = crop_people([white], np.array([[1, 1, 4, 5]], np.float32), np.zeros(1, np.int64), PREPROCESSING[name])
        np.testing.assert_allclose(crop[0, :, 100, 100], values, atol=1e-5)
