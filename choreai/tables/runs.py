"""Runs: the manifest of each, filled in while it runs, written under `runs/`, and read back."""

import json
import math
import platform
import secrets
import sys
import time
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from typing import Any

import choreai
from choreai.errors import ChoreaiWarning, ConfigError, TableError
from choreai.pose.stages import StageSeconds
from choreai.storage import objects
from choreai.storage.uris import shorten
from choreai.tables.reports import ShardReport
from choreai.tables.speed import Speed, speed_of

MUSIC_JOB = "extract_music"
"""The job whose runs stand beside the nights: they are reported where they are named, and part of no run group."""
MAX_LISTED = 1000
"""Quarantined videos named one by one in a manifest; the videos table has all of them."""


def new_run_id() -> str:
    """Return a name for one run that sorts by time: UTC seconds, three hex digits of 4096ths, three random ones."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dT%H%M%SZ}-{now.microsecond * 4096 // 1_000_000:03x}{secrets.randbelow(4096):03x}"


@dataclass
class RunManifest:
    """One run: its settings, its running totals, and whether it failed."""

    job: str
    """extract_poses, tag_catalog or extract_music."""
    run_id: str
    config: Mapping[str, Any]  # JSON of whatever settings the release had
    pose_fingerprint: str
    model_version: str = ""
    num_done_before: int = 0
    """Videos of the catalog that needed no work."""
    num_quarantined_before: int = 0
    """Videos of the catalog that failed in an earlier run and were not tried again."""
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    wall_seconds: float = 0.0
    """0 until the run has finished."""
    seconds_so_far: float = 0.0
    """What a run that has not finished had taken when its manifest was last written."""
    statuses: Counter[str] = field(default_factory=Counter)
    """Number of videos by status."""
    problems: list[tuple[str, str]] = field(default_factory=list)
    """(video_id, reason) of each video that was quarantined or could not be finished."""
    num_failed: int = 0
    """Videos of shards that could not be finished for reasons that are not the video's; still pending."""
    num_shards: int = 0
    num_shards_redone: int = 0
    num_frames: int = 0
    num_rows: int = 0
    busy_seconds: float = 0.0
    """Time spent on shards, summed over the workers."""
    num_worker_deaths: int = 0
    peak_memory_bytes: dict[str, int] = field(default_factory=dict)
    """By worker."""
    gpu_ids: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_red: bool = False
    """Whether the command exited with 1 for whatever reason, too much of the catalog in quarantine included."""
    input_quality: Counter[str] = field(default_factory=Counter)
    """Number of videos by remark on their input quality."""
    videos_per_shard: int = 0
    """Of an extraction: the most videos in one of its shards; 0 where a release before this one ran."""
    num_forgotten: int = 0
    """Videos of the catalog that were left out, as `choreai forget` has forgotten them."""
    video_seconds: float = 0.0
    """Of an extraction: the length of the videos it processed."""
    stages: StageSeconds = field(default_factory=StageSeconds)
    """Of an extraction: where its workers' time went."""
    gpu_seconds: float | None = None
    """How long the workers' GPUs had something to do, as their driver samples it; None without one, or without NVML."""

    def __post_init__(self) -> None:
        self._began = time.monotonic()  # unlike the clock of `started_at`, never set back

    def add(self, report: ShardReport) -> None:
        """Count a shard that was finished."""
        self.num_shards += 1
        self.num_shards_redone += not report.written
        self.statuses.update(report.statuses)
        self.input_quality.update(report.input_quality)
        self.problems.extend(report.problems)
        self.num_frames += report.num_frames
        self.num_rows += report.num_rows
        self.busy_seconds += report.process_seconds
        self.video_seconds += report.video_seconds
        self.stages += report.stages
        if report.gpu_seconds is not None:
            self.gpu_seconds = (self.gpu_seconds or 0.0) + report.gpu_seconds
        self.peak_memory_bytes[report.worker] = max(
            self.peak_memory_bytes.get(report.worker, 0), report.peak_memory_bytes
        )
        self.gpu_ids[report.worker] = report.gpu_ids

    def add_failure(self, video_ids: Sequence[str], reason: str) -> None:
        """Count the videos of a shard that could not be finished."""
        self.num_failed += len(video_ids)
        self.problems.extend((video_id, reason) for video_id in video_ids)

    def finish(self) -> None:
        """Mark the run as finished now."""
        self.wall_seconds = max(time.monotonic() - self._began, 1e-3)

    @property
    def finished(self) -> bool:
        return self.wall_seconds > 0

    @property
    def elapsed_seconds(self) -> float:
        """What the run took; of one that was stopped, what it took at least."""
        return self.wall_seconds or self.seconds_so_far

    @property
    def failed(self) -> bool:
        """Whether the job exits with 1: too many videos failed, of this run or the catalog, or some are left to do."""
        allowed = float(self.config.get("max_failed_fraction", 1.0))
        return self.is_red or not self.finished or self.num_failed > 0 or self.failed_fraction > allowed

    @property
    def num_videos(self) -> int:
        """The number of videos that this run processed or gave up on."""
        return sum(self.statuses.values()) + self.num_failed

    @property
    def failed_fraction(self) -> float:
        """The share of `num_videos` that was quarantined or could not be finished."""
        if not self.num_videos:
            return 0.0
        return (self.statuses["quarantined"] + self.num_failed) / self.num_videos

    @property
    def workers(self) -> tuple[str, ...]:
        """host:process id of each worker that processed a shard."""
        return tuple(worker for worker in self.peak_memory_bytes if worker != "driver")

    @property
    def num_hosts(self) -> int:
        return len({worker.rpartition(":")[0] for worker in self.workers})

    @property
    def utilisation(self) -> float | None:
        """The share of the workers' time that was spent on shards; None where there were no workers."""
        available = len(self.workers) * self.elapsed_seconds
        return self.busy_seconds / available if available else None

    @property
    def speed(self) -> Speed | None:
        """How fast it was, beside its engine alone; None where nothing was extracted, or by a release before this."""
        return self._speed_in(self.elapsed_seconds)

    @property
    def speed_so_far(self) -> Speed | None:
        """The same of a run that goes on in this process."""
        return self._speed_in(time.monotonic() - self._began)

    def _speed_in(self, seconds: float) -> Speed | None:
        workers = self.config.get("workers", {})
        return speed_of(
            video_seconds=self.video_seconds,
            worker_seconds=len(self.workers) * seconds,
            busy_seconds=self.busy_seconds,
            stages=self.stages,
            takes_turns=workers.get("num_cpus", 1.0) <= 1 and not workers.get("num_gpus"),
        )

    def to_json(self) -> dict[str, object]:
        """Return the manifest as JSON types, with code version and platform; at most `MAX_LISTED` problems."""
        record = asdict(self)
        record["statuses"] = dict(self.statuses)  # asdict mangles a Counter
        record["input_quality"] = dict(self.input_quality)
        record["started_at"] = self.started_at.isoformat()
        record["problems"] = self.problems[:MAX_LISTED]
        record["failed_fraction"] = self.failed_fraction
        record["speed"] = None if self.speed is None else self.speed.to_json()
        record["finished"] = self.finished
        record["choreai_version"] = choreai.__version__
        record["python_version"] = sys.version.split()[0]
        record["platform"] = platform.platform()
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> "RunManifest":
        """Return the manifest that `to_json` gave, of this release or an earlier one.

        Raises KeyError, TypeError or ValueError where it is not one.
        """
        values = {each.name: record[each.name] for each in fields(cls) if each.name in record or each.name in _NEEDED}
        values["started_at"] = datetime.fromisoformat(record["started_at"])
        values["statuses"] = Counter(record["statuses"])
        values["input_quality"] = Counter(record.get("input_quality", {}))
        values["problems"] = [(video_id, reason) for video_id, reason in record.get("problems", ())]
        values["stages"] = StageSeconds(**record.get("stages", {}))
        values["gpu_ids"] = {worker: tuple(ids) for worker, ids in record.get("gpu_ids", {}).items()}
        _check_numbers(values)
        return cls(**values)

    def write(self, root: str) -> str:
        """Write `runs/<run_id>/manifest.json` under `root` and return its URI."""
        uri = objects.join_uri(root, "runs", self.run_id, "manifest.json")
        objects.put_object(uri, json.dumps(self.to_json(), indent=2, ensure_ascii=False).encode())
        return uri

    def write_so_far(self, root: str) -> None:
        """Write the manifest of a run that goes on, for the record of one that is stopped."""
        self.seconds_so_far = time.monotonic() - self._began
        self.write(root)


