"""Objects: the same promises from a file system and from an S3 server over HTTP."""

import errno
import io
import os
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError, StorageError
from choreai.storage import s3
from choreai.storage.objects import (
    delete_object,
    is_folder,
    list_objects,
    open_object,
    put_if_absent,
    put_object,
    read_object,
    stat_object,
)
from choreai.storage.uris import ObjectInfo, check_uri, join_uri, parent_uri, resolve_uri

AWKWARD_NAMES = ["a b.mp4", "50%20off.mp4", "what?.mp4", "#1.mp4", "ダンス/ña.mp4", "a+b&c=d.mp4", "it's.mp4"]


# ---- URIs ----


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("", "not a URI"),
        ("http://host/a.mp4", "http:// is not supported; download it"),
        ("HTTPS://host/a.mp4", "https:// is not supported"),
        ("gs://bucket/a.mp4", "AWS_ENDPOINT_URL"),
        ("hdfs://host/a.mp4", "hdfs:// is not supported; use s3://"),
        ("s3a://bucket/key", "write s3://"),
        ("s3://", "no bucket"),
        ("s3:///key", "no bucket"),
        ("file://host/a.mp4", "names a host"),
        ("a\0b", "not a URI"),
        ("file:///a%00b", "not a URI"),
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
        ("../clips//./a.mp4", "s3://b/catalogs/2026/", "s3://b/catalogs/clips/a.mp4"),
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


# ---- both stores ----


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_awkward_names_are_taken_literally(store_uri: str, name: str) -> None:
    uri = join_uri(store_uri, name)
    put_object(uri, b"dance")
    assert read_object(uri) == b"dance"
    info = stat_object(uri)
    assert list(list_objects(store_uri)) == [info]
    assert info is not None
    assert (info.uri, info.size) == (uri, 5)
    delete_object(uri)
    assert stat_object(uri) is None


def test_putting_replaces_and_the_content_id_follows_the_bytes(store_uri: str) -> None:
    uri = join_uri(store_uri, "sub", "a.bin")
    put_object(uri, b"one")
    before = stat_object(uri)
    put_object(uri, b"other")
    after = stat_object(uri)
    assert read_object(uri) == b"other"
    assert before is not None
    assert after is not None
    assert before.content_id != after.content_id
    assert '"' not in after.content_id


