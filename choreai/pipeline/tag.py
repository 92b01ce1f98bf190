"""The tagging job: a catalog of videos with poses -> style tags, for videos that this model has not tagged yet.

Tagging reads keypoint tables only; `choreai tag` extracts missing poses first. A second run finds nothing to do.
"""

import logging
import math
from dataclasses import asdict, replace
from itertools import chain

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.catalog import Catalog, Video
from choreai.catalog.shards import KEY, TagShard, latest_attempts, plan_tag_shards
from choreai.cluster.pool import WorkerResources
from choreai.cluster.pose_worker import PoseWorker
from choreai.cluster.session import disconnect_meanwhile
from choreai.cluster.tag_worker import TagWorker
from choreai.config import TagConfig
from choreai.errors import WeightsError
from choreai.formats.origin import Origin, describe_origin
from choreai.pipeline.execution import run_shards
from choreai.pipeline.in_process import run_in_process
from choreai.pose.choice import follow
from choreai.search.dancer_reviews import DancerReviews, read_dancer_reviews
from choreai.storage import objects
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.style.model import StyleModel, newest_model
from choreai.tables import schemas
from choreai.tables.parts import current_parts, list_parts, part_id_of, read_table
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
    uri = model_uri_of(config)
    model = worker.load_model(uri)
    if model.config.pose_fingerprint != pose_id:
        raise WeightsError(
            f"{uri}: trained on {_trained_on(model)}, but this job's settings make {pose_id} "
            f'(estimator = "{config.pose.estimator}"); use the [pose] settings of its training, or train a model for '
            "these"
        )
    return uri, model


def open_model_of_keypoints(config: TagConfig, origin: Origin, *, worker: type[TagWorker] = TagWorker) -> StyleModel:
    """Return the model, as `worker` loads it, for keypoints that are there already.

    Raises WeightsError if there is none, or if it was trained on keypoints of another origin.
    """
    uri = model_uri_of(config)
    model = worker.load_model(uri)
    if model.config.pose_fingerprint != origin.pose_fingerprint:
        raise WeightsError(
            f"{config.keypoints.source}: {origin}, but {uri} was trained on {_trained_on(model)}: its scores would "
            "mean nothing. Give keypoints of that kind, or train a model on these; --made-by names the estimator where "
            "files do not"
        )
    return model


def _trained_on(model: StyleModel) -> str:
    """Return what a model says of the keypoints of its training; earlier releases' say nothing but the fingerprint."""
    told = model.training.get("keypoints")
    return describe_origin(told if isinstance(told, dict) else {}, model.config.pose_fingerprint)


def model_uri_of(config: TagConfig) -> str:
    """Return where the job's model is. Raises WeightsError where there is none."""
    uri = config.model or newest_model(config.output)
    if uri is None:
        raise WeightsError(f"{config.output}: no style model here yet; run `choreai train`, or name one with --model")
    return uri


def follow_model(
    config: TagConfig, *, worker: type[TagWorker] = TagWorker, pose_worker: type[PoseWorker] = PoseWorker
) -> TagConfig:
    """Return the settings with the estimator that made the poses of the model's training in place of "auto".

    Other settings, and "auto" where nothing at hand makes such poses, come back as they are. Raises WeightsError if
    there is no model.
    """
    if config.pose.estimator != "auto":
        return config
    pose_id = worker.load_model(model_uri_of(config)).config.pose_fingerprint
    pose = follow(config.pose, pose_id, fingerprint=pose_worker.fingerprint, read_file=objects.read_object)
    return replace(config, pose=pose)


def untagged_videos(catalog: Catalog, *, output: str, pose_id: str, model_version: str) -> pa.Table:
    """Return the videos that have poses but no tag from this model: video_id, uri, content_id, shard_id.

    So are videos whose dancers were named in a review since they were tagged.
    """
    videos = read_table(output, "videos", pose_id, schemas.VIDEOS, columns=[*KEY, "status", "attempts", "shard_id"])
    usable = latest_attempts(videos)
    usable = usable.filter(pc.not_equal(usable["status"], "quarantined"))
    committed = pa.array([part_id_of(uri) for uri in list_parts(output, "keypoints", pose_id)], pa.string())
    usable = usable.filter(pc.is_in(usable["shard_id"], value_set=committed))  # extraction does the lost ones again
    tagged = read_table(output, "tags", model_version, schemas.TAGS, columns=KEY)
    wanted = catalog.table.select([*KEY, "uri"]).join(usable, keys=KEY, join_type="inner")
    wanted = wanted.select([*KEY, "uri", "shard_id"])
    untagged = wanted.join(tagged, keys=KEY, join_type="left anti").select(wanted.column_names)
    reviews = read_dancer_reviews(output)
    if not reviews:
        return untagged
    done = current_parts(output, "tags", model_version).ids
    ids = {"model_version": model_version, "pose_fingerprint": pose_id}
    others, _ = plan_named_shards(untagged, reviews, **ids)
    _, named = plan_named_shards(wanted, reviews, **ids)
    due = [_row_of(shard) for shard in named if shard.shard_id not in done]
    return pa.concat_tables([others, pa.Table.from_pylist(due, schema=wanted.schema)])