_NEEDED = {
    "job", "pose_fingerprint", "model_version", "config", "wall_seconds", "statuses", "num_failed", "num_done_before",
    "num_frames", "busy_seconds", "num_shards", "num_worker_deaths", "peak_memory_bytes",
}  # fmt: skip
"""The keys that a manifest of every release has."""


_NUMBERS = (
    "num_done_before", "num_quarantined_before", "wall_seconds", "num_failed", "num_shards", "num_shards_redone",
    "num_frames", "num_rows", "busy_seconds", "num_worker_deaths", "videos_per_shard", "seconds_so_far",
    "num_forgotten", "video_seconds",
)  # fmt: skip


def _check_numbers(values: Mapping[str, Any]) -> None:
    """Raise TypeError unless what is added up are finite numbers, and what is looked up are tables and texts."""
    numbers = {name: values[name] for name in _NUMBERS if name in values}
    numbers |= asdict(values["stages"]) | {"gpu_seconds": values.get("gpu_seconds") or 0.0}
    numbers |= dict(values["statuses"]) | dict(values["peak_memory_bytes"])
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise TypeError(f"{name} is {value!r}, not a number")
    if not isinstance(values["config"], Mapping):
        raise TypeError(f"config is {values['config']!r}, not a table")
    for name in ("job", "pose_fingerprint", "model_version"):
        if not isinstance(values[name], str):
            raise TypeError(f"{name} is {values[name]!r}, not a text")


