"""AlphaPose's networks: keys, heatmaps, deformable convolutions, mirror images."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from golden import make_golden
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from choreai.pose.alphapose import deformable
from choreai.pose.alphapose.architecture import PUBLIC_CONFIGS, PoseArchitecture, infer_architecture
from choreai.pose.alphapose.checkpoint import build_network
from choreai.pose.alphapose.deformable import DeformableConv2d
from choreai.pose.alphapose.inference import predict_heatmaps, prepare
from choreai.pose.alphapose.keypoints import MIRROR_ORDERS, mirror_order
from choreai.pose.heatmaps import decode_heatmaps, decoding_for

SHARED = Path(__file__).resolve().parents[2] / "shared" / "alphapose"
NETWORKS = ("fastpose", "simplepose", "hrnet")
KEY_FILES = sorted(path.stem for path in SHARED.glob("keys/*.json") if path.stem.startswith(NETWORKS))
ANSWER_FILES = sorted(path.stem for path in SHARED.glob("golden/*.npz") if path.stem.startswith(NETWORKS))
FASTPOSE_17 = PoseArchitecture("FastPose", 17, 50, conv_dim=128)


def shared(names: list[str]) -> list[Any]:
    """The names as marked parameters, or one that skips where ../shared is absent."""
    absent = pytest.mark.skip(reason=f"{SHARED} is absent")
    params = [pytest.param(name, marks=pytest.mark.shared) for name in names]
    return params or [pytest.param("absent", marks=[pytest.mark.shared, absent])]


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The greatest difference over the expected values' standard deviation."""
    return float((found - expected).abs().max() / expected.std())


# ---------------------------------------------------------------- networks


@pytest.mark.parametrize("name", shared(KEY_FILES))
def test_every_key_shape_and_operation_is_as_in_alphapose(name: str) -> None:
    facts = json.loads((SHARED / "keys" / f"{name}.json").read_text())
    architecture = {f"configs/{name}.yaml": known for name, known in PUBLIC_CONFIGS}[facts["config"]]
    with torch.device("meta"):
        network = build_network(architecture).eval()
    assert {key: [list(value.shape), str(value.dtype)] for key, value in network.state_dict().items()} == {
        key: [shape, dtype] for key, shape, dtype in facts["state_dict"]
    }
    with FlopCounterMode(display=False) as counter:
        answer = network(torch.empty(1, 3, 256, 192, device="meta"))
    assert list(answer.shape[1:]) == facts["output_shape"]
    assert counter.get_total_flops() == pytest.approx(facts["gflops_256x192"] * 1e9, rel=1e-9)


@pytest.fixture(scope="module")
def fill() -> Callable[[nn.Module], None]:
    """AlphaPose's goldens' own rule for weights."""
    spec = importlib.util.spec_from_file_location("fill_weights", SHARED / "fill_weights.py")
    assert spec is not None
    assert spec.loader is not None
    module: ModuleType = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.fill


@pytest.mark.parametrize("name", shared(ANSWER_FILES))
def test_heatmaps_equal_those_of_alphapose(name: str, fill: Callable[[nn.Module], None]) -> None:
    golden = np.load(SHARED / "golden" / f"{name}.npz")
    facts = json.loads((SHARED / "keys" / f"{name}.json").read_text())
    shapes = {key: tuple(shape) for key, shape, _ in facts["state_dict"]}
    with torch.device("meta"):  # spares random weights
        network = build_network(infer_architecture(shapes))
    network = network.to_empty(device="cpu").eval()
    fill(network)
    heatmaps = predict_heatmaps(network, torch.from_numpy(golden["input"]))
    # The original answered on another machine; 2e-3 is where the order of float32 sums ends. Seen: 4e-6.
    expected = torch.from_numpy(golden["heatmaps"])
    assert relative_error(heatmaps, expected) < 2e-3
    fast = predict_heatmaps(prepare(network, device="cpu"), torch.from_numpy(golden["input"]))
    whole_crops = np.tile(np.array([0, 0, 192, 256], np.float32), (len(expected), 1))
    decoding = decoding_for(expected.shape[1], "MSELoss")
    found, theirs = (decode_heatmaps(maps, whole_crops, decoding=decoding) for maps in (fast, expected))
    assert (found.xy - theirs.xy).abs().max() < 0.01


@pytest.mark.parametrize("name", make_golden.NETWORKS)
def test_heatmaps_are_what_they_were(name: str) -> None:
    golden = torch.from_numpy(np.load(make_golden.FILE)[name])
    network = make_golden.filled_network(make_golden.NETWORKS[name])
    crops = make_golden.golden_input()
    heatmaps = predict_heatmaps(network, crops)
    assert relative_error(torch.from_numpy(make_golden.thinned(heatmaps)), golden) < 1e-4
    ready = prepare(network, device="cpu")
    assert not [module for module in ready.modules() if isinstance(module, nn.BatchNorm2d)]
    assert relative_error(predict_heatmaps(ready, crops), heatmaps) < 2e-5  # seen: 5e-6
    assert [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]  # left as it was


