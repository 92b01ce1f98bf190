"""A store in trouble: an outage is waited for, refused credentials stop the job, one bad object is one row."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_proxy import FaultyProxy
from tiny_poses import TinyWorker, write_clips

from choreai.catalog.catalog import UNAVAILABLE, Catalog, read_catalog, with_content_ids
from choreai.catalog.shards import pending_videos, plan_shards
from choreai.errors import (
    CatalogError,
    ConfigError,
    ObjectForbiddenError,
    ObjectUnusableError,
    StorageError,
    StoreUnavailableError,
)
from choreai.pose.settings import PoseSettings
from choreai.storage import objects, patience, s3
from choreai.tables import schemas
from choreai.tables.parts import read_table

pytestmark = pytest.mark.s3
ALWAYS: dict[str, Any] = {"share": 1.0, "at_most": 1_000_000, "seed": 0}


@pytest.fixture
def proxy(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyProxy]:
    """A proxy in front of the S3 server, at which the environment points, and a client that knows nothing yet."""
    proxy = FaultyProxy(s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    s3._client_of_process.cache_clear()
    yield proxy
    s3._client_of_process.cache_clear()
    proxy.stop()


# --- outages ---


@pytest.mark.parametrize("kind", ["error 503", "throttling", "error 500"])
def test_an_outage_of_seconds_is_ridden_out(proxy: FaultyProxy, s3_uri: str, kind: str) -> None:
    objects.put_object(f"{s3_uri}/a", b"whole")
    with proxy.trouble(kind, **ALWAYS):
        over = threading.Timer(4.0, lambda: setattr(proxy, "_kind", None))
        over.start()
        started = time.monotonic()
        assert objects.read_object(f"{s3_uri}/a") == b"whole"
    assert time.monotonic() - started >= 3.5
    over.join()


def test_an_outage_of_minutes_is_said_as_such(
    proxy: FaultyProxy, s3_uri: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 5.0)
    monkeypatch.setattr(patience, "NOTICE_SECONDS", 0.0)
    with proxy.trouble("error 503", **ALWAYS), pytest.raises(StoreUnavailableError, match="ServiceUnavailable"):
        objects.put_object(f"{s3_uri}/a", b"x")
    assert "waiting for the store" in caplog.text


def test_an_endpoint_where_nothing_ever_answered_is_given_up_soon(
    s3_server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(patience, "FIRST_CONTACT_SECONDS", 1.0)
    s3._client_of_process.cache_clear()
    started = time.monotonic()
    try:
        with pytest.raises(StorageError, match="EndpointConnectionError"):
            objects.stat_object("s3://bucket/a")
    finally:
        s3._client_of_process.cache_clear()
    assert time.monotonic() - started < 20


def test_an_endpoint_that_is_no_address_is_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "nonsense")
    s3._client_of_process.cache_clear()
    try:
        with pytest.raises(ConfigError, match="Invalid endpoint: nonsense; AWS_ENDPOINT_URL must be"):
            objects.stat_object("s3://bucket/a")
    finally:
        s3._client_of_process.cache_clear()


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("AWS_PROFILE", "nobody", "nobody.*set AWS_PROFILE"),
        ("AWS_DEFAULT_REGION", "no such", "one as us-east-1"),
    ],
)
def test_a_profile_or_region_that_is_none_is_wrong_input(variable, value, words, s3_server, monkeypatch) -> None:
    monkeypatch.setenv(variable, value)
    s3._client_of_process.cache_clear()
    try:
        with pytest.raises(ConfigError, match=words):
            objects.stat_object("s3://bucket/a")
    finally:
        s3._client_of_process.cache_clear()


def test_a_catalog_in_a_bucket_that_cannot_be_is_wrong_input(s3_server: str) -> None:
    with pytest.raises(CatalogError, match="not a valid bucket or key"):
        read_catalog("s3://B_!!/c.csv")


# --- whose fault it is ---


def test_one_refused_object_among_others_is_that_objects_fault(proxy: FaultyProxy, s3_uri: str) -> None:
    for name in ("good", "bad"):
        objects.put_object(f"{s3_uri}/{name}", b"x")
    assert objects.read_object(f"{s3_uri}/good") == b"x"
    proxy.only = "/bad"
    with proxy.trouble("revoked", **ALWAYS):
        with pytest.raises(ObjectForbiddenError, match="grant s3:GetObject"):
            objects.stat_object(f"{s3_uri}/bad")
        assert objects.read_object(f"{s3_uri}/good") == b"x"


def test_a_store_that_refuses_what_it_gave_before_has_revoked_the_credentials(proxy: FaultyProxy, s3_uri: str) -> None:
    for name in ("first", "second"):
        objects.put_object(f"{s3_uri}/{name}", b"x")
    assert objects.read_object(f"{s3_uri}/first") == b"x"
    with proxy.trouble("revoked", **ALWAYS), pytest.raises(StoreUnavailableError, match="credentials revoked"):
        objects.read_object(f"{s3_uri}/second")


def test_a_store_that_gives_nothing_at_all_is_not_many_bad_objects(proxy: FaultyProxy, s3_uri: str) -> None:
    with proxy.trouble("revoked", **ALWAYS):
        for number in range(patience.MANY_REFUSED - 1):
            with pytest.raises(ObjectForbiddenError):
                objects.stat_object(f"{s3_uri}/{number}")
        with pytest.raises(StoreUnavailableError, match="refused 10 objects in a row"):
            objects.stat_object(f"{s3_uri}/last")


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("expired", StoreUnavailableError, "ExpiredToken.*AWS_SESSION_TOKEN"),
        ("no such key", StoreUnavailableError, "InvalidAccessKeyId.*AWS_ACCESS_KEY_ID"),
        ("wrong clock", StoreUnavailableError, "RequestTimeTooSkewed"),
        ("archived", ObjectUnusableError, "archived .Glacier.: restore"),
        ("wrong region", StorageError, "in another region .PermanentRedirect.; set AWS_DEFAULT_REGION"),
        ("region named", StorageError, "in region eu-west-1 .*set AWS_DEFAULT_REGION"),
        ("no ETag", StorageError, "no ETag.*proxy"),
        (
            "KMS key disabled",
            ObjectForbiddenError,
            "KMS key cannot be used .KMS.DisabledException.: enable the key",
        ),
        ("KMS key going", ObjectForbiddenError, "its KMS key cannot be used .KMS.KMSInvalidStateException"),
        ("no KMS grant", ObjectForbiddenError, "encrypted with a KMS key; grant kms:Decrypt on that key"),
        ("SSE-C", ObjectForbiddenError, "SSE-C.*copy the object"),
        ("requester pays", ObjectForbiddenError, "requester-pays; copy its videos into a bucket of your own"),
        ("odd", ObjectForbiddenError, "GetObject failed with InvalidRequest: Something that nobody"),
    ],
)
@pytest.mark.parametrize("attempt", [objects.stat_object, objects.read_object])
def test_each_refusal_is_named_with_its_remedy(proxy, s3_uri: str, kind: str, error, words: str, attempt) -> None:
    objects.put_object(f"{s3_uri}/a", b"x")
    with proxy.trouble(kind, **ALWAYS), pytest.raises(error, match=words) as caught:
        attempt(f"{s3_uri}/a")
    assert "grant s3:GetObject" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("no KMS grant", "kms:GenerateDataKey to write"),
        ("KMS key disabled", "its KMS key cannot be used"),
        ("revoked", "grant s3:PutObject"),
    ],
)
def test_a_refused_write_is_named_with_its_remedy(proxy: FaultyProxy, s3_uri: str, kind: str, words: str) -> None:
    with proxy.trouble(kind, **ALWAYS), pytest.raises(StorageError, match=words):
        objects.put_object(f"{s3_uri}/a", b"x")


def test_an_object_of_the_year_33658_is_listed_like_any_other(proxy: FaultyProxy, s3_uri: str) -> None:
    objects.put_object(f"{s3_uri}/a.mp4", b"x")
    with proxy.trouble("year 33658", **ALWAYS):
        (info,) = objects.list_objects(s3_uri)
        assert info.modified_seconds is None
        assert objects.stat_object(f"{s3_uri}/a.mp4") is not None
        assert len(read_catalog(s3_uri)) == 1


# --- catalogs and workers ---


def uploaded(folder: Path, s3_uri: str, numbers: range) -> Catalog:
    write_clips(folder, list(numbers))
    for number in numbers:
        objects.put_object(f"{s3_uri}/{number}.mp4", (folder / f"{number}.mp4").read_bytes())
    return with_content_ids(read_catalog(s3_uri))


def worker_of(output: Path) -> TinyWorker:
    worker = TinyWorker(str(output), settings=PoseSettings(), pose_fingerprint="tiny", run_id="run")
    worker.setup()
    return worker


def shards_of(catalog: Catalog, size: int) -> list:
    pending = pending_videos(catalog, schemas.VIDEOS.empty_table(), retry_quarantined=False)
    return list(plan_shards(pending.videos, videos_per_shard=size, pose_fingerprint="tiny"))


def test_credentials_revoked_in_mid_run_quarantine_nothing(proxy: FaultyProxy, s3_uri: str, tmp_path: Path) -> None:
    first, second = shards_of(uploaded(tmp_path, s3_uri, range(6)), 3)
    worker = worker_of(tmp_path / "out")
    assert worker.process(first).statuses == {"ok": 3}
    with proxy.trouble("revoked", **ALWAYS), pytest.raises(StoreUnavailableError):
        worker.process(second)
    assert worker.process(second).statuses == {"ok": 3}
    rows = read_table(str(tmp_path / "out"), "videos", "tiny", schemas.VIDEOS, columns=["status"])
    assert rows["status"].to_pylist() == ["ok"] * 6


def test_a_worker_that_is_given_nothing_quarantines_nothing(proxy: FaultyProxy, s3_uri: str, tmp_path: Path) -> None:
    (shard,) = shards_of(uploaded(tmp_path, s3_uri, range(4)), 4)
    with proxy.trouble("revoked", **ALWAYS), pytest.raises(StorageError, match="every video"):
        worker_of(tmp_path / "out").process(shard)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kind", ["revoked", "KMS key disabled", "odd"])
def test_a_refused_video_among_good_ones_is_quarantined(
    proxy: FaultyProxy, s3_uri: str, tmp_path: Path, kind: str
) -> None:
    (shard,) = shards_of(uploaded(tmp_path, s3_uri, range(4)), 4)
    proxy.only = "/0.mp4"
    with proxy.trouble(kind, **ALWAYS):
        assert worker_of(tmp_path / "out").process(shard).statuses == {"ok": 3, "quarantined": 1}


def test_a_catalog_of_nothing_but_refused_videos_is_the_stores_fault(
    proxy: FaultyProxy, s3_uri: str, tmp_path: Path
) -> None:
    rows = [f"v{number},{s3_uri}/{number}.mp4" for number in range(20)]
    (tmp_path / "c.csv").write_text("\n".join(["video_id,uri", *rows]))
    catalog = read_catalog(str(tmp_path / "c.csv"))
    with proxy.trouble("revoked", **ALWAYS), pytest.raises(StoreUnavailableError):
        with_content_ids(catalog)


def test_a_refused_video_in_a_catalog_is_unavailable(proxy: FaultyProxy, s3_uri: str, tmp_path: Path) -> None:
    objects.put_object(f"{s3_uri}/good.mp4", b"x")
    (tmp_path / "c.csv").write_text(f"video_id,uri\ngood,{s3_uri}/good.mp4\nbad,{s3_uri}/bad.mp4\n")
    proxy.only = "/bad"
    with proxy.trouble("revoked", **ALWAYS):
        videos = list(with_content_ids(read_catalog(str(tmp_path / "c.csv"))).videos())
    assert [video.content_id.startswith(f"{UNAVAILABLE}forbidden") for video in videos] == [False, True]
