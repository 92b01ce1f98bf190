"""All runs of an output, night by night: what each did, what became of it, what drifted, how fast it was and its cost.

A night is what a run report is about: a tagging run with the extractions for it, the parts before it was stopped and
resumed included, or an extraction alone. Figures that the manifests do not have come from the tables, each part of
which is read once, whatever the number of nights.
"""

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import FloatArray
from choreai.errors import ChoreaiWarning, ConfigError, TableError
from choreai.operations.drift import Drift, drift_of_counts, drift_of_values
from choreai.operations.run_report import NOTHING
from choreai.storage import objects
from choreai.tables import schemas
from choreai.tables.compact import list_versions
from choreai.tables.parts import current_parts, open_part, read_consistently
from choreai.tables.runs import RunGroup, RunManifest, group_runs, list_run_ids, read_run
from choreai.tables.schemas import UNKNOWN

NUM_READERS = 16
"""Threads that read manifests and parts: from a store each takes tens of milliseconds of waiting."""

State = Literal["done", "failed", "not finished"]


@dataclass(frozen=True)
class Night:
    """What one night did."""

    run_id: str
    started_at: datetime
    """Of its first part."""
    job: str
    catalog: str
    model_version: str
    pose_fingerprint: str
    runs: tuple[str, ...]
    """The ids of all its runs, in order; stopped ones too."""
    num_stopped: int
    """Of these, those that were stopped, and resumed by a later one."""
    state: State
    poses: Mapping[str, int]
    """Number of videos by status of their poses."""
    tags: Mapping[str, int]
    """Number of videos by status of their tag."""
    num_unfinished: int
    """Videos that could not be finished."""
    num_done_before: int
    num_quarantined_before: int
    """Videos that an earlier night quarantined and this one did not try again."""
    quarantined_by: Mapping[str, int]
    """Number of quarantined videos by cause: the class of the error, and the stage."""
    styles: Mapping[str, int]
    """Number of videos by style."""
    mean_score: float | None
    drifts: tuple[Drift, ...]
    """Of styles and scores, against the tagging run before."""
    elapsed_seconds: float
    """Of stopped parts as much as is known."""
    num_frames: int
    videos_per_minute: float | None
    """Of extraction; of tagging where nothing was extracted."""
    frames_per_second: float | None
    utilisation: float | None
    """Share of the workers' time that was spent on shards."""
    num_worker_deaths: int
    cost: float | None
    """Of the worker nodes, in the currency of `Nights`; None where the price is unknown."""
    has_report: bool

    @property
    def num_quarantined(self) -> int:
        return self.poses.get("quarantined", 0)

    @property
    def num_tagged(self) -> int:
        return sum(self.tags.values())

    @property
    def num_videos(self) -> int:
        """Videos whose poses were estimated or tried."""
        return sum(self.poses.values())

    @property
    def is_quiet(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.num_videos or self.num_tagged or self.num_unfinished)

    def drift(self, name: str) -> Drift | None:
        """Return the drift of "style" or "score"; None where there is nothing to compare."""
        return next((each for each in self.drifts if each.name == name), None)


@dataclass(frozen=True)
class Nights:
    """The nights of an output, newest first."""

    root: str
    nights: tuple[Night, ...]
    currency: str
    num_runs: int
    """All runs, the parts of nights included."""


def read_nights(root: str, *, price_per_hour: float = 0.0, currency: str = "") -> Nights:
    """Return all nights under `root`.

    `price_per_hour` and `currency` 0 and "": as each run's settings have them. Raises ConfigError if there are no runs.
    """
    runs, reported = _read_manifests(root)
    if not runs:
        raise ConfigError(f"{root}: no runs under runs/ here; check --output")
    tags, videos = _read_tags(root), _read_videos(root)
    groups = list(group_runs(runs))
    by_main = {group.main.run_id: group for group in groups}
    return Nights(
        root=root,
        nights=tuple(
            _night(
                group,
                tags,
                videos,
                previous=by_main.get(group.previous or ""),
                price_per_hour=price_per_hour,
                has_report=group.main.run_id in reported,
            )
            for group in groups
        ),
        currency=currency or str(_settings_of(runs[0]).get("currency") or "USD"),
        num_runs=len(runs),
    )


