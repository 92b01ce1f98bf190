"""A job on a cluster that grows and shrinks: `python tests/autoscaling.py --picture deploy/autoscaling.png`.

Ray's autoscaler, version 2 as `ray up` has it, with fake nodes of one GPU each. No worker is up when a job for four
workers is submitted; nodes come, the fourth never does, one is lost in mid-run, and all go once they are idle. A second
job is stopped and submitted again. A third asks for spot nodes, is refused, takes on-demand ones, and goes back. Prints
what happened, and draws how many nodes there were.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers import ROOT, read_whole, wait_until
from fake_autoscaling import RAY, FakeAutoscalingCluster
from moody_provider import NO_SPOT
from ray.job_submission import JobSubmissionClient
from tiny_poses import FRAMES_PER_CLIP, SLOWNESS, write_clips

from choreai.cluster.market import MARKET_LABEL, ON_DEMAND, SPOT

NUM_CLIPS, MAX_NODES, IDLE_SECONDS = 30, 3, 8.0
GPU = {"CPU": 1.0, "GPU": 1.0}
SECONDS_PER_FRAME = 0.2


@dataclass
class Recording:
    """How many nodes and finished shards there were when."""

    outputs: list[Path]
    cluster: FakeAutoscalingCluster = field(init=False)
    started: float = field(default_factory=time.monotonic)
    samples: list[tuple[float, int, int]] = field(default_factory=list)
    events: list[tuple[float, str]] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        threading.Thread(target=self._sample, daemon=True).start()

    def stop(self) -> None:
        self._over.set()

    def note(self, event: str) -> None:
        self.events.append((time.monotonic() - self.started, event))
        print(f"{self.events[-1][0]:6.1f} s  {event}", flush=True)

    def _sample(self) -> None:
        while not self._over.wait(0.5):
            shards = sum(num_parts(output) for output in self.outputs)
            self.samples.append((time.monotonic() - self.started, len(self.cluster.raylets()), shards))

    def draw(self, path: Path) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(11, 4.4), layout="constrained")
        nodes, shards = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
        seconds, num_nodes, num_shards = zip(*self.samples, strict=True)
        nodes.step(seconds, num_nodes, where="post", color="#1f6feb")
        nodes.fill_between(seconds, num_nodes, step="post", alpha=0.15, color="#1f6feb")
        nodes.set(ylabel="GPU nodes", ylim=(0, MAX_NODES + 3.2), yticks=range(MAX_NODES + 2))
        nodes.set_xlim(0, 1.15 * seconds[-1])  # room for the last event's name
        shards.plot(seconds, num_shards, color="#57606a")
        shards.set(ylabel="shards done", xlabel="seconds")
        for number, (at, event) in enumerate(self.events):
            for axes in (nodes, shards):
                axes.axvline(at, color="#d0d7de", linewidth=0.8, zorder=0)
            nodes.text(at, MAX_NODES + 3.0 - 0.27 * (number % 7), f" {event}", fontsize=7, va="top")
        figure.savefig(path, dpi=120)


def num_parts(output: Path) -> int:
    return len(list((output / "keypoints" / "tiny").glob("part-*.parquet")))


def submit(
    cluster: FakeAutoscalingCluster,
    catalog: Path,
    output: Path,
    name: str,
    *flags: str,
    num_workers: int = MAX_NODES + 1,
) -> subprocess.Popen[str]:
    """`ray job submit` in a process of its own, which follows the job's log to its end."""
    command = [
        RAY, "job", "submit", "--submission-id", name, "--", sys.executable, str(ROOT / "tests" / "tiny_job.py"),
        str(catalog), "--output", str(output), "--num-workers", str(num_workers), "--num-gpus", "1",
        "--videos-per-shard", "1", *flags,
    ]  # fmt: skip
    return subprocess.Popen(
        command, env=cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def grow_lose_and_shrink(recording: Recording, catalog: Path) -> None:
    """One job from nothing to nothing, with a node lost on the way."""
    cluster, output = recording.cluster, recording.outputs[0]
    assert not cluster.raylets(), "nobody has asked for a node yet"
    recording.note("job for 4 workers submitted")
    job = submit(cluster, catalog, output, "first")
    wait_until(lambda: len(cluster.raylets()) == MAX_NODES, what="three nodes", timeout_seconds=150)
    recording.note("three nodes are up, the fourth never comes")
    wait_until(lambda: num_parts(output) >= 8, what="the first shards", timeout_seconds=150)
    done_at_loss = num_parts(output)
    cluster.raylets()[0].kill()
    recording.note("a node is lost")
    log, _ = job.communicate(timeout=240)
    recording.note("job done")
    assert job.returncode == 0, log
    assert log.count(" INFO shard ") == NUM_CLIPS, "each shard is reported once, in the log that was followed"
    assert done_at_loss < NUM_CLIPS
    check_tables(output)
    (manifest,) = (json.loads(path.read_text()) for path in output.glob("runs/*/manifest.json"))
    assert len(manifest["gpu_ids"]) >= MAX_NODES, f"not every node worked: {manifest['gpu_ids']}"
    assert all(len(gpus) == 1 for gpus in manifest["gpu_ids"].values()), "a GPU each"
    # The lost node's worker may live a little longer than its raylet, and commit what is then tried elsewhere.
    assert manifest["num_shards_redone"] <= 2, "a lost node costs only the shards it had"
    wait_until(lambda: not cluster.raylets(), what="idle nodes to go", timeout_seconds=150)
    recording.note("idle nodes are gone")
    print(f"workers that got shards: {len(manifest['gpu_ids'])}, workers lost: {manifest['num_worker_deaths']}")


def stop_and_resume(recording: Recording, catalog: Path) -> None:
    """A job stopped in mid-run goes on where it was when it is submitted again."""
    cluster, output = recording.cluster, recording.outputs[1]
    recording.note("second job submitted")
    job = submit(cluster, catalog, output, "second")
    wait_until(lambda: num_parts(output) >= 6, what="the first shards", timeout_seconds=150)
    JobSubmissionClient(cluster.jobs_address).stop_job("second")
    log, _ = job.communicate(timeout=90)
    done = num_parts(output)
    recording.note(f"stopped after {done} shards, submitted again")
    assert "stopped" in log, log
    assert done < NUM_CLIPS
    log, _ = (again := submit(cluster, catalog, output, "again")).communicate(timeout=240)
    recording.note("second job done")
    assert again.returncode == 0, log
    found = re.search(r"(\d+) of \d+ videos need poses", log)
    assert found, log
    assert NUM_CLIPS - MAX_NODES - done <= int(found[1]) <= NUM_CLIPS - done, "it began anew, or lost something"
    check_tables(output)
    wait_until(lambda: not cluster.raylets(), what="idle nodes to go", timeout_seconds=150)
    recording.note("idle nodes are gone")


def take_on_demand_and_come_back(recording: Recording, catalog: Path, no_spot: Path) -> None:
    """Spot is refused: on-demand is taken. Spot is back: so are the workers."""
    cluster, output = recording.cluster, recording.outputs[2]
    config = catalog.parent / "spot.toml"
    config.write_text("[workers]\nspot_minutes = 0.2\n")
    no_spot.touch()
    recording.note("spot is refused; third job submitted")
    job = submit(cluster, catalog, output, "third", "--config", str(config), num_workers=2)
    wait_until(lambda: num_parts(output) >= 3, what="the first shards", timeout_seconds=150)
    assert node_types(cluster) == {"on_demand"}, node_types(cluster)
    recording.note("on-demand nodes work")
    no_spot.unlink()
    wait_until(lambda: "gpu" in node_types(cluster), what="a spot node", timeout_seconds=150)
    recording.note("spot is back")
    log, _ = job.communicate(timeout=300)
    recording.note("third job done")
    assert job.returncode == 0, log
    assert "got no spot node" in log, log
    assert "a spot node is there" in log, log
    check_tables(output)
    wait_until(lambda: not cluster.raylets(), what="idle nodes to go", timeout_seconds=150)
    recording.note("idle nodes are gone")


def node_types(cluster: FakeAutoscalingCluster) -> set[str]:
    """Return the types of the nodes that there are, but for the head."""
    return {process.environ().get("RAY_NODE_TYPE_NAME", "") for process in cluster.raylets()}


def check_tables(output: Path) -> None:
    rows = Counter(read_whole(str(output), "keypoints")["video_id"].to_pylist())
    assert rows == {f"clip-{number:03d}": FRAMES_PER_CLIP for number in range(NUM_CLIPS)}


@contextmanager
def started(
    recording: "Recording", folder: Path, node_types: dict[str, tuple[dict[str, float], int]], environment: Any = None
) -> Iterator[None]:
    """Have the recording watch a cluster of these node types, whose spot nodes are refused while a file says so."""
    folder.mkdir()
    recording.cluster = FakeAutoscalingCluster(
        folder,
        node_types,
        idle_seconds=IDLE_SECONDS,
        environment={
            "PYTHONPATH": str(ROOT / "tests"),
            SLOWNESS: str(SECONDS_PER_FRAME),
            NO_SPOT: str(folder / "never"),
            **(environment or {}),
        },
        provider="moody_provider.MoodyProvider",
        labels={"gpu": {MARKET_LABEL: SPOT}, "on_demand": {MARKET_LABEL: ON_DEMAND}},
    )
    try:
        yield
    except BaseException:
        recording.stop()
        raise
    finally:
        recording.cluster.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--picture", type=Path, required=True, metavar="PNG")
    arguments = parser.parse_args()
    os.environ["RAY_AUTH_MODE"] = "disabled"
    with tempfile.TemporaryDirectory(prefix="autoscaling-", dir="/tmp") as name:
        folder = Path(name)
        catalog = write_clips(folder, range(NUM_CLIPS))
        recording = Recording([folder / "first", folder / "second", folder / "third"])
        with started(recording, folder / "a", {"gpu": (GPU, MAX_NODES)}):
            recording.start()
            grow_lose_and_shrink(recording, catalog)
            stop_and_resume(recording, catalog)
        no_spot = folder / "no-spot"
        with started(recording, folder / "b", {"gpu": (GPU, 2), "on_demand": (GPU, 2)}, {NO_SPOT: str(no_spot)}):
            take_on_demand_and_come_back(recording, catalog, no_spot)
            num_samples = len(recording.samples)
            wait_until(lambda: len(recording.samples) > num_samples + 4, what="the last samples")
            recording.stop()
            recording.draw(arguments.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
