"""`make bench`: throughput as ratios against a peer measured in the same run. Twelve minutes, two quiet cores.

Each ratio is the median of pairs; one that is below its goal by more than the pairs differ ends the command with 1.
`python tests/bench.py extraction decoding` measures some of its parts.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import bench_pose
import bench_style
from ceilings import Engine, decode_only, estimate_only, read_frames
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

NUM_PER_STYLE, CLIP_SECONDS = 3, 3.0
NUM_EMPTY_SHARDS = 2000
DECODED_SECONDS, DECODED_SIZE = 30.0, (1280, 720)
"""Long, so that ffmpeg's start does not count."""
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
    uri = write_catalog(
        folder / "dancers", num_per_style=NUM_PER_STYLE, first_seed=0, num_processes=2, duration_seconds=CLIP_SECONDS
    )
    catalog = with_content_ids(read_catalog(str(uri)))
    print(f"Ray's start                      {seconds_of(connect):8.1f} s", flush=True)
    found: list[float] = []

    def one() -> float:
        found.append(extraction(catalog, folder, num_workers=1))
        return found[-1]

    ratios.measure("extraction job, 1 worker", one, lambda: plain_loop(catalog), wanted=0.98, of="plain loop")
    print(
        f"                                 {CLIP_SECONDS / min(found):8.2f} s of video a second at "
        f"{SETTINGS.frames_per_second:g} samples/s"
    )
    bench_light(catalog, one, ratios)
    ratios.measure(
        "extraction job, 2 workers",
        lambda: extraction(catalog, folder, num_workers=2),
        lambda: extraction(catalog, folder, num_workers=1),
        wanted=1.9,
        of="1 worker",
    )


def bench_light(catalog: Catalog, job: Callable[[], float], ratios: Ratios) -> None:
    """The job beside the bare engine: decoder and estimator, each alone, on the same files."""
    rate = SETTINGS.frames_per_second
    estimator = build_estimator(SETTINGS, read_file=objects.read_object)
    paths = [video.uri for video in catalog.videos()]
    videos = [read_frames(path, frames_per_second=rate) for path in paths]
    engines: list[Engine] = []

    def engine() -> float:
        decode, pose = decode_only(paths, frames_per_second=rate), estimate_only(estimator, videos)
        engines.append(Engine({"decode": decode / len(paths), "pose": pose / len(paths)}))
        return engines[-1].total

    ratios.measure("speed of light, 1 worker", job, engine, wanted=0.95, of="bare engine")
    best = min(engines, key=lambda each: each.total)
    print(f"                                 s of video a second: engine {CLIP_SECONDS / best.total:.2f}; alone "
          f"{best.ceilings(CLIP_SECONDS)}")  # fmt: skip


def bench_pool() -> None:
    connect()
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
    write_clip(clip, style="hiphop", seed=0, duration_seconds=DECODED_SECONDS, size_wh=DECODED_SIZE)

    def ours() -> None:
        with clip.open("rb") as file, VideoReader(file, uri=str(clip)) as reader:
            for _ in reader.sample(frames_per_second=rate):
                pass

    def ffmpeg() -> None:
        command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(clip)]
        command += ["-vf", f"fps={rate:g},format=rgb24", "-f", "null", "-"]
        subprocess.run(command, check=True)

    def pyav() -> None:  # which looks neither for combs nor at the brightness, a tenth of the time at 720 lines
        with av.open(str(clip)) as container:
            container.streams.video[0].thread_count = 1
            due, reformatter = 0.0, av.video.reformatter.VideoReformatter()  # one a frame would take ten times as long
            for frame in container.decode(video=0):
                if frame.time >= due:
                    reformatter.reformat(frame, format="rgb24").to_ndarray()
                    due += 1 / rate

    ratios.measure(
        "decoding, 1 thread", lambda: seconds_of(ours), lambda: seconds_of(pyav), wanted=0.7, of="plain PyAV loop"
    )
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


PARTS = ("extraction", "pool", "decoding", "poses", "style")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; default: all")
    parts = parser.parse_args().parts or PARTS
    if unknown := sorted(set(parts) - set(PARTS)):
        parser.error(f"unknown part {unknown[0]}; there are {', '.join(PARTS)}")
    ratios, started = Ratios(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="choreai-bench-") as name:
        folder = Path(name)
        work: dict[str, Callable[[], None]] = {
            "extraction": lambda: bench_extraction(folder, ratios),
            "pool": bench_pool,
            "decoding": lambda: bench_decode(folder, ratios),
            "poses": lambda: bench_pose.bench_all(ratios),
            "style": lambda: bench_style.bench_all(ratios),
        }
        for part in parts:
            print(f"\n{part}, after {time.monotonic() - started:.0f} s", flush=True)
            work[part]()
            if part == "pool" or "pool" not in parts:
                disconnect()
    print(f"\ndone in {time.monotonic() - started:.0f} s")
    return ratios.exit_code()


if __name__ == "__main__":
    sys.exit(main())
