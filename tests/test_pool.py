"""The elastic pool: every shard answered exactly once, whatever happens to its workers."""

import os
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray

from choreai.cluster.pool import Failure, WorkerPool, WorkerResources
from choreai.errors import ConfigError, StorageError, WorkerError

pytestmark = pytest.mark.ray


@dataclass(frozen=True)
class NumberShard:
    numbers: tuple[int, ...]

    @property
    def shard_id(self) -> str:
        return "-".join(map(str, self.numbers))

    def split_by_video(self) -> list["NumberShard"]:
        return [NumberShard((number,)) for number in self.numbers]


NumberReport = tuple[tuple[int, ...], int, list[int]]
"""The numbers, the worker's process and its GPUs."""


class NumberWorker:
    """Reports a shard's numbers, after the accident that `accidents` names for one of them."""

    def __init__(self, folder: str, *, accidents: dict[int, str], num_expected: int) -> None:
        self._folder, self._accidents, self._num_expected = Path(folder), accidents, num_expected

    def setup(self) -> None:
        if "bad config" in self._accidents.values():
            raise ConfigError("estimator 'nosuch' is not installed")
        if "stop at the start" in self._accidents.values():
            time.sleep(1.0)  # until the driver has heard that it began
            os.kill(os.getpid(), signal.SIGSTOP)

    def process(self, shard: NumberShard) -> NumberReport:
        self._wait_for_others()
        for number in shard.numbers:
            accident = self._accidents.get(number)
            first_time = self._first_time(number)
            if accident == "kill" or (accident == "kill once" and first_time):
                os.kill(os.getpid(), signal.SIGKILL)
            if accident == "stop once" and first_time:
                os.kill(os.getpid(), signal.SIGSTOP)
            if accident == "storage" or (accident == "storage once" and first_time):
                raise StorageError("s3://bucket/key", "503 SlowDown")
            if accident == "bug":
                raise KeyError("bug")
        return shard.numbers, os.getpid(), [int(gpu) for gpu in ray.get_gpu_ids()]

    def _wait_for_others(self) -> None:
        """Return once as many workers as the test wants have got a shard, so that each of them reports."""
        (self._folder / f"pid-{os.getpid()}").touch()
        deadline = time.monotonic() + 60
        while len(list(self._folder.glob("pid-*"))) < self._num_expected and time.monotonic() < deadline:
            time.sleep(0.02)

    def _first_time(self, number: int) -> bool:
        try:
            (self._folder / str(number)).touch(exist_ok=False)
        except FileExistsError:
            return False
        return True


@pytest.fixture(scope="module", autouse=True)
def local_ray():
    ray.init(
        address="local", num_cpus=4, num_gpus=2, include_dashboard=False, log_to_driver=False,
        object_store_memory=100_000_000, logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},  # for the worker class above
    )  # fmt: skip
    yield
    ray.shutdown()


