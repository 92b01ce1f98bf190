"""Uploads: from a file to a result that can be shared, within limits, and with nothing left behind."""

import io
import json
import os
import socket
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import requests
from clips import numbered, write_clip
from web_server import DancerEstimator, RunningServer, running_server, wait_until

from choreai.tables import schemas
from choreai.tables.keypoints import sequence_of
from choreai.video.decode import VideoReader
from choreai.web import upload_routes
from choreai.web.settings import WebSettings
from choreai.web.upload_files import RESULT_NAMES, write_status
from choreai.web.uploads import UploadFolder, clean_name

VIDEO = {"Content-Type": "video/mp4"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Five seconds."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_clip(path, num_frames=50, frames_per_second=10, paint=lambda _: numbered(1)).read_bytes()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("web")) as running:
        yield running


def upload(server: RunningServer, data: bytes, *, name: str = "dance.mp4", headers: dict[str, str] | None = None):
    return requests.post(
        server.url + "/v1/classify", params={"name": name}, data=data, headers=headers or VIDEO, timeout=30
    )


def finished(server: RunningServer, accepted: requests.Response) -> dict:
    """The clip's status once it is done or failed."""
    assert accepted.status_code == 202, accepted.text
    status: dict = {}

    def is_over() -> bool:
        status.update(requests.get(server.url + accepted.json()["url"], timeout=10).json())
        return status["state"] in ("done", "failed")

    wait_until(is_over, "the clip", seconds=60)
    return status


def test_an_upload_becomes_a_result_with_its_files_and_the_upload_is_gone(server, clip) -> None:
    accepted = upload(server, clip)
    assert accepted.headers["Location"] == accepted.json()["url"]
    status = finished(server, accepted)
    assert (status["state"], status["progress"], status["name"]) == ("done", 1.0, "dance.mp4")
    tag = status["result"]["tag"]
    assert tag["style"] == "clockwise"
    assert tag["segments"][0]["style"] == "clockwise"
    folder = status["video_id"]
    expected = sorted({*RESULT_NAMES, "status.json"})
    wait_until(lambda: [f.split("/")[1] for f in server.upload_files() if f.startswith(folder)] == expected, "tidiness")
    for name in expected:
        if name != "status.json":
            answer = requests.get(f"{server.url}/v1/videos/{folder}/{name}", timeout=10)
            assert answer.status_code == 200, name
    assert requests.get(f"{server.url}/v1/videos/{folder}/upload", timeout=10).status_code == 404
    assert requests.get(f"{server.url}/v1/videos/{folder}/status.json", timeout=10).status_code == 404


def test_the_tag_is_there_while_the_video_is_still_drawn(tmp_path: Path) -> None:
    uploads = UploadFolder(WebSettings(data_folder=str(tmp_path)))
    folder = tmp_path / "clips" / ("x" * 22)
    folder.mkdir()
    write_status(folder, state="working", name="dance.mp4", progress=0.5)
    assert uploads.status(folder.name).result is None
    (folder / "tag.json").write_text('{"tag": {"style": "salsa"}}')
    assert uploads.status(folder.name).result == {"tag": {"style": "salsa"}}


def test_warming_up_leaves_nothing_behind(server) -> None:
    before = server.upload_files()
    server.backend._worker.warm_up()
    assert server.upload_files() == before


def test_what_is_odd_about_an_upload_is_said(server, tmp_path: Path) -> None:
    path = tmp_path / "wide.mp4"
    write_clip(path, num_frames=20, frames_per_second=10, pixel_aspect=Fraction(64, 45), paint=lambda _: numbered(1))
    result = finished(server, upload(server, path.read_bytes()))["result"]
    assert result["input_quality"] == ["pixels 1.42 times as wide as high; corrected"]
    assert (result["width"], result["height"]) == (91, 48)


def test_the_keypoints_can_be_downloaded_as_the_table_that_the_jobs_write(server, clip) -> None:
    status = finished(server, upload(server, clip))
    data = requests.get(f"{server.url}/v1/videos/{status['video_id']}/keypoints.parquet", timeout=10).content
    table = pq.read_table(io.BytesIO(data))
    schemas.check_schema(table.schema, schemas.KEYPOINTS, uri="download")
    rows = sequence_of(table)
    assert len(rows) == 50
    np.testing.assert_array_equal(rows.keypoints_xy, DancerEstimator()._poses[:50])


def test_the_annotated_video_plays_and_can_be_asked_for_in_parts(server, clip) -> None:
    status = finished(server, upload(server, clip))
    url = f"{server.url}/v1/videos/{status['video_id']}/annotated.mp4"
    whole = requests.get(url, timeout=10)
    with VideoReader(io.BytesIO(whole.content), uri="annotated") as reader:
        assert len(list(reader.frames())) == 50
    part = requests.get(url, headers={"Range": "bytes=10-19"}, timeout=10)
    assert (part.status_code, part.content) == (206, whole.content[10:20])


@pytest.mark.parametrize(
    ("data", "headers", "status", "detail"),
    [
        (b"x", {"Content-Type": "text/html"}, 415, "video"),
        (b"x", {}, 415, "video"),
        (b"x", {**VIDEO, "Content-Encoding": "gzip"}, 415, "compressed"),
        (b"", VIDEO, 400, "empty"),
        (iter([b"chunk", b"chunk"]), VIDEO, 411, "Content-Length"),
    ],
    ids=["html", "no type", "gzip", "empty", "no length"],
)
def test_what_is_no_upload_is_refused_before_anything_is_kept(server, data, headers, status, detail) -> None:
    before = server.upload_files()
    answer = upload(server, data, headers=headers or {"Content-Type": ""})
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert detail in answer.json()["detail"]
    assert server.upload_files() == before


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda clip: clip[: len(clip) // 3], "moov"),
        (lambda clip: b"\x89PNG" + clip, "still image"),
        (lambda clip: b"<html>not found</html>", "text"),
        (lambda clip: os.urandom(5000), "not a supported video container"),
        (lambda clip: b"PK\x03\x04" + bytes(100_000), "not a supported video container"),
    ],
    ids=["cut short", "picture", "text", "noise", "zip"],
)
def test_a_file_that_is_no_video_fails_with_a_reason_a_person_understands(server, clip, make, reason) -> None:
    status = finished(server, upload(server, make(clip), name="broken.mp4"))
    assert status["state"] == "failed"
    assert reason in status["detail"]
    assert str(server.settings.data_folder) not in json.dumps(status)
    files = [file.split("/")[1] for file in server.upload_files() if file.startswith(status["video_id"])]
    assert files == ["status.json"]


