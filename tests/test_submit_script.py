"""deploy/submit.sh: what it refuses, how it follows a job, and that a head wants its token."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest
from drivers import ROOT

DEPLOY = ROOT / "deploy"
ACTIVATED = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
"""PATH as an activated environment has it."""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The part of the project that a submitted job needs, with a job file that is filled in."""
    root = tmp_path / "project"
    for name in ("choreai", "jobs"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "deploy").mkdir()
    shutil.copy(DEPLOY / "submit.sh", root / "deploy")
    (root / "deploy/job.toml").write_text("catalog = '/nowhere.csv'\noutput = '/nowhere'\nvideos_per_shart = 3\n")
    return root


def submit(project: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(project / "deploy/submit.sh"), *arguments],
        cwd=project, env={**os.environ, "PATH": ACTIVATED, **environment, "SUBMIT_RETRY_SECONDS": "0"},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip


def test_shellcheck_finds_nothing_in_the_shell_scripts() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(
        ["shellcheck", *map(str, [*DEPLOY.glob("*.sh"), ROOT / ".ci/run"])], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tag",), "usage"),
        (("stag", "deploy/job.toml"), "unknown job 'stag'"),
        (("tag", "deploy/none.toml"), "no file 'deploy/none.toml'"),
        (("tag", "/etc/passwd"), "outside"),
        (("tag", "deploy/draft.toml"), "CHANGE-ME"),
        (("tag", "deploy/job.toml", "http://x:1", "--limit"), "after --"),
        (("tag", "deploy/job.toml", "--env", "1=x"), "--env wants NAME or NAME=VALUE, got '1=x'"),
    ],
)
def test_a_wrong_submission_is_refused_before_anything_is_sent(project, arguments, words) -> None:
    (project / "deploy/draft.toml").write_text("# CHANGE-ME is fine here\ncatalog = 's3://CHANGE-ME/x'\n")
    done = submit(project, *arguments)
    assert done.returncode == 2
    assert words in done.stderr


@pytest.mark.parametrize(("states", "code"), [("SUCCEEDED", 0), ("RUNNING RUNNING FAILED", 7), ("STOPPED", 130)])
def test_a_submission_follows_its_job_through_lost_connections_to_its_exit_code(
    project, tmp_path: Path, states, code
) -> None:
    fakes = write_fakes(tmp_path / "fakes", states)
    done = submit(
        project, "extract", "deploy/job.toml", "http://head:8265", "--", "--num-workers", "16",
        PATH=f"{fakes / 'bin'}:{os.environ['PATH']}", PYTHONPATH=str(fakes),
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    submitted, *followed = (fakes / "calls").read_text().splitlines()
    assert submitted.startswith("job submit --address http://head:8265 --submission-id extract-")
    assert submitted.endswith("-- python jobs/extract_poses.py --config deploy/job.toml --num-workers 16")
    assert len(followed) == len(states.split())


def test_a_job_is_given_the_variables_that_are_asked_for_and_no_command_line_shows_them(project, tmp_path) -> None:
    fakes = write_fakes(tmp_path / "fakes", "SUCCEEDED")
    done = submit(
        project, "tag", "deploy/job.toml", "--env", "CHOREAI_WEBHOOK_URL", "--env", "ZONE=a b", "--env", "UNSET_HERE",
        PATH=f"{fakes / 'bin'}:{os.environ['PATH']}", PYTHONPATH=str(fakes), CHOREAI_WEBHOOK_URL="https://secret",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    given = json.loads((fakes / "given.json").read_text())
    assert given == {"env_vars": {"CHOREAI_WEBHOOK_URL": "https://secret", "ZONE": "a b"}}
    assert "UNSET_HERE is not set here" in done.stderr
    assert "secret" not in (fakes / "calls").read_text() + done.stdout + done.stderr


def write_fakes(fakes: Path, states: str) -> Path:
    """A cluster whose log connection breaks at once, every time; it tells the state of its one job from a file."""
    (fakes / "ray").mkdir(parents=True)
    (fakes / "bin").mkdir()
    (fakes / "states").write_text("\n".join(states.split()))
    (fakes / "bin/ray").write_text(
        f'#!/bin/sh\necho "$@" >> {fakes}/calls\n[ "$2" = submit ] || exit 1\n'
        f'while [ "$1" != -- ]; do [ "$1" != --runtime-env ] || cp "$2" {fakes}/given.json; shift; done\n'
    )
    (fakes / "bin/ray").chmod(0o755)
    (fakes / "bin/python").symlink_to(sys.executable)
    (fakes / "ray/__init__.py").write_text("")
    (fakes / "ray/job_submission.py").write_text(
        "import pathlib, types\nclass JobStatus: SUCCEEDED, FAILED, STOPPED = 'SUCCEEDED', 'FAILED', 'STOPPED'\n"
        "class JobSubmissionClient:\n    def __init__(self, address): pass\n    def get_job_info(self, job):\n"
        f"        path = pathlib.Path({str(fakes / 'states')!r})\n        state, *rest = path.read_text().split()\n"
        "        path.write_text(' '.join(rest))\n"
        "        return types.SimpleNamespace(status=state, driver_exit_code=7)\n"
    )
    return fakes


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.ray
def test_a_head_as_the_cluster_starts_it_takes_jobs_from_who_has_the_token_only(project, tmp_path: Path) -> None:
    ray, home, port = str(Path(sys.executable).parent / "ray"), tmp_path / "home", free_port()
    (home / ".ray").mkdir(parents=True)
    (home / ".ray/auth_token").write_text("0123456789abcdef" * 4)
    environment = {"HOME": str(home), "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    with (tmp_path / "head.log").open("w") as log:
        head = subprocess.Popen(
            [
                ray, "start", "--head", "--block", "--num-cpus=0", "--dashboard-host=127.0.0.1",
                f"--port={free_port()}", f"--dashboard-port={port}", f"--ray-client-server-port={free_port()}",
                "--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0",
                "--object-store-memory=100000000",
            ],
            env={**os.environ, "PATH": ACTIVATED, **environment}, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while (answer := http_status(f"http://127.0.0.1:{port}/api/version")) is None:
            assert head.poll() is None, (tmp_path / "head.log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert answer == 401
        arguments = ("extract", "deploy/job.toml", f"http://127.0.0.1:{port}")
        stranger = submit(project, *arguments, **environment | {"HOME": str(tmp_path), "RAY_AUTH_MODE": "disabled"})
        assert stranger.returncode == 1
        assert "Missing authentication token" in stranger.stderr
        done = submit(project, *arguments, **environment)
        assert done.returncode == 2, done.stderr  # the job's own: wrong input
        assert "unknown key 'videos_per_shart'" in done.stdout
    finally:
        family = [psutil.Process(head.pid), *psutil.Process(head.pid).children(recursive=True)]
        for process in family:
            process.kill()
        head.wait()
        psutil.wait_procs(family[1:], timeout=20)


def http_status(url: str) -> int | None:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return int(reply.status)
    except urllib.error.HTTPError as exc:
        return exc.code
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return None
