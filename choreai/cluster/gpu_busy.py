"""How long a worker's GPU has something to do, as its driver samples it (NVML): the goal is most of the time.

Workers that share a GPU each see all of its work.
"""

import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress

SAMPLE_SECONDS = 0.25
ReadShare = Callable[[], float]
"""Return the share of the last moment, from 0 to 1, in which the GPU had a kernel running. Raises OSError."""


def find_nvml() -> ReadShare | None:
    """Return what reads the first GPU that this process sees; None without one, or without the package pynvml."""
    try:
        import pynvml
    except ImportError:
        return None
    with suppress(pynvml.NVMLError, ValueError):
        pynvml.nvmlInit()
        name = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
        if name.isdecimal():
            handle = pynvml.nvmlDeviceGetHandleByIndex(int(name))
        else:
            handle = pynvml.nvmlDeviceGetHandleByUUID(name.encode())

        def read_share() -> float:
            try:
                return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu) / 100
            except pynvml.NVMLError as exc:
                raise OSError(f"NVML: {exc}") from exc

        return read_share
    return None


class GpuBusy:
    """Sums up, on a thread of its own, the seconds in which a GPU is busy."""

    def __init__(self, read_share: ReadShare, *, sample_seconds: float = SAMPLE_SECONDS) -> None:
        self._read_share, self._sample_seconds = read_share, sample_seconds
        self._seconds = 0.0
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, name="gpu-busy", daemon=True).start()

    def take(self) -> float:
        """Return the busy seconds since the last call."""
        with self._lock:
            seconds, self._seconds = self._seconds, 0.0
        return seconds

    def _watch(self) -> None:
        before = time.monotonic()
        while True:
            time.sleep(self._sample_seconds)
            try:
                share = self._read_share()
            except OSError:  # a driver that went away must not end a run
                return
            now = time.monotonic()
            with self._lock:
                self._seconds += share * (now - before)
            before = now
