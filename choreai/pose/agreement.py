"""How near one network's people stay to another's: keypoints by OKS, boxes by overlap."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from choreai.arrays import FloatArray
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.crop_keypoints import CropKeypoints
from choreai.pose.detectors.detector import Boxes

SIGMAS = np.array([26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]) / 1000
"""Of COCO-17: https://cocodataset.org/#keypoints-eval."""
AREA_OF_BOX = 0.53
"""A person's segment takes about so much of the box, as COCO-style evaluations without segments assume."""
SURE_SCORE = 0.3
"""Keypoints and boxes that the exact network scores lower are noise, and not compared."""
MIN_IOU = 0.5
"""Overlap from which two boxes are of one person."""


@dataclass(frozen=True, eq=False)
class Agreement:
    """What was compared, person by person."""

    values: FloatArray
    """(P,) OKS of each person; of boxes the overlap with the nearest, in [0, 1]."""
    moved: FloatArray
    """Distances of keypoints in crop pixels; empty for boxes."""

    @property
    def num_people(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return float(self.values.mean()) if len(self.values) else 0.0

    @property
    def low(self) -> float:
        """The 5th percentile."""
        return float(np.percentile(self.values, 5)) if len(self.values) else 0.0

    @property
    def found(self) -> float:
        """Share of the values from MIN_IOU on."""
        return float((self.values >= MIN_IOU).mean()) if len(self.values) else 0.0


def keypoint_agreement(found: CropKeypoints, exact: CropKeypoints, box_wh: FloatArray) -> Agreement:
    """Compare the first 17 keypoints of the same P crops; `box_wh` (P, 2) are the people's boxes in crop pixels.

    People without a sure keypoint are left out.
    """
    sure = (exact.scores[:, :NUM_KEYPOINTS] >= SURE_SCORE).cpu().numpy()
    moved = _distances(found, exact)
    area = AREA_OF_BOX * box_wh.astype(np.float64).prod(axis=1)
    similarity = np.exp(-(moved**2) / (2 * area[:, None] * (2 * SIGMAS) ** 2))
    people = sure.any(axis=1)
    oks = np.array([each[which].mean() for each, which in zip(similarity[people], sure[people], strict=True)])
    return Agreement(oks.astype(np.float32), moved[sure].astype(np.float32))


def box_agreement(found: Sequence[Boxes], exact: Sequence[Boxes]) -> Agreement:
    """Compare the boxes of the same images: of each sure box of either the overlap with the other's nearest one."""
    overlaps = [
        _best_overlap(box, others.box_xyxy)
        for pair in zip(exact, found, strict=True)
        for ours, others in (pair, pair[::-1])
        for box in ours.box_xyxy[ours.scores >= SURE_SCORE]
    ]
    return Agreement(np.array(overlaps, np.float32), np.zeros(0, np.float32))


def _distances(found: CropKeypoints, exact: CropKeypoints) -> FloatArray:
    difference = torch.as_tensor(found.xy - exact.xy)[:, :NUM_KEYPOINTS]
    return difference.double().norm(dim=-1).cpu().numpy()


def _best_overlap(box: FloatArray, others: FloatArray) -> float:
    if not len(others):
        return 0.0
    inside = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    shared = inside.clip(0).prod(axis=1)
    areas = (others[:, 2:] - others[:, :2]).prod(axis=1) + (box[2:] - box[:2]).prod()
    return float((shared / np.maximum(areas - shared, 1e-9)).max())
