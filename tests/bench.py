"""`make bench`: throughput as ratios against a peer measured in the same run. Quiet machine, please.

Nothing here is a test: figures depend on the machine, so they are printed and not asserted.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import bench_pose
import bench_style

from choreai.catalog.catalog import Catalog, read_catalog, with_content_ids
from choreai.catalog.shards import PoseShard, pending_videos, plan_shards
from choreai.cluster.pool import WorkerPool, WorkerResources
from choreai.cluster.pose_worker import PoseWorker
from choreai.cluster.session import connect, disconnect
from choreai.demo.dancers import write_catalog, write_clip
from choreai.pose.build import build_estimator
from choreai.pose.pipeline import estimate_and_track
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.tables import schemas
from choreai.video.decode import VideoReader

NUM_PER_STYLE = 20
VIDEOS_PER_SHARD = 2
NUM_EMPTY_SHARDS = 5000


@dataclass(frozen=True)
class EmptyShard:
    shard_id: str


class NothingWorker:
    """A worker whose work costs nothing: what is left is the pool's own cost."""

    def __init__(self, output: str) -> None:
        pass

    def setup(self) -> None:
        pass

    def process(self, shard: EmptyShard) -> str:
        return shard.shard_id


SETTINGS = PoseSettings(estimator="mediapipe")


def seconds_of(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def plain_loop(catalog: Catalog) -> None:
    """Same decoder, same estimator, no Ray, no tables."""
    estimator = build_estimator(SETTINGS, read_file=objects.read_object)
    for video in catalog.videos():
        with objects.open_object(video.uri) as file, VideoReader(file, uri=video.uri) as reader:
            for _ in estimate_and_track(reader.sample(frames_per_second=8.0), estimator):
                pass


def extraction(catalog: Catalog, folder: Path, *, num_workers: int) -> None:
    """The extraction job's own steps, worker start included, Ray's start not."""
    pose_id = f"{num_workers:016d}"
    pending = pending_videos(catalog, schemas.VIDEOS.empty_table(), retry_quarantined=False)
    pool: WorkerPool[PoseShard, object] = WorkerPool(
        PoseWorker,
        str(folder / f"out-{num_workers}"),
        {"settings": SETTINGS, "pose_fingerprint": pose_id, "run_id": "bench"},
        num_workers=num_workers,
        resources=WorkerResources(),
        narrow=lambda shard: [shard],
    )
    shards = plan_shards(pending.videos, videos_per_shard=VIDEOS_PER_SHARD, pose_fingerprint=pose_id)
    assert sum(1 for _ in pool.run(shards)) == -(-len(catalog) // VIDEOS_PER_SHARD)


def bench_extraction(folder: Path) -> None:
    uri = write_catalog(folder / "dancers", num_per_style=NUM_PER_STYLE, first_seed=0, num_processes=2)
    catalog = with_content_ids(read_catalog(str(uri)))
    plain = len(catalog) / seconds_of(lambda: plain_loop(catalog))
    print(f"ray start                       {seconds_of(connect):8.1f} s")
    one = len(catalog) / seconds_of(lambda: extraction(catalog, folder, num_workers=1))
    two = len(catalog) / seconds_of(lambda: extraction(catalog, folder, num_workers=2))
    print(f"plain loop, no Ray              {plain:8.2f} videos/s")
    print(f"extraction job, 1 worker        {one:8.2f} videos/s  {one / plain:5.2f} x plain loop (wanted: 0.9)")
    print(f"extraction job, 2 workers       {two:8.2f} videos/s  {two / one:5.2f} x 1 worker (wanted: 1.7)")


def bench_pool() -> None:
    pool: WorkerPool[EmptyShard, str] = WorkerPool(
        NothingWorker, "", {}, num_workers=2, resources=WorkerResources(), narrow=lambda shard: [shard]
    )

    def shards() -> Iterator[EmptyShard]:
        return (EmptyShard(f"{number}") for number in range(NUM_EMPTY_SHARDS))

    outcomes = pool.run(shards())
    next(outcomes)  # the workers are up
    seconds = seconds_of(lambda: list(outcomes))
    print(
        f"driver overhead per shard       {1000 * seconds / (NUM_EMPTY_SHARDS - 1):8.2f} ms  (2 workers doing nothing)"
    )


def bench_decode(folder: Path) -> None:
    clip = folder / "long.mp4"
    write_clip(clip, style="hiphop", seed=0, duration_seconds=120.0)  # long, so that ffmpeg's start does not count

    def ours() -> None:
        with clip.open("rb") as file, VideoReader(file, uri=str(clip)) as reader:
            for _ in reader.sample(frames_per_second=8.0):
                pass

    def ffmpeg() -> None:
        command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(clip)]
        command += ["-vf", "fps=8,format=rgb24", "-f", "null", "-"]
        subprocess.run(command, check=True)

    if shutil.which("ffmpeg") is None:
        print("decode against ffmpeg           not measured: no ffmpeg on the PATH")
        return
    own, peer = seconds_of(ours), seconds_of(ffmpeg)
    print(f"decode, 1 thread                {120 / own:8.1f} s of video a second  {peer / own:5.2f} x ffmpeg to null")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="choreai-bench-") as name:
        bench_extraction(Path(name))
        bench_pool()
        bench_decode(Path(name))
    disconnect()
    bench_pose.main()
    bench_style.main()


if __name__ == "__main__":
    main()
