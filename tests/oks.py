"""Object keypoint similarity, COCO's measure of how near estimated keypoints are to annotated ones.

https://cocodataset.org/#keypoints-eval: the mean over annotated keypoints (v > 0) of exp(-d^2 / (2 s^2 k^2)),
with d the distance, s^2 the person's segment area and k = 2 sigma.
"""

import numpy as np
import numpy.typing as npt

SIGMAS = np.array(
    [0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089]
)  # fmt: skip
"""Of COCO-17, from the same page (and pycocotools)."""

Array = npt.NDArray[np.float64]


def similarity(keypoints_xy: Array, annotated: Array, area: float) -> float:
    """In [0, 1]; keypoints_xy (17, 2), annotated (17, 3): x, y, v."""
    labelled = annotated[:, 2] > 0
    squared = ((keypoints_xy - annotated[:, :2]) ** 2).sum(axis=1)
    exponents = squared / (2 * area * (2 * SIGMAS) ** 2)
    return float(np.exp(-exponents[labelled]).mean())
