"""Job drivers as processes of their own, as a user starts them, and what tests look at afterwards."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pyarrow as pa

from choreai.tables import schemas
from choreai.tables.parts import read_table

ROOT = Path(__file__).parent.parent


def start_driver(job: str, *arguments: str) -> subprocess.Popen[str]:
    """`python jobs/JOB.py ARGUMENTS`, its output kept."""
    environment = dict(os.environ, PYTHONUNBUFFERED="1")
    environment.pop("RAY_ADDRESS", None)
    return subprocess.Popen(
        [sys.executable, str(ROOT / "jobs" / f"{job}.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )


def finish(driver: subprocess.Popen[str], *, timeout_seconds: float = 200) -> tuple[int, str, str]:
    """Exit code, standard output and standard error of a driver."""
    out, err = driver.communicate(timeout=timeout_seconds)
    return driver.returncode, out, err


def wait_until(condition: Callable[[], bool], *, what: str, timeout_seconds: float = 90) -> None:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_seconds:g} s for {what}")
        time.sleep(0.02)


def actor_processes(driver: subprocess.Popen[str], name: str) -> list[psutil.Process]:
    """The driver's Ray actors of class `name` (Ray writes it into the process title)."""
    try:
        children = psutil.Process(driver.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    found = []
    for child in children:
        try:
            if any(name in word for word in child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def kill(driver: subprocess.Popen[str]) -> None:
    """SIGKILL for the driver; the Ray processes it leaves behind are ended after it."""
    family = psutil.Process(driver.pid).children(recursive=True)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    for process in family:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(family, timeout=20)


def fingerprints(root: str, table: str = "keypoints") -> set[str]:
    from choreai.storage import objects

    prefix = objects.join_uri(root, table) + "/"
    return {info.uri.removeprefix(prefix).split("/")[0] for info in objects.list_objects(prefix)}


def read_whole(root: str, table: str) -> pa.Table:
    """All rows of a table's only version, sorted."""
    (version,) = fingerprints(root, table)
    schema = {"keypoints": schemas.KEYPOINTS, "videos": schemas.VIDEOS, "tags": schemas.TAGS}[table]
    rows = read_table(root, table, version, schema, columns=schema.names)
    order = ["video_id", "track_id", "frame_index"] if table == "keypoints" else ["video_id"]
    return rows.sort_by([(name, "ascending") for name in order])
