"""Shards: which videos are still to be done, and how they are handed out.

A shard is the unit of retry and of output. Its id hashes what it holds, so the same work always gets the same
name, whoever plans it.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from choreai.store.catalog import Catalog, Video

KEY = ["video_id", "content_id"]


def fingerprint(settings: Mapping[str, object]) -> str:
    """16 hex digits that change when any setting does (SHA-256 over its sorted JSON)."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class PoseShard:
    """Videos whose poses one worker estimates in one call."""

    shard_id: str
    videos: tuple[Video, ...]
    attempts: tuple[int, ...]
    """For each video, the how-manieth try this is, from 1: a retried video makes a new shard id."""

    @classmethod
    def of(cls, videos: tuple[Video, ...], attempts: tuple[int, ...], *, pose_fingerprint: str) -> "PoseShard":
        members = [[v.video_id, v.content_id, n] for v, n in zip(videos, attempts, strict=True)]
        shard_id = fingerprint({"pose_fingerprint": pose_fingerprint, "members": members})
        return cls(shard_id, videos, attempts)

    def narrowed(self, *, pose_fingerprint: str) -> list["PoseShard"]:
        """One shard per video, to find the one that kills its worker."""
        return [
            PoseShard.of((video,), (attempt,), pose_fingerprint=pose_fingerprint)
            for video, attempt in zip(self.videos, self.attempts, strict=True)
        ]


def latest_attempts(videos: pa.Table) -> pa.Table:
    """Of a videos table's rows, for each (video_id, content_id) the one with the most attempts."""
    ordered = videos.sort_by([("attempts", "ascending")])
    others = [name for name in videos.column_names if name not in KEY]
    grouped = ordered.group_by(KEY, use_threads=False).aggregate([(name, "last") for name in others])
    return grouped.rename_columns([name.removesuffix("_last") for name in grouped.column_names])


@dataclass(frozen=True, eq=False)
class Pending:
    """What of a catalog is still to be done."""

    videos: pa.Table
    """The catalog's columns, in catalog order, and `attempts`: the number the next try has."""
    num_done: int
    """Catalog rows that have poses, or nobody in view."""
    num_quarantined: int
    """Catalog rows that failed before and are not tried again."""


def pending_videos(catalog: Catalog, known: pa.Table, *, retry_quarantined: bool) -> Pending:
    """The catalog's videos without a row in `known` for the same bytes.

    `known` needs the videos table's columns video_id, content_id, status and attempts.
    """
    latest = latest_attempts(known.select([*KEY, "status", "attempts"]))
    ordered = catalog.table.append_column("position", pa.array(range(len(catalog)), pa.int64()))
    joined = ordered.join(latest, keys=KEY, join_type="left outer").sort_by("position")
    quarantined = pc.fill_null(pc.equal(joined["status"], "quarantined"), False)
    wanted = pc.is_null(joined["status"])
    if retry_quarantined:
        wanted = pc.or_(wanted, quarantined)
    pending = joined.filter(wanted)
    attempts = pc.add(pc.fill_null(pending["attempts"], 0), 1).cast(pa.int32())
    num_quarantined = 0 if retry_quarantined else pc.sum(quarantined).as_py() or 0
    return Pending(
        videos=pending.select(catalog.table.column_names).append_column("attempts", attempts),
        num_done=len(catalog) - pending.num_rows - num_quarantined,
        num_quarantined=num_quarantined,
    )


def plan_shards(pending: pa.Table, *, videos_per_shard: int, pose_fingerprint: str) -> Iterator[PoseShard]:
    """Shards of up to `videos_per_shard` pending videos, in order, made one at a time.

    Cut from the pending rows and not from the catalog, so that one new video in a thousand does not make
    a thousand shards; whole shards leave the pending set at once, so the cuts stay where they were.
    """
    for start in range(0, pending.num_rows, videos_per_shard):
        rows = pending.slice(start, videos_per_shard).to_pylist()
        attempts = tuple(row.pop("attempts") for row in rows)
        videos = tuple(Video(**row) for row in rows)
        yield PoseShard.of(videos, attempts, pose_fingerprint=pose_fingerprint)


@dataclass(frozen=True)
class TagShard:
    """Videos of one keypoints part that one worker tags in one call."""

    shard_id: str
    keypoints_part: str
    """Id of the keypoints part that holds these videos."""
    videos: tuple[Video, ...]

    def narrowed(self) -> list["TagShard"]:
        """The shard itself: tagging reads no foreign bytes, so there is no poison to find."""
        return [self]


def plan_tag_shards(untagged: pa.Table, *, model_version: str, pose_fingerprint: str) -> Iterator[TagShard]:
    """One shard per keypoints part among `untagged` (columns video_id, uri, content_id, shard_id)."""
    ordered = untagged.sort_by([("shard_id", "ascending"), ("video_id", "ascending")])
    if not ordered.num_rows:
        return
    run_ends = pc.run_end_encode(ordered["shard_id"].combine_chunks()).run_ends.to_pylist()
    for start, stop in zip([0, *run_ends], run_ends, strict=False):
        part = ordered["shard_id"][start].as_py()
        rows = ordered.slice(start, stop - start).select(["video_id", "uri", "content_id"]).to_pylist()
        members = [[row["video_id"], row["content_id"]] for row in rows]
        settings = {"model_version": model_version, "pose_fingerprint": pose_fingerprint, "members": members}
        yield TagShard(fingerprint(settings), part, tuple(Video(**row) for row in rows))
