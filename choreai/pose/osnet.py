"""OSNet-AIN x1.0: appearance features of people's crops, for `choreai.pose.reid`.

Omni-scale features (Zhou et al. 2019, arXiv:1905.00953), with instance norms where an architecture search placed them
(Zhou et al. 2021, arXiv:1910.06827). Module names are the keys of the published checkpoints (torchreid). Shape
letters: P crops, C channels, H and W rows and columns.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import nn

from choreai.pose.alphapose.inference import without_tf32
from choreai.pose.weights import load_strictly, read_state, read_weights

FEATURE_SIZE = 512

_NUM_STREAMS = 4
"""A block has four streams of different scale: one to four 3x3 convolutions in a row."""

_BOTTLENECK = 4
_GATE_REDUCTION = 16


@dataclass(frozen=True, eq=False)
class ReidNetwork:
    """OSNet with its weights loaded."""

    module: nn.Module
    """Evaluation mode, float32, on the CPU, no gradients."""
    sha256: str
    """Hash of the checkpoint file, for the pose fingerprint."""


class OSNet(nn.Module):
    """Computes features (P, 512) of crops (P, 3, H, W); they are non-negative and not normalised to length 1.

    AlphaPose feeds it the pose network's own 256x192 crops, normalised for that network (`ALPHAPOSE_CROPS`),
    although it was trained on 256x128 with ImageNet's means and deviations.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _NormedConv(3, 64, nn.InstanceNorm2d(64, affine=True), kernel_size=7, stride=2)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.conv2 = nn.Sequential(_Block(64, 256, instance_norm=True), _Block(256, 256, instance_norm=True))
        self.pool2 = _halve(256)
        self.conv3 = nn.Sequential(_Block(256, 384, instance_norm=False), _Block(384, 384, instance_norm=True))
        self.pool3 = _halve(384)
        self.conv4 = nn.Sequential(_Block(384, 512, instance_norm=True), _Block(512, 512, instance_norm=False))
        self.conv5 = _conv1x1(512, 512)
        self.fc = nn.Sequential(nn.Linear(512, FEATURE_SIZE), nn.BatchNorm1d(FEATURE_SIZE), nn.ReLU())

    def forward(self, crops_P3HW: torch.Tensor) -> torch.Tensor:
        maps_PCHW = self.conv2(self.maxpool(self.conv1(crops_P3HW)))
        maps_PCHW = self.conv4(self.pool3(self.conv3(self.pool2(maps_PCHW))))
        return self.fc(self.conv5(maps_PCHW).mean((2, 3)))


def load_reid_network(checkpoint: bytes | Path | BinaryIO) -> ReidNetwork:
    """Return OSNet-AIN x1.0 with a checkpoint's weights, without its classifier, which only training needs.

    Raises WeightsError for a file that is truncated, contains code, or is of another network.
    """
    data = read_weights(checkpoint)
    state = {key: value for key, value in read_state(data).items() if not key.startswith("classifier.")}
    with torch.device("meta"):
        module = OSNet()
    load_strictly(module, state)
    return ReidNetwork(module.requires_grad_(False).eval(), hashlib.sha256(data).hexdigest())


@torch.inference_mode()
def compute_features(network: nn.Module, crops_P3HW: torch.Tensor) -> torch.Tensor:
    """Return (P, 512) float32 features on the network's device, of a pose network's crops (P, 3, 256, 192).

    The crops are made by `ALPHAPOSE_CROPS`. On CPUs leave network and crops contiguous: channels-last, the many
    depthwise convolutions are a third slower.
    """
    weights = next(network.parameters())
    if len(crops_P3HW) == 0:  # instance norms do not accept an empty batch
        return torch.zeros(0, FEATURE_SIZE, device=weights.device)
    with without_tf32():
        return network(crops_P3HW.to(device=weights.device, dtype=weights.dtype)).float()


class _NormedConv(nn.Module):
    def __init__(
        self, in_channels: int, out_channels: int, norm: nn.Module, *, kernel_size: int = 1, stride: int = 1
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.bn = norm

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(maps)).relu_()


class _LinearConv1x1(nn.Module):
    """A 1x1 convolution without activation, and without a norm if an instance norm follows."""

    def __init__(self, in_channels: int, out_channels: int, *, batch_norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.bn = nn.BatchNorm2d(out_channels) if batch_norm else nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv(maps))


class _LightConv(nn.Module):
    """A factorised 3x3 convolution: pointwise, then depthwise."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 1, bias=False)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.bn = nn.BatchNorm2d(channels)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.bn(self.conv2(self.conv1(maps))).relu_()


class _Stream(nn.Module):
    def __init__(self, channels: int, *, depth: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(_LightConv(channels) for _ in range(depth)))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return self.layers(maps)


class _Gate(nn.Module):
    """Weights a stream's channels per image; all streams share one gate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // _GATE_REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // _GATE_REDUCTION, channels, 1)

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        return maps * self.fc2(self.fc1(maps.mean((2, 3), keepdim=True)).relu_()).sigmoid_()


class _Block(nn.Module):
    """A bottleneck whose 3x3 convolution is the gated sum of several scales.

    An instance norm in place of the residual's last batch norm removes the image's own contrast and colour.
    """

    def __init__(self, in_channels: int, out_channels: int, *, instance_norm: bool) -> None:
        super().__init__()
        channels = out_channels // _BOTTLENECK
        self.conv1 = _conv1x1(in_channels, channels)
        self.conv2 = nn.ModuleList(_Stream(channels, depth=depth) for depth in range(1, _NUM_STREAMS + 1))
        self.gate = _Gate(channels)
        self.conv3 = _LinearConv1x1(channels, out_channels, batch_norm=not instance_norm)
        self.IN = nn.InstanceNorm2d(out_channels, affine=True) if instance_norm else nn.Identity()
        widens = in_channels != out_channels
        self.downsample = _LinearConv1x1(in_channels, out_channels, batch_norm=True) if widens else nn.Identity()

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        narrow = self.conv1(maps)
        residual = self.IN(self.conv3(sum(self.gate(stream(narrow)) for stream in self.conv2)))
        return (residual + self.downsample(maps)).relu_()


def _conv1x1(in_channels: int, out_channels: int) -> _NormedConv:
    return _NormedConv(in_channels, out_channels, nn.BatchNorm2d(out_channels))


def _halve(channels: int) -> nn.Sequential:
    return nn.Sequential(_conv1x1(channels, channels), nn.AvgPool2d(2, stride=2))
