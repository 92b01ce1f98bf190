"""AlphaPose's networks and checkpoints: keys, answers, and every way in which a file may be wrong."""

import hashlib
import importlib.util
import io
import json
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from golden import make_golden
from torch import nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from choreai.errors import ConfigError, WeightsError
from choreai.pose.alphapose import deformable
from choreai.pose.alphapose.architecture import PUBLIC_CONFIGS, PoseArchitecture, fitting_configs, infer_architecture
from choreai.pose.alphapose.checkpoint import build_network, load_pose_network
from choreai.pose.alphapose.config import PoseNetworkConfig, read_pose_config
from choreai.pose.alphapose.deformable import DeformableConv2d
from choreai.pose.alphapose.inference import predict_heatmaps, prepare
from choreai.pose.alphapose.keypoints import MIRROR_PAIRS, mirror_order
from choreai.pose.heatmaps import decode_heatmaps, decoding_for

SHARED = Path(__file__).resolve().parents[2] / "shared" / "alphapose"
NETWORKS = ("fastpose", "simplepose", "hrnet")
KEY_FILES = sorted(path.stem for path in SHARED.glob("keys/*.json") if path.stem.startswith(NETWORKS))
ANSWER_FILES = sorted(path.stem for path in SHARED.glob("golden/*.npz") if path.stem.startswith(NETWORKS))
FASTPOSE_17 = PoseArchitecture("FastPose", 17, 50, conv_dim=128)


def shared(names: list[str]) -> list[object]:
    """The names as marked parameters, or one that skips where ../shared is absent."""
    absent = pytest.mark.skip(reason=f"{SHARED} is absent")
    params = [pytest.param(name, marks=pytest.mark.shared) for name in names]
    return params or [pytest.param("absent", marks=[pytest.mark.shared, absent])]


def relative_error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The greatest difference over the expected values' standard deviation."""
    return float((found - expected).abs().max() / expected.std())


def light_state(architecture: PoseArchitecture) -> OrderedDict[str, torch.Tensor]:
    """A state dict with the network's keys and shapes whose tensors take no room: one value each, expanded."""
    with torch.device("meta"):
        network = build_network(architecture)
    return OrderedDict(
        (key, torch.ones((), dtype=value.dtype).expand(value.shape)) for key, value in network.state_dict().items()
    )


def saved(content: object, *, legacy: bool = False) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=not legacy)
    return buffer.getvalue()


def yaml_text(model: str, *, num_keypoints: int = 17, loss: str = "{TYPE: MSELoss}") -> str:
    return (
        f"DATA_PRESET: {{TYPE: simple, SIGMA: 2, NUM_JOINTS: {num_keypoints}, IMAGE_SIZE: [256, 192], "
        f"HEATMAP_SIZE: [64, 48]}}\nMODEL: {model}\nLOSS: {loss}\n"
        "DETECTOR: {NAME: yolo}\nTRAIN: {WORLD_SIZE: 4}\n"
    )


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


# ---------------------------------------------------------------- checkpoints


@pytest.mark.parametrize(("config", "architecture"), PUBLIC_CONFIGS)
def test_every_published_network_is_recognised_by_its_shapes(config: str, architecture: PoseArchitecture) -> None:
    found = load_pose_network(saved(light_state(architecture)), config=PoseNetworkConfig(architecture, "MSELoss"))
    assert found.architecture == architecture
    assert f"configs/{config}.yaml" in fitting_configs(found.architecture)


def test_a_checkpoint_gives_its_own_weights_and_its_hash(tmp_path: Path) -> None:
    state = light_state(FASTPOSE_17)
    state["conv_out.bias"] = torch.arange(17.0)
    path = tmp_path / "fast_res50_256x192.pth"
    path.write_bytes(saved(state))
    found = load_pose_network(path)
    assert found.module.state_dict()["conv_out.bias"].tolist() == list(range(17))
    assert not found.module.training
    assert found.loss == "MSELoss"
    assert found.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    with path.open("rb") as file:
        assert load_pose_network(file).sha256 == found.sha256


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {key: value for key, value in state.items() if "num_batches" not in key},
        lambda state: {"epoch": 3, "state_dict": state},
        lambda state: {"model": {f"module.{key}": value for key, value in state.items()}, "best": 0.7},
        lambda state: {key: value.half() if "num" not in key else value for key, value in state.items()},
    ],
    ids=["module.", "no counters", "state_dict", "model", "float16"],
)
@pytest.mark.parametrize("legacy", [False, True])
def test_the_usual_wrappings_of_a_checkpoint_are_seen_through(
    rewrite: Callable[[OrderedDict[str, torch.Tensor]], object], legacy: bool
) -> None:
    found = load_pose_network(saved(rewrite(light_state(FASTPOSE_17)), legacy=legacy))
    assert found.architecture == FASTPOSE_17
    assert {value.dtype for value in found.module.parameters()} == {torch.float32}
    assert not [key for key, value in found.module.state_dict().items() if value.is_meta]


