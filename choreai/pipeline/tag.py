"""tag: a catalog of videos -> style tags, only for what has none from this model yet.

    choreai tag CATALOG --output OUT [--model OUT/models/MODEL]
    ray job submit --working-dir . -- python choreai/pipeline/tag.py --config deploy/tag.toml

Videos without poses get them first (as `choreai extract` does); tagging itself reads keypoint tables only. A
second run does nothing and says so. `--dry-run` says beforehand what would be done, how long and for how much.
"""

import argparse
import logging
import math
import sys
import time
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.catalog import Catalog
from choreai.catalog.shards import KEY, TagShard, latest_attempts, plan_tag_shards
from choreai.cli.console import print_table, progress, run_command
from choreai.cli.dry_run import print_dry_run
from choreai.cluster.metrics import RunMetrics
from choreai.cluster.pool import Failure, WorkerPool, WorkerResources
from choreai.cluster.session import connect, num_workers_for
from choreai.cluster.tag_worker import TagWorker
from choreai.config import TagConfig, load_config, tag_parser
from choreai.errors import WeightsError
from choreai.pipeline import extract
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
from choreai.style.model import StyleModel, load_model, newest_model
from choreai.tables import schemas
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.reports import RunSummary, ShardReport, new_run_id
from choreai.tables.schemas import UNKNOWN

logger = logging.getLogger(__name__)
TAG_WORKER = WorkerResources(num_cpus=1.0)  # the network is small: a GPU would wait for Parquet
POSE_SHARE = 0.9
"""Of the time budget: tagging takes a hundredth of what poses take, and without a share of its own a backlog of poses
would keep every night from tagging anything."""


def open_model(config: TagConfig, *, pose_id: str) -> tuple[str, StyleModel]:
    """The model's URI and the model. Raises WeightsError if it was trained on other poses than the job makes."""
    uri = config.model or newest_model(config.output)
    if uri is None:
        raise WeightsError(f"{config.output}: no style model here yet; run `choreai train`, or name one with --model")
    model = load_model(uri)
    if model.config.pose_fingerprint != pose_id:
        raise WeightsError(
            f"{uri}: trained on poses {model.config.pose_fingerprint}, but this job's settings make {pose_id}; "
            "use the [pose] settings of its training, or train a model for these"
        )
    return uri, model


def untagged_videos(catalog: Catalog, *, output: str, pose_id: str, model_version: str) -> pa.Table:
    """The catalog's videos that have poses but no tag from this model: video_id, uri, content_id, shard_id."""
    videos = schemas.read_all(
        output, "videos", pose_id, schemas.VIDEOS, columns=[*KEY, "status", "attempts", "shard_id"]
    )
    usable = latest_attempts(videos)
    usable = usable.filter(pc.not_equal(usable["status"], "quarantined"))
    tagged = schemas.read_all(output, "tags", model_version, schemas.TAGS, columns=KEY)
    wanted = catalog.table.select([*KEY, "uri"]).join(usable, keys=KEY, join_type="inner")
    return wanted.join(tagged, keys=KEY, join_type="left anti").select([*KEY, "uri", "shard_id"])


def tag_catalog(config: TagConfig, catalog: Catalog, *, pose_id: str, until: float = math.inf) -> RunSummary:
    """What became of the catalog's videos that had no tag from this model; from `until` on none is begun."""
    model_uri, model = open_model(config, pose_id=pose_id)
    untagged = untagged_videos(catalog, output=config.output, pose_id=pose_id, model_version=model.model_version)
    summary = RunSummary(
        job="tag_catalog",
        run_id=new_run_id(),
        config=asdict(config),
        pose_fingerprint=pose_id,
        model_version=model.model_version,
        num_done_before=len(catalog) - untagged.num_rows,
    )
    if untagged.num_rows:
        logger.info("%d videos to tag with %s", untagged.num_rows, model.model_version)
        summary.write_manifest(config.output)  # unfinished; shows here, not at dawn, if it may not write
        _run(config, untagged, pose_id, model_uri, summary, until)
        summary.finish()
        logger.info("manifest: %s", summary.write_manifest(config.output))
    return summary


def _run(
    config: TagConfig, untagged: pa.Table, pose_id: str, model_uri: str, summary: RunSummary, until: float
) -> None:
    """Run the untagged videos through the pool, and count them in `summary`."""
    shards = plan_tag_shards(untagged, model_version=summary.model_version, pose_fingerprint=pose_id)
    worker_settings = {"model_uri": model_uri, "pose_fingerprint": pose_id, "run_id": summary.run_id}
    session = connect(config.ray_address)
    metrics = RunMetrics("tag_catalog", num_videos=untagged.num_rows)
    with progress("tagging", untagged.num_rows) as steps:
        pool: WorkerPool[TagShard, ShardReport] = WorkerPool(
            TagWorker,
            config.output,
            worker_settings,
            num_workers=num_workers_for(session, config.workers.num_workers, resources=TAG_WORKER),
            resources=TAG_WORKER,
            narrow=TagShard.narrowed,
            stop_at=until,
        )
        for outcome in pool.run(shards):
            metrics.workers_died(pool.num_worker_deaths)
            if isinstance(outcome, Failure):
                metrics.shard_failed(len(outcome.shard.videos), reason=outcome.reason)
                summary.add_failure([video.video_id for video in outcome.shard.videos], outcome.reason)
                logger.error("shard %s could not be finished: %s", outcome.shard.shard_id, outcome.reason)
            else:
                metrics.shard_done(outcome, num_bytes=0)
                summary.add(outcome)
                steps.advance(sum(outcome.statuses.values()))
        summary.num_worker_deaths = pool.num_worker_deaths
    metrics.finished(failed=summary.num_failed > 0)


