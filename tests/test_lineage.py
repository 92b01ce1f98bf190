"""OpenLineage: a run's beginning and end, sent to whoever follows it, and nothing where nobody does."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest
from local_server import LocalServer, body_of, reply

from choreai.cluster.lineage import send_event
from choreai.tables.runs import RunManifest


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a server of lineage is sent: path, token, event."""
    got: list[Any] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        got.append((request.path, request.headers.get("Authorization"), json.loads(body_of(request))))
        reply(request, 201)

    server = LocalServer(answer)
    monkeypatch.setenv("OPENLINEAGE_URL", f"{server.address}/")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    yield got
    server.stop()


def manifest(job: str = "tag_catalog") -> RunManifest:
    return RunManifest(
        job, "20261127-020000-abcd", {}, "mediapipe-0123", model_version="lstm-1" if "tag" in job else ""
    )


def test_beginning_and_end_of_a_run_are_events_of_one_run(received, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "secret")
    places = {"catalog": "s3://bucket/catalog.csv", "output": "s3://bucket/dance"}
    send_event("START", manifest(), **places)
    send_event("COMPLETE", manifest(), **places)
    (path, token, start), (_, _, end) = received
    assert (path, token) == ("/api/v1/lineage", "Bearer secret")
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == end["run"]["runId"]
    assert start["job"] == {"namespace": "choreai", "name": "tag_catalog"}
    bucket = {"namespace": "s3://bucket"}
    assert start["inputs"] == [
        {**bucket, "name": "catalog.csv"}, {**bucket, "name": "dance/keypoints/mediapipe-0123"}
    ]  # fmt: skip
    assert start["outputs"] == [{**bucket, "name": "dance/tags/lstm-1"}]
    assert {"eventTime", "producer", "schemaURL"} <= set(start)


def test_a_red_run_says_how_many_videos_are_to_blame(received) -> None:
    run = manifest("extract_poses")
    run.statuses["quarantined"] = 7
    send_event("FAIL", run, catalog="c.csv", output="/data/out")
    ((_, _, event),) = received
    assert event["run"]["facets"]["errorMessage"]["message"].endswith("7 are quarantined")
    assert event["outputs"] == [{"namespace": "file", "name": "/data/out/keypoints/mediapipe-0123"}]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "file:///etc", "nonsense"])
def test_an_event_that_nobody_takes_is_a_warning(address: str, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setenv("OPENLINEAGE_URL", address)
    send_event("START", manifest(), catalog="c.csv", output="/data/out")
    assert "no START event was sent to OPENLINEAGE_URL" in caplog.text
