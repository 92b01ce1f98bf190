"""From frames to tracked people: estimator and tracker in one stream, shared by the batch job, CLI and web."""

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from choreai.arrays import Int32Array
from choreai.motion.sequence import FramePeople, KeypointSequence
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.pose.reid import ReidTracker
from choreai.pose.tracking import Tracker
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame
from choreai.video.prefetch import prefetch

MAX_BATCH_BYTES = 256 * 2**20
"""Upper bound on the pixels in one batch: two frames at 8K, whatever the estimator's batch size."""


@dataclass(frozen=True, eq=False)
class TrackedPoses:
    """The people of one sampled frame and their track ids."""

    frame_index: int
    pts_seconds: float
    poses: Poses
    track_ids: Int32Array
    """(P,), the same for one person in every frame of the video, starting at 0."""


@contextmanager
def open_tracked(
    file: BinaryIO, estimator: PoseEstimator, *, uri: str, frames_per_second: float, num_threads: int
) -> Iterator[tuple[VideoReader, Generator[TrackedPoses, None, None]]]:
    """Open a video and yield its reader, together with the tracked people of its sampled frames.

    No frame is decoded before the first one is asked for. Raises MediaError, with `uri`, if the file cannot be used.
    """
    with VideoReader(file, uri=uri, num_threads=num_threads) as reader:
        frames = reader.sample(frames_per_second=frames_per_second)
        with closing(estimate_and_track(frames, estimator)) as tracked:
            yield reader, tracked


def estimate_and_track(frames: Iterable[Frame], estimator: PoseEstimator) -> Generator[TrackedPoses, None, None]:
    """Yield the tracked people of each frame of one video, in order.

    They are tracked by appearance and movement if the estimator gives features, else by movement alone. A thread
    prefetches `frames`: exhaust or close the generator before closing the source of `frames`.
    """
    with closing(estimate(frames, estimator)) as posed:
        for _, people in track(posed):
            yield people


def track(posed: Iterable[tuple[Frame, Poses]]) -> Iterator[tuple[Frame, TrackedPoses]]:
    """Yield each frame of one video with its people and their track ids; `posed` comes from `estimate`."""
    tracker: Tracker | ReidTracker | None = None
    for frame, poses in posed:
        if tracker is None:
            tracker = Tracker() if poses.features is None else ReidTracker()
        track_ids = tracker.update(poses, pts_seconds=frame.pts_seconds)
        yield frame, TrackedPoses(frame.frame_index, frame.pts_seconds, poses, track_ids)


def estimate(frames: Iterable[Frame], estimator: PoseEstimator) -> Generator[tuple[Frame, Poses], None, None]:
    """Yield each frame of one video with its people, without tracking them; prefetches as `estimate_and_track`."""
    estimator.start_video()
    with closing(prefetch(frames)) as prefetched:
        for batch in _batches(prefetched, max_frames=estimator.batch_size):
            yield from zip(batch, estimator.estimate(batch), strict=True)


def _batches(frames: Iterator[Frame], *, max_frames: int) -> Iterator[list[Frame]]:
    """Yield up to `max_frames` frames at a time, fewer if they are large."""
    batch: list[Frame] = []
    for frame in frames:
        batch.append(frame)
        if len(batch) == max_frames or (len(batch) + 1) * frame.image.nbytes > MAX_BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def to_sequence(people: Iterable[TrackedPoses]) -> KeypointSequence:
    """Return the tracked people of one video as the sequence that a keypoint table would hold."""
    return KeypointSequence.from_frames(
        FramePeople(
            frame.frame_index,
            frame.pts_seconds,
            frame.track_ids,
            frame.poses.keypoints_xy,
            frame.poses.keypoint_scores,
            frame.poses.keypoints_xyz,
            frame.poses.box_xyxy,
            frame.poses.box_scores,
        )
        for frame in people
    )
