"""Faster convolutions: the same answers as PyTorch's, and only where they hold."""

import pytest
import torch
from torch import nn

from choreai.pose.alphapose.backbones import Bottleneck
from choreai.pose.alphapose.cpu_bottleneck import FusedBottleneck
from choreai.pose.alphapose.cpu_convolutions import MIN_CHANNELS, PointwiseConv2d, WinogradConv2d, speed_up
from choreai.pose.alphapose.inference import prepare

needs_onednn = pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="this PyTorch has no oneDNN")


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


def blocks_of(**options: bool) -> nn.Sequential:
    """A residual block with `downsample` and one without, their batch norms in need of folding."""
    torch.manual_seed(0)
    blocks = nn.Sequential(Bottleneck(32, 64, stride=2, **options), Bottleneck(256, 64))
    for norm in blocks.modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert norm.running_mean is not None
            assert norm.running_var is not None
            nn.init.uniform_(norm.running_mean, -0.5, 0.5)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    return blocks.eval()


@needs_onednn
@pytest.mark.parametrize("options", [{}, {"squeeze_excite": True}, {"unshuffle": True}, {"deformable": True}])
@pytest.mark.parametrize("num_images", [1, 3])
def test_a_fused_block_answers_as_the_block_does(options: dict[str, bool], num_images: int) -> None:
    blocks, crops = blocks_of(**options), images(num_images, 32, 12, 10)
    fused, before = prepare(blocks, device="cpu"), crops.clone()
    assert [type(block) for block in fused.children()] == [FusedBottleneck, FusedBottleneck]
    with torch.no_grad():
        assert errors(fused(crops), blocks(crops)) < 1e-5
        assert errors(fused(crops[:1]), blocks(crops[:1])) < 1e-5  # the weights were packed for another batch
    assert torch.equal(crops, before)


@needs_onednn
def test_a_network_to_be_compiled_keeps_its_blocks() -> None:
    prepared = prepare(blocks_of(), device="cpu", to_compile=True)
    assert [type(block) for block in prepared.children()] == [Bottleneck, Bottleneck]
    assert isinstance(next(prepared.children()).conv1, PointwiseConv2d)


def test_no_crops_give_no_heatmaps() -> None:
    network = prepare(nn.Sequential(nn.Conv2d(3, WIDE, 1), nn.Conv2d(WIDE, WIDE, 3, padding=1)), device="cpu")
    assert network(torch.zeros(0, 3, 16, 12)).shape == (0, WIDE, 16, 12)
