"""FastPose and FastPose_DUC: ResNet features, upsampled by pixel-shuffles, then heatmaps."""

import torch
from torch import nn

from choreai.pose.alphapose.architecture import NumLayers
from choreai.pose.alphapose.backbones import OUT_CHANNELS, Backbone, ResNet

DUC_NUM_CONV = (4, 2, 1)
"""Number of convolutions in the three stages of FastPose_DUC, in every published config."""


class DenseUpsampling(nn.Module):
    """Doubles the resolution: a 3x3 convolution to four times the channels, then a pixel-shuffle."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels * 4, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels * 4)
        self.pixel_shuffle = nn.PixelShuffle(2)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.pixel_shuffle(self.bn(self.conv(features)).relu_())


class FastPose(nn.Module):
    """Computes heatmaps (N, K, H / 4, W / 4) of crops (N, 3, H, W)."""

    def __init__(self, *, num_keypoints: int, num_layers: NumLayers, conv_dim: int, deformable: bool) -> None:
        super().__init__()
        self.preact = ResNet("se-resnet", num_layers, deformable=deformable)
        self.suffle1 = nn.PixelShuffle(2)
        self.duc1 = DenseUpsampling(OUT_CHANNELS // 4, 256)
        self.duc2 = DenseUpsampling(256, conv_dim)
        self.conv_out = nn.Conv2d(conv_dim, num_keypoints, 3, padding=1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.conv_out(self.duc2(self.duc1(self.suffle1(self.preact(crops)))))


class FastPoseDuc(nn.Module):
    """Computes heatmaps (N, K, H / 4, W / 4) of crops (N, 3, H, W), with several convolutions at each resolution."""

    def __init__(self, *, num_keypoints: int, num_layers: NumLayers, backbone: Backbone) -> None:
        super().__init__()
        self.preact = ResNet(backbone, num_layers)
        self.duc1 = _upsampling_stage(OUT_CHANNELS // 4, 1024, num_conv=DUC_NUM_CONV[0])
        self.duc2 = _upsampling_stage(256, 512, num_conv=DUC_NUM_CONV[1])
        self.duc3 = _upsampling_stage(128, 256, num_conv=DUC_NUM_CONV[2])
        self.conv_out = nn.Conv2d(256, num_keypoints, 3, padding=1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.conv_out(self.duc3(self.duc2(self.duc1(self.preact(crops)))))


def _upsampling_stage(width: int, out_channels: int, *, num_conv: int) -> nn.Sequential:
    modules: list[nn.Module] = [nn.PixelShuffle(2)]
    for index in range(num_conv):
        conv_out = out_channels if index == num_conv - 1 else width
        modules += [
            nn.Conv2d(width, conv_out, 3, padding=1, bias=False),
            nn.BatchNorm2d(conv_out),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*modules)
