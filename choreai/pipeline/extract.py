"""extract: a catalog of videos -> keypoint tables.

    choreai extract CATALOG --output OUT
    ray job submit --working-dir . -- python choreai/pipeline/extract.py --config deploy/extract.toml

Only videos without a result for the same bytes and settings are processed. Kill it anywhere and run it again:
it goes on where it stopped. Videos that cannot be used are listed in the videos table with their reason.
`--dry-run` says beforehand what it would do, how long it would take and what it would cost.
"""

import argparse
import logging
import math
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace

import pyarrow as pa

from choreai.catalog.catalog import Catalog, read_catalog, with_content_ids
from choreai.catalog.shards import KEY, Pending, PoseShard, fingerprint, pending_videos, plan_shards
from choreai.cli.console import print_table, progress, run_command
from choreai.cli.dry_run import print_dry_run
from choreai.cluster.limits import VideoLimits
from choreai.cluster.metrics import RunMetrics
from choreai.cluster.pool import Failure, WorkerPool, WorkerResources
from choreai.cluster.pose_worker import PoseWorker, quarantine_killer
from choreai.cluster.session import connect, num_workers_for
from choreai.config import ExtractConfig, extract_parser, load_config
from choreai.operations.notify import message_of, post_webhook, publish_sns
from choreai.operations.run_report import make_run_report
from choreai.operations.run_report_page import write_run_report
from choreai.pipeline.selection import (
    Tonight,
    choose,
    end_of_time,
    is_narrowed,
    num_left,
    stop_at,
    tell_nothing_to_do,
    tell_what_is_left,
)
from choreai.pose.settings import build_estimator, fingerprint_settings
from choreai.storage import objects
from choreai.tables import schemas
from choreai.tables.parts import live_parts, read_consistently
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.reports import RunSummary, ShardReport, new_run_id

logger = logging.getLogger(__name__)


def pose_fingerprint(config: ExtractConfig) -> str:
    """What names the keypoint tables that `config` makes."""
    # Loaded on the driver's CPU: wrong weights stop the job here, before any worker starts.
    estimator = build_estimator(replace(config.pose, device="cpu"), read_file=objects.read_object)
    return fingerprint(fingerprint_settings(config.pose, estimator))


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


def extract_poses(config: ExtractConfig, catalog: Catalog, *, pose_id: str, until: float = math.inf) -> RunSummary:
    """What became of the catalog's videos that had no poses yet; from `until` (`time.monotonic`) on none is begun."""
    recover_videos_parts(config.output, pose_id)
    pending = find_pending(config, catalog, pose_id=pose_id)
    summary = RunSummary(
        job="extract_poses",
        run_id=new_run_id(),
        config=asdict(config),
        pose_fingerprint=pose_id,
        num_done_before=pending.num_done,
        num_quarantined_before=pending.num_quarantined,
    )
    if pending.videos.num_rows:
        logger.info("%d of %d videos need poses (fingerprint %s)", pending.videos.num_rows, len(catalog), pose_id)
        summary.write_manifest(config.output)  # unfinished; shows here, not at dawn, if it may not write
        _run(config, pending.videos, pose_id, summary, until)
        summary.finish()
        logger.info("manifest: %s", summary.write_manifest(config.output))
    return summary


