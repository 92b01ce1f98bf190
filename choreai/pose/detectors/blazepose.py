"""BlazePose's person detector, from MediaPipe's .tflite file: where people are, and how they are turned.

After MediaPipe's graph: the frame in a square of 224 pixels, 2,254 anchors; each answers a score, a box around the head
and four points, of which the middle between the hips and one above the head say where the landmark network has to look.
Detections of one head are averaged by score.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from choreai.arrays import Float64Array, FloatArray, ImageArray
from choreai.errors import WeightsError
from choreai.pose.blazepose import ImageNetwork, Squares, warp_as_mediapipe
from choreai.pose.saliency import iou_matrix

STRIDES_AND_ANCHORS = ((8, 2), (16, 2), (32, 6))
"""Pixels between the places of each layer, and how many anchors share a place."""
NUM_NUMBERS = 12
"""Of an anchor: centre and size of a box, and four points."""
MAX_IOU = 0.3
"""MediaPipe's: boxes that overlap more are one head."""


@dataclass(frozen=True, eq=False)
class Found:
    """P people, by falling score."""

    squares: Squares
    scores: FloatArray
    """(P,) in [0, 1]."""


class BlazePoseDetector:
    """Finds people, and where their landmarks are to be read; not a `PersonDetector`, whose boxes stand upright."""

    def __init__(self, network: ImageNetwork, *, min_score: float) -> None:
        """Raises WeightsError for another network."""
        self._network, self._size, self._min_score = network, network.size_hw[0], min_score
        self._anchors = _anchors(self._size)
        expected = {(len(self._anchors), NUM_NUMBERS), (len(self._anchors), 1)}
        if network.size_hw != (self._size, self._size) or set(network.output_shapes.values()) != expected:
            raise WeightsError(
                f"the network of {network.size_hw} images answers {network.output_shapes}; BlazePose's detector "
                f"answers {sorted(expected)}"
            )

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self._network.sha256

    @property
    def min_score(self) -> float:
        """Detections below are discarded."""
        return self._min_score

    def detect(self, image: ImageArray) -> Found:
        """Return the people of one frame."""
        to_crop = Squares.around_frame(image).to_crop(0, self._size)
        crop = warp_as_mediapipe(image, to_crop, (self._size, self._size), border=cv2.BORDER_CONSTANT)
        answers = self._network.run(crop.astype(np.float32).transpose(2, 0, 1)[None] / np.float32(127.5) - 1)
        numbers, logits = sorted((answer[0] for answer in answers), key=lambda answer: -answer.shape[1])
        scores = 1 / (1 + np.exp(-logits[:, 0].astype(np.float64).clip(-100, 100)))
        rows = np.flatnonzero(scores > self._min_score)
        places = numbers[rows].astype(np.float64)
        middle, size = places[:, :2] + self._anchors[rows], places[:, 2:4]
        heads = np.concatenate([middle - size / 2, middle + size / 2], axis=1)
        points = places[:, 4:].reshape(-1, 4, 2)[:, :2] + self._anchors[rows, None]
        points, best = _averaged(heads.astype(np.float32), scores[rows], points)
        back = cv2.invertAffineTransform(to_crop)
        points = (points - 0.5) @ back[:, :2].T + back[:, 2]
        return Found(Squares.between(points[:, 0], points[:, 1]), best.astype(np.float32))


def _averaged(heads: FloatArray, scores: Float64Array, points: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return points (P, 2, 2), the mean of all that overlap the best one, by score, and the best one's score (P,)."""
    order = np.argsort(-scores, kind="stable")
    overlap = iou_matrix(heads, heads)
    means, best = [], []
    while len(order):
        is_same = overlap[order[0], order] > MAX_IOU
        is_same[0] = True
        same = order[is_same]
        means.append(np.average(points[same], axis=0, weights=scores[same]))
        best.append(scores[order[0]])
        order = order[~is_same]
    return np.array(means).reshape(-1, 2, 2), np.array(best)


def _anchors(size: int) -> Float64Array:
    """Return the anchors' (A, 2) places in pixels of the square."""
    layers = []
    for stride, num_anchors in STRIDES_AND_ANCHORS:
        ticks = (np.arange(-(-size // stride)) + 0.5) * stride
        places = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
        layers.append(np.repeat(places, num_anchors, axis=0))
    return np.concatenate(layers)
