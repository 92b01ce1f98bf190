"""Which parts of a table count: all that lie there, less those whose rows a compacted part holds by now.

`choreai.tables.compact` merges many small parts into `part-merged-000001.parquet`, `part-merged-000002.parquet`, ...
and then deletes what it merged. Each merged part names its members in its own footer, so a member that is still
there (the compaction was killed), or there again (a slow worker wrote it once more), is not read a second time.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from choreai.errors import ObjectMissingError, StorageError, TableError
from choreai.storage import objects

MEMBERS_FOOTER = b"choreai.members"
MERGED_PREFIX = "merged-"
MAX_ATTEMPTS = 10

ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class LiveParts:
    """One consistent look at a table version."""

    uris: tuple[str, ...]
    """The parts to read, sorted by name; together they hold every row once."""
    num_bytes: dict[str, int]
    """Size of each of `uris`."""
    leftovers: tuple[str, ...]
    """Parts whose rows are in a merged part too."""
    members: frozenset[str]
    """Ids of all parts that were ever merged, there or not."""


def live_parts(root: str, table: str, version: str) -> LiveParts:
    """The parts of one table version; none if there is no such table yet."""
    folder = objects.join_uri(root, table, version)
    for _ in range(MAX_ATTEMPTS):
        sizes = _sizes(folder)
        merged = _merged(sizes)
        try:
            members = _members(folder, merged)
        except ObjectMissingError:  # merged into yet another part since the listing
            continue
        # A listing is no snapshot: were a merged part committed while it ran, members might have gone before they
        # were listed, and their rows with them. So nothing counts until two listings agree.
        if _merged(_sizes(folder)) == merged:
            live = sorted(name for name in sizes if name not in members)
            return LiveParts(
                uris=tuple(_uri(folder, name) for name in live),
                num_bytes={_uri(folder, name): sizes[name] for name in live},
                leftovers=tuple(_uri(folder, name) for name in sorted(sizes.keys() & members)),
                members=members,
            )
    raise StorageError(folder, "its parts were being compacted all the while; run again")


def read_consistently(read: Callable[[], ResultT]) -> ResultT:
    """What `read` returns, started anew when a part that it had listed is gone: it was merged meanwhile."""
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            return read()
        except ObjectMissingError:
            continue
    return read()


def merged_id(number: int) -> str:
    """The id of the merged part with this number, from 1."""
    return f"{MERGED_PREFIX}{number:06d}"


def _sizes(folder: str) -> dict[str, int]:
    """Bytes by part id."""
    sizes = {}
    for info in objects.list_objects(folder + "/"):
        name = info.uri.rsplit("/", 1)[-1]
        if name.startswith("part-") and name.endswith(".parquet"):
            sizes[name.removeprefix("part-").removesuffix(".parquet")] = info.size
    return sizes


def _merged(part_ids: dict[str, int]) -> list[str]:
    return sorted(part_id for part_id in part_ids if part_id.startswith(MERGED_PREFIX))


def _uri(folder: str, part_id: str) -> str:
    return f"{folder}/part-{part_id}.parquet"


def _members(folder: str, merged: list[str]) -> frozenset[str]:
    """Ids of all that the merged parts that count hold. A merged part that is a member itself does not count: its
    number was taken a second time, by a compaction that came too late."""
    members = frozenset[str]()
    for part_id in reversed(merged):  # what holds others always has the higher number
        if part_id not in members:
            members |= _members_of(_uri(folder, part_id))
    return members


def _members_of(uri: str) -> frozenset[str]:
    with objects.open_object(uri) as file:
        try:
            footer = pq.read_metadata(file).metadata or {}
        except pa.ArrowInvalid as exc:
            raise TableError(f"{uri}: not readable as Parquet ({exc}); a merged part must not be damaged") from exc
    if MEMBERS_FOOTER not in footer:
        raise TableError(f"{uri}: has a merged part's name, but names no members; move it away")
    return frozenset(json.loads(footer[MEMBERS_FOOTER]))
