"""run_shards: each outcome is counted once, in the summary and in the metrics, whatever the worker class."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray

from choreai.catalog.catalog import Video
from choreai.cluster.pool import Failure, WorkerResources
from choreai.config import ExtractConfig, WorkerSettings
from choreai.errors import StorageError
from choreai.pipeline.execution import run_shards
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest

pytestmark = pytest.mark.ray


@dataclass(frozen=True)
class NamedShard:
    """A shard whose name says what happens to it."""

    shard_id: str

    @property
    def videos(self) -> tuple[Video, ...]:
        return (Video(self.shard_id, f"{self.shard_id}.mp4", "c"),)


def report_of(shard_id: str, status: str) -> ShardReport:
    return ShardReport(shard_id, True, {status: 1}, (), 8, 8, 0.1, 1, "host:1")


class MoodyWorker:
    def __init__(self, output: str) -> None:
        pass

    def setup(self) -> None:
        pass

    def process(self, shard: NamedShard) -> ShardReport:
        if shard.shard_id == "refused":
            raise StorageError("s3://bucket/key", "503")
        if shard.shard_id == "deadly":
            os._exit(1)
        return report_of(shard.shard_id, "ok")


@pytest.fixture(scope="module")
def local_ray():
    ray.init(
        address="local", num_cpus=2, include_dashboard=False, log_to_driver=False,
        object_store_memory=100_000_000, logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": str(Path(__file__).parent)}},  # for the worker class
    )  # fmt: skip
    yield
    ray.shutdown()


def run_named(tmp_path: Path, *names: str, **how: Any) -> RunManifest:
    config = ExtractConfig("catalog.csv", str(tmp_path), workers=WorkerSettings(num_workers=1))
    summary = RunManifest("extract_poses", "run", {"max_failed_fraction": 0.2}, "fp")
    run_shards(
        (NamedShard(name) for name in names),
        worker=MoodyWorker, worker_settings={}, resources=WorkerResources(), narrow=lambda shard: [shard],
        config=config, summary=summary, title="testing", num_videos=len(names), **how,
    )  # fmt: skip
    return summary


@pytest.mark.usefixtures("local_ray")
def test_reports_are_added_up_and_a_shard_that_is_refused_counts_as_unfinished(tmp_path: Path) -> None:
    summary = run_named(tmp_path, "a", "refused", "b")
    assert dict(summary.statuses) == {"ok": 2}
    assert (summary.num_failed, summary.num_frames, summary.num_worker_deaths) == (1, 16, 0)
    assert summary.problems == [("refused", "StorageError: s3://bucket/key: 503")]
    assert summary.wall_seconds > 0


@pytest.mark.usefixtures("local_ray")
def test_a_shard_that_kills_its_workers_is_quarantined_where_the_job_can_do_that(tmp_path: Path) -> None:
    failures: list[Failure[NamedShard]] = []

    def quarantine(failure: Failure[NamedShard]) -> ShardReport:
        failures.append(failure)
        return report_of(failure.shard.shard_id, "quarantined")

    summary = run_named(tmp_path, "a", "deadly", quarantine=quarantine)
    assert dict(summary.statuses) == {"ok": 1, "quarantined": 1}
    assert (summary.num_failed, summary.num_worker_deaths) == (0, 3)
    assert [(each.shard.shard_id, each.error_class) for each in failures] == [("deadly", "WorkerDied")]


@pytest.mark.usefixtures("local_ray")
def test_without_a_quarantine_a_deadly_shard_counts_as_unfinished(tmp_path: Path) -> None:
    summary = run_named(tmp_path, "a", "deadly")
    assert (dict(summary.statuses), summary.num_failed) == ({"ok": 1}, 1)


@pytest.mark.usefixtures("local_ray")
def test_when_the_time_is_up_no_shard_is_handed_out(tmp_path: Path) -> None:
    assert run_named(tmp_path, "a", "b", until=0.0).num_videos == 0
