"""Taking all rows of some videos out of the tables, while readers see every other row exactly once at any moment.

Parts of the tables that `choreai.tables.compact` merges are rewritten by it, under the next number and without those
rows. Keypoints parts and reviews keep their names, which other tables and slow workers know them by: each is replaced
in one step, and only if it is still what was read. Killed anywhere and done again, all ends in the same place.
"""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from choreai.errors import ObjectMissingError, StorageError
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder
from choreai.tables.compact import TARGET_BYTES, RowFilter, delete_leftovers, merge
from choreai.tables.parts import (
    WRITING,
    current_parts,
    list_parts,
    open_part,
    part_id_of,
    read_consistently,
    read_schema,
)
from choreai.tables.pose_parts import SHOTS_FOOTER, VIDEOS_FOOTER

MAX_ATTEMPTS = 10
_NUM_THREADS = 8
"""Parts that are looked into at once: most of the time goes to waiting for the store."""
_OUR_FOOTERS = b"choreai."


def without(video_ids: Collection[str]) -> RowFilter:
    """Return what leaves the rows of these videos out of a table that has a `video_id`."""
    wanted = pa.array(sorted(video_ids), pa.string())
    return lambda table: table.filter(pc.invert(pc.is_in(table["video_id"], value_set=wanted)))


def count_rows(uris: Sequence[str], video_ids: Collection[str]) -> dict[str, Counter[str]]:
    """Return by URI how many rows of each of these videos are in the parts that have any.

    Raises ObjectMissingError for a part that was merged since it was listed, TableError for one that is damaged.
    """
    wanted = pa.array(sorted(video_ids), pa.string())

    def count(uri: str) -> Counter[str]:
        found = Counter[str]()
        with open_part(uri, read_schema(uri)) as part:
            for batch in part.iter_batches(columns=["video_id"]):
                ids = batch["video_id"]
                found.update(ids.filter(pc.is_in(ids, value_set=wanted)).to_pylist())
        return found

    with ThreadPoolExecutor(_NUM_THREADS) as pool:
        counts = dict(zip(uris, pool.map(count, uris), strict=True))
    return {uri: found for uri, found in counts.items() if found}


def remove_rows(root: str, table: str, version: str, video_ids: Collection[str]) -> None:
    """Take the rows of these videos out of one version of a table that is compacted.

    Raises StorageError if a compaction of the table is under way.
    """
    delete_leftovers(current_parts(root, table, version))
    for _ in range(MAX_ATTEMPTS):
        counts = read_consistently(lambda: count_rows(current_parts(root, table, version).uris, video_ids))
        if not counts:
            return
        for schema, group in _groups(root, table, version, sorted(counts)):
            parts = current_parts(root, table, version)
            merge(root, table, version, parts, group, keep=without(video_ids), schema=schema)
    raise StorageError(objects.join_uri(root, table, version), "its rows keep coming back; is a job at work on them?")


def _groups(root: str, table: str, version: str, uris: Sequence[str]) -> list[tuple[pa.Schema, list[str]]]:
    """Return the parts in groups of one schema and about TARGET_BYTES, to be rewritten as one each."""
    sizes = current_parts(root, table, version).num_bytes
    groups: list[tuple[pa.Schema, list[str]]] = []
    held = 0
    for uri in uris:
        schema, size = read_schema(uri), sizes.get(uri, 0)
        if groups and groups[-1][0].equals(schema, check_metadata=True) and held + size <= TARGET_BYTES:
            groups[-1][1].append(uri)
            held += size
        else:
            groups.append((schema, [uri]))
            held = size
    return groups


def remove_in_place(uri: str, video_ids: Collection[str]) -> bool:
    """Take the rows of these videos, and what the footer says of them, out of one part; return whether there was
    anything. A part left without rows stays, so that its name is taken."""
    for _ in range(MAX_ATTEMPTS):
        info = objects.stat_object(uri)
        if info is None:
            return False
        try:
            with scratch_folder() as folder:
                if not _write_without(folder / "part.parquet", uri, video_ids):
                    return False
                if objects.replace_object(info, folder / "part.parquet"):
                    return True
        except ObjectMissingError:
            return False
    raise StorageError(uri, "it was changed again and again meanwhile; run again")


