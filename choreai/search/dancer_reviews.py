"""Dancers named by reviewers: read from the corrections by video, and stored with the boxes that find them again."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from choreai.errors import ConfigError
from choreai.motion.named_dancers import NamedDancers, boxes_of
from choreai.motion.sequence import KeypointSequence
from choreai.search.corrections import read_corrections, store_reviews
from choreai.search.dancer_text import box_of
from choreai.tables import schemas
from choreai.tables.parts import read_table

NOT_FOUND_AGAIN = "was not found again"
"""In the reason of a tag whose named dancers nobody in the keypoints is."""


@dataclass(frozen=True)
class DancerReviews:
    """The reviews that say who dances, by video."""

    by_video: Mapping[str, tuple[tuple[str | None, NamedDancers], ...]]
    """By video_id: the content_id that a review is about (None: any) and what it says, oldest first."""

    def __bool__(self) -> bool:
        return bool(self.by_video)

    def get(self, video_id: str, content_id: str) -> NamedDancers | None:
        """Return who dances in these bytes, by the last review that says so; None where none does."""
        fitting = [named for content, named in self.by_video.get(video_id, ()) if content in (None, content_id)]
        return fitting[-1] if fitting else None


def read_dancer_reviews(root: str, *, pose_fingerprint: str | None = None) -> DancerReviews:
    """Return the reviews under `root` that name dancers.

    With a `pose_fingerprint` the sizes of their pictures are read from its videos table, to find the people in it.
    """
    return dancer_reviews(read_corrections(root), root=root, pose_fingerprint=pose_fingerprint)


def dancer_reviews(corrections: pa.Table, *, root: str, pose_fingerprint: str | None = None) -> DancerReviews:
    """Return those of `corrections`, oldest first, that name dancers; else as `read_dancer_reviews`."""
    naming = corrections.filter(pc.is_valid(corrections["dancers"]))
    if not len(naming):
        return DancerReviews({})
    sizes = {} if pose_fingerprint is None else _sizes(root, pose_fingerprint, naming["video_id"])
    found: dict[str, list[tuple[str | None, NamedDancers]]] = {}
    for row in naming.to_pylist():
        found.setdefault(row["video_id"], []).append((row["content_id"], _named(row, sizes.get(row["video_id"]))))
    return DancerReviews({video_id: tuple(reviews) for video_id, reviews in found.items()})


def store_dancers(
    root: str,
    sequence: KeypointSequence,
    track_ids: Collection[int],
    *,
    video_id: str,
    content_id: str,
    pose_fingerprint: str,
    size_wh: tuple[int, int],
    reviewer: str,
    note: str = "",
) -> NamedDancers:
    """Store a review that names these tracks of `sequence` as the dancers, or none: then choreai chooses again.

    Raises ConfigError for an id that the video does not have.
    """
    if unknown := sorted(set(track_ids) - set(sequence.track_ids)):
        raise ConfigError(
            f"{video_id}: nobody has the id {unknown[0]}; the people of this video are "
            f"{', '.join(map(str, sequence.track_ids)) or 'none'}"
        )
    boxes = boxes_of(sequence, sorted(track_ids), size_wh=size_wh)
    if unseen := sorted(set(track_ids) - {box.track_id for box in boxes}):
        raise ConfigError(f"{video_id}: nothing is seen of person {unseen[0]}; name somebody else")
    now = datetime.now(UTC)
    moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
    review: dict[str, object] = {
        "video_id": video_id,
        "content_id": content_id,
        "style": None,
        "reviewer": reviewer,
        "reviewed_at": moment,
        "note": note or None,
        "dancers": [vars(box) for box in boxes],
        "pose_fingerprint": pose_fingerprint,
    }
    store_reviews(root, [review])
    return NamedDancers(boxes, pose_fingerprint, reviewer, moment, size_wh)


def find_named(named: NamedDancers | None, sequence: KeypointSequence, *, pose_fingerprint: str) -> "Found":
    """Return whom a review names in `sequence`; where none of them is found, choreai chooses, and a remark says so."""
    if named is None:
        return Found(None)
    found = named.find(sequence, pose_fingerprint=pose_fingerprint)
    if found == []:
        return Found(None, f"the dancer named by {named.reviewer} {NOT_FOUND_AGAIN}")
    return Found(found)


@dataclass(frozen=True)
class Found:
    """What became of a review's dancers in one video's keypoints."""

    track_ids: list[int] | None
    """Who dances; None: choreai chooses."""
    remark: str | None = None
    """Why choreai chooses although dancers were named."""


def _named(row: Mapping[str, Any], size_wh: tuple[int, int] | None) -> NamedDancers:
    boxes = tuple(box_of(box) for box in row["dancers"])
    return NamedDancers(boxes, row["pose_fingerprint"], row["reviewer"], row["reviewed_at"], size_wh)


def _sizes(root: str, pose_fingerprint: str, video_ids: pa.ChunkedArray) -> dict[str, tuple[int, int]]:
    """Return width and height of these videos' pictures, where the videos table has them."""
    columns = ["video_id", "width", "height"]
    videos = read_table(root, "videos", pose_fingerprint, schemas.VIDEOS, columns=columns)
    wanted = videos.filter(pc.is_in(videos["video_id"], value_set=pc.unique(video_ids)))
    known = wanted.filter(pc.and_(pc.is_valid(wanted["width"]), pc.is_valid(wanted["height"])))
    return {row["video_id"]: (row["width"], row["height"]) for row in known.to_pylist()}
