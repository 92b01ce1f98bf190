"""Turn people's boxes into network inputs: pad them to the crop's shape, sample the frame, normalise.

Pixel (u, v) of a crop samples the frame at x = cx + (u - width / 2) * s, y = cy + (v - height / 2) * s, where (cx, cy)
is the centre of the padded box and s its width divided by the crop's: pixel indices, without a half-pixel offset.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from choreai.arrays import Float64Array, FloatArray, IntArray
from choreai.pose.sampling import sample_bilinear
from choreai.pose.stages import counted_as


@dataclass(frozen=True)
class CropSettings:
    """The input that a top-down pose network expects."""

    size_hw: tuple[int, int]
    mean_rgb: tuple[float, float, float]
    """Subtracted from pixels in [0, 1]."""
    std_rgb: tuple[float, float, float] = (1.0, 1.0, 1.0)
    padding: float = 1.25
    """Size of the padded box relative to the box, after the latter has been grown to the crop's aspect ratio."""
    channel_order: Literal["RGB", "BGR"] = "RGB"
    """Channel order of the crops; frames are RGB."""
    keep_dark_crops: bool = False
    """Do not divide crops by 255 that have no pixel above 1, as AlphaPose does."""

    def __post_init__(self) -> None:
        if min(self.size_hw) < 1 or self.padding <= 0 or min(self.std_rgb) <= 0:
            raise ValueError(f"sizes, padding and std must be positive, got {self}")


ALPHAPOSE_CROPS = CropSettings(size_hw=(256, 192), mean_rgb=(0.406, 0.457, 0.480), keep_dark_crops=True)
"""AlphaPose was trained with ImageNet's means in the wrong order and without a std, which its weights expect."""


def pad_boxes(boxes_xyxy: FloatArray, settings: CropSettings) -> FloatArray:
    """Return (P, 4) boxes grown to the crop's aspect ratio and padded, in frame pixels, not clipped to the frame."""
    boxes = np.asarray(boxes_xyxy, np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"boxes must be (P, 4) and finite, got {boxes.shape}: {boxes}")
    height, width = settings.size_hw
    centres = ((boxes[:, :2] + boxes[:, 2:]) / 2).astype(np.float32)
    box_width, box_height = (boxes[:, 2:] - boxes[:, :2]).T
    padded_width = np.maximum(box_width, box_height * width / height)
    padded_height = np.maximum(box_height, box_width * height / width)
    sizes = (np.stack((padded_width, padded_height), axis=1) * settings.padding).astype(np.float32)
    return np.concatenate((centres - sizes / 2, centres + sizes / 2), axis=1)


@counted_as("crop")
@torch.inference_mode()
def crop_people(
    frames: Sequence[torch.Tensor] | torch.Tensor,
    padded_boxes_xyxy: FloatArray,
    frame_of_person: IntArray,
    settings: CropSettings,
) -> torch.Tensor:
    """Return (P, 3, height, width) float32 crops on the frames' device, normalised.

    `frames` are (H, W, 3) uint8 RGB on one device, possibly of different sizes; person p is cropped from
    `frames[frame_of_person[p]]` by `padded_boxes_xyxy[p]` (`pad_boxes`). Outside the frame is black. Samples are
    rounded to integers, as OpenCV does.
    """
    _check_people(padded_boxes_xyxy, frame_of_person, num_frames=len(frames))
    height, width = settings.size_hw
    device = frames[0].device if len(frames) else torch.device("cpu")
    pixels = torch.empty((len(padded_boxes_xyxy), 3, height, width), device=device)
    if device.type == "cpu":
        for person, index in enumerate(frame_of_person):
            pixels[person] = _sample_around(frames[int(index)], padded_boxes_xyxy[person], settings)
        return normalise(pixels, settings)
    # One frame at a time: float copies of all frames would take many times the memory of the crops.
    for index in np.unique(frame_of_person):
        people = np.flatnonzero(frame_of_person == index)
        pixels[torch.from_numpy(people).to(device)] = _sample_frame(
            frames[int(index)], padded_boxes_xyxy[people].astype(np.float64), settings
        )
    return normalise(pixels, settings)


def _sample_around(frame: torch.Tensor, padded_box: FloatArray, settings: CropSettings) -> torch.Tensor:
    """Return (3, height, width) as `_sample_frame` does, without a float copy of the whole frame, which would take a
    CPU longer than the sampling. One person at a time, so that rounding does not depend on the frame's other people."""
    height, width = frame.shape[:2]
    box = padded_box.astype(np.float64)
    left, top = np.clip(np.floor(box[:2]), 0, (width, height)).astype(int)
    right, bottom = np.clip(np.ceil(box[2:]) + 1, 0, (width, height)).astype(int)
    if left == right or top == bottom:
        return torch.zeros(3, *settings.size_hw)
    around = frame[top:bottom, left:right]
    return _sample_frame(around, (box - (left, top, left, top))[None], settings)[0]


def _sample_frame(frame: torch.Tensor, boxes: Float64Array, settings: CropSettings) -> torch.Tensor:
    """Return (n, 3, height, width) float32 crops, with integer values in [0, 255]."""
    height, width = settings.size_hw
    scales = ((boxes[:, 2] - boxes[:, 0]) / width)[:, None]
    x = (boxes[:, 0] + boxes[:, 2])[:, None] / 2 + (np.arange(width) - width / 2) * scales
    y = (boxes[:, 1] + boxes[:, 3])[:, None] / 2 + (np.arange(height) - height / 2) * scales
    people = len(boxes)
    x_on_device = torch.from_numpy(x.astype(np.float32)).to(frame.device)[:, None, :]
    y_on_device = torch.from_numpy(y.astype(np.float32)).to(frame.device)[:, :, None]
    shape = (1, people * height, width)  # all of the frame's people as one tall image
    samples = sample_bilinear(
        frame.permute(2, 0, 1)[None].float(),
        x_on_device.expand(people, height, width).reshape(shape),
        y_on_device.expand(people, height, width).reshape(shape),
    )
    return samples[0].view(3, people, height, width).transpose(0, 1).round()


def normalise(pixels_P3HW: torch.Tensor, settings: CropSettings) -> torch.Tensor:
    """Return RGB crops with values in [0, 255] normalised, and in the channel order, that the network expects."""
    if settings.keep_dark_crops:
        brightest = pixels_P3HW.amax((1, 2, 3), keepdim=True)
        pixels_P3HW = torch.where(brightest > 1, pixels_P3HW / 255, pixels_P3HW)
    else:
        pixels_P3HW = pixels_P3HW / 255
    mean = torch.tensor(settings.mean_rgb, device=pixels_P3HW.device)[:, None, None]
    std = torch.tensor(settings.std_rgb, device=pixels_P3HW.device)[:, None, None]
    crops = (pixels_P3HW - mean) / std
    return crops.flip(1) if settings.channel_order == "BGR" else crops


def _check_people(padded_boxes: FloatArray, frame_of_person: IntArray, *, num_frames: int) -> None:
    num_people = len(frame_of_person)
    if padded_boxes.shape != (num_people, 4) or not np.isfinite(padded_boxes).all():
        raise ValueError(f"padded boxes must be finite and ({num_people}, 4), got {padded_boxes.shape}")
    if num_people and not 0 <= frame_of_person.min() <= frame_of_person.max() < num_frames:
        raise ValueError(f"frame_of_person must be within the {num_frames} frames, got {frame_of_person}")
