"""What one video may take of its worker: time and memory.

A watch inside of the process cannot stop the C code of a decoder or a network. So the video runs on a thread
of its own while the worker's main thread looks at clock and memory; over the limit the worker answers which
video it was, and the pool ends the process, with the thread that is still at it.
"""

import faulthandler
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import Executor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from choreai.errors import ChoreaiError

POLL_SECONDS = 0.1
"""Memory can grow by a few hundred MB between two looks."""
STUCK_SECONDS = 300.0
"""A call that keeps Python's lock so long (no thread of this process runs then) ends the process."""

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class VideoLimits:
    """The most that one video may take."""

    max_seconds: float = 3600.0
    """Wall time, from opening the file to the last keypoint."""
    max_bytes: int = 8 * 2**30
    """Growth of the worker's resident memory while the video is at work."""

    def __post_init__(self) -> None:
        if self.max_seconds <= 0 or self.max_bytes <= 0:
            raise ValueError(f"limits must be positive, got {self.max_seconds:g} s and {self.max_bytes} bytes")


DEFAULT_LIMITS = VideoLimits()


class VideoLimitError(ChoreaiError):
    """Video `index` of the shard went over `limit`; the worker is of no use any more and must be ended."""

    def __init__(self, index: int, limit: Literal["TimeLimit", "MemoryLimit"], reason: str) -> None:
        super().__init__(index, limit, reason)
        self.index, self.limit, self.reason = index, limit, reason

    def __str__(self) -> str:
        return self.reason


def within_limits(
    call: Callable[[], ResultT], *, thread: Executor, limits: VideoLimits, index: int, what: str
) -> ResultT:
    """What `call` returned or raised on `thread`.

    Raises `VideoLimitError` where it takes too much; `call` goes on then, and `thread` with it. `what` names it
    for the reason, `index` is its place in the shard.
    """
    started, held = time.monotonic(), _resident_bytes()
    future = thread.submit(call)
    try:
        while True:
            if sys.__stderr__ is not None:  # where the traceback goes
                faulthandler.dump_traceback_later(STUCK_SECONDS, exit=True, file=sys.__stderr__)
            if wait([future], timeout=POLL_SECONDS).done:
                return future.result()
            seconds, grown = time.monotonic() - started, _resident_bytes() - held
            if seconds > limits.max_seconds:
                reason = f"{what} passed the time limit of {limits.max_seconds / 60:g} minutes (max_video_minutes)"
                raise VideoLimitError(index, "TimeLimit", reason)
            if grown > limits.max_bytes:
                reason = (
                    f"{what} passed the memory limit of {limits.max_bytes / 2**30:g} GiB (max_video_gib) "
                    f"after {seconds:.0f} s"
                )
                raise VideoLimitError(index, "MemoryLimit", reason)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _resident_bytes() -> int:
    """The memory this process holds now (Linux; `getrusage` knows its peak only)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
