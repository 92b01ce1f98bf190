"""Extraction under fire: `make chaos`, or `python tests/chaos.py --runs 100 --seed 1`.

Each run extracts a small catalog on a Ray cluster of two nodes, from and to an S3 server, while something fails at
a random moment; then once more in peace. After that every table must equal the undisturbed one to the last bit.
The clips and the pose estimator are tiny; the driver, the pool, the worker, the store and Ray are the real ones.
Exit code 1 if any run lost or doubled a row, or redid more than a shard per fault.
"""

import argparse
import logging
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import psutil
import pyarrow as pa
from drivers import read_whole, wait_until
from faulty_proxy import TROUBLES, FaultyProxy
from tiny_poses import FINGERPRINT, FRAMES_PER_CLIP, LEDGER, SLOWNESS, TinyWorker, write_clips

FOLDER = Path(__file__).parent
NUM_CLIPS, CLIPS_PER_SHARD, NUM_NODES = 24, 2, 2
NUM_FRAMES = NUM_CLIPS * FRAMES_PER_CLIP
FRAMES_PER_SHARD = CLIPS_PER_SHARD * FRAMES_PER_CLIP
SAME = ["video_id", "content_id", "status", "num_frames_sampled", "num_tracks", "num_rows", "attempts"]
PROCESS_FAULTS = ("worker killed", "3 workers killed", "node lost", "node drained", "driver killed")
FAULTS = (*PROCESS_FAULTS, *TROUBLES, "worker killed + error 503", "driver killed + cut connection")
ROUND = tuple(fault for fault in FAULTS if fault != "stall")  # a stall costs a minute: few of them
SHORT = ("worker killed + error 503", "node lost", "driver killed + cut connection")  # `test_drain` has a drained node


@dataclass(frozen=True)
class Result:
    fault: str
    num_faults: int
    """Processes ended, nodes lost, requests failed."""
    num_lost_workers: int
    done_at_first: int
    """Videos done when the disturbed run ended."""
    rework_shards: float
    """Frames estimated more often than once, in shards."""
    equal: bool
    seconds: float


class Stage:
    """A cluster of Ray nodes, an S3 server behind a proxy, and a catalog in it; `close` ends all of it."""

    def __init__(self, folder: Path) -> None:
        from moto.server import ThreadedMotoServer
        from ray.cluster_utils import Cluster

        self.folder, self.ledger = folder, folder / "ledger"
        self.ledger.mkdir()
        self._moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._moto.start()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # or it prints every request
        host, port = self._moto.get_host_and_port()
        self.proxy = FaultyProxy(f"http://{host}:{port}")
        os.environ |= _environment(self.proxy.endpoint, self.ledger)
        self.catalog = self._fill_bucket()
        self.cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        self.nodes: list[Any] = []
        self.heal()

    def _fill_bucket(self) -> str:
        import boto3

        client = boto3.session.Session().client("s3")
        client.create_bucket(Bucket="chaos")
        catalog = write_clips(self.folder, range(NUM_CLIPS))
        for path in self.folder.glob("*.mp4"):
            client.upload_file(str(path), "chaos", f"in/{path.name}")
        client.upload_file(str(catalog), "chaos", "in/catalog.csv")
        return "s3://chaos/in/catalog.csv"

    def heal(self) -> None:
        """Bring nodes up until all are there again."""
        while len(self.nodes) < NUM_NODES:
            self.nodes.append(self.cluster.add_node(num_cpus=1, object_store_memory=80_000_000))

    def workers(self) -> list[psutil.Process]:
        found = []
        for process in psutil.Process().children(recursive=True):
            try:
                if any("ray::TinyWorker" in word for word in process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def num_frames_estimated(self) -> int:
        return sum(path.stat().st_size for path in self.ledger.iterdir())

    def clear_ledger(self) -> None:
        for path in self.ledger.iterdir():
            path.unlink()

    def close(self) -> None:
        import ray

        ray.shutdown()
        self.cluster.shutdown()
        self.proxy.stop()
        self._moto.stop()


def _environment(endpoint: str, ledger: Path) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "NO_PROXY": "127.0.0.1",
        "PYTHONPATH": os.pathsep.join([str(FOLDER), str(FOLDER.parent)]),  # for workers and drivers
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_health_check_initial_delay_ms": "1000",
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_timeout_ms": "500",
        "RAY_health_check_failure_threshold": "4",
        LEDGER: str(ledger),
        SLOWNESS: "0.02",
    }


