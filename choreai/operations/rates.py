"""How fast a worker is: measured from finished runs, also by kind of video, or assumed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, pairwise
from typing import Any

from choreai.errors import ConfigError
from choreai.operations.speeds import (
    ANY_KIND,
    ASSUMED_UTILISATION,
    DEFAULT_CODEC,
    DEFAULT_LINES,
    PEOPLE,
    VideoKind,
    assumed_seconds,
    relative_cost,
)
from choreai.search.tag_database import open_tag_database
from choreai.tables.runs import RunManifest, read_runs

MAX_RUNS = 20
"""The number of past runs that are searched for rates."""


@dataclass(frozen=True)
class KindRate:
    """What was measured of one kind of video."""

    kind: VideoKind
    num_videos: int
    video_seconds: float
    process_seconds: float

    @property
    def video_seconds_per_second(self) -> float:
        return self.video_seconds / max(self.process_seconds, 1e-9)

    def plus(self, row: Mapping[str, Any]) -> "KindRate":
        """Return the sum with a row of the same names."""
        names = ("num_videos", "video_seconds", "process_seconds")
        return replace(self, **{name: getattr(self, name) + row[name] for name in names})


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
    kinds: tuple[KindRate, ...] = field(default=())
    """The same by kind of video, the most video first; empty where the rates are not measured."""

    def __post_init__(self) -> None:
        for name in ("video_seconds_per_second", "num_cpus"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name.replace('_', ' ')} must be a positive number, got {getattr(self, name):g}")
        if not 0 < self.utilisation <= 1:
            raise ConfigError(f"utilisation must be in (0, 1], got {self.utilisation:g}")
        if not 0 <= self.num_gpus < math.inf:
            raise ConfigError(f"GPUs per worker must be 0 or more, got {self.num_gpus:g}")


def assumed_rates(estimator: str, kind: VideoKind) -> Rates:
    """Return the rates of a worker of one CPU core that choreai's benchmarks lead to expect, with nothing measured.

    Raises ConfigError for an estimator or a kind that they did not measure.
    """
    kind = replace(kind, codec=kind.codec or DEFAULT_CODEC, lines=kind.lines or DEFAULT_LINES, people=kind.people or 1)
    return Rates(
        video_seconds_per_second=1 / assumed_seconds(estimator, kind),
        utilisation=ASSUMED_UTILISATION,
        num_cpus=1.0,
        num_gpus=0.0,
        mean_seconds=None,
        source=f"choreai's benchmarks on one core, assumed: {estimator}, {kind}",
        estimator=estimator,
    )


def for_estimator(rates: Rates, estimator: str) -> Rates:
    """Return the rates that those of another estimator lead to expect of this one."""
    factor = relative_cost(estimator, rates.estimator)
    if factor == 1:
        return rates
    return replace(
        rates,
        video_seconds_per_second=rates.video_seconds_per_second / factor,
        source=f"{rates.source}, with {rates.estimator}; assumed: {estimator} takes {factor:.2g} times as long",
        estimator=estimator,
        kinds=(),
    )


def measured_rates(root: str, *, kind: VideoKind = ANY_KIND) -> Rates:
    """Return the rates of the newest extraction under `root` and of earlier ones with the same settings and workers,
    of all their videos or of one kind.

    Raises ConfigError if no extraction has finished there, or none with such videos.
    """
    runs = [run for run in islice(read_runs(root), MAX_RUNS) if _has_rates(run)]
    if not runs:
        raise ConfigError(
            f"{root}: no finished extraction among the last {MAX_RUNS} runs to take rates from; run `choreai extract` "
            "on a sample, or give --video-seconds-per-second"
        )
    similar = [run for run in runs if _settings_of(run) == _settings_of(runs[0])]
    kinds = _kinds_of(root, similar)
    chosen = [each for each in kinds if kind.includes(each.kind)]
    num_videos, video_seconds = sum(each.num_videos for each in chosen), sum(each.video_seconds for each in chosen)
    if not video_seconds:
        raise ConfigError(_nothing_measured(root, similar[0], kind, kinds))
    busy_seconds = sum(run.busy_seconds for run in similar)
    paid_seconds = sum(len(run.workers) * run.wall_seconds for run in similar)
    share = sum(each.process_seconds for each in chosen) / max(sum(each.process_seconds for each in kinds), 1e-9)
    workers = runs[0].config["workers"]
    of_kind = f" ({kind})" if kind != ANY_KIND else ""
    return Rates(
        # What a shard takes beyond its videos is shared out among them.
        video_seconds_per_second=video_seconds / (busy_seconds * share if kind != ANY_KIND else busy_seconds),
        utilisation=min(1.0, busy_seconds / paid_seconds),
        num_cpus=workers["num_cpus"],
        num_gpus=workers["num_gpus"],
        mean_seconds=video_seconds / num_videos,
        source=f"{num_videos} videos{of_kind} of {len(similar)} runs, the last {similar[0].run_id}",
        estimator=str(runs[0].config.get("pose", {}).get("estimator", "")),
        kinds=tuple(kinds),
    )


def _has_rates(run: RunManifest) -> bool:
    return run.job == "extract_poses" and run.finished and run.num_frames > 0 and bool(run.workers)


def _settings_of(run: RunManifest) -> tuple[object, ...]:
    workers = run.config["workers"]
    return run.pose_fingerprint, workers["num_cpus"], workers["num_gpus"]


def _nothing_measured(root: str, run: RunManifest, kind: VideoKind, kinds: list[KindRate]) -> str:
    if not any(each.video_seconds for each in kinds):
        return f"{root}: the videos of run {run.run_id} have no length; give --video-seconds-per-second"
    there = "; ".join(str(each.kind) for each in kinds[:8])
    return f"{root}: no videos of {kind} among those of run {run.run_id}; it has {there}"


def _kinds_of(root: str, runs: list[RunManifest]) -> list[KindRate]:
    """Return what these runs measured by kind of video, the most video first."""
    columns = ["run_id", "status", "duration_seconds", "read_seconds", "process_seconds", "codec", "width", "height",
               "num_rows", "num_frames_sampled"]  # fmt: skip
    with open_tag_database(root) as database:
        database.load_videos(columns, fingerprints=[runs[0].pose_fingerprint])
        # What was read: a container may state hours where a file was torn off or a timestamp is wild.
        rows = database.rows(
            f"""SELECT codec, least(width, height) AS lines, {_people_class()} AS people, count(*) AS num_videos,
                    sum(coalesce(read_seconds, duration_seconds)) AS video_seconds,
                    sum(process_seconds) AS process_seconds
                FROM videos WHERE list_contains(?, run_id) AND status <> 'quarantined'
                    AND coalesce(read_seconds, duration_seconds) IS NOT NULL
                GROUP BY ALL""",
            [[run.run_id for run in runs]],
        )
    found: dict[VideoKind, KindRate] = {}
    for row in rows:
        kind = VideoKind.near(row["codec"], lines=row["lines"], people=row["people"])
        sums = (found[kind] if kind in found else KindRate(kind, 0, 0.0, 0.0)).plus(row)
        found[kind] = sums
    return sorted(found.values(), key=lambda each: (-each.video_seconds, str(each.kind)))


def _people_class() -> str:
    """Return SQL for the nearest of `PEOPLE`; null where no frame was sampled."""
    bounds = [math.sqrt(less * more) for less, more in pairwise(PEOPLE)]
    cases = " ".join(
        f"WHEN num_rows < {bound}::DOUBLE * num_frames_sampled THEN {people}"
        for bound, people in zip(bounds, PEOPLE, strict=False)
    )
    return f"CASE WHEN num_frames_sampled = 0 THEN NULL {cases} ELSE {PEOPLE[-1]} END"
