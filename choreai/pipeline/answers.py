"""Answers: what a person wants to read of each tag, taken from the tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.catalog import Catalog
from choreai.catalog.shards import KEY, latest_attempts
from choreai.motion.kinematics import MIN_BEAT_STRENGTH
from choreai.pipeline.tag import newest_tags
from choreai.tables import schemas
from choreai.tables.parts import current_parts, open_part, read_consistently, read_table

_COLUMNS = [*KEY, "uri", "style", "best_style", "score", "reason", "distribution", "tracks", "segments", "kinematics",
            "reasons", "run_id", "tagged_at", "doubts", "novelty"]  # fmt: skip


@dataclass(frozen=True)
class Answer:
    """One video's tag, or why it has none."""

    video_id: str
    uri: str
    style: str | None
    """A style, "unknown", or None where there is nothing to judge."""
    best_style: str | None
    score: float | None
    """Of `best_style`, calibrated."""
    doubt: str | None
    """Why the tag is unknown or missing, or may be another person's."""
    num_dancers: int
    beats_per_minute: float | None
    """None where there is no clear beat."""
    reasons: tuple[str, ...]
    """What speaks for `best_style`, the strongest first."""
    distribution: Mapping[str, float]
    segments: tuple[Mapping[str, Any], ...] = ()
    """As the tags table has them."""
    doubts: str | None = None
    """`doubt` in fixed words, as the tags table has them."""
    novelty: float | None = None
    """How unlike the training videos it moves; above 1 the tag is unknown, whatever the score."""

    @property
    def why(self) -> str:
        """The doubt, and what speaks for the style, in one line."""
        strongest = self.reasons[:1] if self.style not in (None, schemas.UNKNOWN) else ()
        return "; ".join(text for text in (self.doubt, *strongest) if text)


def read_answers(
    output: str, videos: Catalog, *, pose_id: str, model_version: str, run_id: str | None = None, limit: int
) -> list[Answer]:
    """Return the answers for the first `limit` of these videos that have one, in the catalog's order.

    `run_id`: only those tagged by this run. Videos in quarantine have an answer too, unless a run is named.
    """
    tags = read_consistently(lambda: _read_tags(output, videos, model_version, run_id, limit))
    # A video whose dancers were named after it was tagged has another tag: the newest counts.
    rows = {(row["video_id"], row["content_id"]): row for row in sorted(tags, key=itemgetter("tagged_at"))}
    found = [_answer(row) for row in rows.values()]
    if run_id is None:
        found += _read_quarantined(output, videos, pose_id)
    places = {video_id: place for place, video_id in enumerate(videos.table["video_id"].to_pylist())}
    return sorted(found, key=lambda answer: places[answer.video_id])[:limit]


def _read_tags(
    output: str, videos: Catalog, model_version: str, run_id: str | None, limit: int
) -> list[dict[str, Any]]:
    """Return the tags of these videos as rows, one part at a time: a table may have millions."""
    ids, contents = (videos.table[name].combine_chunks() for name in KEY)
    rows: list[dict[str, Any]] = []
    for uri in current_parts(output, "tags", model_version).uris:
        with open_part(uri, schemas.TAGS) as part:
            for batch in part.iter_batches(columns=_COLUMNS):
                wanted = pc.and_(pc.is_in(batch["video_id"], ids), pc.is_in(batch["content_id"], contents))
                if run_id is not None:
                    wanted = pc.and_(wanted, pc.equal(batch["run_id"], run_id))
                rows += batch.filter(wanted).to_pylist()
        if run_id is not None and len(rows) >= limit:
            break
    return rows


def _answer(row: Mapping[str, Any]) -> Answer:
    kinematics = row["kinematics"] or {}
    return Answer(
        video_id=row["video_id"],
        uri=row["uri"],
        style=row["style"],
        best_style=row["best_style"],
        score=row["score"],
        doubt=row["reason"],
        num_dancers=len(row["tracks"]),
        beats_per_minute=clear_tempo(kinematics.get("beats_per_minute"), kinematics.get("beat_strength")),
        reasons=tuple(reason["sentence"] for reason in row["reasons"]),
        distribution={each["style"]: each["score"] for each in row["distribution"]},
        segments=tuple(row["segments"]),
        doubts=row.get("doubts"),  # parts of an earlier release have neither
        novelty=row.get("novelty"),
    )


def clear_tempo(beats_per_minute: float | None, beat_strength: float | None) -> float | None:
    """Return the tempo where the beat is strong enough to be one, else None."""
    if beats_per_minute is None or beat_strength is None or math.isnan(beats_per_minute):
        return None
    return beats_per_minute if beat_strength >= MIN_BEAT_STRENGTH else None


def _read_quarantined(output: str, videos: Catalog, pose_id: str) -> list[Answer]:
    columns = [*KEY, "uri", "status", "reason", "attempts"]
    table = latest_attempts(read_table(output, "videos", pose_id, schemas.VIDEOS, columns=columns))
    failed = table.filter(pc.equal(table["status"], "quarantined"))
    wanted = failed.join(videos.table.select(KEY), keys=KEY, join_type="left semi")
    return [_failure(row) for row in wanted.to_pylist()]


def _failure(row: Mapping[str, Any]) -> Answer:
    return Answer(row["video_id"], row["uri"], None, None, None, f"cannot be used: {row['reason']}", 0, None, (), {})


def count_styles(output: str, model_version: str, videos: Catalog) -> Sequence[tuple[str, int, float]]:
    """Return each style with its number of videos and mean score, "unknown" last."""
    columns = [*KEY, "style", "score", "tagged_at"]
    tags = newest_tags(read_table(output, "tags", model_version, schemas.TAGS, columns=columns))
    tagged: pa.Table = tags.filter(pc.is_valid(tags["style"])).join(
        videos.table.select(KEY), keys=KEY, join_type="left semi"
    )
    grouped = tagged.group_by("style").aggregate([("score", "count"), ("score", "mean")]).to_pylist()
    return [
        (row["style"], row["score_count"], row["score_mean"])
        for row in sorted(grouped, key=lambda row: (row["style"] == schemas.UNKNOWN, row["style"]))
    ]
