"""What became of a shard and of a run: shard reports, the run's summary, and its manifest."""

import json
import platform
import secrets
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime

import choreai
from choreai.storage import objects

MAX_LISTED = 1000
"""Quarantined videos named one by one in a manifest; the videos table has all of them."""


@dataclass(frozen=True)
class ShardReport:
    """What one worker did with one shard: all that travels back through Ray."""

    shard_id: str
    written: bool
    """False: the shard had been committed by somebody else; its work here was for nothing."""
    statuses: Mapping[str, int]
    """Number of videos by status."""
    problems: tuple[tuple[str, str], ...]
    """(video_id, reason) of each quarantined video."""
    num_frames: int
    num_rows: int
    process_seconds: float
    peak_memory_bytes: int
    """Of the worker process since it started (resident set)."""
    worker: str
    """host:process id."""
    gpu_ids: tuple[str, ...] = ()
    num_bytes: int = 0
    """Of the videos that were opened."""


def new_run_id() -> str:
    """A sortable name for one run: UTC time and six random hex digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@dataclass
class RunSummary:
    """The running totals of one run, and at its end its manifest."""

    job: str
    run_id: str
    config: Mapping[str, object]
    pose_fingerprint: str
    model_version: str = ""
    num_done_before: int = 0
    """Videos of the catalog that needed nothing."""
    num_quarantined_before: int = 0
    """Videos of the catalog that failed in an earlier run and were not tried again."""
    started_at: float = field(default_factory=time.time)
    wall_seconds: float = 0.0
    statuses: Counter[str] = field(default_factory=Counter)
    problems: list[tuple[str, str]] = field(default_factory=list)
    num_failed: int = 0
    """Videos of shards that could not be finished for reasons that are not the video's; still pending."""
    num_shards: int = 0
    num_shards_redone: int = 0
    num_frames: int = 0
    num_rows: int = 0
    busy_seconds: float = 0.0
    num_worker_deaths: int = 0
    peak_memory_bytes: dict[str, int] = field(default_factory=dict)
    """By worker."""
    gpu_ids: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def add(self, report: ShardReport) -> None:
        self.num_shards += 1
        self.num_shards_redone += not report.written
        self.statuses.update(report.statuses)
        self.problems.extend(report.problems)
        self.num_frames += report.num_frames
        self.num_rows += report.num_rows
        self.busy_seconds += report.process_seconds
        self.peak_memory_bytes[report.worker] = max(
            self.peak_memory_bytes.get(report.worker, 0), report.peak_memory_bytes
        )
        self.gpu_ids[report.worker] = report.gpu_ids

    def add_failure(self, video_ids: Sequence[str], reason: str) -> None:
        """Count the videos of a shard that could not be finished."""
        self.num_failed += len(video_ids)
        self.problems.extend((video_id, reason) for video_id in video_ids)

    @property
    def num_videos(self) -> int:
        """Videos this run dealt with."""
        return sum(self.statuses.values()) + self.num_failed

    @property
    def failed_fraction(self) -> float:
        """Of the videos this run dealt with, the share that was quarantined or could not be finished."""
        if not self.num_videos:
            return 0.0
        return (self.statuses["quarantined"] + self.num_failed) / self.num_videos

    def finish(self) -> None:
        self.wall_seconds = time.time() - self.started_at

    def manifest(self) -> dict[str, object]:
        """All of it as JSON types, with code version and platform."""
        record = asdict(self)
        record["statuses"] = dict(self.statuses)  # asdict mangles a Counter
        record["started_at"] = datetime.fromtimestamp(self.started_at, UTC).isoformat()
        record["problems"] = self.problems[:MAX_LISTED]
        record["failed_fraction"] = self.failed_fraction
        record["finished"] = self.wall_seconds > 0
        record["choreai_version"] = choreai.__version__
        record["python_version"] = sys.version.split()[0]
        record["platform"] = platform.platform()
        return record

    def write_manifest(self, root: str) -> str:
        """The URI of `runs/<run_id>/manifest.json`, written."""
        uri = objects.join_uri(root, "runs", self.run_id, "manifest.json")
        objects.put_object(uri, json.dumps(self.manifest(), indent=2, ensure_ascii=False).encode())
        return uri
