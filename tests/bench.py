"""`make bench`: throughput as ratios against a peer measured in the same run. Quiet machine, please.

Each ratio is the median of pairs; one that is below its goal by more than the pairs differ ends the command with 1.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import bench_pose
import bench_style
from ratios import Ratios, seconds_of

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

NUM_PER_STYLE = 3
NUM_EMPTY_SHARDS = 5000
SETTINGS = PoseSettings(estimator="mediapipe")


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


def plain_loop(catalog: Catalog) -> float:
    """Seconds a video of the same decoder and estimator without Ray and tables, from the second video on."""
    estimator = build_estimator(SETTINGS, read_file=objects.read_object)
    ends = []
    for video in catalog.videos():
        with objects.open_object(video.uri) as file, VideoReader(file, uri=video.uri) as reader:
            for _ in estimate_and_track(reader.sample(frames_per_second=SETTINGS.frames_per_second), estimator):
                pass
        ends.append(time.perf_counter())
    return (ends[-1] - ends[0]) / (len(ends) - 1)


def extraction(catalog: Catalog, folder: Path, *, num_workers: int) -> float:
    """Seconds a video of the extraction job's own steps, from when every worker has one behind it."""
    pose_id = f"{time.monotonic_ns():016d}"
    pending = pending_videos(catalog, schemas.VIDEOS.empty_table(), retry_quarantined=False)
    pool: WorkerPool[PoseShard, object] = WorkerPool(
        PoseWorker,
        str(folder / f"out-{pose_id}"),
        {"settings": SETTINGS, "pose_fingerprint": pose_id, "run_id": "bench"},
        num_workers=num_workers,
        resources=WorkerResources(),
        narrow=lambda shard: [shard],
    )
    shards = plan_shards(pending.videos, videos_per_shard=1, pose_fingerprint=pose_id)
    ends = [time.perf_counter() for _ in pool.run(shards)]
    assert len(ends) == len(catalog)
    # The last videos of several workers do not end together: up to when the first of them has none left.
    last = len(ends) - num_workers
    return (ends[last] - ends[num_workers - 1]) / (last - num_workers + 1)


def bench_extraction(folder: Path, ratios: Ratios) -> None:
    uri = write_catalog(folder / "dancers", num_per_style=NUM_PER_STYLE, first_seed=0, num_processes=2)
    catalog = with_content_ids(read_catalog(str(uri)))
    print(f"Ray's start                      {seconds_of(connect):8.1f} s")
    found: list[float] = []

    def one() -> float:
        found.append(extraction(catalog, folder, num_workers=1))
        return found[-1]

    ratios.measure("extraction job, 1 worker", one, lambda: plain_loop(catalog), wanted=0.98, of="plain loop")
    print(
        f"                                 {1 / min(found):8.2f} videos/s at {SETTINGS.frames_per_second:g} samples/s"
    )
    ratios.measure(
        "extraction job, 2 workers",
        lambda: extraction(catalog, folder, num_workers=2),
        lambda: extraction(catalog, folder, num_workers=1),
        wanted=1.9,
        of="1 worker",
    )


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
        f"driver's own time per shard      {1000 * seconds / (NUM_EMPTY_SHARDS - 1):8.2f} ms, 2 workers doing nothing"
    )


def bench_decode(folder: Path, ratios: Ratios) -> None:
    clip, rate = folder / "long.mp4", SETTINGS.frames_per_second
    write_clip(clip, style="hiphop", seed=0, duration_seconds=120.0)  # long, so that ffmpeg's start does not count

    def ours() -> None:
        with clip.open("rb") as file, VideoReader(file, uri=str(clip)) as reader:
            for _ in reader.sample(frames_per_second=rate):
                pass

    def ffmpeg() -> None:
        command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(clip)]
        command += ["-vf", f"fps={rate:g},format=rgb24", "-f", "null", "-"]
        subprocess.run(command, check=True)

    if shutil.which("ffmpeg") is None:
        print("decoding against ffmpeg          not measured: no ffmpeg on the PATH")
        return
    ratios.measure(
        "decoding, 1 thread",
        lambda: seconds_of(ours),
        lambda: seconds_of(ffmpeg),
        wanted=0.9,
        of="ffmpeg to nowhere",
    )


def main() -> int:
    ratios = Ratios()
    with tempfile.TemporaryDirectory(prefix="choreai-bench-") as name:
        bench_extraction(Path(name), ratios)
        bench_pool()
        bench_decode(Path(name), ratios)
    disconnect()
    bench_pose.bench_all(ratios)
    bench_style.bench_all(ratios)
    return ratios.exit_code()


if __name__ == "__main__":
    sys.exit(main())
