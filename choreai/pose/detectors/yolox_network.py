"""YOLOX in plain PyTorch (Ge et al. 2021, "YOLOX: Exceeding YOLO Series in 2021").

Attribute names are the state-dict keys of Megvii's checkpoints and cannot be changed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from choreai.errors import WeightsError

Shapes = Mapping[str, tuple[int, ...]]
YoloxName = Literal["nano", "tiny", "s", "m", "l", "x"]

STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class YoloxArchitecture:
    """Parameters that determine YOLOX's layers."""

    stem_channels: int
    depth: int
    """Number of bottlenecks in the smallest layers."""
    depthwise: bool
    num_classes: int = 80


SIZES: dict[YoloxName, YoloxArchitecture] = {
    "nano": YoloxArchitecture(16, 1, depthwise=True),
    "tiny": YoloxArchitecture(24, 1, depthwise=False),
    "s": YoloxArchitecture(32, 1, depthwise=False),
    "m": YoloxArchitecture(48, 2, depthwise=False),
    "l": YoloxArchitecture(64, 3, depthwise=False),
    "x": YoloxArchitecture(80, 4, depthwise=False),
}


def infer_yolox(shapes: Shapes) -> tuple[YoloxName, YoloxArchitecture]:
    """Return the size and architecture whose state dict has these keys and shapes. Raises WeightsError if unknown."""
    stem = shapes.get("backbone.backbone.stem.conv.conv.weight", ())
    classes = shapes.get("head.cls_preds.0.weight", ())
    if len(stem) != 4 or len(classes) != 4:
        first = ", ".join(list(shapes)[:3]) or "(there are none)"
        raise WeightsError(f"this is not a YOLOX checkpoint: its keys start with {first}; give one of Megvii's YOLOX")
    prefix = "backbone.backbone.dark2.1.m."
    blocks = {key.removeprefix(prefix).split(".")[0] for key in shapes if key.startswith(prefix)}
    depthwise = "backbone.backbone.dark2.0.dconv.conv.weight" in shapes
    found = YoloxArchitecture(stem[0], len(blocks), depthwise, classes[0])
    for name, size in SIZES.items():
        if (size.stem_channels, size.depth, size.depthwise) == (found.stem_channels, found.depth, found.depthwise):
            return name, found
    raise WeightsError(f"the checkpoint is a YOLOX of unknown size: {found}; the known sizes are {', '.join(SIZES)}")


