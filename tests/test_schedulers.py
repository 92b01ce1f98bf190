"""Nights from a scheduler, examples/airflow_night.py and dagster_night.py: which exit codes are tried again.

Airflow and Dagster pin what Ray needs otherwise, so each has an environment of its own: CHOREAI_AIRFLOW and
CHOREAI_DAGSTER name their Pythons. The cluster is `submit.sh`'s business, which `test_submit_script` tests; here it is
a script that ends as it is told.
"""

import os
import subprocess
from pathlib import Path

import pytest
from drivers import ROOT

EXAMPLES = ROOT / "examples"
NIGHT_OF_AIRFLOW = """
import sys
from airflow.dag_processing.dagbag import DagBag
from airflow.sdk.exceptions import AirflowFailException
bag = DagBag(sys.argv[1] + "/airflow_night.py")
assert not bag.import_errors, bag.import_errors
(dag,) = bag.dags.values()
task = dag.get_task("tag_new_videos")
assert (dag.dag_id, dag.max_active_runs, dag.catchup, task.retries) == ("choreai_night", 1, False, 2)
for _ in range(4):
    try:
        task.python_callable()
        print("done")
    except AirflowFailException:  # not tried again, whatever `retries` says
        print("failed for good")
    except RuntimeError:
        print("to be tried again")
"""
NIGHT_OF_DAGSTER = """
import sys
sys.path.insert(0, sys.argv[1])
import dagster as dg
import dagster_night
dg.Definitions.validate_loadable(dagster_night.definitions)
assert dagster_night.style_tags.op.retry_policy.max_retries == 2
for _ in range(4):
    try:
        dagster_night.style_tags(dg.build_asset_context())
        print("done")
    except dg.Failure as exc:
        print("to be tried again" if exc.allow_retries else "failed for good")
    except RuntimeError:
        print("to be tried again")
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A project whose jobs end with the next code in the file `codes`, and note how they were called."""
    script = tmp_path / "deploy/submit.sh"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n'
        f"code=$(head -1 {tmp_path}/codes)\nsed -i 1d {tmp_path}/codes\nexit $code\n"
    )
    script.chmod(0o755)
    return tmp_path


def python_of(name: str) -> str:
    python = os.environ.get(name)
    if not python:
        pytest.skip(f"{name} does not name a Python that has it")
    return python


def answers(python: str, code: str, home: Path, codes: list[int]) -> list[str]:
    """Return what a night printed whose submissions end with `codes`, one after the other."""
    (home / "codes").write_text("\n".join(map(str, codes)) + "\n")
    done = subprocess.run(
        [python, "-c", code, str(EXAMPLES)],
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
            "CHOREAI_HOME": str(home),
            "AIRFLOW_HOME": str(home / "airflow"),
            "AIRFLOW__CORE__UNIT_TEST_MODE": "True",
            "DAGSTER_HOME": str(home),
            "DAGSTER_DISABLE_TELEMETRY": "yes",
        },
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [line for line in done.stdout.splitlines() if line.startswith(("done", "failed", "to be"))]


@pytest.mark.parametrize(
    ("python", "night"), [("CHOREAI_AIRFLOW", NIGHT_OF_AIRFLOW), ("CHOREAI_DAGSTER", NIGHT_OF_DAGSTER)]
)
def test_a_scheduler_reads_the_night_and_tries_again_only_what_another_try_can_finish(
    python: str, night: str, home: Path
) -> None:
    found = answers(python_of(python), night, home, [0, 1, 2, 130])
    assert found == ["done", "to be tried again", "failed for good", "failed for good"]
    call = (home / "calls").read_text().splitlines()[0]
    assert call == f"tag {home}/deploy/tag.toml --env CHOREAI_WEBHOOK_URL -- --num-workers 16"
