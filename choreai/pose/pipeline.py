"""Frames to tracked people: estimator and tracker in one stream, the same for the batch job and everything else."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass

from choreai.arrays import Int32Array
from choreai.motion.sequence import KeypointSequence
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.pose.reid import ReidTracker
from choreai.pose.tracking import Tracker
from choreai.video.frame import Frame
from choreai.video.prefetch import read_ahead

MAX_BATCH_BYTES = 256 * 2**20
"""Of pixels handed to an estimator at once: two frames at 8K, however many it would like."""


@dataclass(frozen=True, eq=False)
class TrackedPoses:
    """The people of one sampled frame and who they are."""

    frame_index: int
    pts_seconds: float
    poses: Poses
    track_ids: Int32Array
    """(P,), the same person's id in every frame of the video, from 0."""


def find_people(frames: Iterable[Frame], estimator: PoseEstimator) -> Generator[TrackedPoses, None, None]:
    """The people of each frame of one video, in order.

    Tracked by looks and movement where the estimator gives features, else by movement alone. A thread reads `frames`
    ahead of the estimator: exhaust the generator or close it before you close what `frames` come from.
    """
    with closing(find_poses(frames, estimator)) as posed:
        for _, people in track(posed):
            yield people


def track(posed: Iterable[tuple[Frame, Poses]]) -> Iterator[tuple[Frame, TrackedPoses]]:
    """Each frame of one video (`find_poses`) with its people and who they are."""
    tracker: Tracker | ReidTracker | None = None
    for frame, poses in posed:
        if tracker is None:
            tracker = Tracker() if poses.features is None else ReidTracker()
        track_ids = tracker.update(poses, pts_seconds=frame.pts_seconds)
        yield frame, TrackedPoses(frame.frame_index, frame.pts_seconds, poses, track_ids)


def find_poses(frames: Iterable[Frame], estimator: PoseEstimator) -> Generator[tuple[Frame, Poses], None, None]:
    """Each frame of one video with its people, untracked; for the rest as `find_people`."""
    estimator.start_video()
    with closing(read_ahead(frames)) as ahead:
        for batch in _batches(ahead, max_frames=estimator.batch_size):
            yield from zip(batch, estimator.estimate(batch), strict=True)


def _batches(frames: Iterator[Frame], *, max_frames: int) -> Iterator[list[Frame]]:
    """Up to `max_frames` frames at a time, fewer where they are large."""
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == max_frames or (len(batch) + 1) * frame.image.nbytes > MAX_BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def to_sequence(people: Iterable[TrackedPoses]) -> KeypointSequence:
    """Return the tracked people of one video's frames as the sequence that a keypoint table would hold."""
    return KeypointSequence.from_frames(
        (
            frame.frame_index,
            frame.pts_seconds,
            frame.track_ids,
            frame.poses.keypoints_xy,
            frame.poses.keypoint_scores,
            frame.poses.keypoints_xyz,
        )
        for frame in people
    )
