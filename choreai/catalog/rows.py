"""The rows of a catalog as they are in a CSV, JSONL or Parquet file, a folder or a bucket prefix.

Each row carries its place, so that `choreai.catalog.catalog`, which checks the values, can say where a bad one is.
"""

import csv
import difflib
import json
import posixpath
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.folder_videos import VIDEO_EXTENSIONS, FolderNames
from choreai.catalog.mistakes import Mistakes
from choreai.catalog.odd_names import escape_name, oddity
from choreai.catalog.pictures import ListedPictures
from choreai.catalog.text_lines import decode_lines
from choreai.errors import CatalogError
from choreai.storage.objects import is_folder, list_objects, open_object, stat_object
from choreai.storage.uris import ObjectInfo, join_uri, resolve_uri, shorten
from choreai.video.picture_files import IMAGE_SUFFIXES

COLUMNS = ("video_id", "uri", "label", "group", "content_id")
CATALOG_EXTENSIONS = (".csv", ".jsonl", ".parquet")

UNAVAILABLE = "unavailable: "
"""Prefix of the content id of a video that cannot be read; the reason follows."""

_REQUIRED = ("video_id", "uri")
_SEPARATORS = ",;\t|"
_MAX_FIELD_CHARACTERS = 16 << 20  # a catalog may carry a description or a thumbnail beside each video
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
            return f"file {shorten(self.table['uri'][index].as_py())!r}"
        return f"{self.counted_in} {self.table['place'][index].as_py()}"

    def place(self, index: int) -> int:
        """Return the line, row or file number of row `index`."""
        return int(self.table["place"][index].as_py())


def read_rows(uri: str, mistakes: Mistakes) -> Iterator[CatalogRows]:
    """Yield all rows that can be read, a batch at a time, and note the others in `mistakes`.

    Raises `CatalogError` if `uri` is not a catalog or not what its name says.
    """
    extension = posixpath.splitext(uri.rstrip("/"))[1].lower()
    if is_folder(uri):
        yield from _parquet_folder(uri) if extension == ".parquet" else [_read_listing(uri)]
        return
    info = stat_object(uri)
    if info is None:
        raise CatalogError(f"{uri}: there is no such file or folder; check the name")
    if is_video_name(uri):
        yield _one_video(uri, info.content_id)
        return
    check_catalog_name(uri)
    with open_object(uri) as file:
        if extension == ".parquet":
            batches = _parquet_batches(uri, file)
        else:
            rows = _csv_rows(uri, file, mistakes) if extension == ".csv" else _json_rows(uri, file, mistakes)
            batches = _to_batches(uri, rows)
        for batch in batches:
            yield CatalogRows(uri, "row" if extension == ".parquet" else "line", pa.Table.from_batches([batch]))


def _parquet_folder(uri: str) -> Iterator[CatalogRows]:
    """Yield the rows of the parts of a folder named `.parquet`, as Spark and others write a table."""
    found = sorted(info.uri for info in list_objects(join_uri(resolve_uri(uri, against="."), ""), sub_folders=False))
    parts = [part for part in found if part.endswith(".parquet") and posixpath.basename(part)[0] not in "._"]
    if not parts:
        raise CatalogError(f"{uri}: no .parquet files in this folder; write the catalog again")
    first_place = 1
    for part in parts:
        with open_object(part) as file:
            for batch in _parquet_batches(part, file, first_place=first_place):
                first_place += len(batch)
                yield CatalogRows(uri, "row", pa.Table.from_batches([batch]))


def is_video_name(uri: str) -> bool:
    """Return whether a file is a video, as its extension has it."""
    return uri.lower().endswith(VIDEO_EXTENSIONS)


def check_catalog_name(uri: str) -> None:
    """Raise `CatalogError` for a file that is neither a catalog nor a video, as its extension has it."""
    extension = posixpath.splitext(uri)[1].lower()
    if not is_video_name(uri) and extension not in CATALOG_EXTENSIONS:
        known = "a .csv, .jsonl or .parquet file, a folder, or a video (.mp4, .mov, .webm, ...)"
        raise CatalogError(f"{uri}: unknown extension {extension!r}; a catalog is {known}")


def _one_video(uri: str, content_id: str) -> CatalogRows:
    row = _listed_row(1, posixpath.basename(uri), resolve_uri(uri, against="."), content_id)
    return CatalogRows(uri, "file", pa.Table.from_batches(_to_batches(uri, iter([row]))))


def _read_listing(uri: str) -> CatalogRows:
    folder = join_uri(resolve_uri(uri, against="."), "")
    names = FolderNames(folder)
    pictures = ListedPictures(folder)
    problems: list[tuple[str, str]] = []
    listed = list_objects(folder, on_problem=lambda path, reason: problems.append((path, reason)))
    found = _videos_among(listed, names, pictures)
    rows: Iterator[_Row] = (
        _listed_row(place, info.uri.removeprefix(folder), info.uri, info.content_id)
        for place, info in enumerate(found, start=1)
    )
    batches = list(_to_batches(uri, rows))
    unlisted = (
        _listed_row(place, path.removeprefix(folder), path, f"{UNAVAILABLE}{reason}")
        for place, (path, reason) in enumerate(problems, start=1 + sum(map(len, batches)))
        if (path.endswith("/") and not names.hides(path)) or names.is_wanted(path)
    )
    table = pa.Table.from_batches([*batches, *_to_batches(uri, unlisted)], schema=_SCHEMA)
    if not table.num_rows and pictures:
        pictures.log_found()
        picture_rows = (_listed_row(place, *row) for place, row in enumerate(pictures.rows(), start=1))
        table = pa.Table.from_batches(_to_batches(uri, picture_rows), schema=_SCHEMA)
    else:
        names.log_left_out()
    if not table.num_rows:
        videos, images = " ".join(VIDEO_EXTENSIONS), " ".join(IMAGE_SUFFIXES)
        raise CatalogError(f"{uri}: no videos in this folder; looked for {videos}, and for pictures, {images}")
    ids = table["video_id"]
    if not pc.all(pc.less(ids.slice(0, len(ids) - 1), ids.slice(1)), min_count=0).as_py():
        table = table.sort_by("video_id")  # folders list in any order, buckets in this one
    return CatalogRows(uri, "file", table)


