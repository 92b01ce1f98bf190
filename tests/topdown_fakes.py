"""Detectors, networks and frames whose keypoints are known, for tests of the top-down path."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from choreai.pose.alphapose.architecture import PoseArchitecture
from choreai.pose.crop_keypoints import CropKeypoints, CropPoseNetwork
from choreai.pose.crops import CropSettings
from choreai.pose.detectors.detector import Boxes
from choreai.pose.estimator import Poses
from choreai.pose.nms import HEATMAP_CONSTANTS
from choreai.pose.topdown import TopDownEstimator
from choreai.video.frame import Frame

CPU = torch.device("cpu")
FASTPOSE = PoseArchitecture("FastPose", 17, 50, conv_dim=128)


@dataclass
class FakeDetector:
    """Answers the boxes it was given, one entry per frame in order, for ever the same."""

    boxes: list[list[tuple[float, float, float, float]]]
    batch_size: int = 2
    num_seen: int = 0
    batches: list[int] = field(default_factory=list)

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"detector": "fake"}

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        self.batches.append(len(images))
        found = [self.boxes[(self.num_seen + index) % len(self.boxes)] for index in range(len(images))]
        self.num_seen += len(images)
        return [Boxes(np.array(b, np.float32).reshape(-1, 4), np.full(len(b), 0.9, np.float32)) for b in found]


class WhiteSpotFinder:
    """Answers the middle of what is white in each crop, as all 17 keypoints; out of memory beyond `most` crops."""

    crop_settings = CropSettings(size_hw=(256, 192), mean_rgb=(0.0, 0.0, 0.0))
    num_keypoints = 17

    def __init__(self, *, most: int = 10**9) -> None:
        self.most = most
        self.batches: list[int] = []

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"pose_network": "fake"}

    def find_keypoints(self, crops_P3HW: torch.Tensor) -> CropKeypoints:
        if len(crops_P3HW) > self.most:
            raise torch.OutOfMemoryError("fake")
        self.batches.append(len(crops_P3HW))
        light = crops_P3HW.mean(1)
        total = light.sum((1, 2)).clamp(min=1e-6)
        x = (light.sum(1) * torch.arange(192)).sum(1) / total
        y = (light.sum(2) * torch.arange(256)).sum(1) / total
        # Spread a little, or the area they span would be zero.
        spread = torch.linspace(-1, 1, 17)
        xy = torch.stack((x[:, None] + spread, y[:, None] + spread), dim=-1)
        return CropKeypoints(xy, torch.ones(len(crops_P3HW), 17))


def estimator_of(detector: FakeDetector, network: CropPoseNetwork, *, frame_batch: int = 4, crop_batch: int = 8):
    return TopDownEstimator(
        detector, network, constants=HEATMAP_CONSTANTS, device=CPU, frame_batch=frame_batch, crop_batch=crop_batch
    )


def spotted(spots_xy: Sequence[tuple[int, int]], *, size_wh: tuple[int, int] = (640, 360), number: int = 0) -> Frame:
    """A black frame with a white square of 5 x 5 pixels around each spot."""
    image = np.zeros((size_wh[1], size_wh[0], 3), np.uint8)
    for x, y in spots_xy:
        image[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3] = 255
    return Frame(image, number, number / 8)


def middle(poses: Poses) -> np.ndarray:
    """(P, 2)."""
    return poses.keypoints_xy.mean(axis=1)


class TinyNetwork(nn.Module):
    """Heatmaps of the crop's brightness, shifted by `cells_off` in low precision; notes its batch sizes."""

    def __init__(self, *, num_keypoints: int = 17, cells_off: int = 0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, num_keypoints, 4, stride=4)
        nn.init.constant_(self.conv.weight, 1 / 48)
        assert self.conv.bias is not None
        nn.init.constant_(self.conv.bias, 0.5)
        self.cells_off = cells_off
        self.batches: list[int] = []

    def __deepcopy__(self, memo: dict[int, object]) -> "TinyNetwork":
        copied = TinyNetwork(num_keypoints=self.conv.out_channels, cells_off=self.cells_off)
        copied.batches = self.batches
        return copied

    def forward(self, crops: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(crops))
        heatmaps = self.conv(crops)
        return heatmaps.roll(self.cells_off, -1) if heatmaps.dtype == torch.bfloat16 else heatmaps
