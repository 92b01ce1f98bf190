"""The run report: what was done, what changed and why, what failed, what drifted, and what it cost."""

from collections import Counter
from dataclasses import dataclass

from choreai.config import ReportSettings
from choreai.operations.drift import Drift, drift_of_counts, drift_of_values
from choreai.search.tag_database import TagDatabase, open_tag_database
from choreai.tables.runs import RunGroup, RunManifest, find_run_group

KEY_KINEMATICS = (
    "beats_per_minute",
    "body_speed_mean",
    "hands_speed_mean",
    "feet_speed_mean",
    "expansion_mean",
    "bounce_height",
)
NOTHING = "nothing to judge"
MAX_LISTED = 15


@dataclass(frozen=True)
class StyleCount:
    """Number of videos of one style, in this run and in the reference run."""

    style: str
    num: int
    mean_score: float | None
    num_reference: int


@dataclass(frozen=True)
class Cause:
    """Number of videos tagged for one reason, and of those whose style changed."""

    name: str
    num: int
    num_changed: int


@dataclass(frozen=True)
class Change:
    """Number of videos that changed from one style to another."""

    cause: str
    before: str
    now: str
    num: int


@dataclass(frozen=True)
class Quarantined:
    """Videos that failed for the same reason."""

    stage: str
    error_class: str
    reason: str
    """Of one of them."""
    num: int
    example: str
    """Its video_id."""


@dataclass(frozen=True)
class SlowVideo:
    """A video and the time its poses took."""

    video_id: str
    process_seconds: float
    duration_seconds: float | None
    num_frames: int


@dataclass(frozen=True)
class RunReport:
    """Everything that the report's page shows."""

    group: RunGroup
    settings: ReportSettings
    reference_run: str | None
    styles: tuple[StyleCount, ...]
    causes: tuple[Cause, ...]
    changes: tuple[Change, ...]
    drifts: tuple[Drift, ...]
    quarantined: tuple[Quarantined, ...]
    slowest: tuple[SlowVideo, ...]

    @property
    def run_id(self) -> str:
        return self.group.main.run_id

    @property
    def runs(self) -> tuple[RunManifest, ...]:
        return self.group.runs

    @property
    def failed(self) -> bool:
        """Whether the last run of either job failed."""
        return self.group.failed

    @property
    def cost(self) -> float | None:
        """Cost of the worker nodes during the runs, in `settings.currency`; None if the price is unknown."""
        hours = sum(run.num_hosts * run.wall_seconds for run in self.runs) / 3600
        return hours * self.settings.price_per_hour if self.settings.price_per_hour else None

    @property
    def summary(self) -> list[str]:
        """The report in a few lines of text, for the end of a log."""
        return [line for line in (*self._run_lines(), *self._tag_lines(), self._cost_line()) if line]

    def _run_lines(self) -> list[str]:
        lines = []
        for run in self.runs:
            parts = [f"{count} {status}" for status, count in sorted(run.statuses.items())]
            parts += [f"{run.num_failed} could not be finished"] if run.num_failed else []
            busy = f", workers {100 * run.utilisation:.0f} % busy" if run.utilisation is not None else ""
            lines.append(f"{run.job}: {', '.join(parts) or 'nothing'} in {run.wall_seconds:.0f} s{busy}")
        failed = ", ".join(f"{each.num} {each.error_class} ({each.stage})" for each in self.quarantined[:3])
        return [*lines, f"quarantined: {failed}"] if failed else lines

    def _tag_lines(self) -> list[str]:
        lines = []
        if self.styles:
            lines.append("styles: " + ", ".join(f"{each.num} {each.style}" for each in self.styles[:8]))
        changed = [each for each in self.causes if each.num_changed]
        if changed:
            lines.append("changed style: " + ", ".join(f"{c.num_changed} ({c.name})" for c in changed))
        if self.drifts:
            moved = [f"{each.name} {each.psi:.2f} ({each.band})" for each in self.drifts if each.band != "stable"]
            lines.append(f"drift against {self.reference_run}: {', '.join(moved) or 'none'}")
        return lines

    def _cost_line(self) -> str:
        return f"cost of the worker nodes: {self.cost:.2f} {self.settings.currency}" if self.cost is not None else ""


def make_run_report(root: str, settings: ReportSettings, *, run_id: str | None = None) -> RunReport:
    """Make the report of the run `run_id` under `root`, or of the newest.

    Raises ConfigError if there is no such run, or no run `settings.reference_run`.
    """
    group = find_run_group(root, run_id)
    reference = _reference_run(root, group, settings)
    with open_tag_database(root) as database:
        tagged = _load_tags(database, group)
        _load_videos(database, group)
        return RunReport(
            group=group,
            settings=settings,
            reference_run=reference,
            styles=_styles(database, group, reference) if tagged else (),
            causes=_causes(database) if tagged else (),
            changes=_changes(database) if tagged else (),
            drifts=_drifts(database, group, reference) if tagged and reference else (),
            quarantined=_quarantined(database),
            slowest=_slowest(database),
        )


def _reference_run(root: str, group: RunGroup, settings: ReportSettings) -> str | None:
    """Return the id of the tagging run that `group` is compared with; None if there is none."""
    if group.tagging is None:
        return None
    return find_run_group(root, settings.reference_run).main.run_id if settings.reference_run else group.previous


