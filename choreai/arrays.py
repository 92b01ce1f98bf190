"""Names for the array types that pass between modules."""

from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
"""The usual one: keypoints, boxes, scores and features."""
Float64Array = npt.NDArray[np.float64]
AnyFloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.int64]
"""Indices and counts."""
Int32Array = npt.NDArray[np.int32]
"""Track ids and frame numbers, as the tables store them."""
AnyIntArray = npt.NDArray[np.integer[Any]]
BoolArray = npt.NDArray[np.bool_]
ImageArray = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, unless said otherwise."""
