"""Corrections of many videos at once from the catalog page, and their undoing by whoever has just made them."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from choreai.search.corrections import store_reviews
from choreai.storage import objects

MAX_UNDO = 1000
"""Corrections that can be undone, the newest of this process."""


@dataclass(frozen=True)
class Reviewed:
    """A video that is corrected, as it is now."""

    video_id: str
    content_id: str


@dataclass(frozen=True)
class Corrections:
    """What has been stored of one correction of many videos."""

    count: int
    undo: str
    """What `Undoing.undo` takes."""


@dataclass
class Undoing:
    """Stores corrections under `root` and deletes those stored here again: nobody else's, and no older ones."""

    root: str
    _parts: "OrderedDict[str, tuple[str, list[str]]]" = field(default_factory=OrderedDict)
    """By name, the URI of the part and the ids of the videos that it is about."""

    def store(self, videos: Sequence[Reviewed], *, style: str, reviewer: str, note: str) -> Corrections:
        """Store one review for each of the videos, all in one part."""
        now = datetime.now(UTC)
        moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
        common = {"style": style, "reviewer": reviewer, "reviewed_at": moment, "note": note or None}
        rows: list[dict[str, object]] = [
            {"video_id": video.video_id, "content_id": video.content_id, **common, "dancers": None} for video in videos
        ]
        stored = store_reviews(self.root, rows)
        name = stored.uri.rpartition("part-")[2].removesuffix(".parquet")
        if stored.is_new:  # else another process has stored the very same, and it is not ours to delete
            self._parts[name] = (stored.uri, [video.video_id for video in videos])
            while len(self._parts) > MAX_UNDO:
                self._parts.popitem(last=False)
        return Corrections(len(rows), name)

    def undo(self, name: str) -> list[str] | None:
        """Delete the reviews again and return the ids of their videos; None where none of this name was stored here."""
        uri, video_ids = self._parts.pop(name, ("", []))
        if not uri:
            return None
        objects.delete_object(uri)
        return video_ids
