"""The pose worker: one shard of videos in, one keypoints part and one small report out.

An ordinary class: the pool runs it as a Ray actor, tests call it directly.
"""

import logging
import os
import resource
import socket
import time
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

from choreai.catalog.catalog import Video
from choreai.catalog.shards import PoseShard
from choreai.cluster.gpu_busy import GpuBusy, find_nvml
from choreai.cluster.limits import DEFAULT_LIMITS, VideoLimits, watch_limits
from choreai.cluster.session import gpu_ids
from choreai.cluster.shard_videos import OpenedVideo, ShardVideos, VideoFacts
from choreai.cluster.steps import Step, Steps, run_to_end
from choreai.errors import (
    ConfigError,
    MediaError,
    ObjectForbiddenError,
    ObjectMissingError,
    ObjectUnusableError,
    StorageError,
    WeightsError,
)
from choreai.pose.build import build_estimator, pose_fingerprint
from choreai.pose.estimator import PoseEstimator
from choreai.pose.pipeline import TrackedPoses, estimate_and_track
from choreai.pose.settings import PoseSettings
from choreai.pose.stages import StageClock, stage
from choreai.storage import objects
from choreai.storage.scratch import is_no_room, no_room_error, no_room_is_a_storage_error, sweep_scratch
from choreai.tables.pose_parts import PosePartWriter, VideoRows
from choreai.tables.reports import ShardReport
from choreai.video.prefetch import Prefetch
from choreai.video.quality import PeopleSeen, count_remarks

logger = logging.getLogger(__name__)
MANY_REFUSED = 3
"""Refused videos of one shard, of fewer it may be each one's own fault."""


