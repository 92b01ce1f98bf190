"""The tagging job: a catalog of videos with poses -> style tags, for videos that this model has not tagged yet.

Tagging reads keypoint tables only; `choreai tag` extracts missing poses first. A second run finds nothing to do.
"""

import logging
import math
from dataclasses import asdict

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.catalog import Catalog
from choreai.catalog.shards import KEY, TagShard, latest_attempts, plan_tag_shards
from choreai.cluster.pool import WorkerResources
from choreai.cluster.tag_worker import TagWorker
from choreai.config import TagConfig
from choreai.errors import WeightsError
from choreai.pipeline.execution import run_shards
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.style.model import StyleModel, newest_model
from choreai.tables import schemas
from choreai.tables.parts import read_table
from choreai.tables.runs import RunManifest, new_run_id

logger = logging.getLogger(__name__)
WORKER_RESOURCES = WorkerResources(num_cpus=1.0)  # the network is small: a GPU would wait for Parquet
POSE_SHARE = 0.9
"""Share of the time budget that poses may use. Tagging takes a hundredth of their time; without a reserve of its own,
a backlog of poses would keep every run from tagging anything."""


def open_model(config: TagConfig, *, pose_id: str, worker: type[TagWorker] = TagWorker) -> tuple[str, StyleModel]:
    """Return the model's URI and the model, as `worker` loads it.

    Raises WeightsError if there is none, or if it was trained on poses of another fingerprint.
    """
    uri = config.model or newest_model(config.output)
    if uri is None:
        raise WeightsError(f"{config.output}: no style model here yet; run `choreai train`, or name one with --model")
    model = worker.load_model(uri)
    if model.config.pose_fingerprint != pose_id:
        raise WeightsError(
            f"{uri}: trained on poses {model.config.pose_fingerprint}, but this job's settings make {pose_id}; "
            "use the [pose] settings of its training, or train a model for these"
        )
    return uri, model


def untagged_videos(catalog: Catalog, *, output: str, pose_id: str, model_version: str) -> pa.Table:
    """Return the videos that have poses but no tag from this model: video_id, uri, content_id, shard_id."""
    videos = read_table(output, "videos", pose_id, schemas.VIDEOS, columns=[*KEY, "status", "attempts", "shard_id"])
    usable = latest_attempts(videos)
    usable = usable.filter(pc.not_equal(usable["status"], "quarantined"))
    tagged = read_table(output, "tags", model_version, schemas.TAGS, columns=KEY)
    wanted = catalog.table.select([*KEY, "uri"]).join(usable, keys=KEY, join_type="inner")
    return wanted.join(tagged, keys=KEY, join_type="left anti").select([*KEY, "uri", "shard_id"])


def tag_catalog(
    config: TagConfig,
    catalog: Catalog,
    *,
    pose_id: str,
    worker: type[TagWorker] = TagWorker,
    until: float = math.inf,
) -> RunManifest:
    """Tag the catalog's videos that have poses but no tag from this model, and return what became of them.

    From `until` on (`time.monotonic`) no video is begun.
    """
    model_uri, model = open_model(config, pose_id=pose_id, worker=worker)
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
        check_conditional_writes(config.output)
        summary.write(config.output)  # unfinished; fails now, not in the morning, if writing is forbidden
        _run_untagged(config, untagged, pose_id, model_uri, summary, worker, until)
        logger.info("manifest: %s", summary.write(config.output))
    return summary


def _run_untagged(
    config: TagConfig,
    untagged: pa.Table,
    pose_id: str,
    model_uri: str,
    summary: RunManifest,
    worker: type[TagWorker],
    until: float,
) -> None:
    """Run the untagged videos through the pool, and count them in `summary`."""
    run_shards(
        plan_tag_shards(untagged, model_version=summary.model_version, pose_fingerprint=pose_id),
        worker=worker,
        worker_settings={"model_uri": model_uri, "pose_fingerprint": pose_id, "run_id": summary.run_id},
        resources=WORKER_RESOURCES,
        narrow=TagShard.split_by_video,
        config=config,
        summary=summary,
        title="tagging",
        num_videos=untagged.num_rows,
        until=until,
    )
