"""The tagging job: a catalog of videos with poses -> style tags, only for what has none from this model yet.

Videos without poses get them first (as `choreai extract` does); tagging itself reads keypoint tables only. A
second run does nothing and says so. `--dry-run` says beforehand what would be done, how long and for how much.
"""

import logging
import math
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.catalog import Catalog
from choreai.catalog.shards import KEY, TagShard, latest_attempts, plan_tag_shards
from choreai.cluster.metrics import RunMetrics
from choreai.cluster.pool import Failure, WorkerPool, WorkerResources
from choreai.cluster.session import connect, num_workers_for
from choreai.cluster.tag_worker import TagWorker
from choreai.config import TagConfig
from choreai.errors import WeightsError
from choreai.pipeline.progress import progress
from choreai.style.model import StyleModel, load_model, newest_model
from choreai.tables import schemas
from choreai.tables.parts import read_table
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest, new_run_id

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
    videos = read_table(output, "videos", pose_id, schemas.VIDEOS, columns=[*KEY, "status", "attempts", "shard_id"])
    usable = latest_attempts(videos)
    usable = usable.filter(pc.not_equal(usable["status"], "quarantined"))
    tagged = read_table(output, "tags", model_version, schemas.TAGS, columns=KEY)
    wanted = catalog.table.select([*KEY, "uri"]).join(usable, keys=KEY, join_type="inner")
    return wanted.join(tagged, keys=KEY, join_type="left anti").select([*KEY, "uri", "shard_id"])


def tag_catalog(config: TagConfig, catalog: Catalog, *, pose_id: str, until: float = math.inf) -> RunManifest:
    """What became of the catalog's videos that had no tag from this model; from `until` on none is begun."""
    model_uri, model = open_model(config, pose_id=pose_id)
    untagged = untagged_videos(catalog, output=config.output, pose_id=pose_id, model_version=model.model_version)
    summary = RunManifest(
        job="tag_catalog",
        run_id=new_run_id(),
        config=asdict(config),
        pose_fingerprint=pose_id,
        model_version=model.model_version,
        num_done_before=len(catalog) - untagged.num_rows,
    )
    if untagged.num_rows:
        logger.info("%d videos to tag with %s", untagged.num_rows, model.model_version)
        summary.write(config.output)  # unfinished; shows here, not at dawn, if it may not write
        _run(config, untagged, pose_id, model_uri, summary, until)
        logger.info("manifest: %s", summary.write(config.output))
    return summary


def _run(
    config: TagConfig, untagged: pa.Table, pose_id: str, model_uri: str, summary: RunManifest, until: float
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
            narrow=TagShard.split_by_video,
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
    summary.finish()
    metrics.finished(failed=summary.failed)