class Clock:
    """A time that passes when the test says so."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def run_numbers(
    tmp_path: Path,
    *,
    num_shards=12,
    size=1,
    accidents=None,
    num_workers=2,
    num_cpus=1.0,
    num_gpus=0.0,
    num_expected=0,
):
    pool: WorkerPool[NumberShard, NumberReport] = WorkerPool(
        NumberWorker,
        str(tmp_path),
        {"accidents": accidents or {}, "num_expected": num_expected},
        num_workers=num_workers,
        resources=WorkerResources(num_cpus=num_cpus, num_gpus=num_gpus),
        narrow=NumberShard.split_by_video,
    )
    shards = (NumberShard(tuple(range(i * size, (i + 1) * size))) for i in range(num_shards))
    outcomes = list(pool.run(shards))
    failures = [outcome for outcome in outcomes if isinstance(outcome, Failure)]
    reports = [outcome for outcome in outcomes if not isinstance(outcome, Failure)]
    return pool, reports, failures


def numbers_of(reports):
    return sorted(number for numbers, _, _ in reports for number in numbers)


def test_every_shard_is_reported_once(tmp_path: Path) -> None:
    _, reports, failures = run_numbers(tmp_path, num_shards=50)
    assert numbers_of(reports) == list(range(50))
    assert failures == []


def test_no_shards_start_no_worker(tmp_path: Path) -> None:
    _, reports, failures = run_numbers(tmp_path, num_shards=0)
    assert (reports, failures) == ([], [])


def test_a_killed_worker_loses_no_shard(tmp_path: Path) -> None:
    accidents = {3: "kill once", 17: "kill once", 29: "kill once"}
    pool, reports, failures = run_numbers(tmp_path, num_shards=30, accidents=accidents)
    assert numbers_of(reports) == list(range(30))
    assert failures == []
    assert pool.num_worker_deaths == 3


def test_a_shard_that_keeps_killing_workers_is_narrowed_to_the_culprit(tmp_path: Path) -> None:
    pool, reports, failures = run_numbers(tmp_path, num_shards=5, size=4, accidents={6: "kill"})
    assert numbers_of(reports) == [n for n in range(20) if n != 6]
    assert [(f.shard.numbers, f.killed_worker) for f in failures] == [((6,), True)]
    # Three for the whole shard and three for the single number; one more if another shard was there the first time.
    assert pool.num_worker_deaths in (6, 7)


def test_a_storage_error_is_tried_again(tmp_path: Path) -> None:
    _, reports, failures = run_numbers(tmp_path, accidents={5: "storage once"})
    assert numbers_of(reports) == list(range(12))
    assert failures == []


@pytest.mark.parametrize("accident", ["storage", "bug"])
def test_a_lasting_error_becomes_a_failure_and_the_rest_completes(tmp_path: Path, accident) -> None:
    _, reports, failures = run_numbers(tmp_path, accidents={5: accident})
    assert numbers_of(reports) == [n for n in range(12) if n != 5]
    assert [(f.shard.numbers, f.killed_worker) for f in failures] == [((5,), False)]
    assert ("SlowDown" if accident == "storage" else "KeyError") in failures[0].reason


def test_an_error_in_setup_ends_the_run_as_itself(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not installed"):
        run_numbers(tmp_path, accidents={0: "bad config"})


def test_each_worker_sees_exactly_its_own_gpu(tmp_path: Path) -> None:
    _, reports, _ = run_numbers(tmp_path, num_workers=2, num_gpus=1.0, num_expected=2)
    gpus_of_worker: dict[int, set[tuple[int, ...]]] = {}
    for _, pid, gpus in reports:
        gpus_of_worker.setdefault(pid, set()).add(tuple(gpus))
    assert sorted(gpus_of_worker.values(), key=str) == [{(0,)}, {(1,)}]


def test_two_workers_share_a_gpu_by_halves(tmp_path: Path) -> None:
    _, reports, _ = run_numbers(tmp_path, num_workers=4, num_gpus=0.5, num_expected=4)
    workers_of_gpu = Counter(gpus[0] for _, gpus in {(pid, tuple(gpus)) for _, pid, gpus in reports})
    assert workers_of_gpu == {0: 2, 1: 2}


def test_a_worker_that_can_never_start_does_not_stall_the_others(tmp_path: Path) -> None:
    started = time.monotonic()
    _, reports, failures = run_numbers(tmp_path, num_workers=5, num_cpus=2.0)  # the cluster has room for two
    assert numbers_of(reports) == list(range(12))
    assert failures == []
    assert time.monotonic() - started < 60


def test_gpus_are_free_again_after_a_run(tmp_path: Path) -> None:
    run_numbers(tmp_path, num_workers=2, num_gpus=1.0)
    deadline = time.monotonic() + 30
    while ray.available_resources().get("GPU", 0.0) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources().get("GPU") == 2


def test_from_the_stop_on_nothing_is_handed_out_and_what_is_in_flight_finishes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("choreai.cluster.pool.time", clock)
    pool: WorkerPool[NumberShard, NumberReport] = WorkerPool(
        NumberWorker, str(tmp_path), {"accidents": {}, "num_expected": 0}, num_workers=1, resources=WorkerResources(),
        narrow=NumberShard.split_by_video, stop_at=10.0,
    )  # fmt: skip
    planned = []

    def shards():
        for number in range(50):
            planned.append(number)
            yield NumberShard((number,))

    outcomes = pool.run(shards())
    reports = [next(outcomes)]
    clock.now = 10.0
    reports += outcomes
    assert numbers_of(reports) == [0, 1]  # the second was waiting at the worker
    assert len(planned) < 50


def test_a_run_that_is_out_of_time_at_its_start_starts_no_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("choreai.cluster.pool.ray.wait", None)
    pool: WorkerPool[NumberShard, NumberReport] = WorkerPool(
        NumberWorker, str(tmp_path), {}, num_workers=1, resources=WorkerResources(), narrow=NumberShard.split_by_video,
        stop_at=0.0,
    )  # fmt: skip
    assert list(pool.run(iter([NumberShard((1,))]))) == []


def test_a_worker_that_was_stopped_is_noticed_by_the_drivers_clock(tmp_path: Path) -> None:
    pool: WorkerPool[NumberShard, NumberReport] = WorkerPool(
        NumberWorker, str(tmp_path), {"accidents": {2: "stop once"}, "num_expected": 0}, num_workers=1,
        resources=WorkerResources(num_cpus=1), narrow=NumberShard.split_by_video, max_silent_seconds=3.0,
    )  # fmt: skip
    started = time.monotonic()
    outcomes = list(pool.run(iter([NumberShard((1,)), NumberShard((2,)), NumberShard((3,))])))
    assert sorted(report[0] for report in outcomes if not isinstance(report, Failure)) == [(1,), (2,), (3,)]
    assert pool.num_worker_deaths == 1
    assert time.monotonic() - started < 60


def test_a_driver_that_was_busy_does_not_take_its_own_silence_for_the_workers(tmp_path: Path) -> None:
    pool: WorkerPool[NumberShard, NumberReport] = WorkerPool(
        NumberWorker, str(tmp_path), {"accidents": {}, "num_expected": 0}, num_workers=1, resources=WorkerResources(),
        narrow=NumberShard.split_by_video, max_silent_seconds=2.0,
    )  # fmt: skip
    outcomes = pool.run(NumberShard((number,)) for number in range(8))
    reports = [next(outcomes)]
    time.sleep(3.0)  # the store lets the driver wait, for one
    reports += outcomes
    assert numbers_of(reports) == list(range(8))
    assert pool.num_worker_deaths == 0


def test_workers_that_hang_at_their_start_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreai.cluster.pool.MAX_START_SECONDS", 1.0)
    monkeypatch.setattr("choreai.cluster.pool.MAX_DEAD_STARTS", 1)
    with pytest.raises(WorkerError, match=r"did not answer for .* while loading its weights"):
        run_numbers(tmp_path, accidents={0: "stop at the start"}, num_workers=1)
