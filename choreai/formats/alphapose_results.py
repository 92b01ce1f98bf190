"""AlphaPose's result formats: the entries of `alphapose-results.json`.

coco: one object per person, all of the network's keypoints, COCO's 17 first. cmu and open: one object per image, as
OpenPose has it, with 18 keypoints. In all of them an image without people leaves no trace.
"""

from typing import Literal

import numpy as np

from choreai.arrays import FloatArray
from choreai.formats.rows import without_missing
from choreai.motion.skeleton import LEFT_SHOULDER, RIGHT_SHOULDER
from choreai.pose.pipeline import TrackedPoses

ResultFormat = Literal["coco", "cmu", "open"]
JsonObject = dict[str, object]

NECK = 17
OPENPOSE_FROM_COCO = (0, NECK, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""OpenPose's 18 keypoints: nose, neck, right and left arm, right and left leg, eyes, ears (right first)."""


def person_scores(people: TrackedPoses) -> FloatArray:
    """Return AlphaPose's `score` (P,): mean keypoint score + box score + 1.25 x best keypoint score; may exceed 1.

    All keypoints of the network count.
    """
    poses = people.poses
    scores = poses.keypoint_scores if poses.all_keypoint_scores is None else poses.all_keypoint_scores
    return alphapose_scores(scores, poses.box_scores)


def alphapose_scores(keypoint_scores: FloatArray, box_scores: FloatArray) -> FloatArray:
    """Return AlphaPose's `score` (P,) of (P, J) keypoint scores and (P,) box scores."""
    if not len(keypoint_scores):
        return np.zeros(0, np.float32)
    return keypoint_scores.mean(axis=1) + box_scores + 1.25 * keypoint_scores.max(axis=1)


def to_coco(people: TrackedPoses, *, image_id: str | int) -> list[JsonObject]:
    """Return an object per person, in the order given (AlphaPose's is that of pose NMS).

    `keypoints` are all that the network has, three numbers each; `box` is the detector's x, y, width, height; `idx` the
    track id.
    """
    scores = person_scores(people)
    poses = people.poses
    sizes = poses.box_xyxy[:, 2:] - poses.box_xyxy[:, :2]
    boxes = np.concatenate((poses.box_xyxy[:, :2], sizes), axis=1)
    xy, keypoint_scores = poses.all_keypoints_xy, poses.all_keypoint_scores
    if xy is None or keypoint_scores is None:
        xy, keypoint_scores = poses.keypoints_xy, poses.keypoint_scores
    keypoints = without_missing(np.concatenate((xy, keypoint_scores[..., None]), axis=2))
    return [
        {
            "image_id": image_id,
            "category_id": 1,
            "keypoints": keypoints[person].ravel().tolist(),
            "score": float(scores[person]),
            "box": boxes[person].tolist(),
            "idx": int(people.track_ids[person]),
        }
        for person in range(len(scores))
    ]


def to_openpose(people: TrackedPoses, *, result_format: Literal["cmu", "open"]) -> JsonObject:
    """Return the object of one image, its people in the order given. The neck is the middle of the shoulders."""
    poses = people.poses
    keypoints = np.concatenate((poses.keypoints_xy, poses.keypoint_scores[..., None]), axis=2)
    neck = keypoints[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1, keepdims=True)
    ordered = without_missing(np.concatenate((keypoints, neck), axis=1)[:, list(OPENPOSE_FROM_COCO)])
    outer, inner = ("bodies", "joints") if result_format == "cmu" else ("people", "pose_keypoints_2d")
    # Readers of these formats look at the version.
    return {"version": "AlphaPose v0.3", outer: [{inner: person.ravel().tolist()} for person in ordered]}
