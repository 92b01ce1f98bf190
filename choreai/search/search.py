"""Search: tags of all models, the newest of each video, overridden by reviewers' corrections."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from choreai.errors import ConfigError
from choreai.motion.kinematics import FEATURES, MIN_BEAT_STRENGTH
from choreai.search.condition import Condition, compile_expression
from choreai.search.expression import Column
from choreai.search.tag_database import TagDatabase
from choreai.tables.parts import read_consistently

MEASURES = ("seconds", "seen_share", *FEATURES)

COLUMNS: dict[str, Column] = {
    "video_id": Column("found.video_id", "text"),
    "uri": Column("found.uri", "text"),
    "style": Column("found.style", "text"),
    "best_style": Column("found.best_style", "text"),
    "label": Column("found.label", "text"),
    "score": Column("found.score", "number"),
    "unknown": Column("found.unknown", "flag"),
    "doubts": Column("found.doubts", "text"),
    "novelty": Column("found.novelty", "number"),
    "corrected": Column("(found.corrected_by IS NOT NULL)", "flag"),
    "corrected_by": Column("found.corrected_by", "text"),
    "corrected_at": Column("found.corrected_at", "time"),
    "duration": Column("found.duration", "number"),
    "input_quality": Column("found.input_quality", "text"),
    "tempo": Column("found.tempo", "number"),
    "model": Column("found.model_version", "text"),
    "run": Column("found.run_id", "text"),
    "tagged_at": Column("found.tagged_at", "time"),
    **{name: Column(f"found.kinematics.{name}", "number") for name in MEASURES},
}
"""The names of the search language. `tempo` is `beats_per_minute` where the beat is clear; `duration` is in
seconds, from the video's container; `label` is the last review, or else the catalog's label."""

# The last review of a style that fits each video's bytes, and the last that names dancers.
_REVIEWED = """
    SELECT t.video_id, t.content_id, c.style, c.reviewer, c.reviewed_at
    FROM (SELECT DISTINCT video_id, content_id FROM tags) t
    JOIN corrections c ON c.video_id = t.video_id AND coalesce(c.content_id = t.content_id, true)
    WHERE c.style IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY t.video_id, t.content_id ORDER BY c.reviewed_at DESC, c.reviewer, c.style) = 1"""

_NAMED = """
    SELECT t.video_id, t.content_id, c.reviewer, c.reviewed_at, len(c.dancers) > 0 AS has_dancers
    FROM (SELECT DISTINCT video_id, content_id FROM tags) t
    JOIN corrections c ON c.video_id = t.video_id AND coalesce(c.content_id = t.content_id, true)
    WHERE c.dancers IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY t.video_id, t.content_id ORDER BY c.reviewed_at DESC, c.reviewer) = 1"""

_DURATIONS = """
    SELECT video_id, content_id, version AS pose_fingerprint, max(duration_seconds) AS duration
    FROM videos GROUP BY ALL"""

_NEWEST = """
    QUALIFY row_number() OVER (
        PARTITION BY video_id ORDER BY tagged_at DESC, model_version DESC, pose_fingerprint, content_id) = 1"""

_FOUND = f"""
    SELECT t.* REPLACE (
            coalesce(r.style, t.style) AS style,
            (CASE WHEN r.style IS NULL THEN t.unknown ELSE r.style = 'unknown' END) AS unknown),
        r.reviewer AS corrected_by, r.reviewed_at AS corrected_at,
        (CASE WHEN n.has_dancers THEN n.reviewer END) AS dancers_by, n.reviewed_at AS dancers_at,
        d.duration, coalesce(nullif(r.style, 'unknown'), l.label) AS label,
        (CASE WHEN t.kinematics.beat_strength >= {MIN_BEAT_STRENGTH} THEN t.kinematics.beats_per_minute END) AS tempo
    FROM newest t
    LEFT JOIN ({_REVIEWED}) r ON r.video_id = t.video_id AND r.content_id = t.content_id
    LEFT JOIN ({_NAMED}) n ON n.video_id = t.video_id AND n.content_id = t.content_id
    LEFT JOIN ({_DURATIONS}) d
        ON d.video_id = t.video_id AND d.content_id = t.content_id AND d.pose_fingerprint = t.pose_fingerprint
    LEFT JOIN labels l ON l.video_id = t.video_id"""


MAX_LIMIT = 1_000_000_000


@dataclass(frozen=True)
class Search:
    """A search and its scope."""

    expression: str
    models: tuple[str, ...] = ()
    """Model versions to search; empty: all, and the newest tag of each video."""
    newest_only: bool = True
    """False: every tag of every run."""
    limit: int | None = None

    def __post_init__(self) -> None:
        if self.limit is not None and not 1 <= self.limit <= MAX_LIMIT:
            raise ConfigError(f"limit must be 1 to {MAX_LIMIT}, got {self.limit}")


def find_tags(
    database: TagDatabase, search: Search, *, labels: pa.Table | None = None, with_details: bool
) -> Iterator[pa.Table]:
    """Yield the tags that `search` finds, best score first, then by id, in tables of a few thousand rows.

    Columns: video_id, uri, content_id, style, best_style, score, unknown, reason, corrected_by, label, duration,
    tempo, pose_fingerprint, model_version, run_id, tagged_at (UTC, without a zone), input_quality, doubts, novelty,
    then the features that the expression names; `with_details` all features, `distribution` and `segments`. `labels`
    are a catalog's (video_id, label). Raises ConfigError for a wrong expression, before anything is read.
    """
    condition = compile_expression(search.expression, COLUMNS)
    shown = read_consistently(lambda: _collect(database, search, condition, labels, with_details=with_details))
    yield from database.batches(f"SELECT {', '.join(shown)} FROM hits {_WITH_DETAILS if with_details else ''} "
                                "ORDER BY rank")  # fmt: skip


def _collect(
    database: TagDatabase, search: Search, condition: Condition, labels: pa.Table | None, *, with_details: bool
) -> list[str]:
    """Make the table `hits`, and `details` if they are wanted; return the columns to show.

    Details are read for the hits only: most of a tag's bytes are details, and most tags are not hits.
    """
    named = [name for name in MEASURES if name in condition.names]
    num_reviews = open_found(database, search, labels=labels, features=named)
    if "label" in condition.names and not num_reviews and labels is None:
        raise ConfigError("search: no video has a label here; give --catalog, or import reviews (`choreai review`)")
    database.sql(
        f"""CREATE OR REPLACE TABLE hits AS SELECT *, row_number() OVER () AS rank FROM (
            SELECT * FROM found WHERE {condition.sql} ORDER BY score DESC NULLS LAST, video_id, tagged_at DESC
            {f"LIMIT {search.limit:d}" if search.limit else ""})""",
        condition.parameters,
    )
    shown = [f"hits.{name}" for name in _SHOWN]
    if not with_details:
        return [*shown, *(f"hits.kinematics.{name} AS {name}" for name in named)]
    database.load_details("hits", [*(f"kinematics.{name}" for name in MEASURES), *_NESTED])
    return [*shown, *(f"details.kinematics.{name} AS {name}" for name in MEASURES), *_NESTED]


def open_found(
    database: TagDatabase,
    search: Search,
    *,
    labels: pa.Table | None,
    features: Sequence[str] = (),
    nested: Sequence[str] = (),
) -> int:
    """Make the view `found`, every tag in the scope of `search` as `COLUMNS` names it; return the number of reviews.

    The expression and the limit of `search` are not applied.
    """
    database.load_tags(search.models, features={"beats_per_minute", "beat_strength", *features}, nested=nested)
    database.load_videos(["video_id", "content_id", "duration_seconds"])
    num_reviews = database.load_corrections()
    database.load_labels(_NO_LABELS if labels is None else labels)
    database.sql(f"CREATE OR REPLACE VIEW newest AS SELECT * FROM tags {_NEWEST if search.newest_only else ''}")
    database.sql(f"CREATE OR REPLACE VIEW found AS {_FOUND}")
    return num_reviews


_NO_LABELS = pa.schema([("video_id", pa.string()), ("label", pa.string())]).empty_table()
_NESTED = ("distribution", "segments")
_SHOWN = (
    "video_id", "uri", "content_id", "style", "best_style", "score", "unknown", "reason", "corrected_by", "label",
    "duration", "tempo", "pose_fingerprint", "model_version", "run_id", "tagged_at", "input_quality",
    "doubts", "novelty",
)  # fmt: skip
_WITH_DETAILS = "JOIN details ON details.part = hits.part AND details.row_in_part = hits.row_in_part"


def unmet_styles(database: TagDatabase, expression: str) -> dict[str, list[str]]:
    """Return the styles that `expression` asks for and no tag has, each with the styles there are, for a hint."""
    asked = [text for name, text in compile_expression(expression, COLUMNS).compared if name == "style"]
    there = [str(row["style"]) for row in database.rows("SELECT DISTINCT style FROM found ORDER BY style")]
    return {style: there for style in asked if style not in there}
