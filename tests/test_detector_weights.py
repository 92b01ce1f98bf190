"""Detectors' networks: keys of the public weights, files that are refused, cells and anchors."""

import json
import os
from collections.abc import Callable

import numpy as np
import pytest
import torch
from detector_files import noise, saved, small_checkpoint
from people_pictures import SHARED
from torch import nn

from choreai.errors import WeightsError
from choreai.pose.detectors.yolov3 import load_yolov3, read_darknet_state
from choreai.pose.detectors.yolov3_network import ANCHORS, Yolov3Spp, decode_yolov3
from choreai.pose.detectors.yolox import load_yolox
from choreai.pose.detectors.yolox_network import SIZES, Yolox, YoloxName, decode_yolox, infer_yolox

KEYS = SHARED / "alphapose" / "keys"
without_keys = pytest.mark.skipif(not KEYS.exists(), reason=f"{KEYS} is absent")
YOLOV3_FLOATS = 63_052_381


def keyed_shapes(name: str) -> dict[str, tuple[int, ...]]:
    content = json.loads((KEYS / f"{name}.json").read_text())
    return {key: tuple(shape) for key, shape, _ in content["state_dict"]}


def on_meta(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.device("meta"):
        return build()


def shapes_of(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in network.state_dict().items()}


# Networks and weights files


@pytest.mark.shared
@without_keys
@pytest.mark.parametrize("name", ["tiny", "s", "m", "l", "x"])
def test_yolox_has_the_keys_of_the_public_checkpoints(name: str) -> None:
    shapes = keyed_shapes(f"yolox_{name}")
    found_name, architecture = infer_yolox(shapes)
    assert found_name == name
    assert shapes_of(on_meta(lambda: Yolox(architecture))) == shapes


@pytest.mark.parametrize("name", SIZES)
def test_every_yolox_size_is_told_by_its_shapes(name: YoloxName) -> None:
    network = on_meta(lambda: Yolox(SIZES[name]))
    assert infer_yolox(shapes_of(network)) == (name, SIZES[name])
    answer = network.eval()(torch.empty((2, 3, 96, 64), device="meta"))
    assert answer.shape == (2, 12 * 8 + 6 * 4 + 3 * 2, 85)


@pytest.mark.shared
@without_keys
def test_yolov3_has_the_keys_and_rows_of_the_original() -> None:
    network = on_meta(Yolov3Spp).eval()
    assert shapes_of(network) == keyed_shapes("yolov3_spp")
    assert network(torch.empty((1, 3, 608, 608), device="meta")).shape == (1, 22743, 85)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda state: saved({"model": state})[:-50_000], "truncated"),
        (lambda state: b"no checkpoint", "truncated"),
        (lambda state: saved({"model": {}}), "not a state dict"),
        (lambda state: saved(3), "not a state dict"),
        (lambda state: saved({"conv1.weight": torch.zeros(3)}), "not a YOLOX checkpoint"),
        (lambda state: saved({"model": dict(list(state.items())[:-1])}), "head.obj_preds.2.bias"),
        (lambda state: saved({"model": {**state, "head.extra": torch.zeros(2)}}), "head.extra"),
        (lambda state: saved({"model": {**state, "head.obj_preds.0.bias": torch.zeros(3)}}), "head.obj_preds.0.bias"),
        (
            lambda state: saved({"model": {**state, "head.obj_preds.0.bias": torch.tensor([np.nan])}}),
            "head.obj_preds.0.bias has values that are not finite",
        ),
        (
            lambda state: saved(
                {"model": {**state, "backbone.backbone.stem.conv.conv.weight": torch.zeros(7, 12, 3, 3)}}
            ),
            "stem_channels=7",
        ),
    ],
    ids=["cut", "text", "empty", "number", "other", "missing", "extra", "shape", "nan", "size"],
)
def test_a_spoilt_checkpoint_says_what_is_wrong(spoil: Callable[[dict], bytes], reason: str) -> None:
    with pytest.raises(WeightsError, match=reason):
        load_yolox(spoil(small_checkpoint()))


def test_a_checkpoint_that_holds_code_is_refused() -> None:
    with pytest.raises(WeightsError, match="never run"):
        load_yolox(saved({"model": small_checkpoint(), "hook": os.getcwd}))