# Why a video was tagged in this run. Data comes first: new bytes need new poses and a new tag whatever else changed.
_COMPARED = f"""
    SELECT n.video_id, n.score,
        coalesce(n.style, '{NOTHING}') AS style, coalesce(b.style, '{NOTHING}') AS before,
        CASE WHEN b.video_id IS NULL THEN 'new video'
             WHEN b.content_id <> n.content_id THEN 'new bytes'
             WHEN b.pose_fingerprint <> n.pose_fingerprint AND b.model_version <> n.model_version
                THEN 'pose settings and model'
             WHEN b.pose_fingerprint <> n.pose_fingerprint THEN 'pose settings'
             WHEN b.model_version <> n.model_version THEN 'model'
             ELSE 'tagged again' END AS cause
    FROM current n LEFT JOIN (
        SELECT * FROM tags WHERE run_id <> ? AND tagged_at < (SELECT min(tagged_at) FROM current)
        QUALIFY row_number() OVER (PARTITION BY video_id ORDER BY tagged_at DESC, model_version DESC) = 1
    ) b ON b.video_id = n.video_id"""


def _load_tags(database: TagDatabase, group: RunGroup) -> bool:
    """Load the tables `tags`, `current` (this run's) and `compared`, and return whether the run tagged anything."""
    if group.tagging is None or not group.tagging.statuses:
        return False
    run_id = group.tagging.run_id
    database.load_tags(features=KEY_KINEMATICS)
    database.sql("CREATE TABLE current AS SELECT * FROM tags WHERE run_id = ?", [run_id])
    database.sql(f"CREATE TABLE compared AS {_COMPARED}", [run_id])
    return True


def _load_videos(database: TagDatabase, group: RunGroup) -> None:
    columns = ["video_id", "status", "stage", "error_class", "reason", "duration_seconds", "num_frames_sampled"]
    fingerprints = sorted({run.pose_fingerprint for run in group.runs})
    database.load_videos([*columns, "process_seconds", "run_id"], fingerprints=fingerprints)
    database.sql("CREATE TABLE done AS SELECT * FROM videos WHERE list_contains(?, run_id)",
                 [[run.run_id for run in group.runs]])  # fmt: skip


def _styles(database: TagDatabase, group: RunGroup, reference: str | None) -> tuple[StyleCount, ...]:
    rows = database.rows(
        f"""SELECT coalesce(style, '{NOTHING}') AS style, count(*) FILTER (run_id = $1) AS num,
                avg(score) FILTER (run_id = $1) AS mean_score, count(*) FILTER (run_id = $2) AS num_reference
            FROM tags WHERE run_id IN ($1, $2) GROUP BY 1 ORDER BY num DESC, style""",
        [group.main.run_id, reference or ""],
    )
    return tuple(StyleCount(**row) for row in rows)


def _causes(database: TagDatabase) -> tuple[Cause, ...]:
    rows = database.rows(
        """SELECT cause AS name, count(*) AS num, count(*) FILTER (cause <> 'new video' AND style <> before) AS
            num_changed FROM compared GROUP BY cause ORDER BY num DESC, cause"""
    )
    return tuple(Cause(**row) for row in rows)


def _changes(database: TagDatabase) -> tuple[Change, ...]:
    rows = database.rows(
        """SELECT cause, before, style AS now, count(*) AS num FROM compared
            WHERE cause <> 'new video' AND style <> before GROUP BY cause, before, style
            ORDER BY num DESC, cause, before, style LIMIT ?""",
        [MAX_LISTED],
    )
    return tuple(Change(**row) for row in rows)


def _drifts(database: TagDatabase, group: RunGroup, reference: str) -> tuple[Drift, ...]:
    run_ids = (reference, group.main.run_id)
    styles = [
        Counter(dict(database.sql(f"SELECT coalesce(style, '{NOTHING}'), count(*) FROM tags WHERE run_id = ? "
                                  "GROUP BY 1", [run_id]).fetchall()))
        for run_id in run_ids
    ]  # fmt: skip
    found = [drift_of_counts("style", *styles)]
    for name, column in (("score", "score"), *((name, f"kinematics.{name}") for name in KEY_KINEMATICS)):
        samples = [
            database.sql(f"SELECT coalesce({column}, 'NaN') AS value FROM tags WHERE run_id = ?", [run_id])
            .fetchnumpy()["value"]
            .astype("float32")
            for run_id in run_ids
        ]
        found.append(drift_of_values(name, *samples))
    return tuple(drift for drift in found if drift is not None)


def _quarantined(database: TagDatabase) -> tuple[Quarantined, ...]:
    rows = database.rows(
        r"""SELECT coalesce(stage, '') AS stage, coalesce(error_class, '') AS error_class, min(reason) AS reason,
                count(*) AS num, arg_min(video_id, reason) AS example
            FROM done WHERE status = 'quarantined'
            GROUP BY stage, error_class, regexp_replace(reason, '[0-9]+|''[^'']*''|"[^"]*"', '#', 'g')
            ORDER BY num DESC, example LIMIT ?""",
        [MAX_LISTED],
    )
    return tuple(Quarantined(**row) for row in rows)


def _slowest(database: TagDatabase) -> tuple[SlowVideo, ...]:
    rows = database.rows(
        """SELECT video_id, process_seconds, duration_seconds, num_frames_sampled AS num_frames FROM done
            ORDER BY process_seconds DESC, video_id LIMIT ?""",
        [MAX_LISTED],
    )
    return tuple(SlowVideo(**row) for row in rows)
