"""Prepare a loaded network for a device, and run it on crops."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from choreai.pose.alphapose.cpu_bottleneck import fuse_bottlenecks
from choreai.pose.alphapose.cpu_convolutions import speed_up
from choreai.pose.alphapose.deformable import DeformableConv2d
from choreai.pose.heatmaps import merge_flipped

Convolution = nn.Conv2d | nn.ConvTranspose2d | DeformableConv2d


def prepare(
    network: nn.Module,
    *,
    device: torch.device | str,
    dtype: torch.dtype = torch.float32,
    to_compile: bool = False,
) -> nn.Module:
    """Return a copy of the network in evaluation mode on `device`, channels-last, with batch norms folded into the
    convolutions and, on CPUs, convolutions replaced by faster ones.

    `to_compile` leaves to a compiler what it does itself. In float32 the heatmaps change by at most 2e-5 of their
    standard deviation.
    """
    prepared = copy.deepcopy(network).eval().requires_grad_(False)
    fold_batch_norms(prepared)
    prepared.to(device=device, dtype=dtype)
    prepared.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
    if torch.device(device).type == "cpu" and dtype == torch.float32:
        if not to_compile:
            fuse_bottlenecks(prepared)
        speed_up(prepared)
    return prepared


@torch.inference_mode()
def predict_heatmaps(
    network: nn.Module, crops_P3HW: torch.Tensor, *, mirror: Sequence[int] | None = None
) -> torch.Tensor:
    """Return (P, K, H / 4, W / 4) float32 heatmaps on the network's device.

    `mirror` (`choreai.pose.alphapose.keypoints.mirror_order`) turns on the flip test: crops and their mirror images go
    through the network in one batch of 2P, and the raw heatmaps are averaged. Float32 networks run in full float32 on
    GPUs too, not in TF32.
    """
    weights = next(network.parameters())
    if mirror is not None:
        crops_P3HW = torch.cat((crops_P3HW, crops_P3HW.flip(-1)))
    crops = crops_P3HW.to(device=weights.device, dtype=weights.dtype)
    if weights.is_contiguous(memory_format=torch.channels_last):
        crops = crops.contiguous(memory_format=torch.channels_last)
    with without_tf32():
        heatmaps = network(crops).float()
    if mirror is None:
        return heatmaps
    return merge_flipped(*heatmaps.chunk(2), mirror=mirror)


@contextmanager
def without_tf32() -> Iterator[None]:
    """Use full float32 on GPUs: cuDNN's default keeps 10 bits of the mantissa, which moves keypoints. For speed, use
    bfloat16 instead."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def fold_batch_norms(network: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, norm in list(parent.named_children()):
            if isinstance(norm, nn.BatchNorm2d):
                _fold(_convolution_before(parent, name), norm)
                setattr(parent, name, nn.Identity())


def _convolution_before(parent: nn.Module, name: str) -> Convolution:
    """Return the convolution that a batch norm follows: the previous one in a sequence, else `convX` for `bnX`."""
    children = dict(parent.named_children())
    before = str(int(name) - 1) if isinstance(parent, nn.Sequential) else name.replace("bn", "conv")
    conv = children.get(before)
    if isinstance(conv, nn.Sequential):
        conv = conv[-1]
    if not isinstance(conv, Convolution):
        raise TypeError(f"batch norm {name} of {type(parent).__name__} follows {conv}, not a convolution")
    return conv


def _fold(conv: Convolution, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    # In float64, so that folding itself adds no rounding error.
    conv_weight, conv_bias = conv.weight.double(), None if conv.bias is None else conv.bias.double()
    weight, bias = fuse_conv_bn_weights(
        conv_weight,
        conv_bias,
        norm.running_mean.double(),
        norm.running_var.double(),
        norm.eps,
        norm.weight.double(),
        norm.bias.double(),
        transpose=isinstance(conv, nn.ConvTranspose2d),
    )
    conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)
