"""URIs: what is one, and how they join and resolve."""

from pathlib import Path

import pytest

from choreai.errors import ConfigError
from choreai.storage.uris import check_uri, join_uri, parent_uri, resolve_uri, without_secrets


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "not a URI"),
        ("ftp://host/a.mp4", "ftp:// is not supported; download it"),
        ("abfss://container@account/a.mp4", "carries credentials"),
        ("abfs://container/a.mp4", "write az://container/key, and set AZURE_STORAGE_ACCOUNT_NAME"),
        ("gcs://bucket/a.mp4", "write gs:// instead"),
        ("gs://", "no bucket"),
        ("az:///a.mp4", "no container; write az://container/key"),
        ("https:///a.mp4", "no host"),
        ("hdfs://host/a.mp4", "hdfs:// is not supported; use s3://"),
        ("s3a://bucket/key", "write s3://"),
        ("s3://", "no bucket"),
        ("s3:///key", "no bucket"),
        ("file://host/a.mp4", "names a host"),
        ("a\0b", "not a URI"),
        ("file:///a%00b", "not a URI"),
        ("C:\\Videos\\a.mp4", "a path of Windows"),
        ("c:/Videos/a.mp4", "a path of Windows"),
        ("file:///D:/Videos/a.mp4", "a path of Windows"),
        ("\\\\nas\\videos\\a.mp4", "a path of Windows"),
    ],
)
def test_a_uri_that_no_store_can_hold_is_refused_with_its_remedy(uri: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_uri(uri)


@pytest.mark.parametrize("uri", ["a.mp4", "/a/b", "s3://b", "s3://b/k", "S3://b/k", "file:///a", "C: x", "a:b"])
def test_what_a_store_can_hold_passes(uri: str) -> None:
    check_uri(uri)


@pytest.mark.parametrize(
    ("base", "joined"),
    [
        ("s3://b", "s3://b/x/y"),
        ("s3://b/p/", "s3://b/p/x/y"),
        ("/", "/x/y"),
        ("out", "out/x/y"),
        ("file:///a%20b", "/a b/x/y"),
    ],
)
def test_names_join_to_a_folder_or_prefix(base: str, joined: str) -> None:
    assert join_uri(base, "x", "y") == joined


@pytest.mark.parametrize(
    ("uri", "against", "resolved"),
    [
        ("clips/a.mp4", "s3://b/catalogs", "s3://b/catalogs/clips/a.mp4"),
        ("../clips/./a.mp4", "s3://b/catalogs/2026/", "s3://b/catalogs/clips/a.mp4"),
        ("clips//a.mp4", "s3://b/p", "s3://b/p/clips//a.mp4"),
        ("../x//./y.mp4", "s3://b/p//q", "s3://b/p//x//y.mp4"),
        ("50%20?.mp4", "s3://b", "s3://b/50%20?.mp4"),
        ("folder/", "s3://b/p", "s3://b/p/folder/"),
        ("..", "s3://b/p", "s3://b/"),
        ("s3://c/k", "s3://b", "s3://c/k"),
        ("/a.mp4", "s3://b", "/a.mp4"),
        ("./a.mp4", "/data", "/data/a.mp4"),
        ("../a.mp4", "/data/catalogs", "/data/catalogs/../a.mp4"),
        ("file:///x", "/data", "file:///x"),
    ],
)
def test_relative_uris_resolve_and_absolute_ones_stay(uri: str, against: str, resolved: str) -> None:
    assert resolve_uri(uri, against=against) == resolved


def test_a_relative_folder_resolves_against_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_uri("a.mp4", against="clips") == f"{tmp_path}/clips/a.mp4"
    assert parent_uri("catalog.csv") == "."


def test_a_relative_uri_cannot_leave_its_bucket() -> None:
    with pytest.raises(ConfigError, match="leaves the bucket"):
        resolve_uri("../../a.mp4", against="s3://b/catalogs")


@pytest.mark.parametrize(
    ("uri", "parent"), [("s3://b/p/k.csv", "s3://b/p"), ("s3://b/k.csv", "s3://b"), ("/a/k.csv", "/a")]
)
def test_the_parent_holds_the_object(uri: str, parent: str) -> None:
    assert parent_uri(uri) == parent


def test_a_password_is_struck_out_up_to_the_last_at_sign() -> None:
    assert without_secrets("cannot read https://me:p@ss@host/a@b.mp4") == "cannot read https://***host/a@b.mp4"
