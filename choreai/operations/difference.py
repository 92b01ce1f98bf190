"""What changed between two runs, two models or two pose fingerprints of one output: which videos, how, and why.

A side is the state of the tables that a run left behind: of its model and its pose fingerprint the rows that it and the
runs before it wrote. A model's or a fingerprint's side is all that it has. DuckDB compares them on disk, so a million
videos need no more memory than a thousand.
"""

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from choreai.errors import ConfigError, ObjectMissingError, TableError
from choreai.motion.distance import KeypointDistance, measure_distance
from choreai.motion.sequence import KeypointSequence
from choreai.search.tag_database import TagDatabase, open_tag_database
from choreai.tables import schemas
from choreai.tables.compact import list_versions
from choreai.tables.keypoints import read_videos
from choreai.tables.parts import part_uri
from choreai.tables.runs import list_run_ids, read_run

logger = logging.getLogger(__name__)
NOTHING = "nothing to judge"
MAX_LISTED = 10_000
"""Changed videos that are named; all are counted."""
MAX_MOVES = 30
MIN_SCORE_CHANGE = 0.05
_FOREVER = "~"  # after every run id
_TAG_COLUMNS = ("video_id", "content_id", "style", "score", "pose_fingerprint", "run_id", "tagged_at")
_VIDEO_COLUMNS = ("video_id", "content_id", "status", "reason", "attempts", "shard_id", "run_id")
_IGNORED_SETTINGS = ("catalog", "output", "ray_address", "report")
"""Settings that change no result; `limit` and the like only decide which videos are due."""


@dataclass(frozen=True)
class Side:
    """One of the two states that are compared."""

    name: str
    kind: str
    """`run`, `model` or `poses`."""
    model_version: str
    """Empty: its tags are not compared."""
    pose_fingerprint: str
    until: str
    """The last run whose rows count."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of a run."""


@dataclass(frozen=True)
class Setting:
    """A setting that the two runs had differently."""

    name: str
    before: str
    now: str


@dataclass(frozen=True)
class Cause:
    """Number of videos that changed in one way for one reason."""

    change: str
    """`tag`, `score`, `quarantine`, `new` or `gone`."""
    cause: str
    num: int


@dataclass(frozen=True)
class Move:
    """Number of videos whose tag changed from one style to another."""

    before: str
    now: str
    num: int


@dataclass(frozen=True)
class ChangedVideo:
    """One video that is not what it was."""

    video_id: str
    change: str
    cause: str
    style_before: str | None
    style_now: str | None
    score_before: float | None
    score_now: float | None
    status_before: str | None
    status_now: str | None
    reason: str | None
    """Why it is quarantined on one side."""


@dataclass(frozen=True)
class MovedKeypoints:
    """How far the keypoints of one video moved."""

    video_id: str
    distance: KeypointDistance


@dataclass(frozen=True)
class Difference:
    """Everything that a comparison shows."""

    before: Side
    now: Side
    num_before: int
    num_now: int
    num_changed: int
    settings: tuple[Setting, ...]
    causes: tuple[Cause, ...]
    moves: tuple[Move, ...]
    videos: tuple[ChangedVideo, ...]
    """The first MAX_LISTED: changed tags first, then by how much the score changed."""
    keypoints: tuple[MovedKeypoints, ...]
    """Of a sample of the videos, those that moved most first."""


def compare(
    root: str, before: str, now: str, *, num_keypoints: int = 50, min_score_change: float = MIN_SCORE_CHANGE
) -> Difference:
    """Compare two runs, models or pose fingerprints of the tables under `root`, by their names.

    `num_keypoints` videos at most have their keypoints compared, changed ones first, where the poses or the bytes are
    others. Raises ConfigError for a name that is none of these.
    """
    a, b = find_side(root, before), find_side(root, now)
    settings = _settings(a, b)
    with open_tag_database(root) as database:
        _load(database, a, b)
        for number, side in enumerate((a, b)):
            _make_side(database, side, f"side_{number}")
        _make_changes(database, a, b, has_settings=bool(settings), min_score_change=min_score_change)
        return Difference(
            before=a,
            now=b,
            num_before=_count(database, "side_0"),
            num_now=_count(database, "side_1"),
            num_changed=_count(database, "changes"),
            settings=settings,
            causes=tuple(Cause(**row) for row in database.rows(
                "SELECT change, cause, count(*) AS num FROM changes GROUP BY ALL ORDER BY num DESC, change, cause"
            )),
            moves=tuple(Move(**row) for row in database.rows(
                f"""SELECT style_before AS before, style_now AS now, count(*) AS num FROM changes WHERE change = 'tag'
                    GROUP BY ALL ORDER BY num DESC, before, now LIMIT {MAX_MOVES}"""
            )),
            videos=tuple(_changed_videos(database)),
            keypoints=tuple(sorted(
                _moved_keypoints(root, database, a, b, num_keypoints), key=lambda each: -each.distance.median_share
            )),
        )  # fmt: skip