def extract(catalog: str, output: str, address: str) -> Any:
    """The job itself, with tiny workers: its summary."""
    from choreai.catalog.catalog import read_catalog
    from choreai.config import ExtractConfig, WorkerSettings
    from choreai.pipeline.extract import extract_poses

    config = ExtractConfig(
        catalog, output, videos_per_shard=CLIPS_PER_SHARD, ray_address=address,
        workers=WorkerSettings(num_workers=NUM_NODES),
    )  # fmt: skip
    return extract_poses(config, read_catalog(catalog), pose_id=FINGERPRINT, worker=TinyWorker)


def disturb(stage: Stage, fault: str, chance: random.Random, output: str) -> tuple[int, int]:
    """One extraction during which `fault` happens: how many faults, and how many workers they cost."""
    parts = fault.split(" + ")
    trouble = next((part for part in parts if part in TROUBLES), None)
    before = stage.proxy.num_faults
    share = {"stall": 0.05, "slow": 0.3}.get(trouble or "", chance.uniform(0.1, 0.4))
    with (
        stage.proxy.trouble(
            trouble, share=share, at_most=1 if trouble == "stall" else 1000, seed=chance.randrange(2**30)
        )
        if trouble
        else nullcontext()
    ):
        process_fault = next((part for part in parts if part in PROCESS_FAULTS), None)
        if process_fault == "driver killed":
            num_lost = _kill_driver(stage, chance, output)
        else:
            num_lost = _extract_and_hurt(stage, process_fault, chance, output)
    return max(1, num_lost) * (process_fault is not None) + stage.proxy.num_faults - before, num_lost


def _moment(stage: Stage, chance: random.Random) -> Callable[[], bool]:
    """True from a random point of the work on."""
    frames = chance.randint(0, NUM_FRAMES - FRAMES_PER_SHARD)
    return lambda: stage.num_frames_estimated() >= frames


