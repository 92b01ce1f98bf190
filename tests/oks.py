"""Object keypoint similarity, COCO's measure of how near estimated keypoints are to annotated ones.

https://cocodataset.org/#keypoints-eval: the mean over annotated keypoints (v > 0) of exp(-d^2 / (2 s^2 k^2)),
with d the distance, s^2 the person's segment area and k = 2 sigma.
"""

import numpy as np
import numpy.typing as npt

SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
"""Of COCO-17, from the same page (and pycocotools)."""

Array = npt.NDArray[np.float64]


def similarity(keypoints_xy: Array, annotated: Array, area: float) -> float:
    """In [0, 1]; keypoints_xy (17, 2), annotated (17, 3): x, y, v."""
    labelled = annotated[:, 2] > 0
    squared = ((keypoints_xy - annotated[:, :2]) ** 2).sum(axis=1)
    exponents = squared / (2 * area * (2 * SIGMAS) ** 2)
    return float(np.exp(-exponents[labelled]).mean())
