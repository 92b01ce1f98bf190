"""extract: what the job shows, and its exit code."""

import argparse
import logging
import os
import time

from choreai.cli.console import print_table
from choreai.cli.dry_run import print_dry_run
from choreai.cluster.pose_worker import PoseWorker
from choreai.config import ExtractConfig, load_config
from choreai.operations.notify import message_of, post_webhook, publish_sns
from choreai.operations.run_report import make_run_report
from choreai.operations.run_report_page import write_run_report
from choreai.pipeline.extract import extract_poses, find_pending, open_catalog
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
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.runs import RunManifest

logger = logging.getLogger(__name__)


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


def exit_code(summary: RunManifest, config: ExtractConfig, tonight: Tonight | None = None) -> int:
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


def print_summary(summary: RunManifest, *, output: str) -> None:
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


def run(arguments: argparse.Namespace, *, worker: type[PoseWorker] = PoseWorker) -> int:
    """Run the extraction job with pose workers of class `worker`, and return its exit code."""
    started = time.monotonic()
    settings = dict(vars(arguments))
    dry_run = settings.pop("dry_run")
    config = load_config(ExtractConfig, settings.pop("config"), settings)
    catalog = open_catalog(config)
    pose_id = worker.fingerprint(config.pose)
    tonight = Tonight(catalog, catalog)
    if dry_run or is_narrowed(config):
        if not dry_run:
            recover_videos_parts(config.output, pose_id)  # or what they hold would count as pending
        pending = find_pending(config, catalog, pose_id=pose_id)
        tonight = choose(config, catalog, pending)
    if dry_run:
        print_dry_run(config, tonight, pending, pose_id=pose_id)
        return 0
    until = stop_at(config, started=started)
    summary = extract_poses(config, tonight.catalog, pose_id=pose_id, worker=worker, until=until)
    if summary.num_videos or not is_narrowed(config):
        print_summary(summary, output=config.output)
    else:
        tell_nothing_to_do(tonight)
    tell_what_is_left(tonight)
    stopped = end_of_time(num_left(summary, tonight.catalog), num_done=summary.num_videos)
    if summary.num_videos:
        write_report(config, summary.run_id)
    return max(stopped, exit_code(summary, config, tonight))
