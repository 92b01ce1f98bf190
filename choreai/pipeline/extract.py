"""The extraction job: a catalog of videos -> keypoint tables.

Only videos without a result for the same bytes and settings are processed. Kill it anywhere and run it again:
it goes on where it stopped. Videos that cannot be used are listed in the videos table with their reason.
`--dry-run` says beforehand what it would do, how long it would take and what it would cost.
"""

import logging
import math
from collections.abc import Iterator
from dataclasses import asdict, replace

import pyarrow as pa

from choreai.catalog.catalog import Catalog, read_catalog, with_content_ids
from choreai.catalog.shards import KEY, Pending, PoseShard, pending_videos, plan_shards
from choreai.cluster.limits import VideoLimits
from choreai.cluster.metrics import RunMetrics
from choreai.cluster.pool import Failure, WorkerPool, WorkerResources
from choreai.cluster.pose_worker import PoseWorker, quarantine_killer
from choreai.cluster.session import connect, num_workers_for
from choreai.config import ExtractConfig
from choreai.pipeline.progress import progress
from choreai.pose import build
from choreai.pose.build import build_estimator
from choreai.storage import objects
from choreai.tables import schemas
from choreai.tables.parts import current_parts, open_part, read_consistently
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest, new_run_id

logger = logging.getLogger(__name__)


def pose_fingerprint(config: ExtractConfig) -> str:
    """What names the keypoint tables that `config` makes."""
    # Loaded on the driver's CPU: wrong weights stop the job here, before any worker starts.
    estimator = build_estimator(replace(config.pose, device="cpu"), read_file=objects.read_object)
    return build.pose_fingerprint(config.pose, estimator)


def open_catalog(config: ExtractConfig) -> Catalog:
    """The catalog, checked, with the content id of every video."""
    # Arrow's own allocators keep what a batch gave back: half a GB beside a catalog of ten million videos.
    pa.set_memory_pool(pa.system_memory_pool())
    catalog = read_catalog(config.catalog)
    with progress("looking at videos", len(catalog)) as steps:
        return with_content_ids(catalog, allowed_roots=config.allowed_roots, on_videos=steps.advance)


def find_pending(config: ExtractConfig, catalog: Catalog, *, pose_id: str) -> Pending:
    """What of the catalog has no poses yet."""
    return read_consistently(
        lambda: pending_videos(
            catalog, known_videos(config.output, pose_id), retry_quarantined=config.retry_quarantined
        )
    )


def extract_poses(config: ExtractConfig, catalog: Catalog, *, pose_id: str, until: float = math.inf) -> RunManifest:
    """What became of the catalog's videos that had no poses yet; from `until` (`time.monotonic`) on none is begun."""
    recover_videos_parts(config.output, pose_id)
    pending = find_pending(config, catalog, pose_id=pose_id)
    summary = RunManifest(
        job="extract_poses",
        run_id=new_run_id(),
        config=asdict(config),
        pose_fingerprint=pose_id,
        num_done_before=pending.num_done,
        num_quarantined_before=pending.num_quarantined,
    )
    if pending.videos.num_rows:
        logger.info("%d of %d videos need poses (fingerprint %s)", pending.videos.num_rows, len(catalog), pose_id)
        summary.write(config.output)  # unfinished; shows here, not at dawn, if it may not write
        _run(config, pending.videos, pose_id, summary, until)
        logger.info("manifest: %s", summary.write(config.output))
    return summary


def known_videos(output: str, pose_id: str) -> pa.RecordBatchReader:
    """What earlier runs did with which video: a stream, for there may be millions."""
    columns = [*KEY, "status", "attempts"]
    schema = pa.schema([pa.field(name, schemas.VIDEOS.field(name).type) for name in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for uri in current_parts(output, "videos", pose_id).uris:
            with open_part(uri, schemas.VIDEOS) as part:
                for batch in part.iter_batches(columns=columns):
                    yield pa.record_batch(batch.columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _run(config: ExtractConfig, videos: pa.Table, pose_id: str, summary: RunManifest, until: float) -> None:
    """Run the pending videos through the pool, and count them in `summary`."""
    shards = plan_shards(videos, videos_per_shard=config.videos_per_shard, pose_fingerprint=pose_id)
    resources = WorkerResources(num_cpus=config.workers.num_cpus, num_gpus=config.workers.num_gpus)
    worker_settings = {
        "settings": config.pose,
        "pose_fingerprint": pose_id,
        "run_id": summary.run_id,
        "num_threads": max(1, int(config.workers.num_cpus)),
        "limits": VideoLimits(
            max_seconds=60 * config.workers.max_video_minutes, max_bytes=int(config.workers.max_video_gib * 2**30)
        ),
    }
    session = connect(config.ray_address)
    metrics = RunMetrics("extract_poses", num_videos=videos.num_rows)
    with progress("estimating poses", videos.num_rows) as steps:
        pool: WorkerPool[PoseShard, ShardReport] = WorkerPool(
            PoseWorker,
            config.output,
            worker_settings,
            num_workers=num_workers_for(session, config.workers.num_workers, resources=resources),
            resources=resources,
            narrow=lambda shard: shard.split_by_video(pose_fingerprint=pose_id),
            stop_at=until,
        )
        for outcome in pool.run(shards):
            report = _settle(outcome, config, pose_id, summary)
            metrics.workers_died(pool.num_worker_deaths)
            if report is None and isinstance(outcome, Failure):
                metrics.shard_failed(len(outcome.shard.videos), reason=outcome.reason)
            if report is not None:
                metrics.shard_done(report, num_bytes=report.num_bytes)
                summary.add(report)
                _log_shard(report)
                steps.advance(sum(report.statuses.values()))
        summary.num_worker_deaths = pool.num_worker_deaths
    summary.finish()
    metrics.finished(failed=summary.failed)


def _settle(
    outcome: ShardReport | Failure[PoseShard], config: ExtractConfig, pose_id: str, summary: RunManifest
) -> ShardReport | None:
    """The report of a shard; a video that kills workers gets its quarantine row here, by the survivor."""
    if not isinstance(outcome, Failure):
        return outcome
    if outcome.killed_worker:
        return quarantine_killer(
            config.output,
            outcome.shard,
            pose_fingerprint=pose_id,
            run_id=summary.run_id,
            error_class=outcome.error_class,
            reason=outcome.reason,
        )
    summary.add_failure([video.video_id for video in outcome.shard.videos], outcome.reason)
    logger.error("shard %s could not be finished: %s", outcome.shard.shard_id, outcome.reason)
    return None


def _log_shard(report: ShardReport) -> None:
    logger.info(
        "shard %s: %s, %d frames, %.1f frames/s%s",
        report.shard_id,
        ", ".join(f"{count} {status}" for status, count in report.statuses.items()),
        report.num_frames,
        report.num_frames / max(report.process_seconds, 1e-9),
        "" if report.written else " (already committed by somebody else)",
    )
