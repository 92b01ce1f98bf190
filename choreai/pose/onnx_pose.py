"""Top-down pose networks in .onnx files: heatmaps (SimplePose, ViTPose) and SimCC (RTMPose).

Legend: P people (crops), K keypoints, H x W crop pixels.
"""

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch

from choreai.errors import WeightsError
from choreai.pose.crop_keypoints import CropKeypoints
from choreai.pose.crops import ALPHAPOSE_CROPS, CropSettings
from choreai.pose.heatmaps import Decoding, decode_heatmaps
from choreai.pose.int8_record import check_record
from choreai.pose.onnx_session import OnnxNetwork
from choreai.pose.stages import counted_as

Preprocessing = Literal["imagenet", "imagenet-bgr", "unit", "alphapose"]

_IMAGENET = CropSettings(size_hw=(256, 192), mean_rgb=(0.485, 0.456, 0.406), std_rgb=(0.229, 0.224, 0.225))
PREPROCESSING: dict[Preprocessing, CropSettings] = {
    "imagenet": _IMAGENET,  # GluonCV, MMPose (RTMPose, ViTPose) and most others
    "imagenet-bgr": replace(_IMAGENET, channel_order="BGR"),
    "unit": CropSettings(size_hw=(256, 192), mean_rgb=(0.0, 0.0, 0.0)),
    "alphapose": ALPHAPOSE_CROPS,
}
"""Normalisation of crops, whose size comes from the file; an .onnx file does not record which of these it expects."""


class OnnxPose:
    """A `CropPoseNetwork`.

    The kind is recognised by the outputs: one (N, K, h, w) means heatmaps, decoded by their peak, shifted a quarter
    pixel; two, (N, K, s x W) and (N, K, s x H), mean SimCC, decoded by the peak of each, with s (RTMPose: 2) from the
    shapes.
    """

    def __init__(
        self,
        model: bytes | Path | BinaryIO,
        *,
        preprocessing: Preprocessing,
        num_threads: int,
        device: Literal["cpu", "cuda"] = "cpu",
    ) -> None:
        """Open the network. Raises WeightsError for other networks, ConfigError if onnxruntime cannot run here."""
        self._network = OnnxNetwork(model, num_threads=num_threads, device=device)
        check_record(self._network, preprocessing=preprocessing)
        self._preprocessing = preprocessing
        self.crop_settings = replace(PREPROCESSING[preprocessing], size_hw=self._network.size_hw)
        self.num_keypoints = _count_keypoints(self._network)

    def settings(self) -> dict[str, str | int | float | bool]:
        """Return everything that affects the keypoints, for the pose fingerprint."""
        return {"pose_network_sha256": self._network.sha256, "pose_preprocessing": self._preprocessing}

    def find_keypoints(self, crops_P3HW: torch.Tensor) -> CropKeypoints:
        """Return the keypoints; scores are the peaks, or the lower of SimCC's two. (0, 0) where it is not positive."""
        if crops_P3HW.shape[1:] != (3, *self.crop_settings.size_hw):
            raise ValueError(f"crops must be (P, 3, *{self.crop_settings.size_hw}), got {tuple(crops_P3HW.shape)}")
        outputs = [torch.from_numpy(output) for output in self._network.run(crops_P3HW.cpu().numpy())]
        if len(outputs) == 1:
            return self._decode_heatmaps(outputs[0])
        return _decode_simcc(*outputs, split_ratio=outputs[0].shape[2] / self.crop_settings.size_hw[1])

    def _decode_heatmaps(self, heatmaps: torch.Tensor) -> CropKeypoints:
        height, width = self.crop_settings.size_hw
        # With the crop itself as the box, "frame" pixels are the crop's.
        whole_crop = np.tile(np.array([0, 0, width, height], np.float32), (len(heatmaps), 1))
        found = decode_heatmaps(heatmaps, whole_crop, decoding=Decoding(self.num_keypoints, 0))
        return CropKeypoints(found.xy, found.scores)


def _count_keypoints(network: OnnxNetwork) -> int:
    """Return K. Raises WeightsError unless the outputs are of one of the two kinds."""
    height, width = network.size_hw
    match list(network.output_shapes.values()):
        case [(num_keypoints, rows, columns)] if num_keypoints and rows and rows * width == columns * height:
            return num_keypoints
        case [(num_x, columns), (num_y, rows)] if (
            num_x and rows and num_x == num_y and columns * height == rows * width
        ):
            return num_x
    raise WeightsError(
        f"the ONNX network of {height} x {width} crops outputs {network.output_shapes}; a pose network outputs "
        "heatmaps (N, K, h, w) of the crop's shape, or SimCC x (N, K, s x width) and y (N, K, s x height)"
    )


@counted_as("heatmaps")
def _decode_simcc(x_PKX: torch.Tensor, y_PKY: torch.Tensor, *, split_ratio: float) -> CropKeypoints:
    """Decode SimCC (Li et al. 2022) as MMPose does: `split_ratio` bins per pixel, the first bin at pixel 0."""
    x_scores, x_bins = x_PKX.max(dim=2)
    y_scores, y_bins = y_PKY.max(dim=2)
    scores = torch.minimum(x_scores, y_scores)
    xy = torch.stack((x_bins, y_bins), dim=-1) / split_ratio
    return CropKeypoints(torch.where((scores > 0)[..., None], xy, 0), scores)
