"""Text of columns (CSV and its kin), line by line: decoded, divided, and with the line's number for messages."""

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

from choreai.errors import TableError
from choreai.formats.glimpse import COMMENT, delimiter_of
from choreai.formats.people import PeopleBuffer
from choreai.storage import objects

MAX_CELL = 1 << 20


def read_rows(uri: str, people: PeopleBuffer, *, delimiter: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Yield number (from 1) and cells of each line that is not empty, and add all bytes to the digest of `people`.

    Comments before the first line are left out. The delimiter is that of the first line unless it is given. Raises
    TableError where the text is no such table.
    """
    with objects.open_object(uri) as file:
        lines = _lines(file, people, uri)
        first, num_comments = next(lines, ""), 0
        while first.startswith(COMMENT):
            first, num_comments = next(lines, ""), num_comments + 1
        csv.field_size_limit(MAX_CELL)
        reader = csv.reader(_chain(first, lines), delimiter=delimiter or delimiter_of(first))
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield num_comments + reader.line_num, row
        except csv.Error as exc:
            line = num_comments + reader.line_num
            raise TableError(f"{uri}: line {line}: {exc}; copy the file again, or export it again") from exc


def cells(row: list[str], count: int, where: str) -> list[str]:
    """Return a row that has as many cells as the head. Raises TableError naming `where`."""
    if len(row) != count:
        raise TableError(f"{where} has {len(row)} columns, the head {count}; the file is cut off or was edited")
    return row


def _lines(file: BinaryIO, people: PeopleBuffer, uri: str) -> Iterator[str]:
    """Yield decoded lines: UTF-8 with or without a mark, UTF-16 with one, as spreadsheets write them."""
    start = file.read(2)
    file.seek(0)
    encoding = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    text = io.TextIOWrapper(io.BufferedReader(_Hashed(file, people)), encoding=encoding, newline="")
    try:
        yield from text
    except UnicodeError as exc:
        raise TableError(f"{uri}: not text in UTF-8 ({exc}); save it as UTF-8") from exc


def _chain(first: str, rest: Iterator[str]) -> Iterator[str]:
    yield first
    yield from rest


class _Hashed(io.RawIOBase):
    """A file whose bytes are added to a digest as they are read."""

    def __init__(self, file: BinaryIO, people: PeopleBuffer) -> None:
        self._file, self._people = file, people

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "memoryview | bytearray") -> int:  # type: ignore[override]
        data = self._file.read(len(buffer))
        self._people.digest.update(data)
        buffer[: len(data)] = data
        return len(data)
