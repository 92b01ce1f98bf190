"""AlphaPose's checkpoints and configs: recognised, loaded, or refused with the reason."""

import hashlib
import io
import pickle
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from choreai.errors import ConfigError, WeightsError
from choreai.pose.alphapose.architecture import PUBLIC_CONFIGS, PoseArchitecture, fitting_configs
from choreai.pose.alphapose.checkpoint import build_network, load_pose_network
from choreai.pose.alphapose.config import PoseNetworkConfig, read_pose_config

FASTPOSE_17 = PoseArchitecture("FastPose", 17, 50, conv_dim=128)


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


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch, of the pickle that is refused
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
