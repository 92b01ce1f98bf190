"""The lines of a text catalog as spreadsheets of all systems save it: UTF-8 or UTF-16, three kinds of line ends."""

import codecs
import io
from collections.abc import Iterator
from typing import BinaryIO

from choreai.errors import CatalogError

_SNIFFED_BYTES = 1 << 16
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_CHUNK_BYTES = 1 << 20


def decode_lines(uri: str, file: BinaryIO) -> Iterator[str]:
    """Yield the lines with their ends. Raises CatalogError, with line and byte, for text in another encoding."""
    head = file.read(_SNIFFED_BYTES)
    file.seek(0)
    if head.startswith(_UTF16):
        yield from _utf16_lines(uri, file)
        return
    lines = _old_mac_lines(file) if b"\r" in head and b"\n" not in head else iter(file)
    for number, line in enumerate(lines, start=1):
        try:
            yield (line.removeprefix(codecs.BOM_UTF8) if number == 1 else line).decode()
        except UnicodeDecodeError as exc:
            byte = f"byte {exc.object[exc.start]:#04x} at {exc.start + 1}"
            raise CatalogError(f"{uri}, line {number}: {byte} is not UTF-8; save the file as UTF-8") from exc


def _utf16_lines(uri: str, file: BinaryIO) -> Iterator[str]:
    """Yield the lines of a spreadsheet's "Unicode text", which is never so long that it had to be streamed."""
    try:
        text = file.read().decode("utf-16")
    except UnicodeDecodeError as exc:
        raise CatalogError(f"{uri}: begins as UTF-16 and is not; save the file as UTF-8") from exc
    yield from io.StringIO(text, newline="")


def _old_mac_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield lines that end in a carriage return alone."""
    rest = b""
    while chunk := file.read(_CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\r")
        for line in lines:
            yield line + b"\n"
    if rest:
        yield rest
