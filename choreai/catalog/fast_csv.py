"""A fast reader for CSV catalogs without quotes, which most of the very large ones are.

It gives up on any file that is not plain, and `choreai.catalog.rows` reads that one more carefully.
"""

import codecs
import csv
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.rows import COLUMNS, CatalogRows
from choreai.errors import CatalogError
from choreai.storage.objects import is_folder, open_object, stat_object

_BLOCK_BYTES = 8 << 20


class NotPlainError(CatalogError):
    """A CSV file that the careful reader must read."""


def read_plain_csv(uri: str) -> Iterator[CatalogRows]:
    """Yield the rows of a CSV file, a batch at a time. Their line numbers skip blank lines, so are not for messages.

    Raises `NotPlainError` if there are quotes in a column that is read, or lines of different lengths.
    """
    import pyarrow.csv

    if is_folder(uri) or stat_object(uri) is None:
        raise NotPlainError(f"{uri}: no file")
    with open_object(uri) as file:
        header = file.readline().removeprefix(codecs.BOM_UTF8).decode(errors="replace")
        try:
            names = next(csv.reader([header]), [])
        except csv.Error as exc:  # line ends of the old Mac OS, UTF-16, or a very long line
            raise NotPlainError(f"{uri}: {exc}") from exc
        if any(names.count(name) > 1 for name in COLUMNS) or not {"video_id", "uri"} <= set(names):
            raise NotPlainError(f"{uri}: an unusual header")
        convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(COLUMNS, pa.string()), include_columns=COLUMNS, include_missing_columns=True
        )
        try:
            reader = pyarrow.csv.open_csv(
                file,
                pyarrow.csv.ReadOptions(column_names=names, block_size=_BLOCK_BYTES, use_threads=False),
                pyarrow.csv.ParseOptions(quote_char=False),
                convert,
            )
            yield from _number_rows(uri, reader)
        except pa.ArrowInvalid as exc:
            raise NotPlainError(f"{uri}: {exc}") from exc


def _number_rows(uri: str, batches: Iterator[pa.RecordBatch]) -> Iterator[CatalogRows]:
    line = 2
    for batch in batches:
        if any(pc.any(pc.match_substring(batch[name], '"')).as_py() for name in COLUMNS):
            raise NotPlainError(f"{uri}: quotes")
        places = pa.array(np.arange(line, line + len(batch), dtype=np.int64))
        yield CatalogRows(uri, "line", pa.table([places, *batch.columns], names=["place", *COLUMNS]))
        line += len(batch)
