"""SimplePose: ResNet features, three transposed convolutions, heatmaps (Xiao et al. 2018)."""

import torch
from torch import nn

from choreai.pose.alphapose.architecture import NumLayers
from choreai.pose.alphapose.backbones import OUT_CHANNELS, ResNet

DECONV_FILTERS = (256, 256, 256)


class SimplePose(nn.Module):
    """Computes heatmaps (N, K, H / 4, W / 4) of crops (N, 3, H, W)."""

    def __init__(self, *, num_keypoints: int, num_layers: NumLayers) -> None:
        super().__init__()
        self.preact = ResNet("resnet", num_layers)
        modules: list[nn.Module] = []
        in_channels = OUT_CHANNELS
        for width in DECONV_FILTERS:
            modules += [
                nn.ConvTranspose2d(in_channels, width, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
            in_channels = width
        self.deconv_layers = nn.Sequential(*modules)
        self.final_layer = nn.Conv2d(in_channels, num_keypoints, 1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        return self.final_layer(self.deconv_layers(self.preact(crops)))
