"""Shards: which videos are still to be done, and how they are handed out.

A shard is the unit of retry and of output. Its id is a hash of what it holds, so the same work always gets the same
name, whoever plans it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import BoolArray, Int32Array
from choreai.catalog.catalog import Catalog, Video
from choreai.fingerprint import fingerprint
from choreai.motion.named_dancers import NamedDancers

KEY = ["video_id", "content_id"]
LOST = "lost"
"""Status of a video whose keypoints part is gone; only in memory, never in a table."""
_ATTEMPTS = f", attempts, status = 'quarantined' AS quarantined, status = '{LOST}' AS lost"
_KEYS_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class PoseShard:
    """Videos whose poses one worker estimates in one call."""

    shard_id: str
    videos: tuple[Video, ...]
    attempts: tuple[int, ...]
    """Attempt number of each video, starting at 1: a retried video makes a new shard id."""

    @classmethod
    def from_videos(cls, videos: tuple[Video, ...], attempts: tuple[int, ...], *, pose_fingerprint: str) -> "PoseShard":
        """Return the shard of these videos, with its id."""
        members = [[v.video_id, v.content_id, n] for v, n in zip(videos, attempts, strict=True)]
        shard_id = fingerprint({"pose_fingerprint": pose_fingerprint, "members": members})
        return cls(shard_id, videos, attempts)

    def split_by_video(self, *, pose_fingerprint: str) -> list["PoseShard"]:
        """Return one shard per video, to find the one that kills its worker."""
        return [
            PoseShard.from_videos((video,), (attempt,), pose_fingerprint=pose_fingerprint)
            for video, attempt in zip(self.videos, self.attempts, strict=True)
        ]


def latest_attempts(videos: pa.Table) -> pa.Table:
    """Return, of the rows of a videos table, the one with the most attempts for each (video_id, content_id)."""
    ordered = videos.sort_by([("attempts", "ascending")])
    others = [name for name in videos.column_names if name not in KEY]
    grouped = ordered.group_by(KEY, use_threads=False).aggregate([(name, "last") for name in others])
    return grouped.rename_columns([name.removesuffix("_last") for name in grouped.column_names])


@dataclass(frozen=True, eq=False)
class Pending:
    """The part of a catalog that is still to be done."""

    videos: pa.Table
    """The catalog's columns, in catalog order, and `attempts`: the number of the next attempt, from 1."""
    num_done: int
    """Catalog rows that have poses, or no person in view."""
    num_quarantined: int
    """Catalog rows that failed before and are not tried again."""


def pending_videos(catalog: Catalog, known: pa.Table | pa.RecordBatchReader, *, retry_quarantined: bool) -> Pending:
    """Return the catalog's videos that have no row in `known` for the same bytes.

    `known` needs the videos table's columns video_id, content_id, status and attempts; a reader is streamed. A row
    with the status `LOST` is tried again.
    """
    latest = _LatestAttempts.from_rows(known)
    wanted, attempts, num_quarantined = [pa.array([], pa.bool_())], [pa.array([], pa.int32())], 0
    for start in range(0, len(catalog), _KEYS_AT_ONCE):
        tried, failed, lost = latest.look_up(catalog.table.slice(start, _KEYS_AT_ONCE))
        chosen = (tried == 0) | lost
        chosen = chosen | failed if retry_quarantined else chosen
        wanted.append(pa.array(chosen))
        attempts.append(pa.array(tried[chosen] + 1))
        num_quarantined += int(np.count_nonzero(failed & ~chosen))
    pending = catalog.table.filter(pa.chunked_array(wanted))
    return Pending(
        videos=pending.append_column("attempts", pa.chunked_array(attempts)),
        num_done=len(catalog) - pending.num_rows - num_quarantined,
        num_quarantined=num_quarantined,
    )


