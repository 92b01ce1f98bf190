"""extract: a catalog of videos -> keypoint tables."""

import argparse
import logging
import os
import time

from choreai.cli.console import print_json, print_table
from choreai.cli.dry_run import print_dry_run
from choreai.cli.job import load_job
from choreai.cli.outcome import (
    exit_code,
    exit_code_after_deadline,
    print_left_for_later,
    print_nothing_to_do,
    warn_of_input_quality,
)
from choreai.cluster.pose_worker import PoseWorker
from choreai.config import ExtractConfig
from choreai.operations.forget import forget_again
from choreai.operations.notify import build_message, post_webhook, publish_sns
from choreai.operations.run_report import make_run_report
from choreai.operations.run_report_page import write_run_report
from choreai.pipeline.execution import end_run
from choreai.pipeline.extract import extract_poses, find_pending, open_catalog
from choreai.pipeline.in_process import MAX_VIDEOS
from choreai.pipeline.pose_change import find_pose_change
from choreai.pipeline.pose_files import settle_poses
from choreai.pipeline.selection import Selection, deadline, is_partial, num_remaining, select_videos
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.runs import RunManifest
from choreai.tables.speed import Speed

logger = logging.getLogger(__name__)


def write_report(config: ExtractConfig, run_id: str) -> None:
    """Write the run report beside the manifest, log what it says of the run, and send it to the webhook and topic, if
    any. Drift is on the page: eight numbers that say "chance" are no news on a screen."""
    report = make_run_report(config.output, config.report, run_id=run_id)
    uri = write_run_report(config.output, report)
    for line in [*report.run_lines, f"run report: {uri}"]:
        logger.info("%s", line)
    message = build_message(report, uri)
    if webhook := os.environ.get("CHOREAI_WEBHOOK_URL"):
        post_webhook(webhook, message)
    if config.report.sns_topic_arn:
        publish_sns(config.report.sns_topic_arn, message)


def record(config: ExtractConfig, manifest: RunManifest, code: int) -> int:
    """Record the run that ends with this exit code, also a quiet one: manifest, metrics, report and notification.

    Returns `code`.
    """
    end_run(config, manifest, is_red=code != 0)
    write_report(config, manifest.run_id)
    return code


def _speed_rows(speed: Speed | None) -> list[tuple[str, ...]]:
    if speed is None:
        return []
    return [
        ("seconds of video a second and worker", f"{speed.video_seconds_per_second:.2f}"),
        ("of what its engine alone would reach", f"{100 * speed.of_light:.0f} %"),
    ]


def print_summary(manifest: RunManifest, *, output: str) -> None:
    """Print what the run did, and the first videos that were not processed."""
    if not manifest.num_videos:
        print(
            f"nothing to do: all {manifest.num_done_before} videos have poses"
            + (f", {manifest.num_quarantined_before} are quarantined (--retry-quarantined tries them again)"
               if manifest.num_quarantined_before else "")
        )  # fmt: skip
        return
    minutes = max(manifest.wall_seconds, 1e-9) / 60
    peak = max(manifest.peak_memory_bytes.values(), default=0) / 2**20
    rows: list[tuple[str, ...]] = [
        ("videos with people", str(manifest.statuses["ok"])),
        ("videos without people", str(manifest.statuses["nobody"])),
        ("quarantined", str(manifest.statuses["quarantined"])),
        ("could not be finished", str(manifest.num_failed)),
        ("done before", str(manifest.num_done_before)),
        ("frames", f"{manifest.num_frames:,}"),
        ("keypoint rows", f"{manifest.num_rows:,}"),
        ("wall time", f"{manifest.wall_seconds:.1f} s"),
        ("videos per minute", f"{(manifest.num_videos - manifest.num_failed) / minutes:.1f}"),
        *_speed_rows(manifest.speed),
        ("workers", str(len(manifest.peak_memory_bytes))),
        ("workers that died", str(manifest.num_worker_deaths)),
        ("peak memory of a worker", f"{peak:.0f} MiB"),
    ]
    print_table("extract", rows)
    print(f"keypoints: {output}/keypoints/{manifest.pose_fingerprint}")
    if manifest.problems:
        print_table("not processed", [p for p in manifest.problems[:20]], header=("video", "reason"))
        if len(manifest.problems) > 20:
            print(f"and {len(manifest.problems) - 20} more: see the videos table or the manifest")


def run(arguments: argparse.Namespace, *, worker: type[PoseWorker] = PoseWorker) -> int:
    """Run the extraction job with pose workers of class `worker`, and return its exit code."""
    started = time.monotonic()
    job = load_job(ExtractConfig, arguments)
    config, dry_run = settle_poses(job.config), arguments.dry_run
    sources = job.open_sources()
    catalog = open_catalog(config, sources)
    pose_id = worker.fingerprint(config.pose)
    change = find_pose_change(config, job.config.pose, catalog, pose_id=pose_id, worker=worker)
    selection = Selection(catalog, catalog)
    if dry_run or is_partial(config):
        if not dry_run:
            recover_videos_parts(config.output, pose_id)  # otherwise their videos would count as pending
        pending = find_pending(config, catalog, pose_id=pose_id)
        selection = select_videos(config, catalog, pending)
    if dry_run:
        print_dry_run(config, selection, pending, pose_id=pose_id, change=change)
        return 0
    if change is not None:
        logger.warning("%s", change.text)
    until = deadline(config, started=started)
    here = job.is_small(sources, most=MAX_VIDEOS)
    manifest = extract_poses(config, selection.catalog, pose_id=pose_id, worker=worker, until=until, in_process=here)
    if job.as_json:
        print_json(manifest.to_json())
    elif manifest.num_videos or not is_partial(config):
        print_summary(manifest, output=config.output)
    else:
        print_nothing_to_do(selection)
    warn_of_input_quality(manifest)
    if not job.as_json:
        print_left_for_later(selection)
    stopped = exit_code_after_deadline(num_remaining(manifest, selection.catalog), num_done=manifest.num_videos)
    code = record(config, manifest, max(stopped, exit_code(manifest, config, selection)))
    forget_again(config.output, catalog.table)
    return code
