"""The rows of a catalog as they are in a CSV, JSONL or Parquet file, a folder or a bucket prefix.

Each row carries its place, so that `choreai.catalog.catalog`, which checks the values, can say where a bad one is.
"""

import codecs
import csv
import difflib
import json
import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.folder_videos import VIDEO_EXTENSIONS, FolderNames
from choreai.errors import CatalogError
from choreai.storage.objects import is_folder, list_objects, open_object, stat_object
from choreai.storage.uris import join_uri, resolve_uri

COLUMNS = ("video_id", "uri", "label", "group", "content_id")

_REQUIRED = ("video_id", "uri")
_OFTEN_CALLED = {
    "video_id": ("id", "video", "name", "clip", "clip_id"),
    "uri": (
        "url",
        "path",
        "file",
        "filename",
        "filepath",
        "file_path",
        "video_path",
        "video_uri",
        "location",
    ),
}
_BATCH_ROWS = 65_536
_SCHEMA = pa.schema([("place", pa.int64()), *((name, pa.string()) for name in COLUMNS)])

_Row = tuple[int, str | None, str | None, str | None, str | None, str | None]
"""Place in the file, then a value for each of `COLUMNS`."""


@dataclass(frozen=True, eq=False)
class CatalogRows:
    """Some rows of a catalog as found: `table` has `place` (int64, from 1) and `COLUMNS` (strings or null)."""

    uri: str
    counted_in: Literal["line", "row", "file"]
    table: pa.Table

    def where(self, index: int) -> str:
        """Return the place of row `index` as a person would look it up."""
        if self.counted_in == "file":
            return f"file {self.table['uri'][index].as_py()!r}"
        return f"{self.counted_in} {self.table['place'][index].as_py()}"

    def error(self, index: int, problem: str) -> CatalogError:
        """Return an error that says where row `index` is."""
        return CatalogError(f"{self.uri}, {self.where(index)}: {problem}")


def read_rows(uri: str) -> Iterator[CatalogRows]:
    """Yield all rows, a batch at a time. Raises `CatalogError` if `uri` is not a catalog or not what its name says."""
    if is_folder(uri):
        yield _read_listing(uri)
        return
    if stat_object(uri) is None:
        raise CatalogError(f"{uri}: there is no such file or folder; check the name")
    extension = posixpath.splitext(uri)[1].lower()
    if extension not in (".csv", ".jsonl", ".parquet"):
        known = "a .csv, .jsonl or .parquet file, or a folder"
        raise CatalogError(f"{uri}: unknown extension {extension!r}; a catalog is {known}")
    with open_object(uri) as file:
        if extension == ".parquet":
            batches = _parquet_batches(uri, file)
        else:
            batches = _to_batches(uri, _csv_rows(uri, file) if extension == ".csv" else _json_rows(uri, file))
        for batch in batches:
            yield CatalogRows(uri, "row" if extension == ".parquet" else "line", pa.Table.from_batches([batch]))


def _read_listing(uri: str) -> CatalogRows:
    folder = join_uri(resolve_uri(uri, against="."), "")
    names = FolderNames(folder)
    found = (info for info in list_objects(folder) if names.is_video(info.uri))
    rows: Iterator[_Row] = (
        (place, info.uri.removeprefix(folder), info.uri, None, None, info.content_id)
        for place, info in enumerate(found, start=1)
    )
    table = pa.Table.from_batches(_to_batches(uri, rows), schema=_SCHEMA)
    names.log_left_out()
    if not table.num_rows:
        raise CatalogError(f"{uri}: no videos in this folder; looked for {' '.join(VIDEO_EXTENSIONS)}")
    ids = table["video_id"]
    if not pc.all(pc.less(ids.slice(0, len(ids) - 1), ids.slice(1)), min_count=0).as_py():
        table = table.sort_by("video_id")  # folders list in any order, buckets in this one
    return CatalogRows(uri, "file", table)


def _to_batches(uri: str, rows: Iterator[_Row]) -> Iterator[pa.RecordBatch]:
    while chunk := list(islice(rows, _BATCH_ROWS)):
        places, *columns = zip(*chunk, strict=True)
        try:
            arrays = [pa.array(places, pa.int64()), *(pa.array(column, pa.string()) for column in columns)]
        except UnicodeEncodeError as exc:  # half a surrogate pair: a file name's stray byte, or JSON's "\ud800"
            raise CatalogError(f"{uri}: {exc.object!r} is not valid Unicode; rename it") from exc
        yield pa.record_batch(arrays, schema=_SCHEMA)


