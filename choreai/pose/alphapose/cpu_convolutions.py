"""Faster float32 convolutions on CPUs than PyTorch's own: the same sums with fewer multiplications or copies.

On a CPU nearly all of a network's time is spent on 3x3 convolutions, which PyTorch computes directly, and on 1x1
convolutions, which are matrix products if channels come last. Legend: N images, C channels in, O channels out, T tiles.
"""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from choreai.arrays import Float64Array

OUTPUTS = 4
"""Winograd's F(4x4, 3x3): a tile gives 4 x 4 outputs with 36 multiplications per channel instead of 144."""

MIN_CHANNELS = 128
"""With fewer channels, moving tiles takes as long as the multiplications that it saves."""

_POINTS = (0.0, 0.5**0.5, -(0.5**0.5), 2**0.5, -(2**0.5))
"""Where the polynomials are evaluated, besides infinity. The integers of Lavin and Gray lose one more digit."""


def speed_up(network: nn.Module) -> None:
    """Replace convolutions of a network by faster ones, in place; its inputs must be channels-last."""
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is nn.Conv2d and (replacement := _replacement(child)) is not None:
                setattr(parent, name, replacement)


def _replacement(conv: nn.Conv2d) -> nn.Module | None:
    if fits_winograd(conv):
        return WinogradConv2d(conv)
    return PointwiseConv2d(conv) if _is_plain(conv, kernel_size=1) else None


def fits_winograd(conv: nn.Conv2d) -> bool:
    """Return whether a convolution is of the kind that `WinogradConv2d` computes, and faster."""
    return _is_plain(conv, kernel_size=3) and min(conv.in_channels, conv.out_channels) >= MIN_CHANNELS


def _is_plain(conv: nn.Conv2d, *, kernel_size: int) -> bool:
    """Return whether a convolution maps every pixel of the image to one of the output, by all channels."""
    return (
        conv.kernel_size == (kernel_size, kernel_size)
        and conv.padding == (kernel_size // 2, kernel_size // 2)
        and (conv.groups, conv.stride, conv.dilation, conv.padding_mode) == (1, (1, 1), (1, 1), "zeros")
    )


class PointwiseConv2d(nn.Module):
    """A 1x1 convolution as a matrix product."""

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight = nn.Parameter(conv.weight.detach().flatten(1).contiguous(), requires_grad=False)
        self.bias = conv.bias

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        return functional.linear(images_NCHW.permute(0, 2, 3, 1), self.weight, self.bias).permute(0, 3, 1, 2)


class WinogradConv2d(nn.Module):
    """A 3x3 convolution with padding 1 by Winograd's minimal filtering (Lavin and Gray 2016, arXiv:1509.09308).

    In float32 the output is within 1e-4 of the standard deviation of the direct convolution's.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        to_outputs, of_weights, of_inputs = _transforms()
        transform = torch.from_numpy(np.kron(of_weights, of_weights))
        # In float64, so that transforming the weights adds no rounding error.
        weights = transform @ conv.weight.detach().double().permute(2, 3, 1, 0).reshape(9, -1)
        self.weight = _constant(weights.view(-1, conv.in_channels, conv.out_channels))
        self.bias = conv.bias
        self._of_inputs = _constant(torch.from_numpy(np.kron(of_inputs, of_inputs)))
        self._to_outputs = _constant(torch.from_numpy(np.kron(to_outputs, to_outputs)))

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        num_images, channels, height, width = images_NCHW.shape
        rows, columns = -(-height // OUTPUTS), -(-width // OUTPUTS)
        margins = (0, 0, 1, OUTPUTS * columns + 1 - width, 1, OUTPUTS * rows + 1 - height)
        padded = functional.pad(images_NCHW.permute(0, 2, 3, 1), margins).contiguous()
        side = OUTPUTS + 2
        image, line, pixel = padded.stride()[:3]
        tiles = padded.as_strided(
            (side, side, num_images, rows, columns, channels),
            (line, pixel, image, OUTPUTS * line, OUTPUTS * pixel, 1),
        )
        num_tiles = num_images * rows * columns
        transformed = (self._of_inputs @ tiles.reshape(side**2, -1)).view(side**2, num_tiles, channels)
        products = torch.bmm(transformed, self.weight)
        outputs = (self._to_outputs @ products.view(side**2, -1)).view(
            OUTPUTS, OUTPUTS, num_images, rows, columns, products.shape[2]
        )
        joined = outputs.permute(2, 3, 0, 4, 1, 5).reshape(
            num_images, OUTPUTS * rows, OUTPUTS * columns, products.shape[2]
        )
        if self.bias is not None:
            joined += self.bias
        # Cut to size it would not be dense, and the next matrix product several times slower.
        return joined[:, :height, :width].contiguous().permute(0, 3, 1, 2)


def _transforms() -> tuple[Float64Array, ...]:
    """Return the transforms of outputs (4, 6), weights (6, 3) and inputs (6, 6): Toom and Cook's polynomial product,
    transposed."""
    to_outputs, of_weights, products = (_powers(number) for number in (OUTPUTS, 3, OUTPUTS + 2))
    return to_outputs.T, of_weights, np.linalg.inv(products).T


def _powers(number: int) -> Float64Array:
    """Return (6, number) powers of each point; at infinity only the highest power counts."""
    at_infinity = np.eye(number)[-1:]
    return np.concatenate((np.vander(_POINTS, number, increasing=True), at_infinity))


def _constant(values: torch.Tensor) -> nn.Parameter:
    return nn.Parameter(values.float(), requires_grad=False)
