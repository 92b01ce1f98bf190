"""Catalogs as other programs save them: encodings, separators, line ends, long lines, folders of parts."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from choreai.catalog.catalog import read_catalog
from choreai.errors import CatalogError, ConfigError
from choreai.storage.uris import check_uri, has_secrets

ROWS = [("1", "/a.mp4", "house"), ("2", "/b ü.mp4", "")]


def table_as_text(separator: str = ",", end: str = "\n") -> str:
    return end.join(separator.join(row) for row in [("video_id", "uri", "label"), *ROWS]) + end


@pytest.mark.parametrize(
    "content",
    [
        *(table_as_text().encode(encoding) for encoding in ("utf-8", "utf-8-sig", "utf-16")),
        b"\xfe\xff" + table_as_text().encode("utf-16-be"),
        table_as_text(end="\r\n").encode("utf-16"),
        table_as_text(end="\r").encode(),
        *(table_as_text(separator).encode() for separator in (";", "\t", "|")),
        table_as_text(";", "\r\n").encode("utf-16"),
        b"sep=;\n" + table_as_text(";").encode(),
        b"\xef\xbb\xbfsep=;\r\n" + table_as_text(";", "\r\n").encode(),
        b"sep=,\n" + table_as_text().encode(),
        b"SEP=\t\n" + table_as_text("\t").encode(),
    ],
)
def test_a_catalog_of_another_program_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "c.csv").write_bytes(content)
    rows = read_catalog(str(tmp_path / "c.csv")).table.select(["video_id", "uri", "label"]).to_pylist()
    assert [(row["video_id"], row["uri"], row["label"] or "") for row in rows] == ROWS


def test_a_first_line_of_150_kb_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f"video_id,uri,{'x' * 150_000}\n1,/a.mp4,x\n")
    assert len(read_catalog(str(tmp_path / "c.csv"))) == 1
    (tmp_path / "d.csv").write_text("video_id,uri," + ",".join(f"column{n}" for n in range(20_000)) + "\n")
    with pytest.raises(CatalogError, match="the catalog is empty"):
        read_catalog(str(tmp_path / "d.csv"))


def test_a_value_of_2_mb_beside_the_video_is_read(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(f'video_id,uri,notes\n1,/a.mp4,"{"x" * 2_000_000}"\n')
    assert len(read_catalog(str(tmp_path / "c.csv"))) == 1


@pytest.mark.parametrize(
    "content",
    [
        "video_id,uri\n{big},/a.mp4\n",
        "video_id,uri\n1,{big}\n",
        "video_id,uri\n1,gs://{big}\n",
        "video_id,uri,label\n1,/a.mp4,{big}\n",
        "{big},uri\n1,/a.mp4\n",
        "{big}\n",
        "video_id,uri\n1,/a.mp4?sig={big}\n",
    ],
)
def test_a_message_about_2_mb_is_short(tmp_path: Path, content: str) -> None:
    (tmp_path / "c.csv").write_text(content.format(big="x" * 2_000_000))
    with pytest.raises(CatalogError) as caught:
        read_catalog(str(tmp_path / "c.csv"))
    assert len(str(caught.value)) < 1500


def test_a_json_value_of_2_mb_makes_a_short_message(tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_text('{"video_id": ["' + "x" * 2_000_000 + '"], "uri": "a"}\n')
    with pytest.raises(CatalogError) as caught:
        read_catalog(str(tmp_path / "c.jsonl"))
    assert len(str(caught.value)) < 1500


def test_a_folder_of_parts_named_parquet_is_one_catalog(store_uri: str, tmp_path: Path) -> None:
    from choreai.storage.objects import put_object

    for number in range(3):
        sink = pa.BufferOutputStream()
        pq.write_table(pa.table({"video_id": [f"{number}"], "uri": [f"/{number}.mp4"]}), sink)
        put_object(f"{store_uri}/c.parquet/part-0000{number}.snappy.parquet", sink.getvalue().to_pybytes())
    put_object(f"{store_uri}/c.parquet/_SUCCESS", b"")
    put_object(f"{store_uri}/c.parquet/.part-00000.snappy.parquet.crc", b"crc!")
    assert read_catalog(f"{store_uri}/c.parquet").table["video_id"].to_pylist() == ["0", "1", "2"]
    put_object(f"{store_uri}/none.parquet/_SUCCESS", b"")
    with pytest.raises(CatalogError, match=r"no \.parquet files in this folder"):
        read_catalog(f"{store_uri}/none.parquet")


@pytest.mark.parametrize(
    "name",
    [
        "X-Amz-Signature", "X-Amz-Security-Token", "X-Goog-Signature", "X-Goog-Credential", "access_token", "token",
        "api_key", "apikey", "api-key", "key", "sig", "Signature", "AWSAccessKeyId", "GoogleAccessId", "OSSAccessKeyId",
        "password", "client_secret", "auth", "jwt", "Key-Pair-Id", "Policy", "sas_token", "refresh-token",
        "subscription-key", "X-OSS-Signature",
    ],
)  # fmt: skip
def test_secrets_in_query_strings_are_struck_out_under_all_their_names(name: str) -> None:
    uri = f"s3://bucket/a.mp4?v=1&{name}=hunter2&x=y"
    with pytest.raises(ConfigError, match="carries credentials") as caught:
        check_uri(uri)
    assert "hunter2" not in str(caught.value)
    assert "v=1" in str(caught.value)


@pytest.mark.parametrize("query", ["v=2", "version=3", "t=10", "monkey=1", "format=mp4", "design=4", "author=me"])
def test_other_queries_are_part_of_a_key(query: str) -> None:
    assert not has_secrets(f"s3://bucket/a.mp4?{query}")
