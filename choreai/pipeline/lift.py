"""Everybody in 3D: the videos that have poses but were not lifted yet are lifted now.

Reads keypoint tables only, so that a catalog extracted long ago, or by another program, gains 3D without its videos.
"""

import logging
import math

from choreai.catalog.shards import KEY, TagShard, plan_tag_shards
from choreai.cluster.lift_worker import LiftWorker
from choreai.errors import ConfigError
from choreai.fingerprint import fingerprint
from choreai.lift.weights import Lifter
from choreai.pipeline.embed import posed_videos
from choreai.pipeline.in_process import run_in_process
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.tables import space_schemas
from choreai.tables.compact import list_versions
from choreai.tables.parts import read_table
from choreai.tables.runs import RunManifest, new_run_id

logger = logging.getLogger(__name__)


def lift_fingerprint(pose_id: str, lifter_version: str, height: float | None = None) -> str:
    """Return the version of the 3D tables: it changes with the poses, the lifter and the height that is given."""
    settings = {"poses": pose_id, "lifter": lifter_version, "height": height, "schema": space_schemas.POSES3D_VERSION}
    return fingerprint(settings)


def lift_missing(
    output: str, pose_id: str, lifter: Lifter, *, weights: str | None = None, height: float | None = None
) -> RunManifest:
    """Lift the videos under `output` that have these poses but no 3D of this lifter.

    `weights` is the file the lifter was loaded from, None for the one that comes with the package. Returns what became
    of them.
    """
    version = lift_fingerprint(pose_id, lifter.version, height)
    summary = RunManifest("lift_poses", new_run_id(), {}, pose_id, model_version=lifter.version)
    shards = missing_shards(output, pose_id=pose_id, version=version)
    if shards:
        check_conditional_writes(output)
        num_videos = sum(len(shard.videos) for shard in shards)
        logger.info("%d videos to lift with %s", num_videos, lifter.version)
        worker = LiftWorker(output, weights=weights, height=height, pose_fingerprint=pose_id, version=version)
        run_in_process(iter(shards), worker, summary=summary, title="lifting", num_videos=num_videos, until=math.inf)
    return summary


def missing_shards(output: str, *, pose_id: str, version: str) -> list[TagShard]:
    """Return shards of the videos that have poses but no 3D of this version."""
    posed = posed_videos(output, pose_id)
    lifted = read_table(output, "movement3d", version, space_schemas.MOVEMENT3D, columns=KEY)
    missing = posed.join(lifted, keys=KEY, join_type="left anti").select(posed.column_names)
    return list(plan_tag_shards(missing, model_version=version, pose_fingerprint=pose_id))


def only_poses(output: str) -> str:
    """Return the pose fingerprint of the keypoint tables under `output`. Raises ConfigError unless there is one."""
    versions = list_versions(output, "keypoints")
    if len(versions) != 1:
        found = ", ".join(versions) or "none"
        advice = "name one with --poses" if versions else "run `choreai extract` with this --output first"
        raise ConfigError(f"{output}: one version of the keypoint tables is expected, found: {found}; {advice}")
    return versions[0]
