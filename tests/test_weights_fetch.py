"""Fetching weights from a real HTTP server on a bad day: cut, slow, wrong, full, and two at once."""

import os
import resource
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from weights_server import Fault, WeightsServer, entry_settings, made_bytes, sha256, write_catalogue, zipped

from choreai.errors import ObjectMissingError, ObjectUnusableError, StorageError, WeightsError
from choreai.weights.cache import Cache, default_folder
from choreai.weights.catalogue import WeightsFile, read_catalogue
from choreai.weights.download import Patience
from choreai.weights.fetch import Fetched, fetch
from choreai.weights.sources import ConnectionBrokenError

DATA = made_bytes(300_000)
QUICK = Patience(retry_seconds=(0.0, 0.0), timeout_seconds=5.0)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightsServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = WeightsServer({"/a.onnx": DATA})
    yield server
    server.stop()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "weights")


def catalogue_file(server: WeightsServer, folder: Path, **change: Any) -> Path:
    return write_catalogue(folder / "mine.toml", entry_settings("a", f"{server.address}/a.onnx", DATA) | change)


def entry_for(server: WeightsServer, folder: Path, **change: Any) -> WeightsFile:
    return read_catalogue(catalogue_file(server, folder, **change)).find("a")


def assert_nothing_is_kept(cache: Cache) -> None:
    assert [path.name for path in cache.folder.iterdir() if not path.name.endswith(".lock")] == []


# ---- All well ----


def test_a_file_is_fetched_once_and_found_by_its_hash(server, cache, tmp_path: Path) -> None:
    entry = entry_for(server, tmp_path)
    assert cache.find(entry) is None
    seen: list[tuple[int, int | None]] = []
    done = fetch(entry, cache, patience=QUICK, on_progress=lambda *counts: seen.append(counts))
    assert done == Fetched(entry, cache.folder / f"{sha256(DATA)}.onnx", False, f"{server.address}/a.onnx")
    assert done.path.read_bytes() == DATA
    assert seen[0] == (0, len(DATA))
    assert seen[-1] == (len(DATA), len(DATA))
    assert fetch(entry, cache, patience=QUICK).was_there
    assert len(server.requests) == 1


def test_the_cache_is_where_the_environment_says() -> None:
    assert default_folder({"CHOREAI_WEIGHTS": "/x/y", "XDG_CACHE_HOME": "/z"}) == Path("/x/y")
    assert default_folder({"XDG_CACHE_HOME": "/z"}) == Path("/z/choreai/weights")
    assert default_folder({"XDG_CACHE_HOME": "z"}) == Path.home() / ".cache/choreai/weights"


@pytest.mark.parametrize("num_bytes", [0, len(DATA)])
def test_the_size_may_be_unknown_to_the_catalogue_and_to_the_server(num_bytes, server, cache, tmp_path: Path) -> None:
    server.faults.append(Fault(says_nothing_of_size=True))
    assert fetch(entry_for(server, tmp_path, num_bytes=num_bytes), cache, patience=QUICK).path.read_bytes() == DATA


def test_a_file_that_was_damaged_in_the_cache_is_fetched_again(server, cache, tmp_path: Path) -> None:
    entry = entry_for(server, tmp_path)
    path = fetch(entry, cache, patience=QUICK).path
    path.write_bytes(bytes(len(DATA)))
    assert not fetch(entry, cache, patience=QUICK).was_there
    assert path.read_bytes() == DATA


# ---- Cut connections ----


def test_a_cut_download_goes_on_where_it_stopped(server, cache, tmp_path: Path) -> None:
    server.faults.extend([Fault(cut_after=100_000), Fault(cut_after=250_000)])
    assert fetch(entry_for(server, tmp_path), cache, patience=QUICK).path.read_bytes() == DATA
    assert [span for _, span in server.requests] == [None, "bytes=100000-", "bytes=250000-"]


def test_a_download_that_was_given_up_is_resumed_by_the_next_call(server, cache, tmp_path: Path) -> None:
    entry = entry_for(server, tmp_path)
    server.faults.extend([Fault(cut_after=100_000), Fault(status=503), Fault(status=503)])
    with pytest.raises(ConnectionBrokenError, match="given up after 3 attempts; 100,000 bytes are kept"):
        fetch(entry, cache, patience=QUICK)
    assert cache.find(entry) is None
    assert fetch(entry, cache, patience=QUICK).path.read_bytes() == DATA
    assert server.requests[-1] == ("/a.onnx", "bytes=100000-")