def test_an_object_is_put_once(store_uri: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    source = tmp_path_factory.mktemp("source") / "part.parquet"
    source.write_bytes(os.urandom(3 << 20))
    uri = join_uri(store_uri, "keypoints", "part.parquet")
    assert put_if_absent(uri, source)
    assert not put_if_absent(uri, b"late")
    assert read_object(uri) == source.read_bytes()
    assert [info.uri for info in list_objects(store_uri)] == [uri]


def test_of_sixteen_racing_writers_one_wins(store_uri: str) -> None:
    for round_number in range(4):
        uri = join_uri(store_uri, f"part-{round_number}")
        bodies = [bytes([n]) * 100_000 for n in range(16)]
        start = threading.Barrier(16)

        def race(body: bytes, uri: str = uri, start: threading.Barrier = start) -> bool:
            start.wait()
            return put_if_absent(uri, body)

        with ThreadPoolExecutor(16) as pool:
            wins = list(pool.map(race, bodies))
        assert wins.count(True) == 1
        assert read_object(uri) == bodies[wins.index(True)]


def test_what_is_missing_is_none_an_error_or_nothing(store_uri: str) -> None:
    missing = join_uri(store_uri, "no", "such.mp4")
    assert stat_object(missing) is None
    assert not is_folder(missing)
    assert list(list_objects(missing)) == []
    delete_object(missing)
    for read in (open_object, read_object):
        with pytest.raises(ObjectMissingError, match=r"such\.mp4"):
            read(missing)


def test_a_missing_source_is_named_and_leaves_nothing(store_uri: str, tmp_path: Path) -> None:
    with pytest.raises(ObjectMissingError, match=r"gone\.parquet"):
        put_if_absent(join_uri(store_uri, "part"), tmp_path / "gone.parquet")
    assert list(list_objects(store_uri)) == []
    assert not any(tmp_path.iterdir())


def test_a_folder_is_no_object(store_uri: str) -> None:
    put_object(join_uri(store_uri, "clips", "a.mp4"), b"a")
    folder = join_uri(store_uri, "clips")
    assert is_folder(folder)
    assert is_folder(store_uri)
    attempts: list[Callable[[str], object]] = [
        stat_object,
        open_object,
        delete_object,
        lambda uri: put_object(uri, b"x"),
        lambda uri: put_if_absent(uri, b"x"),
    ]
    for attempt in attempts:
        with pytest.raises(ObjectUnusableError, match="is a folder"):
            attempt(folder if not folder.startswith("s3:") else f"{folder}/")


def test_a_prefix_is_a_folder_and_no_half_name(store_uri: str) -> None:
    for name in ("run/a", "run/deep/b", "run2/c"):
        put_object(join_uri(store_uri, name), b"")
    for prefix in (join_uri(store_uri, "run"), join_uri(store_uri, "run", "")):
        found = {info.uri for info in list_objects(prefix)}
        assert found == {join_uri(store_uri, "run/a"), join_uri(store_uri, "run/deep/b")}


def test_a_name_too_long_is_unusable_and_no_more(store_uri: str) -> None:
    long = join_uri(store_uri, "n" * 2000)
    for attempt in (stat_object, open_object, lambda uri: put_if_absent(uri, b"x")):
        with pytest.raises(ObjectUnusableError):
            attempt(long)
    fits = join_uri(store_uri, "é" * 127)  # 254 bytes: with any suffix added it would not fit a file system
    assert put_if_absent(fits, b"x")
    assert read_object(fits) == b"x"


def test_a_name_that_is_no_text_is_unusable(store_uri: str) -> None:
    with pytest.raises(ObjectUnusableError):
        stat_object(join_uri(store_uri, "half-\ud800"))


def test_reads_at_any_place_equal_the_whole(store_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "READ_AHEAD_BYTES", 4096)
    whole = random.Random(0).randbytes(50_000)
    uri = join_uri(store_uri, "video.mp4")
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


def test_an_empty_object_reads_as_nothing(store_uri: str) -> None:
    put_object(join_uri(store_uri, "empty"), b"")
    assert read_object(join_uri(store_uri, "empty")) == b""


# ---- S3 ----


@pytest.mark.s3
def test_small_reads_share_one_request(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    put_object(f"{s3_uri}/a", bytes(100_000))
    requests: list[tuple[int, int]] = []
    get_range = s3._get_range

    def counted(info: ObjectInfo, location: s3.S3Location, start: int, stop: int) -> bytes:
        requests.append((start, stop))
        return get_range(info, location, start, stop)

    monkeypatch.setattr(s3, "_get_range", counted)
    with open_object(f"{s3_uri}/a") as file:
        for _ in range(50):
            file.read(1000)
        file.seek(0)
        file.read(10)
    assert requests == [(0, 100_000)]


@pytest.mark.s3
def test_an_object_that_changes_while_it_is_read_raises(s3_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "READ_AHEAD_BYTES", 1000)
    put_object(f"{s3_uri}/a", b"1" * 5000)
    with open_object(f"{s3_uri}/a") as file:
        assert file.read(1000) == b"1" * 1000
        put_object(f"{s3_uri}/a", b"2" * 5000)
        with pytest.raises(StorageError, match="changed while it was being read"):
            file.read(1000)


@pytest.mark.s3
def test_a_listing_has_more_than_one_page(s3_uri: str, s3_client: Any) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: put_object(f"{s3_uri}/clips/{n:04d}.mp4", b""), range(1005)))
    put_object(f"{s3_uri}/clips/z", b"")
    s3_client.put_object(Bucket=s3_uri.removeprefix("s3://"), Key="clips/mark/")
    assert [info.uri for info in list_objects(s3_uri)] == [
        *(f"{s3_uri}/clips/{n:04d}.mp4" for n in range(1005)),
        f"{s3_uri}/clips/z",
    ]


@pytest.mark.s3
def test_a_missing_bucket_is_named_with_its_remedy(s3_server: str) -> None:
    uri = "s3://no-such-bucket/a"
    assert stat_object(uri) is None
    attempts: list[Callable[[], object]] = [
        lambda: list(list_objects(uri)),
        lambda: put_object(uri, b""),
        lambda: put_if_absent(uri, b""),
    ]
    for attempt in attempts:
        with pytest.raises(ObjectMissingError, match=r"no-such-bucket/a: there is no such bucket; create it"):
            attempt()


