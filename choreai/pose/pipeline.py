"""From frames to tracked people: estimator and tracker in one stream, shared by the batch job, CLI and web."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import BinaryIO

import numpy as np

from choreai.arrays import Int32Array
from choreai.motion.sequence import FramePeople, KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.concurrency import concurrently
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.pose.stages import each_counted_as, running_clock, stage
from choreai.pose.trackers import PersonTracker, choose_tracker
from choreai.video.container import MAX_PIXELS
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame
from choreai.video.picture_files import Pictures
from choreai.video.pictures import PictureReader, open_reader
from choreai.video.prefetch import Prefetch, prefetch
from choreai.video.quality import PeopleSeen
from choreai.video.shots import mark_shots

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
    shot_index: int = 0
    """0-based index of the frame's shot; always 0 if the video is not split into shots."""

    @property
    def frame_people(self) -> FramePeople:
        """The frame's rows of the keypoint table, and of a sequence."""
        poses = self.poses
        xy, scores = poses.all_keypoints_xy, poses.all_keypoint_scores
        return FramePeople(
            self.frame_index,
            self.pts_seconds,
            self.track_ids,
            poses.keypoints_xy,
            poses.keypoint_scores,
            poses.keypoints_xyz,
            poses.box_xyxy,
            poses.box_scores,
            None if xy is None else xy[:, NUM_KEYPOINTS:],
            None if scores is None else scores[:, NUM_KEYPOINTS:],
        )


@contextmanager
def open_tracked(
    file: BinaryIO | Pictures,
    estimator: PoseEstimator,
    *,
    uri: str,
    frames_per_second: float,
    num_threads: int,
    split_shots: bool = False,
    max_pixels: int = MAX_PIXELS,
    on_frame: Callable[[Frame], None] | None = None,
) -> Iterator[tuple[VideoReader | PictureReader, Generator[TrackedPoses, None, None]]]:
    """Open a video, or pictures, and yield its reader, together with the tracked people of its sampled frames.

    With `split_shots` no track crosses a cut. `on_frame` is told of every sampled frame, in order, on the thread that
    decodes. No frame is decoded before the first one is asked for.
    Raises MediaError, with `uri`, if the file cannot be used.
    """
    with stage("decode"):
        reader = open_reader(file, uri=uri, num_threads=num_threads, max_pixels=max_pixels)
    with reader:
        frames = _shown(reader.sample(frames_per_second=frames_per_second), on_frame)
        with closing(estimate_and_track(mark_shots(frames) if split_shots else frames, estimator)) as tracked:
            yield reader, tracked


def _shown(frames: Iterable[Frame], on_frame: Callable[[Frame], None] | None) -> Iterator[Frame]:
    for frame in frames:
        if on_frame is not None:
            on_frame(frame)
        yield frame


def estimate_and_track(frames: Iterable[Frame], estimator: PoseEstimator) -> Generator[TrackedPoses, None, None]:
    """Yield the tracked people of each frame of one video, in order.

    They are tracked by appearance and movement if the estimator gives features, else by movement alone; by which
    tracker, `choose_tracker` says. A thread prefetches `frames`, unless they are a `Prefetch` already: exhaust or close
    the generator before closing the source of `frames`.
    """
    with closing(estimate(frames, estimator)) as posed:
        for _, people in track(posed):
            yield people


def track(posed: Iterable[tuple[Frame, Poses]]) -> Iterator[tuple[Frame, TrackedPoses]]:
    """Yield each frame of one video with its people and their track ids; `posed` comes from `estimate`.

    Every shot has a tracker of its own, whose ids start where those of the shot before ended.
    """
    next_id = 0
    for _, shot in groupby(posed, key=_shot_index):
        first_id = next_id
        for frame, people in _track_shot(shot, first_id=first_id):
            next_id = max([next_id, *(people.track_ids + 1).tolist()])
            yield frame, people


def _shot_index(posed: tuple[Frame, Poses]) -> int:
    return posed[0].shot_index


def _track_shot(posed: Iterable[tuple[Frame, Poses]], *, first_id: int) -> Iterator[tuple[Frame, TrackedPoses]]:
    tracker: PersonTracker | None = None
    for frame, poses in posed:
        if tracker is None:
            tracker = choose_tracker(poses)
        with stage("track"):
            track_ids = tracker.update(poses, pts_seconds=frame.pts_seconds) + np.int32(first_id)
        yield frame, TrackedPoses(frame.frame_index, frame.pts_seconds, poses, track_ids, frame.shot_index)


def estimate(
    frames: Iterable[Frame], estimator: PoseEstimator, *, in_blocks: bool = False
) -> Generator[tuple[Frame, Poses], None, None]:
    """Yield each frame of one video with its people, without tracking them; prefetches as `estimate_and_track`.

    With `in_blocks` a batch begins at every multiple of the estimator's batch size among the frame indices: whoever
    estimates only some of these blocks has the same batches.
    """
    clock = running_clock()
    is_ahead = isinstance(frames, Prefetch)
    with closing(prefetch(frames if is_ahead else each_counted_as("decode", iter(frames), clock))) as prefetched:
        waited_for = each_counted_as("wait", prefetched, clock)
        batches = _batches(waited_for, max_frames=estimator.batch_size, in_blocks=in_blocks)
        with closing(_estimate_batches(batches, estimator)) as posed:
            for batch, found in posed:
                yield from zip(batch, found, strict=True)


def _estimate_batches(
    batches: Iterable[Sequence[Frame]], estimator: PoseEstimator
) -> Generator[tuple[Sequence[Frame], list[Poses]], None, None]:
    """Yield each batch with the people of its frames, having told the estimator where a shot begins."""
    shot_index = None

    def estimate_batch(batch: Sequence[Frame]) -> list[Poses]:
        nonlocal shot_index
        if batch[0].shot_index != shot_index:
            estimator.start_video()
            shot_index = batch[0].shot_index
        with stage("pose"):
            return estimator.estimate(batch)

    return concurrently(estimate_batch, batches, num_concurrent=getattr(estimator, "num_concurrent", 1))


def _batches(frames: Iterator[Frame], *, max_frames: int, in_blocks: bool) -> Iterator[list[Frame]]:
    """Yield up to `max_frames` frames of one shot, and of one block, at a time, fewer if they are large."""
    batch: list[Frame] = []
    place = None
    for frame in frames:
        previous, place = place, (frame.shot_index, frame.frame_index // max_frames if in_blocks else 0)
        if batch and place != previous:
            yield batch
            batch = []
        batch.append(frame)
        if len(batch) == max_frames or (len(batch) + 1) * frame.image.nbytes > MAX_BATCH_BYTES:
            yield batch
            batch = []
    if batch:
        yield batch


def count_people(
    tracked: Iterable[TrackedPoses], people_seen: PeopleSeen, *, picture_height: int
) -> Iterator[TrackedPoses]:
    """Yield the same people, and count in `people_seen` how large they are, for the video's input quality."""
    for people in tracked:
        people_seen.add(people.poses.box_xyxy, picture_height=picture_height)
        yield people


def to_sequence(people: Iterable[TrackedPoses]) -> KeypointSequence:
    """Return the tracked people of one video as the sequence that a keypoint table would hold."""
    return KeypointSequence.from_frames(frame.frame_people for frame in people)
