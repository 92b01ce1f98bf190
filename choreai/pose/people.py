"""Frames to tracked people: estimator and tracker in one stream, the same for the batch job and everything else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

from choreai.pose.estimator import PoseEstimator, Poses
from choreai.pose.tracking import Tracker
from choreai.video.frame import Frame


@dataclass(frozen=True, eq=False)
class TrackedPoses:
    """The people of one sampled frame and who they are."""

    frame_index: int
    pts_seconds: float
    poses: Poses
    track_ids: npt.NDArray[np.int32]
    """(P,), the same person's id in every frame of the video, from 0."""


def find_people(frames: Iterable[Frame], estimator: PoseEstimator) -> Iterator[TrackedPoses]:
    """The people of each frame of one video, in order; frames are held `estimator.batch_size` at a time."""
    estimator.start_video()
    tracker = Tracker()
    remaining = iter(frames)
    while batch := list(islice(remaining, estimator.batch_size)):
        for frame, poses in zip(batch, estimator.estimate(batch), strict=True):
            track_ids = tracker.update(poses, pts_seconds=frame.pts_seconds)
            yield TrackedPoses(frame.frame_index, frame.pts_seconds, poses, track_ids)