@pytest.mark.s3
def test_an_impossible_bucket_name_is_unusable(s3_server: str) -> None:
    with pytest.raises(ObjectUnusableError, match="not a valid bucket"):
        stat_object("s3://not a bucket!/a")


class _Answers(BaseHTTPRequestHandler):
    """Answers each request with the next of `server.script`: (status, body, bytes of it that are sent)."""

    protocol_version = "HTTP/1.1"  # under 1.0 a client that expects "100 Continue" waits a second for it

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        script = self.server.script  # type: ignore[attr-defined]
        status, body, num_sent = script.pop(0) if len(script) > 1 else script[0]
        self.send_response(status)
        self.send_header("ETag", '"v1"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:num_sent])
        self.close_connection = True

    do_GET = do_HEAD = do_PUT = do_DELETE = _answer

    def log_message(self, *_: object) -> None:
        """Quiet."""


Script = list[tuple[int, bytes, int]]


@pytest.fixture
def scripted_s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Script], Script]]:
    """Makes the store a server that answers by a script; gives the script, which shrinks as it is used."""

    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server, _new_client():
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")

        def follow(script: Script) -> Script:
            server.script = script  # type: ignore[attr-defined]
            return script

        yield follow
        server.shutdown()
        thread.join()


@contextmanager
def _new_client() -> Iterator[None]:
    """A client made anew from the environment, here and afterwards."""
    s3._client_of_process.cache_clear()
    yield
    s3._client_of_process.cache_clear()


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode()


def _answer(status: int, body: bytes) -> tuple[int, bytes, int]:
    return status, body, len(body)


@pytest.mark.s3
@pytest.mark.parametrize(
    ("attempt", "permission"),
    [
        (stat_object, "s3:GetObject"),
        (open_object, "s3:GetObject"),
        (lambda uri: put_object(uri, b"x"), "s3:PutObject"),
        (lambda uri: put_if_absent(uri, b"x"), "s3:PutObject"),
        (lambda uri: list(list_objects(uri)), "s3:ListBucket"),
        (delete_object, "s3:DeleteObject"),
    ],
)
def test_forbidden_names_the_permission_to_grant(
    scripted_s3: Callable[[Script], Script], attempt: Callable[[str], object], permission: str
) -> None:
    scripted_s3([_answer(403, _error("AccessDenied"))])
    with pytest.raises(ObjectUnusableError, match=rf"^s3://b/k: forbidden .* grant {permission}"):
        attempt("s3://b/k")


@pytest.mark.s3
def test_refused_credentials_are_no_objects_fault(scripted_s3: Callable[[Script], Script]) -> None:
    scripted_s3([_answer(403, _error("InvalidAccessKeyId"))])
    with pytest.raises(StorageError, match="AWS_ACCESS_KEY_ID") as caught:
        put_object("s3://b/k", b"x")
    assert not isinstance(caught.value, ObjectUnusableError)


@pytest.mark.s3
def test_other_refusals_give_their_code(scripted_s3: Callable[[Script], Script]) -> None:
    scripted_s3([_answer(400, _error("EntityTooLarge"))])
    with pytest.raises(StorageError, match="PutObject failed with EntityTooLarge: No"):
        put_if_absent("s3://b/k", b"x")


@pytest.mark.s3
def test_a_conflict_between_writers_is_tried_again(scripted_s3: Callable[[Script], Script]) -> None:
    conflict = _answer(409, _error("ConditionalRequestConflict"))
    scripted_s3([conflict, conflict, _answer(200, b"")])
    assert put_if_absent("s3://b/k", b"x")
    scripted_s3([conflict, _answer(412, _error("PreconditionFailed"))])
    assert not put_if_absent("s3://b/k", b"x")


@pytest.mark.s3
def test_a_body_that_breaks_off_is_asked_for_again(scripted_s3: Callable[[Script], Script]) -> None:
    body = b"0123456789"
    left = scripted_s3([_answer(200, body), (206, body, 4), _answer(206, body)])
    assert read_object("s3://b/k") == body
    assert len(left) == 1


@pytest.mark.s3
def test_a_body_that_always_breaks_off_raises(scripted_s3: Callable[[Script], Script]) -> None:
    scripted_s3([_answer(200, b"0123456789"), (206, b"0123456789", 4)])
    with pytest.raises(StorageError, match="connection broke"):
        read_object("s3://b/k")


