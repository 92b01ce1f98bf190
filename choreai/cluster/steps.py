"""The steps of a worker at a shard: what it is at, told as it begins, so that the driver has a clock for each video.

A worker that stands still says nothing any more, not even that it does. The driver knows its last step and since when.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

ReportT = TypeVar("ReportT")

Steps = Generator[int, None, ReportT]
"""Yields the index in the shard of each video that the worker begins with, and returns the shard's report."""


@dataclass(frozen=True)
class Began:
    """The worker has begun with a step."""

    index: int
    """Of the video in the shard. The number of its videos: what is left to do for the shard as a whole."""


def run_to_end(steps: Steps[ReportT]) -> ReportT:
    """Go through all `steps`, and return the report."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            report: ReportT = end.value
            return report