def _kill_driver(stage: Stage, chance: random.Random, output: str) -> int:
    driver = subprocess.Popen(
        [sys.executable, __file__, "--driver", stage.catalog, output, stage.cluster.address],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    moment = _moment(stage, chance)
    wait_until(lambda: driver.poll() is not None or moment(), what="the driver's work", timeout_seconds=150)
    driver.kill()
    driver.wait()
    wait_until(lambda: not stage.workers(), what="the end of a dead driver's workers")
    return NUM_NODES


def _extract_and_hurt(stage: Stage, fault: str | None, chance: random.Random, output: str) -> int:
    """Extract in this process while another thread does `fault`; how many workers it ended."""
    from choreai.errors import StorageError

    num_hurt, over = [], threading.Event()
    moments = [_moment(stage, chance) for _ in range(3 if fault == "3 workers killed" else 1)]
    victim = chance.randrange(NUM_NODES)

    def hurt() -> None:
        for moment in moments:
            while not (moment() and stage.workers()):
                if over.wait(0.01):
                    return
            _hurt(stage, fault or "", victim)
            num_hurt.append(1)

    thread = threading.Thread(target=hurt)
    if fault:
        thread.start()
    try:
        extract(stage.catalog, output, stage.cluster.address)
    except StorageError:
        pass  # the store failed for good: the next run goes on
    finally:
        over.set()
        if fault:
            thread.join()
    return len(num_hurt)


def _hurt(stage: Stage, fault: str, victim: int) -> None:
    if "killed" in fault:
        workers = stage.workers()
        try:
            workers[victim % len(workers)].kill()
        except (psutil.NoSuchProcess, ZeroDivisionError):  # it ended by itself just now
            pass
        return
    node = stage.nodes.pop(victim)
    if fault == "node drained":
        drain(stage.cluster.address, node.node_id, deadline_seconds=3)
        threading.Event().wait(3)
    stage.cluster.remove_node(node, allow_graceful=fault == "node drained")


def drain(address: str, node_id: str, *, deadline_seconds: float) -> None:
    """What `ray drain-node` and a SIGTERM for `ray start --block` do."""
    from ray._raylet import GcsClient
    from ray.core.generated import autoscaler_pb2

    deadline = int((time.time() + deadline_seconds) * 1000)
    accepted, why = GcsClient(address=address).drain_node(
        node_id, autoscaler_pb2.DRAIN_NODE_REASON_PREEMPTION, "chaos", deadline
    )
    assert accepted, why


def one_run(stage: Stage, number: int, fault: str, chance: random.Random, expected: dict[str, pa.Table]) -> Result:
    started, output = time.monotonic(), f"s3://chaos/run-{number}"
    stage.clear_ledger()
    num_faults, num_lost = disturb(stage, fault, chance, output)
    stage.heal()
    summary = extract(stage.catalog, output, stage.cluster.address)
    equal = tables_equal(output, expected) and not summary.num_failed
    again = extract(stage.catalog, output, stage.cluster.address)
    rework = (stage.num_frames_estimated() - NUM_FRAMES) / FRAMES_PER_SHARD
    return Result(
        fault, num_faults, num_lost, summary.num_done_before, rework, equal and not again.num_videos,
        time.monotonic() - started,
    )  # fmt: skip


def tables_equal(output: str, expected: dict[str, pa.Table]) -> bool:
    return all(read_table(output, name).equals(table) for name, table in expected.items())


def read_table(output: str, name: str) -> pa.Table:
    table = read_whole(output, name)
    return table.select(SAME) if name == "videos" else table


def run_all(seed: int, faults: tuple[str, ...]) -> list[Result]:
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        stage = Stage(Path(folder))
        try:
            import ray

            ray.init(address=stage.cluster.address, log_to_driver=False, logging_level="ERROR")
            undisturbed = "s3://chaos/undisturbed"
            extract(stage.catalog, undisturbed, stage.cluster.address)
            assert stage.num_frames_estimated() == NUM_FRAMES
            expected = {name: read_table(undisturbed, name) for name in ("keypoints", "videos")}
            assert expected["keypoints"].num_rows == NUM_FRAMES
            results = []
            for number, fault in enumerate(faults):
                chance = random.Random(f"{seed}-{number}")
                results.append(one_run(stage, number, fault, chance, expected))
                print(f"run {number}: {results[-1]}", file=sys.stderr, flush=True)
            return results
        finally:
            stage.close()


def is_good(result: Result) -> bool:
    """A lost worker costs the shard it was at, all of it had it come to the commit; a request that fails at most as
    much. A driver takes its workers with it: that counts as one fault each.
    """
    return result.equal and result.rework_shards <= result.num_faults


def print_table(results: list[Result]) -> None:
    print(
        f"{'fault':32} {'runs':>5} {'faults':>7} {'done at 1st':>12} {'rework, shards':>15} {'equal':>6} {'s/run':>6}"
    )
    for fault in dict.fromkeys(result.fault for result in results):
        rows = [result for result in results if result.fault == fault]
        print(
            f"{fault:32} {len(rows):5} {sum(row.num_faults for row in rows):7} "
            f"{mean(row.done_at_first for row in rows) / NUM_CLIPS:11.0%} "
            f"{mean(row.rework_shards for row in rows):6.2f} (<={max(row.rework_shards for row in rows):5.2f}) "
            f"{sum(map(is_good, rows)):3}/{len(rows):<3} {mean(row.seconds for row in rows):5.1f}"
        )
    print(f"{sum(map(is_good, results))} of {len(results)} runs ended with every row once and the same to the last bit")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=108, help="in whole rounds of the faults, and two that stall")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="a few runs, of the faults that differ most")
    parser.add_argument("--driver", nargs=3, metavar=("CATALOG", "OUTPUT", "ADDRESS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.driver:
        extract(*arguments.driver)
        return 0
    faults = SHORT if arguments.short else ROUND * (arguments.runs // len(ROUND)) + ("stall",) * 2
    results = run_all(arguments.seed, faults)
    print_table(results)
    return 0 if all(map(is_good, results)) else 1


if __name__ == "__main__":
    sys.exit(main())
