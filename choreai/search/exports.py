"""Exports of search results, row by row: CSV for spreadsheets, JSONL for programs, bulk lines for OpenSearch."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Literal

import pyarrow as pa

from choreai.errors import ConfigError
from choreai.search.spreadsheet import escape_formula

Format = Literal["csv", "jsonl", "opensearch"]
FORBIDDEN_IN_INDEX = '\\/*?"<>| ,#:'


def export_lines(found: Iterable[pa.Table], *, to: Format, index: str = "choreai-tags") -> Iterator[bytes]:
    """Yield the export of `found` in pieces of a few thousand rows, UTF-8.

    csv: a header, scalar columns only; text that a spreadsheet would run as a formula is escaped with an
    apostrophe. jsonl: an object per video, `distribution` as {style: score}, missing values null. opensearch: an
    index action and a document per video; the id is the video's, so that sending it again replaces it.
    """
    if to == "opensearch":
        _check_index(index)
    for number, table in enumerate(found):
        if to == "csv":
            yield _csv_lines(table, with_header=number == 0)
        else:
            yield "".join(_json_lines(table, index if to == "opensearch" else None)).encode()


def _csv_lines(table: pa.Table, *, with_header: bool) -> bytes:
    scalars = [field.name for field in table.schema if not pa.types.is_nested(field.type)]
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\r\n")  # RFC 4180
    if with_header:
        writer.writerow(scalars)
    for row in table.select(scalars).to_pylist():
        writer.writerow([_cell(value) for value in row.values()])
    return sink.getvalue().encode()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return escape_formula(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:.6g}"
    return _format_time(value) if isinstance(value, datetime) else value


def _json_lines(table: pa.Table, index: str | None) -> Iterator[str]:
    for row in table.to_pylist():
        document = {
            name: _format_time(value) if isinstance(value, datetime) else _shorten_floats(value)
            for name, value in row.items()
        }
        if "distribution" in row:
            document["distribution"] = {part["style"]: _shorten_floats(part["score"]) for part in row["distribution"]}
        if index is not None:
            yield _json_line({"index": {"_index": index, "_id": row["video_id"]}})
        yield _json_line(document)


def _json_line(record: dict[str, object]) -> str:
    # ASCII only: no line separator inside a string can end the line for some reader.
    return json.dumps(record, allow_nan=False) + "\n"


def _shorten_floats(value: object) -> object:
    """Round floats to the precision of float32, so that 0.9 is not written as 0.8999999761581421."""
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, list):
        return [_shorten_floats(item) for item in value]
    return {name: _shorten_floats(item) for name, item in value.items()} if isinstance(value, dict) else value


def _format_time(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds") + "Z"


def _check_index(index: str) -> None:
    """Raise ConfigError unless `index` follows OpenSearch's rules for names."""
    if not index or index != index.lower() or index[0] in "_-+." or set(index) & set(FORBIDDEN_IN_INDEX):
        raise ConfigError(
            f"{index!r} is not a valid name of an OpenSearch index: lower case, no {FORBIDDEN_IN_INDEX!r}"
        )
