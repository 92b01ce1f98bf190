"""AWS's two-minute notice reaches Ray: the node drains."""

import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import ray
from drivers import wait_until

from choreai.cluster import spot_notice
from choreai.cluster.draining import draining_nodes


class _Metadata(BaseHTTPRequestHandler):
    """The instance metadata service; `answers` are its replies about the spot request, the last one for ever."""

    answers: list[int]

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_PUT(self) -> None:
        self._reply(200, b"secret")

    def do_GET(self) -> None:
        if self.headers["X-aws-ec2-metadata-token"] != "secret":
            return self._reply(401, b"")
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return self._reply(status, b'{"action": "terminate", "time": "2026-11-22T08:22:00Z"}')

    def _reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def metadata():
    """The address of a metadata service that gives the answers it is told."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def answer(*statuses: int) -> str:
        _Metadata.answers = list(statuses)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield answer
    server.shutdown()
    server.server_close()


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
