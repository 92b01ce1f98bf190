"""The connection to Ray: what a local one of ours hands down to its workers."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from choreai.cluster.limits import WORKER_ENVIRONMENT
from choreai.cluster.pool import WorkerPool, WorkerResources
from choreai.cluster.session import connect, disconnect, disconnect_meanwhile, is_connected


@dataclass(frozen=True)
class AnyShard:
    shard_id: str


class EnvironmentWorker:
    """Answers with its environment."""

    def __init__(self, output: str) -> None:
        pass

    def setup(self) -> None:
        pass

    def process(self, shard: object) -> dict[str, str]:
        return dict(os.environ)


@pytest.mark.ray
def test_a_local_ray_of_ours_has_the_workers_environment_and_this_process_has_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    paths = [str(Path(__file__).parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))  # for the worker class
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    session = connect()
    try:
        assert session.has_environment
        assert connect() == session
        assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
        assert "MALLOC_ARENA_MAX" not in os.environ
        pool: WorkerPool[AnyShard, Mapping[str, str]] = WorkerPool(
            EnvironmentWorker, "", {}, num_workers=1, resources=WorkerResources(), narrow=lambda shard: [shard],
            has_environment=session.has_environment,
        )  # fmt: skip
        (found,) = pool.run(iter([AnyShard("a")]))
    finally:
        disconnect_meanwhile()
        disconnect()  # waits for it
    assert not is_connected()
    disconnect_meanwhile()  # nothing is left to end
    assert isinstance(found, dict)
    assert {name: found[name] for name in WORKER_ENVIRONMENT} == WORKER_ENVIRONMENT
