"""The extraction job: a catalog of videos -> keypoint tables.

Only videos without a result for the same bytes and settings are processed. A run that was killed, however it
happened, is resumed by running it again. Videos that cannot be used are listed in the videos table with the reason.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.catalog import Catalog, with_content_ids
from choreai.catalog.several import read_catalogs
from choreai.catalog.shards import KEY, LOST, Pending, PoseShard, pending_videos, plan_shards
from choreai.cluster.limits import VideoLimits
from choreai.cluster.pool import Failure, WorkerResources
from choreai.cluster.pose_worker import PoseWorker, quarantine_killer
from choreai.cluster.session import connect
from choreai.config import ExtractConfig
from choreai.pipeline.execution import run_shards
from choreai.pipeline.in_process import run_in_process
from choreai.pipeline.pose_files import share_weights
from choreai.pipeline.progress import progress
from choreai.pipeline.shard_size import choose_shard_size
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.tables import schemas
from choreai.tables.forgotten import Forgotten, read_forgotten
from choreai.tables.parts import current_parts, list_parts, open_part, part_id_of, read_consistently
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest, new_run_id

logger = logging.getLogger(__name__)


def open_catalog(config: ExtractConfig, sources: Sequence[str] = ()) -> Catalog:
    """Return the catalog, checked, with the content id of every video, without those that were forgotten.

    `sources` are the catalogs, folders and videos that stand together for `config.catalog`, where they are several.
    """
    # Arrow's own allocators keep freed memory: half a GB for a catalog of ten million videos.
    pa.set_memory_pool(pa.system_memory_pool())
    forgotten = read_forgotten(config.output)
    catalog = _without_forgotten(read_catalogs(sources or [config.catalog]), forgotten)
    with progress("looking at videos", len(catalog)) as steps:
        catalog = with_content_ids(catalog, allowed_roots=config.allowed_roots, on_videos=steps.advance)
    return leave_out_forgotten(catalog, forgotten)  # now by their bytes too


def leave_out_forgotten(catalog: Catalog, forgotten: Forgotten) -> Catalog:
    """Return the catalog without the videos that were forgotten, and log how many they are."""
    catalog = _without_forgotten(catalog, forgotten)
    if catalog.num_forgotten:
        logger.info("%d videos of the catalog are left out: they were forgotten", catalog.num_forgotten)
    return catalog


def _without_forgotten(catalog: Catalog, forgotten: Forgotten) -> Catalog:
    found = forgotten.find(catalog.table)
    return catalog.without(found) if found.any() else catalog


def find_pending(config: ExtractConfig, catalog: Catalog, *, pose_id: str) -> Pending:
    """Return the catalog's videos that have no poses yet."""
    return read_consistently(
        lambda: pending_videos(
            catalog, known_videos(config.output, pose_id), retry_quarantined=config.retry_quarantined
        )
    )


def extract_poses(
    config: ExtractConfig,
    catalog: Catalog,
    *,
    pose_id: str,
    worker: type[PoseWorker] = PoseWorker,
    until: float = math.inf,
    in_process: bool = False,
) -> RunManifest:
    """Estimate the poses of the catalog's videos that have none yet, and return what became of them.

    `pose_id` is the fingerprint of the job's pose settings (`PoseWorker.fingerprint`). From `until` on
    (`time.monotonic`) no video is begun. `in_process`: on one worker in this process, not on Ray.
    """
    recover_videos_parts(config.output, pose_id)
    pending = find_pending(config, catalog, pose_id=pose_id)
    summary = RunManifest(
        job="extract_poses",
        run_id=new_run_id(),
        config=asdict(config),
        pose_fingerprint=pose_id,
        num_done_before=pending.num_done,
        num_quarantined_before=pending.num_quarantined,
        num_forgotten=catalog.num_forgotten,
    )
    if pending.videos.num_rows:
        logger.info("%d of %d videos need poses (fingerprint %s)", pending.videos.num_rows, len(catalog), pose_id)
        check_conditional_writes(config.output)
        summary.videos_per_shard = choose_shard_size(
            config, num_pending=pending.videos.num_rows, pose_id=pose_id, is_shared=not in_process
        )
        summary.write(config.output)  # unfinished; fails now, not in the morning, if writing is forbidden
        _run_pending(config, pending.videos, pose_id, summary, worker, until, in_process)
        manifest_uri = summary.write(config.output)
        if not in_process:
            logger.info("manifest: %s", manifest_uri)
    return summary


def known_videos(output: str, pose_id: str) -> pa.RecordBatchReader:
    """Stream what earlier runs did with each video (KEY, status, attempts); there may be millions.

    Where somebody deleted the keypoints part, as the message about a damaged one says, the status is `LOST`.
    """
    columns = [*KEY, "status", "attempts"]
    schema = pa.schema([pa.field(name, schemas.VIDEOS.field(name).type) for name in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        committed = pa.array([part_id_of(uri) for uri in list_parts(output, "keypoints", pose_id)], pa.string())
        for uri in current_parts(output, "videos", pose_id).uris:
            with open_part(uri, schemas.VIDEOS) as part:
                for batch in part.iter_batches(columns=[*columns, "shard_id"]):
                    is_gone = pc.invert(pc.is_in(batch["shard_id"], value_set=committed))
                    had_poses = pc.not_equal(batch["status"], "quarantined")
                    status = pc.if_else(pc.and_(is_gone, had_poses), LOST, batch["status"])
                    yield pa.record_batch(
                        [batch["video_id"], batch["content_id"], status, batch["attempts"]], schema=schema
                    )

    return pa.RecordBatchReader.from_batches(schema, batches())


def _run_pending(
    config: ExtractConfig,
    videos: pa.Table,
    pose_id: str,
    summary: RunManifest,
    worker: type[PoseWorker],
    until: float,
    in_process: bool,
) -> None:
    """Run the pending videos through the pool, and count them in `summary`."""
    has_other_nodes = not in_process and connect(config.ray_address).can_grow
    worker_settings: dict[str, Any] = {
        "settings": share_weights(config.pose, config.output) if has_other_nodes else config.pose,
        "pose_fingerprint": pose_id,
        "run_id": summary.run_id,
        "num_threads": max(1, int(config.workers.num_cpus)),
        "limits": VideoLimits(
            max_seconds=60 * config.workers.max_video_minutes, max_bytes=int(config.workers.max_video_gib * 2**30)
        ),
    }
    shards = plan_shards(videos, videos_per_shard=summary.videos_per_shard, pose_fingerprint=pose_id)
    if in_process:
        run_in_process(
            shards,
            worker(config.output, **worker_settings),
            summary=summary,
            title="estimating poses",
            num_videos=videos.num_rows,
            until=until,
        )
        return
    run_shards(
        shards,
        worker=worker,
        worker_settings=worker_settings,
        resources=WorkerResources(
            config.workers.num_cpus, config.workers.num_gpus, spot_patience_seconds=60 * config.workers.spot_minutes
        ),
        narrow=lambda shard: shard.split_by_video(pose_fingerprint=pose_id),
        config=config,
        summary=summary,
        title="estimating poses",
        num_videos=videos.num_rows,
        until=until,
        quarantine=lambda failure: _quarantine(failure, config.output, summary),
    )


def _quarantine(failure: Failure[PoseShard], output: str, summary: RunManifest) -> ShardReport:
    """Write the quarantine row of a video that kills its workers; the driver does, as they cannot."""
    return quarantine_killer(
        output,
        failure.shard,
        pose_fingerprint=summary.pose_fingerprint,
        run_id=summary.run_id,
        error_class=failure.error_class,
        reason=failure.reason,
    )
