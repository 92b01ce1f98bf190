"""A catalog from somebody who means harm: it reads nothing it should not, and gives nothing away."""

import json
import logging
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_poses import TinyWorker, write_clips

from choreai.catalog.catalog import UNAVAILABLE, read_catalog, with_content_ids
from choreai.catalog.shards import pending_videos, plan_shards
from choreai.config import ExtractConfig, load_config
from choreai.errors import CatalogError, ConfigError
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.storage.uris import without_secrets
from choreai.tables import schemas
from choreai.tables.parts import read_table
from choreai.tables.runs import RunManifest

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMIK7MDENG"
WITH_SECRETS = [
    f"s3://{KEY}:{SECRET}@bucket/a.mp4",
    f"s3://bucket/a.mp4?X-Amz-Credential={KEY}&X-Amz-Signature={SECRET}",
    f"https://bucket.s3.amazonaws.com/a.mp4?AWSAccessKeyId={KEY}&Signature={SECRET}",
    f"https://{KEY}:{SECRET}@example.com/a.mp4",
    f"a.mp4?X-Amz-Signature={SECRET}&X-Amz-Credential={KEY}",
]


def rows_of(folder: Path, uris: list[str]) -> Path:
    lines = [json.dumps({"video_id": f"v{number}", "uri": uri}) for number, uri in enumerate(uris)]
    (folder / "catalog.jsonl").write_text("\n".join(lines))
    return folder / "catalog.jsonl"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A folder that is allowed, with a clip in it, and one beside it that is not."""
    allowed, secret = tmp_path / "videos", tmp_path / "videos-private"
    allowed.mkdir()
    secret.mkdir()
    write_clips(allowed, [1])
    write_clips(secret, [2])
    return allowed, secret


def test_only_videos_under_the_allowed_roots_are_read(folders, tmp_path: Path) -> None:
    allowed, secret = folders
    (allowed / "link.mp4").symlink_to(secret / "0.mp4")
    (allowed / "linked").symlink_to(secret)
    uris = [
        str(allowed / "0.mp4"), f"file://{allowed}/0.mp4", str(secret / "0.mp4"), f"{allowed}/../videos-private/0.mp4",
        "../videos-private/0.mp4", f"{allowed}/link.mp4", f"{allowed}/linked/0.mp4", "/etc/passwd", "s3://bucket/a.mp4",
        f"file://{allowed}/%2e%2e/videos-private/0.mp4",
    ]  # fmt: skip
    catalog = with_content_ids(read_catalog(str(rows_of(allowed, uris))), allowed_roots=[str(allowed)])
    refused = [video.content_id.startswith(f"{UNAVAILABLE}outside of allowed_roots") for video in catalog.videos()]
    assert refused == [False, False] + [True] * 8

    pending = pending_videos(catalog, schemas.VIDEOS.empty_table(), retry_quarantined=False)
    (shard,) = plan_shards(pending.videos, videos_per_shard=20, pose_fingerprint="tiny")
    worker = TinyWorker(str(tmp_path / "out"), settings=PoseSettings(), pose_fingerprint="tiny", run_id="run")
    worker.setup()
    assert worker.process(shard).statuses == {"ok": 2, "quarantined": 8}
    rows = read_table(str(tmp_path / "out"), "keypoints", "tiny", schemas.KEYPOINTS, columns=["keypoints_xy"])
    assert {round(xy[0]) for xy in rows["keypoints_xy"].to_pylist()} <= {1, 2}  # clip 1 shows 1.0 to 1.9
    assert rows.num_rows == 2 * 8


@pytest.mark.s3
def test_buckets_and_prefixes_are_roots_too_and_a_catalogs_own_content_id_opens_nothing(
    s3_uri: str, tmp_path: Path
) -> None:
    objects.put_object(f"{s3_uri}/dance/a.mp4", b"a")
    rows = [
        {"video_id": "in", "uri": f"{s3_uri}/dance/a.mp4"},
        {"video_id": "beside", "uri": f"{s3_uri}/dance-private/a.mp4", "content_id": "x"},
        {"video_id": "other", "uri": "s3://somebody-elses/dance/a.mp4", "content_id": "x"},
        {"video_id": "path", "uri": "/etc/passwd", "content_id": "x"},
        {"video_id": "dots", "uri": f"{s3_uri}/dance/../dance-private/a.mp4", "content_id": "x"},
    ]
    path = tmp_path / "catalog.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    catalog = with_content_ids(read_catalog(str(path)), allowed_roots=[f"{s3_uri}/dance"])
    allowed = [video.video_id for video in catalog.videos() if not video.content_id.startswith(UNAVAILABLE)]
    assert allowed == ["in", "dots"]  # in a key '..' is a name like any other: nothing climbs


def test_roots_come_from_the_job_file_and_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    job = tmp_path / "job.toml"
    job.write_text('catalog = "c.csv"\noutput = "out"\nallowed_roots = ["videos", "s3://bucket/dance"]\n')
    assert load_config(ExtractConfig, str(job), {}).allowed_roots == (f"{tmp_path}/videos", "s3://bucket/dance")
    job.write_text('catalog = "c.csv"\noutput = "out"\nallowed_roots = ["ftp://host/dance"]\n')
    with pytest.raises(ConfigError, match="ftp:// is not supported"):
        load_config(ExtractConfig, str(job), {})


@pytest.mark.parametrize("uri", WITH_SECRETS)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_credentials_in_a_catalog_are_refused_and_not_repeated(tmp_path: Path, uri, kind) -> None:
    path = rows_of(tmp_path, ["fine.mp4", uri])
    if kind == "csv":
        path = tmp_path / "catalog.csv"
        path.write_text(f"video_id,uri\nv0,fine.mp4\nv1,{uri}\n")
    with pytest.raises(CatalogError, match=r"line [23]: .*carries credentials") as caught:
        read_catalog(str(path))
    told = f"{caught.value!r} {caught.value.__cause__!r}"
    assert KEY not in told
    assert SECRET not in told


@pytest.mark.parametrize("uri", WITH_SECRETS[:4])
def test_credentials_in_the_settings_reach_no_manifest(uri) -> None:
    with pytest.raises(ConfigError) as caught:
        ExtractConfig(catalog="c.csv", output=uri)
    assert SECRET not in str(caught.value)
    with pytest.raises(CatalogError) as unread:
        read_catalog(uri)
    assert SECRET not in str(unread.value)


def test_an_endpoint_with_a_password_is_not_repeated_by_a_failing_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import subprocess
    import sys

    program = (
        "from choreai.storage import objects\n"
        "try:\n    objects.read_object('s3://bucket/key')\n"
        "except Exception as exc:\n    print(repr(exc), exc)\n"
    )
    environment = {
        "AWS_ENDPOINT_URL": f"http://user:{SECRET}@127.0.0.1:9", "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": "us-east-1", "AWS_MAX_ATTEMPTS": "1",
        "PATH": "/usr/bin:/bin",
    }  # fmt: skip
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=90)
    assert "StoreUnavailableError" in told.stdout, told.stderr
    assert SECRET not in told.stdout
    assert KEY not in told.stdout


def test_what_is_no_secret_is_left_as_it_is() -> None:
    for text in ("s3://bucket/a@b.mp4", "clips/what?.mp4", "mail me@example.com", "s3://b/k?v=1", "100 % & more"):
        assert without_secrets(text) == text
    assert without_secrets("get s3://a:b@c/d?X-Amz-Signature=e&v=1 now") == "get s3://***c/d?***&v=1 now"


@pytest.mark.parametrize(("column", "size"), [("video_id", 2000), ("uri", 10_000), ("label", 5000), ("group", 200_000)])
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_giant_field_is_named_and_not_printed(tmp_path: Path, column, size, kind) -> None:
    row = {"video_id": "v", "uri": "a.mp4", "label": "x", "group": "g"} | {column: "x" * size}
    path = tmp_path / f"catalog.{kind}"
    path.write_text(json.dumps(row) if kind == "jsonl" else ",".join(row) + "\n" + ",".join(row.values()) + "\n")
    with pytest.raises(CatalogError) as caught:
        read_catalog(str(path))
    assert len(str(caught.value)) < 500


def test_a_title_with_markup_or_a_formula_is_only_a_title(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ids = ["=cmd|' /C calc'!A0", "<script>alert(1)</script>", "[red]x[/red]", "../../etc/passwd", "a\u202egpj.exe"]
    clips = write_clips(tmp_path, range(len(ids))).parent
    path = tmp_path / "hostile.jsonl"
    rows = [{"video_id": video_id, "uri": str(clips / f"{n}.mp4")} for n, video_id in enumerate(ids)]
    path.write_text("\n".join(map(json.dumps, rows)))
    catalog = with_content_ids(read_catalog(str(path)))
    pending = pending_videos(catalog, schemas.VIDEOS.empty_table(), retry_quarantined=False)
    output = tmp_path / "out"
    with caplog.at_level(logging.INFO):
        worker = TinyWorker(str(output), settings=PoseSettings(), pose_fingerprint="tiny", run_id="run")
        worker.setup()
        summary = RunManifest(job="extract_poses", run_id="run", config={}, pose_fingerprint="tiny")
        for shard in plan_shards(pending.videos, videos_per_shard=2, pose_fingerprint="tiny"):
            summary.add(worker.process(shard))
        summary.write(str(output))
    seen = read_table(str(output), "videos", "tiny", schemas.VIDEOS, columns=["video_id"])["video_id"].to_pylist()
    assert sorted(seen) == sorted(ids)  # as they are: tables hold data, whoever shows it escapes it
    written = {str(path.relative_to(output)) for path in output.rglob("*") if path.is_file()}
    assert all(
        name.startswith(("keypoints/tiny/part-", "pictures/tiny/part-", "videos/tiny/part-", "runs/run/"))
        for name in written
    )
    assert not (tmp_path / "etc").exists()


def test_a_header_that_is_no_csv_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "catalog.csv").write_bytes(b"video_id,uri,labe\r,gr\r,gr" * 20)
    with pytest.raises(CatalogError, match=r"catalog\.csv"):
        read_catalog(str(tmp_path / "catalog.csv"))


def test_a_column_of_parquet_whose_name_is_no_text_is_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "catalog.parquet"
    pq.write_table(pa.table({"video_id": ["a"], "uri": ["a.mp4"], "kind_of_dance": ["x"]}), path)
    path.write_bytes(path.read_bytes().replace(b"kind_of_dance", b"\xeckind\xff_dance "[:13]))
    with pytest.raises(CatalogError, match="not a readable Parquet file"):
        read_catalog(str(path))