def _videos_among(listed: Iterator[ObjectInfo], names: FolderNames, pictures: ListedPictures) -> Iterator[ObjectInfo]:
    """Yield the videos of a listing; `pictures` gets the pictures that come before any video."""
    has_videos = False
    for info in listed:
        if names.is_wanted(info.uri):
            has_videos = True
            pictures.forget()  # beside videos they are thumbnails, a million perhaps
            yield info
        elif not has_videos and not names.hides(info.uri):
            pictures.add(info)


def _listed_row(place: int, name: str, uri: str, content_id: str) -> _Row:
    """Return the row of a name in a listing; a name that no table could hold becomes a row that is quarantined."""
    problem = oddity(name)
    if problem is None:
        return place, name, uri, None, None, content_id
    escaped = escape_name(name)
    return place, escaped, f"{uri.removesuffix(name)}{escaped}", None, None, f"{UNAVAILABLE}{problem}"


def _to_batches(uri: str, rows: Iterator[_Row]) -> Iterator[pa.RecordBatch]:
    while chunk := list(islice(rows, _BATCH_ROWS)):
        places, *columns = zip(*chunk, strict=True)
        try:
            arrays = [pa.array(places, pa.int64()), *(pa.array(column, pa.string()) for column in columns)]
        except UnicodeEncodeError as exc:  # half a surrogate pair: a file name's stray byte, or JSON's "\ud800"
            raise CatalogError(f"{uri}: {exc.object!r} is not valid Unicode; rename it") from exc
        yield pa.record_batch(arrays, schema=_SCHEMA)


def _csv_rows(uri: str, file: BinaryIO, mistakes: Mistakes) -> Iterator[_Row]:
    csv.field_size_limit(_MAX_FIELD_CHARACTERS)
    lines = decode_lines(uri, file)
    first = next(lines, "")
    line = 1
    if first.strip()[:4].lower() == "sep=":  # Excel's own line, which says how columns are separated
        separator, first, line = first.lstrip()[4:5].strip("\r\n") or ",", next(lines, ""), 2
    else:
        separator = _separator_of(first)
    skipped = line - 1
    reader = csv.reader(chain([first], lines), strict=True, delimiter=separator)
    header: list[str] | None = None
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
                remedy = f"put values that contain {_SEPARATOR_NAMES.get(separator, repr(separator))} in double quotes"
                mistakes.add(line, f"line {line}", f"{len(row)} values for {len(header)} columns; {remedy}")
            else:
                yield line, *[None if at is None else row[at] for at in positions]  # type: ignore[misc]
            line = reader.line_num + skipped + 1
    except csv.Error as exc:
        remedy = "close each double quote that opens a value, and write one inside a value twice"
        raise CatalogError(f"{uri}, line {line}: not CSV ({exc}); {remedy}") from exc


_SEPARATOR_NAMES = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}


def _separator_of(header: str) -> str:
    """Return what separates the columns, as a header with all required ones shows it; a comma if none does."""
    for separator in _SEPARATORS:
        try:
            names = next(csv.reader([header], delimiter=separator), [])
        except csv.Error:  # no CSV in any form: reading on says where and why
            return ","
        if set(_REQUIRED) <= set(names):
            return separator
    return ","


def _json_rows(uri: str, file: BinaryIO, mistakes: Mistakes) -> Iterator[_Row]:
    for line, text in enumerate(decode_lines(uri, file), start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
            if not isinstance(row, dict):
                raise CatalogError("not a JSON object; write one object on each line")
            _check_keys(row)
            values = [_json_string(name, row.get(name)) for name in COLUMNS]
        except CatalogError as exc:
            mistakes.add(line, f"line {line}", str(exc))
        except (ValueError, RecursionError) as exc:
            mistakes.add(line, f"line {line}", f"not JSON ({exc}); write one object on each line")
        else:
            yield line, *values  # type: ignore[misc]


def _json_string(name: str, value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        value.encode()  # half a surrogate pair ("\\ud800") raises UnicodeEncodeError, a ValueError
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise CatalogError(f"{name} is {shorten(json.dumps(value))}; write it as a string")


def _parquet_batches(uri: str, file: BinaryIO, *, first_place: int = 1) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    place = first_place
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
    except (pa.ArrowException, OSError, UnicodeDecodeError) as exc:  # the last: a column's name
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


def _check_columns(uri: str, names: Collection[str]) -> None:
    """Raise CatalogError unless all required columns are there."""
    try:
        _check_keys(names)
    except CatalogError as exc:
        raise CatalogError(f"{uri}: {exc}") from None


def _check_keys(names: Collection[str]) -> None:
    if missing := [name for name in _REQUIRED if name not in names]:
        remedies = [f"rename {shorten(old)!r} to {name!r}" for name in missing if (old := _similar_name(name, names))]
        found = shorten(", ".join(map(repr, names))) or "none"
        lacks = " and no ".join(map(repr, missing))
        remedy = "; ".join(remedies) or "add what is missing"
        raise CatalogError(f"no column {lacks} (found: {found}); {remedy}")


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
