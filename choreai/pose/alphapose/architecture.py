"""Recognise a checkpoint's network by its shapes, and the public config that it belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from choreai.errors import WeightsError

NetworkType = Literal["FastPose", "FastPose_DUC", "SimplePose", "PoseHighResolutionNet"]
Loss = Literal["MSELoss", "L1JointRegression", "Combined"]
NumLayers = Literal[50, 101, 152]
Shapes = Mapping[str, tuple[int, ...]]

BLOCKS_PER_LAYER: dict[NumLayers, tuple[int, ...]] = {
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
HRNET_WIDTH = 32
OFFSET_CHANNELS = 18


@dataclass(frozen=True)
class PoseArchitecture:
    """Parameters that determine a pose network's layers, named as in AlphaPose's configs."""

    type: NetworkType
    num_keypoints: int
    num_layers: NumLayers | None = None
    """Layers of the ResNet; None for HRNet."""
    backbone: Literal["se-resnet", "shuffle"] | None = None
    """Backbone of FastPose_DUC; None for types that have only one."""
    conv_dim: Literal[128, 256] | None = None
    """Channels before FastPose's last convolution; None for other types."""
    deformable: bool = False
    """Whether layers 2 to 4 of FastPose have deformable convolutions."""

    def __post_init__(self) -> None:
        if self.num_keypoints < 1:
            raise ValueError(f"num_keypoints must be positive, got {self.num_keypoints}")
        if (self.num_layers is None) != (self.type == "PoseHighResolutionNet"):
            raise ValueError(f"num_layers must be given for ResNets and only for them, got {self}")
        if (self.backbone is not None) != (self.type == "FastPose_DUC"):
            raise ValueError(f"backbone must be given for FastPose_DUC and only for it, got {self}")
        if (self.conv_dim is not None) != (self.type == "FastPose"):
            raise ValueError(f"conv_dim must be given for FastPose and only for it, got {self}")
        if self.deformable and self.type != "FastPose":
            raise ValueError(f"only FastPose has deformable convolutions, got {self}")


CONFIG_KEYS = {
    "type": "MODEL.TYPE",
    "num_keypoints": "DATA_PRESET.NUM_JOINTS",
    "num_layers": "MODEL.NUM_LAYERS",
    "backbone": "MODEL.BACKBONE",
    "conv_dim": "MODEL.CONV_DIM",
    "deformable": "MODEL.DCN",
}


def _fastpose(num_keypoints: int, conv_dim: Literal[128, 256], *, deformable: bool = False) -> PoseArchitecture:
    return PoseArchitecture("FastPose", num_keypoints, 50, conv_dim=conv_dim, deformable=deformable)


PUBLIC_CONFIGS: tuple[tuple[str, PoseArchitecture], ...] = (
    ("coco/resnet/256x192_res50_lr1e-3_1x", _fastpose(17, 128)),
    ("coco/resnet/256x192_res50_lr1e-3_1x-duc", PoseArchitecture("FastPose_DUC", 17, 50, "shuffle")),
    ("coco/resnet/256x192_res152_lr1e-3_1x-duc", PoseArchitecture("FastPose_DUC", 17, 152, "se-resnet")),
    ("coco/resnet/256x192_res50_lr1e-3_1x-simple", PoseArchitecture("SimplePose", 17, 50)),
    ("coco/hrnet/256x192_w32_lr1e-3", PoseArchitecture("PoseHighResolutionNet", 17)),
    ("coco/resnet/256x192_res50_lr1e-3_2x-dcn", _fastpose(17, 128, deformable=True)),
    ("halpe_26/resnet/256x192_res50_lr1e-3_1x", _fastpose(26, 128)),
    ("halpe_136/resnet/256x192_res50_lr1e-3_2x", _fastpose(136, 256)),
    ("halpe_136/resnet/256x192_res50_lr1e-3_2x-regression", _fastpose(136, 256)),
    ("halpe_136/resnet/256x192_res152_lr1e-3_1x-duc", PoseArchitecture("FastPose", 136, 152, conv_dim=256)),
    ("halpe_coco_wholebody_136/resnet/256x192_res50_lr1e-3_2x-regression", _fastpose(136, 128)),
    (
        "halpe_coco_wholebody_136/resnet/256x192_res50_lr1e-3_2x-dcn-combined",
        _fastpose(136, 256, deformable=True),
    ),
    ("halpe_68_noface/resnet/256x192_res50_lr1e-3_2x-dcn-combined", _fastpose(68, 256, deformable=True)),
    ("coco_wholebody/resnet/256x192_res50_lr1e-3_2x-combined", _fastpose(133, 256)),
    ("single_hand/resnet/256x192_res50_lr1e-3_2x-dcn-regression", _fastpose(21, 256, deformable=True)),
)
"""AlphaPose's published configs (under its configs/, without .yaml) and the networks they describe."""