def test_a_server_that_cannot_resume_is_read_from_the_start(server, cache, tmp_path: Path) -> None:
    server.faults.extend([Fault(cut_after=100_000), Fault(ignores_range=True)])
    assert fetch(entry_for(server, tmp_path), cache, patience=QUICK).path.read_bytes() == DATA


def test_a_download_is_resumed_through_a_redirect(server, cache, tmp_path: Path) -> None:
    server.files["/store/a"] = DATA
    redirect = Fault(redirect_to="/store/a")
    server.faults.extend([redirect, Fault(cut_after=100_000), redirect])
    assert fetch(entry_for(server, tmp_path), cache, patience=QUICK).path.read_bytes() == DATA
    assert server.requests[-1] == ("/store/a", "bytes=100000-")


def test_a_cut_is_noticed_where_the_server_never_said_the_size(server, cache, tmp_path: Path) -> None:
    server.faults.append(Fault(cut_after=100_000, says_nothing_of_size=True))
    assert fetch(entry_for(server, tmp_path), cache, patience=QUICK).path.read_bytes() == DATA


def test_what_is_left_of_another_file_is_thrown_away(server, cache, tmp_path: Path) -> None:
    entry = entry_for(server, tmp_path)
    cache.folder.mkdir()
    cache.part_of(entry, suffix=".onnx", shared=True).write_bytes(bytes(1000))
    assert fetch(entry, cache, patience=QUICK).path.read_bytes() == DATA
    assert [span for _, span in server.requests] == ["bytes=1000-", None]


@pytest.mark.parametrize("num_bytes", [0, len(DATA)])
def test_what_is_left_of_a_longer_file_is_thrown_away(num_bytes, server, cache, tmp_path: Path) -> None:
    entry = entry_for(server, tmp_path, num_bytes=num_bytes)
    cache.folder.mkdir()
    cache.part_of(entry, suffix=".onnx", shared=True).write_bytes(bytes(len(DATA) + 5))
    assert fetch(entry, cache, patience=QUICK).path.read_bytes() == DATA


def test_a_server_that_always_fails_is_given_up(server, cache, tmp_path: Path) -> None:
    server.faults.extend([Fault(status=503)] * 3)
    with pytest.raises(StorageError, match="the server answered 503"):
        fetch(entry_for(server, tmp_path), cache, patience=QUICK)
    assert len(server.requests) == 3


def test_a_connection_without_a_byte_counts_as_broken(server, cache, tmp_path: Path) -> None:
    server.faults.append(Fault(seconds_per_chunk=1.0))
    patience = Patience(retry_seconds=(0.0,), timeout_seconds=0.2)
    assert fetch(entry_for(server, tmp_path), cache, patience=patience).path.read_bytes() == DATA
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [(404, ObjectMissingError, "nothing here"), (403, ObjectUnusableError, "refuses"), (400, StorageError, "400")],
)
def test_what_another_attempt_would_not_change_is_said_at_once(
    status, error, words, server, cache, tmp_path: Path
) -> None:
    server.faults.append(Fault(status=status))
    with pytest.raises(error, match=words):
        fetch(entry_for(server, tmp_path), cache, patience=QUICK)
    assert len(server.requests) == 1


def test_without_a_network_the_remedy_is_a_mirror(cache, tmp_path: Path) -> None:
    settings = entry_settings("a", "http://no-such-host.invalid/a.onnx", DATA)
    entry = read_catalogue(write_catalogue(tmp_path / "mine.toml", settings)).find("a")
    with pytest.raises(StorageError, match="no network, or a wrong name; offline, name a copy: --mirror"):
        fetch(entry, cache, patience=QUICK)


def test_a_closed_port_is_no_network_either(server, cache, tmp_path: Path) -> None:
    entry = entry_for(server, tmp_path)
    server.stop()
    with pytest.raises(ConnectionBrokenError, match=r"no connection .*given up after 3 attempts"):
        fetch(entry, cache, patience=QUICK)


# ---- Wrong bytes ----


def test_wrong_bytes_are_refused_and_named_with_both_hashes(server, cache, tmp_path: Path) -> None:
    wrong = made_bytes(len(DATA), seed=1)
    server.files["/a.onnx"] = wrong
    with pytest.raises(WeightsError, match=r"a: http://127.*/a\.onnx has other bytes") as caught:
        fetch(entry_for(server, tmp_path), cache, patience=QUICK)
    assert f"sha256 {sha256(wrong)}, expected {sha256(DATA)}" in str(caught.value)
    assert_nothing_is_kept(cache)


