"""Compaction: merge many small parts of a table into few, while readers see each row exactly once at any moment.

For the videos, shots, tags, kinematics, embeddings and 3D tables, whose parts hold a few rows each. Keypoint parts
stay as they are: they are large already, tagging reads them one by one, and each is the record that its shard was
committed.

A merged part is numbered, and committed by a conditional write under the next free number. So of two compactions
that saw the same parts one wins, and the other finds the number taken and changes nothing; no two merged parts
ever share a member. The members are deleted only after the commit: wherever it is killed, no row is lost,
`current_parts` shows none twice, and the next compaction finishes the deleting.
"""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from choreai.errors import StorageError
from choreai.storage import objects
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.storage.scratch import scratch_folder
from choreai.tables import schemas, space_schemas
from choreai.tables.music import MUSIC
from choreai.tables.parts import (
    MEMBERS_FOOTER,
    WRITING,
    CurrentParts,
    current_parts,
    is_part,
    merged_id,
    merged_number,
    open_part,
    part_id_of,
    part_uri,
)

logger = logging.getLogger(__name__)

COMPACTED_TABLES = {
    "videos": schemas.VIDEOS,
    "shots": schemas.SHOTS,
    "tags": schemas.TAGS,
    "kinematics": schemas.KINEMATICS,
    "embeddings": schemas.EMBEDDINGS,
    "video_embeddings": schemas.VIDEO_EMBEDDINGS,
    "poses3d": space_schemas.POSES3D,
    "movement3d": space_schemas.MOVEMENT3D,
    "music": MUSIC,
}
TARGET_BYTES = 256 << 20
"""A merged part stops growing at this size: one GET of a few seconds."""
MAX_MEMBERS = 50_000
"""Most members of one merged part: their names, 1 MB, are read whenever the table is listed."""
ROW_GROUP_ROWS = 32_768
MAX_HELD = 128
"""Small tables held before they are concatenated: a table of eight tags takes 130 kB alone, and next to nothing once
it is joined to others."""


RowFilter = Callable[[pa.Table], pa.Table]


@dataclass(frozen=True)
class Compaction:
    """The outcome of compacting one table version."""

    table: str
    version: str
    num_parts_before: int
    num_parts_after: int
    num_rows_moved: int


def compact(root: str) -> list[Compaction]:
    """Compact every version of every table under `root` that `COMPACTED_TABLES` names; return the outcomes.

    Raises StorageError if another compaction of the same table is under way.
    """
    check_conditional_writes(root)
    return [compact_table(root, table, version) for table in COMPACTED_TABLES for version in list_versions(root, table)]


def list_versions(root: str, table: str) -> list[str]:
    """Return the versions (pose fingerprints, model versions) of a table that have parts, sorted."""
    folder = objects.join_uri(root, table) + "/"
    return sorted(
        {
            info.uri.removeprefix(folder).split("/")[0]
            for info in objects.list_objects(folder)
            if is_part(info.uri) and info.uri.removeprefix(folder).count("/") == 1
        }
    )


def compact_table(root: str, table: str, version: str) -> Compaction:
    """Compact one table version and return the outcome."""
    parts = current_parts(root, table, version)
    delete_leftovers(parts)
    num_before, num_rows = len(parts.uris) + len(parts.leftovers), 0
    while len(group := _next_group(parts)) > 1:
        num_rows += merge(root, table, version, parts, group)
        parts = current_parts(root, table, version)
    return Compaction(table, version, num_before, len(parts.uris), num_rows)


def delete_leftovers(parts: CurrentParts) -> None:
    """Delete the parts of a compaction that was killed, or written again by a slow worker."""
    for uri in parts.leftovers:
        objects.delete_object(uri)


def _next_group(parts: CurrentParts) -> list[str]:
    """Return the small parts to merge next, smallest first: a large one is not copied for a few rows."""
    group: list[str] = []
    total = 0
    for uri in sorted(parts.uris, key=lambda uri: (parts.num_bytes[uri], uri)):
        total += parts.num_bytes[uri]
        if total > TARGET_BYTES or len(group) == MAX_MEMBERS:
            break
        if group and parts.num_bytes[uri] > max(total - parts.num_bytes[uri], TARGET_BYTES // 64):
            break  # larger than all before it together: copying it again and again would be most of the work
        group.append(uri)
    return group


def merge(
    root: str,
    table: str,
    version: str,
    parts: CurrentParts,
    group: list[str],
    *,
    keep: RowFilter | None = None,
    schema: pa.Schema | None = None,
) -> int:
    """Merge the parts in `group` into a new one, delete them, and return the number of rows moved.

    `keep` returns the rows of a table that stay. `schema`: that of the parts, where it is not this release's.
    Raises StorageError if another compaction of the same table is under way.
    """
    number = 1 + max((merged_number(part_id) for part_id in parts.ids), default=0)
    uri = part_uri(root, table, version, merged_id(number))
    with scratch_folder() as folder:
        path = folder / "merged.parquet"
        num_rows = _write_merged(path, group, schema or COMPACTED_TABLES[table], keep)
        if not objects.put_if_absent(uri, path) or uri not in current_parts(root, table, version).uris:
            # Not current: the number was used, merged on and freed since `parts` was listed. Readers ignore this part.
            raise StorageError(uri, "another compaction is at work on this table; let it finish, then run again")
    for member in group:
        objects.delete_object(member)
    logger.info("%s: %d rows of %d parts", uri, num_rows, len(group))
    return num_rows


def _write_merged(path: Path, group: list[str], schema: pa.Schema, keep: RowFilter | None = None) -> int:
    """Write the rows of `group` to `path`, with the ids of all members in the footer; return the number of rows."""
    members: set[str] = set()
    num_rows = 0
    with pq.ParquetWriter(path, schema, **WRITING) as writer:
        for table in _row_groups(group, schema, members):
            table = table if keep is None else keep(table)
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
            num_rows += table.num_rows
        writer.add_key_value_metadata({MEMBERS_FOOTER.decode(): json.dumps(sorted(members))})
    return num_rows


def _row_groups(group: list[str], schema: pa.Schema, members: set[str]) -> Iterator[pa.Table]:
    """Yield the rows of `group` in tables of about `ROW_GROUP_ROWS`, and add the parts' ids and members to `members`.

    Inherited members count too: a worker that sleeps through two compactions may still write its part again.
    """
    held: list[pa.Table] = []
    num_held = 0
    for uri in group:
        members.add(part_id_of(uri))
        with open_part(uri, schema) as part:
            footer = part.metadata.metadata or {}
            members.update(json.loads(footer.get(MEMBERS_FOOTER, b"[]")))
            for batch in part.iter_batches(batch_size=ROW_GROUP_ROWS):
                held.append(schemas.with_added(pa.Table.from_batches([batch]), schema, schema.names).cast(schema))
                num_held += batch.num_rows
                if len(held) == MAX_HELD:
                    held = [pa.concat_tables(held).combine_chunks()]
                if num_held >= ROW_GROUP_ROWS:
                    yield pa.concat_tables(held)
                    held, num_held = [], 0
    if held:
        yield pa.concat_tables(held)
