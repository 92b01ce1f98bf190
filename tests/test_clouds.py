"""What only Google's and Azure's stores answer: refusals with their remedies, outages, and a job on their objects."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from faulty_proxy import FaultyProxy
from local_server import LocalServer, body_of, reply
from tiny_poses import TinyWorker, write_clips

from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.catalog.shards import pending_videos, plan_shards
from choreai.errors import (
    NoCredentialsError,
    ObjectForbiddenError,
    ObjectMissingError,
    ObjectUnusableError,
    StorageError,
    StoreUnavailableError,
)
from choreai.pose.settings import PoseSettings
from choreai.storage import clouds, objects, patience
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.style.training.ray_storage import storage_settings
from choreai.tables import schemas
from choreai.tables.parts import read_table

pytestmark = pytest.mark.s3


@pytest.fixture(autouse=True)
def strangers() -> Iterator[None]:
    """Stores of which this process knows nothing, before and after."""
    _forget()
    yield
    _forget()


def _forget() -> None:
    clouds._store_of_process.cache_clear()
    clouds._contacts.clear()


# --- jobs ---


@pytest.mark.parametrize("store", ["gs_uri", "az_uri"])
def test_a_job_reads_its_catalog_and_videos_from_a_store_and_writes_its_tables_there(
    store: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root = request.getfixturevalue(store)
    write_clips(tmp_path, [0, 1, 2])
    for number in range(3):
        objects.put_object(f"{root}/videos/{number}.mp4", (tmp_path / f"{number}.mp4").read_bytes())
    objects.put_object(f"{root}/lists/c.csv", b"video_id,uri\na,../videos/0.mp4\nb,../videos/1.mp4\ngone,../no.mp4\n")
    check_conditional_writes(f"{root}/out")
    catalog = with_content_ids(read_catalog(f"{root}/lists/c.csv"))
    pending = pending_videos(catalog, schemas.VIDEOS.empty_table(), retry_quarantined=False)
    (shard,) = plan_shards(pending.videos, videos_per_shard=3, pose_fingerprint="tiny")
    worker = TinyWorker(f"{root}/out", settings=PoseSettings(), pose_fingerprint="tiny", run_id="run")
    worker.setup()
    assert worker.process(shard).statuses == {"ok": 2, "quarantined": 1}
    rows = read_table(f"{root}/out", "videos", "tiny", schemas.VIDEOS, columns=["video_id", "uri", "reason"])
    found = {row["video_id"]: row for row in rows.to_pylist()}
    assert found["a"]["uri"] == f"{root}/videos/0.mp4"
    assert "there is nothing here" in found["gone"]["reason"]
    assert [len(read_catalog(f"{root}/videos")), len(read_catalog(f"{root}/videos/"))] == [3, 3]


@pytest.mark.parametrize("store", ["gs_uri", "az_uri"])
def test_a_listing_of_several_pages_has_each_object_once(
    store: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = request.getfixturevalue(store)
    names = [f"{root}/run/{number:03d}" for number in range(25)]
    for name in names:
        objects.put_object(name, b"")
    monkeypatch.setattr(clouds, "_PAGE", 10)
    assert sorted(info.uri for info in objects.list_objects(f"{root}/run")) == names


@pytest.mark.parametrize("store", ["gs_uri", "az_uri"])
def test_an_object_that_changes_while_it_is_read_raises(store: str, request: pytest.FixtureRequest) -> None:
    uri = f"{request.getfixturevalue(store)}/a"
    objects.put_object(uri, b"1" * (5 << 20))
    with objects.open_object(uri) as file:
        file.read(1000)
        objects.put_object(uri, b"2" * (5 << 20))
        with pytest.raises(StorageError, match="changed while it was being read"):
            file.read(5 << 20)


def test_an_outage_of_seconds_is_ridden_out(
    gcs_server: str, gs_uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    objects.put_object(f"{gs_uri}/a", b"whole")
    proxy = FaultyProxy(gcs_server)
    monkeypatch.setenv("GOOGLE_BASE_URL", proxy.endpoint)
    monkeypatch.setattr(clouds, "_RETRIES", {"max_retries": 0})
    monkeypatch.setattr(patience, "NOTICE_SECONDS", 0.0)
    _forget()
    with proxy.trouble("error 503", share=1.0, at_most=3, seed=0):
        assert objects.read_object(f"{gs_uri}/a") == b"whole"
    assert proxy.num_faults == 3
    assert "waiting for the store" in caplog.text
    proxy.stop()


def test_an_endpoint_where_nothing_ever_answered_is_given_up_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "test")
    monkeypatch.setattr(patience, "FIRST_CONTACT_SECONDS", 0.1)
    with pytest.raises(StoreUnavailableError, match=r"127\.0\.0\.1:9"):
        objects.stat_object("gs://bucket/a")


# --- refusals ---


@contextmanager
def store_that_answers(status: int, code: str, message: str) -> Iterator[str]:
    """Yield the endpoint of a server that gives every request the same answer, with a body to all but a HEAD."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()

    def answer(request: BaseHTTPRequestHandler) -> None:
        body_of(request)
        reply(request, status, body, {"Content-Type": "application/xml"})

    with LocalServer(answer) as server:
        yield server.address