class RunsCode:
    """What unpickling must not do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_checkpoint_with_code_is_refused_and_its_code_not_run(tmp_path: Path, legacy: bool) -> None:
    path = tmp_path / "was-run"
    data = saved({"conv.weight": torch.zeros(1), "extra": RunsCode(path)}, legacy=legacy)
    with pytest.raises(WeightsError, match="code, which is never run"):
        load_pose_network(data)
    assert not path.exists()


@pytest.mark.parametrize("legacy", [False, True])
def test_a_cut_checkpoint_is_refused_wherever_it_is_cut(legacy: bool) -> None:
    data = saved(OrderedDict(a=torch.randn(50), b=torch.randn(50)), legacy=legacy)
    for length in range(0, len(data) - 1, 7):
        with pytest.raises(WeightsError):
            load_pose_network(data[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<html>404 Not Found</html>", "cannot be read"),
        (pickle.dumps([1, 2, 3]), "cannot be read"),
        (saved([torch.zeros(1)]), "contains a list"),
        (saved({}), "contains a dict"),
        (saved({"epoch": 3}), "'epoch' is not a tensor"),
        (saved({"backbone.dark2.0.conv.weight": torch.zeros(1)}), "backbone.dark2.0.conv.weight"),
        (saved({"duc1.conv.weight": torch.zeros(1)}), "no convolution conv_out.weight"),
    ],
    ids=["page", "pickle", "list", "empty", "no tensors", "detector", "cut by hand"],
)
def test_what_is_no_pose_checkpoint_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        load_pose_network(data)


def test_a_missing_file_is_a_weights_error(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"nowhere\.pth"):
        load_pose_network(tmp_path / "nowhere.pth")


def without(key: str) -> Callable[[OrderedDict[str, torch.Tensor]], object]:
    return lambda state: {k: v for k, v in state.items() if k != key}


def with_tensor(key: str, value: torch.Tensor) -> Callable[[OrderedDict[str, torch.Tensor]], object]:
    return lambda state: {**state, key: value}


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        (without("preact.layer3.2.bn1.bias"), r"Missing key.*preact\.layer3\.2\.bn1\.bias"),
        (with_tensor("extra.weight", torch.zeros(3)), r"Unexpected key.*extra\.weight"),
        (with_tensor("preact.bn1.bias", torch.zeros(3)), r"preact\.bn1\.bias"),
        (with_tensor("preact.bn1.bias", torch.full((64,), torch.nan)), "not finite"),
        (with_tensor("duc2.conv.weight", torch.zeros(768, 256, 3, 3)), "768 output channels"),
        (with_tensor("preact.layer3.6.bn1.bias", torch.zeros(256)), r"\(3, 4, 7, 3\) blocks"),
        (with_tensor("preact.layer2.0.conv2_offset.weight", torch.zeros(27, 128, 3, 3)), "27 channels"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    rewrite: Callable[[OrderedDict[str, torch.Tensor]], object], message: str
) -> None:
    with pytest.raises(WeightsError, match=message):
        load_pose_network(saved(rewrite(light_state(FASTPOSE_17))))


def test_a_wider_hrnet_is_named() -> None:
    state = {"stage4.0.branches.0.0.conv1.weight": torch.zeros(48, 48, 3, 3)}
    with pytest.raises(WeightsError, match="HRNet-W48"):
        load_pose_network(saved(state))


def test_a_config_that_does_not_fit_is_answered_with_the_one_that_does() -> None:
    config = read_pose_config(yaml_text("{TYPE: FastPose, NUM_LAYERS: 152, CONV_DIM: 256}", num_keypoints=136))
    with pytest.raises(WeightsError) as caught:
        load_pose_network(saved(light_state(FASTPOSE_17)), config=config)
    for part in (
        "DATA_PRESET.NUM_JOINTS is 136 in the config but 17 in the checkpoint",
        "MODEL.NUM_LAYERS is 152 in the config but 50",
        "MODEL.CONV_DIM is 256 in the config but 128",
        "configs/coco/resnet/256x192_res50_lr1e-3_1x.yaml",
    ):
        assert part in str(caught.value)


def test_whole_body_networks_need_their_config_to_be_read() -> None:
    architecture = PoseArchitecture("FastPose", 136, 50, conv_dim=256)
    data = saved(light_state(architecture))
    with pytest.raises(WeightsError, match=r"256x192_res50_lr1e-3_2x\.yaml or .*_2x-regression\.yaml"):
        load_pose_network(data)
    config = PoseNetworkConfig(architecture, "L1JointRegression")
    assert load_pose_network(data, config=config).loss == "L1JointRegression"


# ---------------------------------------------------------------- configs

INTEGRAL = "{TYPE: L1JointRegression, NORM_TYPE: sigmoid, OUTPUT_3D: False}"
DUC_STAGES = "STAGE1: {NUM_CONV: 4}, STAGE2: {NUM_CONV: 2}, STAGE3: {NUM_CONV: 1}"
DCN = "DCN: {MODULATED: False, DEFORM_GROUP: 1}, STAGE_WITH_DCN: [False, True, True, True]"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("{TYPE: FastPose, NUM_LAYERS: 50}", FASTPOSE_17),
        (
            f"{{TYPE: FastPose, BACKBONE: se-resnet, NUM_LAYERS: 152, CONV_DIM: 256, {DUC_STAGES}}}",
            PoseArchitecture("FastPose", 17, 152, conv_dim=256),
        ),
        (
            f"{{TYPE: FastPose, NUM_LAYERS: 50, {DCN}}}",
            PoseArchitecture("FastPose", 17, 50, conv_dim=128, deformable=True),
        ),
        (
            f"{{TYPE: FastPose_DUC, BACKBONE: shuffle, NUM_LAYERS: 50, {DUC_STAGES}}}",
            PoseArchitecture("FastPose_DUC", 17, 50, "shuffle"),
        ),
        ("{TYPE: SimplePose, NUM_LAYERS: 101}", PoseArchitecture("SimplePose", 17, 101)),
        ("{TYPE: PoseHighResolutionNet, NUM_LAYERS: 50}", PoseArchitecture("PoseHighResolutionNet", 17)),
    ],
)
def test_a_config_names_its_network(model: str, expected: PoseArchitecture) -> None:
    assert read_pose_config(yaml_text(model)) == PoseNetworkConfig(expected, "MSELoss")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid YAML"),
        ("!!python/object/apply:os.getcwd []", "not valid YAML"),
        ("just words", "mapping"),
        ("{MODEL: {TYPE: FastPose}}", "no section DATA_PRESET"),
        (yaml_text("{TYPE: HarDNetPose, NUM_LAYERS: 68}"), "MODEL.TYPE must be one of"),
        (
            yaml_text("{TYPE: FastPose, NUM_LAYERS: 34}"),
            "MODEL.NUM_LAYERS must be one of 50, 101, 152, got 34",
        ),
        (yaml_text("{TYPE: FastPose, NUM_LAYERS: 50, CONV_DIM: 64}"), "MODEL.CONV_DIM"),
        (yaml_text("{TYPE: FastPose, NUM_LAYERS: 50, DCN: {MODULATED: True}}"), "deformable"),
        (yaml_text("{TYPE: FastPose, NUM_LAYERS: 50}", loss="{TYPE: Wing}"), "LOSS.TYPE"),
        (
            yaml_text("{TYPE: FastPose, NUM_LAYERS: 50}", loss="{TYPE: Combined, NORM_TYPE: softmax}"),
            "NORM_TYPE must be sigmoid",
        ),
        (yaml_text("{TYPE: FastPose, NUM_LAYERS: 50}").replace("256, 192", "384, 288"), "IMAGE_SIZE"),
        (
            yaml_text("{TYPE: FastPose, NUM_LAYERS: 50}").replace("NUM_JOINTS: 17", "NUM_JOINTS: 0"),
            "positive",
        ),
        (yaml_text("{TYPE: FastPose, NUM_LAYERS: 50}").replace("NUM_JOINTS: 17", "A: 1"), "NUM_JOINTS"),
    ],
)
def test_a_config_that_cannot_be_used_is_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_pose_config(text)


def test_a_config_gives_the_loss() -> None:
    text = yaml_text("{TYPE: FastPose, NUM_LAYERS: 50}", num_keypoints=21, loss=INTEGRAL)
    assert read_pose_config(text.encode()).loss == "L1JointRegression"


# ---------------------------------------------------------------- mirror images


@pytest.mark.parametrize("num_keypoints", MIRROR_PAIRS)
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
    assert {frozenset(pair) for pair in pairs} == {frozenset(pair) for pair in MIRROR_PAIRS[num_keypoints]}
