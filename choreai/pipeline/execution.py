"""Running a job's shards on workers, and counting what became of each in the summary, the metrics and the progress."""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from choreai.catalog.catalog import Video
from choreai.cluster.lineage import send_event
from choreai.cluster.metrics import RunMetrics
from choreai.cluster.pool import Failure, InFlight, WorkerPool, WorkerResources
from choreai.cluster.session import connect, names_cluster, num_workers_for
from choreai.config import ExtractConfig
from choreai.errors import StorageError
from choreai.pipeline.progress import show_progress
from choreai.pipeline.video_progress import VideoInWork, VideoProgress
from choreai.storage.patience import PATIENCE_SECONDS
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest

logger = logging.getLogger(__name__)
MAX_NAMED = 20
"""Quarantined videos that the log names one by one."""
FIRST_RECORD_SECONDS, RECORD_EVERY_SECONDS = 5.0, 60.0
"""How soon, and how often from then on, the manifest of a run says how far it is."""
SILENCE_SECONDS = PATIENCE_SECONDS + 60.0
"""What a worker may say nothing for beyond the time limit of a video: it writes its part, and waits for the store."""


class VideoShard(Protocol):
    """A shard of videos, as `choreai.catalog.shards` plans them."""

    @property
    def shard_id(self) -> str: ...

    @property
    def videos(self) -> tuple[Video, ...]: ...


ShardT = TypeVar("ShardT", bound=VideoShard)


def run_shards(
    shards: Iterator[ShardT],
    *,
    worker: type,
    worker_settings: Mapping[str, object],
    resources: WorkerResources,
    narrow: Callable[[ShardT], list[ShardT]],
    config: ExtractConfig,
    summary: RunManifest,
    title: str,
    num_videos: int,
    until: float = math.inf,
    quarantine: Callable[[Failure[ShardT]], ShardReport] | None = None,
) -> None:
    """Run `shards` (of `num_videos` videos together) on workers of class `worker`, and count them in `summary`.

    `worker(config.output, **worker_settings)` is built on actors with `resources`, and `narrow` splits a shard that
    keeps killing them, as `choreai.cluster.pool.WorkerPool` has it. From `until` on (`time.monotonic`) no shard is
    handed out. `quarantine` turns a shard that killed its workers into a report; without it, such a shard counts as
    one that could not be finished. Raises what the worker's `setup` raises.
    """
    session = connect(config.ray_address)
    price, currency = config.report.price_per_hour, config.report.currency
    metrics = RunMetrics(summary.job, num_videos=num_videos, price_per_hour=price, currency=currency)
    send_event("START", summary, catalog=config.catalog, output=config.output)
    named = _NamedVideos()
    count = VideoProgress(num_videos)
    record = _RecordSoFar(summary, config.output)
    pool: WorkerPool[ShardT, ShardReport] = WorkerPool(
        worker,
        config.output,
        worker_settings,
        num_workers=num_workers_for(session, config.workers.num_workers, resources=resources),
        resources=resources,
        narrow=narrow,
        stop_at=until,
        max_silent_seconds=60 * config.workers.max_video_minutes + SILENCE_SECONDS,
        has_environment=session.has_environment,
    )
    with show_progress(title, num_videos) as show:

        def show_state() -> None:
            state = count.state([in_work(each) for each in pool.in_flight])
            if state is not None:
                show(state)
            record.write_if_due()

        pool.on_round = show_state
        for outcome in pool.run(shards):
            metrics.workers_died(pool.num_worker_deaths)
            if isinstance(outcome, Failure) and outcome.killed_worker and quarantine is not None:
                outcome = quarantine(outcome)
            if isinstance(outcome, Failure):
                _count_failure(outcome, summary, metrics)
                count.add(len(outcome.shard.videos))
            else:
                _count_report(outcome, summary, metrics)
                named.log(outcome)
                count.add(sum(outcome.statuses.values()), outcome.num_frames)
    named.log_others()
    summary.num_worker_deaths = pool.num_worker_deaths
    summary.finish()
    metrics.finished(failed=summary.failed)


def in_work(flight: InFlight[ShardT]) -> VideoInWork:
    """Return what a worker is at, with the name of its video."""
    videos, index = flight.shard.videos, flight.step.index
    return VideoInWork(videos[index].video_id if index < len(videos) else "", flight.step)


@dataclass
class _RecordSoFar:
    """Writes the manifest of a run every so often: what a stopped run has done is read from it."""

    summary: RunManifest
    output: str
    due_at: float = field(default_factory=lambda: time.monotonic() + FIRST_RECORD_SECONDS)

    def write_if_due(self) -> None:
        """Write it if it is time. A store that fails now is for the workers to wait for."""
        if time.monotonic() >= self.due_at:
            with suppress(StorageError):
                self.summary.write_so_far(self.output)
            self.due_at = time.monotonic() + RECORD_EVERY_SECONDS


@dataclass
class _NamedVideos:
    """The quarantined videos of a run, named in its log: the first MAX_NAMED of them, and how many there are more."""

    num: int = 0

    def log(self, report: ShardReport) -> None:
        """Name the quarantined videos of a shard, with the reasons."""
        for video_id, reason in report.problems[: max(0, MAX_NAMED - self.num)]:
            logger.warning("quarantined: %s: %s", video_id, reason)
        self.num += len(report.problems)

    def log_others(self) -> None:
        """Say how many were not named."""
        if self.num > MAX_NAMED:
            logger.warning("quarantined: %d more, which the run report lists", self.num - MAX_NAMED)


def end_run(config: ExtractConfig, summary: RunManifest, *, is_red: bool) -> None:
    """Record that a command has ended, also one that found nothing to do: manifest and metrics.

    Metrics need a cluster: nobody reads those of a local Ray, and a run that had nothing to do has not started one.
    """
    if not summary.finished:
        summary.finish()
    summary.is_red = is_red
    logger.info("manifest: %s", summary.write(config.output))
    if not summary.num_videos:  # it has begun with nothing, and so said nothing yet
        send_event("START", summary, catalog=config.catalog, output=config.output)
    send_event("FAIL" if is_red else "COMPLETE", summary, catalog=config.catalog, output=config.output)
    if names_cluster(config.ray_address):
        connect(config.ray_address)
        RunMetrics(summary.job, num_videos=0).finished(failed=is_red)


def _count_failure(failure: Failure[ShardT], summary: RunManifest, metrics: RunMetrics) -> None:
    metrics.shard_failed(len(failure.shard.videos), reason=failure.reason)
    summary.add_failure([video.video_id for video in failure.shard.videos], failure.reason)
    logger.error("shard %s could not be finished: %s", failure.shard.shard_id, failure.reason)


def _count_report(report: ShardReport, summary: RunManifest, metrics: RunMetrics) -> None:
    metrics.shard_done(report)
    summary.add(report)
    if (speed := summary.speed_so_far) is not None:
        metrics.speed_is(speed.of_light)
    rate = f", {report.num_frames} frames, {report.num_frames / max(report.process_seconds, 1e-9):.1f} frames/s"
    logger.info(
        "shard %s: %s%s%s",
        report.shard_id,
        ", ".join(f"{count} {status}" for status, count in report.statuses.items()),
        rate if report.num_frames else "",
        "" if report.written else " (already committed by another worker)",
    )
