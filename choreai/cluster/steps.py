"""The steps of a worker at a shard: what it is at, told as it goes on, so that the driver has a clock for each video.

A worker that stands still says nothing any more, not even that it does. The driver knows its last step and since when.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

ReportT = TypeVar("ReportT")


@dataclass(frozen=True)
class Step:
    """What a worker is at in its shard, and how far it is with it."""

    index: int
    """Of the video in the shard. The number of its videos: what is left to do for the shard as a whole."""
    num_frames: int = 0
    """Frames of this video that are done."""
    num_expected: int = 0
    """Frames that this video will probably have; 0 where nobody knows."""
    num_frames_before: int = 0
    """Frames of the shard's videos before this one."""

    @property
    def fraction(self) -> float:
        """The share of this video that is done; 0 where its length is unknown."""
        return min(1.0, self.num_frames / self.num_expected) if self.num_expected else 0.0


Steps = Generator[Step, None, ReportT]
"""Yields a step for each video that the worker begins with, may yield others in between to say how far it is, and
returns the shard's report."""


def run_to_end(steps: Steps[ReportT]) -> ReportT:
    """Go through all `steps`, and return the report."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            report: ReportT = end.value
            return report
