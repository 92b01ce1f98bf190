"""Corrections of many videos at once from the catalog page, and their undoing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from choreai.search.corrections import store_reviews, withdraw


@dataclass(frozen=True)
class Reviewed:
    """A video that is corrected, as it is now."""

    video_id: str
    content_id: str


@dataclass(frozen=True)
class Corrections:
    """What has been stored of one correction of many videos, or of its undoing."""

    count: int
    undo: str
    """What `take_back` takes."""
    video_ids: tuple[str, ...] = ()


def store_styles(root: str, videos: Sequence[Reviewed], *, style: str, reviewer: str, note: str) -> Corrections:
    """Store one review for each of the videos, all in one part."""
    now = datetime.now(UTC)
    moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
    common = {"style": style, "reviewer": reviewer, "reviewed_at": moment, "note": note or None}
    rows: list[dict[str, object]] = [
        {"video_id": video.video_id, "content_id": video.content_id, **common, "dancers": None} for video in videos
    ]
    return Corrections(len(rows), store_reviews(root, rows).name, tuple(video.video_id for video in videos))


def take_back(root: str, name: str, *, reviewer: str | None) -> Corrections | None:
    """Take the reviews of this name back, by reviews that can be taken back too; None where none of them counts."""
    done = withdraw(root, name, reviewer=reviewer)
    if done is None:
        return None
    stored, video_ids = done
    return Corrections(len(video_ids), stored.name, tuple(video_ids))