def _row_of(shard: TagShard) -> dict[str, str]:
    """Return a shard of one video as `untagged_videos` has it."""
    (video,) = shard.videos
    return {
        "video_id": video.video_id, "content_id": video.content_id, "uri": video.uri, "shard_id": shard.keypoints_part,
    }  # fmt: skip


def newest_tags(tags: pa.Table) -> pa.Table:
    """Return of the rows of a tags table (columns video_id, content_id, tagged_at and others) each video's newest: one
    whose dancers were named after it was tagged has another."""
    others = [name for name in tags.column_names if name not in KEY]
    grouped = tags.sort_by([("tagged_at", "ascending")]).group_by(KEY, use_threads=False)
    newest = grouped.aggregate([(name, "last") for name in others])
    return newest.rename_columns([name.removesuffix("_last") for name in newest.column_names])


def plan_named_shards(
    videos: pa.Table, reviews: DancerReviews, *, model_version: str, pose_fingerprint: str
) -> tuple[pa.Table, list[TagShard]]:
    """Return of `videos` (video_id, content_id, uri, shard_id) those whose dancers no review names, and a shard for
    each of the others."""
    reviewed = pc.is_in(videos["video_id"], value_set=pa.array(list(reviews.by_video), pa.string())).to_numpy()
    is_named = np.zeros(len(videos), np.bool_)
    shards = []
    for place in np.flatnonzero(reviewed).tolist():
        (row,) = videos.slice(place, 1).to_pylist()
        named = reviews.get(row["video_id"], row["content_id"])
        if named is not None:
            is_named[place] = True
            part, ids = row.pop("shard_id"), {"model_version": model_version, "pose_fingerprint": pose_fingerprint}
            shards.append(TagShard.from_review(Video(**row), named, keypoints_part=part, **ids))
    return videos.filter(pa.array(~is_named)), shards


def tag_catalog(
    config: TagConfig,
    catalog: Catalog,
    *,
    pose_id: str,
    worker: type[TagWorker] = TagWorker,
    until: float = math.inf,
    most_in_process: int = 0,
) -> RunManifest:
    """Tag the catalog's videos that have poses but no tag from this model, and return what became of them.

    From `until` on (`time.monotonic`) no video is begun. `most_in_process`: so many videos at most are tagged on one
    worker in this process, more of them on Ray.
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
        num_forgotten=catalog.num_forgotten,
    )
    in_process = untagged.num_rows <= most_in_process
    if untagged.num_rows:
        logger.info("%d videos to tag with %s", untagged.num_rows, model.model_version)
        check_conditional_writes(config.output)
        summary.write(config.output)  # unfinished; fails now, not in the morning, if writing is forbidden
        _run_untagged(config, untagged, pose_id, model_uri, summary, worker, until, in_process)
        manifest_uri = summary.write(config.output)
        if not in_process:
            logger.info("manifest: %s", manifest_uri)
    return summary


def _run_untagged(
    config: TagConfig,
    untagged: pa.Table,
    pose_id: str,
    model_uri: str,
    summary: RunManifest,
    worker: type[TagWorker],
    until: float,
    in_process: bool,
) -> None:
    """Run the untagged videos through the pool, and count them in `summary`."""
    reviews = read_dancer_reviews(config.output, pose_fingerprint=pose_id)
    ids = {"model_version": summary.model_version, "pose_fingerprint": pose_id}
    others, named = plan_named_shards(untagged, reviews, **ids)
    if named:
        logger.info("%d of these videos with dancers named by reviewers", len(named))
    shards = chain(plan_tag_shards(others, **ids), named)
    if in_process:
        disconnect_meanwhile()  # from the extraction
        run_in_process(
            shards,
            worker(config.output, model_uri=model_uri, pose_fingerprint=pose_id, run_id=summary.run_id),
            summary=summary,
            title="tagging",
            num_videos=untagged.num_rows,
            until=until,
        )
        return
    run_shards(
        shards,
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