def _read_manifests(root: str) -> tuple[list[RunManifest], set[str]]:
    """Return the manifests, newest first, and the ids of the runs that have a report."""
    folder = objects.join_uri(root, "runs") + "/"
    reported = {
        info.uri.removeprefix(folder).removesuffix("/report.html")
        for info in objects.list_objects(folder)
        if info.uri.endswith("/report.html")
    }

    def read(run_id: str) -> RunManifest | TableError:
        try:
            return read_run(root, run_id)
        except TableError as exc:
            return exc

    with ThreadPoolExecutor(NUM_READERS) as pool:
        found = list(pool.map(read, list_run_ids(root)))
    for each in found:
        if isinstance(each, TableError):
            _warn(each)
    return [each for each in found if isinstance(each, RunManifest)], reported


@dataclass
class _TagFacts:
    """What the tags tables say of one run."""

    styles: Counter[str] = field(default_factory=Counter)
    scores: FloatArray = field(default_factory=lambda: np.zeros(0, np.float32))
    """NaN for videos with nothing to judge."""


@dataclass
class _VideoFacts:
    """What the videos tables say of one run."""

    statuses: Counter[str] = field(default_factory=Counter)
    causes: Counter[str] = field(default_factory=Counter)
    num_frames: int = 0
    busy_seconds: float = 0.0


def _read_tags(root: str) -> Mapping[str, _TagFacts]:
    rows = _read_table(root, "tags", schemas.TAGS, ["run_id", "style", "score"])
    facts: defaultdict[str, _TagFacts] = defaultdict(_TagFacts)
    for row, num in _counted(rows, ["run_id", "style"]):
        facts[row["run_id"]].styles[row["style"] or NOTHING] += num
    run_ids = rows["run_id"].combine_chunks().dictionary_encode()
    place = run_ids.indices.to_numpy(zero_copy_only=False)
    scores = pc.fill_null(rows["score"], float("nan")).to_numpy().astype(np.float32)
    order = np.argsort(place, kind="stable")
    ends = np.cumsum(np.bincount(place, minlength=len(run_ids.dictionary)))
    for run_id, own in zip(run_ids.dictionary.to_pylist(), np.split(scores[order], ends[:-1]), strict=False):
        facts[run_id].scores = own
    return facts


def _read_videos(root: str) -> Mapping[str, _VideoFacts]:
    columns = ["run_id", "status", "stage", "error_class", "num_frames_sampled", "process_seconds"]
    rows = _read_table(root, "videos", schemas.VIDEOS, columns)
    facts: defaultdict[str, _VideoFacts] = defaultdict(_VideoFacts)
    for row, num in _counted(rows, ["run_id", "status", "stage", "error_class"]):
        own = facts[row["run_id"]]
        own.statuses[row["status"]] += num
        if row["status"] == "quarantined":
            own.causes[f"{row['error_class'] or 'unknown'} ({row['stage'] or 'unknown'})"] += num
    sums = rows.group_by("run_id").aggregate([("num_frames_sampled", "sum"), ("process_seconds", "sum")])
    for row in sums.to_pylist():
        facts[row["run_id"]].num_frames = int(row["num_frames_sampled_sum"] or 0)
        facts[row["run_id"]].busy_seconds = float(row["process_seconds_sum"] or 0)
    return facts


def _counted(rows: pa.Table, names: list[str]) -> Iterator[tuple[dict[str, str], int]]:
    """Yield each combination of values and how many rows have it."""
    for row in rows.group_by(names).aggregate([([], "count_all")]).to_pylist():
        yield row, row.pop("count_all")


def _read_table(root: str, table: str, schema: pa.Schema, columns: list[str]) -> pa.Table:
    """Return columns of all versions of a table; parts of other releases and damaged ones are left out."""
    empty = pa.schema([schema.field(name) for name in columns]).empty_table()
    return read_consistently(partial(_read_versions, root, table, schema, empty))


def _read_versions(root: str, table: str, schema: pa.Schema, empty: pa.Table) -> pa.Table:
    uris = [
        uri
        for version in list_versions(root, table)
        for uri in current_parts(root, table, version, on_damage=_warn).uris
    ]

    def read(uri: str) -> pa.Table | TableError:
        try:
            with open_part(uri, schema) as part:
                return part.read(columns=empty.column_names).cast(empty.schema)
        except TableError as exc:
            return exc

    with ThreadPoolExecutor(NUM_READERS) as pool:
        found = list(pool.map(read, uris))
    for each in found:
        if isinstance(each, TableError):
            _warn(each)
    return pa.concat_tables([empty, *(each for each in found if isinstance(each, pa.Table))])


def _warn(exc: TableError) -> None:
    warnings.warn(f"left out: {exc}", ChoreaiWarning, stacklevel=2)