def _write_without(path: Path, uri: str, video_ids: Collection[str]) -> bool:
    """Write a part to `path` without these videos, and return whether anything was left out."""
    keep, num_rows = without(video_ids), 0
    with open_part(uri, read_schema(uri)) as part:
        old = {name: text for name, text in (part.metadata.metadata or {}).items() if name.startswith(_OUR_FOOTERS)}
        footers = {name: _footer_without(name, text, video_ids) for name, text in old.items()}
        with pq.ParquetWriter(path, part.schema_arrow, **WRITING) as writer:
            for index in range(part.num_row_groups):
                rows = part.read_row_group(index)
                kept = keep(rows)
                num_rows += len(rows) - len(kept)
                if len(kept):
                    writer.write_table(kept)
            own = part.schema_arrow.metadata or {}
            writer.add_key_value_metadata({name: text for name, text in footers.items() if name not in own})
    return num_rows > 0 or footers != old


def _footer_without(name: bytes, text: bytes, video_ids: Collection[str]) -> bytes:
    if name not in (VIDEOS_FOOTER, SHOTS_FOOTER):
        return text
    rows: list[Mapping[str, object]] = json.loads(text)
    kept = [row for row in rows if row.get("video_id") not in video_ids]
    return text if len(kept) == len(rows) else json.dumps(kept).encode()


def keypoints_parts(root: str, version: str, video_ids: Collection[str]) -> list[str]:
    """Return the keypoints parts that may have rows of these videos: those that the videos table names, and those that
    it does not describe yet, as their workers were killed."""
    wanted = pa.array(sorted(video_ids), pa.string())

    def named() -> set[str]:
        found = set[str]()
        for uri in current_parts(root, "videos", version).uris:
            with open_part(uri, read_schema(uri)) as part:
                for batch in part.iter_batches(columns=["video_id", "shard_id"]):
                    found.update(batch["shard_id"].filter(pc.is_in(batch["video_id"], value_set=wanted)).to_pylist())
        return found

    described = current_parts(root, "videos", version).ids
    chosen = read_consistently(named)
    parts = {part_id_of(uri): uri for uri in list_parts(root, "keypoints", version)}
    return [uri for part_id, uri in sorted(parts.items()) if part_id in chosen or part_id not in described]


@dataclass(frozen=True)
class Places:
    """Where some videos were, by the tables."""

    uris: frozenset[str]
    content_ids: frozenset[str]


def find_places(root: str, version: str, *, table: str, video_ids: Collection[str]) -> Places:
    """Return URIs and content ids of these videos in one version of a table that has both."""
    wanted = pa.array(sorted(video_ids), pa.string())
    rows = _read_columns(root, table, version, ["video_id", "uri", "content_id"])
    rows = rows.filter(pc.is_in(rows["video_id"], value_set=wanted))
    return Places(frozenset(rows["uri"].to_pylist()), frozenset(rows["content_id"].to_pylist()))


def find_same_bytes(root: str, version: str, *, table: str, content_ids: Collection[str]) -> set[str]:
    """Return the ids of all videos with one of these contents in one version of a table."""
    rows = _read_columns(root, table, version, ["video_id", "content_id"])
    same = pc.is_in(rows["content_id"], value_set=pa.array(sorted(content_ids), pa.string()))
    return set(rows["video_id"].filter(same).to_pylist())


def _read_columns(root: str, table: str, version: str, columns: list[str]) -> pa.Table:
    """Return columns of text of all parts of one table version, of whatever release."""

    def read() -> pa.Table:
        tables = [pa.schema([(name, pa.string()) for name in columns]).empty_table()]
        for uri in current_parts(root, table, version).uris:
            with open_part(uri, read_schema(uri)) as part:
                tables.append(part.read(columns=columns).replace_schema_metadata(None).cast(tables[0].schema))
        return pa.concat_tables(tables)

    return read_consistently(read)
