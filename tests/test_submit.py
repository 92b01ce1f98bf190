"""The jobs on a cluster that was started apart from them, handed in with `ray job submit`."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pandas as pd
import psutil
import pytest
import torch
from drivers import ROOT, read_whole

from choreai.cluster.pose_worker import PoseWorker
from choreai.demo.dancers import STYLES, write_clip
from choreai.motion.windows import WindowSettings
from choreai.pose.settings import PoseSettings
from choreai.storage.uris import join_uri
from choreai.style.model import StyleModel, StyleModelConfig, save_model
from choreai.style.networks import build_network

pytestmark = pytest.mark.ray
RAY = str(Path(sys.executable).parent / "ray")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment with which a client reaches a head that `ray start` started."""
    folder = tmp_path_factory.mktemp("ray", numbered=True)
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"  # as an activated environment has it
    environment.pop("RAY_ADDRESS", None)
    dashboard = free_port()
    log = (folder / "head.log").open("w")
    head = subprocess.Popen(
        [
            RAY, "start", "--head", "--block", f"--port={free_port()}", f"--dashboard-port={dashboard}",
            "--num-cpus=2", "--object-store-memory=100000000", f"--ray-client-server-port={free_port()}",
            "--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0",
        ],
        env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    log.close()
    address = f"http://127.0.0.1:{dashboard}"
    deadline = time.monotonic() + 90
    while not answers(f"{address}/api/version"):
        assert head.poll() is None, (folder / "head.log").read_text()[-2000:]
        assert time.monotonic() < deadline, "the head's dashboard did not answer within 90 s"
        time.sleep(0.2)
    yield {**environment, "RAY_ADDRESS": address}
    family = psutil.Process(head.pid).children(recursive=True)
    for process in [psutil.Process(head.pid), *family]:
        process.kill()
    head.wait()
    psutil.wait_procs(family, timeout=20)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False


def submit(cluster: dict[str, str], *entrypoint: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [RAY, "job", "submit", "--working-dir", ".", "--", "python", *entrypoint],
        cwd=ROOT, env=cluster, capture_output=True, text=True, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def tag_job(real_poses: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job file: three short dances, and a model with random weights."""
    folder = tmp_path_factory.mktemp("job")
    (folder / "in").mkdir()
    for style in STYLES:
        write_clip(folder / "in" / f"{style}.mp4", style=style, seed=3, duration_seconds=3.0, frames_per_second=8)
    output = str(folder / "out")
    pose_id = PoseWorker.fingerprint(PoseSettings())
    torch.manual_seed(0)
    network = build_network("style", num_labels=len(STYLES), hidden_size=8, dropout=0.0)
    config = StyleModelConfig(
        labels=STYLES,
        pose_fingerprint=pose_id,
        windows=WindowSettings(),
        network="style",
        hidden_size=8,
        num_members=1,
    )
    model = StyleModel((network,), config)
    save_model(join_uri(output, "models", model.model_version), model)
    job = folder / "tag.toml"
    job.write_text(
        f"catalog = {json.dumps(str(folder / 'in'))}\noutput = {json.dumps(output)}\n"
        f"model = {json.dumps(join_uri(output, 'models', model.model_version))}\n"
    )
    return job


def assert_read_in_one_line(output: Path) -> None:
    """Every table, by DuckDB and by pandas, with no code of ours."""
    for table, num_rows in (("tags", 3), ("kinematics", 3), ("videos", 3), ("keypoints", 3 * 24)):
        counted = duckdb.sql(f"SELECT count(*) FROM '{output}/{table}/*/*.parquet'")
        assert counted is not None
        assert counted.fetchall() == [(num_rows,)]
        assert len(pd.read_parquet(output / table)) == num_rows


def test_a_submitted_tag_job_does_its_work_and_says_so(cluster, tag_job) -> None:
    done = submit(cluster, "jobs/tag_catalog.py", "--config", str(tag_job))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 of 3 videos need poses" in done.stdout
    tags = read_whole(str(tag_job.parent / "out"), "tags")
    assert tags["video_id"].to_pylist() == sorted(f"{style}.mp4" for style in STYLES)
    assert set(tags["style"].to_pylist()) <= set(STYLES)
    assert "styles in this catalog" in done.stdout
    assert_read_in_one_line(tag_job.parent / "out")

    again = submit(cluster, "jobs/tag_catalog.py", "--config", str(tag_job))
    assert again.returncode == 0, again.stdout + again.stderr
    assert "nothing to do: 3 of 3 videos are tagged" in again.stdout


def test_a_submitted_job_with_a_wrong_setting_fails_and_names_it(cluster, tag_job, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(tag_job.read_text() + "videos_per_shart = 3\n")
    failed = submit(cluster, "jobs/tag_catalog.py", "--config", str(wrong))
    assert failed.returncode != 0
    assert "unknown key 'videos_per_shart'" in failed.stdout
