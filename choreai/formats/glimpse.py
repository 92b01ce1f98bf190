"""The first look at a file or folder: enough to tell whose format it is, without reading it."""

import csv
import json
import re
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from choreai.natural_order import natural_key
from choreai.storage import objects

HEAD_BYTES = 1 << 20
"""The first frame of a crowd in JSON may have a hundred kilobytes."""
MAX_NAMES = 10_000
COMMENT = "#"
"""What lines before the head of a CSV begin with, where they say where it comes from."""
DELIMITERS = (",", ";", "\t")
_TOP_KEY = re.compile(r'"([^"\\]*)"\s*:')


@dataclass(frozen=True)
class Glimpse:
    """What is seen of a source at first."""

    uri: str
    names: tuple[str, ...]
    """The files directly in a folder, in natural order; empty for a file."""
    head: bytes
    """The first bytes of the file, or of the first in the folder that has some."""

    @cached_property
    def suffix(self) -> str:
        """The suffix of the file, or of the first in the folder."""
        return PurePosixPath(self.names[0] if self.names else self.uri).suffix.lower()

    @cached_property
    def text(self) -> str:
        """The head as text; without what is no text, if it is a binary file."""
        return self.head.decode("utf-8-sig", errors="ignore") if b"\0" not in self.head else ""

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text; the last may be cut off."""
        return self.text.splitlines()

    @cached_property
    def head_cells(self) -> list[str]:
        """The cells of the first line of a CSV that is no comment, stripped; empty if it is no text, or JSON."""
        line = next((line for line in self.lines if not line.startswith(COMMENT)), "")
        if line.lstrip().startswith(("[", "{")):
            return []
        return [cell.strip() for cell in next(csv.reader([line], delimiter=delimiter_of(line)), [])]

    @cached_property
    def first_element(self) -> Any:
        """The first element of a JSON list, None if there is no list or element."""
        text = self.text.lstrip()
        if not text.startswith("["):
            return None
        try:
            return json.JSONDecoder().raw_decode(text, len(text) - len(text[1:].lstrip()))[0]
        except (ValueError, RecursionError):
            return None

    def has_key(self, *keys: str) -> bool:
        """Return whether it is a JSON object that begins with one of these keys, or has one at its top."""
        return bool(set(keys) & set(self._top_keys))

    @cached_property
    def _top_keys(self) -> list[str]:
        text = self.text.lstrip()
        if not text.startswith("{"):
            return []
        try:
            return list(json.loads(text))
        except (ValueError, RecursionError):  # longer than the head
            return [found[1]] if (found := _TOP_KEY.match(text[1:].lstrip())) else []


def delimiter_of(line: str) -> str:
    """Return which of comma, semicolon and tab divides a line most."""
    return max(DELIMITERS, key=line.count)


def glimpse(uri: str) -> Glimpse | None:
    """Return the first look at `uri`; None if there is nothing."""
    if objects.is_folder(uri):
        listed = objects.list_objects(uri.rstrip("/") + "/", sub_folders=False)
        found = sorted(islice(listed, MAX_NAMES), key=lambda info: natural_key(info.uri))
        names = tuple(info.uri.rpartition("/")[2] for info in found)
        first = next((info.uri for info in found if info.size), None)
        return Glimpse(uri, names, _head(first) if first else b"")
    return Glimpse(uri, (), _head(uri)) if objects.stat_object(uri) is not None else None


def _head(uri: str) -> bytes:
    with objects.open_object(uri) as file:
        return file.read(HEAD_BYTES)
