"""Read the pose network and the decoding of its heatmaps from an AlphaPose YAML config.

The rest of the file (data sets, training, the DETECTOR block) is irrelevant at inference and ignored.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import yaml  # type: ignore[import-untyped]

from choreai.errors import ConfigError
from choreai.pose.alphapose.architecture import Loss, NetworkType, PoseArchitecture

CROP_HW = (256, 192)
HEATMAP_HW = (64, 48)

# YAML values have no known type until they are checked.
Section = Mapping[str, Any]


@dataclass(frozen=True)
class PoseNetworkConfig:
    """The part of an AlphaPose config that inference needs."""

    architecture: PoseArchitecture
    loss: Loss
    """Determines how heatmaps are decoded, and the constants of pose NMS."""


def read_pose_config(text: str | bytes) -> PoseNetworkConfig:
    """Return the pose network that the text of an AlphaPose YAML file describes.

    Raises ConfigError if it is not such a file, or for a network or decoding that is not supported.
    """
    try:
        raw = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as exc:
        raise ConfigError(f"the pose config is not valid YAML: {exc}") from exc
    if not isinstance(raw, Mapping):
        raise ConfigError("the pose config must be a YAML mapping with MODEL, DATA_PRESET and LOSS")
    model, preset, loss = (_section(raw, name) for name in ("MODEL", "DATA_PRESET", "LOSS"))
    _check_size(preset, "IMAGE_SIZE", CROP_HW)
    _check_size(preset, "HEATMAP_SIZE", HEATMAP_HW)
    try:
        architecture = _read_architecture(model, _whole_number(preset, "DATA_PRESET.NUM_JOINTS"))
    except ValueError as exc:
        raise ConfigError(f"the pose config: {exc}") from exc
    return PoseNetworkConfig(architecture, _read_loss(loss))


def _read_architecture(model: Section, num_keypoints: int) -> PoseArchitecture:
    network = _choice(model, "MODEL.TYPE", get_args(NetworkType))
    if network == "PoseHighResolutionNet":
        return PoseArchitecture(network, num_keypoints)
    num_layers = _choice(model, "MODEL.NUM_LAYERS", (50, 101, 152))
    if network == "SimplePose":
        if list(model.get("NUM_DECONV_FILTERS", [256] * 3)) != [256] * 3:
            raise ConfigError("MODEL.NUM_DECONV_FILTERS other than [256, 256, 256] is not supported")
        return PoseArchitecture(network, num_keypoints, num_layers)
    if network == "FastPose_DUC":
        for stage, num_conv in (("STAGE1", 4), ("STAGE2", 2), ("STAGE3", 1)):
            if (given := _whole_number(_section(model, stage), f"{stage}.NUM_CONV")) != num_conv:
                raise ConfigError(f"MODEL.{stage}.NUM_CONV must be {num_conv}, got {given}")
        backbone = _choice(model, "MODEL.BACKBONE", ("se-resnet", "shuffle"))
        return PoseArchitecture(network, num_keypoints, num_layers, backbone)
    conv_dim = _choice({"CONV_DIM": 128, **model}, "MODEL.CONV_DIM", (128, 256))
    deformable = _read_deformable(model)
    return PoseArchitecture(network, num_keypoints, num_layers, conv_dim=conv_dim, deformable=deformable)


def _read_deformable(model: Section) -> bool:
    if "DCN" not in model:
        return False
    dcn = _section(model, "DCN")
    stages = model.get("STAGE_WITH_DCN")
    if dcn.get("MODULATED", False) or dcn.get("DEFORM_GROUP", 1) != 1 or stages != [False, True, True, True]:
        raise ConfigError(
            "only unmodulated deformable convolutions of one group in layers 2 to 4 are supported, got "
            f"DCN {dict(dcn)}, STAGE_WITH_DCN {stages}"
        )
    return True


def _read_loss(section: Section) -> Loss:
    loss: Loss = _choice(section, "LOSS.TYPE", get_args(Loss))
    if loss != "MSELoss" and (norm := section.get("NORM_TYPE")) != "sigmoid":
        raise ConfigError(f"LOSS.NORM_TYPE must be sigmoid for {loss}, got {norm!r}")
    return loss


def _section(parent: Section, name: str) -> Section:
    section = parent.get(name)
    if not isinstance(section, Mapping):
        raise ConfigError(f"the pose config has no section {name}; is it an AlphaPose config?")
    return section


def _choice(section: Section, name: str, choices: tuple[Any, ...]) -> Any:
    value = section.get(name.rsplit(".", 1)[-1])
    if value not in choices:
        raise ConfigError(f"{name} must be one of {', '.join(map(str, choices))}, got {value!r}")
    return value


def _whole_number(section: Section, name: str) -> int:
    value = section.get(name.rsplit(".", 1)[-1])
    if not isinstance(value, int) or isinstance(value, bool):
        raise ConfigError(f"{name} must be a whole number, got {value!r}")
    return value


def _check_size(preset: Section, name: str, expected: tuple[int, int]) -> None:
    given = preset.get(name, list(expected))
    if given != list(expected):
        raise ConfigError(f"DATA_PRESET.{name} must be {list(expected)} (height, width), got {given!r}")
