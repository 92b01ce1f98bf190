"""Read a long JSON list element by element, for files too large to hold as Python objects."""

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from choreai.errors import TableError

CHUNK_BYTES = 1 << 20
MAX_ELEMENT_CHARACTERS = 4 << 20
"""Far above the 10 kB of a person with 136 keypoints: a longer element means a damaged file."""

_DAMAGED = "the file is cut off or damaged: copy it again, or make it again"


def read_json_list(file: BinaryIO, *, digest: Any, uri: str) -> Iterator[object]:
    """Yield the elements of the one list in `file`. Every byte is added to `digest` (a hashlib object).

    Raises TableError, naming `uri` and the element (from 1), if the text is not such a list.
    """
    text = _Text(file, digest, uri=uri)
    opening = text.peek()
    if opening != "[":
        raise TableError(
            f"{uri}: it begins with {opening!r}, not with '[', so it is not a list of people; {_advice(opening)}"
        )
    yield from _elements(text, uri, "person")
    if text.peek():
        raise TableError(f"{uri}: something follows the list of people; {_DAMAGED}")


def read_json_members(file: BinaryIO, *, digest: Any, uri: str) -> Iterator[tuple[str, int, object]]:
    """Yield what the one object or list in `file` holds: (key, 0, value), and of a list (key, number, element).

    Numbers count from 1 in each list; the elements of a list at the top have the key "". Raises TableError, naming
    `uri` and the element (from 1).
    """
    text = _Text(file, digest, uri=uri)
    opening = text.peek()
    if opening == "[":
        yield from (("", *found) for found in enumerate(_elements(text, uri, "element"), start=1))
    elif opening == "{":
        yield from _members(text, uri)
    else:
        raise TableError(f"{uri}: it begins with {opening!r}, so it is no JSON of people; {_DAMAGED}")
    if text.peek():
        raise TableError(f"{uri}: something follows the end of the JSON; {_DAMAGED}")


def _members(text: "_Text", uri: str) -> Iterator[tuple[str, int, object]]:
    text.take_character()
    following = "," if text.peek() != "}" else text.take_character()
    while following == ",":
        key = text.take_value(f"{uri}: a key")
        if not isinstance(key, str) or text.take_character() != ":":
            raise TableError(f"{uri}: {str(key)[:60]!r} is no key of an object; {_DAMAGED}")
        if text.peek() == "[":
            yield from ((key, *found) for found in enumerate(_elements(text, uri, key), start=1))
        else:
            yield key, 0, text.take_value(f"{uri}: {key}")
        following = text.take_character()
    if following != "}":
        raise TableError(f"{uri}: {following!r} where ',' or '}}' should be; {_DAMAGED}")


def _elements(text: "_Text", uri: str, noun: str) -> Iterator[object]:
    """Yield the elements of the list that starts here."""
    text.take_character()
    number = 0
    following = "," if text.peek() != "]" else text.take_character()
    while following == ",":
        number += 1
        yield text.take_value(f"{uri}: {noun} {number}")
        following = text.take_character()
    if following != "]":
        raise TableError(f"{uri}: after {noun} {number} comes {following!r}, not ',' or ']'; {_DAMAGED}")


def _advice(opening: str) -> str:
    return "run AlphaPose with --format coco" if opening == "{" else _DAMAGED


class _Text:
    """A JSON text read piece by piece."""

    def __init__(self, file: BinaryIO, digest: Any, *, uri: str) -> None:
        self._file, self._digest, self._uri = file, digest, uri
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._held = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """Return the next character that is not white space; empty at the end of the file."""
        while True:
            while self._at < len(self._held) and self._held[self._at].isspace():
                self._at += 1
            if self._at < len(self._held) or not self._read_more():
                return self._held[self._at : self._at + 1]

    def take_character(self) -> str:
        character = self.peek()
        self._at += len(character)
        return character

    def take_value(self, where: str) -> object:
        """Return the JSON value that starts here. Raises TableError naming `where`."""
        self.peek()
        while True:
            try:
                value, self._at = json.JSONDecoder().raw_decode(self._held, self._at)
                return value
            except json.JSONDecodeError as exc:  # perhaps only because the rest has not been read yet
                too_long = len(self._held) - self._at > MAX_ELEMENT_CHARACTERS
                if too_long or not self._read_more():
                    raise TableError(f"{where} is not valid JSON ({exc.msg}); {_DAMAGED}") from exc
            except (ValueError, RecursionError) as exc:  # endless digits, endless nesting
                raise TableError(f"{where} is not valid JSON ({exc}); {_DAMAGED}") from exc

    def _read_more(self) -> bool:
        """Read the next chunk; return False at the end of the file."""
        if self._ended:
            return False
        data = self._file.read(CHUNK_BYTES)
        self._digest.update(data)
        self._ended = not data
        try:
            more = self._decoder.decode(data, final=self._ended)
        except UnicodeDecodeError as exc:
            raise TableError(f"{self._uri}: not UTF-8 text ({exc}); {_DAMAGED}") from exc
        self._held = self._held[self._at :] + more
        self._at = 0
        return not self._ended
