"""Scratch space: freed, swept after a kill, and a full disk is nobody's fault."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from tiny_poses import TinyEstimator, TinyWorker, write_clips

from choreai.catalog.catalog import read_catalog, with_content_ids
from choreai.catalog.shards import pending_videos, plan_shards
from choreai.cli.console import run_command
from choreai.cluster.session import connect
from choreai.errors import ConfigError, StorageError, WorkerError
from choreai.pose.settings import PoseSettings
from choreai.storage.scratch import scratch_folder, sweep_scratch
from choreai.tables import schemas


@pytest.fixture
def scratch_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "scratch"
    root.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    return root


def test_a_scratch_folder_is_gone_at_the_end_also_after_an_error(scratch_root: Path) -> None:
    with suppress(KeyError), scratch_folder() as folder:
        (folder / "x").touch()
        assert folder.parent == scratch_root
        raise KeyError
    assert list(scratch_root.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_what_a_live_one_has_stays(scratch_root: Path) -> None:
    program = (
        "import os, signal, tempfile\n"
        f"tempfile.tempdir = {str(scratch_root)!r}\n"
        "from choreai.storage.scratch import ScratchFolder\n"
        "left = ScratchFolder()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], check=False, timeout=60)
    assert ended.returncode == -signal.SIGKILL
    assert len(list(scratch_root.iterdir())) == 1
    (scratch_root / "choreai-not-ours").mkdir()
    with scratch_folder() as folder:
        assert sweep_scratch() == 1
        assert folder.is_dir()
    assert [path.name for path in scratch_root.iterdir()] == ["choreai-not-ours"]


def test_no_folder_for_scratch_is_a_clear_storage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: [str(tmp_path / "gone")])
    with pytest.raises(StorageError, match="set TMPDIR"), scratch_folder():
        pass


class FullDiskEstimator(TinyEstimator):
    def estimate(self, frames):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/rows.arrow")


class FullDiskWorker(TinyWorker):
    @classmethod
    def build_estimator(cls, settings: PoseSettings, *, num_threads: int = 1) -> FullDiskEstimator:
        return FullDiskEstimator()


def test_a_full_disk_quarantines_no_video_and_leaves_nothing(tmp_path: Path) -> None:
    catalog = with_content_ids(read_catalog(str(write_clips(tmp_path, [1]))))
    pending = pending_videos(catalog, schemas.VIDEOS.empty_table(), retry_quarantined=False)
    (shard,) = plan_shards(pending.videos, videos_per_shard=2, pose_fingerprint="tiny")
    output = tmp_path / "out"
    worker = FullDiskWorker(str(output), settings=PoseSettings(), pose_fingerprint="tiny", run_id="run")
    worker.setup()
    with pytest.raises(StorageError, match="No space left on device; free some space"):
        worker.process(shard)
    assert not output.exists()


def test_a_full_disk_ends_a_command_with_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def full(_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/x")

    assert run_command(full, None) == 1  # type: ignore[arg-type]


def test_a_scratch_folder_whose_name_is_too_long_for_ray_is_said_as_such(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / ("long" * 30)))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(ConfigError, match="set RAY_TMPDIR to a short one"):
        connect()


def test_a_ray_that_cannot_start_says_what_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_TMPDIR", "/proc")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with pytest.raises(WorkerError, match=r"Ray cannot start on this machine .*RAY_TMPDIR.*open files"):
        connect()


def test_an_address_that_is_none_is_said_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "::nonsense::")
    with pytest.raises(ConfigError, match="'::nonsense::' is not the address of a Ray cluster"):
        connect()


def test_sigterm_ends_a_command_as_ctrl_c_does() -> None:
    program = (
        "import os, signal, sys, time\n"
        "from choreai.cli.console import run_command\n"
        "def work(_):\n    os.kill(os.getpid(), signal.SIGTERM)\n    time.sleep(30)\n"
        "sys.exit(run_command(work, None))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 130
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "interrupted; run the same command again" in ended.stderr


def test_a_current_folder_that_is_gone_is_wrong_input(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = "import sys; from choreai.cli.console import run_command; sys.exit(run_command(lambda _: 0, None))"
    ended = subprocess.run(
        ["bash", "-c", f"rmdir {gone}; exec {sys.executable} -c '{program}'"],
        capture_output=True, text=True, timeout=60, check=False, cwd=gone,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert ended.returncode == 2, ended.stderr
    assert "the current folder was deleted" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("redirected", "code", "words"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        (">/dev/full", 1, "standard output cannot be written (No space left on device)"),
        ("| true", 0, ""),
    ],
)
def test_a_run_goes_on_to_its_end_where_its_output_cannot_be_written(
    tmp_path: Path, redirected: str, code: int, words: str
) -> None:
    program = (
        "import pathlib, sys, time\n"
        "from choreai.cli.console import print_table, run_command\n"
        "def work(_):\n"
        "    time.sleep(0.2)\n    print('x' * 100_000)\n    print_table('table', [('a', 'b')])\n"
        "    pathlib.Path('done').touch()\n    return 0\n"
        "sys.exit(run_command(work, None))\n"
    )
    (tmp_path / "work.py").write_text(program)
    ended = subprocess.run(
        ["bash", "-c", f"{sys.executable} work.py {redirected}; exit ${{PIPESTATUS[0]}}"],
        capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.getcwd()},
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr
    assert (tmp_path / "done").exists()
    assert words in ended.stderr
    assert "Error" not in ended.stderr


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_output_never_fails_on_a_terminal_of_few_letters(tmp_path: Path, encoding: str) -> None:
    program = (
        "import logging, sys\n"
        "from choreai.cli.console import print_table, run_command\n"
        "def work(_):\n"
        "    print_table('Tänze ダンス', [('ü', '\\u2028…')])\n    print('ダンス')\n"
        "    logging.getLogger('choreai').warning('ダンス')\n    return 0\n"
        "sys.exit(run_command(work, None))\n"
    )
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "PYTHONPATH": os.getcwd()}
    (tmp_path / "work.py").write_text(program, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "work.py")]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False, env=environment)
    assert ended.returncode == 0, ended.stderr
    assert b"Error" not in ended.stderr
