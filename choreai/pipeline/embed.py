"""Motion embeddings of all videos that have poses: those that a model has not embedded yet are embedded now.

Reads keypoint tables only, so that a catalog extracted long ago gets them without its videos.
"""

import logging
import math
from itertools import chain

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.shards import KEY, TagShard, latest_attempts, plan_tag_shards
from choreai.cluster.embed_worker import EmbedWorker
from choreai.pipeline.in_process import run_in_process
from choreai.pipeline.tag import plan_named_shards
from choreai.search.dancer_reviews import read_dancer_reviews
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.style.model import StyleModel
from choreai.tables import schemas
from choreai.tables.parts import current_parts, list_parts, part_id_of, read_table
from choreai.tables.runs import RunManifest, new_run_id

logger = logging.getLogger(__name__)


def embed_missing(output: str, *, model_uri: str, model: StyleModel) -> RunManifest:
    """Embed the videos under `output` that have poses of the model's kind but no embedding of this model.

    Returns what became of them; it is stored nowhere.
    """
    pose_id = model.config.pose_fingerprint
    summary = RunManifest("embed_motion", new_run_id(), {}, pose_id, model_version=model.model_version)
    shards = missing_shards(output, pose_id=pose_id, model_version=model.model_version)
    if shards:
        check_conditional_writes(output)
        num_videos = sum(len(shard.videos) for shard in shards)
        logger.info("%d videos to embed with %s", num_videos, model.model_version)
        worker = EmbedWorker(output, model_uri=model_uri, pose_fingerprint=pose_id)
        run_in_process(iter(shards), worker, summary=summary, title="embedding", num_videos=num_videos, until=math.inf)
    return summary


def missing_shards(output: str, *, pose_id: str, model_version: str) -> list[TagShard]:
    """Return shards of the videos that have poses but no embedding of this model, or dancers named since."""
    posed = posed_videos(output, pose_id)
    reviews = read_dancer_reviews(output, pose_fingerprint=pose_id)
    ids = {"model_version": model_version, "pose_fingerprint": pose_id}
    others, named = plan_named_shards(posed, reviews, **ids)
    embedded = read_table(output, "video_embeddings", model_version, schemas.VIDEO_EMBEDDINGS, columns=KEY)
    done = current_parts(output, "video_embeddings", model_version).ids
    missing = others.join(embedded, keys=KEY, join_type="left anti").select(others.column_names)
    due = (shard for shard in named if shard.shard_id not in done)
    return list(chain(plan_tag_shards(missing, **ids), due))


def posed_videos(output: str, pose_id: str) -> pa.Table:
    """Return video_id, content_id, uri and shard_id of the videos whose keypoints part is there."""
    columns = [*KEY, "uri", "status", "attempts", "shard_id"]
    videos = latest_attempts(read_table(output, "videos", pose_id, schemas.VIDEOS, columns=columns))
    committed = pa.array([part_id_of(uri) for uri in list_parts(output, "keypoints", pose_id)], pa.string())
    usable = pc.and_(pc.not_equal(videos["status"], "quarantined"), pc.is_in(videos["shard_id"], value_set=committed))
    return videos.filter(usable).select([*KEY, "uri", "shard_id"])
