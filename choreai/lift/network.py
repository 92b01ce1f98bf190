"""The lifter's network: keypoints of a track in the picture in, hip-centred poses in metres out.

A temporal convolution: each pose is read from 33 frames around it, 2.2 seconds at 15 a second.
Shape suffixes: B tracks, T frames, C channels.
"""

import torch
from torch import Tensor, nn

NUM_INPUTS = 17 * 3 + 3
"""Of each frame: x, y and seen (0 or 1) of the 17 keypoints, then the hip centre's movement since the frame before (x,
y), and whether it was seen."""
NUM_CHANNELS = 128
DILATIONS = (1, 2, 4, 8)
CONTEXT = 33
"""Frames that a pose depends on."""


class Block(nn.Module):
    """A dilated convolution over time and one over channels, added to what went in."""

    def __init__(self, num_channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.time = nn.Conv1d(num_channels, num_channels, 3, dilation=dilation, padding=dilation)
        self.channel = nn.Conv1d(num_channels, num_channels, 1)
        self.norms = nn.ModuleList([nn.BatchNorm1d(num_channels), nn.BatchNorm1d(num_channels)])
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BCT: Tensor) -> Tensor:
        hidden = torch.relu(self.norms[0](self.time(x_BCT)))
        return x_BCT + self.dropout(torch.relu(self.norms[1](self.channel(hidden))))


class LifterNetwork(nn.Module):
    """0.3 million parameters with the usual number of channels."""

    def __init__(self, num_channels: int = NUM_CHANNELS, *, dropout: float = 0.1) -> None:
        super().__init__()
        self.inlet = nn.Conv1d(NUM_INPUTS, num_channels, 3, padding=1)
        self.blocks = nn.ModuleList(Block(num_channels, dilation, dropout) for dilation in DILATIONS)
        self.outlet = nn.Conv1d(num_channels, 17 * 3, 1)
        nn.init.normal_(self.outlet.weight, std=0.01)

    def forward(self, inputs_BTI: Tensor) -> Tensor:
        """Return (B, T, 17, 3) poses of a body of standard size, metres, camera axes, hip-centred."""
        x_BCT = torch.relu(self.inlet(inputs_BTI.transpose(1, 2)))
        for block in self.blocks:
            x_BCT = block(x_BCT)
        poses = self.outlet(x_BCT).transpose(1, 2).unflatten(2, (17, 3))
        return poses - (poses[:, :, 11:12] + poses[:, :, 12:13]) / 2
