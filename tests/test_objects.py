"""Objects: the same guarantees from a file system and from an S3 server over HTTP."""

import io
import os
import pickle
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError, StorageError
from choreai.storage import ranges
from choreai.storage.objects import (
    check_may_be_folder,
    delete_object,
    is_folder,
    list_objects,
    open_object,
    put_if_absent,
    put_object,
    read_object,
    replace_object,
    stat_object,
)
from choreai.storage.uris import join_uri

AWKWARD_NAMES = ["a b.mp4", "50%20off.mp4", "what?.mp4", "#1.mp4", "ダンス/ña.mp4", "a+b&c=d.mp4", "it's.mp4"]


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_awkward_names_are_taken_literally(any_store_uri: str, name: str) -> None:
    uri = join_uri(any_store_uri, name)
    put_object(uri, b"dance")
    assert read_object(uri) == b"dance"
    info = stat_object(uri)
    assert list(list_objects(any_store_uri)) == [info]
    assert info is not None
    assert (info.uri, info.size) == (uri, 5)
    delete_object(uri)
    assert stat_object(uri) is None


def test_putting_replaces_and_the_content_id_follows_the_bytes(any_store_uri: str) -> None:
    uri = join_uri(any_store_uri, "sub", "a.bin")
    put_object(uri, b"one")
    before = stat_object(uri)
    put_object(uri, b"other")
    after = stat_object(uri)
    assert read_object(uri) == b"other"
    assert before is not None
    assert after is not None
    assert before.content_id != after.content_id
    assert '"' not in after.content_id