def test_limits_of_size_length_and_picture_are_kept(tmp_path: Path, clip) -> None:
    large = write_clip(tmp_path / "large.mp4", num_frames=5, size_wh=(320, 240)).read_bytes()
    settings: dict[str, Any] = {
        "max_upload_bytes": len(clip) + 100,
        "max_upload_seconds": 2.0,
        "max_upload_pixels": 64 * 48,
    }
    with running_server(tmp_path / "web", **settings) as server:
        too_large = upload(server, clip + bytes(101))
        assert too_large.status_code == 413
        assert "too long" in finished(server, upload(server, clip))["detail"]
        assert "too large" in finished(server, upload(server, large[: len(clip) + 100]))["detail"]


def test_a_video_that_does_not_say_how_long_it_is_is_stopped_at_the_limit(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "x.mkv", num_frames=60, frames_per_second=10, container_options={"live": "1"})
    with path.open("rb") as file, VideoReader(file, uri="x") as reader:
        assert reader.info.duration_seconds is None
    with running_server(tmp_path / "web", max_upload_seconds=3.0) as server:
        status = finished(server, upload(server, path.read_bytes()))
    assert status["state"] == "failed"
    assert "longer than 3 s" in status["detail"]


def test_a_clip_that_takes_too_long_is_given_up(tmp_path: Path, clip) -> None:
    def slow() -> DancerEstimator:
        return DancerEstimator(seconds=0.2)

    with running_server(tmp_path, build_estimator=slow, work_seconds=0.5) as server:
        status = finished(server, upload(server, clip))
    assert status["state"] == "failed"
    assert "took longer" in status["detail"]


