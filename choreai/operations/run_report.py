"""The run report: what was done, what changed and why, what failed, what drifted, and what it cost."""

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace

from choreai.config import ReportSettings
from choreai.errors import ObjectMissingError
from choreai.operations.drift import Drift, drift_of_counts, drift_of_values
from choreai.operations.report_rows import (
    Cause,
    Change,
    InputRemark,
    Quarantined,
    QuarantinedVideo,
    SlowVideo,
    StyleCount,
    TaggedVideo,
)
from choreai.operations.speed_view import speed_line
from choreai.search.tag_database import TagDatabase, open_tag_database
from choreai.storage.uris import without_secrets
from choreai.tables.runs import RunGroup, RunManifest, find_run_group
from choreai.video.quality import GOOD

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
MAX_SLOWEST = 5
MAX_VIDEOS = 50
MAX_NAMED = 1000
"""Quarantined videos on the page; the videos table has all of them."""


@dataclass(frozen=True)
class RunReport:
    """Everything that the report's page shows."""

    group: RunGroup
    """What a run that was stopped had done by then is counted from the tables."""
    settings: ReportSettings
    reference_run: str | None
    styles: tuple[StyleCount, ...]
    causes: tuple[Cause, ...]
    changes: tuple[Change, ...]
    drifts: tuple[Drift, ...]
    quarantined: tuple[Quarantined, ...]
    quarantined_videos: tuple[QuarantinedVideo, ...]
    """The first MAX_NAMED, by video_id."""
    slowest: tuple[SlowVideo, ...]
    input_quality: tuple[InputRemark, ...] = ()
    videos: tuple[TaggedVideo, ...] = ()
    """The first MAX_VIDEOS to look at: those that changed style, then by score, lowest first."""

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
    def num_quarantined(self) -> int:
        """Videos that this run quarantined, its part before it was stopped and resumed included."""
        return sum(run.statuses.get("quarantined", 0) for run in self.runs)

    @property
    def num_quarantined_before(self) -> int:
        """Videos of the catalog that an earlier run quarantined and this one did not try again."""
        return max((run.num_quarantined_before for run in self.runs), default=0)

    @property
    def cost(self) -> float | None:
        """Cost of the worker nodes during the runs, in `settings.currency`; None if the price is unknown."""
        hours = sum(run.num_hosts * run.elapsed_seconds for run in self.runs) / 3600
        return hours * self.settings.price_per_hour if self.settings.price_per_hour else None

    @property
    def summary(self) -> list[str]:
        """The report in a few lines of text, for the end of a log."""
        return [line for line in (*self.run_lines, *self._tag_lines(), self._cost_line()) if line]

    @property
    def run_lines(self) -> list[str]:
        """What was done and what failed, a line each."""
        lines = []
        for run in self.runs:
            parts = [f"{count} {status}" for status, count in sorted(run.statuses.items())]
            parts += [f"{run.num_failed} could not be finished"] if run.num_failed else []
            busy = f", workers {100 * run.utilisation:.0f} % busy" if run.utilisation is not None else ""
            lines.append(f"{run.job}: {', '.join(parts) or _nothing_new(run)} in {_duration(run)}{busy}")
            lines += [line] if (line := speed_line(run)) else []
        if self.input_quality:
            lines.append("input quality: " + ", ".join(f"{each.num} {each.remark}" for each in self.input_quality))
        causes: Counter[str] = Counter()
        for each in self.quarantined:
            causes[f"{each.error_class} ({each.stage})"] += each.num
        failed = ", ".join(f"{num} {cause}" for cause, num in causes.most_common(3))
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


def _duration(run: RunManifest) -> str:
    return f"{run.wall_seconds:.0f} s" if run.finished else f"over {run.elapsed_seconds:.0f} s before it was stopped"


def _nothing_new(run: RunManifest) -> str:
    quarantined = f", {run.num_quarantined_before} in quarantine" if run.num_quarantined_before else ""
    return f"nothing new, {run.num_done_before} done before{quarantined},"