def _point_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_BASE_URL", endpoint)
    monkeypatch.setenv("GOOGLE_BEARER_TOKEN", "test")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", endpoint)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


REFUSALS = [
    ("az", 409, "BlobArchived", "This operation is not permitted.", ObjectUnusableError, "archived: move it to"),
    ("az", 403, "AuthorizationPermissionMismatch", "Not authorized.", ObjectForbiddenError, "Storage Blob Data Reader"),
    ("az", 403, "AuthenticationFailed", "Check the signature.", StoreUnavailableError, "AZURE_STORAGE_ACCOUNT_KEY"),
    ("az", 403, "KeyVaultAccessTokenCannotBeAcquired", "No.", ObjectForbiddenError, "encrypted with a key that cannot"),
    ("gs", 403, "AccessDenied", "Access denied.", ObjectForbiddenError, "grant storage.objects.get"),
    ("gs", 400, "UserProjectMissing", "Bucket is a requester pays bucket.", ObjectForbiddenError, "bucket of your own"),
    ("gs", 403, "CloudKmsDisabledKey", "The Cloud KMS key is disabled.", ObjectForbiddenError, "enable it, or grant"),
    ("gs", 401, "AuthenticationRequired", "Please log in.", StoreUnavailableError, "GOOGLE_APPLICATION_CREDENTIALS"),
]  # fmt: skip


@pytest.mark.parametrize(("store", "status", "code", "message", "error", "words"), REFUSALS)
def test_each_refusal_is_named_with_its_remedy(store, status, code, message, error, words, monkeypatch) -> None:
    with store_that_answers(status, code, message) as endpoint:
        _point_at(endpoint, monkeypatch)
        for attempt in (objects.stat_object, objects.read_object):
            with pytest.raises(error, match=words):
                attempt(f"{store}://bucket/a")


def test_a_refused_write_asks_for_the_right_to_write(monkeypatch: pytest.MonkeyPatch) -> None:
    with store_that_answers(403, "AccessDenied", "Access denied.") as endpoint:
        _point_at(endpoint, monkeypatch)
        with pytest.raises(ObjectForbiddenError, match=r"grant storage\.objects\.create"):
            objects.put_if_absent("gs://bucket/a", b"x")


def test_a_bucket_or_container_that_is_not_there_is_named_as_such(gs_uri: str) -> None:
    with pytest.raises(ObjectMissingError, match="no such bucket"):
        list(objects.list_objects("gs://nobody/has/this"))
    with pytest.raises(ObjectMissingError, match="no such bucket"):
        objects.put_object("gs://nobody/has/this", b"x")


@pytest.mark.parametrize(
    ("store", "words"), [("az", "AZURE_STORAGE_ACCOUNT_NAME"), ("gs", "GOOGLE_APPLICATION_CREDENTIALS")]
)
def test_missing_credentials_say_what_to_set(store: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("AZURE_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    with store_that_answers(404, "NotFound", "No token here.") as endpoint:
        monkeypatch.setenv("GCE_METADATA_HOST", endpoint.removeprefix("http://"))
        monkeypatch.setenv("GCE_METADATA_IP", endpoint.removeprefix("http://"))
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json") if store == "gs" else None
        with pytest.raises(NoCredentialsError, match=words):
            objects.stat_object(f"{store}://bucket/a")


@pytest.mark.parametrize("key", ["a//b", "a/../b", "a/./b", "a\x01b"])
def test_a_key_that_only_s3_can_hold_is_unusable(gs_uri: str, key: str) -> None:
    with pytest.raises(ObjectUnusableError, match="give the object a name without empty parts"):
        objects.put_object(f"{gs_uri}/{key}", b"x")


@pytest.mark.parametrize("store", ["gs_uri", "az_uri"])
def test_ray_trains_checkpoints_are_written_through_pyarrow(store: str, request: pytest.FixtureRequest) -> None:
    """Ray Train and Tune write through a file system of pyarrow's, buffers that are no plain bytes among it."""
    uri = f"{request.getfixturevalue(store)}/training"
    settings = storage_settings(uri)
    files, path = settings["storage_filesystem"], f"{settings['storage_path']}/state.pt"
    with files.open_output_stream(path) as stream:
        stream.write(pa.py_buffer(np.arange(3, dtype=np.int8)))
        stream.write(b"end")
    assert objects.read_object(f"{uri}/state.pt") == b"\x00\x01\x02end"
