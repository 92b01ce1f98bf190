"""Bilinear sampling at pixel coordinates, shared by crops and deformable convolutions."""

import torch
from torch.nn import functional


def sample_bilinear(images_NCHW: torch.Tensor, x_NAB: torch.Tensor, y_NAB: torch.Tensor) -> torch.Tensor:
    """Return (N, C, A, B): each image sampled at its own A x B points, in the images' dtype (float32 to be exact).

    Points are pixel coordinates with pixel centres at integers. The image is surrounded by zeros, so that a point less
    than a pixel outside still gets its share of the border pixels.
    """
    height, width = images_NCHW.shape[-2:]
    # Both conventions of grid_sample give the same pixels; this one also works for images one pixel wide.
    grid = torch.stack(((2 * x_NAB + 1) / width - 1, (2 * y_NAB + 1) / height - 1), dim=-1)
    return functional.grid_sample(images_NCHW, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
