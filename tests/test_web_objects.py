"""Videos of a catalog at https:// addresses: read by ranges, never from a private network, and never written."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pyarrow as pa
import pytest
from local_server import LocalServer, reply
from tiny_poses import TinyWorker, write_clips

from choreai.catalog.allowed_roots import is_outside
from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.catalog.shards import pending_videos, plan_shards
from choreai.errors import ConfigError, ObjectForbiddenError, ObjectMissingError, ObjectUnusableError
from choreai.pose.settings import PoseSettings
from choreai.storage import objects, web
from choreai.tables import schemas


class Site:
    """A web server whose answers a test chooses."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.etag: str | None = '"v1"'
        self.modified: str | None = "Fri, 27 Nov 2026 20:00:00 GMT"
        self.gives_ranges = True
        self.status: int | None = None
        self.num_requests = 0
        self._server = LocalServer(self._answer)
        self.address, self.stop = self._server.address, self._server.stop

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        self.num_requests += 1
        body = self.files.get(request.path)
        status = self.status or (200 if body is not None else 404)
        span = request.headers.get("Range", "").removeprefix("bytes=")
        headers = {"ETag": self.etag, "Last-Modified": self.modified, "Content-Type": "video/mp4"}
        if status == 200 and body is not None and span and self.gives_ranges:
            start, stop = (int(place) for place in span.split("-"))
            headers["Content-Range"] = f"bytes {start}-{min(stop, len(body) - 1)}/{len(body)}"
            status, body = (206, body[start : stop + 1]) if start < len(body) else (416, b"")
        reply(request, status, body or b"", {name: value for name, value in headers.items() if value is not None})


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv(web.ALLOW_PRIVATE, "1")
    monkeypatch.setattr(web, "_PAUSE_SECONDS", 0.0)
    site = Site()
    yield site
    site.stop()


def test_videos_of_a_catalog_are_read_from_their_addresses(site: Site, tmp_path: Path) -> None:
    write_clips(tmp_path, [0])
    site.files["/clips/0.mp4"] = (tmp_path / "0.mp4").read_bytes()
    (tmp_path / "c.csv").write_text(f"video_id,uri\na,{site.address}/clips/0.mp4\ngone,{site.address}/clips/1.mp4\n")
    catalog = with_content_ids(read_catalog(str(tmp_path / "c.csv")))
    pending = pending_videos(catalog, schemas.VIDEOS.empty_table(), retry_quarantined=False)
    (shard,) = plan_shards(pending.videos, videos_per_shard=2, pose_fingerprint="tiny")
    worker = TinyWorker(str(tmp_path / "out"), settings=PoseSettings(), pose_fingerprint="tiny", run_id="run")
    worker.setup()
    assert worker.process(shard).statuses == {"ok": 1, "quarantined": 1}


def test_parts_of_a_file_are_read_where_they_are(site: Site) -> None:
    site.files["/a.mp4"] = bytes(range(256)) * 100_000
    with objects.open_object(f"{site.address}/a.mp4") as file:
        file.seek(20_000_001)
        assert file.read(3) == bytes([1, 2, 3])
        assert site.num_requests == 2
        file.seek(-2, 2)
        assert file.read() == bytes([254, 255])


@pytest.mark.parametrize(("etag", "version"), [('W/"7"', "7"), (None, "5-Fri, 27 Nov 2026 20:00:00 GMT")])
def test_the_version_is_the_etag_or_else_size_and_date(site: Site, etag: str | None, version: str) -> None:
    site.files["/a.mp4"], site.etag = b"dance", etag
    info = objects.stat_object(f"{site.address}/a.mp4")
    assert info is not None
    assert (info.size, info.content_id, info.modified_seconds) == (5, version, 1795809600.0)


def test_bytes_that_change_while_they_are_read_are_no_mix(site: Site) -> None:
    site.files["/a.mp4"] = b"1" * (5 << 20)
    with objects.open_object(f"{site.address}/a.mp4") as file:
        file.read(1)
        site.etag = '"v2"'
        with pytest.raises(ObjectUnusableError, match="changed while it was being read"):
            file.read(5 << 20)


def test_a_server_that_cannot_be_used_is_said_to_be_so(site: Site) -> None:
    site.files["/a.mp4"], uri = b"dance", f"{site.address}/a.mp4"
    site.gives_ranges = False
    with pytest.raises(ObjectUnusableError, match=r"gives no parts of files.*download it"):
        objects.stat_object(uri)
    site.gives_ranges, site.etag, site.modified = True, None, None
    with pytest.raises(ObjectUnusableError, match="neither ETag nor Last-Modified"):
        objects.stat_object(uri)
    site.files["/a.mp4"] = b""
    with pytest.raises(ObjectUnusableError, match="is empty"):
        objects.stat_object(uri)


def test_a_refusal_a_missing_file_and_a_broken_server_are_each_that_videos_fault(site: Site) -> None:
    site.files["/a.mp4"], uri = b"dance", f"{site.address}/a.mp4"
    assert objects.stat_object(f"{site.address}/b.mp4") is None
    with pytest.raises(ObjectMissingError):
        objects.open_object(f"{site.address}/b.mp4")
    site.status = 403
    with pytest.raises(ObjectForbiddenError, match=r"refuses it \(403\)"):
        objects.stat_object(uri)
    site.status, site.num_requests = 503, 0
    with pytest.raises(ObjectUnusableError, match="answered 503"):
        objects.stat_object(uri)
    assert site.num_requests == 3


def test_an_address_of_the_private_network_is_not_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(web.ALLOW_PRIVATE)
    with pytest.raises(ObjectUnusableError, match=r"an address of this machine .*; CHOREAI_ALLOW_PRIVATE_ADDRESSES=1"):
        objects.stat_object(f"{site.address}/a.mp4")
    assert site.num_requests == 0


@pytest.mark.parametrize("path", ["/clips/../secret.mp4", "/clips/%2E%2e/secret.mp4", "/./a.mp4"])
def test_an_address_does_not_climb_out_of_its_allowed_root(site: Site, path: str) -> None:
    with pytest.raises(ObjectUnusableError, match="in its path"):
        objects.stat_object(f"{site.address}{path}")
    assert site.num_requests == 0


def test_allowed_roots_hold_for_addresses_and_buckets() -> None:
    uris = pa.array(["https://ours.org/a/1.mp4", "https://ours.org.evil.net/1.mp4", "gs://bucket/a", "gs://bucket2/a"])
    roots = ["https://ours.org/", "gs://bucket"]
    assert is_outside(uris, roots).to_pylist() == [False, True, False, True]


def test_an_address_is_not_written_listed_or_deleted() -> None:
    for attempt in (
        objects.delete_object,
        lambda uri: objects.put_object(uri, b""),
        lambda uri: objects.put_if_absent(uri, b""),
    ):
        with pytest.raises(ConfigError, match="can only be read; write to a folder"):
            attempt("https://host/a")
    with pytest.raises(ConfigError, match="lists nothing"):
        list(objects.list_objects("https://host/a"))
    assert not objects.is_folder("https://host/a")
