"""Saliency: which of the people in a frame are worth a pose, before any pose is known.

A hall of three hundred onlookers must cost no more than the few who dance. Somebody who is large, moves, stands near
the middle and is surely a person comes first; smoothed over time, so that a dancer who freezes stays.
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import FloatArray, IntArray
from choreai.pose.detectors.detector import Boxes
from choreai.video.pixel_motion import MotionMap

STILL_MOTION = 0.1
"""Of the frame's mean change, by which everybody is taken to move: of people who all stand still the larger count."""
CENTRE_SPREAD = 0.4
"""Of the frame's width: how far from the middle centrality falls to 1/e. Cameramen follow the dancer."""
MEMORY_SECONDS = 0.3
"""How long past frames count: 0.8 of a frame's saliency is older than a frame at 15 frames a second."""
SAME_IOU = 0.3
"""Boxes of neighbouring frames that overlap more are the same person."""
NEWCOMER_SHARE = 0.5
"""Of the saliency of somebody whom no earlier frame vouches for."""


@dataclass(frozen=True, eq=False)
class Salience:
    """What one frame tells of P people."""

    motion: FloatArray
    """(P,) `MotionMap.in_boxes`."""
    centrality: FloatArray
    """(P,) in (0, 1]: 1 in the middle between the frame's left and right."""
    saliency: FloatArray
    """(P,) any positive unit; the larger, the likelier a dancer. Smoothed over time."""

    def take(self, rows: IntArray) -> "Salience":
        """Return the people at these places."""
        return Salience(self.motion[rows], self.centrality[rows], self.saliency[rows])


class SaliencyFilter:
    """The saliency of everybody in each frame of one video. One object per video."""

    def __init__(self) -> None:
        self._boxes = np.zeros((0, 4), np.float32)
        self._saliency = np.zeros(0, np.float32)
        self._seconds = 0.0

    def update(self, people: Boxes, motion: MotionMap, *, size_hw: tuple[int, int], pts_seconds: float) -> Salience:
        """Return the saliency of the next frame's people."""
        moved = motion.in_boxes(people.box_xyxy)
        centrality = measure_centrality(people.box_xyxy, width=size_hw[1])
        size = (people.box_xyxy[:, 2:] - people.box_xyxy[:, :2]).max(axis=1) / size_hw[0]
        now = size * (STILL_MOTION + moved) * np.sqrt(people.scores) * centrality
        smoothed = self._smooth(people.box_xyxy, now, pts_seconds)
        self._boxes, self._saliency, self._seconds = people.box_xyxy, smoothed, pts_seconds
        return Salience(moved, centrality, smoothed)

    def _smooth(self, boxes: FloatArray, now: FloatArray, pts_seconds: float) -> FloatArray:
        if not len(boxes) or not len(self._boxes):
            return now
        keep = np.float32(np.exp(-max(pts_seconds - self._seconds, 0.0) / MEMORY_SECONDS))
        overlap = iou_matrix(boxes, self._boxes)
        owner = overlap.argmax(axis=1)
        known = overlap.max(axis=1) > SAME_IOU
        return np.where(known, keep * self._saliency[owner] + (1 - keep) * now, NEWCOMER_SHARE * now)


def measure_centrality(box_xyxy: FloatArray, *, width: int) -> FloatArray:
    """Return (P,) how near the boxes are to the middle of a frame `width` wide, from left to right."""
    off_centre = (box_xyxy[:, 0] + box_xyxy[:, 2] - width) / 2
    return np.exp(-((off_centre / (CENTRE_SPREAD * width)) ** 2)).astype(np.float32)


def iou_matrix(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """Return (P, Q) intersection over union of (P, 4) and (Q, 4) boxes; 0 where both are without area."""
    starts = np.maximum(boxes[:, None, :2], others[None, :, :2])
    ends = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    overlap = (ends - starts).clip(0).prod(axis=2)
    areas, other_areas = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (boxes, others))
    union = areas[:, None] + other_areas[None] - overlap
    return np.divide(overlap, union, out=np.zeros_like(overlap), where=union > 0)
