"""A few runs of `make chaos`: what was killed, drained or cut off ends with the tables of an undisturbed run."""

import subprocess
import sys

import pytest
from drivers import ROOT

pytestmark = [pytest.mark.ray, pytest.mark.s3]


def test_extraction_ends_with_the_same_tables_whatever_fails_on_the_way() -> None:
    # A process of its own: its S3 server, its Ray and its environment are not those of the other tests.
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "chaos.py"), "--short"], capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "3 of 3 runs ended with every row once" in done.stdout
