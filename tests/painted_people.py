"""People painted as grey squares, a detector that finds them, and a crowd estimator that reads the middle of each."""

from collections.abc import Sequence

import numpy as np
import tiny_onnx
import torch

from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.bodies import CropBodyReader
from choreai.pose.crowd import CrowdEstimator
from choreai.pose.detectors.detector import Boxes, PersonDetector
from choreai.pose.estimator import Poses
from choreai.pose.onnx_pose import OnnxPose
from choreai.pose.onnx_reid import OnnxReid
from choreai.video.frame import Frame

SIZE_HW = (90, 160)


class PaintedPeople:
    """A detector of people who are painted as squares of one grey each: the brighter, the surer."""

    batch_size = 1

    def __init__(self) -> None:
        self.num_calls = 0

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"detector": "painted"}

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        self.num_calls += len(images)
        return [self._detect(image.numpy()) for image in images]

    def _detect(self, image: np.ndarray) -> Boxes:
        greys = [grey for grey in np.unique(image[..., 0])[::-1] if grey >= 100]
        places = [np.argwhere(image[..., 0] == grey) for grey in greys]
        boxes = [[*place.min(0)[::-1], *(place.max(0)[::-1] + 1)] for place in places]
        return Boxes(np.array(boxes, np.float32).reshape(-1, 4), np.array(greys, np.float32) / 255)


def picture(*people: tuple[int, int, int, int], number: int = 0) -> Frame:
    """A frame with people (grey, left, top, side)."""
    image = np.zeros((*SIZE_HW, 3), np.uint8)
    for grey, left, top, side in people:
        image[top : top + side, left : left + side] = grey
    return Frame(image, number, number / 15)


def painted_crowd(
    *,
    max_people: int = 2,
    detect_every: int = 1,
    reid: OnnxReid | None = None,
    detector: PersonDetector | None = None,
) -> CrowdEstimator:
    """Bodies come from a SimCC network that always answers the middle of the crop."""
    bins = np.zeros((1, NUM_KEYPOINTS, 128), np.float32)
    bins[:, :, 64] = 0.5
    network = tiny_onnx.constant_network(bins, bins, size_hw=(64, 64))
    reader = CropBodyReader(OnnxPose(network, preprocessing="unit", num_threads=1))
    return CrowdEstimator(
        detector or PaintedPeople(), reader, max_people=max_people, detect_every=detect_every, reid=reid
    )


def estimates(estimator: CrowdEstimator, frames: Sequence[Frame], *, at_once: int = 1) -> list[Poses]:
    estimator.start_video()
    batches = [frames[first : first + at_once] for first in range(0, len(frames), at_once)]
    return [poses for batch in batches for poses in estimator.estimate(batch)]


def assert_equal(found: Sequence[Poses], expected: Sequence[Poses]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.box_xyxy, other.box_xyxy, atol=0.01)
        np.testing.assert_allclose(one.keypoints_xy, other.keypoints_xy, atol=0.01)
        np.testing.assert_allclose(one.box_scores, other.box_scores, atol=1e-5)