def _decode_lines(uri: str, file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(file, start=1):
        try:
            yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
        except UnicodeDecodeError as exc:
            byte = f"byte {exc.object[exc.start]:#04x} at {exc.start + 1}"
            raise CatalogError(f"{uri}, line {number}: {byte} is not UTF-8; save the file as UTF-8") from exc


def _csv_rows(uri: str, file: BinaryIO) -> Iterator[_Row]:
    reader = csv.reader(_decode_lines(uri, file), strict=True)
    header: list[str] | None = None
    line = 1
    try:
        for row in reader:
            if not any(row):
                pass  # a blank line, or the bare commas that spreadsheets leave
            elif header is None:
                header = row
                _check_columns(uri, header)
                _check_unrepeated(uri, header)
                positions = [header.index(name) if name in header else None for name in COLUMNS]
            elif len(row) != len(header):
                raise CatalogError(
                    f"{uri}, line {line}: {len(row)} values for {len(header)} columns; "
                    "put values that contain commas in double quotes"
                )
            else:
                yield line, *[None if at is None else row[at] for at in positions]  # type: ignore[misc]
            line = reader.line_num + 1
    except csv.Error as exc:
        remedy = "close each double quote that opens a value, and write one inside a value twice"
        raise CatalogError(f"{uri}, line {line}: not CSV ({exc}); {remedy}") from exc


def _json_rows(uri: str, file: BinaryIO) -> Iterator[_Row]:
    for line, text in enumerate(_decode_lines(uri, file), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise CatalogError(f"{uri}, line {line}: not JSON ({exc}); write one object on each line") from exc
        if not isinstance(row, dict):
            raise CatalogError(f"{uri}, line {line}: not a JSON object; write one object on each line")
        _check_columns(f"{uri}, line {line}", row)
        yield line, *[_json_string(uri, line, name, row.get(name)) for name in COLUMNS]  # type: ignore[misc]


def _json_string(uri: str, line: int, name: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise CatalogError(f"{uri}, line {line}: {name} is {json.dumps(value)}; write it as a string")


def _parquet_batches(uri: str, file: BinaryIO) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    place = 1
    try:
        parquet = pq.ParquetFile(file)
        schema = parquet.schema_arrow
        _check_columns(uri, schema.names)
        _check_unrepeated(uri, schema.names)
        present = [name for name in COLUMNS if name in schema.names]
        for name in present:
            _check_type(uri, schema.field(name))
        for batch in parquet.iter_batches(columns=present, batch_size=_BATCH_ROWS):
            columns = [
                batch[name].cast(pa.string()) if name in present else pa.nulls(len(batch), pa.string())
                for name in COLUMNS
            ]
            for column in columns:
                column.validate(full=True)  # Parquet itself does not promise UTF-8
            places = pa.array(np.arange(place, place + len(batch), dtype=np.int64))
            yield pa.record_batch([places, *columns], schema=_SCHEMA)
            place += len(batch)
    except (pa.ArrowException, OSError) as exc:
        raise CatalogError(f"{uri}: not a readable Parquet file ({exc}); write it again") from exc


def _check_type(uri: str, field: pa.Field) -> None:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    readable = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_integer,
        pa.types.is_null,
    )
    if not any(is_kind(kind) for is_kind in readable):
        raise CatalogError(f"{uri}: column {field.name!r} holds {field.type}; write it as strings")


def _check_columns(where: str, names: Collection[str]) -> None:
    if missing := [name for name in _REQUIRED if name not in names]:
        remedies = [f"rename {old!r} to {name!r}" for name in missing if (old := _similar_name(name, names))]
        if len(names) == 1 and any(mark in str(*names) for mark in ";\t|"):
            remedies = ["separate the columns by commas"]
        found = ", ".join(map(repr, names)) or "none"
        lacks = " and no ".join(map(repr, missing))
        remedy = "; ".join(remedies) or "add what is missing"
        raise CatalogError(f"{where}: no column {lacks} (found: {found}); {remedy}")


def _check_unrepeated(uri: str, names: list[str]) -> None:
    for name in COLUMNS:
        if names.count(name) > 1:
            raise CatalogError(f"{uri}: {names.count(name)} columns are called {name!r}; keep one")


def _similar_name(name: str, names: Collection[str]) -> str | None:
    """Return the name in `names` that was most likely meant as `name`."""
    plain = {other.strip().lower().replace(" ", "_").replace("-", "_"): other for other in names}
    others = [other for other in plain if other not in COLUMNS or other == name]
    for candidate in (name, *_OFTEN_CALLED[name], *difflib.get_close_matches(name, others, n=1)):
        if candidate in others:
            return plain[candidate]
    return None
