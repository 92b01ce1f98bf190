"""Fit images of any size into a detector's canvas, and map boxes on the canvas back to image pixels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn import functional

from choreai.arrays import FloatArray


@dataclass(frozen=True)
class Letterbox:
    """How an image is fitted into a canvas: scaled with its aspect ratio kept, the rest filled with grey."""

    size_hw: tuple[int, int]
    centred: bool
    """Whether the image is placed in the middle of the canvas, or else at its top left."""
    pad: int
    """Grey level of the padding, in [0, 255]."""
    interpolation: Literal["linear", "cubic"]
    channel_order: Literal["RGB", "BGR"]
    """Channel order of the canvas; images are RGB."""

    def __post_init__(self) -> None:
        if min(self.size_hw) < 1 or not 0 <= self.pad <= 255:
            raise ValueError(f"the canvas needs a size and a grey in [0, 255], got {self}")

    def scale_for(self, size_wh: tuple[int, int]) -> float:
        """Return the canvas pixels per image pixel for an image of this size."""
        width, height = size_wh
        return min(self.size_hw[0] / height, self.size_hw[1] / width)

    def inner_size_wh(self, size_wh: tuple[int, int]) -> tuple[int, int]:
        """Return the size of the scaled image, truncated to integers as the detectors' authors do; at least 1."""
        scale = self.scale_for(size_wh)
        return max(1, int(size_wh[0] * scale)), max(1, int(size_wh[1] * scale))


def letterbox_images(images: Sequence[torch.Tensor], letterbox: Letterbox) -> torch.Tensor:
    """Return (N, 3, height, width) uint8 canvases of N images (H, W, 3) uint8 RGB on one device.

    Images on the CPU are resized by OpenCV, as when the public weights were trained; others by `resize_on_device`,
    with the same result.
    """
    height, width = letterbox.size_hw
    canvases = torch.full((len(images), 3, height, width), letterbox.pad, dtype=torch.uint8, device=images[0].device)
    for canvas, image in zip(canvases, images, strict=True):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != torch.uint8 or 0 in image.shape:
            raise ValueError(f"images must be (H, W, 3) uint8 and not empty, got {tuple(image.shape)} {image.dtype}")
        size_wh = (image.shape[1], image.shape[0])
        inner_width, inner_height = inner_wh = letterbox.inner_size_wh(size_wh)
        resize = _resize_with_opencv if image.device.type == "cpu" else resize_on_device
        left = (width - inner_width) // 2 if letterbox.centred else 0
        top = (height - inner_height) // 2 if letterbox.centred else 0
        inner = resize(image, inner_wh, letterbox.interpolation)
        canvas[:, top : top + inner_height, left : left + inner_width] = inner.permute(2, 0, 1)
    return canvases.flip(1) if letterbox.channel_order == "BGR" else canvases


def undo_letterbox(canvas_xyxy: FloatArray, size_wh: tuple[int, int], letterbox: Letterbox) -> FloatArray:
    """Return (P, 4) boxes in pixels of an image of this size, clipped to [0, width] x [0, height].

    The margin of a centred image is computed from its unrounded size, up to half a canvas pixel off the actual one, as
    AlphaPose does.
    """
    width, height = size_wh
    scale = letterbox.scale_for(size_wh)
    boxes = canvas_xyxy.astype(np.float64)
    if letterbox.centred:
        left = (letterbox.size_hw[1] - scale * width) / 2
        top = (letterbox.size_hw[0] - scale * height) / 2
        boxes = boxes - [left, top, left, top]
    return np.clip(boxes / scale, 0, [width, height, width, height]).astype(np.float32)


def resize_on_device(
    image: torch.Tensor, size_wh: tuple[int, int], interpolation: Literal["linear", "cubic"]
) -> torch.Tensor:
    """Return the resized image (height, width, 3) uint8, on the same device.

    Linear: exactly the result of OpenCV 4. Cubic: at most one level from it, at a few pixels in 10,000.
    """
    return _resize_linear(image, size_wh) if interpolation == "linear" else _resize_cubic(image, size_wh)


def _resize_linear(image: torch.Tensor, size_wh: tuple[int, int]) -> torch.Tensor:
    """Resize with OpenCV's integer arithmetic. Its truncation puts a tenth of all pixels one level below the exact
    interpolation; the exact one moved a small detector's boxes by 13 pixels and more in crowds."""
    columns, column_weights = _linear_taps(image.shape[1], size_wh[0], image.device)
    rows, row_weights = _linear_taps(image.shape[0], size_wh[1], image.device)
    scaled = torch.zeros((size_wh[1], size_wh[0], 3), dtype=torch.int32, device=image.device)
    for row_tap in (0, 1):
        lines = image[rows[row_tap]]
        blended = sum(lines[:, columns[tap]].to(torch.int32) * column_weights[tap, None, :, None] for tap in (0, 1))
        scaled += (row_weights[row_tap, :, None, None] * (blended >> 4)) >> 16
    return ((scaled + 2) >> 2).to(torch.uint8)


def _linear_taps(source: int, target: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return (2, target) the two source pixels of each target pixel, and their weights in units of 1/2048."""
    places = ((np.arange(target) + 0.5) * (1 / (target / source)) - 0.5).astype(np.float32)
    first = np.floor(places)
    share = places - first
    pixels = np.stack((first, first + 1)).clip(0, source - 1).astype(np.int64)
    weights = np.rint(np.stack((1 - share, share)) * np.float32(2048)).astype(np.int32)
    return torch.from_numpy(pixels).to(device), torch.from_numpy(weights).to(device)


def _resize_cubic(image: torch.Tensor, size_wh: tuple[int, int]) -> torch.Tensor:
    resized = functional.interpolate(
        image.permute(2, 0, 1)[None].float(), size=size_wh[::-1], mode="bicubic", align_corners=False
    )
    return resized[0].permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8)


def _resize_with_opencv(
    image: torch.Tensor, size_wh: tuple[int, int], interpolation: Literal["linear", "cubic"]
) -> torch.Tensor:
    import cv2

    flag = cv2.INTER_LINEAR if interpolation == "linear" else cv2.INTER_CUBIC
    return torch.from_numpy(cv2.resize(image.numpy(), size_wh, interpolation=flag))
