"""What only a file system can do, and its refusals."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from choreai.errors import ObjectUnusableError, StorageError
from choreai.storage.objects import (
    list_objects,
    open_object,
    put_if_absent,
    put_object,
    read_object,
    stat_object,
)


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
    def no_links(*_: object, **__: Any) -> None:
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


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Root may write anywhere: be nobody (65534) for a moment."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_permission_says_who_needs_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with ordinary_user(), pytest.raises(ObjectUnusableError, match=r"give user \d+ access") as caught:
            put_object(str(tmp_path / "a"), b"x")
    finally:
        tmp_path.chmod(0o700)
    assert f"give user {os.geteuid() or 65534} access" in str(caught.value)


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
