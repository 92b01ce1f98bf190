"""The videos found on the catalog page as files: CSV for spreadsheets, Parquet, and a catalog for the next job."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from choreai import __version__
from choreai.search.exports import export_lines
from choreai.tables.parts import WRITING

ExportKind = Literal["csv", "parquet", "catalog.csv"]
_CATALOG = ("video_id", "uri", "label")


def export(found: Iterable[pa.Table], *, to: ExportKind, about: str) -> bytes:
    """Return the file of the videos found; `about` says in its metadata, where it has some, what was asked for.

    The catalog has as labels what reviewers said, and what a catalog said before: never what a model did.
    """
    if to == "csv":
        return b"".join(export_lines(found, to="csv"))
    return _parquet(found, about) if to == "parquet" else _catalog(found)


def _parquet(found: Iterable[pa.Table], about: str) -> bytes:
    sink = io.BytesIO()
    writer = None
    told = {"choreai.about": json.dumps({"written by": f"choreai {__version__}", "search": about})}
    for table in found:
        table = table.replace_schema_metadata(told)
        writer = writer or pq.ParquetWriter(sink, table.schema, **WRITING)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return sink.getvalue()


def _catalog(found: Iterable[pa.Table]) -> bytes:
    """Return CSV as jobs read it; nothing is escaped, as ids and URIs must stay what they are."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(_CATALOG)
    for table in found:
        writer.writerows(zip(*(table[name].to_pylist() for name in _CATALOG), strict=True))
    return sink.getvalue().encode("utf-8", "surrogatepass")
