"""Catalogs: tables of videos, read from CSV, JSONL, Parquet, a folder or a bucket prefix, and checked.

The first step of every job. Rows stay in Arrow from here on, for a catalog may have ten million of them; only
the few rows that a worker gets become `Video` objects.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from choreai.errors import CatalogError, ConfigError, ObjectUnusableError
from choreai.store.catalog_rows import COLUMNS, CatalogRows, read_rows
from choreai.store.objects import (
    check_uri,
    join_uri,
    parent_uri,
    resolve_uri,
    stat_object,
)

CATALOG_SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
UNAVAILABLE = "unavailable: "
"""What the content id of a video that cannot be looked at begins with; the reason follows."""

_MAX_ID_BYTES = 1000
_STAT_ROWS = 8192
_ABSOLUTE = r"^(/|[A-Za-z][A-Za-z0-9+.\-]*://)"
_PLAINLY_FINE = r"^(s3://[^/]+/|file:///)"
_DOTTED = r"(^|/)\.{0,2}(/|$)"  # '.', '..' or nothing between two slashes


@dataclass(frozen=True)
class Video:
    """One row of a catalog."""

    video_id: str
    uri: str
    content_id: str
    """Which bytes: see `ObjectInfo.content_id`; or `UNAVAILABLE` and why."""
    label: str | None = None
    group: str | None = None
    """Dancer or source; never split across train and test."""


@dataclass(frozen=True, eq=False)
class Catalog:
    """The videos of a job: `table` has `CATALOG_SCHEMA`, unique ids, absolute URIs, and nulls for blanks."""

    uri: str
    table: pa.Table

    def __post_init__(self) -> None:
        if not self.table.schema.equals(CATALOG_SCHEMA):
            raise ValueError(f"a catalog's columns are {CATALOG_SCHEMA.names}, got {self.table.schema}")

    def __len__(self) -> int:
        return self.table.num_rows

    def videos(self) -> Iterator[Video]:
        """The rows, one at a time. Raises `ValueError` at one without content id (see `with_content_ids`)."""
        for batch in self.table.to_batches(max_chunksize=_STAT_ROWS):
            for row in batch.to_pylist():
                if row["content_id"] is None:
                    raise ValueError(f"{row['video_id']!r} has no content id; call with_content_ids first")
                yield Video(**row)

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.int64]) -> "Catalog":
        """The catalog of some rows: a mask over all of them, or their indices in the order wanted."""
        chosen = self.table.filter if rows.dtype == np.bool_ else self.table.take
        return Catalog(self.uri, chosen(pa.array(rows)))


def read_catalog(uri: str) -> Catalog:
    """The catalog at `uri`, every row of it checked.

    A .csv, .jsonl or .parquet file with video_id and uri, and label, group and content_id where it has them
    (other columns are dropped); or a folder or bucket prefix, whose videos are found by extension (hidden
    files are not) and named by their path in it, in order. Relative URIs count from the catalog's own folder.
    Labels and groups lose the blanks around them. Raises `CatalogError`, which names catalog, row and remedy.
    """
    try:
        check_uri(uri)
    except ConfigError as exc:
        raise CatalogError(f"catalog {exc}") from exc
    rows = read_rows(uri)
    _check_values(rows)
    _check_unique(rows)
    columns = {name: _trimmed(rows.table[name]) for name in ("label", "group", "content_id")}
    columns |= {"video_id": rows.table["video_id"], "uri": _absolute(rows, base=parent_uri(uri))}
    return Catalog(uri, pa.table([columns[name] for name in COLUMNS], schema=CATALOG_SCHEMA))


def with_content_ids(
    catalog: Catalog, *, num_threads: int = 32, on_video: Callable[[], object] | None = None
) -> Catalog:
    """The catalog with a content id in every row: where there was none, the object's own.

    A video that cannot be looked at gets `UNAVAILABLE` and the reason, and becomes a quarantine row later.
    Raises `StorageError` where it is the store that fails (no credentials, no answer), for that is no video's
    fault. `on_video` is called after each row, from this thread.
    """
    chunks = []
    with ThreadPoolExecutor(num_threads) as pool:
        for batch in catalog.table.to_batches(max_chunksize=_STAT_ROWS):
            known = batch["content_id"].to_pylist()
            unknown_uris = batch["uri"].filter(batch["content_id"].is_null()).to_pylist()
            looked_up = pool.map(_content_id, unknown_uris)
            found = []
            for content_id in known:
                found.append(next(looked_up) if content_id is None else content_id)
                if on_video is not None:
                    on_video()
            chunks.append(pa.array(found, pa.string()))
    position = COLUMNS.index("content_id")
    filled = pa.chunked_array(chunks, pa.string())
    return Catalog(catalog.uri, catalog.table.set_column(position, CATALOG_SCHEMA.field(position), filled))


def _content_id(uri: str) -> str:
    try:
        info = stat_object(uri)
    except ObjectUnusableError as exc:
        return f"{UNAVAILABLE}{exc.reason}"
    except ConfigError as exc:
        return f"{UNAVAILABLE}{exc}"
    return f"{UNAVAILABLE}there is nothing here; check the URI" if info is None else info.content_id


def _check_values(rows: CatalogRows) -> None:
    for name in ("video_id", "uri"):
        column = rows.table[name]
        blank = pc.fill_null(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(column)), 0), True)
        if (index := _first(blank)) is not None:
            raise rows.error(index, f"{name} is empty; fill it in or remove the row")
        if (index := _first(pc.match_substring_regex(column, r"\p{Cc}"))) is not None:
            value = column[index].as_py()
            raise rows.error(index, f"{name} {value!r} has control characters or line breaks; remove them")
    lengths = pc.binary_length(rows.table["video_id"])
    if (index := _first(pc.greater(lengths, _MAX_ID_BYTES))) is not None:
        num_bytes = lengths[index].as_py()
        raise rows.error(index, f"video_id has {num_bytes} bytes, {_MAX_ID_BYTES} are allowed; shorten it")
    for index in _indices(_needs_a_look(rows.table["uri"])):
        try:
            check_uri(rows.table["uri"][index].as_py())
        except ConfigError as exc:
            raise rows.error(index, str(exc)) from exc


def _needs_a_look(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    with_scheme = pc.match_substring_regex(uris, r"^[A-Za-z][A-Za-z0-9+.\-]*://")
    return pc.and_not(with_scheme, pc.match_substring_regex(uris, _PLAINLY_FINE))


def _check_unique(rows: CatalogRows) -> None:
    ids = rows.table["video_id"]
    if pc.count_distinct(ids).as_py() == len(ids):
        return
    counts = pc.value_counts(ids)
    repeated = counts.field("values").filter(pc.greater(counts.field("counts"), 1))
    places = _indices(pc.is_in(ids, value_set=repeated))
    first_seen: dict[str, int] = {}
    for index in places:
        video_id = ids[index].as_py()
        if video_id in first_seen:
            other = rows.where(first_seen[video_id])
            raise rows.error(index, f"video_id {video_id!r} was in {other} already; ids must be unique, rename one")
        first_seen[video_id] = index


def _absolute(rows: CatalogRows, *, base: str) -> pa.ChunkedArray:
    """The uri column, relative ones resolved: most in one vectorised join, those with dots one by one."""
    prefix = pa.scalar(join_uri(resolve_uri(base, against="."), ""))
    chunks, start = [], 0
    for chunk in rows.table["uri"].chunks:
        relative = pc.invert(pc.match_substring_regex(chunk, _ABSOLUTE))
        full = pc.if_else(relative, pc.binary_join_element_wise(prefix, chunk, ""), chunk)
        dotted = pc.and_(relative, pc.match_substring_regex(chunk, _DOTTED))
        resolved = [_resolved(rows, start + int(index), base=base) for index in _indices(dotted)]
        chunks.append(pc.replace_with_mask(full, dotted, pa.array(resolved, pa.string())))
        start += len(chunk)
    return pa.chunked_array(chunks, pa.string())


def _resolved(rows: CatalogRows, index: int, *, base: str) -> str:
    try:
        return resolve_uri(rows.table["uri"][index].as_py(), against=base)
    except ConfigError as exc:
        raise rows.error(index, str(exc)) from exc


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(pc.binary_length(trimmed), 0), pa.scalar(None, pa.string()), trimmed)


def _first(mask: pa.ChunkedArray) -> int | None:
    index = pc.index(mask, True).as_py()
    return None if index < 0 else index


def _indices(mask: pa.Array | pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.flatnonzero(mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask.to_numpy())
