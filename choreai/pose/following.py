"""Where people are in the frames between two detections, by the keypoints that were read meanwhile."""

import numpy as np

from choreai.arrays import FloatArray, IntArray
from choreai.pose.detectors.detector import Boxes
from choreai.pose.saliency import SAME_IOU, iou_matrix

MIN_KEYPOINT_SCORE = 0.3
MAX_STEP = 0.25
"""Of a box's longer side, in a frame: a median of keypoints that moves further is a misread body."""


class BoxFollower:
    """Moves the last detection's boxes with the people in them. One object per video.

    Only people whose pose is read move; the boxes of the others, who were less salient, stay until the next detection.
    """

    def __init__(self) -> None:
        self._people = Boxes.empty()
        self._rows: IntArray = np.zeros(0, np.int64)
        self._keypoints_xy = np.zeros((0, 0, 2), np.float32)
        self._keypoint_scores = np.zeros((0, 0), np.float32)
        self._step_xy = np.zeros((0, 2), np.float32)

    def __len__(self) -> int:
        """Return how many people there are to follow."""
        return len(self._people)

    def people(self) -> Boxes:
        """Return where everybody is expected in the frame after the last `update`."""
        boxes = self._people.box_xyxy.copy()
        boxes[self._rows] += np.tile(self._step_xy, 2)
        return Boxes(boxes, self._people.scores)

    def update(self, people: Boxes, rows: IntArray, keypoints_xy: FloatArray, keypoint_scores: FloatArray) -> None:
        """Take in a frame: everybody in it, and the poses (R, K, 2), (R, K) that were read of the people at `rows`."""
        boxes, before = people.box_xyxy[rows], self._people.box_xyxy[self._rows]
        step = np.zeros((len(rows), 2), np.float32)
        if len(boxes) and len(before):
            overlap = iou_matrix(boxes, before)
            for person in np.flatnonzero(overlap.max(axis=1) > SAME_IOU):
                owner = overlap[person].argmax()
                is_read = np.minimum(keypoint_scores[person], self._keypoint_scores[owner]) >= MIN_KEYPOINT_SCORE
                if is_read.any():
                    moved = keypoints_xy[person, is_read] - self._keypoints_xy[owner, is_read]
                    step[person] = np.median(moved, axis=0)
        largest = MAX_STEP * (boxes[:, 2:] - boxes[:, :2]).max(axis=1, initial=0.0)
        step[np.abs(step).max(axis=1, initial=0.0) > largest] = 0
        self._people, self._rows, self._step_xy = people, rows, step
        self._keypoints_xy, self._keypoint_scores = keypoints_xy, keypoint_scores