def test_folding_batch_norms_changes_nothing() -> None:
    torch.manual_seed(0)
    network = Yolox(SIZES["nano"]).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    images = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        before = network(images)
        network.fold_batch_norms()
        torch.testing.assert_close(network(images), before, atol=1e-5, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_yolox_offsets_are_cells_and_sizes_exponents_of_the_stride() -> None:
    raw = torch.zeros(1, 84, 85)
    raw[0, 64 + 5, :4] = torch.tensor([0.5, -0.25, np.log(2), np.log(3)])  # at stride 16: row 1, column 1
    decoded = decode_yolox(raw, (64, 64))
    torch.testing.assert_close(decoded[0, 64 + 5, :4], torch.tensor([24.0, 12.0, 32.0, 48.0]))
    torch.testing.assert_close(decoded[0, [9, 83], :4], torch.tensor([[8.0, 8, 8, 8], [32, 32, 32, 32]]))


def test_yolov3_rows_are_cells_then_anchors() -> None:
    raw = torch.zeros(1, 255, 2, 3)
    raw[0, 85 : 85 + 4, 1, 2] = torch.tensor([100.0, -100.0, np.log(2), 0.0])  # second anchor, row 1, column 2
    decoded = decode_yolov3(raw, ANCHORS[0], 32)
    row = (1 * 3 + 2) * 3 + 1
    torch.testing.assert_close(decoded[0, row, :4], torch.tensor([96.0, 32.0, 2 * 156, 198]))
    torch.testing.assert_close(decoded[0, 0, :5], torch.tensor([16.0, 16.0, 116, 90, 0.5]))


@pytest.fixture(scope="module")
def darknet_file() -> bytes:
    """Small numbers that tell their place in the file."""
    floats = np.linspace(0.001, 0.01, YOLOV3_FLOATS, dtype=np.float32)
    return np.array([0, 2, 0, 0, 0], "<i4").tobytes() + floats.tobytes()


def test_darknet_floats_go_where_the_file_order_says(darknet_file: bytes) -> None:
    floats = np.frombuffer(darknet_file, "<f4", offset=20)
    state = read_darknet_state(darknet_file)
    names = ["batch_norm_0.bias", "batch_norm_0.weight", "batch_norm_0.running_mean", "batch_norm_0.running_var"]
    for place, name in enumerate(names):
        np.testing.assert_array_equal(state[f"module_list.0.{name}"], floats[32 * place : 32 * (place + 1)])
    np.testing.assert_array_equal(state["module_list.0.conv_0.weight"].flatten(), floats[128 : 128 + 32 * 27])
    np.testing.assert_array_equal(state["module_list.112.conv_112.weight"].flatten(), floats[-255 * 256 :])
    np.testing.assert_array_equal(
        state["module_list.112.conv_112.bias"], floats[-255 * 257 : -255 * 256]
    )  # a bias comes first


def test_a_darknet_file_answers_boxes_inside_the_image(darknet_file: bytes) -> None:
    """With predictions made the same everywhere: the anchors of all cells, clipped."""
    state = read_darknet_state(darknet_file)
    for layer in (88, 100, 112):
        state[f"module_list.{layer}.conv_{layer}.weight"].zero_()
        state[f"module_list.{layer}.conv_{layer}.bias"].zero_().view(3, 85)[:, 4:6] = 1
    floats = np.concatenate([values.flatten().numpy() for values in state.values()])
    detector = load_yolov3(darknet_file[:20] + floats.tobytes(), input_size=64, min_score=0.3)
    boxes = detector.detect([noise(50, 90)])[0]
    np.testing.assert_allclose(boxes.scores, 1 / (1 + np.exp(-1)), rtol=1e-6)
    np.testing.assert_allclose(boxes.box_xyxy[0], [0, 0, 90, 50])
    smallest = boxes.box_xyxy[(boxes.box_xyxy[:, :2] > 0).all(1)].min(0)
    assert (boxes.box_xyxy <= [90, 50, 90, 50]).all()
    assert smallest[2] - smallest[0] > 10 * 90 / 64 - 1
    assert detector.settings()["detector"] == "yolov3-spp"
    assert detector.settings()["min_score"] == 0.3


@pytest.mark.parametrize(
    ("num_bytes", "found"),
    [
        (20 + 4 * (YOLOV3_FLOATS - 1), "63052380:"),
        (20 + 4 * YOLOV3_FLOATS - 3, "63052380 and a fraction"),
        (20 + 4 * (YOLOV3_FLOATS + 1), "63052382:"),
        (0, "0"),
    ],
)
def test_a_darknet_file_of_another_length_tells_both_numbers(num_bytes: int, found: str) -> None:
    with pytest.raises(WeightsError, match=rf"63052381 floats .* {found}"):
        load_yolov3(bytes(num_bytes))


def test_darknets_pools_count_zeros_at_the_border() -> None:
    from choreai.pose.detectors.yolov3_network import _max_over

    pooled = _max_over(torch.full((1, 1, 19, 19), -1.0), 5)
    assert pooled[0, 0, 9, 9] == -1
    assert pooled[0, 0, 0, 9] == 0
