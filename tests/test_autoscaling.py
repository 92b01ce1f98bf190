"""Ray's autoscaler brings nodes for a job and takes them away; `tests/autoscaling.py` tells the story and checks it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from drivers import ROOT


@pytest.mark.ray
@pytest.mark.skipif("CHOREAI_SLOW" not in os.environ, reason="two minutes: `make autoscaling`, or set CHOREAI_SLOW=1")
@pytest.mark.timeout(600)  # two jobs, from no node to no node each
def test_nodes_come_for_a_job_are_all_used_may_be_lost_and_go_and_a_stopped_job_resumes(tmp_path: Path) -> None:
    # A process of its own: it must not be connected to any other Ray.
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "autoscaling.py"), "--picture", str(tmp_path / "nodes.png")],
        capture_output=True, text=True, timeout=580,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    events = ["three nodes are up", "is lost", "s  job done", "stopped after", "second job done", "nodes are gone"]
    places = [done.stdout.rindex(event) for event in events]
    assert places == sorted(places), done.stdout
    assert (tmp_path / "nodes.png").stat().st_size > 10_000
