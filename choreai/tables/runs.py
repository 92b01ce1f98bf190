"""Runs that were: their manifests, read back."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from choreai.errors import ConfigError, TableError
from choreai.storage import objects


@dataclass(frozen=True)
class Run:
    """One run, as its manifest tells it."""

    run_id: str
    job: str
    """extract_poses or tag_catalog."""
    pose_fingerprint: str
    model_version: str
    config: Mapping[str, Any]  # JSON of whatever settings the release had
    started_at: datetime
    wall_seconds: float
    finished: bool
    statuses: Mapping[str, int]
    num_failed: int
    """Videos that could not be finished, and are still to be done."""
    failed_fraction: float
    num_done_before: int
    num_frames: int
    busy_seconds: float
    """Of all workers together."""
    num_shards: int
    num_worker_deaths: int
    workers: tuple[str, ...]
    """host:process id of each that did a shard."""

    @property
    def num_hosts(self) -> int:
        return len({worker.rpartition(":")[0] for worker in self.workers})

    @property
    def utilisation(self) -> float | None:
        """Of the workers' time, the share spent on shards; None where nothing ran."""
        available = len(self.workers) * self.wall_seconds
        return self.busy_seconds / available if available else None

    @property
    def is_bad(self) -> bool:
        """Whether the job exited with 1: too many videos failed, or something is left to do."""
        allowed = float(self.config.get("max_failed_fraction", 1.0))
        return not self.finished or self.num_failed > 0 or self.failed_fraction > allowed


def read_run(root: str, run_id: str) -> Run:
    """The run with this id. Raises ConfigError where there is none, TableError for a manifest that is none."""
    uri = objects.join_uri(root, "runs", run_id, "manifest.json")
    if objects.stat_object(uri) is None:
        raise ConfigError(f"{uri}: no such run; `runs/` has the ids")
    try:
        manifest = json.loads(objects.read_object(uri))
        return Run(
            run_id=run_id,
            started_at=datetime.fromisoformat(manifest["started_at"]),
            workers=tuple(worker for worker in manifest["peak_memory_bytes"] if worker != "driver"),
            **{name: manifest[name] for name in _AS_THEY_ARE},
        )
    except (ValueError, KeyError, TypeError) as exc:
        raise TableError(f"{uri}: not a manifest that this release can read ({exc!r})") from exc


_AS_THEY_ARE = (
    "job", "pose_fingerprint", "model_version", "config", "wall_seconds", "finished", "statuses", "num_failed",
    "failed_fraction", "num_done_before", "num_frames", "busy_seconds", "num_shards", "num_worker_deaths",
)  # fmt: skip


def runs_backwards(root: str) -> Iterator[Run]:
    """All runs, the newest first, each read when it is asked for."""
    folder = objects.join_uri(root, "runs") + "/"
    names = {info.uri.removeprefix(folder).split("/")[0] for info in objects.list_objects(folder)
             if info.uri.endswith("/manifest.json")}  # fmt: skip
    for run_id in sorted(names, reverse=True):  # an id begins with the time
        yield read_run(root, run_id)


@dataclass(frozen=True)
class Night:
    """A tagging run with the extractions that made poses for it; or an extraction alone."""

    runs: tuple[Run, ...]
    """In the order in which they ran."""
    previous: str | None
    """Id of the tagging run before, if there is one."""

    @property
    def main(self) -> Run:
        """The run that the night is named after."""
        return self.runs[-1]

    @property
    def tagging(self) -> Run | None:
        return self.main if self.main.job == "tag_catalog" else None


def find_night(root: str, run_id: str | None = None) -> Night:
    """The night of a run, or the newest. Raises ConfigError where there is none."""
    backwards = runs_backwards(root)
    main = next((run for run in backwards if run_id is None or run.run_id == run_id), None)
    if main is None:
        raise ConfigError(f"{root}: no run{f' {run_id}' if run_id else 's'} under runs/ here; check --output")
    runs, previous = [main], None
    for run in backwards:
        if run.job == "tag_catalog":
            previous = run.run_id
            break
        if main.job == "tag_catalog" and run.job == "extract_poses" and _same_work(run, main):
            runs.insert(0, run)
    return Night(tuple(runs), previous)


def _same_work(run: Run, main: Run) -> bool:
    """Whether an extraction was of the same catalog with the same pose settings: that of a training is not."""
    return run.pose_fingerprint == main.pose_fingerprint and run.config.get("catalog") == main.config.get("catalog")