def test_an_object_is_put_once(any_store_uri: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    source = tmp_path_factory.mktemp("source") / "part.parquet"
    source.write_bytes(os.urandom(3 << 20))
    uri = join_uri(any_store_uri, "keypoints", "part.parquet")
    assert put_if_absent(uri, source)
    assert not put_if_absent(uri, b"late")
    assert read_object(uri) == source.read_bytes()
    assert [info.uri for info in list_objects(any_store_uri)] == [uri]


def test_of_sixteen_racing_writers_one_wins(any_store_uri: str) -> None:
    for round_number in range(4):
        uri = join_uri(any_store_uri, f"part-{round_number}")
        bodies = [bytes([n]) * 100_000 for n in range(16)]
        start = threading.Barrier(16)

        def race(body: bytes, uri: str = uri, start: threading.Barrier = start) -> bool:
            start.wait()
            return put_if_absent(uri, body)

        with ThreadPoolExecutor(16) as pool:
            wins = list(pool.map(race, bodies))
        assert wins.count(True) == 1
        assert read_object(uri) == bodies[wins.index(True)]


def test_of_an_object_only_the_version_that_was_seen_is_replaced(any_store_uri: str) -> None:
    uri = join_uri(any_store_uri, "tags", "part.parquet")
    put_object(uri, b"one")
    seen = stat_object(uri)
    assert seen is not None
    put_object(uri, b"another")
    assert not replace_object(seen, b"late")
    seen = stat_object(uri)
    assert seen is not None
    assert replace_object(seen, b"in time")
    assert read_object(uri) == b"in time"
    delete_object(uri)
    assert not replace_object(seen, b"late")
    assert stat_object(uri) is None


def test_an_output_is_a_folder_or_may_become_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for fine in (tmp_path, tmp_path / "new" / "deeper", "s3://bucket/dance"):
        check_may_be_folder(str(fine))
    with pytest.raises(ConfigError, match="is a file; give a folder"):
        check_may_be_folder(str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"lies in .*/file, which is a file"):
        check_may_be_folder(str(tmp_path / "file" / "out"))


def test_what_is_missing_is_none_an_error_or_nothing(any_store_uri: str) -> None:
    missing = join_uri(any_store_uri, "no", "such.mp4")
    assert stat_object(missing) is None
    assert not is_folder(missing)
    assert list(list_objects(missing)) == []
    delete_object(missing)
    for read in (open_object, read_object):
        with pytest.raises(ObjectMissingError, match=r"such\.mp4"):
            read(missing)


def test_a_missing_source_is_named_and_leaves_nothing(any_store_uri: str, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError, match=r"gone\.parquet"):
        put_if_absent(join_uri(any_store_uri, "part"), tmp_path / "gone.parquet")
    assert list(list_objects(any_store_uri)) == []
    assert not any(tmp_path.iterdir())


def test_a_folder_is_no_object(any_store_uri: str) -> None:
    put_object(join_uri(any_store_uri, "clips", "a.mp4"), b"a")
    folder = join_uri(any_store_uri, "clips")
    assert is_folder(folder)
    assert is_folder(any_store_uri)
    attempts: list[Callable[[str], object]] = [
        stat_object,
        open_object,
        delete_object,
        lambda uri: put_object(uri, b"x"),
        lambda uri: put_if_absent(uri, b"x"),
    ]
    for attempt in attempts:
        with pytest.raises(ObjectUnusableError, match="is a folder"):
            attempt(f"{folder}/" if "://" in folder else folder)


def test_a_prefix_is_a_folder_and_no_half_name(any_store_uri: str) -> None:
    for name in ("run/a", "run/deep/b", "run2/c"):
        put_object(join_uri(any_store_uri, name), b"")
    for prefix in (join_uri(any_store_uri, "run"), join_uri(any_store_uri, "run", "")):
        found = {info.uri for info in list_objects(prefix)}
        assert found == {join_uri(any_store_uri, "run/a"), join_uri(any_store_uri, "run/deep/b")}


def test_a_name_too_long_is_unusable_and_no_more(any_store_uri: str) -> None:
    long = join_uri(any_store_uri, "n" * 2000)
    for attempt in (stat_object, open_object, lambda uri: put_if_absent(uri, b"x")):
        with pytest.raises(ObjectUnusableError):
            attempt(long)
    fits = join_uri(any_store_uri, "é" * 127)  # 254 bytes: with any suffix added it would not fit a file system
    assert put_if_absent(fits, b"x")
    assert read_object(fits) == b"x"


def test_a_name_that_is_no_text_is_unusable(any_store_uri: str) -> None:
    with pytest.raises(ObjectUnusableError):
        stat_object(join_uri(any_store_uri, "half-\ud800"))


def test_reads_at_any_place_equal_the_whole(any_store_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "READ_AHEAD_BYTES", 4096)
    whole = random.Random(0).randbytes(50_000)
    uri = join_uri(any_store_uri, "video.mp4")
    put_object(uri, whole)
    reference, chance = io.BytesIO(whole), random.Random(1)
    with open_object(uri) as file:
        assert file.seekable()
        for _ in range(60):
            whence = chance.choice([os.SEEK_SET, os.SEEK_CUR, os.SEEK_END])
            low = {os.SEEK_SET: 0, os.SEEK_CUR: -reference.tell(), os.SEEK_END: -50_000}[whence]
            offset = chance.randrange(low, low + 51_000)
            num_bytes = chance.choice([0, 1, 100, 4096, 9000])
            assert file.seek(offset, whence) == reference.seek(offset, whence)
            assert file.read(num_bytes) == reference.read(num_bytes)
            assert file.tell() == reference.tell()
        file.seek(10)
        assert file.read() == whole[10:]


def test_an_empty_object_reads_as_nothing(any_store_uri: str) -> None:
    put_object(join_uri(any_store_uri, "empty"), b"")
    assert read_object(join_uri(any_store_uri, "empty")) == b""


@pytest.mark.parametrize("kind", [StorageError, ObjectMissingError, ObjectUnusableError])
def test_storage_errors_survive_the_trip_between_processes(kind: type[StorageError]) -> None:
    error = pickle.loads(pickle.dumps(kind("s3://b/k", "forbidden")))
    assert (type(error), error.uri, error.reason, str(error)) == (
        kind,
        "s3://b/k",
        "forbidden",
        "s3://b/k: forbidden",
    )
