"""A node that is about to go gets no new shards and loses none."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray
from chaos import drain
from ray.cluster_utils import Cluster

from choreai.cluster.draining import draining_nodes
from choreai.cluster.market import MARKET_LABEL, ON_DEMAND, SPOT
from choreai.cluster.pool import WorkerPool, WorkerResources

pytestmark = pytest.mark.ray
NUM_SHARDS, SHARD_SECONDS = 60, 0.4


@dataclass(frozen=True)
class SlowShard:
    shard_id: str


class SlowWorker:
    """Says where it ran which shard, after a while."""

    def __init__(self, output: str) -> None:
        pass

    def setup(self) -> None:
        pass

    def process(self, shard: SlowShard) -> tuple[str, str, int]:
        time.sleep(SHARD_SECONDS)
        return shard.shard_id, ray.get_runtime_context().get_node_id(), os.getpid()


@pytest.fixture(scope="module")
def cluster():
    """A head that works nothing and two nodes; the last test takes one away."""
    environment = pytest.MonkeyPatch()
    environment.setenv("PYTHONPATH", str(Path(__file__).parent))  # for the worker class
    started = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    for _ in range(2):
        started.add_node(num_cpus=1, object_store_memory=80_000_000)
    ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
    yield started
    ray.shutdown()
    started.shutdown()
    environment.undo()


def test_a_cluster_that_loses_no_node_has_none_draining(cluster) -> None:
    """Fails as soon as Ray renames the private state that `draining_nodes` reads."""
    assert draining_nodes() == set()


def test_workers_without_a_spot_node_take_on_demand_and_go_back(cluster, caplog: pytest.LogCaptureFixture) -> None:
    """The nodes there are say of no market, so no worker runs on them."""
    pool: WorkerPool[SlowShard, tuple[str, str, int]] = WorkerPool(
        SlowWorker, "", {}, num_workers=1, resources=WorkerResources(spot_patience_seconds=1.0),
        narrow=lambda shard: [shard],
    )  # fmt: skip
    nodes: dict[str, str] = {}

    def add_nodes() -> None:
        if "asking for on-demand" in caplog.text and ON_DEMAND not in nodes:
            nodes[ON_DEMAND] = _add_node(cluster, ON_DEMAND)
        if len(places) >= 2 and SPOT not in nodes:
            nodes[SPOT] = _add_node(cluster, SPOT)

    def shards() -> Iterator[SlowShard]:
        while places.count(nodes.get(SPOT, "")) < 5:
            yield SlowShard(f"{len(places):03d}-{time.monotonic()}")

    places: list[str] = []
    pool.on_round = add_nodes
    for report in pool.run(shards()):
        assert isinstance(report, tuple)
        places.append(report[1])
    assert set(places) == set(nodes.values())
    assert places[0] == nodes[ON_DEMAND]
    change = places.index(nodes[SPOT])
    assert set(places[change + 2 :]) == {nodes[SPOT]}, "the worker on the on-demand node left after its shards"
    assert pool.num_worker_deaths == 0


def _add_node(cluster, market: str) -> str:
    return cluster.add_node(num_cpus=1, object_store_memory=80_000_000, labels={MARKET_LABEL: market}).node_id


def test_a_draining_node_finishes_its_shard_and_gets_no_other(cluster) -> None:
    pool: WorkerPool[SlowShard, tuple[str, str, int]] = WorkerPool(
        SlowWorker, "", {}, num_workers=2, resources=WorkerResources(), narrow=lambda shard: [shard]
    )
    shards = (SlowShard(f"{number:02d}") for number in range(NUM_SHARDS))
    reports, going, at_notice = [], None, 0
    for report in pool.run(shards):
        assert isinstance(report, tuple)
        reports.append(report)
        places = Counter(node_id for _, node_id, _ in reports)
        if going is None and len(places) == 2 and min(places.values()) >= 2:
            going = report[1]
            at_notice = places[going]
            drain(cluster.address, going, deadline_seconds=300)
    assert going is not None, "both nodes should have worked"
    assert sorted(shard_id for shard_id, _, _ in reports) == [f"{number:02d}" for number in range(NUM_SHARDS)]
    assert pool.num_worker_deaths == 0  # nothing was lost or done again
    # The one or two it held, and what the pool handed it before it asked Ray again: of 60 shards a handful.
    after = Counter(node_id for _, node_id, _ in reports)[going] - at_notice
    assert after <= 2 + 2.0 / SHARD_SECONDS + 2
    assert after < (NUM_SHARDS - 4) / 3