class ConvBlock(nn.Module):
    """Convolution, batch norm, SiLU."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int = 1, stride: int = 1, *, groups: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.bn: nn.Module = nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return functional.silu(self.bn(self.conv(features)), inplace=True)


class DepthwiseBlock(nn.Module):
    """A depthwise 3x3 block followed by a pointwise one."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.dconv = ConvBlock(in_channels, in_channels, 3, stride, groups=in_channels)
        self.pconv = ConvBlock(in_channels, out_channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.pconv(self.dconv(features))


def conv3x3(in_channels: int, out_channels: int, stride: int = 1, *, depthwise: bool) -> nn.Module:
    """Return a 3x3 block, depthwise for the small sizes."""
    if depthwise:
        return DepthwiseBlock(in_channels, out_channels, stride)
    return ConvBlock(in_channels, out_channels, 3, stride)


class Bottleneck(nn.Module):
    """1x1 and 3x3 blocks of equal width, with or without a residual connection."""

    def __init__(self, channels: int, *, residual: bool, depthwise: bool) -> None:
        super().__init__()
        self.conv1 = ConvBlock(channels, channels)
        self.conv2 = conv3x3(channels, channels, depthwise=depthwise)
        self.residual = residual

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = self.conv2(self.conv1(features))
        return hidden + features if self.residual else hidden


class CspLayer(nn.Module):
    """Half of the channels go through bottlenecks, the other half around them (Wang et al. 2020)."""

    def __init__(self, in_channels: int, out_channels: int, depth: int, *, residual: bool, depthwise: bool) -> None:
        super().__init__()
        hidden = out_channels // 2
        self.conv1 = ConvBlock(in_channels, hidden)
        self.conv2 = ConvBlock(in_channels, hidden)
        self.conv3 = ConvBlock(2 * hidden, out_channels)
        self.m = nn.Sequential(*(Bottleneck(hidden, residual=residual, depthwise=depthwise) for _ in range(depth)))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        through, past = self.conv1(features), self.conv2(features)
        return self.conv3(torch.cat((self.m(through), past), dim=1))


class SpatialPyramid(nn.Module):
    """Spatial pyramid pooling: maxima over 5, 9 and 13 pixels, concatenated with the features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvBlock(channels, channels // 2)
        self.conv2 = ConvBlock(2 * channels, channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = self.conv1(features)
        maxima = [functional.max_pool2d(hidden, size, stride=1, padding=size // 2) for size in (5, 9, 13)]
        return self.conv2(torch.cat((hidden, *maxima), dim=1))


class Focus(nn.Module):
    """Space to depth: each 2x2 pixels become channels (left column first), then a 3x3 block."""

    def __init__(self, out_channels: int) -> None:
        super().__init__()
        self.conv = ConvBlock(12, out_channels, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        parts = [images[..., row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.conv(torch.cat(parts, dim=1))


class CspDarknet(nn.Module):
    """Features at strides 8, 16 and 32."""

    def __init__(self, architecture: YoloxArchitecture) -> None:
        super().__init__()
        base, depth, depthwise = architecture.stem_channels, architecture.depth, architecture.depthwise

        def stage(channels: int, repeats: int) -> list[nn.Module]:
            return [
                conv3x3(channels // 2, channels, 2, depthwise=depthwise),
                CspLayer(channels, channels, repeats, residual=True, depthwise=depthwise),
            ]

        self.stem = Focus(base)
        self.dark2 = nn.Sequential(*stage(2 * base, depth))
        self.dark3 = nn.Sequential(*stage(4 * base, 3 * depth))
        self.dark4 = nn.Sequential(*stage(8 * base, 3 * depth))
        self.dark5 = nn.Sequential(
            conv3x3(8 * base, 16 * base, 2, depthwise=depthwise),
            SpatialPyramid(16 * base),
            CspLayer(16 * base, 16 * base, depth, residual=False, depthwise=depthwise),
        )

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        stride8 = self.dark3(self.dark2(self.stem(images)))
        stride16 = self.dark4(stride8)
        return stride8, stride16, self.dark5(stride16)


class FeaturePyramid(nn.Module):
    """The backbone's features mixed over the strides, down and up again (Liu et al. 2018, "PANet")."""

    def __init__(self, architecture: YoloxArchitecture) -> None:
        super().__init__()
        depthwise = architecture.depthwise
        small, middle, large = (factor * architecture.stem_channels for factor in (4, 8, 16))

        def mix(in_channels: int, out_channels: int) -> CspLayer:
            return CspLayer(in_channels, out_channels, architecture.depth, residual=False, depthwise=depthwise)

        self.backbone = CspDarknet(architecture)
        self.lateral_conv0 = ConvBlock(large, middle)
        self.C3_p4 = mix(2 * middle, middle)
        self.reduce_conv1 = ConvBlock(middle, small)
        self.C3_p3 = mix(2 * small, small)
        self.bu_conv2 = conv3x3(small, small, 2, depthwise=depthwise)
        self.C3_n3 = mix(2 * small, middle)
        self.bu_conv1 = conv3x3(middle, middle, 2, depthwise=depthwise)
        self.C3_n4 = mix(2 * middle, large)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        stride8, stride16, stride32 = self.backbone(images)
        from32 = self.lateral_conv0(stride32)
        mixed16 = self.C3_p4(torch.cat((_double(from32), stride16), dim=1))
        from16 = self.reduce_conv1(mixed16)
        out8 = self.C3_p3(torch.cat((_double(from16), stride8), dim=1))
        out16 = self.C3_n3(torch.cat((self.bu_conv2(out8), from16), dim=1))
        return out8, out16, self.C3_n4(torch.cat((self.bu_conv1(out16), from32), dim=1))


class Head(nn.Module):
    """Predicts classes, boxes and objectness of every cell, with separate branches at each stride."""

    def __init__(self, architecture: YoloxArchitecture) -> None:
        super().__init__()
        width = 4 * architecture.stem_channels

        def branch() -> nn.Sequential:
            return nn.Sequential(*(conv3x3(width, width, depthwise=architecture.depthwise) for _ in range(2)))

        self.stems = nn.ModuleList(ConvBlock(factor * architecture.stem_channels, width) for factor in (4, 8, 16))
        self.cls_convs = nn.ModuleList(branch() for _ in STRIDES)
        self.reg_convs = nn.ModuleList(branch() for _ in STRIDES)
        self.cls_preds = nn.ModuleList(nn.Conv2d(width, architecture.num_classes, 1) for _ in STRIDES)
        self.reg_preds = nn.ModuleList(nn.Conv2d(width, 4, 1) for _ in STRIDES)
        self.obj_preds = nn.ModuleList(nn.Conv2d(width, 1, 1) for _ in STRIDES)

    def forward(self, *features: torch.Tensor) -> torch.Tensor:
        outputs = []
        for level, stem in enumerate(self.stems):
            hidden = stem(features[level])
            classes = self.cls_preds[level](self.cls_convs[level](hidden))
            places = self.reg_convs[level](hidden)
            boxes, objectness = self.reg_preds[level](places), self.obj_preds[level](places)
            outputs.append(torch.cat((boxes, objectness.sigmoid(), classes.sigmoid()), dim=1).flatten(2))
        return torch.cat(outputs, dim=2).transpose(1, 2)


class Yolox(nn.Module):
    """(N, A, 5 + C) raw predictions of (N, 3, H, W) canvases, BGR in [0, 255], H and W multiples of 32.

    Rows are the cells at stride 8, 16, then 32, row by row; columns are box offsets (`decode_yolox`),
    objectness and class scores in [0, 1].
    """

    def __init__(self, architecture: YoloxArchitecture) -> None:
        super().__init__()
        self.backbone = FeaturePyramid(architecture)
        self.head = Head(architecture)

    def forward(self, canvases: torch.Tensor) -> torch.Tensor:
        return self.head(*self.backbone(canvases))

    def fold_batch_norms(self) -> None:
        """Fold the batch norms into the convolutions: the same output, faster. Evaluation mode only."""
        for module in self.modules():
            if isinstance(module, ConvBlock) and isinstance(module.bn, nn.BatchNorm2d):
                module.conv = fuse_conv_bn_eval(module.conv, module.bn)
                module.bn = nn.Identity()


def cell_grid(size_hw: tuple[int, int], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return each cell's column and row (A, 2) and its stride (A, 1) for a canvas of this size; float32."""
    height, width = size_hw
    cells, strides = [], []
    for stride in STRIDES:
        rows, columns = torch.meshgrid(
            torch.arange(height // stride, device=device), torch.arange(width // stride, device=device), indexing="ij"
        )
        cells.append(torch.stack((columns, rows), dim=-1).reshape(-1, 2).float())
        strides.append(torch.full((len(cells[-1]), 1), float(stride), device=device))
    return torch.cat(cells), torch.cat(strides)


def decode_yolox(raw_NAC: torch.Tensor, size_hw: tuple[int, int]) -> torch.Tensor:
    """Return predictions with centres and sizes in canvas pixels: (offset + cell) x stride, exp(size) x stride."""
    cells, strides = cell_grid(size_hw, raw_NAC.device)
    centres = (raw_NAC[..., :2] + cells) * strides
    return torch.cat((centres, raw_NAC[..., 2:4].exp() * strides, raw_NAC[..., 4:]), dim=2)


def _double(features: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(features, scale_factor=2, mode="nearest")
