"""Person detectors in .onnx files whose last step is non-maximum suppression, as MMDeploy exports RTMDet."""

from collections.abc import Sequence

import numpy as np
import torch

from choreai.arrays import FloatArray
from choreai.errors import WeightsError
from choreai.pose.detectors.detector import Boxes
from choreai.pose.detectors.letterbox import Letterbox, letterbox_images, undo_letterbox
from choreai.pose.detectors.selection import PERSON
from choreai.pose.onnx_session import OnnxNetwork

MEAN_BGR = np.array([103.53, 116.28, 123.675], np.float32)[:, None, None]
STD_BGR = np.array([57.375, 57.12, 58.395], np.float32)[:, None, None]
"""MMDetection's for RTMDet, which the file does not say."""


class NmsInsideDetector:
    """A `PersonDetector`. Canvases go through the network one by one, for each has as many boxes as it has.

    Scores are the network's. Boxes are clipped to the image, and those without area dropped.
    """

    batch_size = 1

    def __init__(self, network: OnnxNetwork, *, min_score: float) -> None:
        """Raises WeightsError for a network without boxes (N, D, 5) and labels (N, D)."""
        if not has_nms_inside(network):
            raise WeightsError(f"the ONNX network answers {network.output_shapes}, not boxes (D, 5) and labels (D)")
        self._network, self._min_score = network, min_score
        self._letterbox = Letterbox(
            network.size_hw, centred=False, pad=114, interpolation="linear", channel_order="BGR"
        )

    def settings(self) -> dict[str, str | int | float | bool]:
        height, width = self._letterbox.size_hw
        return {
            "detector": "onnx-nms-inside",
            "detector_sha256": self._network.sha256,
            "input_size": f"{height}x{width}",
            "min_score": self._min_score,
        }

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        return [self._detect_one(image) for image in images]

    def _detect_one(self, image: torch.Tensor) -> Boxes:
        canvas = letterbox_images([image], self._letterbox).cpu().numpy().astype(np.float32)
        found, labels = _boxes_and_labels(self._network.run((canvas - MEAN_BGR) / STD_BGR))
        if not np.isfinite(found).all():
            raise WeightsError("the detector answers NaN or infinity: its weights are broken")
        people = found[(found[:, 4] >= self._min_score) & (labels == PERSON)]
        people = people[np.argsort(-people[:, 4], kind="stable")]
        boxes = undo_letterbox(people[:, :4], (image.shape[1], image.shape[0]), self._letterbox)
        visible = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return Boxes(boxes[visible], people[visible, 4])


def has_nms_inside(network: OnnxNetwork) -> bool:
    """Return whether the network answers boxes with scores (N, D, 5) and labels (N, D)."""
    shapes = sorted(network.output_shapes.values(), key=len)
    return len(shapes) == 2 and len(shapes[0]) == 1 and len(shapes[1]) == 2 and shapes[1][1] == 5


def _boxes_and_labels(outputs: list[FloatArray]) -> tuple[FloatArray, FloatArray]:
    """(D, 5) and (D,) of one image, in whichever order they came."""
    labels, boxes = sorted(outputs, key=np.ndim)
    return boxes[0], labels[0]
