"""The music job: a catalog of videos -> the music table.

A pass of its own over the sound tracks: what happens to a sound never touches the poses, and the table's fingerprint
changes on its own. Killed anywhere and run again, it goes on where it was.
"""

import hashlib
import logging
import math
from collections.abc import Iterator
from dataclasses import asdict

import pyarrow as pa

from choreai.catalog.catalog import Catalog
from choreai.catalog.shards import KEY, Pending, PoseShard, pending_videos, plan_shards
from choreai.cluster.limits import VideoLimits
from choreai.cluster.music_worker import MusicWorker, commit_rows, failure, identity, make_report
from choreai.cluster.pool import Failure, WorkerResources
from choreai.config import ExtractConfig
from choreai.fingerprint import fingerprint
from choreai.music.beat_network import WEIGHTS
from choreai.pipeline.execution import run_shards
from choreai.pipeline.in_process import run_in_process
from choreai.pipeline.shard_size import shard_size
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.tables.music import LISTENING_VERSION, MUSIC, MUSIC_VERSION
from choreai.tables.parts import current_parts, open_part, read_consistently
from choreai.tables.reports import ShardReport
from choreai.tables.runs import MUSIC_JOB, RunManifest, new_run_id

logger = logging.getLogger(__name__)
TITLE = "listening"


def music_fingerprint() -> str:
    """Return the fingerprint of what this release hears: its network and its measures."""
    weights = hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()
    return fingerprint({"schema": MUSIC_VERSION, "listening": LISTENING_VERSION, "beat_network": weights})


def find_unheard(config: ExtractConfig, catalog: Catalog, *, music_id: str) -> Pending:
    """Return the catalog's videos that have no row in the music table yet."""
    return read_consistently(
        lambda: pending_videos(
            catalog, _known_videos(config.output, music_id), retry_quarantined=config.retry_quarantined
        )
    )


def _known_videos(output: str, music_id: str) -> pa.RecordBatchReader:
    columns = [*KEY, "status", "attempts"]
    schema = pa.schema([pa.field(name, MUSIC.field(name).type) for name in columns])

    def batches() -> Iterator[pa.RecordBatch]:
        for uri in current_parts(output, "music", music_id).uris:
            with open_part(uri, MUSIC) as part:
                for batch in part.iter_batches(columns=columns):
                    yield pa.record_batch([batch[name] for name in columns], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, batches())


def extract_music(
    config: ExtractConfig, catalog: Catalog, *, music_id: str, until: float = math.inf, in_process: bool = False
) -> RunManifest:
    """Listen to the catalog's videos that were not heard yet, and return what became of them.

    From `until` on (`time.monotonic`) no video is begun. `in_process`: on one worker in this process, not on Ray.
    """
    pending = find_unheard(config, catalog, music_id=music_id)
    summary = RunManifest(
        job=MUSIC_JOB,
        run_id=new_run_id(),
        config=asdict(config),
        pose_fingerprint=music_id,
        num_done_before=pending.num_done,
        num_quarantined_before=pending.num_quarantined,
        num_forgotten=catalog.num_forgotten,
    )
    if pending.videos.num_rows:
        logger.info("%d of %d videos to listen to (fingerprint %s)", pending.videos.num_rows, len(catalog), music_id)
        check_conditional_writes(config.output)
        most = config.videos_per_shard
        summary.videos_per_shard = most if in_process else shard_size(pending.videos.num_rows, most=most)
        summary.write(config.output)  # unfinished; fails now, not in the morning, if writing is forbidden
        _run_pending(config, pending.videos, summary, until=until, in_process=in_process)
        summary.write(config.output)
    return summary


def listen(config: ExtractConfig, catalog: Catalog, *, until: float, in_process: bool) -> None:
    """Listen to the catalog as a part of a night, and log what was heard: a sound that fails turns no night red."""
    heard = extract_music(config, catalog, music_id=music_fingerprint(), until=until, in_process=in_process)
    if heard.num_videos:
        logger.info("sound: %s", ", ".join(f"{num} {status}" for status, num in sorted(heard.statuses.items())))
    if heard.num_failed:
        logger.warning("the sound of %d videos could not be heard; the next run tries again", heard.num_failed)
    heard.finish()
    heard.write(config.output)


def _run_pending(
    config: ExtractConfig, videos: pa.Table, summary: RunManifest, *, until: float, in_process: bool
) -> None:
    """Run the pending videos through the pool, and count them in `summary`."""
    music_id = summary.pose_fingerprint
    limits = VideoLimits(
        max_seconds=60 * config.workers.max_video_minutes, max_bytes=int(config.workers.max_video_gib * 2**30)
    )
    settings = {"music_fingerprint": music_id, "run_id": summary.run_id, "limits": limits}
    shards = plan_shards(videos, videos_per_shard=summary.videos_per_shard, pose_fingerprint=music_id)
    if in_process:
        worker = MusicWorker(config.output, music_fingerprint=music_id, run_id=summary.run_id, limits=limits)
        run_in_process(shards, worker, summary=summary, title=TITLE, num_videos=videos.num_rows, until=until)
        return
    run_shards(
        shards,
        worker=MusicWorker,
        worker_settings=settings,
        resources=WorkerResources(config.workers.num_cpus, 0.0),
        narrow=lambda shard: shard.split_by_video(pose_fingerprint=music_id),
        config=config,
        summary=summary,
        title=TITLE,
        num_videos=videos.num_rows,
        until=until,
        quarantine=lambda failed: _quarantine(failed, config.output, summary),
    )


def _quarantine(failed: Failure[PoseShard], output: str, summary: RunManifest) -> ShardReport:
    """Write the row of a video whose sound kills its workers; the driver does, as they cannot."""
    shard = failed.shard
    (video,), (attempt,) = shard.videos, shard.attempts
    row = identity(video, attempt, shard.shard_id, summary.run_id)
    row |= failure("worker", failed.error_class, failed.reason)
    written = commit_rows(output, shard.shard_id, [row], music_fingerprint=summary.pose_fingerprint)
    return make_report(shard, [row], written, worker="driver")
