"""Capacity planning: the workers, nodes, hours and cost of a catalog or a stream of uploads, from measured rates.

A worker processes `video_seconds_per_second` seconds of video per busy second, and is busy for a share `utilisation`
of the time that is paid for. Tagging from keypoints takes a hundredth of that and is left out, as is the head node.
"""

import math
from dataclasses import dataclass
from itertools import islice

from choreai.errors import ConfigError
from choreai.search.tag_database import open_tag_database
from choreai.tables.runs import RunManifest, read_runs

MAX_RUNS = 20
"""The number of past runs that are searched for rates."""
ASSUMED_UTILISATION = 0.85
HOURS_PER_MONTH = 730.0
MILLISECONDS = {"mediapipe": 23.0, "crowd": 69.0}
"""Process time of a frame on one core, four people for crowd (`make bench-people`): their ratio turns rates that were
measured with one into those of the other."""


@dataclass(frozen=True)
class Rates:
    """The throughput of one worker, and the resources it occupies."""

    video_seconds_per_second: float
    utilisation: float
    num_cpus: float
    """Per worker."""
    num_gpus: float
    mean_seconds: float | None
    """Mean length of the videos that were measured; None if the rates are not measured."""
    source: str
    """Where the figures come from, for a person."""
    estimator: str = ""
    """What was measured, as in [pose]; empty where that is not known."""

    def __post_init__(self) -> None:
        for name in ("video_seconds_per_second", "num_cpus"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name.replace('_', ' ')} must be a positive number, got {getattr(self, name):g}")
        if not 0 < self.utilisation <= 1:
            raise ConfigError(f"utilisation must be in (0, 1], got {self.utilisation:g}")
        if not 0 <= self.num_gpus < math.inf:
            raise ConfigError(f"GPUs per worker must be 0 or more, got {self.num_gpus:g}")


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


def relative_cost(estimator: str, measured: str) -> float:
    """Return the cost of an estimator as a multiple of another's; 1 where one of them is not known."""
    return MILLISECONDS[estimator] / MILLISECONDS[measured] if {estimator, measured} <= set(MILLISECONDS) else 1.0


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


def measured_rates(root: str) -> Rates:
    """Return the rates of the newest extraction under `root` and of earlier ones with the same settings and workers.

    Raises ConfigError if no extraction has finished there.
    """
    runs = [run for run in islice(read_runs(root), MAX_RUNS) if _has_rates(run)]
    if not runs:
        raise ConfigError(
            f"{root}: no finished extraction among the last {MAX_RUNS} runs to take rates from; run `choreai extract` "
            "on a sample, or give --video-seconds-per-second"
        )
    similar = [run for run in runs if _settings_of(run) == _settings_of(runs[0])]
    num_videos, video_seconds = _count_videos(root, similar)
    if not video_seconds:
        raise ConfigError(
            f"{root}: the videos of run {similar[0].run_id} have no length; give --video-seconds-per-second"
        )
    busy_seconds = sum(run.busy_seconds for run in similar)
    paid_seconds = sum(len(run.workers) * run.wall_seconds for run in similar)
    workers = runs[0].config["workers"]
    return Rates(
        video_seconds_per_second=video_seconds / busy_seconds,
        utilisation=min(1.0, busy_seconds / paid_seconds),
        num_cpus=workers["num_cpus"],
        num_gpus=workers["num_gpus"],
        mean_seconds=video_seconds / num_videos,
        source=f"{num_videos} videos of {len(similar)} runs, the last {similar[0].run_id}",
        estimator=str(runs[0].config.get("pose", {}).get("estimator", "")),
    )


def _has_rates(run: RunManifest) -> bool:
    return run.job == "extract_poses" and run.finished and run.num_frames > 0 and bool(run.workers)


def _settings_of(run: RunManifest) -> tuple[object, ...]:
    workers = run.config["workers"]
    return run.pose_fingerprint, workers["num_cpus"], workers["num_gpus"]


def _count_videos(root: str, runs: list[RunManifest]) -> tuple[int, float]:
    """Return the number of videos that these runs processed, and their total seconds."""
    with open_tag_database(root) as database:
        database.load_videos(
            ["run_id", "status", "duration_seconds", "read_seconds"], fingerprints=[runs[0].pose_fingerprint]
        )
        (row,) = database.rows(
            # What was read: a container may state hours where a file was torn off or a timestamp is wild.
            "SELECT count(*) AS num, coalesce(sum(coalesce(read_seconds, duration_seconds)), 0) AS seconds FROM videos "
            "WHERE list_contains(?, run_id) AND status <> 'quarantined' "
            "AND coalesce(read_seconds, duration_seconds) IS NOT NULL",
            [[run.run_id for run in runs]],
        )
    return row["num"], row["seconds"]
