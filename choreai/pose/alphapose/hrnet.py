"""HRNet-W32: parallel branches at four resolutions that exchange features (Sun et al. 2019).

Attribute names follow the layout of the public HRNet checkpoints, which AlphaPose shares.
"""

import torch
from torch import nn

from choreai.pose.alphapose.backbones import Bottleneck

WIDTHS = (32, 64, 128, 256)
"""Channels of the branches at 1/4, 1/8, 1/16 and 1/32 of the crop's size."""
BLOCKS_PER_BRANCH = 4
NUM_MODULES = {"stage2": 1, "stage3": 4, "stage4": 3}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        hidden = self.bn1(self.conv1(features)).relu_()
        return (self.bn2(self.conv2(hidden)) + features).relu_()


class ExchangeModule(nn.Module):
    """Runs each branch on its own; then every output branch is the sum of all branches, resized to it."""

    def __init__(self, num_branches: int, *, num_outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width) for _ in range(BLOCKS_PER_BRANCH))) for width in WIDTHS[:num_branches]
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_fuse_path(source, target) for source in range(num_branches)) for target in range(num_outputs)
        )

    def forward(self, features: list[torch.Tensor]) -> list[torch.Tensor]:
        features = [branch(x) for branch, x in zip(self.branches, features, strict=True)]
        outputs = []
        for paths in self.fuse_layers:
            assert isinstance(paths, nn.ModuleList)
            first, *others = [path(x) for path, x in zip(paths, features, strict=True)]
            outputs.append(sum(others, start=first).relu_())
        return outputs


class PoseHighResolutionNet(nn.Module):
    """Computes heatmaps (N, K, H / 4, W / 4) of crops (N, 3, H, W)."""

    def __init__(self, *, num_keypoints: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, stride=2, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Bottleneck(64, 64), *(Bottleneck(256, 64) for _ in range(3)))
        self.transition1 = nn.ModuleList(
            [
                _conv_bn(256, WIDTHS[0], relu=True),
                nn.Sequential(_conv_bn(256, WIDTHS[1], stride=2, relu=True)),
            ]
        )
        self.stage2 = _stage(2, num_modules=NUM_MODULES["stage2"])
        self.transition2 = _new_branch(2)
        self.stage3 = _stage(3, num_modules=NUM_MODULES["stage3"])
        self.transition3 = _new_branch(3)
        self.stage4 = _stage(4, num_modules=NUM_MODULES["stage4"], last_keeps=1)
        self.final_layer = nn.Conv2d(WIDTHS[0], num_keypoints, 1)

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        features = self.bn1(self.conv1(crops)).relu_()
        features = self.layer1(self.bn2(self.conv2(features)).relu_())
        branches = self.stage2([transition(features) for transition in self.transition1])
        branches = self.stage3([*branches, self.transition2[-1](branches[-1])])
        branches = self.stage4([*branches, self.transition3[-1](branches[-1])])
        return self.final_layer(branches[0])


def _stage(num_branches: int, *, num_modules: int, last_keeps: int | None = None) -> nn.Sequential:
    outputs = [num_branches] * (num_modules - 1) + [last_keeps or num_branches]
    return nn.Sequential(*(ExchangeModule(num_branches, num_outputs=count) for count in outputs))


def _new_branch(num_branches: int) -> nn.ModuleList:
    """Return the transition that adds a branch; its key is the number of branches before it that pass unchanged."""
    passed = [nn.Identity() for _ in range(num_branches)]
    added = _conv_bn(WIDTHS[num_branches - 1], WIDTHS[num_branches], stride=2, relu=True)
    return nn.ModuleList([*passed, nn.Sequential(added)])


def _fuse_path(source: int, target: int) -> nn.Module:
    if source == target:
        return nn.Identity()
    if source > target:
        reduce = nn.Conv2d(WIDTHS[source], WIDTHS[target], 1, bias=False)
        enlarge = nn.Upsample(scale_factor=2 ** (source - target), mode="nearest")
        return nn.Sequential(reduce, nn.BatchNorm2d(WIDTHS[target]), enlarge)
    halvings = [_conv_bn(WIDTHS[source], WIDTHS[source], stride=2, relu=True) for _ in range(target - source - 1)]
    return nn.Sequential(*halvings, _conv_bn(WIDTHS[source], WIDTHS[target], stride=2, relu=False))


def _conv_bn(in_channels: int, out_channels: int, *, relu: bool, stride: int = 1) -> nn.Sequential:
    modules: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    return nn.Sequential(*modules, *([nn.ReLU(inplace=True)] if relu else []))
