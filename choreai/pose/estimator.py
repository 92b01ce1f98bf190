"""The interface of pose estimators: batches of frames in, people per frame out.

Every estimator (MediaPipe, AlphaPose) implements it, so that the extraction job, the command line and the web pages
run the same code with any of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from choreai.arrays import FloatArray
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.video.frame import Frame


@dataclass(frozen=True, eq=False)
class Poses:
    """The P people found in one frame (P may be 0), in pixels of the original frame.

    x right, y down, pixel centres at integers; keypoints in COCO-17 order (`choreai.motion.skeleton`).
    """

    box_xyxy: FloatArray
    """(P, 4)."""
    box_scores: FloatArray
    """(P,), in [0, 1]."""
    keypoints_xy: FloatArray
    """(P, 17, 2)."""
    keypoint_scores: FloatArray
    """(P, 17). MediaPipe: visibility in [0, 1]. AlphaPose: raw heatmap maxima, which may exceed 1."""
    keypoints_xyz: FloatArray | None = None
    """(P, 17, 3) metres, origin between the hips, x right, y down, z away from the camera; None without 3D."""
    all_keypoints_xy: FloatArray | None = None
    """(P, J, 2) with the network's other keypoints after COCO's 17; J is 26, 68 or 136 for Halpe's sets and 133 for
    COCO-WholeBody's. None where it has no others."""
    all_keypoint_scores: FloatArray | None = None
    """(P, J) beside `all_keypoints_xy`."""
    features: FloatArray | None = None
    """(P, F) appearance features for the trackers; None if the estimator computes none."""
    certainty: FloatArray | None = None
    """(P,), in [0, 1]: how sure it is that somebody is there; None where `box_scores` say that."""

    def __post_init__(self) -> None:
        num_people = len(self.box_xyxy)
        expected: dict[str, tuple[int, ...]] = {
            "box_xyxy": (num_people, 4),
            "box_scores": (num_people,),
            "keypoints_xy": (num_people, NUM_KEYPOINTS, 2),
            "keypoint_scores": (num_people, NUM_KEYPOINTS),
            "keypoints_xyz": (num_people, NUM_KEYPOINTS, 3),
            "certainty": (num_people,),
        }
        if self.all_keypoint_scores is not None:
            num_keypoints = self.all_keypoint_scores.shape[-1]
            expected["all_keypoint_scores"] = (num_people, num_keypoints)
            expected["all_keypoints_xy"] = (num_people, num_keypoints, 2)
        for name, shape in expected.items():
            array = getattr(self, name)
            if array is None:
                continue
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{name} must be {shape} float32, got {array.shape} {array.dtype}")
        found = self.features
        if found is not None and (found.ndim != 2 or len(found) != num_people or found.dtype != np.float32):
            raise ValueError(f"features must be ({num_people}, F) float32, got {found.shape} {found.dtype}")

    def __len__(self) -> int:
        return len(self.box_xyxy)

    @classmethod
    def empty(cls, *, with_xyz: bool = False) -> "Poses":
        """Return the poses of a frame without people."""
        return cls(
            box_xyxy=np.zeros((0, 4), np.float32),
            box_scores=np.zeros(0, np.float32),
            keypoints_xy=np.zeros((0, NUM_KEYPOINTS, 2), np.float32),
            keypoint_scores=np.zeros((0, NUM_KEYPOINTS), np.float32),
            keypoints_xyz=np.zeros((0, NUM_KEYPOINTS, 3), np.float32) if with_xyz else None,
        )


class PoseEstimator(Protocol):
    """Finds people and their keypoints. Built once per worker, which loads the weights.

    One that remembers no earlier frames may have a `num_concurrent`: so many calls of `estimate` at the same time, in
    threads, make the best of the CPU threads it was given.
    """

    batch_size: int
    """The preferred number of frames per call of `estimate`."""

    def settings(self) -> dict[str, str | int | float | bool]:
        """Return everything that affects this estimator's keypoints (name, SHA-256 of the weights, thresholds); it is
        hashed into the pose fingerprint."""
        ...

    def start_video(self) -> None:
        """Forget all previous frames; called before the first frame of each video, and of each shot if it is split."""
        ...

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        """Return one `Poses` per frame, in order; frames come in presentation order from one video."""
        ...
