"""Catalogs: tables of videos, read from CSV, JSONL, Parquet, a folder or a bucket prefix, and checked.

The first step of every job. Rows stay in Arrow from here on, since a catalog may have ten million of them; only
the few rows that a worker gets become `Video` objects.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import BoolArray, IntArray
from choreai.catalog.allowed_roots import is_outside
from choreai.catalog.fast_csv import read_plain_csv
from choreai.catalog.listings import listed_content_ids
from choreai.catalog.mistakes import Mistakes
from choreai.catalog.odd_names import MAX_NAME_BYTES
from choreai.catalog.pictures import is_picture_folder, picture_folder_names, pictures_content_id
from choreai.catalog.rows import COLUMNS, CatalogRows, read_rows
from choreai.catalog.rows import UNAVAILABLE as UNAVAILABLE
from choreai.catalog.spellings import with_one_spelling
from choreai.errors import CatalogError, ConfigError, MediaError, ObjectUnusableError
from choreai.storage.objects import stat_object
from choreai.storage.uris import check_uri, join_uri, parent_uri, resolve_uri, shorten, without_secrets

CATALOG_SCHEMA = pa.schema([(name, pa.string()) for name in COLUMNS])
_OUTSIDE = f"{UNAVAILABLE}outside of allowed_roots; move the video, or add its folder or prefix there"

_STAT_ROWS = 8192
_ROWS_AT_ONCE = 1 << 20
_NO_STRING = pa.scalar(None, pa.string())
_ABSOLUTE = r"^(/|[A-Za-z][A-Za-z0-9+.\-]*://)"
_PLAINLY_FINE = r"^((s3|gs|az)://[^/@?]+/[^?]*$|file:///[^?]*$)"
_MAYBE_WRONG = r"[@?]|^[A-Za-z]:[\\/]|^\\\\"  # a secret, or a path of Windows
_MAX_BYTES = {"video_id": MAX_NAME_BYTES, "uri": 8192, "label": 1000, "group": 1000, "content_id": 1000}
_DOTTED = r"(^|/)\.{0,2}(/|$)"  # '.', '..' or nothing between two slashes


@dataclass(frozen=True)
class Video:
    """One row of a catalog."""

    video_id: str
    uri: str
    content_id: str
    """Version of the bytes, see `ObjectInfo.content_id`; or `UNAVAILABLE` and the reason."""
    label: str | None = None
    group: str | None = None
    """Dancer or source; never split across train and test."""


@dataclass(frozen=True, eq=False)
class Catalog:
    """The videos of a job: `table` has `CATALOG_SCHEMA`, unique ids, absolute URIs, and null for blank values."""

    uri: str
    table: pa.Table
    num_forgotten: int = 0
    """Rows that were left out, as `choreai forget` has forgotten their videos."""

    def __post_init__(self) -> None:
        if not self.table.schema.equals(CATALOG_SCHEMA):
            raise ValueError(f"a catalog's columns are {CATALOG_SCHEMA.names}, got {self.table.schema}")

    def __len__(self) -> int:
        return self.table.num_rows

    def videos(self) -> Iterator[Video]:
        """Yield the rows. Raises `ValueError` at one without a content id (see `with_content_ids`)."""
        for batch in self.table.to_batches(max_chunksize=_STAT_ROWS):
            for row in batch.to_pylist():
                if row["content_id"] is None:
                    raise ValueError(f"{row['video_id']!r} has no content id; call with_content_ids first")
                yield Video(**row)

    def select(self, rows: BoolArray | IntArray) -> "Catalog":
        """Return the catalog of some rows: a mask over all rows, or indices in the order wanted."""
        chosen = self.table.filter if rows.dtype == np.bool_ else self.table.take
        return Catalog(self.uri, chosen(pa.array(rows)), self.num_forgotten)

    def without(self, rows: BoolArray) -> "Catalog":
        """Return the catalog without the rows of a mask, which are counted as forgotten."""
        return Catalog(self.uri, self.table.filter(pa.array(~rows)), self.num_forgotten + int(rows.sum()))


def read_catalog(uri: str) -> Catalog:
    """Read the catalog at `uri` and check every row.

    A .csv, .jsonl or .parquet file with video_id and uri, and label, group and content_id where it has them
    (other columns are dropped); one video, named by its file; or a folder or bucket prefix, whose videos are found by
    extension (hidden files and folders are not) and named by their path in it, in order. Relative URIs count from the
    catalog's own folder. Labels and groups are stripped, and those spelt in several ways (`Hip-Hop`, `hip hop`) are
    one. Raises `CatalogError`, which names the catalog, its bad rows and the remedy of each; a name in a listing that
    no table could hold is no error, but a row that will be quarantined.
    """
    try:
        check_uri(uri)
    except ConfigError as exc:
        raise CatalogError(f"catalog {exc}") from exc
    try:
        return _read(uri)
    except ObjectUnusableError as exc:
        raise CatalogError(f"catalog {exc}") from exc


def _read(uri: str) -> Catalog:
    if uri.lower().endswith(".csv"):
        try:
            return _build_catalog(uri, read_plain_csv(uri), Mistakes(uri))
        except CatalogError:  # quotes, or a mistake: the careful reader copes, or says what is wrong and where
            pass
    mistakes = Mistakes(uri)
    return _build_catalog(uri, read_rows(uri, mistakes), mistakes)


def _build_catalog(uri: str, batches: Iterator[CatalogRows], mistakes: Mistakes) -> Catalog:
    """Return the catalog of all batches, each checked and cleaned in turn. Raises CatalogError for all mistakes."""
    base = parent_uri(uri)
    clean: list[pa.Table] = []
    places: list[pa.Array] = []
    for found in batches:
        rows = _without_mistakes(found, mistakes)
        columns = {name: _trim(rows.table[name]) for name in ("label", "group", "content_id")}
        columns |= {"video_id": rows.table["video_id"], "uri": _make_absolute(rows, mistakes, base=base)}
        clean.append(pa.table([columns[name] for name in COLUMNS], schema=CATALOG_SCHEMA))
        places.append(rows.table["place"].combine_chunks())
    if not clean:
        mistakes.raise_any()
        raise CatalogError(f"{uri}: the catalog is empty; it needs at least one row with video_id and uri")
    table = _with_one_spelling(pa.concat_tables(clean), uri)
    placed = table.select(["video_id", "uri"]).append_column("place", pa.chunked_array(places))
    _check_unique(CatalogRows(uri, found.counted_in, placed), mistakes)
    mistakes.raise_any()
    return Catalog(uri, table)


def with_content_ids(
    catalog: Catalog,
    *,
    allowed_roots: Sequence[str] = (),
    num_threads: int = 32,
    on_videos: Callable[[int], object] | None = None,
) -> Catalog:
    """Return the catalog with a content id in every row: the object's own where the catalog has none.

    A video outside `allowed_roots` (empty: anywhere is allowed) is never opened; it and one that cannot be read get
    `UNAVAILABLE` and the reason, and are quarantined later. Raises `StorageError` if the store itself fails (no
    credentials, no answer), which is not the video's fault. `on_videos` is called now and then, in this thread, with
    the number of videos done since the last call.
    """
    chunks = []
    with ThreadPoolExecutor(num_threads) as pool:
        for start in range(0, len(catalog), _ROWS_AT_ONCE):
            rows = catalog.table.slice(start, _ROWS_AT_ONCE)
            uris, ids = rows["uri"].combine_chunks(), rows["content_id"].combine_chunks()
            if allowed_roots:
                ids = pc.if_else(is_outside(uris, allowed_roots), _OUTSIDE, ids)
            if ids.null_count:
                is_listed = pc.and_not(ids.is_null(), picture_folder_names(uris))
                ids = pc.coalesce(ids, listed_content_ids(pc.if_else(is_listed, uris, _NO_STRING)))
            if on_videos is not None:
                on_videos(len(ids) - ids.null_count)
            chunks.append(_look_up_content_ids(uris, ids, pool, on_videos))
    position = COLUMNS.index("content_id")
    filled = pa.chunked_array(chunks, pa.string())
    table = catalog.table.set_column(position, CATALOG_SCHEMA.field(position), filled)
    return replace(catalog, table=table)


def _look_up_content_ids(
    uris: pa.Array, ids: pa.Array, pool: Executor, on_videos: Callable[[int], object] | None
) -> pa.Array:
    """Return `ids` with each null replaced by the content id of the object at the same place in `uris`."""
    places = _indices(ids.is_null())
    for start in range(0, len(places), _STAT_ROWS):  # or the executor would queue a million at once
        some = places[start : start + _STAT_ROWS]
        found = []
        for content_id in pool.map(_content_id, uris.take(pa.array(some)).to_pylist()):
            found.append(content_id)
            if on_videos is not None:
                on_videos(1)
        mask = np.zeros(len(ids), np.bool_)
        mask[some] = True
        ids = pc.replace_with_mask(ids, pa.array(mask), pa.array(found, pa.string()))
    return ids


def _content_id(uri: str) -> str:
    try:
        if is_picture_folder(uri):
            return pictures_content_id(uri)
        info = stat_object(uri)
    except (ObjectUnusableError, MediaError) as exc:
        return f"{UNAVAILABLE}{exc.reason}"
    except ConfigError as exc:
        return f"{UNAVAILABLE}{exc}"
    return f"{UNAVAILABLE}there is nothing here; check the URI" if info is None else info.content_id


def _without_mistakes(rows: CatalogRows, mistakes: Mistakes) -> CatalogRows:
    """Return the rows whose values can be used, and note the others."""
    is_bad = np.zeros(rows.table.num_rows, np.bool_)
    for index, problem in _wrong_values(rows.table):
        if not is_bad[index]:
            mistakes.add(rows.place(index), rows.where(index), problem)
        is_bad[index] = True
    return rows if not is_bad.any() else CatalogRows(rows.uri, rows.counted_in, rows.table.filter(pa.array(~is_bad)))


def _wrong_values(table: pa.Table) -> Iterator[tuple[int, str]]:
    """Yield the index of each row with a value that cannot be used, and what is wrong; a row may come again."""
    for name in ("video_id", "uri"):
        column = table[name]
        for index in _indices(pc.fill_null(pc.equal(pc.binary_length(pc.utf8_trim_whitespace(column)), 0), True)):
            yield int(index), f"{name} is empty; fill it in or remove the row"
        for index in _indices(pc.fill_null(pc.match_substring_regex(column, r"\p{Cc}"), False)):
            value = without_secrets(column[index].as_py()[:200])
            yield int(index), f"{name} {value!r} has control characters or line breaks; remove them"
    for name, limit in _MAX_BYTES.items():
        lengths = pc.fill_null(pc.binary_length(table[name]), 0)
        for index in _indices(pc.greater(lengths, limit)):
            yield int(index), f"{name} has {lengths[index].as_py()} bytes, {limit} are allowed; shorten it"
    for index in _indices(pc.fill_null(_needs_check(table["uri"]), False)):
        try:
            check_uri(table["uri"][index].as_py())
        except ConfigError as exc:
            yield int(index), str(exc)


def _needs_check(uris: pa.ChunkedArray) -> pa.ChunkedArray:
    with_scheme = pc.match_substring_regex(uris, r"^[A-Za-z][A-Za-z0-9+.\-]*://")
    suspect = pc.or_(with_scheme, pc.match_substring_regex(uris, _MAYBE_WRONG))
    return pc.and_not(suspect, pc.match_substring_regex(uris, _PLAINLY_FINE))


def _check_unique(rows: CatalogRows, mistakes: Mistakes) -> None:
    import duckdb

    ids = rows.table["video_id"]
    with duckdb.connect() as connection:  # eight bytes an id, where Arrow's own count holds every string again
        connection.execute("SET threads = 1")
        hashes = connection.from_arrow(pa.table({"id": ids})).project("hash(id) AS hash").fetchnumpy()["hash"]
    ordered = np.sort(hashes)
    repeated = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(repeated):
        return
    first_seen: dict[str, int] = {}
    for index in np.flatnonzero(np.isin(hashes, repeated)):
        video_id = ids[int(index)].as_py()
        if video_id in first_seen:
            other = rows.where(first_seen[video_id])
            problem = f"video_id {shorten(video_id)!r} was in {other} already; ids must be unique, rename one"
            mistakes.add(rows.place(int(index)), rows.where(int(index)), problem)
        first_seen.setdefault(video_id, int(index))


def _make_absolute(rows: CatalogRows, mistakes: Mistakes, *, base: str) -> pa.ChunkedArray:
    """Return the uri column with relative URIs resolved: most in one vectorised join, those with dots one by one."""
    prefix = pa.scalar(join_uri(resolve_uri(base, against="."), ""))
    chunks, start = [], 0
    for chunk in rows.table["uri"].chunks:
        relative = pc.invert(pc.match_substring_regex(chunk, _ABSOLUTE))
        full = pc.if_else(relative, pc.binary_join_element_wise(prefix, chunk, ""), chunk)
        dotted = pc.and_(relative, pc.match_substring_regex(chunk, _DOTTED))
        resolved = [_resolve(rows, start + int(index), mistakes, base=base) for index in _indices(dotted)]
        chunks.append(pc.replace_with_mask(full, dotted, pa.array(resolved, pa.string())))
        start += len(chunk)
    return pa.chunked_array(chunks, pa.string())


def _resolve(rows: CatalogRows, index: int, mistakes: Mistakes, *, base: str) -> str:
    uri = str(rows.table["uri"][index].as_py())
    try:
        return resolve_uri(uri, against=base)
    except ConfigError as exc:
        mistakes.add(rows.place(index), rows.where(index), str(exc))
        return uri


def _with_one_spelling(table: pa.Table, uri: str) -> pa.Table:
    for name in ("label", "group"):
        place = COLUMNS.index(name)
        column = with_one_spelling(table[name], what=f"{name}s", where=uri)
        table = table.set_column(place, CATALOG_SCHEMA.field(place), column)
    return table


def _trim(column: pa.ChunkedArray) -> pa.ChunkedArray:
    trimmed = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(pc.binary_length(trimmed), 0), _NO_STRING, trimmed)


def _indices(mask: pa.Array | pa.ChunkedArray) -> IntArray:
    return np.flatnonzero(mask.to_numpy(zero_copy_only=False) if isinstance(mask, pa.Array) else mask.to_numpy())
