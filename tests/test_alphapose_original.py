"""Ours against the original AlphaPose package, wherever a user has it installed; skipped elsewhere.

PyPI's alphapose 1.1 lacks its layers and counts as not installed: a package counts when it builds a network.
"""

import importlib
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from choreai.pose.alphapose.architecture import infer_architecture
from choreai.pose.alphapose.checkpoint import build_network
from choreai.pose.alphapose.inference import predict_heatmaps, prepare
from choreai.pose.crops import ALPHAPOSE_CROPS, crop_people, pad_boxes
from choreai.pose.heatmaps import decode_heatmaps, decoding_for
from choreai.pose.nms import HEATMAP_CONSTANTS, pose_nms

MODELS = {
    "FastPose": {"TYPE": "FastPose", "PRETRAINED": "", "TRY_LOAD": "", "NUM_LAYERS": 50},
    "SimplePose": {
        "TYPE": "SimplePose",
        "PRETRAINED": "",
        "TRY_LOAD": "",
        "NUM_DECONV_FILTERS": [256, 256, 256],
        "NUM_LAYERS": 50,
    },
}
PRESET = {"TYPE": "simple", "SIGMA": 2, "NUM_JOINTS": 17, "IMAGE_SIZE": [256, 192], "HEATMAP_SIZE": [64, 48]}


def original(module: str) -> Any:  # the package has no types
    try:
        return importlib.import_module(f"alphapose.{module}")
    except ImportError as exc:
        pytest.skip(f"the original AlphaPose is not installed, or not whole: {exc}")


def build_original(model: dict[str, object]) -> torch.nn.Module:
    builder = original("models.builder")
    easydict = pytest.importorskip("easydict", reason="the original AlphaPose needs it")
    torch.manual_seed(0)
    try:
        return builder.build_sppe(easydict.EasyDict(model), preset_cfg=easydict.EasyDict(PRESET)).eval()
    except OSError as exc:  # it fetches ImageNet weights, to overwrite them
        pytest.skip(f"the original AlphaPose cannot build a network here: {exc}")


@pytest.mark.parametrize("name", MODELS)
def test_one_state_dict_gives_the_originals_heatmaps(name: str) -> None:
    theirs = build_original(MODELS[name])
    state = theirs.state_dict()
    ours = build_network(infer_architecture({key: tuple(value.shape) for key, value in state.items()}))
    ours.load_state_dict(state)
    crops = torch.rand(2, 3, 256, 192) - 0.45
    with torch.no_grad():
        expected = theirs(crops)
    for network in (ours.eval(), prepare(ours, device="cpu")):
        found = predict_heatmaps(network, crops)
        assert (found - expected).abs().max() / expected.std() < 1e-4


@pytest.mark.parametrize(
    "box", [[100.0, 60.0, 220.0, 340.0], [-40.0, 200.0, 90.0, 420.0], [300.0, 100.0, 620.0, 180.0]]
)
def test_crops_are_the_originals(box: list[float]) -> None:
    presets = original("utils.presets")
    dataset = SimpleNamespace(
        joint_pairs=[], num_joints_half_body=8, prob_half_body=-1, upper_body_ids=(), lower_body_ids=()
    )
    transformation = presets.SimpleTransform(
        dataset,
        scale_factor=0,
        input_size=PRESET["IMAGE_SIZE"],
        output_size=PRESET["HEATMAP_SIZE"],
        rot=0,
        sigma=2,
        train=False,
        add_dpg=False,
    )
    coarse = np.random.default_rng(0).integers(0, 256, (50, 80, 3), np.uint8)
    image = cv2.resize(coarse, (640, 400), interpolation=cv2.INTER_CUBIC)
    expected, expected_box = transformation.test_transform(image, np.array(box, np.float32))
    padded = pad_boxes(np.array([box], np.float32), ALPHAPOSE_CROPS)
    np.testing.assert_allclose(padded[0], expected_box, atol=1e-3)
    (found,) = crop_people([torch.from_numpy(image)], padded, np.array([0]), ALPHAPOSE_CROPS)
    apart = 255 * (found - torch.as_tensor(expected)).abs()
    # The original crops with the OpenCV that is installed, whose version 4 interpolates in 1/32 of a pixel.
    assert apart.max() <= 8
    assert apart.mean() <= 0.35


def test_heatmaps_are_read_as_by_the_original() -> None:
    transforms = original("utils.transforms")
    heatmaps = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 17, 64, 48)).astype(np.float32))
    boxes = pad_boxes(np.array([[10, 20, 110, 300], [-5, 0, 40, 60], [200, 80, 500, 260], [0, 0, 1, 1]], np.float32),
                      ALPHAPOSE_CROPS)  # fmt: skip
    found = decode_heatmaps(heatmaps, boxes, decoding=decoding_for(17, "MSELoss"))
    for person, box in enumerate(boxes):
        xy, scores = transforms.heatmap_to_coord_simple(heatmaps[person], box.tolist())
        np.testing.assert_allclose(found.xy[person], np.asarray(xy).reshape(17, 2), atol=0.01)
        np.testing.assert_allclose(found.scores[person], np.asarray(scores).reshape(17), atol=1e-4)


@pytest.mark.parametrize("num_keypoints", [17, 26, 133, 136])
def test_duplicates_are_dropped_as_by_the_original(num_keypoints: int) -> None:
    nms = original("utils.pPose_nms")
    rng = np.random.default_rng(0)
    people = rng.uniform(0, 200, (4, 1, 2)) + rng.uniform(0, 150, (4, num_keypoints, 2))
    xy = np.concatenate([people, people[:2] + rng.normal(0, 1.5, (2, num_keypoints, 2))]).astype(np.float32)
    scores = rng.uniform(0.2, 1, (6, num_keypoints)).astype(np.float32)
    boxes = np.concatenate((xy.min(axis=1), xy.max(axis=1)), axis=1)
    ours = pose_nms(boxes, xy, scores, constants=HEATMAP_CONSTANTS)
    answer = nms.pose_nms(
        torch.from_numpy(boxes),
        torch.full((6, 1), 0.9),
        torch.zeros(6, 1),
        torch.from_numpy(xy.copy()),
        torch.from_numpy(scores[..., None].copy()),
        0,
    )
    their_boxes, their_xy, their_scores = answer[0], answer[3], answer[4]
    np.testing.assert_allclose(boxes[ours.picks], np.stack([np.asarray(box) for box in their_boxes]), atol=1e-4)
    np.testing.assert_allclose(ours.keypoints_xy, np.stack([np.asarray(xy) for xy in their_xy]), atol=0.01)
    found = np.stack([np.asarray(scores).reshape(num_keypoints) for scores in their_scores])
    np.testing.assert_allclose(ours.keypoint_scores, found, atol=1e-4)
    assert len(ours) < 6
