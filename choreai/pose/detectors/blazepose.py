"""BlazePose's person detector, from MediaPipe's .tflite file: where people are, and how they are turned.

After MediaPipe's graph: 2,254 anchors on a 224-pixel square; each answers a score, a box around the head and four
points, of which the middle between the hips and a point above the head say where the landmark network has to look.
Detections of one head are averaged by score.

Legend: A anchors, P people.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from choreai.arrays import Float64Array, FloatArray, ImageArray
from choreai.errors import WeightsError
from choreai.pose.blazepose import ImageNetwork, Squares, warp_as_mediapipe
from choreai.pose.saliency import iou_matrix

STRIDES_AND_ANCHORS = ((8, 2), (16, 2), (32, 6))
"""Pixels between the anchors of each layer, and how many share a place."""
NUM_NUMBERS = 12
"""Of an anchor: centre and size of a box, and four points."""
MAX_IOU = 0.3
"""MediaPipe's: boxes that overlap more are one head."""
SAME_PERSON_IOU = 0.5
"""Bodies that overlap more are one person, seen in two regions."""


@dataclass(frozen=True, eq=False)
class Found:
    """P people, by falling score."""

    squares: Squares
    scores: FloatArray
    """(P,) in [0, 1]."""

    def __len__(self) -> int:
        return len(self.scores)


class BlazePoseDetector:
    """Finds people in the whole frame or in square regions of it."""

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

    def detect(self, image: ImageArray, regions: Squares) -> Found:
        """Return the people of one frame, looked for in each region."""
        parts = [self._detect(image, regions.to_crop(row, self._size)) for row in range(len(regions))]
        squares = Squares.joined([part.squares for part in parts])
        scores = np.concatenate([np.zeros(0, np.float32), *(part.scores for part in parts)])
        keep = keep_best(squares.boxes(), scores, max_iou=SAME_PERSON_IOU)
        return Found(squares.take(keep), scores[keep])

    def _detect(self, image: ImageArray, to_crop: Float64Array) -> Found:
        crop = warp_as_mediapipe(image, to_crop, (self._size, self._size), border=cv2.BORDER_CONSTANT)
        answers = self._network.run(crop.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1)
        numbers, logits = sorted((answer[0] for answer in answers), key=lambda answer: -answer.shape[1])
        scores = 1 / (1 + np.exp(-logits[:, 0].astype(np.float64).clip(-100, 100)))
        rows = np.flatnonzero(scores > self._min_score)
        places = numbers[rows].astype(np.float64)
        middle, size = places[:, :2] + self._anchors[rows], places[:, 2:4]
        points = places[:, 4:].reshape(-1, 4, 2)[:, :2] + self._anchors[rows, None]
        heads = np.concatenate([middle - size / 2, middle + size / 2], axis=1)
        points, best = _averaged(heads, scores[rows], points)
        back = cv2.invertAffineTransform(to_crop)
        points = (points - 0.5) @ back[:, :2].T + back[:, 2]
        return Found(Squares.between(points[:, 0], points[:, 1]), best.astype(np.float32))


def _averaged(heads: Float64Array, scores: Float64Array, points: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return points (P, 2, 2), the mean of all that overlap the best one, by score, and the best one's score (P,)."""
    order = np.argsort(-scores, kind="stable")
    overlap = iou_matrix(heads, heads)
    means, best = [], []
    while len(order):
        same = overlap[order[0], order] > MAX_IOU
        same[0] = True
        cluster = order[same]
        means.append(np.average(points[cluster], axis=0, weights=scores[cluster]))
        best.append(scores[order[0]])
        order = order[~same]
    return np.array(means).reshape(-1, 2, 2), np.array(best)


def keep_best(box_xyxy: FloatArray, scores: FloatArray, *, max_iou: float) -> np.ndarray:
    order, kept = np.argsort(-scores, kind="stable"), []
    overlap = iou_matrix(box_xyxy, box_xyxy)
    for row in order:
        if not kept or overlap[row, kept].max() <= max_iou:
            kept.append(row)
    return np.array(kept, np.int64)


def _anchors(size: int) -> Float64Array:
    """Return (A, 2) places in pixels of the square."""
    layers = []
    for stride, num_anchors in STRIDES_AND_ANCHORS:
        ticks = (np.arange(-(-size // stride)) + 0.5) * stride
        x, y = np.meshgrid(ticks, ticks)
        layers.append(np.repeat(np.stack([x, y], axis=-1).reshape(-1, 2), num_anchors, axis=0))
    return np.concatenate(layers)
