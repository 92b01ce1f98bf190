"""Capacity planning: the workers, nodes, hours and cost of a catalog or a stream of uploads, from rates.

A worker processes `video_seconds_per_second` seconds of video per busy second, and is busy for a share `utilisation`
of the time that is paid for. Tagging from keypoints takes a hundredth of that and is left out, as is the head node.
"""

import math
from dataclasses import dataclass

from choreai.errors import ConfigError
from choreai.operations.rates import Rates
from choreai.operations.speeds import relative_cost

HOURS_PER_MONTH = 730.0


@dataclass(frozen=True)
class Node:
    """A type of machine."""

    num_workers: int
    price_per_hour: float
    """0: unknown."""
    spot_price_per_hour: float
    """0: unknown."""

    def __post_init__(self) -> None:
        if self.num_workers < 1:
            raise ConfigError(f"workers per node must be at least 1, got {self.num_workers}")
        if min(self.price_per_hour, self.spot_price_per_hour) < 0:
            raise ConfigError("prices must not be negative; leave out an unknown price")


@dataclass(frozen=True)
class Need:
    """The resources that a piece of work needs."""

    num_workers: int
    num_nodes: int
    num_cpus: float
    num_gpus: float
    hours: float
    """Duration of the work; of a stream, a month."""

    def cost(self, price_per_hour: float) -> float:
        """Return the cost of the nodes at a price per node and hour."""
        return self.num_nodes * self.hours * price_per_hour


def hours_of_one_worker(num_videos: int, rates: Rates, *, estimator: str) -> float:
    """Return how long one worker takes for so many videos of the measured mean length, with this estimator."""
    assert rates.mean_seconds is not None, "measured rates have a measured length"
    hours = num_videos * rates.mean_seconds / (rates.video_seconds_per_second * rates.utilisation) / 3600
    return hours * relative_cost(estimator, rates.estimator)


def need_for_catalog(video_seconds: float, rates: Rates, node: Node, *, within_hours: float) -> Need:
    """Return what it takes to process `video_seconds` of video within `within_hours`."""
    if not 0 < within_hours < math.inf:
        raise ConfigError(f"hours must be a positive number, got {within_hours:g}")
    worker_hours = video_seconds / (rates.video_seconds_per_second * rates.utilisation) / 3600
    num_nodes = max(1, _ceil(worker_hours / within_hours / node.num_workers))
    # Whole nodes finish a little sooner than asked.
    return _need(num_nodes, rates, node, hours=worker_hours / (num_nodes * node.num_workers))


def need_for_stream(hours_per_minute: float, rates: Rates, node: Node) -> Need:
    """Return what it takes to keep up with uploads of `hours_per_minute` hours of video per minute, for a month."""
    if not 0 < hours_per_minute < math.inf:
        raise ConfigError(f"hours per minute must be a positive number, got {hours_per_minute:g}")
    num_workers = hours_per_minute * 60 / (rates.video_seconds_per_second * rates.utilisation)
    return _need(max(1, _ceil(num_workers / node.num_workers)), rates, node, hours=HOURS_PER_MONTH)


def _ceil(value: float) -> int:
    return math.ceil(value - 1e-9)  # 8.000000001 nodes are 8


def _need(num_nodes: int, rates: Rates, node: Node, *, hours: float) -> Need:
    num_workers = num_nodes * node.num_workers
    return Need(num_workers, num_nodes, num_workers * rates.num_cpus, num_workers * rates.num_gpus, hours)
