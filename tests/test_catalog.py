"""Catalogs: what every format gives, and what each mistake in one is answered with."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from choreai.catalog.catalog import (
    CATALOG_SCHEMA,
    UNAVAILABLE,
    Catalog,
    Video,
    read_catalog,
    with_content_ids,
)
from choreai.catalog.listings import MIN_WANTED
from choreai.errors import CatalogError, StorageError
from choreai.storage import s3
from choreai.storage.objects import put_object, stat_object
from choreai.storage.uris import join_uri

ROWS: list[dict[str, str | None]] = [
    {"video_id": "007", "uri": "clips/a, b.mp4", "label": "breaking", "group": "Zoë"},
    {"video_id": "8", "uri": "s3://elsewhere/50%20?.mp4", "label": None, "group": "12"},
    {"video_id": "ダンス", "uri": "/data/c.mp4", "label": "house", "group": None},
]


def as_csv(rows: list[dict[str, str | None]]) -> bytes:
    lines = [",".join(f'"{value or ""}"' for value in row.values()) for row in rows]
    return "\n".join([",".join(rows[0]), *lines]).encode()


def as_jsonl(rows: list[dict[str, str | None]]) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def as_parquet(rows: list[dict[str, str | None]] | pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


FORMATS = {"csv": as_csv, "jsonl": as_jsonl, "parquet": as_parquet}


def catalog_of(folder: Path, content: bytes, *, name: str = "catalog.csv") -> Catalog:
    (folder / name).write_bytes(content)
    return read_catalog(str(folder / name))


def ids_of(catalog: Catalog) -> list[str]:
    return catalog.table["video_id"].to_pylist()


# ---- what is read ----


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_same_catalog(store_uri: str, kind: str) -> None:
    uri = join_uri(store_uri, "lists", f"catalog.{kind}")
    put_object(uri, FORMATS[kind](ROWS))
    catalog = read_catalog(uri)
    assert catalog.table.schema == CATALOG_SCHEMA
    expected = [dict(row, content_id=None) for row in ROWS]
    expected[0]["uri"] = join_uri(store_uri, "lists", "clips/a, b.mp4")
    assert catalog.table.to_pylist() == expected
    assert (catalog.uri, len(catalog)) == (uri, 3)


def test_a_csv_as_spreadsheets_write_it_is_read(tmp_path: Path) -> None:
    text = (
        'video_id,title,uri,label\r\n007,"two\r\nlines, ""quoted""",/a.mp4, breaking \r\n'
        "\r\n8,x,/b.mp4,  \r\n,,,\r\n\r\n"
    )
    catalog = catalog_of(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert catalog.table.select(["video_id", "uri", "label"]).to_pylist() == [
        {"video_id": "007", "uri": "/a.mp4", "label": "breaking"},
        {"video_id": "8", "uri": "/b.mp4", "label": None},
    ]


def test_ids_that_are_numbers_become_strings(tmp_path: Path) -> None:
    lines = b'{"video_id": 7, "uri": "/a.mp4", "label": 3}\n\n{"uri": "/b.mp4", "video_id": "07"}\n'
    assert ids_of(catalog_of(tmp_path, lines, name="catalog.jsonl")) == ["7", "07"]
    table = pa.table({"video_id": pa.array([7, 8], pa.int32()), "uri": pa.array(["/a", "/b"]).dictionary_encode()})
    assert ids_of(catalog_of(tmp_path, as_parquet(table), name="catalog.parquet")) == ["7", "8"]


def test_relative_uris_count_from_the_catalog_whatever_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lists").mkdir()
    text = b"video_id,uri\n1,a.mp4\n2,./b.mp4\n3,../c.mp4\n4,d//e.mp4\n5,...mp4\n"
    (tmp_path / "lists" / "catalog.csv").write_bytes(text)
    monkeypatch.chdir(tmp_path)
    for uri in ("lists/catalog.csv", (tmp_path / "lists" / "catalog.csv").as_uri()):
        resolved = [f"{tmp_path}/lists/{name}" for name in ("a.mp4", "b.mp4", "../c.mp4", "d/e.mp4", "...mp4")]
        assert read_catalog(uri).table["uri"].to_pylist() == resolved
    monkeypatch.chdir(tmp_path / "lists")
    assert read_catalog("catalog.csv").table["uri"][0].as_py() == f"{tmp_path}/lists/a.mp4"


def test_a_folder_or_prefix_is_a_catalog_of_its_videos(store_uri: str) -> None:
    names = ["b.MOV", "sub/deep/a b.mp4", "sub/ñ?.webm", "a.mp4"]
    for name in [*names, "notes.txt", "mp4", "._b.mov", "sub/.hidden.mp4"]:
        put_object(join_uri(store_uri, name), name.encode())
    for uri in (store_uri, join_uri(store_uri, "")):
        catalog = read_catalog(uri)
        assert ids_of(catalog) == sorted(names)
        for video in catalog.videos():
            info = stat_object(join_uri(store_uri, video.video_id))
            assert info is not None
            assert (video.uri, video.content_id, video.label, video.group) == (
                info.uri,
                info.content_id,
                None,
                None,
            )


def test_a_relative_folder_gives_absolute_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").touch()
    monkeypatch.chdir(tmp_path)
    for uri in ("clips", "./clips/", "."):
        table = read_catalog(uri).table
        assert table["uri"].to_pylist() == [f"{tmp_path}/clips/a.mp4"]
        assert table["video_id"].to_pylist() == ["a.mp4" if uri != "." else "clips/a.mp4"]


def test_rows_beyond_one_batch_keep_their_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("choreai.catalog.rows._BATCH_ROWS", 7)
    rows: list[dict[str, str | None]] = [{"video_id": f"v{n}", "uri": f"./{n}.mp4"} for n in range(50)]
    bad = [*rows, {"video_id": "v3", "uri": "x.mp4"}]
    for kind, first, last in (
        ("csv", "line 5", "line 52"),
        ("jsonl", "line 4", "line 51"),
        ("parquet", "row 4", "row 51"),
    ):
        catalog = catalog_of(tmp_path, FORMATS[kind](rows), name=f"catalog.{kind}")
        assert catalog.table["uri"].to_pylist() == [f"{tmp_path}/{n}.mp4" for n in range(50)]
        with pytest.raises(CatalogError, match=rf"{last}: video_id 'v3' was in {first} already"):
            catalog_of(tmp_path, FORMATS[kind](bad), name=f"catalog.{kind}")


def test_rows_are_selected_by_mask_or_index() -> None:
    table = pa.Table.from_pylist([dict(row, content_id="x") for row in ROWS], schema=CATALOG_SCHEMA)
    catalog = Catalog("c", table)
    assert ids_of(catalog.select(np.array([True, False, True]))) == ["007", "ダンス"]
    assert ids_of(catalog.select(np.array([2, 0]))) == ["ダンス", "007"]
    assert next(catalog.videos()) == Video("007", "clips/a, b.mp4", "x", label="breaking", group="Zoë")


def test_a_table_of_other_columns_is_no_catalog() -> None:
    with pytest.raises(ValueError, match="columns are"):
        Catalog("c", pa.table({"video_id": ["1"]}))


# ---- content ids ----


def test_missing_content_ids_come_from_the_store_and_known_ones_stay(store_uri: str) -> None:
    for name in ("a.mp4", "b.mp4", "folder/c.mp4"):
        put_object(join_uri(store_uri, name), name.encode())
    text = "video_id,uri,content_id\n1,a.mp4,\n2,b.mp4,known\n3,gone.mp4,\n4,folder/,\n5,a.mp4, \n"
    put_object(join_uri(store_uri, "catalog.csv"), text.encode())
    calls: list[None] = []
    catalog = with_content_ids(
        read_catalog(join_uri(store_uri, "catalog.csv")),
        num_threads=4,
        on_videos=lambda count: calls.extend([None] * count),
    )
    info = stat_object(join_uri(store_uri, "a.mp4"))
    assert info is not None
    first, second, gone, folder, last = (video.content_id for video in catalog.videos())
    assert (first, second, last) == (info.content_id, "known", info.content_id)
    assert gone.startswith(f"{UNAVAILABLE}there is nothing here")
    assert folder.startswith(f"{UNAVAILABLE}is a folder")
    assert len(calls) == 5


def test_a_video_that_cannot_be_looked_at_does_not_raise(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    name = "n" * 300
    catalog = catalog_of(tmp_path, f"video_id,uri\n1,pipe.mp4\n2,{name}.mp4\n3,file:///a%00b\n".encode())
    assert all(video.content_id.startswith(UNAVAILABLE) for video in with_content_ids(catalog).videos())


@pytest.mark.s3
def test_a_store_without_credentials_is_no_videos_fault(
    s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = catalog_of(tmp_path, b"video_id,uri\n1,s3://b/a.mp4\n")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    s3._client_of_process.cache_clear()
    try:
        with pytest.raises(StorageError, match="no S3 credentials"):
            with_content_ids(catalog)
    finally:
        s3._client_of_process.cache_clear()


def test_videos_without_content_ids_are_not_handed_out(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="with_content_ids"):
        list(catalog_of(tmp_path, as_csv(ROWS)).videos())


# ---- what is refused ----

LONG = "é" * 501


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        # columns
        ("c.csv", "id,uri\n1,a\n", "no column 'video_id' (found: 'id', 'uri'); rename 'id' to 'video_id'"),
        ("c.csv", "Video ID,path\n1,a\n", "rename 'Video ID' to 'video_id'; rename 'path' to 'uri'"),
        ("c.csv", "video_id, uri\n1,a\n", "rename ' uri' to 'uri'"),
        ("c.csv", "vidoe_id,uri\n1,a\n", "rename 'vidoe_id' to 'video_id'"),
        ("c.csv", "title,label\n1,a\n", "no column 'video_id' and no 'uri' (found: 'title', 'label'); add"),
        ("c.csv", "video_id/uri\n1/a\n", "no column 'video_id' and no 'uri' (found: 'video_id/uri')"),
        ("c.csv", "video_id,uri,uri\n1,a,b\n", "2 columns are called 'uri'; keep one"),
        ("c.jsonl", '{"video_id": "1", "uri": "a"}\n{"id": "2", "uri": "b"}', "line 2: no column 'video_id'"),
        ("c.jsonl", "{}", "line 1: no column 'video_id' and no 'uri' (found: none)"),
        # rows
        ("c.csv", "video_id,uri\n1,a\n\n1,b\n", "line 4: video_id '1' was in line 2 already"),
        ("c.csv", 'video_id,uri,t\n1,a,"x\ny"\n2,b,\n2,c,\n', "line 5: video_id '2' was in line 4 already"),
        ("c.jsonl", '{"video_id": 1, "uri": "a"}\n{"video_id": "1", "uri": "b"}', "line 2: video_id '1' was"),
        ("c.csv", "video_id,uri\n1,a\n ,b\n", "line 3: video_id is empty; fill it in"),
        ("c.csv", "video_id,uri\n1,\n", "line 2: uri is empty; fill it in"),
        ("c.jsonl", '{"video_id": "1", "uri": null}', "line 1: uri is empty"),
        ("c.csv", "video_id,uri\n1,gcs://b/a.mp4\n", "line 2: 'gcs://b/a.mp4': gcs:// is not supported; write gs:// "),
        ("c.csv", "video_id,uri\n1,ftp://h/a.mp4\n", "line 2: 'ftp://h/a.mp4': ftp:// is not"),
        ("c.csv", "video_id,uri\n1,s3:///a.mp4\n", "line 2: 's3:///a.mp4' names no bucket"),
        ("c.csv", f"video_id,uri\n{LONG},a\n", "line 2: video_id has 1002 bytes, 1000 are allowed"),
        ("c.csv", 'video_id,uri\n"a\nb",x\n', "line 2: video_id 'a\\nb' has control characters"),
        ("c.csv", "video_id,uri\na\x7fb,x\n", "line 2: video_id 'a\\x7fb' has control characters"),
        ("c.csv", "video_id,uri\n1,x\x00y\n", "line 2: uri 'x\\x00y' has control characters"),
        ("c.csv", "video_id,uri\n1,a,b\n", "line 2: 3 values for 2 columns; put values that contain commas"),
        ("c.jsonl", '{"video_id": 1.5, "uri": "a"}', "line 1: video_id is 1.5; write it as a string"),
        ("c.jsonl", '{"video_id": "1", "uri": "a", "label": true}', "line 1: label is true; write it as"),
        # whole files
        ("c.csv", "", "the catalog is empty"),
        ("c.csv", "video_id,uri\n\n", "the catalog is empty"),
        ("c.jsonl", "\n", "the catalog is empty"),
        ("c.csv", 'video_id,uri\n1,a\n2,"b\n3,c\n', "line 3: not CSV"),
        ("c.csv", b"video_id,uri\n1,a\n2,caf\xe9.mp4\n", "line 3: byte 0xe9 at 6 is not UTF-8; save"),
        ("c.csv", b"\xff\xfe" + b"video_id,uri\n1,ab", "begins as UTF-16 and is not; save the file as UTF-8"),
        ("c.jsonl", '{"video_id": "1", "uri": "a"}\n{"video_id": ', "line 2: not JSON"),
        ("c.jsonl", "[" * 100_000, "line 1: not JSON"),
        ("c.jsonl", '["1", "a"]', "line 1: not a JSON object"),
        ("c.jsonl", '{"video_id": "\\ud800", "uri": "a"}', "line 1: not JSON ('utf-8' codec can't encode"),
        ("c.parquet", "video_id,uri\n1,a\n", "not a readable Parquet file"),
        ("c.parquet", as_parquet(ROWS)[:-30], "not a readable Parquet file"),
        ("c.xlsx", "PK", "unknown extension '.xlsx'; a catalog is a .csv, .jsonl or .parquet file"),
        ("catalog", "video_id,uri\n1,a\n", "unknown extension ''"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_with_its_place_and_remedy(
    tmp_path: Path, name: str, content: str | bytes, says: str
) -> None:
    with pytest.raises(CatalogError, match=re.escape(says)) as caught:
        catalog_of(tmp_path, content if isinstance(content, bytes) else content.encode(), name=name)
    assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({"video_id": ["1", "2", "1"], "uri": ["a", "b", "c"]}, "row 3: video_id '1' was in row 1 already"),
        ({"video_id": ["1", None], "uri": ["a", "b"]}, "row 2: video_id is empty"),
        ({"video_id": [1.0, 2.0], "uri": ["a", "b"]}, "column 'video_id' holds double; write it as strings"),
        ({"video_id": ["1"], "uri": [["a"]]}, "column 'uri' holds list<"),
        ({"name": ["1"], "uri": ["a"]}, "no column 'video_id' (found: 'name', 'uri'); rename 'name'"),
        ({"video_id": pa.array([], pa.string()), "uri": pa.array([], pa.string())}, "the catalog is empty"),
        (
            {"video_id": pa.array([b"\xff\xfe"]).view(pa.string()), "uri": ["a"]},
            "not a readable Parquet file (Invalid UTF8",
        ),
    ],
)
def test_a_mistake_in_a_parquet_catalog_names_its_row(
    tmp_path: Path, columns: dict[str, list[object]], says: str
) -> None:
    with pytest.raises(CatalogError, match=re.escape(says)):
        catalog_of(tmp_path, as_parquet(pa.table(columns)), name="c.parquet")


def test_a_catalog_that_is_not_there_is_named(store_uri: str) -> None:
    for name in ("catalog.csv", "folder"):
        with pytest.raises(CatalogError, match=rf"{name}: there is no such file or folder; check the name"):
            read_catalog(join_uri(store_uri, name))


def test_a_folder_without_videos_says_what_was_looked_for(store_uri: str) -> None:
    put_object(join_uri(store_uri, "clips", "notes.txt"), b"")
    with pytest.raises(CatalogError, match=r"clips: no videos in this folder; looked for \.mp4 .*\.mov .*\.hevc"):
        read_catalog(join_uri(store_uri, "clips"))


@pytest.mark.parametrize("uri", ["ftp://host/catalog.csv", "", "s3://"])
def test_a_catalog_in_no_store_is_a_catalog_error(uri: str) -> None:
    with pytest.raises(CatalogError, match="catalog '"):
        read_catalog(uri)


@pytest.mark.s3
def test_a_relative_uri_that_leaves_the_bucket_names_its_line(s3_uri: str) -> None:
    put_object(f"{s3_uri}/catalog.csv", b"video_id,uri\n1,a.mp4\n2,../b.mp4\n")
    with pytest.raises(CatalogError, match=r"catalog\.csv, line 3: '\.\./b\.mp4' .* leaves the bucket"):
        read_catalog(f"{s3_uri}/catalog.csv")


@pytest.mark.shared
def test_the_street_dance_catalog_is_read_and_all_its_clips_are_there() -> None:
    path = Path(__file__).parents[2] / "shared" / "data" / "streetdance" / "catalog.csv"
    if not path.exists():
        pytest.skip("../shared/data/streetdance is not here")
    videos = list(with_content_ids(read_catalog(str(path))).videos())
    assert len(videos) == len(path.read_text().splitlines()) - 1
    assert not any(video.content_id.startswith(UNAVAILABLE) for video in videos)
    assert all(video.label and video.group for video in videos)


@pytest.mark.s3
def test_content_ids_of_many_objects_come_from_listings(s3_uri: str, s3_client: Any, tmp_path: Path) -> None:
    bucket = s3_uri.removeprefix("s3://")
    names = [f"in/{n:03d}.mp4" for n in range(MIN_WANTED)] + ["in/deeper/x.mp4", "few/a.mp4"]
    for name in names:
        s3_client.put_object(Bucket=bucket, Key=name, Body=name.encode())
    uris = [f"{s3_uri}/{name}" for name in names] + [f"{s3_uri}/in/gone.mp4"]
    lines = "\n".join(f"{uri},{uri}," for uri in uris) + f"\nknown,{uris[0]},mine"
    catalog = catalog_of(tmp_path, f"video_id,uri,content_id\n{lines}\n".encode())
    asked: list[str] = []

    def count(params: dict[str, Any], model: Any, **_: Any) -> None:
        asked.append(model.name)

    s3._client().meta.events.register("before-call.s3", count)
    try:
        videos = list(with_content_ids(catalog).videos())
    finally:
        s3._client().meta.events.unregister("before-call.s3", count)
    expected = [hashlib.md5(name.encode()).hexdigest() for name in names]
    assert [video.content_id for video in videos[: len(names)]] == expected
    assert videos[-2].content_id.startswith(UNAVAILABLE)
    assert videos[-1].content_id == "mine"
    assert sorted(asked) == ["HeadObject"] * 3 + ["ListObjectsV2"]  # the one missing, and two in folders of few


def test_a_plain_csv_and_its_twin_in_quotes_give_the_same_catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = ["title", "uri", "video_id", "group"]
    rows = [["", "a.mp4", "1", " Zoë "], ["NA", "./b c.mp4", "null", ""], ["x", "s3://b/ダンス.mp4", "3", "N/A"]]
    plain = "\r\n".join(",".join(row) for row in [header, *rows, [], [*rows[0][:2], "4", "g"]])
    quoted = "\n".join(",".join(f'"{value}"' for value in row) for row in [header, *rows, [*rows[0][:2], "4", "g"]])
    careful = catalog_of(tmp_path, quoted.encode(), name="quoted.csv").table
    with monkeypatch.context() as patch:  # the careful reader is not asked
        patch.setattr("choreai.catalog.catalog.read_rows", None)
        fast = catalog_of(tmp_path, b"\xef\xbb\xbf" + plain.encode(), name="plain.csv").table
    assert fast.equals(careful)
    assert fast["group"].to_pylist() == ["Zoë", None, "N/A", "g"]
