"""A worker's death is said in words: what Ray did, and what to set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from drivers import ROOT
from ray.exceptions import OutOfMemoryError, RayActorError
from tiny_poses import write_clips

from choreai.cluster.deaths import SHORT_OF_MEMORY, cause_of_death, is_short_of_memory

KILLED = """The actor died unexpectedly before finishing this task.
	class_name: PoseWorker
The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR Worker exit detail: Worker \
unexpectedly exits with a connection error code 2. End of file. Some common causes include: (1) the process was killed \
by the OOM killer due to high memory usage, (2) ray stop --force was called, or (3) the worker crashed unexpectedly."""


@pytest.mark.ray
def test_a_node_short_of_memory_ends_a_job_with_what_to_set(tmp_path: Path) -> None:
    """Ray really ends the workers: any machine is using more than 1 % of its memory."""
    catalog = write_clips(tmp_path, range(4))
    program = (
        "import runpy, sys\n"
        "from choreai.cluster import pool\n"
        "pool.MAX_DEAD_STARTS = 1\n"
        f"runpy.run_path({str(ROOT / 'tests' / 'tiny_job.py')!r}, run_name='__main__')\n"
    )
    command = [sys.executable, "-c", program, str(catalog), "--output", str(tmp_path / "out"), "--num-workers", "1"]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")]),
        "RAY_memory_usage_threshold": "0.01",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False, env=environment)
    assert ended.returncode == 1, ended.stderr
    assert f"the last: {SHORT_OF_MEMORY}" in ended.stderr
    assert "run the same command again to resume" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_process_that_was_killed_is_not_said_to_have_run_out_of_memory() -> None:
    """Ray lists the OOM killer among the common causes of every death."""
    error = RayActorError(error_msg=KILLED)
    assert not is_short_of_memory(error)
    assert cause_of_death(error).startswith("its process ended at once")


def test_what_ray_says_of_memory_names_the_settings() -> None:
    error = OutOfMemoryError("1 worker(s) were killed due to the node running low on memory. Memory on the node ...")
    assert is_short_of_memory(error)
    for name in ("num_workers", "num_cpus", "max_video_gib"):
        assert name in cause_of_death(error)


def test_an_end_of_another_kind_is_told_as_ray_tells_it() -> None:
    error = RayActorError(error_msg="It is dead. Worker exit type: NODE_OUT_OF_DISK Worker exit detail: 99 % full.")
    assert cause_of_death(error) == "NODE_OUT_OF_DISK Worker exit detail: 99 % full."