def test_an_error_page_is_refused_by_its_size_before_it_is_read(server, cache, tmp_path: Path) -> None:
    server.files["/a.onnx"] = b"<html>Please log in</html>"
    with pytest.raises(WeightsError, match="has 26 bytes, the catalogue says 300,000: it is another file, or an error"):
        fetch(entry_for(server, tmp_path), cache, patience=QUICK)
    assert_nothing_is_kept(cache)


def test_a_server_that_never_stops_is_stopped(server, cache, tmp_path: Path) -> None:
    server.faults.append(Fault(body=made_bytes(10_000_000), says_nothing_of_size=True))
    with pytest.raises(WeightsError, match="sends more than 300,000 bytes"):
        fetch(entry_for(server, tmp_path), cache, patience=QUICK)
    assert_nothing_is_kept(cache)


def test_the_first_fetch_confirms_a_hash_that_one_repository_vouches_for(
    server, cache, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "choreai")
    entry = entry_for(server, tmp_path, vouchers=1)
    assert cache.confirmed_from(entry) is None
    fetch(entry, cache, patience=QUICK)
    assert "now the official address confirms it" in caplog.text
    assert cache.confirmed_from(entry) == entry.url


def test_a_wrong_hash_with_one_voucher_puts_the_catalogue_in_doubt(server, cache, tmp_path: Path) -> None:
    server.files["/a.onnx"] = made_bytes(len(DATA), seed=1)
    with pytest.raises(WeightsError, match="so the catalogue may be what is wrong: compare with the publisher"):
        fetch(entry_for(server, tmp_path, vouchers=1), cache, patience=QUICK)


# ---- Zips ----


@pytest.fixture
def zip_entry(server: WeightsServer, tmp_path: Path) -> WeightsFile:
    archive = zipped({"20230831/net/end2end.onnx": DATA, "20230831/net/deploy.json": b"{}", "../evil.onnx": b"x"})
    server.files["/a.zip"] = archive
    change = {"url": f"{server.address}/a.zip", "zip_member": "end2end.onnx"}
    hashes = {"download_num_bytes": len(archive), "download_sha256": sha256(archive)}
    return entry_for(server, tmp_path, **change, **hashes)


def test_a_member_is_taken_out_of_a_zip_and_nothing_else(zip_entry, server, cache, tmp_path: Path) -> None:
    server.faults.append(Fault(cut_after=100_000))
    done = fetch(zip_entry, cache, patience=QUICK)
    assert done.path.name == f"{sha256(DATA)}.onnx"
    assert done.path.read_bytes() == DATA
    assert sorted(path.suffix for path in cache.folder.iterdir()) == [".lock", ".onnx"]
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    ("archive", "words"),
    [
        (zipped({"end2end.onnx": made_bytes(len(DATA), seed=1)}), "has other bytes than the catalogue says"),
        (zipped({"end2end.onnx": bytes(50_000_000)}), "has 50,000,000 bytes, 300,000 are expected"),
        (zipped({"other.onnx": DATA}), "has no files called end2end.onnx, one is expected; it has other.onnx"),
        (zipped({"a/end2end.onnx": DATA, "b/end2end.onnx": DATA}), "has 2 files called end2end.onnx"),
        (zipped({"end2end.onnx": DATA})[:-100], "no zip that can be read"),
        (DATA, "no zip that can be read"),
    ],
    ids=["wrong bytes", "too large", "missing", "twice", "cut", "no zip"],
)
def test_a_zip_with_something_else_inside_is_refused(archive, words, server, cache, tmp_path: Path) -> None:
    server.files["/a.zip"] = archive
    entry = entry_for(server, tmp_path, url=f"{server.address}/a.zip", zip_member="end2end.onnx")
    with pytest.raises(WeightsError, match=words):
        fetch(entry, cache, patience=QUICK)
    assert_nothing_is_kept(cache)


def test_a_zip_whose_header_lies_about_the_size_is_refused(server, cache, tmp_path: Path) -> None:
    archive = zipped({"end2end.onnx": bytes(5_000_000)})
    server.files["/a.zip"] = archive.replace((5_000_000).to_bytes(4, "little"), len(DATA).to_bytes(4, "little"))
    entry = entry_for(server, tmp_path, url=f"{server.address}/a.zip", zip_member="end2end.onnx")
    with pytest.raises(WeightsError):
        fetch(entry, cache, patience=QUICK)
    assert_nothing_is_kept(cache)