def make_run_report(root: str, settings: ReportSettings, *, run_id: str | None = None) -> RunReport:
    """Make the report of the run `run_id` under `root`, or of the newest.

    Raises ConfigError if there is no such run, or no run `settings.reference_run`.
    """
    group = find_run_group(root, run_id)
    reference = _reference_run(root, group, settings)
    reference_ids = _tagging_ids(find_run_group(root, reference)) if reference else []
    with open_tag_database(root) as database:
        tagged = _load_tags(database, group)
        _load_videos(database, group)
        return RunReport(
            group=_recounted(database, group, tagged=tagged),
            settings=settings,
            reference_run=reference,
            styles=_styles(database, _tagging_ids(group), reference_ids) if tagged else (),
            causes=_causes(database) if tagged else (),
            changes=_changes(database) if tagged else (),
            drifts=_drifts(database, _tagging_ids(group), reference_ids) if tagged and reference else (),
            quarantined=_quarantined(database),
            quarantined_videos=_quarantined_videos(database),
            slowest=_slowest(database),
            input_quality=_input_quality(database),
            videos=_videos(database) if tagged else (),
        )


def _reference_run(root: str, group: RunGroup, settings: ReportSettings) -> str | None:
    """Return the id of the tagging run that `group` is compared with; None if there is none."""
    if group.tagging is None:
        return None
    return find_run_group(root, settings.reference_run).main.run_id if settings.reference_run else group.previous


# Why a video was tagged in this run. Data comes first: new bytes need new poses and a new tag whatever else changed.
_COMPARED = f"""
    SELECT n.video_id, n.score, n.uri, n.part, n.row_in_part,
        coalesce(n.style, '{NOTHING}') AS style, coalesce(b.style, '{NOTHING}') AS before,
        CASE WHEN b.video_id IS NULL THEN 'new video'
             WHEN b.content_id <> n.content_id THEN 'new bytes'
             WHEN b.pose_fingerprint <> n.pose_fingerprint AND b.model_version <> n.model_version
                THEN 'pose settings and model'
             WHEN b.pose_fingerprint <> n.pose_fingerprint THEN 'pose settings'
             WHEN b.model_version <> n.model_version THEN 'model'
             ELSE 'tagged again' END AS cause
    FROM current n LEFT JOIN (
        SELECT * FROM tags WHERE NOT list_contains(?, run_id) AND tagged_at < (SELECT min(tagged_at) FROM current)
        QUALIFY row_number() OVER (PARTITION BY video_id ORDER BY tagged_at DESC, model_version DESC) = 1
    ) b ON b.video_id = n.video_id"""


def _tagging_ids(group: RunGroup) -> list[str]:
    return [run.run_id for run in group.runs if run.job == "tag_catalog"]


def _load_tags(database: TagDatabase, group: RunGroup) -> bool:
    """Load the tables `tags`, `current` (this run's) and `compared`, and return whether the run tagged anything."""
    tagging = [run for run in group.runs if run.job == "tag_catalog"]
    if not any(run.num_videos or not run.finished for run in tagging):
        return False
    run_ids = _tagging_ids(group)
    database.load_tags(features=KEY_KINEMATICS)
    database.sql("CREATE TABLE current AS SELECT * FROM tags WHERE list_contains(?, run_id)", [run_ids])
    database.sql(f"CREATE TABLE compared AS {_COMPARED}", [run_ids])
    return bool(database.rows("SELECT 1 FROM current LIMIT 1"))


def _load_videos(database: TagDatabase, group: RunGroup) -> None:
    columns = ["video_id", "uri", "status", "stage", "error_class", "reason", "duration_seconds", "num_frames_sampled",
               "input_quality"]  # fmt: skip
    fingerprints = sorted({run.pose_fingerprint for run in group.runs})
    database.load_videos([*columns, "process_seconds", "run_id"], fingerprints=fingerprints)
    database.sql("CREATE TABLE done AS SELECT * FROM videos WHERE list_contains(?, run_id)",
                 [[run.run_id for run in group.runs]])  # fmt: skip


def _recounted(database: TagDatabase, group: RunGroup, *, tagged: bool) -> RunGroup:
    """Return the group with what its stopped runs, whose manifests are of their start, had done by then."""
    return replace(group, runs=tuple(run if run.finished else _count(database, run, tagged) for run in group.runs))


def _count(database: TagDatabase, run: RunManifest, tagged: bool) -> RunManifest:
    if run.job == "tag_catalog":
        status = f"CASE WHEN style IS NULL THEN '{NOTHING}' WHEN unknown THEN 'unknown' ELSE 'tagged' END"
        sql = f"SELECT {status} AS status, count(*) AS num FROM current"
        rows = database.rows(f"{sql} WHERE run_id = ? GROUP BY 1", [run.run_id]) if tagged else []
        return replace(run, statuses=Counter({row["status"]: row["num"] for row in rows}))
    rows = database.rows(
        """SELECT status, count(*) AS num, sum(num_frames_sampled) AS num_frames, sum(process_seconds) AS seconds
            FROM done WHERE run_id = ? GROUP BY status""",
        [run.run_id],
    )
    return replace(
        run,
        statuses=Counter({row["status"]: row["num"] for row in rows}),
        num_frames=int(sum(row["num_frames"] for row in rows)),
        busy_seconds=float(sum(row["seconds"] for row in rows)),
    )


