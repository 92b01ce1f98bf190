"""Re-ID networks in .onnx files: what people look like, as features that `choreai.pose.reid` compares."""

import cv2
import numpy as np

from choreai.arrays import FloatArray, ImageArray
from choreai.errors import WeightsError
from choreai.pose.onnx_session import OnnxNetwork

MEAN_RGB = np.array([0.485, 0.456, 0.406], np.float32)
STD_RGB = np.array([0.229, 0.224, 0.225], np.float32)
"""ImageNet's, with which torchreid trains OSNet; the file does not say."""


class OnnxReid:
    """A network of one output (N, F). Boxes are stretched to its input, as in training."""

    def __init__(self, network: OnnxNetwork) -> None:
        """Raises WeightsError for other outputs."""
        match list(network.output_shapes.values()):
            case [(size,)] if size > 1:
                self.feature_size = int(size)
            case _:
                raise WeightsError(f"a re-ID network answers features (N, F), this one {network.output_shapes}")
        self._network = network

    def settings(self) -> dict[str, str | int | float | bool]:
        """Return what changes the features, for the pose fingerprint."""
        return {"reid_sha256": self._network.sha256}

    def compute_features(self, image: ImageArray, box_xyxy: FloatArray) -> FloatArray:
        """Return (P, F) features of the people in (P, 4) boxes of one frame."""
        height, width = self._network.size_hw
        crops = np.zeros((len(box_xyxy), height, width, 3), np.float32)
        for crop, box in zip(crops, box_xyxy, strict=True):
            crop[:] = cv2.resize(_cut(image, box), (width, height))
        normalised = (crops / 255 - MEAN_RGB) / STD_RGB
        return self._network.run(normalised.transpose(0, 3, 1, 2))[0]


def _cut(image: ImageArray, box: FloatArray) -> ImageArray:
    """The box's pixels, at least one."""
    height, width = image.shape[:2]
    x0, y0 = np.floor(box[:2]).astype(int).clip(0, [width - 1, height - 1])
    x1, y1 = np.ceil(box[2:]).astype(int).clip([x0 + 1, y0 + 1], [width, height])
    return image[y0:y1, x0:x1]