def test_an_encrypted_zip_is_refused(server, cache, tmp_path: Path) -> None:
    archive = bytearray(zipped({"end2end.onnx": DATA}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        archive[archive.find(mark) + offset] |= 1
    server.files["/a.zip"] = bytes(archive)
    entry = entry_for(server, tmp_path, url=f"{server.address}/a.zip", zip_member="end2end.onnx")
    with pytest.raises(WeightsError, match="no zip that can be read"):
        fetch(entry, cache, patience=QUICK)


def test_a_wrong_zip_is_refused_before_it_is_opened(zip_entry, server, cache) -> None:
    server.files["/a.zip"] = bytes(len(server.files["/a.zip"]))
    with pytest.raises(WeightsError, match="has other bytes") as caught:
        fetch(zip_entry, cache, patience=QUICK)
    assert zip_entry.download_sha256 in str(caught.value)
    assert not zipfile.is_zipfile(cache.path_of(zip_entry))
    assert_nothing_is_kept(cache)


# ---- No space ----


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("there is no mount command")
    if mounted.returncode:
        pytest.skip(f"a small file system needs root: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_too_small_a_disk_is_said_before_anything_is_fetched(small_disk, server, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no space for a: 0\.3 MB are needed, 0\.1 MB are free") as caught:
        fetch(entry_for(server, tmp_path), Cache(small_disk), patience=QUICK)
    assert "CHOREAI_WEIGHTS" in str(caught.value)
    assert server.requests == []


def test_a_disk_that_runs_full_is_said_and_gets_its_space_back(small_disk, server, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no space \(no space left on device\): free some"):
        fetch(entry_for(server, tmp_path, num_bytes=0), Cache(small_disk), patience=QUICK)
    assert_nothing_is_kept(Cache(small_disk))
    assert os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize > 100_000


def test_a_disk_that_runs_full_while_unpacking_keeps_no_half_of_the_file(small_disk, server, tmp_path: Path) -> None:
    data = bytes(300_000)
    server.files["/a.zip"] = zipped({"end2end.onnx": data})  # a few hundred bytes
    change = {"url": f"{server.address}/a.zip", "zip_member": "end2end.onnx", "num_bytes": 0, "sha256": sha256(data)}
    entry = entry_for(server, tmp_path, **change)
    with pytest.raises(StorageError, match="no space"):
        fetch(entry, Cache(small_disk), patience=QUICK)
    assert Cache(small_disk).find(entry) is None
    assert sum(path.stat().st_size for path in small_disk.iterdir()) == len(server.files["/a.zip"])


def run_choreai(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    code = "from choreai.cli.main import run; run()"
    command = [sys.executable, "-c", code, "weights", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def test_a_limit_on_file_sizes_reads_like_a_full_disk(server, cache, tmp_path: Path) -> None:
    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))

    arguments = ("fetch", "a", "--catalogue", str(catalogue_file(server, tmp_path)), "--cache", str(cache.folder))
    process = run_choreai(*arguments, preexec_fn=limit_files)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "no space (file too large)" in errors
    assert "Traceback" not in errors
    assert_nothing_is_kept(cache)


# ---- Several processes ----


def test_two_processes_at_once_fetch_one_file_once(server, cache, tmp_path: Path) -> None:
    server.faults.append(Fault(seconds_per_chunk=0.1))  # about 2 s
    arguments = ("fetch", "a", "--catalogue", str(catalogue_file(server, tmp_path)), "--cache", str(cache.folder))
    processes = [run_choreai(*arguments) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert len(server.requests) == 1
    assert sorted("(was here)" in output for output, _ in outputs) == [False, True]
    assert "another process is fetching it" in outputs[0][1] + outputs[1][1]
    assert (cache.folder / f"{sha256(DATA)}.onnx").read_bytes() == DATA


def test_a_killed_fetch_leaves_nothing_that_counts_and_the_next_goes_on(server, cache, tmp_path: Path) -> None:
    server.faults.append(Fault(seconds_per_chunk=0.2))
    arguments = ("fetch", "a", "--catalogue", str(catalogue_file(server, tmp_path)), "--cache", str(cache.folder))
    process = run_choreai(*arguments)
    entry = entry_for(server, tmp_path)
    part = cache.part_of(entry, suffix=".onnx", shared=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (part.exists() and part.stat().st_size):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    num_kept = part.stat().st_size
    assert 0 < num_kept < len(DATA)
    assert cache.find(entry) is None
    assert fetch(entry, cache, patience=QUICK).path.read_bytes() == DATA
    assert server.requests[-1] == ("/a.onnx", f"bytes={num_kept}-")


def test_where_a_file_system_has_no_locks_each_fetch_writes_its_own_file(server, cache, tmp_path: Path) -> None:
    entry = entry_for(server, tmp_path)
    first, second = (cache.part_of(entry, suffix=".onnx", shared=False) for _ in range(2))
    assert first != second
    cache.folder.mkdir()
    first.touch()
    assert cache.parts_of(entry) == [first]