def _styles(database: TagDatabase, run_ids: list[str], reference_ids: list[str]) -> tuple[StyleCount, ...]:
    rows = database.rows(
        f"""SELECT coalesce(style, '{NOTHING}') AS style, count(*) FILTER (list_contains($1, run_id)) AS num,
                avg(score) FILTER (list_contains($1, run_id)) AS mean_score,
                count(*) FILTER (list_contains($2, run_id)) AS num_reference
            FROM tags WHERE list_contains(list_concat($1, $2), run_id) GROUP BY 1 ORDER BY num DESC, style""",
        [run_ids, reference_ids],
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


def _videos(database: TagDatabase) -> tuple[TaggedVideo, ...]:
    database.sql(
        """CREATE TABLE chosen AS SELECT *, if(cause <> 'new video' AND style <> before, before, NULL) AS changed_from
            FROM compared ORDER BY changed_from IS NULL, score, video_id LIMIT ?""",
        [MAX_VIDEOS],
    )
    starts: dict[tuple[str, int], float] = {}
    with suppress(ObjectMissingError):  # its part was merged since: the moments are not worth a second look
        database.load_details("chosen", ["segments"])
        for row in database.rows("SELECT part, row_in_part, segments FROM details WHERE len(segments) > 0"):
            surest = max(row["segments"], key=lambda segment: segment["score"] or 0.0)
            starts[row["part"], row["row_in_part"]] = float(surest["start_seconds"])
    rows = database.rows("SELECT * FROM chosen ORDER BY changed_from IS NULL, score, video_id")
    return tuple(
        TaggedVideo(
            video_id=row["video_id"],
            uri=without_secrets(row["uri"]),
            style=row["style"],
            before=row["changed_from"],
            score=row["score"],
            start_seconds=starts.get((row["part"], row["row_in_part"])),
        )
        for row in rows
    )


def _drifts(database: TagDatabase, run_ids: list[str], reference_ids: list[str]) -> tuple[Drift, ...]:
    before_and_now = (reference_ids, run_ids)
    styles = [
        Counter(dict(database.sql(f"SELECT coalesce(style, '{NOTHING}'), count(*) FROM tags "
                                  "WHERE list_contains(?, run_id) GROUP BY 1", [ids]).fetchall()))
        for ids in before_and_now
    ]  # fmt: skip
    found = [drift_of_counts("style", *styles)]
    for name, column in (("score", "score"), *((name, f"kinematics.{name}") for name in KEY_KINEMATICS)):
        samples = [
            database.sql(f"SELECT coalesce({column}, 'NaN') AS value FROM tags WHERE list_contains(?, run_id)", [ids])
            .fetchnumpy()["value"]
            .astype("float32")
            for ids in before_and_now
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


def _quarantined_videos(database: TagDatabase) -> tuple[QuarantinedVideo, ...]:
    rows = database.rows(
        """SELECT video_id, uri, coalesce(stage, '') AS stage, coalesce(reason, '') AS reason
            FROM done WHERE status = 'quarantined' ORDER BY video_id LIMIT ?""",
        [MAX_NAMED],
    )
    return tuple(QuarantinedVideo(**{**row, "uri": without_secrets(row["uri"])}) for row in rows)


def _slowest(database: TagDatabase) -> tuple[SlowVideo, ...]:
    rows = database.rows(
        """SELECT video_id, process_seconds, duration_seconds, num_frames_sampled AS num_frames FROM done
            ORDER BY process_seconds DESC, video_id LIMIT ?""",
        [MAX_SLOWEST],
    )
    return tuple(SlowVideo(**row) for row in rows)


def _input_quality(database: TagDatabase) -> tuple[InputRemark, ...]:
    rows = database.rows(
        """SELECT remark, count(*) AS num, min(video_id) AS example
            FROM (SELECT video_id, unnest(string_split(input_quality, ', ')) AS remark FROM done)
            WHERE remark <> ? GROUP BY remark ORDER BY num DESC, remark""",
        [GOOD],
    )
    return tuple(InputRemark(**row) for row in rows)