LOSS_WITHOUT_CONFIG: dict[int, Loss] = {
    17: "MSELoss",
    21: "L1JointRegression",
    26: "MSELoss",
    68: "Combined",
}
"""The loss of all public checkpoints with this number of keypoints; 133 and 136 are missing because theirs differ."""


def fitting_configs(architecture: PoseArchitecture) -> list[str]:
    """Return the public configs of this network; often one, sometimes several with different losses."""
    return [f"configs/{name}.yaml" for name, known in PUBLIC_CONFIGS if known == architecture]


def describe_differences(checkpoint: PoseArchitecture, config: PoseArchitecture) -> list[str]:
    """Return one phrase per setting in which the two differ, by its name in the config file."""
    return [
        f"{CONFIG_KEYS[field.name]} is {getattr(config, field.name)} in the config "
        f"but {getattr(checkpoint, field.name)} in the checkpoint"
        for field in fields(PoseArchitecture)
        if getattr(checkpoint, field.name) != getattr(config, field.name)
    ]


def infer_architecture(shapes: Shapes) -> PoseArchitecture:
    """Return the network whose state dict has these keys and shapes. Raises WeightsError if it is not supported."""
    if "duc1.conv.weight" in shapes:
        return PoseArchitecture(
            "FastPose",
            _out_channels(shapes, "conv_out.weight"),
            _num_layers(shapes),
            conv_dim=_conv_dim(shapes),
            deformable=_is_deformable(shapes),
        )
    if "duc1.1.weight" in shapes:
        unshuffle = "preact.layer2.0.conv2.1.weight" in shapes
        return PoseArchitecture(
            "FastPose_DUC",
            _out_channels(shapes, "conv_out.weight"),
            _num_layers(shapes),
            backbone="shuffle" if unshuffle else "se-resnet",
        )
    if "deconv_layers.0.weight" in shapes:
        return PoseArchitecture("SimplePose", _out_channels(shapes, "final_layer.weight"), _num_layers(shapes))
    if "stage4.0.branches.0.0.conv1.weight" in shapes:
        width = _out_channels(shapes, "stage4.0.branches.0.0.conv1.weight")
        if width != HRNET_WIDTH:
            raise WeightsError(f"this is an HRNet-W{width}; only HRNet-W{HRNET_WIDTH} is supported")
        return PoseArchitecture("PoseHighResolutionNet", _out_channels(shapes, "final_layer.weight"))
    raise WeightsError(
        "this is not a checkpoint of FastPose, FastPose_DUC, SimplePose or HRNet-W32: its keys start with "
        f"{', '.join(list(shapes)[:3]) or '(there are none)'}; give an AlphaPose pose checkpoint"
    )


def _out_channels(shapes: Shapes, key: str) -> int:
    if key not in shapes or len(shapes[key]) != 4 or shapes[key][0] < 1:
        raise WeightsError(
            f"no convolution {key} in the checkpoint, got {shapes.get(key, 'nothing')}; is it truncated?"
        )
    return shapes[key][0]


def _conv_dim(shapes: Shapes) -> Literal[128, 256]:
    match _out_channels(shapes, "duc2.conv.weight"):
        case 512:
            return 128
        case 1024:
            return 256
        case other:
            raise WeightsError(f"duc2.conv.weight has {other} output channels; FastPose has 512 or 1024")


def _num_layers(shapes: Shapes) -> NumLayers:
    blocks = tuple(_num_blocks(shapes, f"preact.layer{layer}.") for layer in (1, 2, 3, 4))
    for num_layers, known_blocks in BLOCKS_PER_LAYER.items():
        if blocks == known_blocks:
            return num_layers
    raise WeightsError(f"the ResNet has {blocks} blocks per layer; 50, 101 and 152 layers are supported")


def _num_blocks(shapes: Shapes, prefix: str) -> int:
    return len({key.removeprefix(prefix).split(".")[0] for key in shapes if key.startswith(prefix)})


def _is_deformable(shapes: Shapes) -> bool:
    key = "preact.layer2.0.conv2_offset.weight"
    if key not in shapes:
        return False
    if (channels := _out_channels(shapes, key)) != OFFSET_CHANNELS:
        raise WeightsError(
            f"{key} has {channels} channels; modulated or grouped deformable convolutions are not supported"
        )
    return True
