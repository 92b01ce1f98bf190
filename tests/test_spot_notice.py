"""AWS's two-minute notice reaches Ray: the node drains."""

import os
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import ray
from drivers import wait_until
from local_server import LocalServer, reply

from choreai.cluster import spot_notice
from choreai.cluster.draining import draining_nodes


@pytest.fixture
def metadata():
    """Gives the address of a metadata service with these answers about the spot request, the last for ever."""
    answers: list[int] = []

    def reply_to(request: BaseHTTPRequestHandler) -> None:
        if request.command == "PUT":
            return reply(request, 200, b"secret")
        if request.headers["X-aws-ec2-metadata-token"] != "secret":
            return reply(request, 401)
        status = answers.pop(0) if len(answers) > 1 else answers[0]
        return reply(request, status, b'{"action": "terminate", "time": "2026-11-22T08:22:00Z"}')

    with LocalServer(reply_to) as server:

        def answer(*statuses: int) -> str:
            answers[:] = statuses
            return server.address

        yield answer


def test_a_notice_is_told_from_its_absence_and_from_a_service_that_fails(metadata) -> None:
    assert [spot_notice.has_notice(metadata(status)) for status in (404, 200, 500)] == [False, True, False]
    assert not spot_notice.has_notice("http://127.0.0.1:9")


@pytest.mark.ray
def test_a_notice_makes_ray_drain_the_node_it_came_to(metadata, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spot_notice, "POLL_SECONDS", 0.05)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")  # as in the image
    context = ray.init(
        address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
        object_store_memory=100_000_000,
    )  # fmt: skip
    try:
        monkeypatch.setenv("RAY_ADDRESS", context.address_info["gcs_address"])
        assert draining_nodes() == set()
        assert spot_notice.main(metadata(404, 404, 200)) == 0
        node_id = context.address_info["node_id"]
        wait_until(
            lambda: node_id in draining_nodes() or not ray.nodes()[0]["Alive"],
            what="the node to drain",
        )
    finally:
        ray.shutdown()