@dataclass(frozen=True, eq=False)
class _LatestAttempts:
    """The last attempt at each (video_id, content_id), in 22 bytes with 128 bits of hash: tens of millions fit.

    Sorted by `first`. Two keys that share it (one chance in a million for ten million videos) hide each other from
    `look_up`, and at worst one is processed again.
    """

    first: npt.NDArray[np.uint64]
    second: npt.NDArray[np.uint64]
    attempts: Int32Array
    quarantined: BoolArray
    lost: BoolArray

    @classmethod
    def from_rows(cls, known: pa.Table | pa.RecordBatchReader) -> "_LatestAttempts":
        """Return the last attempts among rows of a videos table."""
        parts = [_hash_keys(rows, _ATTEMPTS) for rows in _rebatch(known)]
        columns = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}
        order = np.lexsort((columns["attempts"], columns["first"]))
        for name, column in columns.items():
            columns[name] = column[order]
        is_last = np.append(columns["first"][1:] != columns["first"][:-1], True)[: len(order)]
        if not is_last.all():
            columns = {name: column[is_last] for name, column in columns.items()}
        return cls(**columns)

    def look_up(self, keys: pa.Table) -> tuple[Int32Array, BoolArray, BoolArray]:
        """Return for each row of `keys` its attempts so far (0: none), and whether the last failed, or was lost."""
        tried = np.zeros(len(keys), np.int32)
        failed, lost = np.zeros(len(keys), np.bool_), np.zeros(len(keys), np.bool_)
        if not len(self.first):
            return tried, failed, lost
        hashes = _hash_keys(keys)
        order = np.argsort(hashes["first"])  # neighbours are found several times as fast
        first, second = hashes["first"][order], hashes["second"][order]
        place = np.minimum(np.searchsorted(self.first, first), len(self.first) - 1)
        same = (self.first[place] == first) & (self.second[place] == second)
        tried[order] = np.where(same, self.attempts[place], 0)
        failed[order] = same & self.quarantined[place]
        lost[order] = same & self.lost[place]
        return tried, failed, lost


def _rebatch(rows: pa.Table | pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Yield the rows about `_KEYS_AT_ONCE` at a time: parts hold a few rows, or a million."""
    held: list[pa.RecordBatch] = []
    num_held = 0
    for batch in rows.to_batches() if isinstance(rows, pa.Table) else rows:
        held.append(batch)
        num_held += len(batch)
        if num_held >= _KEYS_AT_ONCE:
            yield pa.Table.from_batches(held)
            held, num_held = [], 0
    yield pa.Table.from_batches(held, schema=rows.schema)


def _hash_keys(rows: pa.Table, more: str = "") -> dict[str, npt.NDArray[Any]]:
    """Return two hashes of each row's key, in order, and the columns that `more` names."""
    import duckdb

    query = f"hash(video_id, content_id) AS first, hash(content_id, video_id) AS second{more}"
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        columns: dict[str, npt.NDArray[Any]] = connection.from_arrow(rows).project(query).fetchnumpy()
    return columns


def plan_shards(pending: pa.Table, *, videos_per_shard: int, pose_fingerprint: str) -> Iterator[PoseShard]:
    """Yield shards of up to `videos_per_shard` pending videos, in order.

    They are cut from the pending rows and not from the catalog, so that one new video in a thousand does not make
    a thousand shards; whole shards leave the pending set at once, so the cuts stay where they were.
    """
    for start in range(0, pending.num_rows, videos_per_shard):
        rows = pending.slice(start, videos_per_shard).to_pylist()
        attempts = tuple(row.pop("attempts") for row in rows)
        videos = tuple(Video(**row) for row in rows)
        yield PoseShard.from_videos(videos, attempts, pose_fingerprint=pose_fingerprint)


@dataclass(frozen=True)
class TagShard:
    """Videos of one keypoints part that one worker tags in one call."""

    shard_id: str
    keypoints_part: str
    """Id of the keypoints part that holds these videos."""
    videos: tuple[Video, ...]
    named: NamedDancers | None = None
    """Who dances, by a review: only in a shard of one video."""

    @classmethod
    def from_review(
        cls, video: Video, named: NamedDancers, *, keypoints_part: str, model_version: str, pose_fingerprint: str
    ) -> "TagShard":
        """Return the shard of one video whose dancers a review names; each review makes a new shard id."""
        settings = {
            "model_version": model_version,
            "pose_fingerprint": pose_fingerprint,
            "members": [[video.video_id, video.content_id]],
            "dancers": [
                named.reviewer,
                named.reviewed_at.isoformat(),
                [list(vars(box).values()) for box in named.boxes],
            ],
        }
        return cls(fingerprint(settings), keypoints_part, (video,), named)

    def split_by_video(self) -> list["TagShard"]:
        """Return the shard itself: tagging opens no videos, so there is no poisonous one to find."""
        return [self]


def plan_tag_shards(untagged: pa.Table, *, model_version: str, pose_fingerprint: str) -> Iterator[TagShard]:
    """Yield one shard per keypoints part among `untagged` (columns video_id, uri, content_id, shard_id)."""
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