def test_a_client_has_so_many_uploads_at_a_time_and_no_more(tmp_path: Path, clip) -> None:
    def slow() -> DancerEstimator:
        return DancerEstimator(seconds=0.03)

    with running_server(tmp_path, build_estimator=slow, max_uploads_per_client=2) as server:
        first, second, third = (upload(server, clip) for _ in range(3))
        assert third.status_code == 429
        assert third.headers["Retry-After"]
        assert [finished(server, each)["state"] for each in (first, second)] == ["done", "done"]
        wait_until(lambda: upload(server, clip).status_code == 202, "a place to be free")


def test_an_upload_that_comes_for_too_long_makes_room_where_no_place_is_free(tmp_path: Path, clip, monkeypatch) -> None:
    monkeypatch.setattr(upload_routes, "FAIR_SECONDS", 0.5)
    with running_server(tmp_path, max_uploads=2, max_uploads_per_client=1) as server:
        first, second = (begin_upload(server, clip, address=f"127.0.0.{number}") for number in (2, 3))
        wait_until(lambda: len(server.upload_files()) == 2, "both uploads to begin")
        assert upload(server, clip).status_code == 503
        time.sleep(0.6)
        assert upload(server, clip).status_code == 202
        assert b"the server is full" in first.recv(65536)
        second.sendall(clip[100:])  # as long, but nobody needs its place
        assert second.recv(65536).startswith(b"HTTP/1.1 202 ")
        first.close()
        second.close()


def begin_upload(server: RunningServer, clip: bytes, *, address: str) -> socket.socket:
    """Send the first 100 bytes of an upload from an address of this machine."""
    client = socket.create_connection(("127.0.0.1", server.port), timeout=10, source_address=(address, 0))
    head = f"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\nContent-Length: {len(clip)}"
    client.sendall(f"{head}\r\n\r\n".encode() + clip[:100])
    return client


def test_an_upload_that_breaks_off_leaves_nothing(server) -> None:
    before = server.upload_files()
    with socket.create_connection(("127.0.0.1", server.port)) as client:
        client.sendall(
            b"POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Type: video/mp4\r\n"
            b"Content-Length: 100000\r\n\r\n" + bytes(5000)
        )
        wait_until(lambda: len(server.upload_files()) == len(before) + 1, "the upload to begin")
    wait_until(lambda: server.upload_files() == before, "the upload to be gone")


def test_an_unknown_id_and_a_foreign_file_name_are_not_found(server, clip) -> None:
    status = finished(server, upload(server, clip))
    for path in ("0" * 22, "x", f"{status['video_id']}/passwd", f"{status['video_id']}/..%2fstatus.json"):
        answer = requests.get(f"{server.url}/v1/videos/{path}", timeout=10)
        assert answer.status_code == 404, path


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("dance.mp4", "dance.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\videos\\dance.mp4", "dance.mp4"),
        ("a\x00b\nc\u202e.mp4", "abc.mp4"),
        ("", "video"),
        ("../", "video"),
        ("x" * 200, "x" * 80),
    ],
)
def test_a_name_is_shown_without_path_or_tricks(given, shown) -> None:
    assert clean_name(given) == shown


def test_results_expire_and_what_a_killed_server_left_is_swept(tmp_path: Path) -> None:
    clips = UploadFolder(WebSettings(data_folder=str(tmp_path), keep_hours=1.0, max_results=3))
    root = tmp_path / "clips"
    for number, age_hours in enumerate((0.0, 0.1, 0.2, 0.3, 2.0)):
        _leave(root / f"done-{number}", {"status.json": "{}"}, age_seconds=3600 * age_hours)
    _leave(root / "unfinished", {"status.json": "{}", "upload": "x"}, age_seconds=100)
    _leave(root / "at-work", {"status.json": "{}", "upload": "x"}, age_seconds=100)
    _leave(root / "coming-in", {"upload": "x"}, age_seconds=1)
    clips.sweep(working=frozenset({"at-work"}))
    assert {path.name for path in root.iterdir()} <= {"done-0", "done-1", "done-2", "at-work", "coming-in"}
    assert {"done-0", "at-work", "coming-in"} <= {path.name for path in root.iterdir()}


def _leave(folder: Path, files: dict[str, str], *, age_seconds: float) -> None:
    folder.mkdir()
    then = time.time() - age_seconds
    for name, text in files.items():
        (folder / name).write_text(text)
        os.utime(folder / name, (then, then))
    os.utime(folder, (then, then))