def known_videos(output: str, pose_id: str) -> pa.RecordBatchReader:
    """What earlier runs did with which video: a stream, for there may be millions."""
    columns = [*KEY, "status", "attempts"]
    schema = pa.schema([pa.field(name, schemas.VIDEOS.field(name).type) for name in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for uri in live_parts(output, "videos", pose_id).uris:
            with schemas.open_part(uri, schemas.VIDEOS) as part:
                for batch in part.iter_batches(columns=columns):
                    yield pa.record_batch(batch.columns, schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def _run(config: ExtractConfig, videos: pa.Table, pose_id: str, summary: RunSummary, until: float) -> None:
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
            narrow=lambda shard: shard.narrowed(pose_fingerprint=pose_id),
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
    metrics.finished(failed=summary.num_failed > 0 or summary.failed_fraction > config.max_failed_fraction)


def _settle(
    outcome: ShardReport | Failure[PoseShard], config: ExtractConfig, pose_id: str, summary: RunSummary
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


def write_report(config: ExtractConfig, run_id: str) -> None:
    """Put the run's page beside its manifest, show its lines, and tell who wants to know."""
    report = make_run_report(config.output, config.report, run_id=run_id)
    uri = write_run_report(config.output, report)
    for line in [*report.lines, f"report: {uri}"]:
        logger.info("%s", line)
    message = message_of(report, uri)
    if webhook := os.environ.get("CHOREAI_WEBHOOK_URL"):
        post_webhook(webhook, message)
    if config.report.sns_topic_arn:
        publish_sns(config.report.sns_topic_arn, message)


def exit_code(summary: RunSummary, config: ExtractConfig, tonight: Tonight | None = None) -> int:
    """1 if too large a share of this run's videos failed, or of the whole catalog is in quarantine, or a shard could
    not be finished; else 0.

    The catalog counts so that a run after a bad one, which finds nothing new, does not make its failures look mended.
    """
    if summary.num_failed:
        logger.error("%d videos are still to be done; run again to resume", summary.num_failed)
        return 1
    if summary.failed_fraction > config.max_failed_fraction:
        logger.error(
            "%.0f %% of the videos failed, more than max_failed_fraction = %g allows",
            100 * summary.failed_fraction,
            config.max_failed_fraction,
        )
        return 1
    num_quarantined = summary.num_quarantined_before + summary.statuses["quarantined"]
    num_videos = summary.num_videos + summary.num_done_before + summary.num_quarantined_before
    if tonight is not None:
        num_quarantined += tonight.num_quarantined
        num_videos = len(tonight.whole)
    if num_quarantined > config.max_failed_fraction * num_videos:
        logger.error(
            "%d of the catalog's %d videos are in quarantine, more than max_failed_fraction = %g allows; the videos "
            "table has the reasons. Mend the videos or take them out of the catalog; --retry-quarantined tries again",
            num_quarantined,
            num_videos,
            config.max_failed_fraction,
        )
        return 1
    return 0


def print_summary(summary: RunSummary, *, output: str) -> None:
    """The table at the end, and what was quarantined."""
    if not summary.num_videos:
        print(
            f"nothing to do: all {summary.num_done_before} videos have poses"
            + (f", {summary.num_quarantined_before} are quarantined (--retry-quarantined tries them again)"
               if summary.num_quarantined_before else "")
        )  # fmt: skip
        return
    minutes = max(summary.wall_seconds, 1e-9) / 60
    peak = max(summary.peak_memory_bytes.values(), default=0) / 2**20
    rows: list[tuple[str, ...]] = [
        ("videos with people", str(summary.statuses["ok"])),
        ("videos with nobody in view", str(summary.statuses["nobody"])),
        ("quarantined", str(summary.statuses["quarantined"])),
        ("could not be finished", str(summary.num_failed)),
        ("done before", str(summary.num_done_before)),
        ("frames", f"{summary.num_frames:,}"),
        ("keypoint rows", f"{summary.num_rows:,}"),
        ("wall time", f"{summary.wall_seconds:.1f} s"),
        ("videos per minute", f"{(summary.num_videos - summary.num_failed) / minutes:.1f}"),
        ("workers", str(len(summary.peak_memory_bytes))),
        ("workers that died", str(summary.num_worker_deaths)),
        ("peak memory of a worker", f"{peak:.0f} MiB"),
        ("keypoints", f"{output}/keypoints/{summary.pose_fingerprint}"),
    ]
    print_table("extract", rows)
    if summary.problems:
        print_table("not processed", [p for p in summary.problems[:20]], header=("video", "reason"))
        if len(summary.problems) > 20:
            print(f"and {len(summary.problems) - 20} more: see the videos table or the manifest")


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    settings = dict(vars(arguments))
    dry_run = settings.pop("dry_run")
    config = load_config(ExtractConfig, settings.pop("config"), settings)
    catalog = open_catalog(config)
    pose_id = pose_fingerprint(config)
    tonight = Tonight(catalog, catalog)
    if dry_run or is_narrowed(config):
        if not dry_run:
            recover_videos_parts(config.output, pose_id)  # or what they hold would count as pending
        pending = find_pending(config, catalog, pose_id=pose_id)
        tonight = choose(config, catalog, pending)
    if dry_run:
        print_dry_run(config, tonight, pending, pose_id=pose_id)
        return 0
    summary = extract_poses(config, tonight.catalog, pose_id=pose_id, until=stop_at(config, started=started))
    if summary.num_videos or not is_narrowed(config):
        print_summary(summary, output=config.output)
    else:
        tell_nothing_to_do(tonight)
    tell_what_is_left(tonight)
    stopped = end_of_time(num_left(summary, tonight.catalog), num_done=summary.num_videos)
    if summary.num_videos:
        write_report(config, summary.run_id)
    return max(stopped, exit_code(summary, config, tonight))


def main(argv: list[str] | None = None) -> int:
    return run_command(run, extract_parser(None, __doc__ or "").parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
