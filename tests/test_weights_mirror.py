"""Mirrors of weights, on a folder and on S3, and names resolved to files."""

import json
from pathlib import Path

import pytest
from weights_server import WeightsServer, entry_settings, made_bytes, sha256, write_catalogue, zipped

from choreai.errors import ConfigError, ObjectMissingError, StorageError, WeightsError
from choreai.storage import objects
from choreai.weights import missing_weights, resolve_settings, weights_path
from choreai.weights.cache import Cache
from choreai.weights.catalogue import Catalogue, read_catalogue
from choreai.weights.fetch import fetch
from choreai.weights.mirror import copy_to_mirror, hash_in_mirror, resolve_mirror, write_index

ONE, TWO = made_bytes(200_000, seed=1), made_bytes(100_000, seed=2)


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    """Two files that lie in a folder: one plain, one in a zip."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "one.onnx").write_bytes(ONE)
    (folder / "two.zip").write_bytes(zipped({"net/end2end.onnx": TWO}))
    one = entry_settings("one", f"{folder}/one.onnx", ONE)
    two = entry_settings("two", f"file://{folder}/two.zip", TWO, zip_member="end2end.onnx", vouchers=1)
    return read_catalogue(write_catalogue(tmp_path / "mine.toml", one, two, sets={"both": ["one", "two"]}))


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "weights")


def fill(cache: Cache, catalogue: Catalogue) -> None:
    for entry in catalogue.weights.values():
        fetch(entry, cache)


def test_a_mirror_serves_a_machine_that_has_nothing_else(
    store_uri: str, catalogue, cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fill(cache, catalogue)
    mirror = f"{store_uri}/mirror of weights"
    done = list(copy_to_mirror(catalogue.weights.values(), cache, mirror))
    assert [item.was_there for item in done] == [False, False]
    offline = Cache(tmp_path / "offline")
    for name, data in (("one", ONE), ("two", TWO)):
        fetched = fetch(catalogue.find(name), offline, mirror=mirror)
        assert fetched.path.read_bytes() == data
        assert fetched.uri == f"{mirror}/{sha256(data)}.onnx"
        assert hash_in_mirror(catalogue.find(name), mirror) == sha256(data)
    assert "two: one public repository vouches for its hash, and a mirror cannot confirm it" in caplog.text
    assert offline.confirmed_from(catalogue.find("two")) is None
    assert cache.confirmed_from(catalogue.find("two")) == catalogue.find("two").url


def test_mirroring_twice_changes_nothing_and_the_index_says_what_is_there(store_uri: str, catalogue, cache) -> None:
    fill(cache, catalogue)
    mirror = f"{store_uri}/mirror"
    list(copy_to_mirror([catalogue.find("one")], cache, mirror))
    again = list(copy_to_mirror(catalogue.weights.values(), cache, mirror))
    assert [item.was_there for item in again] == [True, False]
    index = json.loads(objects.read_object(write_index(catalogue, mirror)))
    assert [(row["name"], row["num_bytes"]) for row in index["files"]] == [("one", len(ONE)), ("two", len(TWO))]
    assert index["files"][0]["licence"] == "MIT"
    assert index["files"][0]["data_terms"] == "Nobody minds."


def test_a_mirror_over_http_serves_too(catalogue, cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    fill(cache, catalogue)
    server = WeightsServer({f"/{path.name}": path.read_bytes() for path in cache.folder.glob("*.onnx")})
    offline = Cache(tmp_path / "offline")
    assert fetch(catalogue.find("two"), offline, mirror=f"{server.address}/").path.read_bytes() == TWO
    server.stop()


def test_files_that_somebody_downloaded_by_hand_are_a_mirror(catalogue, cache, tmp_path: Path) -> None:
    assert fetch(catalogue.find("two"), cache, mirror=str(tmp_path / "published")).path.read_bytes() == TWO
    assert cache.confirmed_from(catalogue.find("two")) is None


def test_what_a_mirror_lacks_is_not_fetched_elsewhere(store_uri: str, catalogue, cache) -> None:
    with pytest.raises(ObjectMissingError, match=r"neither [0-9a-f]{64}\.onnx nor one\.onnx") as caught:
        fetch(catalogue.find("one"), cache, mirror=f"{store_uri}/empty")
    assert "choreai weights fetch one" in str(caught.value)


def test_a_mirror_with_wrong_bytes_is_refused(store_uri: str, catalogue, cache) -> None:
    entry = catalogue.find("one")
    objects.put_object(f"{store_uri}/mirror/{entry.file_name}", bytes(len(ONE)))
    with pytest.raises(WeightsError, match="other bytes"):
        fetch(entry, cache, mirror=f"{store_uri}/mirror")
    assert cache.find(entry) is None


def test_an_unfinished_file_in_a_mirror_is_named(store_uri: str, catalogue, cache) -> None:
    fill(cache, catalogue)
    objects.put_object(f"{store_uri}/mirror/{catalogue.find('one').file_name}", ONE[:1000])
    with pytest.raises(StorageError, match="has 1,000 bytes instead of 200,000 bytes; delete it and mirror again"):
        list(copy_to_mirror([catalogue.find("one")], cache, f"{store_uri}/mirror"))


def test_a_damaged_file_is_not_mirrored(catalogue, cache, tmp_path: Path) -> None:
    fill(cache, catalogue)
    cache.path_of(catalogue.find("one")).write_bytes(bytes(len(ONE)))
    with pytest.raises(WeightsError, match="is damaged"):
        list(copy_to_mirror([catalogue.find("one")], cache, str(tmp_path / "mirror")))
    assert not (tmp_path / "mirror").exists()


def test_what_was_never_fetched_cannot_be_mirrored(catalogue, cache, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"one is not in .*; `choreai weights fetch one` first"):
        list(copy_to_mirror([catalogue.find("one")], cache, str(tmp_path / "mirror")))
    with pytest.raises(ConfigError, match="can only be read"):
        resolve_mirror("https://example.org/weights")


# ---- Names of weights as settings ----


def test_a_name_is_a_path_once_its_file_is_cached(catalogue, cache) -> None:
    where = {"cache": cache, "catalogue": catalogue}
    assert weights_path("one", **where) is None
    assert [entry.name for entry in missing_weights(["both"], **where)] == ["one", "two"]
    with pytest.raises(WeightsError, match=r"the weights one \(0\.2 MB\) are not in .*`choreai weights fetch one`"):
        resolve_settings({"checkpoint": "weights:one"}, **where)
    found = resolve_settings({"checkpoint": "weights:one"}, auto_fetch=True, mirror="", **where)
    assert found == {"checkpoint": str(weights_path("one", **where))}
    assert weights_path("one", **where) == cache.path_of(catalogue.find("one"))
    assert [entry.name for entry in missing_weights(["both"], **where)] == ["two"]


def test_a_setting_may_name_weights_or_a_file(catalogue, cache) -> None:
    fill(cache, catalogue)
    where = {"cache": cache, "catalogue": catalogue}
    found = resolve_settings({"checkpoint": "weights:two", "detector_checkpoint": "s3://bucket/two.onnx"}, **where)
    assert found == {
        "checkpoint": str(cache.path_of(catalogue.find("two"))),
        "detector_checkpoint": "s3://bucket/two.onnx",
    }
    with pytest.raises(ConfigError, match="no weights are called 'three'"):
        resolve_settings({"checkpoint": "weights:three"}, **where)


def test_everything_that_is_missing_is_named_in_one_command(catalogue, cache) -> None:
    named = {"checkpoint": "weights:two", "detector_checkpoint": "weights:one"}
    with pytest.raises(WeightsError, match=r"two \(0\.1 MB\) and one \(0\.2 MB\) are .* fetch two one`"):
        resolve_settings(named, cache=cache, catalogue=catalogue)


def test_the_environment_names_the_cache_and_the_mirror(
    catalogue, cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(cache, catalogue)
    monkeypatch.setenv("CHOREAI_WEIGHTS", str(tmp_path / "mine"))
    monkeypatch.setenv("CHOREAI_WEIGHTS_MIRROR", str(cache.folder))
    assert weights_path("yolox_nano") is None
    path = Path(resolve_settings({"checkpoint": "weights:one"}, auto_fetch=True, catalogue=catalogue)["checkpoint"])
    assert path.parent == tmp_path / "mine"
    assert path.read_bytes() == ONE
