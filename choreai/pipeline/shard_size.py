"""How many videos a shard holds: few where few are pending, so that every worker gets some, and otherwise as set.

Two drivers on one catalog, and a driver that resumes another's run while a last worker of that one is still writing,
must cut the same shards: only then are their parts' names the same, and each is written once. So a run keeps to the
size of an unfinished run before it, whatever is pending by now.
"""

from datetime import UTC, datetime, timedelta
from itertools import islice

from choreai.config import ExtractConfig
from choreai.tables.runs import RunManifest, read_runs

MIN_SHARDS = 32
"""Pending videos are cut into so many shards at least, one video each if need be: several for each worker of a small
cluster, so that none waits long at the end. A shard costs a tenth of a second, little beside a video's poses."""
MAX_LOOKED_AT = 50
"""Newest runs that are looked through for an unfinished one."""
MAYBE_ALIVE = timedelta(hours=12)
"""An unfinished run that began longer ago, and has had another after it, is taken for dead."""


def choose_shard_size(config: ExtractConfig, *, num_pending: int, pose_id: str, is_shared: bool = True) -> int:
    """Return the number of videos of a shard, `config.videos_per_shard` at most; so many too where the work is not
    shared by several workers."""
    most = config.videos_per_shard
    return _size_of_unfinished(config, pose_id) or (shard_size(num_pending, most=most) if is_shared else most)


def shard_size(num_pending: int, *, most: int) -> int:
    """Return the number of videos of a shard where `num_pending` are to be done."""
    return max(1, min(most, num_pending // MIN_SHARDS))


def _size_of_unfinished(config: ExtractConfig, pose_id: str) -> int | None:
    """Return the shard size of a run of the same catalog, poses and settings that has not finished and may go on."""
    is_newest = True
    for run in islice(read_runs(config.output), MAX_LOOKED_AT):
        if not _is_alike(run, config, pose_id):
            continue
        if not run.finished and (is_newest or datetime.now(UTC) - run.started_at < MAYBE_ALIVE):
            return run.videos_per_shard or config.videos_per_shard
        is_newest = False
    return None


def _is_alike(run: RunManifest, config: ExtractConfig, pose_id: str) -> bool:
    same = ("catalog", "videos_per_shard")
    is_extraction = run.job == "extract_poses" and run.pose_fingerprint == pose_id
    return is_extraction and all(run.config.get(name) == getattr(config, name) for name in same)