class PoseWorker:
    """Estimates the poses of shards; keeps only the estimator between calls."""

    def __init__(
        self,
        output: str,
        *,
        settings: PoseSettings,
        pose_fingerprint: str,
        run_id: str,
        num_threads: int = 1,
        limits: VideoLimits = DEFAULT_LIMITS,
    ) -> None:
        self._output, self._settings, self._fingerprint = output, settings, pose_fingerprint
        self._run_id, self._num_threads, self._limits = run_id, num_threads, limits
        # An estimator may be usable only on the thread that built it, so one thread does all the work.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="video")
        self._estimator: PoseEstimator | None = None
        self._gpu: GpuBusy | None = None
        self._num_bytes = 0

    @classmethod
    def build_estimator(cls, settings: PoseSettings, *, num_threads: int = 1) -> PoseEstimator:
        """Build the estimator that these workers use; a subclass may bring another."""
        return build_estimator(settings, read_file=objects.read_object, num_threads=num_threads)

    @classmethod
    def fingerprint(cls, settings: PoseSettings) -> str:
        """Return the pose fingerprint of these workers' tables under `settings`.

        Loads the weights on the CPU of the calling process: wrong ones raise WeightsError before any worker starts.
        """
        return pose_fingerprint(settings, cls.build_estimator(replace(settings, device="cpu")))

    def setup(self) -> None:
        """Load the weights. Raises ConfigError or WeightsError, which end the run.

        The driver has settled which files these are: what "auto" is on this node does not matter.
        """
        sweep_scratch()
        built = self._thread.submit(self.build_estimator, self._settings, num_threads=self._num_threads)
        self._estimator = built.result()
        read_share = find_nvml() if gpu_ids() else None
        self._gpu = GpuBusy(read_share) if read_share is not None else None

    def process(self, shard: PoseShard) -> ShardReport:
        """Process one shard, commit its part, and return its report. Raises as `steps` does."""
        return run_to_end(self.steps(shard))

    def steps(self, shard: PoseShard) -> Steps[ShardReport]:
        """Process one shard step by step, commit its part, and return its report.

        A video that cannot be used becomes a quarantine row. Raises StorageError if the store fails (the shard can be
        tried again), and VideoLimitError at a video over its limits (this worker must be ended then).
        """
        started, clock = time.monotonic(), StageClock()
        records: list[dict[str, object]] = []
        num_frames = 0
        trace = {"run_id": self._run_id}
        with (
            no_room_is_a_storage_error(),
            PosePartWriter(
                self._output, shard_id=shard.shard_id, pose_fingerprint=self._fingerprint, trace=trace
            ) as writer,
            closing(
                ShardVideos(
                    shard.videos, writer.scratch, clock=clock, settings=self._settings, num_threads=self._num_threads
                )
            ) as videos,
        ):
            for index, (video, attempt) in enumerate(zip(shard.videos, shard.attempts, strict=True)):
                began = Step(index, num_frames_before=num_frames)
                yield began
                opened = videos.take(index)
                watched = watch_limits(
                    partial(self._process_video, video, attempt, opened, clock),
                    thread=self._thread,
                    limits=self._limits,
                    index=index,
                    what=f"video {video.video_id}",
                    give_up=videos.give_up,
                )
                record, rows = yield from _steps_of(watched, began, opened.seen)
                with clock.running(), stage("write"):
                    writer.add_video(record, rows)
                records.append(record)
                num_frames += opened.seen.num_frames_sampled
            yield Step(len(shard.videos), num_frames_before=num_frames)
            _check_refusals(records)
            with clock.running(), stage("write"):
                written = writer.commit()
        statuses = [str(record["status"]) for record in records]
        num_bytes, self._num_bytes = self._num_bytes, 0
        return ShardReport(
            shard_id=shard.shard_id,
            written=written,
            statuses={status: statuses.count(status) for status in sorted(set(statuses))},
            problems=tuple(
                (str(record["video_id"]), str(record["reason"]))
                for record in records
                if record["status"] == "quarantined"
            ),
            num_frames=num_frames,
            num_rows=sum(int(str(record["num_rows"])) for record in records),
            process_seconds=time.monotonic() - started,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            worker=f"{socket.gethostname()}:{os.getpid()}",
            gpu_ids=gpu_ids(),
            num_bytes=num_bytes,
            input_quality=count_remarks(str(record.get("input_quality", "")) for record in records),
            stages=clock.seconds,
            video_seconds=sum(map(_video_seconds, records)),
            gpu_seconds=None if self._gpu is None else self._gpu.take(),
        )

    def _process_video(self, video: Video, attempt: int, opened: OpenedVideo, clock: StageClock) -> "_Processed":
        """Process the frames of one video, noting what is known of it; return its row of the videos table, and its
        keypoint rows unless it is quarantined."""
        started = time.monotonic()
        rows, seen = opened.rows, opened.seen
        try:
            with clock.running():
                self._estimate_video(opened.frames, rows, seen)
            outcome = {"status": "ok" if rows.num_rows else "nobody"}
        except (MediaError, ObjectMissingError, ObjectUnusableError) as exc:
            if exc.uri != video.uri:  # an estimator knows no URI and names the frame instead
                outcome = _quarantine_outcome("pose", exc, str(exc))
            else:
                outcome = _quarantine_outcome("decode" if seen.num_frames_decoded else "open", exc, exc.reason)
        except (StorageError, ConfigError, WeightsError):
            raise  # not the video's fault: the shard, or the run, stops
        except Exception as exc:
            if is_no_room(exc):
                raise no_room_error(exc) from exc
            # Whatever an untrusted file makes a library do must not cost the shard its other videos.
            logger.exception("video %s failed", video.video_id)
            outcome = _quarantine_outcome("pose", exc, f"{type(exc).__name__}: {exc}")
        is_usable = outcome["status"] != "quarantined"
        record: dict[str, object] = {
            "video_id": video.video_id,
            "uri": video.uri,
            "content_id": video.content_id,
            "attempts": attempt,
            **seen.columns(),
            "num_tracks": rows.num_tracks if is_usable else 0,
            "num_rows": rows.num_rows if is_usable else 0,
            "process_seconds": time.monotonic() - started,
            "run_id": self._run_id,
            **outcome,
        }
        return record, rows if is_usable else None

    def _estimate_video(self, frames: Prefetch, rows: VideoRows, seen: VideoFacts) -> None:
        if self._estimator is None:
            raise ConfigError("PoseWorker.process was called before setup; call setup() once per worker first")
        people_seen = PeopleSeen()
        try:
            with closing(estimate_and_track(frames, self._estimator)) as tracked:
                for people in tracked:
                    with stage("write"):
                        rows.add_people(people.frame_people)
                    people_seen.add(people.poses.box_xyxy, picture_height=seen.height or 0)
                    if self._settings.split_shots:
                        _add_shot(rows, people, sample_seconds=1 / self._settings.frames_per_second)
                    seen.num_frames_sampled += 1
        finally:
            frames.close()
            self._num_bytes += seen.num_bytes
            if seen.quality is not None:
                seen.quality = people_seen.complete(seen.quality)


