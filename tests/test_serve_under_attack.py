"""`choreai serve` as a user starts it, under every attack of `page_attacks`: refused, users served, memory back."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import requests
from page_attacks import Page, UserWaited, measure_usual_seconds, quick_attacks, slow_attacks

pytestmark = [pytest.mark.ray, pytest.mark.slow]
MAX_GROWTH_BYTES = 48 * 2**20
START_SECONDS = 180


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, psutil.Process]]:
    """The running page, and the process of its HTTP server."""
    folder = tmp_path_factory.mktemp("serve")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = "from choreai.cli.main import run; run()"
    command = [sys.executable, "-c", program, "serve", "--port", str(port), "--data", str(folder)]
    environment = {key: value for key, value in os.environ.items() if not re.match(r"RAY_ADDRESS|CHOREAI_WEB", key)}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}/ready", server, folder / "log")
        yield Page("127.0.0.1", port), psutil.Process(server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(60)
        except subprocess.TimeoutExpired:
            server.kill()


def _wait_until_ready(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            if requests.get(url, timeout=5).status_code == 200:
                return
        except requests.RequestException:
            pass
        assert server.poll() is None, log.read_text()[-2000:]
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-2000:])


def _attacked(page: Page, attack: Callable[[Page], str]) -> str:
    """Return what the attack says; one that makes another user wait is tried three times: the machine may be busy."""
    for _ in range(2):
        try:
            return attack(page)
        except UserWaited as exc:
            print(f"again: {exc}")
    return attack(page)


def test_every_attack_is_refused_while_another_user_is_served_and_the_memory_comes_back(served) -> None:
    page, process = served
    attacks = {**quick_attacks(), **slow_attacks()}
    attacks["headers of every answer"](page)  # what loads lazily is loaded now
    measure_usual_seconds(page)
    before, findings = process.memory_info().rss, []
    for name, attack in attacks.items():
        try:
            print(f"ok      {name}: {_attacked(page, attack)}")
        except Exception as exc:  # whatever it is, it is a finding
            findings.append(f"{name}: {exc!r}")
            print(f"NOT OK  {name}: {exc!r}")
    growth = process.memory_info().rss - before
    print(f"memory: {growth / 2**20:+.0f} MiB")
    assert not findings, "\n".join(findings)
    assert growth < MAX_GROWTH_BYTES
