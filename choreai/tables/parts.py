"""Parts: the immutable Parquet objects `<table>/<version>/part-<id>.parquet` that make up a table.

`choreai.tables.compact` merges many small parts into `part-merged-000001.parquet`, `part-merged-000002.parquet`, ...
and then deletes what it merged. Each merged part names its members in its own footer, so a member that is still
there (the compaction was killed), or there again (a slow worker wrote it once more), is not read a second time.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from choreai.errors import DamagedPartError, ObjectMissingError, StorageError, TableError
from choreai.storage import objects
from choreai.storage.uris import shorten
from choreai.tables.schemas import check_schema, with_added

MEMBERS_FOOTER = b"choreai.members"
_VERSION = b"choreai.schema_version"
MAX_ATTEMPTS = 10
WRITING: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}  # keyword arguments of pyarrow's writers
"""How every part is written: a bit that flips on disk or on the way is found when its page is read."""
_PREFIX, _SUFFIX = "part-", ".parquet"
_MERGED_PREFIX = "merged-"

ResultT = TypeVar("ResultT")


def part_uri(root: str, table: str, version: str, part_id: str) -> str:
    """Return the URI of one part of a table version."""
    return _uri(objects.join_uri(root, table, version), part_id)


def is_part(uri: str) -> bool:
    """Return whether `uri` is named as a part."""
    return _id_of(uri) is not None


def part_id_of(uri: str) -> str:
    """Return the id in the name of a part. Raises ValueError if `uri` is not named as a part."""
    part_id = _id_of(uri)
    if part_id is None:
        raise ValueError(f"{uri}: not named as a part of a table ({_PREFIX}<id>{_SUFFIX})")
    return part_id


def merged_id(number: int) -> str:
    """Return the id of the merged part with this number, from 1."""
    return f"{_MERGED_PREFIX}{number:06d}"


def merged_number(part_id: str) -> int:
    """Return the number of a merged part, and 0 for any other part."""
    number = part_id.removeprefix(_MERGED_PREFIX)
    return int(number) if part_id.startswith(_MERGED_PREFIX) and number.isdigit() else 0


def list_parts(root: str, table: str, version: str) -> Iterator[str]:
    """Yield the URIs of all parts of one table version, in no promised order; none if there is no such table yet.

    Use `current_parts` for a table that `choreai.tables.compact` merges: some of its rows may be there twice.
    """
    return (info.uri for info, _ in _list(objects.join_uri(root, table, version)))


@contextmanager
def open_part(uri: str, expected: pa.Schema) -> Iterator[pq.ParquetFile]:
    """Open the Parquet part at `uri` and check its schema.

    Raises TableError if it is not such a part or is damaged, also where the damage is found only inside the block.
    """
    with _open_parquet(uri) as part:
        try:
            check_schema(part.schema_arrow, expected, uri=uri)
        except UnicodeDecodeError as exc:  # in a name or in the metadata
            raise _damage_error(uri, exc) from exc
        yield part


def read_schema(uri: str) -> pa.Schema:
    """Return the schema of a part of whatever release. Raises TableError if it is damaged."""
    with _open_parquet(uri) as part:
        try:
            return part.schema_arrow
        except UnicodeDecodeError as exc:
            raise _damage_error(uri, exc) from exc


def read_part(uri: str, expected: pa.Schema, *, columns: list[str] | None = None) -> pa.Table:
    """Read one whole part; `open_part` streams it. Raises TableError."""
    with open_part(uri, expected) as part:
        return with_added(part.read(columns=columns), expected, columns)


def read_part_of(uri: str, *versions: pa.Schema) -> pa.Table:
    """Read one whole part of a table that has several schema versions, given from the newest on. Raises TableError."""
    with _open_parquet(uri) as part:
        named = (part.schema_arrow.metadata or {}).get(_VERSION)
        expected = next((schema for schema in versions if schema.metadata[_VERSION] == named), versions[0])
        check_schema(part.schema_arrow, expected, uri=uri)
        return part.read()


def write_part(uri: str, table: pa.Table, path: Path) -> bool:
    """Write `table` to `uri` unless there is a part already; return whether this call wrote it.

    `path` is scratch space on local disk.
    """
    pq.write_table(table, path, **WRITING)
    return objects.put_if_absent(uri, path)


@dataclass(frozen=True)
class CurrentParts:
    """The parts of a table version that count, from one consistent look."""

    uris: tuple[str, ...]
    """The parts to read, sorted by name; together they hold every row once."""
    num_bytes: dict[str, int]
    """Size of each of `uris`."""
    leftovers: tuple[str, ...]
    """Parts whose rows are in a merged part too."""
    members: frozenset[str]
    """Ids of all parts that were ever merged, there or not."""

    @property
    def ids(self) -> set[str]:
        """Ids of all parts whose rows the table holds, in a part of their own or merged."""
        return {part_id_of(uri) for uri in self.uris} | self.members


def current_parts(
    root: str, table: str, version: str, *, on_damage: Callable[[TableError], None] | None = None
) -> CurrentParts:
    """Return the parts of one table version that count; none if there is no such table yet.

    A merged part that cannot be read is left out if there is an `on_damage`, which is told; else TableError is raised.
    """
    folder = objects.join_uri(root, table, version)
    for _ in range(MAX_ATTEMPTS):
        sizes = _sizes(folder)
        merged = _merged_ids(sizes)
        try:
            members, unreadable = _members(folder, merged, on_damage)
        except ObjectMissingError:  # merged into yet another part since the listing
            continue
        # A listing is no snapshot: were a merged part committed while it ran, members might have gone before they
        # were listed, and their rows with them. So nothing counts until two listings agree.
        if _merged_ids(_sizes(folder)) == merged:
            current = sorted(part_id for part_id in sizes if part_id not in members | unreadable)
            return CurrentParts(
                uris=tuple(_uri(folder, part_id) for part_id in current),
                num_bytes={_uri(folder, part_id): sizes[part_id] for part_id in current},
                leftovers=tuple(_uri(folder, part_id) for part_id in sorted(sizes.keys() & members)),
                members=members,
            )
    raise StorageError(folder, "its parts were being compacted all the while; run again")


def read_consistently(read: Callable[[], ResultT]) -> ResultT:
    """Return what `read` returns, starting anew whenever a part that it had listed was merged meanwhile."""
    for _ in range(MAX_ATTEMPTS - 1):
        try:
            return read()
        except ObjectMissingError:
            continue
    return read()


def read_table(root: str, table: str, version: str, expected: pa.Schema, *, columns: list[str]) -> pa.Table:
    """Read the named columns of all parts of one table version."""
    schema = pa.schema([expected.field(name) for name in columns])

    def read() -> pa.Table:
        uris = current_parts(root, table, version).uris
        parts = [read_part(uri, expected, columns=columns).replace_schema_metadata(None) for uri in uris]
        return pa.concat_tables([schema.empty_table(), *parts])

    return read_consistently(read)


def _uri(folder: str, part_id: str) -> str:
    return f"{folder}/{_PREFIX}{part_id}{_SUFFIX}"


def _id_of(uri: str) -> str | None:
    name = uri.rsplit("/", 1)[-1]
    is_part = name.startswith(_PREFIX) and name.endswith(_SUFFIX)
    return name.removeprefix(_PREFIX).removesuffix(_SUFFIX) if is_part else None


def _list(folder: str) -> Iterator[tuple[objects.ObjectInfo, str]]:
    """Yield each part in `folder` with its id."""
    for info in objects.list_objects(folder + "/"):
        part_id = _id_of(info.uri)
        if part_id is not None and info.uri == _uri(folder, part_id):  # none of a folder below
            yield info, part_id


def _sizes(folder: str) -> dict[str, int]:
    """Return the size in bytes of each part, by its id."""
    return {part_id: info.size for info, part_id in _list(folder)}


def _merged_ids(part_ids: Iterable[str]) -> list[str]:
    return sorted(part_id for part_id in part_ids if part_id.startswith(_MERGED_PREFIX))


def _members(
    folder: str, merged: list[str], on_damage: Callable[[TableError], None] | None
) -> tuple[frozenset[str], frozenset[str]]:
    """Return the ids of all that the merged parts hold, and those of merged parts that cannot be read.

    A merged part that is a member itself does not count: its number was taken a second time, by a compaction that
    came too late.
    """
    members, unreadable = frozenset[str](), frozenset[str]()
    for part_id in reversed(merged):  # what holds others always has the higher number
        if part_id in members:
            continue
        try:
            members |= _members_of(_uri(folder, part_id))
        except TableError as exc:
            if on_damage is None:
                raise
            on_damage(exc)
            unreadable |= {part_id}
    return members, unreadable


def _members_of(uri: str) -> frozenset[str]:
    with _open_parquet(uri) as part:
        footer = part.metadata.metadata or {}
    if MEMBERS_FOOTER not in footer:
        raise TableError(f"{uri}: has a merged part's name, but names no members; move it away")
    try:
        return frozenset(map(str, json.loads(footer[MEMBERS_FOOTER])))
    except (ValueError, TypeError, RecursionError) as exc:
        raise _damage_error(uri, exc) from exc


@contextmanager
def _open_parquet(uri: str) -> Iterator[pq.ParquetFile]:
    """Open a Parquet file; raise TableError where its bytes are damaged, when it is opened or inside the block."""
    with objects.open_object(uri) as file:
        try:
            try:
                part = pq.ParquetFile(file, page_checksum_verification=True)
            except (pa.ArrowException, UnicodeDecodeError) as exc:
                raise _damage_error(uri, exc) from exc
            yield part
        except pa.ArrowException as exc:  # zeros and noise in a page whose footer is whole
            raise _damage_error(uri, exc) from exc
        except OSError as exc:
            if exc.errno is not None:  # a disk that fails; damaged bytes are an OSError to pyarrow, without a number
                raise StorageError(uri, f"cannot be read: {exc.strerror}") from exc
            raise _damage_error(uri, exc) from exc


def _damage_error(uri: str, exc: Exception) -> DamagedPartError:
    folders = uri.split("/")[-3:-1]  # corrections have no versions
    advice = next((HOW_TO_MEND[name] for name in reversed(folders) if name in HOW_TO_MEND), "delete it and run again")
    return DamagedPartError(f"{uri}: not readable as Parquet ({shorten(' '.join(str(exc).split()))}); {advice}")


HOW_TO_MEND = {
    "keypoints": "delete it and run again: the poses of its videos are estimated again",
    "videos": "delete it and run again: it is written anew from the keypoints parts",
    "shots": "delete it and the videos part of this name and run again: both are written anew from the keypoints parts",
    "pictures": "delete it: copies of its videos are then told by their movement alone",
    "tags": "delete it and run again: its videos are tagged again",
    "kinematics": "delete it: it is written anew when its videos are tagged by another model",
    "embeddings": "delete it and the video_embeddings part of this name: `choreai similar` writes both anew",
    "video_embeddings": "delete it: `choreai similar` writes it anew",
    "poses3d": "delete it and the movement3d part of this name: `choreai lift` writes both anew",
    "movement3d": "delete it: `choreai lift` writes it anew",
    "music": "delete it and run `choreai music` again: its videos are listened to again",
    "corrections": "restore it from a copy, or import its reviews again; nothing else has them",
}
"""By table, what to do about a damaged part, merged or not."""
