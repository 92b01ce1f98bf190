"""YOLOv3 with spatial pyramid pooling (Redmon and Farhadi 2018), in plain PyTorch.

Layer numbers are those of Darknet's configuration file, in whose order the public weights are stored; parameter
names follow them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

NUM_CLASSES = 80
NUM_OUTPUTS = 5 + NUM_CLASSES
# Pixels, width by height, at strides 32, 16 and 8.
ANCHORS = (
    ((116, 90), (156, 198), (373, 326)),
    ((30, 61), (62, 45), (59, 119)),
    ((10, 13), (16, 30), (33, 23)),
)
STRIDES = (32, 16, 8)
STAGE_BLOCKS = (1, 2, 8, 8, 4)
STRIDE8_LAYER, STRIDE16_LAYER, STRIDE32_LAYER = 36, 61, 74


@dataclass(frozen=True)
class DarknetLayer:
    """A convolution in Darknet's configuration file."""

    index: int
    in_channels: int
    out_channels: int
    kernel: int
    stride: int = 1
    predicts: bool = False
    """Whether it is the last before a YOLO layer: with a bias, without batch norm and activation."""


def darknet_layers() -> list[DarknetLayer]:
    """Return all 76 convolutions, in file order."""
    return [*_backbone_layers(), *_neck_layers()]


