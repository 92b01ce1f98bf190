"""A 3x3 deformable convolution in plain PyTorch: no compiled operator, any device, any batch size.

Legend: N images, C channels in, O channels out, T = 9 taps, H x W positions out.
"""

import torch
from torch import nn

from choreai.pose.sampling import sample_bilinear

NUM_TAPS = 9
SAMPLES_BYTES = 64 * 2**20
"""Bound on the memory of sampled taps; the batch is processed in pieces of this size."""


class DeformableConv2d(nn.Module):
    """3x3 convolution, padding 1, whose taps are displaced by per-position offsets (Dai et al. 2017, one group).

    Offset channels 2t and 2t + 1 are dy and dx of tap t, taps in row-major order. Sampling is done in float32 whatever
    the weights' dtype, because half precision cannot represent the positions.
    """

    bias: nn.Parameter | None

    def __init__(self, in_channels: int, out_channels: int, *, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.register_parameter("bias", None)  # filled when a BatchNorm is folded in
        nn.init.kaiming_normal_(self.weight)

    def forward(self, images: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        """Return (N, O, H, W) from (N, C, H * stride, W * stride) and offsets (N, 18, H, W)."""
        bytes_per_image = images.shape[1] * NUM_TAPS * offsets.shape[2] * offsets.shape[3] * 4
        piece = max(1, SAMPLES_BYTES // bytes_per_image)
        outputs = [self._convolve(*part) for part in zip(images.split(piece), offsets.split(piece), strict=True)]
        return outputs[0] if len(outputs) == 1 else torch.cat(outputs)

    def _convolve(self, images: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
        num_images, _, height, width = offsets.shape
        x_NTHW, y_NTHW = self._tap_positions(offsets.float())
        samples = sample_bilinear(images.float(), x_NTHW.flatten(1, 2), y_NTHW.flatten(1, 2))
        taps_NKP = samples.reshape(num_images, -1, height * width).to(self.weight.dtype)  # K = C * T
        outputs = self.weight.flatten(1) @ taps_NKP
        if self.bias is not None:
            outputs = outputs + self.bias[:, None]
        return outputs.view(num_images, -1, height, width)

    def _tap_positions(self, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        num_images, _, height, width = offsets.shape
        device = offsets.device
        tap = torch.arange(3, device=device) - 1
        dy_NTHW, dx_NTHW = offsets.view(num_images, NUM_TAPS, 2, height, width).unbind(2)
        rows = (torch.arange(height, device=device) * self.stride)[None, :, None]
        columns = (torch.arange(width, device=device) * self.stride)[None, None, :]
        x = columns + tap.repeat(3)[:, None, None] + dx_NTHW
        y = rows + tap.repeat_interleave(3)[:, None, None] + dy_NTHW
        return x, y