def find_side(root: str, name: str) -> Side:
    """Return the run, model or pose fingerprint of this name. Raises ConfigError, with the nearest name there is."""
    models, poses, runs = list_versions(root, "tags"), list_versions(root, "videos"), list_run_ids(root)
    if name in runs:
        run = read_run(root, name)
        return Side(name, "run", run.model_version, run.pose_fingerprint, name, run.config)
    if name in models:
        return Side(name, "model", name, "", _FOREVER)
    if name in poses:
        return Side(name, "poses", "", name, _FOREVER)
    near = get_close_matches(name, [*runs, *models, *poses], n=1)
    raise ConfigError(
        f"{root}: {name!r} is no run, model or pose fingerprint here"
        + (f"; did you mean {near[0]}?" if near else "; runs/, tags/ and videos/ have their names")
    )


def _load(database: TagDatabase, a: Side, b: Side) -> None:
    """Make the tables `tags` and `videos` of what the sides need."""
    models = [each.model_version for each in (a, b) if each.model_version]
    database.load_columns("tags", schemas.TAGS, list(dict.fromkeys(models)), _TAG_COLUMNS)
    poses = [each.pose_fingerprint for each in (a, b) if each.pose_fingerprint]
    poses += [row["p"] for row in database.rows("SELECT DISTINCT pose_fingerprint AS p FROM tags ORDER BY p")]
    known = set(list_versions(database.root, "videos"))
    versions = [name for name in dict.fromkeys(poses) if name in known]
    database.load_columns("videos", schemas.VIDEOS, versions, _VIDEO_COLUMNS)


def _make_side(database: TagDatabase, side: Side, name: str) -> None:
    """Make a table with one row for each video of a side."""
    database.sql(
        f"""CREATE TABLE {name}_tags AS
            SELECT video_id, last.* FROM (
                SELECT video_id, arg_max({{content: content_id, style: style, score: score, poses: pose_fingerprint}},
                    (run_id, tagged_at)) AS last
                FROM tags WHERE version = ? AND run_id <= ? GROUP BY video_id)""",
        [side.model_version, side.until],
    )
    wanted = "version = ?" if side.pose_fingerprint else f"version IN (SELECT DISTINCT poses FROM {name}_tags)"
    database.sql(
        f"""CREATE TABLE {name}_videos AS
            SELECT video_id, last.* FROM (
                SELECT video_id, arg_max({{content: content_id, status: status, reason: reason, shard: shard_id,
                    poses: version}}, (run_id, attempts)) AS last
                FROM videos WHERE {wanted} AND run_id <= ? GROUP BY video_id)""",
        [*([side.pose_fingerprint] if side.pose_fingerprint else []), side.until],
    )
    database.sql(
        f"""CREATE TABLE {name} AS
            SELECT coalesce(t.video_id, v.video_id) AS video_id, coalesce(v.content, t.content) AS content,
                coalesce(t.poses, v.poses) AS poses, t.video_id IS NOT NULL AS has_tag,
                CASE WHEN t.video_id IS NOT NULL THEN coalesce(t.style, '{NOTHING}') END AS style, t.score AS score,
                v.status AS status, v.reason AS reason, v.shard AS shard
            FROM {name}_tags t FULL JOIN {name}_videos v ON t.video_id = v.video_id"""
    )
    for table in ("tags", "videos"):
        database.sql(f"DROP TABLE {name}_{table}")


