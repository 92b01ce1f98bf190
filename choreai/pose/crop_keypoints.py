"""The output of every top-down pose network: keypoints in crop pixels."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from choreai.arrays import FloatArray
from choreai.pose.crops import CropSettings


@dataclass(frozen=True, eq=False)
class CropKeypoints:
    """The keypoints of P crops, float32, on one device."""

    xy: torch.Tensor
    """(P, K, 2) crop pixels, pixel centres at integers."""
    scores: torch.Tensor
    """(P, K), the network's own: raw peaks may exceed 1 or be negative."""

    def __post_init__(self) -> None:
        if self.xy.shape != (*self.scores.shape, 2):
            raise ValueError(f"xy {tuple(self.xy.shape)} and scores {tuple(self.scores.shape)} do not fit")

    def in_frame(self, padded_boxes_xyxy: FloatArray, settings: CropSettings) -> FloatArray:
        """Return the keypoints in frame pixels (P, K, 2); `padded_boxes_xyxy` (P, 4) are the crops' (`pad_boxes`)."""
        height, width = settings.size_hw
        boxes = padded_boxes_xyxy.astype(np.float64)
        centres = (boxes[:, None, :2] + boxes[:, None, 2:]) / 2
        scales = (boxes[:, 2] - boxes[:, 0])[:, None, None] / width
        offsets = self.xy.cpu().numpy().astype(np.float64) - [width / 2, height / 2]
        return (centres + offsets * scales).astype(np.float32)


class CropPoseNetwork(Protocol):
    """A top-down pose network with its weights."""

    crop_settings: CropSettings
    """How its crops are to be made (`choreai.pose.crops.crop_people`)."""
    num_keypoints: int

    def settings(self) -> dict[str, str | int | float | bool]:
        """Return everything that affects its keypoints, for the pose fingerprint."""
        ...

    def find_keypoints(self, crops_P3HW: torch.Tensor) -> CropKeypoints:
        """Return the keypoints of P normalised float32 crops on any device; P may be 0."""
        ...
