"""Limits on the time and memory that one video may use.

No code inside a process can stop the C code of a decoder or a network. So the video is processed on a thread of its
own while the worker's main thread watches clock and memory; over a limit the worker answers which video it was, and
the pool ends the process together with the thread that is still running.
"""

import faulthandler
import os
import sys
import time
from collections.abc import Callable, Generator
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from choreai.errors import ChoreaiError

POLL_SECONDS = 0.1
"""Memory can grow by a few hundred MB between two polls."""
STUCK_SECONDS = 300.0
"""A call that holds Python's global lock this long, so that no other thread runs, ends the process."""
WORKER_ENVIRONMENT = {"MALLOC_ARENA_MAX": "2", "OMP_WAIT_POLICY": "PASSIVE"}
"""glibc gives every thread an arena of its own, and freed frames stay in them: a MediaPipe worker grew from 640
to 1120 MiB within 16 clips, and stays at 520 MiB with two arenas. Waiting threads must not spin on the cores of
other workers: two spinning threads took 32 to 57 s for what passive ones do in 10."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class VideoLimits:
    """The most time and memory that one video may use."""

    max_seconds: float = 3600.0
    """Wall time, from opening the file to the last keypoint."""
    max_bytes: int = 8 * 2**30
    """Growth of the worker's resident memory while the video is processed."""

    def __post_init__(self) -> None:
        if not (0 < self.max_seconds < float("inf") and self.max_bytes > 0):  # NaN would switch the limit off
            raise ValueError(f"limits must be positive, got {self.max_seconds:g} s and {self.max_bytes} bytes")


DEFAULT_LIMITS = VideoLimits()


class VideoLimitError(ChoreaiError):
    """Video `index` of the shard exceeded `limit`; its worker cannot go on and must be ended. None: one of two did, and
    each is to be tried alone."""

    def __init__(self, index: int | None, limit: Literal["TimeLimit", "MemoryLimit"], reason: str) -> None:
        super().__init__(index, limit, reason)
        self.index, self.limit, self.reason = index, limit, reason

    def __str__(self) -> str:
        return self.reason


def watch_limits(
    call: Callable[[], ResultT],
    *,
    thread: Executor,
    limits: VideoLimits,
    index: int,
    what: str,
    give_up: Callable[[], bool | None] = lambda: False,
) -> Generator[None, None, ResultT]:
    """Run `call` on `thread`, and return what it returns or raise what it raises. Yields while it runs: whoever goes on
    asking sees to it that the limits hold.

    Raises VideoLimitError when a limit is exceeded; `call` then goes on running, and `thread` with it. `what` names
    the video in the message, `index` is its position in the shard. `give_up` is called when there is too much memory:
    it stops what is done beside the video, and says whether anything was, or None if it does not stop.
    """
    started, bytes_before = time.monotonic(), _resident_bytes()
    future = thread.submit(call)
    try:
        while True:
            if sys.__stderr__ is not None:  # where the traceback goes
                faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True, file=sys.__stderr__)
            if wait([future], timeout=POLL_SECONDS).done:
                return future.result()
            seconds, grown = time.monotonic() - started, _resident_bytes() - bytes_before
            if seconds > limits.max_seconds:
                reason = f"{what} exceeded the time limit of {limits.max_seconds / 60:g} minutes (max_video_minutes)"
                raise VideoLimitError(index, "TimeLimit", reason)
            if grown > limits.max_bytes and not (given_up := give_up()):
                reason = (
                    f"{what} exceeded the memory limit of {limits.max_bytes / 2**30:g} GiB (max_video_gib) "
                    f"after {seconds:.0f} s"
                )
                raise VideoLimitError(index if given_up is False else None, "MemoryLimit", reason)
            yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def _resident_bytes() -> int:
    """Return the memory this process holds now (Linux; `getrusage` gives the peak only)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
