"""A job's shards on one worker in this process: no Ray, no second start of the libraries.

For a few videos that somebody waits for. A video that ends its worker ends the run with it; thousands go to the pool.
"""

import logging
import time
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from choreai.catalog.shards import PoseShard, TagShard
from choreai.cluster.limits import VideoLimitError
from choreai.cluster.steps import Steps
from choreai.errors import StorageError
from choreai.pipeline.progress import State, show_progress
from choreai.pipeline.video_progress import VideoInWork, VideoProgress
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest

logger = logging.getLogger(__name__)

MAX_VIDEOS = 3
"""More are quicker on the pool, as soon as there are two cores: it takes 10 s to start, and then a core a video."""

ShardT = TypeVar("ShardT", PoseShard, TagShard, contravariant=True)


class Worker(Protocol[ShardT]):
    """What `choreai.cluster.pool.WorkerPool` runs on its actors."""

    def setup(self) -> None: ...

    def process(self, shard: ShardT, /) -> ShardReport: ...


def run_in_process(
    shards: Iterator[ShardT], worker: Worker[ShardT], *, summary: RunManifest, title: str, num_videos: int, until: float
) -> None:
    """Run `shards` (of `num_videos` videos together) one after another, and count them in `summary`.

    From `until` on (`time.monotonic`) no shard is begun. Raises what the worker's `setup` raises.
    """
    worker.setup()
    count = VideoProgress(num_videos)
    with show_progress(title, num_videos) as show:
        for shard in shards:
            if time.monotonic() >= until:
                break
            try:
                report = _process(worker, shard, count, show)
                summary.add(report)
                count.add(len(shard.videos), report.num_frames)
            except (StorageError, VideoLimitError) as exc:
                summary.add_failure([video.video_id for video in shard.videos], str(exc))
                logger.error("%s", exc)
                count.add(len(shard.videos))
                if isinstance(exc, VideoLimitError):  # its thread is busy still, and there is no process to end
                    break
    summary.finish()


def _process(worker: Worker[ShardT], shard: ShardT, count: VideoProgress, show: Callable[[State], None]) -> ShardReport:
    """Process one shard, showing how far it is if the worker tells."""
    if not hasattr(worker, "steps"):
        return worker.process(shard)
    steps: Steps[ShardReport] = worker.steps(shard)
    while True:
        try:
            step = next(steps)
        except StopIteration as end:
            report: ShardReport = end.value
            return report
        name = shard.videos[step.index].video_id if step.index < len(shard.videos) else ""
        state = count.state([VideoInWork(name, step)])
        if state is not None:
            show(state)
