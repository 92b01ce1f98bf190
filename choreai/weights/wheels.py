"""A wheel from PyPI, or from whatever index the user has set up for pip: some networks reach nothing else."""

import subprocess
import sys
from pathlib import Path

from choreai.errors import StorageError

_ANY_MACHINE = ("--python-version", "3.12", "--platform", "manylinux_2_28_x86_64")
"""The wheel is unpacked, not installed, so one that exists will do on every machine."""
TIMEOUT_SECONDS = 600.0


def download_wheel(requirement: str, folder: Path, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Path:
    """Have pip put the wheel of `requirement`, NAME==VERSION, into `folder`, and return its path.

    Raises StorageError, with pip's last words, where it cannot be had.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", *_ANY_MACHINE, "--dest", str(folder), requirement]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired as exc:
        raise StorageError(requirement, f"pip did not download it within {timeout_seconds:g} s") from exc
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode or not wheels:
        words = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise StorageError(requirement, f"pip cannot download it ({words}); name a copy with --mirror")
    return wheels[0]
