"""Bilinear sampling at pixel coordinates: what crops and deformable convolutions share."""

import torch
from torch.nn import functional


def sample_bilinear(images_NCHW: torch.Tensor, x_NAB: torch.Tensor, y_NAB: torch.Tensor) -> torch.Tensor:
    """(N, C, A, B): each image at its own A x B points, in the images' dtype (float32 for exact positions).

    Points are pixel coordinates with pixel centres at integers; outside the image is zero, and a point less
    than a pixel outside still takes its share of the border pixels.
    """
    height, width = images_NCHW.shape[-2:]
    # grid_sample's two conventions give the same pixels; this one also holds for images one pixel wide.
    grid = torch.stack(((2 * x_NAB + 1) / width - 1, (2 * y_NAB + 1) / height - 1), dim=-1)
    return functional.grid_sample(images_NCHW, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