def print_summary(config: TagConfig, catalog: Catalog, extracted: RunSummary, tagged: RunSummary) -> None:
    """What was done, and the styles of the whole catalog."""
    if not tagged.num_videos and not extracted.num_videos:
        left = extracted.num_quarantined_before
        print(
            f"nothing to do: {len(catalog) - left} of {len(catalog)} videos are tagged by {tagged.model_version}"
            + (f", {left} are quarantined (--retry-quarantined tries them again)" if left else "")
        )
        return
    rows = [(status, str(count)) for status, count in sorted(tagged.statuses.items())]
    rows += [
        ("could not be finished", str(tagged.num_failed)),
        ("tagged before", str(tagged.num_done_before - extracted.num_quarantined_before
                              - extracted.statuses["quarantined"] - extracted.num_failed)),
        ("quarantined", str(extracted.num_quarantined_before + extracted.statuses["quarantined"])),
        ("wall time of tagging", f"{tagged.wall_seconds:.1f} s"),
        ("tags", f"{config.output}/tags/{tagged.model_version}"),
    ]  # fmt: skip
    print_table("tag", rows)
    print_table(
        "styles in this catalog",
        _styles(config.output, tagged.model_version, catalog),
        header=("style", "videos", "share", "mean score"),
    )


def _styles(output: str, model_version: str, catalog: Catalog) -> list[tuple[str, str, str, str]]:
    """By tag, "unknown" last: videos, their share of those with somebody to judge, mean score."""
    columns = [*KEY, "style", "score"]
    tags = schemas.read_all(output, "tags", model_version, schemas.TAGS, columns=columns)
    judged = tags.filter(pc.is_valid(tags["style"])).join(catalog.table.select(KEY), keys=KEY, join_type="left semi")
    grouped = judged.group_by("style").aggregate([("score", "count"), ("score", "mean")]).to_pylist()
    return [
        (
            row["style"],
            str(row["score_count"]),
            f"{row['score_count'] / judged.num_rows:.0%}",
            f"{row['score_mean']:.2f}",
        )
        for row in sorted(grouped, key=lambda row: (row["style"] == UNKNOWN, row["style"]))
    ]


def run(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    settings = dict(vars(arguments))
    dry_run = settings.pop("dry_run")
    config = load_config(TagConfig, settings.pop("config"), settings)
    catalog = extract.open_catalog(config)
    pose_id = extract.pose_fingerprint(config)
    _, model = open_model(config, pose_id=pose_id)  # a wrong model should not cost a night of poses first
    tonight = Tonight(catalog, catalog)
    if dry_run or is_narrowed(config):
        if not dry_run:
            recover_videos_parts(config.output, pose_id)  # or what they hold would count as pending
        pending = extract.find_pending(config, catalog, pose_id=pose_id)
        untagged = untagged_videos(catalog, output=config.output, pose_id=pose_id, model_version=model.model_version)
        tonight = choose(config, catalog, pending, also=untagged)
        if dry_run:
            print_dry_run(config, tonight, pending, pose_id=pose_id, model_version=model.model_version)
            return 0
    return _tag_tonight(config, tonight, pose_id=pose_id, started=started)


def _tag_tonight(config: TagConfig, tonight: Tonight, *, pose_id: str, started: float) -> int:
    """The exit code of poses, tags and their report."""
    catalog = tonight.catalog
    poses_until = stop_at(config, started=started, share=POSE_SHARE)
    extracted = extract.extract_poses(config, catalog, pose_id=pose_id, until=poses_until)
    tagged = tag_catalog(config, catalog, pose_id=pose_id, until=stop_at(config, started=started))
    if tagged.num_videos or extracted.num_videos or not is_narrowed(config):
        print_summary(config, tonight.whole, extracted, tagged)
    else:
        tell_nothing_to_do(tonight)
    tell_what_is_left(tonight)
    left = num_left(extracted, catalog) + num_left(tagged, catalog)
    stopped = end_of_time(left, num_done=extracted.num_videos + tagged.num_videos)
    if tagged.num_videos or extracted.num_videos:
        extract.write_report(config, (tagged if tagged.num_videos else extracted).run_id)
    return max(stopped, extract.exit_code(extracted, config, tonight), 1 if tagged.num_failed else 0)


def main(argv: list[str] | None = None) -> int:
    return run_command(run, tag_parser(None, __doc__ or "").parse_args(argv))


if __name__ == "__main__":
    sys.exit(main())
