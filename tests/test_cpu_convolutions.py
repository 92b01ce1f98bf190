"""Faster convolutions: the same answers as PyTorch's, and only where they hold."""

import pytest
import torch
from torch import nn

from choreai.pose.alphapose.cpu_convolutions import MIN_CHANNELS, PointwiseConv2d, WinogradConv2d, speed_up
from choreai.pose.alphapose.inference import prepare


def errors(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest, in standard deviations of what is expected."""
    return float((found - expected).abs().max() / expected.std())


def images(num_images: int, channels: int, height: int, width: int) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.randn(num_images, channels, height, width).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("size_hw", [(8, 6), (16, 12), (5, 3), (1, 1), (13, 20)])
@pytest.mark.parametrize("bias", [True, False])
def test_winograds_convolution_is_the_convolution_at_every_size(size_hw: tuple[int, int], bias: bool) -> None:
    conv = nn.Conv2d(16, 24, 3, padding=1, bias=bias)
    crops = images(3, 16, *size_hw)
    with torch.no_grad():
        found, expected = WinogradConv2d(conv)(crops), conv(crops)
    assert found.shape == expected.shape
    assert errors(found, expected) < 1e-5  # seen: 2e-6


def test_deep_convolutions_stay_within_the_stated_error() -> None:
    conv = nn.Conv2d(512, 256, 3, padding=1)
    crops = images(1, 512, 16, 12)
    with torch.no_grad():
        exact = conv.double()(crops.double())
        found = WinogradConv2d(conv)(crops)
    assert errors(found.double(), exact) < 1e-4


def test_images_and_weights_are_left_as_they_were() -> None:
    conv, crops = nn.Conv2d(16, 16, 3, padding=1), images(1, 16, 8, 6)
    before = crops.clone(), conv.weight.clone()
    with torch.no_grad():
        WinogradConv2d(conv)(crops)
        PointwiseConv2d(nn.Conv2d(16, 8, 1))(crops)
    torch.testing.assert_close((crops, conv.weight), before, rtol=0, atol=0)


@pytest.mark.parametrize("bias", [True, False])
def test_a_pointwise_convolution_is_a_matrix_product(bias: bool) -> None:
    conv, crops = nn.Conv2d(16, 24, 1, bias=bias), images(2, 16, 7, 5)
    with torch.no_grad():
        assert errors(PointwiseConv2d(conv)(crops), conv(crops)) < 1e-5


WIDE = MIN_CHANNELS


@pytest.mark.parametrize(
    ("conv", "kind"),
    [
        (nn.Conv2d(WIDE, WIDE, 3, padding=1), WinogradConv2d),
        (nn.Conv2d(8, 8, 1), PointwiseConv2d),
        (nn.Conv2d(WIDE // 2, WIDE, 3, padding=1), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3, padding=1, stride=2), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3, padding=2, dilation=2), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3, padding=1, groups=2), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3), nn.Conv2d),
        (nn.Conv2d(WIDE, WIDE, 3, padding=1, padding_mode="reflect"), nn.Conv2d),
        (nn.Conv2d(8, 8, 1, stride=2), nn.Conv2d),
        (nn.Conv2d(8, 8, 1, padding=1), nn.Conv2d),
    ],
)
def test_only_convolutions_of_these_kinds_are_replaced(conv: nn.Conv2d, kind: type[nn.Module]) -> None:
    network = nn.Sequential(nn.Sequential(conv))
    crops = images(1, conv.in_channels, 8, 6)
    with torch.no_grad():
        expected = network(crops)
        speed_up(network)
        inner = network[0]
        assert isinstance(inner, nn.Sequential)
        assert type(inner[0]) is kind
        assert errors(network(crops), expected) < 2e-5


def test_low_precision_keeps_pytorchs_convolutions() -> None:
    network = nn.Sequential(nn.Conv2d(WIDE, WIDE, 3, padding=1), nn.Conv2d(WIDE, 8, 1))
    assert [type(layer) for layer in prepare(network, device="cpu").children()] == [WinogradConv2d, PointwiseConv2d]
    assert {type(layer) for layer in prepare(network, device="cpu", dtype=torch.bfloat16).children()} == {nn.Conv2d}
