"""Residual blocks on CPUs with fewer passes over memory: oneDNN adds the bias and the residual and rectifies while it
convolves.

One seventh of FastPose's time went into these passes, and a pointwise convolution by oneDNN that also rectifies takes
no longer than the matrix product alone.
"""

import torch
from torch import nn

from choreai.pose.alphapose.backbones import Bottleneck
from choreai.pose.alphapose.cpu_convolutions import fits_winograd


def fuse_bottlenecks(network: nn.Module) -> None:
    """Replace the residual blocks of a network whose batch norms are folded, in place; its inputs must be
    channels-last. Leaves them where PyTorch has no oneDNN."""
    if not _has_onednn():
        return
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is Bottleneck:
                setattr(parent, name, FusedBottleneck(child))


def _has_onednn() -> bool:
    # PyTorch's compiler calls these operators too; a build for another CPU may lack them.
    return torch.backends.mkldnn.is_available() and all(
        hasattr(torch.ops.mkldnn, name) for name in ("_convolution_pointwise", "_convolution_pointwise_")
    )


class FusedConv2d(nn.Module):
    """A convolution, rectified if asked to be, by oneDNN, with its weights in oneDNN's own layout."""

    def __init__(self, conv: nn.Conv2d, *, rectified: bool) -> None:
        super().__init__()
        self._shape = (conv.padding, conv.stride, conv.dilation, conv.groups)
        self._rectified = "relu" if rectified else "none"
        self.weight, self.bias = conv.weight, conv.bias
        self._packed: torch.Tensor | None = None  # not a parameter: few operators know the layout

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        weight = self._weight_for(images_NCHW)
        return torch.ops.mkldnn._convolution_pointwise(
            images_NCHW, weight, self.bias, *self._shape, self._rectified, [], ""
        )

    def add_to(self, residual_NCHW: torch.Tensor, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Return the rectified sum of the residual, which is overwritten, and the convolution."""
        weight = self._weight_for(images_NCHW)
        return torch.ops.mkldnn._convolution_pointwise_.binary(
            residual_NCHW, images_NCHW, weight, self.bias, *self._shape, "add", 1.0, "relu", [], ""
        )

    def _weight_for(self, images: torch.Tensor) -> torch.Tensor:
        """Return the weights, which are packed for the first images' size."""
        if self._packed is None:
            self._packed = torch.ops.mkldnn._reorder_convolution_weight(self.weight, *self._shape, list(images.shape))
            self.weight = nn.Parameter(torch.empty(0), requires_grad=False)  # freed
        return self._packed


class FusedBottleneck(nn.Module):
    """A `Bottleneck`; deformable convolutions, and those that `speed_up` makes faster, are left to it."""

    def __init__(self, block: Bottleneck) -> None:
        super().__init__()
        assert isinstance(block.bn3, nn.Identity), "batch norms are folded first"
        self.conv1 = FusedConv2d(block.conv1, rectified=True)
        self.conv2_offset = block.conv2_offset
        self.conv2 = _rectified(block.conv2) if block.conv2_offset is None else block.conv2
        self.conv3 = FusedConv2d(block.conv3, rectified=False)
        self.se = block.se
        self.downsample = None if block.downsample is None else _fused_downsample(block.downsample)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return the block's output; without `downsample` the input is overwritten."""
        hidden = self.conv1(features)
        if self.conv2_offset is None:
            hidden = self.conv2(hidden)
        else:
            hidden = self.conv2(hidden, self.conv2_offset(hidden)).relu_()
        residual = features if self.downsample is None else self.downsample(features)
        if self.se is None:
            return self.conv3.add_to(residual, hidden)
        return self.se(self.conv3(hidden)).add_(residual).relu_()


def _rectified(layer: nn.Module) -> nn.Module:
    if type(layer) is nn.Conv2d and not fits_winograd(layer):
        return FusedConv2d(layer, rectified=True)
    return nn.Sequential(layer, nn.ReLU(inplace=True))


def _fused_downsample(layers: nn.Sequential) -> FusedConv2d:
    conv = layers[0]
    assert isinstance(conv, nn.Conv2d)
    return FusedConv2d(conv, rectified=False)