def _backbone_layers() -> Iterator[DarknetLayer]:
    yield DarknetLayer(0, 3, 32, 3)
    index, channels = 1, 32
    for num_blocks in STAGE_BLOCKS:
        yield DarknetLayer(index, channels, 2 * channels, 3, stride=2)
        index, channels = index + 1, 2 * channels
        for _ in range(num_blocks):
            yield DarknetLayer(index, channels, channels // 2, 1)
            yield DarknetLayer(index + 1, channels // 2, channels, 3)
            index += 3  # the residual sum counts as a layer


def _neck_layers() -> Iterator[DarknetLayer]:
    def pairs(index: int, channels: int, num_layers: int) -> Iterator[DarknetLayer]:
        """Alternate 3x3 convolutions to 2 x channels and 1x1 convolutions back."""
        for step in range(num_layers):
            if step % 2 == 0:
                yield DarknetLayer(index + step, channels, 2 * channels, 3)
            else:
                yield DarknetLayer(index + step, 2 * channels, channels, 1)
        outputs = len(ANCHORS[0]) * NUM_OUTPUTS
        yield DarknetLayer(index + num_layers, 2 * channels, outputs, 1, predicts=True)

    yield DarknetLayer(75, 1024, 512, 1)
    yield DarknetLayer(76, 512, 1024, 3)
    yield DarknetLayer(77, 1024, 512, 1)
    yield DarknetLayer(84, 4 * 512, 512, 1)
    yield from pairs(85, 512, 3)
    yield DarknetLayer(91, 512, 256, 1)
    yield DarknetLayer(94, 256 + 512, 256, 1)
    yield from pairs(95, 256, 5)
    yield DarknetLayer(103, 256, 128, 1)
    yield DarknetLayer(106, 128 + 256, 128, 1)
    yield from pairs(107, 128, 5)


class DarknetConv(nn.Module):
    """Convolution, batch norm and leaky ReLU, under Darknet's numbered names."""

    def __init__(self, layer: DarknetLayer) -> None:
        super().__init__()
        self.conv_name, self.norm_name = f"conv_{layer.index}", f"batch_norm_{layer.index}"
        conv = nn.Conv2d(
            layer.in_channels,
            layer.out_channels,
            layer.kernel,
            layer.stride,
            padding=layer.kernel // 2,
            bias=layer.predicts,
        )
        self.add_module(self.conv_name, conv)
        self.predicts = layer.predicts
        if not layer.predicts:
            self.add_module(self.norm_name, nn.BatchNorm2d(layer.out_channels))

    @property
    def conv(self) -> nn.Conv2d:
        return cast(nn.Conv2d, self.get_submodule(self.conv_name))  # what __init__ put there

    @property
    def norm(self) -> nn.Module:
        return self.get_submodule(self.norm_name)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.predicts:
            return self.conv(features)
        return functional.leaky_relu(self.norm(self.conv(features)), 0.1, inplace=True)

    def fold_batch_norm(self) -> None:
        if not self.predicts and isinstance(self.norm, nn.BatchNorm2d):
            setattr(self, self.conv_name, fuse_conv_bn_eval(self.conv, self.norm))
            setattr(self, self.norm_name, nn.Identity())


class Yolov3Spp(nn.Module):
    """(N, A, 85) predictions of (N, 3, H, W) canvases, RGB in [0, 1], H and W multiples of 32.

    Columns are centre x, centre y, width and height in canvas pixels, objectness, and 80 class scores. Rows are
    the cells at stride 32, 16, then 8, row by row, three anchors each.
    """

    def __init__(self) -> None:
        super().__init__()
        self.module_list = nn.ModuleDict({str(layer.index): DarknetConv(layer) for layer in darknet_layers()})

    def forward(self, canvases: torch.Tensor) -> torch.Tensor:
        stride8, stride16, stride32 = self._backbone(canvases)
        pooled = self._run(stride32, 75, 76, 77)
        maxima = [_max_over(pooled, size) for size in (13, 9, 5)]
        hidden32 = self._run(torch.cat((*maxima, pooled), dim=1), 84, 85, 86)
        hidden16 = self._run(torch.cat((_double(self._run(hidden32, 91)), stride16), dim=1), 94, 95, 96, 97, 98)
        hidden8 = self._run(torch.cat((_double(self._run(hidden16, 103)), stride8), dim=1), 106, 107, 108, 109, 110)
        raw = (self._run(hidden32, 87, 88), self._run(hidden16, 99, 100), self._run(hidden8, 111, 112))
        levels = zip(raw, ANCHORS, STRIDES, strict=True)
        return torch.cat([decode_yolov3(level, anchors, stride) for level, anchors, stride in levels], dim=1)

    def fold_batch_norms(self) -> None:
        """Fold the batch norms into the convolutions: the same output, faster. Evaluation mode only."""
        for layer in self.module_list.values():
            cast(DarknetConv, layer).fold_batch_norm()  # a ModuleDict does not say of what

    def _backbone(self, canvases: torch.Tensor) -> list[torch.Tensor]:
        """Return features at strides 8, 16 and 32."""
        features, index = self._run(canvases, 0), 1
        kept = []
        for num_blocks in STAGE_BLOCKS:
            features, index = self._run(features, index), index + 1
            for _ in range(num_blocks):
                features, index = features + self._run(features, index, index + 1), index + 3
            if index - 1 in (STRIDE8_LAYER, STRIDE16_LAYER, STRIDE32_LAYER):
                kept.append(features)
        return kept

    def _run(self, features: torch.Tensor, *indices: int) -> torch.Tensor:
        for index in indices:
            features = self.module_list[str(index)](features)
        return features


def decode_yolov3(raw: torch.Tensor, anchors: tuple[tuple[int, int], ...], stride: int) -> torch.Tensor:
    """Return (N, h x w x 3, 85) predictions in canvas pixels from one level's raw output (N, 3 x 85, h, w); float32."""
    batch, _, height, width = raw.shape
    cells = raw.float().view(batch, len(anchors), NUM_OUTPUTS, height, width).permute(0, 3, 4, 1, 2)
    columns = torch.arange(width, device=raw.device)[None, :, None]
    rows = torch.arange(height, device=raw.device)[:, None, None]
    x = (cells[..., 0].sigmoid() + columns) * stride
    y = (cells[..., 1].sigmoid() + rows) * stride
    sizes = cells[..., 2:4].exp() * torch.tensor(anchors, device=raw.device)
    decoded = torch.cat((torch.stack((x, y), dim=-1), sizes, cells[..., 4:].sigmoid()), dim=-1)
    return decoded.reshape(batch, -1, NUM_OUTPUTS)


def _max_over(features: torch.Tensor, size: int) -> torch.Tensor:
    # Zeros at the border take part in the maximum although features may be negative; the public weights expect that.
    return functional.max_pool2d(functional.pad(features, [size // 2] * 4), size, stride=1)


def _double(features: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(features, scale_factor=2, mode="nearest")