def _night(
    group: RunGroup,
    tags: Mapping[str, _TagFacts],
    videos: Mapping[str, _VideoFacts],
    *,
    previous: RunGroup | None,
    price_per_hour: float,
    has_report: bool,
) -> Night:
    main = group.main
    runs = [run if run.finished else _recounted(run, tags, videos) for run in group.runs]
    ids, ids_before = _tagging_ids(group), _tagging_ids(previous) if previous else []
    scores = _scores(ids, tags)
    known = scores[~np.isnan(scores)]
    extractions = [run for run in runs if run.job == "extract_poses" and run.num_videos]
    measured = extractions or [run for run in runs if run.num_videos]
    seconds = sum(run.elapsed_seconds for run in measured)
    num_frames = sum(run.num_frames for run in runs)
    return Night(
        run_id=main.run_id,
        started_at=runs[0].started_at,
        job=main.job,
        catalog=str(main.config.get("catalog", "")),
        model_version=main.model_version,
        pose_fingerprint=main.pose_fingerprint,
        runs=tuple(run.run_id for run in runs),
        num_stopped=sum(not run.finished for run in runs[:-1]),
        state="not finished" if not main.finished else "failed" if group.failed else "done",
        poses=dict(_added(run.statuses for run in runs if run.job == "extract_poses")),
        tags=dict(_added(run.statuses for run in runs if run.job == "tag_catalog")),
        num_unfinished=sum(run.num_failed for run in runs),
        num_done_before=main.num_done_before,
        num_quarantined_before=max(run.num_quarantined_before for run in runs),
        quarantined_by=dict(_added(videos[run.run_id].causes for run in runs if run.run_id in videos)),
        styles=dict(_styles(ids, tags)),
        mean_score=float(known.mean()) if len(known) else None,
        drifts=_drifts(ids_before, ids, tags),
        elapsed_seconds=sum(run.elapsed_seconds for run in runs),
        num_frames=num_frames,
        videos_per_minute=60 * sum(run.num_videos for run in measured) / seconds if seconds else None,
        frames_per_second=num_frames / seconds if seconds and extractions else None,
        utilisation=_utilisation(runs),
        num_worker_deaths=sum(run.num_worker_deaths for run in runs),
        cost=_cost(group, price_per_hour),
        has_report=has_report,
    )


def _recounted(run: RunManifest, tags: Mapping[str, _TagFacts], videos: Mapping[str, _VideoFacts]) -> RunManifest:
    """Return a stopped run's manifest, which may be a minute older than its end, with what the tables say it did."""
    if run.job == "tag_catalog":
        styles = tags[run.run_id].styles if run.run_id in tags else Counter[str]()
        judged = {name: styles[name] for name in (NOTHING, UNKNOWN)}
        judged["tagged"] = styles.total() - sum(judged.values())
        return replace(run, statuses=Counter({status: num for status, num in judged.items() if num}))
    facts = videos[run.run_id] if run.run_id in videos else _VideoFacts()
    return replace(run, statuses=facts.statuses, num_frames=facts.num_frames, busy_seconds=facts.busy_seconds)


def _added(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def _tagging_ids(group: RunGroup) -> list[str]:
    return [run.run_id for run in group.runs if run.job == "tag_catalog"]


def _styles(run_ids: Sequence[str], tags: Mapping[str, _TagFacts]) -> Counter[str]:
    return _added(tags[run_id].styles for run_id in run_ids if run_id in tags)


def _scores(run_ids: Sequence[str], tags: Mapping[str, _TagFacts]) -> FloatArray:
    return np.concatenate([np.zeros(0, np.float32), *(tags[run_id].scores for run_id in run_ids if run_id in tags)])


def _drifts(before: Sequence[str], now: Sequence[str], tags: Mapping[str, _TagFacts]) -> tuple[Drift, ...]:
    found = (
        drift_of_counts("style", _styles(before, tags), _styles(now, tags)),
        drift_of_values("score", _scores(before, tags), _scores(now, tags)),
    )
    return tuple(each for each in found if each is not None)


def _utilisation(runs: Sequence[RunManifest]) -> float | None:
    available = sum(len(run.workers) * run.elapsed_seconds for run in runs)
    return sum(run.busy_seconds for run in runs) / available if available else None


def _cost(group: RunGroup, price_per_hour: float) -> float | None:
    price = price_per_hour or _settings_of(group.main).get("price_per_hour")
    if not isinstance(price, int | float) or not price:
        return None
    return price * sum(run.num_hosts * run.elapsed_seconds for run in group.runs) / 3600


def _settings_of(run: RunManifest) -> Mapping[str, str | float]:
    """Return the run's settings for reports; nothing where an early release ran."""
    settings = run.config.get("report")
    return settings if isinstance(settings, Mapping) else {}
