"""The ResNet backbones of AlphaPose's networks: plain, with squeeze-excite, pixel-unshuffle or deformable taps.

Attribute names are the state-dict keys of AlphaPose's checkpoints and cannot be changed.
"""

from typing import Literal

import torch
from torch import nn

from choreai.pose.alphapose.architecture import BLOCKS_PER_LAYER, NumLayers
from choreai.pose.alphapose.deformable import NUM_TAPS, DeformableConv2d

Backbone = Literal["resnet", "se-resnet", "shuffle"]

EXPANSION = 4
OUT_CHANNELS = 512 * EXPANSION


class SqueezeExcite(nn.Module):
    """Rescales each channel by a gate computed from all channels' means (Hu et al. 2018), with reduction 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, channels), nn.ReLU(inplace=True), nn.Linear(channels, channels), nn.Sigmoid()
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features * self.fc(features.mean((2, 3)))[:, :, None, None]


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions with a residual connection; the 3x3 has the stride."""

    def __init__(
        self,
        in_channels: int,
        planes: int,
        *,
        stride: int = 1,
        squeeze_excite: bool = False,
        unshuffle: bool = False,
        deformable: bool = False,
    ) -> None:
        super().__init__()
        out_channels = planes * EXPANSION
        self.conv1 = nn.Conv2d(in_channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2_offset = nn.Conv2d(planes, 2 * NUM_TAPS, 3, stride=stride, padding=1) if deformable else None
        self.conv2: nn.Module
        if deformable:
            self.conv2 = DeformableConv2d(planes, planes, stride=stride)
        elif unshuffle and stride == 2:
            conv = nn.Conv2d(planes * stride**2, planes, 3, padding=1, bias=False)
            self.conv2 = nn.Sequential(nn.PixelUnshuffle(stride), conv)
        else:
            self.conv2 = nn.Conv2d(planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.se = SqueezeExcite(out_channels) if squeeze_excite else None
        self.downsample = None
        if stride != 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        residual = features if self.downsample is None else self.downsample(features)
        hidden = self.bn1(self.conv1(features)).relu_()
        if self.conv2_offset is None:
            hidden = self.conv2(hidden)
        else:
            hidden = self.conv2(hidden, self.conv2_offset(hidden))
        hidden = self.bn2(hidden).relu_()
        hidden = self.bn3(self.conv3(hidden))
        if self.se is not None:
            hidden = self.se(hidden)
        return hidden.add_(residual).relu_()


class ResNet(nn.Module):
    """Computes (N, 2048, H / 32, W / 32) features of (N, 3, H, W) crops.

    All backbones but `resnet` have a squeeze-excite in each layer's first block; `shuffle` replaces strided 3x3
    convolutions by a pixel-unshuffle and a wider convolution; `deformable` makes every 3x3 convolution of layers 2 to 4
    deformable.
    """

    layer1: nn.Sequential
    layer2: nn.Sequential
    layer3: nn.Sequential
    layer4: nn.Sequential

    def __init__(self, backbone: Backbone, num_layers: NumLayers, *, deformable: bool = False) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        in_channels = 64
        for index, num_blocks in enumerate(BLOCKS_PER_LAYER[num_layers]):
            planes = 64 * 2**index
            blocks = [
                Bottleneck(
                    in_channels if block == 0 else planes * EXPANSION,
                    planes,
                    stride=2 if block == 0 and index > 0 else 1,
                    squeeze_excite=block == 0 and backbone != "resnet",
                    unshuffle=backbone == "shuffle",
                    deformable=deformable and index > 0,
                )
                for block in range(num_blocks)
            ]
            setattr(self, f"layer{index + 1}", nn.Sequential(*blocks))
            in_channels = planes * EXPANSION

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        features = self.maxpool(self.bn1(self.conv1(crops)).relu_())
        return self.layer4(self.layer3(self.layer2(self.layer1(features))))
