"""Choosing videos for review: where it is uncertain who dances, and where the model is unsure, contradicts a label, or
sees unfamiliar movement."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from choreai.search.dancer_reviews import NOT_FOUND_AGAIN
from choreai.search.search import Search, open_found
from choreai.search.tag_database import TagDatabase
from choreai.style.tagging import DANCER_UNCERTAIN


@dataclass(frozen=True)
class Candidate:
    """A video to review."""

    video_id: str
    uri: str
    content_id: str
    style: str
    """The tag."""
    best_style: str
    score: float
    margin: float
    """Difference between the two best scores."""
    label: str | None
    distribution: tuple[tuple[str, float], ...]
    """(style, score), best first."""
    novelty: str | None
    """The tag's reason if the movement is unlike the training data, else None."""
    pose_fingerprint: str
    asks_dancer: bool = False
    """Whether the tag may be of the wrong person: then review asks who dances."""

    @property
    def why(self) -> str:
        """Why a person should look at it."""
        reasons = ["several people: who dances?"] if self.asks_dancer else []
        if self.label is not None and self.label != self.best_style:
            reasons.append(f"labelled {self.label}, but the model says {self.best_style} ({self.score:.2f})")
        if self.novelty:
            reasons.append(self.novelty)
        best_two = " or ".join(f"{style} {score:.2f}" for style, score in self.distribution[:2])
        reasons.append(f"{best_two}?" if self.margin < 0.5 else best_two)
        return "; ".join(reasons)


# It is uncertain who dances where the tag says so and nobody has answered, or where the person named before is not in
# the poses that were tagged.
_ASKS_DANCER = f"""
    coalesce(reason LIKE '%{DANCER_UNCERTAIN}%' AND dancers_at IS NULL, false)
    OR coalesce(reason LIKE '%{NOT_FOUND_AGAIN}%' AND dancers_at <= tagged_at, false)"""

# A contradicted label is worth most, and more the surer the model is: one of the two is wrong. A tag that may be
# another person's says nothing, however sure it is. Next is movement unlike the training data, where the score means
# little; then small margins. The list takes styles in turn, each by worth, so that it does not show the same confusion
# fifty times.
_WORTH = f"""
    SELECT video_id, uri, content_id, style, best_style, score, label, distribution, pose_fingerprint, asks_dancer,
        scores[1] - coalesce(scores[2], 0) AS margin,
        CASE WHEN unknown AND reason LIKE '%unlike%' THEN reason END AS novelty,
        CASE WHEN label <> best_style THEN 1 + score ELSE 0 END
            + CASE WHEN asks_dancer THEN 1 ELSE 0 END
            + CASE WHEN unknown AND reason LIKE '%unlike%' THEN 0.5 ELSE 0 END
            + 1 - margin AS worth
    FROM (SELECT *, list_reverse_sort([each.score FOR each IN distribution]) AS scores, {_ASKS_DANCER} AS asks_dancer
        FROM found)
    WHERE best_style IS NOT NULL AND (corrected_by IS NULL OR asks_dancer)"""

_CHOSEN = f"""
    SELECT *, row_number() OVER (PARTITION BY best_style ORDER BY worth DESC, video_id) AS turn
    FROM ({_WORTH}) ORDER BY turn, worth DESC, video_id LIMIT ?"""


def choose_videos(
    database: TagDatabase, *, num: int, models: Sequence[str] = (), labels: pa.Table | None = None
) -> list[Candidate]:
    """Choose up to `num` videos whose newest tag no person has reviewed yet, the most worthwhile first; and those of
    which nobody has said who dances where that is uncertain.

    `labels` (video_id, label) are a catalog's, which tags may contradict.
    """
    open_found(database, Search("", tuple(models)), labels=labels, nested=["distribution"])
    return [_candidate(row) for row in database.rows(_CHOSEN, [num])]


def _candidate(row: dict[str, object]) -> Candidate:
    parts = row["distribution"]
    assert isinstance(parts, list)
    pairs = sorted(((str(part["style"]), float(part["score"])) for part in parts), key=lambda pair: -pair[1])
    names = ("video_id", "uri", "content_id", "style", "best_style", "score", "margin", "label", "novelty")
    return Candidate(
        **{name: row[name] for name in names},  # type: ignore[arg-type]  # from a table whose schema is checked
        distribution=tuple(pairs),
        pose_fingerprint=str(row["pose_fingerprint"]),
        asks_dancer=bool(row["asks_dancer"]),
    )