_CHANGES = """
    SELECT coalesce(a.video_id, b.video_id) AS video_id,
        CASE WHEN a.video_id IS NULL THEN 'new' WHEN b.video_id IS NULL THEN 'gone'
             WHEN (a.status = 'quarantined') <> (b.status = 'quarantined') THEN 'quarantine'
             WHEN a.has_tag AND b.has_tag AND a.style <> b.style THEN 'tag'
             WHEN a.has_tag <> b.has_tag AND $both_tag THEN 'tag'
             WHEN abs(a.score - b.score) >= $min_score_change THEN 'score' END AS change,
        CASE WHEN a.video_id IS NULL OR b.video_id IS NULL THEN ''
             ELSE coalesce(nullif(concat_ws(' and ', CASE WHEN a.content <> b.content THEN 'bytes' END,
                CASE WHEN a.poses <> b.poses THEN 'poses' END, CASE WHEN $other_model THEN 'model' END), ''),
                $last_resort) END AS cause,
        a.style AS style_before, b.style AS style_now, a.score AS score_before, b.score AS score_now,
        a.status AS status_before, b.status AS status_now,
        CASE WHEN b.status = 'quarantined' THEN b.reason WHEN a.status = 'quarantined' THEN a.reason END AS reason
    FROM side_0 a FULL JOIN side_1 b ON a.video_id = b.video_id"""


def _make_changes(database: TagDatabase, a: Side, b: Side, *, has_settings: bool, min_score_change: float) -> None:
    """Make the table `changes`: a row for each video that is not what it was."""
    parameters = {
        "both_tag": bool(a.model_version and b.model_version),
        "other_model": a.model_version != b.model_version,
        "last_resort": "settings" if has_settings else "done again",
        "min_score_change": min_score_change,
    }
    sql = _CHANGES
    for number, name in enumerate(parameters, start=1):
        sql = sql.replace(f"${name}", f"${number}")
    database.sql(f"CREATE TABLE changes AS SELECT * FROM ({sql}) WHERE change IS NOT NULL", list(parameters.values()))


def _count(database: TagDatabase, table: str) -> int:
    return int(database.rows(f"SELECT count(*) AS num FROM {table}")[0]["num"])


def _changed_videos(database: TagDatabase) -> Iterator[ChangedVideo]:
    rows = database.rows(
        f"""SELECT * FROM changes ORDER BY list_position(['tag', 'quarantine', 'score', 'gone', 'new'], change),
            abs(score_now - score_before) DESC NULLS LAST, video_id LIMIT {MAX_LISTED}"""
    )
    return (ChangedVideo(**row) for row in rows)


def _moved_keypoints(root: str, database: TagDatabase, a: Side, b: Side, num: int) -> Iterator[MovedKeypoints]:
    """Yield how far keypoints moved of up to `num` videos whose poses or bytes are others, changed ones first."""
    rows = database.rows(
        """SELECT a.video_id, a.shard AS shard_a, b.shard AS shard_b, a.poses AS poses_a, b.poses AS poses_b,
                a.content AS content_a, b.content AS content_b
            FROM side_0 a JOIN side_1 b ON a.video_id = b.video_id LEFT JOIN changes c ON c.video_id = a.video_id
            WHERE a.status = 'ok' AND b.status = 'ok' AND (a.poses <> b.poses OR a.content <> b.content)
            ORDER BY coalesce(list_position(['tag', 'score'], c.change), 9), hash(a.video_id) LIMIT ?""",
        [num],
    )
    problems: list[str] = []
    for row in rows:
        try:
            sequences = [_sequence(root, row, side) for side in "ab"]
        except (ObjectMissingError, TableError) as exc:
            problems.append(str(exc))
            continue
        distance = measure_distance(*sequences)
        if distance is not None:
            yield MovedKeypoints(row["video_id"], distance)
    if problems:
        logger.warning("keypoints of %d videos are not compared; the first: %s", len(problems), problems[0])


def _sequence(root: str, row: Mapping[str, Any], side: str) -> KeypointSequence:
    part = part_uri(root, "keypoints", row[f"poses_{side}"], row[f"shard_{side}"])
    found = dict(read_videos(part, {row["video_id"]: row[f"content_{side}"]}))
    return found.get(row["video_id"], KeypointSequence.empty())


def _settings(a: Side, b: Side) -> tuple[Setting, ...]:
    """Return what the settings of two runs do not have in common."""
    flat_a, flat_b = dict(_flat(a.settings)), dict(_flat(b.settings))
    if not flat_a or not flat_b:
        return ()
    names = sorted(name for name in flat_a.keys() | flat_b.keys() if flat_a.get(name) != flat_b.get(name))
    return tuple(Setting(name, flat_a.get(name, ""), flat_b.get(name, "")) for name in names)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if not prefix and name in _IGNORED_SETTINGS:
            continue
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", json.dumps(value)