def test_the_flip_test_averages_a_crop_and_its_mirror_image() -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 17, 7, stride=4, padding=3)
    crops = torch.randn(2, 3, 256, 192)
    with torch.inference_mode():
        straight, turned = network(crops), network(crops.flip(3))
    expected = straight.clone()
    for keypoint, mirror in enumerate(mirror_order(17)):
        for column in range(48):
            expected[:, keypoint, :, column] += turned[:, mirror, :, 47 - max(column - 1, 0)]
    torch.testing.assert_close(predict_heatmaps(network, crops, mirror=mirror_order(17)), expected / 2)


def test_a_half_precision_network_answers_in_float32() -> None:
    network = prepare(nn.Conv2d(3, 17, 7, stride=4, padding=3), device="cpu", dtype=torch.bfloat16)
    assert predict_heatmaps(network, torch.randn(1, 3, 256, 192)).dtype == torch.float32


# ---------------------------------------------------------------- deformable convolution


def naive_deformable(images: np.ndarray, offsets: np.ndarray, weight: np.ndarray, stride: int) -> np.ndarray:
    """The rule written as loops: tap t of output (y, x) reads the image at its own fractional place."""
    num_images, channels, height, width = images.shape
    out = np.zeros((num_images, len(weight), *offsets.shape[2:]))

    def pixel(n: int, y: int, x: int) -> np.ndarray:
        return images[n, :, y, x] if 0 <= y < height and 0 <= x < width else np.zeros(channels)

    for n, y, x, tap in np.ndindex(num_images, *offsets.shape[2:], 9):
        at_y = stride * y - 1 + tap // 3 + offsets[n, 2 * tap, y, x]
        at_x = stride * x - 1 + tap % 3 + offsets[n, 2 * tap + 1, y, x]
        top, left = int(np.floor(at_y)), int(np.floor(at_x))
        down, right = at_y - top, at_x - left
        sample = (
            pixel(n, top, left) * (1 - down) * (1 - right)
            + pixel(n, top, left + 1) * (1 - down) * right
            + pixel(n, top + 1, left) * down * (1 - right)
            + pixel(n, top + 1, left + 1) * down * right
        )
        out[n, :, y, x] += weight[:, :, tap // 3, tap % 3] @ sample
    return out


@pytest.mark.parametrize("stride", [1, 2])
def test_deformable_convolution_equals_the_rule_written_as_loops(stride: int) -> None:
    torch.manual_seed(stride)
    conv = DeformableConv2d(3, 4, stride=stride).requires_grad_(False)
    images = torch.randn(2, 3, 6 * stride, 4 * stride)
    offsets = 2.5 * torch.randn(2, 18, 6, 4)  # far enough to leave the image
    expected = naive_deformable(images.numpy(), offsets.numpy(), conv.weight.numpy(), stride)
    np.testing.assert_allclose(conv(images, offsets).numpy(), expected, atol=1e-5)


def test_deformable_convolution_without_offsets_is_a_convolution() -> None:
    torch.manual_seed(0)
    conv = DeformableConv2d(5, 7, stride=2).requires_grad_(False)
    images = torch.randn(3, 5, 8, 10)
    expected = functional.conv2d(images, conv.weight, stride=2, padding=1)
    torch.testing.assert_close(conv(images, torch.zeros(3, 18, 4, 5)), expected)


def test_deformable_convolution_in_pieces_equals_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    conv = DeformableConv2d(5, 7, stride=1).requires_grad_(False)
    images, offsets = torch.randn(7, 5, 8, 6), torch.randn(7, 18, 8, 6)
    whole = conv(images, offsets)
    monkeypatch.setattr(deformable, "SAMPLES_BYTES", 2 * 5 * 9 * 8 * 6 * 4)  # two images
    torch.testing.assert_close(conv(images, offsets), whole)


# ---------------------------------------------------------------- mirror images


@pytest.mark.parametrize("num_keypoints", MIRROR_ORDERS)
def test_mirroring_twice_changes_nothing(num_keypoints: int) -> None:
    order = mirror_order(num_keypoints)
    assert sorted(order) == list(range(num_keypoints))
    assert [order[k] for k in order] == list(range(num_keypoints))


def test_an_unknown_keypoint_set_has_no_mirror() -> None:
    with pytest.raises(ValueError, match="33"):
        mirror_order(33)


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is absent")
@pytest.mark.parametrize(
    ("num_keypoints", "name"),
    [
        (17, "mscoco"),
        (21, "single_hand"),
        (26, "halpe_26"),
        (68, "halpe_68_noface"),
        (133, "coco_wholebody"),
        (136, "halpe_136"),
    ],
)
def test_mirror_pairs_are_alphaposes(num_keypoints: int, name: str) -> None:
    pairs = json.loads((SHARED / "keypoint_topology.json").read_text())["flip_pairs"][name]
    expected = list(range(num_keypoints))
    for left, right in pairs:
        expected[left], expected[right] = right, left
    assert mirror_order(num_keypoints) == tuple(expected)