@pytest.mark.s3
def test_a_store_that_ignores_ranges_is_found_out(scripted_s3: Callable[[Script], Script]) -> None:
    scripted_s3([_answer(200, b"0123456789")])
    with open_object("s3://b/k") as file:
        file.seek(5)
        with pytest.raises(StorageError, match="asked for bytes=5-9, the store sent 10"):
            file.read(2)


@pytest.mark.s3
def test_without_credentials_the_error_says_what_to_set(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with _new_client(), pytest.raises(StorageError, match="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        stat_object("s3://b/k")


# ---- file system ----


def test_plain_paths_never_import_boto3(tmp_path: Path) -> None:
    code = (
        "import sys; from choreai.storage.objects import *\n"
        f"put_if_absent({str(tmp_path / 'a')!r}, b'x'); list(list_objects({str(tmp_path)!r}))\n"
        "sys.exit(any(name in sys.modules for name in ('boto3', 'botocore')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_file_uri_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a b%.mp4"
    path.write_bytes(b"x")
    assert read_object(path.as_uri()) == b"x"
    assert [info.uri for info in list_objects(tmp_path.as_uri())] == [str(path)]


def test_without_hard_links_the_exclusive_rename_still_has_one_winner(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    uri, start = str(tmp_path / "part"), threading.Barrier(16)

    def race(number: int) -> bool:
        start.wait()
        return put_if_absent(uri, bytes([number]) * 1000)

    with ThreadPoolExecutor(16) as pool:
        wins = list(pool.map(race, range(16)))
    assert wins.count(True) == 1
    assert read_object(uri) == bytes([wins.index(True)]) * 1000
    assert os.listdir(tmp_path) == ["part"]


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def disk_full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    for put in (put_object, put_if_absent):
        with pytest.raises(StorageError, match="No space left") as caught:
            put(str(tmp_path / "part"), b"x")
        assert not isinstance(caught.value, ObjectUnusableError)
    assert os.listdir(tmp_path) == []


def test_what_a_killed_writer_left_is_not_listed(tmp_path: Path) -> None:
    code = (
        "import os, signal; from choreai.storage.objects import put_if_absent\n"
        "os.link = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"put_if_absent({str(tmp_path / 'part')!r}, b'x')"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    assert len(os.listdir(tmp_path)) == 1
    assert list(list_objects(str(tmp_path))) == []
    assert put_if_absent(str(tmp_path / "part"), b"x")


def test_a_read_only_place_is_a_storage_error() -> None:
    with pytest.raises(StorageError, match=r"/proc/part"):  # refused to root as well, unlike a mode
        put_object("/proc/part", b"x")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_says_who_needs_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(ObjectUnusableError, match=f"give user {os.geteuid()} access"):
            put_object(str(tmp_path / "a"), b"x")
    finally:
        tmp_path.chmod(0o700)


def test_a_pipe_is_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(ObjectUnusableError, match="not a regular file"):
        open_object(str(tmp_path / "a.mp4"))
    assert list(list_objects(str(tmp_path))) == []


def test_a_file_where_a_folder_should_be_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert stat_object(str(tmp_path / "a" / "b")) is None
    for attempt in (lambda uri: put_object(uri, b""), lambda uri: put_if_absent(uri, b"")):
        with pytest.raises(ObjectUnusableError):
            attempt(str(tmp_path / "a" / "b"))
    with pytest.raises(ObjectUnusableError, match="Not a directory"):
        list(list_objects(str(tmp_path / "a")))


def test_links_between_folders_are_followed_once(tmp_path: Path) -> None:
    put_object(str(tmp_path / "library" / "a.mp4"), b"a")
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "linked").symlink_to(tmp_path / "library")
    (tmp_path / "library" / "up").symlink_to(tmp_path / "clips")
    (tmp_path / "clips" / "broken.mp4").symlink_to(tmp_path / "gone")
    assert [info.uri for info in list_objects(str(tmp_path / "clips"))] == [f"{tmp_path}/clips/linked/a.mp4"]


@pytest.mark.parametrize("kind", [StorageError, ObjectMissingError, ObjectUnusableError])
def test_storage_errors_survive_the_trip_between_processes(kind: type[StorageError]) -> None:
    error = pickle.loads(pickle.dumps(kind("s3://b/k", "forbidden")))
    assert (type(error), error.uri, error.reason, str(error)) == (
        kind,
        "s3://b/k",
        "forbidden",
        "s3://b/k: forbidden",
    )