def read_run(root: str, run_id: str) -> RunManifest:
    """Return the manifest of one run.

    Raises ConfigError where there is no such run, and TableError if its manifest is malformed.
    """
    uri = objects.join_uri(root, "runs", run_id, "manifest.json")
    if objects.stat_object(uri) is None:
        raise ConfigError(f"{uri}: no such run; `runs/` has the ids")
    try:
        return RunManifest.from_json({**json.loads(objects.read_object(uri)), "run_id": run_id})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise TableError(f"{uri}: not a manifest that this release can read ({shorten(repr(exc))})") from exc


def list_run_ids(root: str) -> list[str]:
    """Return the ids of all runs under `root`, newest first."""
    folder = objects.join_uri(root, "runs") + "/"
    paths = (info.uri.removeprefix(folder) for info in objects.list_objects(folder))
    names = {path.removesuffix("/manifest.json") for path in paths if path.endswith("/manifest.json")}
    return sorted((name for name in names if "/" not in name), reverse=True)  # an id begins with the time


def read_runs(root: str) -> Iterator[RunManifest]:
    """Yield the manifests of all runs under `root`, newest first, each read when it is asked for.

    Files of that name which are no manifest of ours are left out with a warning.
    """
    for run_id in list_run_ids(root):
        try:
            yield read_run(root, run_id)
        except TableError as exc:
            warnings.warn(f"left out: {exc}", ChoreaiWarning, stacklevel=2)


@dataclass(frozen=True)
class RunGroup:
    """A tagging run, with its part before it was stopped and resumed, and the extractions that made poses for it; or an
    extraction."""

    runs: tuple[RunManifest, ...]
    """In the order in which they ran."""
    previous: str | None
    """Id of the tagging run before that processed anything, if there is one."""

    @property
    def main(self) -> RunManifest:
        """The run that the group is named after: the last."""
        return self.runs[-1]

    @property
    def tagging(self) -> RunManifest | None:
        return self.main if self.main.job == "tag_catalog" else None

    @property
    def failed(self) -> bool:
        """Whether the last run of either job failed: an earlier one that was killed and resumed does not count."""
        return any(run.failed for run in {run.job: run for run in self.runs}.values())


def find_run_group(root: str, run_id: str | None = None) -> RunGroup:
    """Return the group of the run `run_id`, or of the newest run. Raises ConfigError where there is none."""
    newest_first = (run for run in read_runs(root) if run.job != MUSIC_JOB or run.run_id == run_id)
    main = next((run for run in newest_first if run_id is None or run.run_id == run_id), None)
    if main is None:
        raise ConfigError(f"{root}: no run{f' {run_id}' if run_id else 's'} under runs/ here; check --output")
    return _group_of(main, newest_first)


def group_runs(newest_first: Sequence[RunManifest]) -> Iterator[RunGroup]:
    """Yield the groups of all these runs, newest first; each run is in one of them."""
    taken: set[str] = set()
    newest_first = [run for run in newest_first if run.job != MUSIC_JOB]
    for number, main in enumerate(newest_first, start=1):
        if main.run_id not in taken:
            group = _group_of(main, (newest_first[index] for index in range(number, len(newest_first))), taken=taken)
            taken.update(run.run_id for run in group.runs)
            yield group


def _group_of(main: RunManifest, older: Iterable[RunManifest], *, taken: Collection[str] = ()) -> RunGroup:
    """Return the group of `main` among the runs before it, newest first, without those that another group has."""
    runs: list[RunManifest] = [main]
    is_open = True
    for run in older:
        if run.run_id in taken and run.job != "tag_catalog":
            continue
        if is_open and _belongs(run, main):
            runs.insert(0, run)
            continue
        if run.job == main.job and run.finished and _is_alike(run, main):
            is_open = False  # what was stopped before it, it has resumed
        if run.job == "tag_catalog":
            is_open = False
            if run.num_videos or not run.finished:
                return RunGroup(tuple(runs), run.run_id)
    return RunGroup(tuple(runs), None)


def _is_alike(run: RunManifest, other: RunManifest) -> bool:
    same_catalog = run.config.get("catalog") == other.config.get("catalog")
    return same_catalog and run.pose_fingerprint == other.pose_fingerprint


def _belongs(run: RunManifest, main: RunManifest) -> bool:
    """Return whether `run`, of before, did a part of what `main` ended: made poses for its tags, or was stopped and
    resumed by it. Its catalog and pose settings are the same; a training job's are not."""
    same = ("job", "pose_fingerprint", "model_version")
    if not _is_alike(run, main):
        return False
    if all(getattr(run, name) == getattr(main, name) for name in same):
        return not run.finished
    return (run.job, main.job) == ("extract_poses", "tag_catalog")