def _video_seconds(record: Mapping[str, Any]) -> float:
    """Return the length of a video as far as it was read; 0 of one that is quarantined, or of unknown length."""
    if record["status"] == "quarantined":
        return 0.0
    return float(record.get("read_seconds") or record.get("duration_seconds") or 0.0)


def _add_shot(rows: VideoRows, people: TrackedPoses, *, sample_seconds: float) -> None:
    rows.shots.add(
        frame_index=people.frame_index,
        pts_seconds=people.pts_seconds,
        shot_index=people.shot_index,
        sample_seconds=sample_seconds,
    )


_Processed = tuple[dict[str, object], VideoRows | None]
"""A video's row of the videos table, and its keypoint rows unless it is quarantined."""


def _steps_of(watched: Generator[None, None, _Processed], began: Step, seen: VideoFacts) -> Steps[_Processed]:
    """Go on with a video until it is done, telling how far it is."""
    while True:
        try:
            next(watched)
        except StopIteration as end:
            processed: _Processed = end.value
            return processed
        yield replace(began, num_frames=seen.num_frames_sampled, num_expected=seen.num_expected)


def _check_refusals(records: Sequence[Mapping[str, object]]) -> None:
    """Raise StorageError where a store refused every video of a shard and has given this worker none: its fault."""
    refused = [record for record in records if record.get("error_class") == ObjectForbiddenError.__name__]
    if len(refused) == len(records) >= MANY_REFUSED and objects.has_been_given_nothing():
        reason = f"the store refused every video of this shard and gave this worker none; {refused[0]['reason']}"
        raise StorageError(str(refused[0]["uri"]), reason)


def _quarantine_outcome(stage: str, exc: Exception, reason: str) -> dict[str, str]:
    return {
        "status": "quarantined",
        "stage": stage,
        "error_class": type(exc).__name__,
        "reason": reason[:1000],
    }


def quarantine_killer(
    output: str, shard: PoseShard, *, pose_fingerprint: str, run_id: str, error_class: str, reason: str
) -> ShardReport:
    """Commit the quarantine row of a one-video shard that killed its workers, and return its report.

    Called by the driver, since no worker survived it.
    """
    (video,), (attempt,) = shard.videos, shard.attempts
    record: dict[str, object] = {
        "video_id": video.video_id,
        "uri": video.uri,
        "content_id": video.content_id,
        "attempts": attempt,
        **VideoFacts().columns(),
        "num_tracks": 0,
        "num_rows": 0,
        "process_seconds": 0.0,
        "run_id": run_id,
        "status": "quarantined",
        "stage": "worker",
        "error_class": error_class,
        "reason": reason[:1000],
    }
    with PosePartWriter(
        output, shard_id=shard.shard_id, pose_fingerprint=pose_fingerprint, trace={"run_id": run_id}
    ) as writer:
        writer.add_video(record, None)
        written = writer.commit()
    return ShardReport(
        shard_id=shard.shard_id,
        written=written,
        statuses={"quarantined": 1},
        problems=((video.video_id, reason),),
        num_frames=0,
        num_rows=0,
        process_seconds=0.0,
        peak_memory_bytes=0,
        worker="driver",
    )
