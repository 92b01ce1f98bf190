"""All mistakes of a job's TOML file at once, each with its line and what was perhaps meant.

A job stops at its first mistake of each kind; here what is wrong is noted, left out, and the rest checked again.
"""

import dataclasses
import datetime
import difflib
import json
import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from choreai.config import ExtractConfig, describe_error
from choreai.errors import ConfigError
from choreai.operations.config_schema import JOBS, section_of
from choreai.storage.uris import shorten

_GIVEN_BY_FLAGS = {"catalog": "-", "output": "-"}
"""Keys that a file may leave to the command line."""
_TABLE = re.compile(r"^\s*\[\[?\s*([^\[\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")
_WHERE = re.compile(r"\(at line (\d+)")
MAX_ROUNDS = 100

KeyPath = tuple[str, ...]


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong in a file."""

    line: int | None
    """From 1; None where it is about no line, or the line was not found."""
    key: str
    """Dotted, empty where it is about the file."""
    text: str
    """What is wrong, and what to do."""


@dataclass(frozen=True)
class Checked:
    """A file, and all that is wrong in it."""

    path: str
    job: str
    """The command whose settings it was checked as."""
    mistakes: tuple[Mistake, ...]


def check_file(path: str, *, job: str | None = None) -> Checked:
    """Return all mistakes of the file at `path`, as settings of `job`; None: of the job that its name begins with, or
    that it fits best. Raises ConfigError where it cannot be read."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as exc:
        raise ConfigError(f"{path}: cannot be read ({exc}); give the path of a TOML file") from exc
    jobs = [job] if job else [each for each in JOBS if Path(path).name.startswith(each)] or list(JOBS)
    try:
        raw = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:
        found = _WHERE.search(str(exc))
        mistake = Mistake(int(found[1]) if found else None, "", f"not valid TOML ({shorten(str(exc))})")
        return Checked(path, jobs[0], (mistake,))
    lines = dict(_lines(text))
    checked = [Checked(path, each, tuple(_mistakes(raw, JOBS[each], lines))) for each in jobs]
    return min(checked, key=lambda each: len(each.mistakes))


def _mistakes(raw: Mapping[str, Any], cls: type[ExtractConfig], lines: Mapping[KeyPath, int]) -> list[Mistake]:
    """Return the mistakes, in the order of their lines."""
    rest: dict[str, Any] = {**_GIVEN_BY_FLAGS, **_copy(raw)}
    found: dict[KeyPath, str] = {}
    for where, text in list(_strange_values(rest)):
        found[where] = text
        _drop(rest, where)
    for _ in range(MAX_ROUNDS):
        problems = list(_problems(rest, cls))
        if not problems:
            break
        for where, text in problems:
            found.setdefault(where, text)
            if not _drop(rest, where):  # it is about no key: what is left cannot be told apart
                return _in_order(found, lines)
    return _in_order(found, lines)


def _in_order(found: Mapping[KeyPath, str], lines: Mapping[KeyPath, int]) -> list[Mistake]:
    mistakes = [Mistake(lines.get(where), ".".join(where), text) for where, text in found.items()]
    return sorted(mistakes, key=lambda each: (each.line is None, each.line or 0, each.key))


def _strange_values(raw: Mapping[str, Any], above: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """Yield keys with values that no setting takes."""
    for key, value in raw.items():
        where = (*above, key)
        if isinstance(value, Mapping):
            yield from _strange_values(value, where)
        elif isinstance(value, datetime.date | datetime.time):
            yield where, f"{key} is a date; write it as a text, in quotes"
        elif any(isinstance(each, float) and not math.isfinite(each) for each in _each(value)):
            yield where, f"{key} must be a finite number, got {value}"


def _each(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _problems(raw: Mapping[str, Any], cls: type[ExtractConfig]) -> Iterator[tuple[KeyPath, str]]:
    """Yield what is wrong with the values that are left, as far as one look shows."""
    from pydantic import TypeAdapter, ValidationError

    try:
        TypeAdapter(cls).validate_json(json.dumps(raw))
    except ValidationError as exc:
        for error in exc.errors():
            where = tuple(str(part) for part in error["loc"] if isinstance(part, str))
            if error["type"] == "unexpected_keyword_argument":
                yield where, _unknown(where, cls)
            elif error["type"] == "value_error":
                text = describe_error(dict(error))
                yield _key_in(text, where, raw), text
            else:
                yield where, describe_error(dict(error)) + _nearest_choice(dict(error))


def _nearest_choice(error: Mapping[str, Any]) -> str:
    """Return a question about the choice that was perhaps meant, where there are choices."""
    choices = re.findall(r"'([^']*)'", str(error.get("ctx", {}).get("expected", "")))
    near = difflib.get_close_matches(str(error["input"]), choices, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _key_in(text: str, section: KeyPath, raw: Mapping[str, Any]) -> KeyPath:
    """Return the key of a section that a message names first; the section if it names none that the file has."""
    values = _get(raw, section)
    if isinstance(values, Mapping):
        for word in re.findall(r"\w+", text):
            if word in values:
                return (*section, word)
    return section


def _unknown(where: KeyPath, cls: type[ExtractConfig]) -> str:
    """Return what to say of a key that no setting has: perhaps it stands in the wrong section, or is misspelt."""
    *section, key = where
    known = list(_settings(cls))
    elsewhere = [place[:-1] for place in known if place[-1] == key]
    if elsewhere:
        right = f"into [{'.'.join(elsewhere[0])}]" if elsewhere[0] else "above all sections"
        return f"unknown key {key!r} here; it belongs {right}"
    here = [place[-1] for place in known if list(place[:-1]) == section]
    near = difflib.get_close_matches(key, here, n=1) or difflib.get_close_matches(key, [p[-1] for p in known], n=1)
    if not near:
        return f"unknown key {key!r}; remove it (docs/settings.md has all keys)"
    place = next(place for place in known if place[-1] == near[0])
    where_it_is = "" if near[0] in here or len(place) == 1 else f" in [{'.'.join(place[:-1])}]"
    return f"unknown key {key!r}; did you mean {near[0]}{where_it_is}?"


def _settings(cls: type, above: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every key that the files of a job may have, sections included."""
    for field in dataclasses.fields(cls):
        where = (*above, field.name)
        yield where
        if (section := section_of(field)) is not None:
            yield from _settings(section, where)


def _copy(value: Any) -> Any:  # of whatever TOML holds
    return {key: _copy(each) for key, each in value.items()} if isinstance(value, Mapping) else value


def _get(raw: Mapping[str, Any], where: KeyPath) -> object:
    value: object = raw
    for key in where:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _drop(raw: dict[str, Any], where: KeyPath) -> bool:
    """Leave a key out, or let the job file's own be the one that flags give; return whether there was one."""
    if not where:
        return False
    *above, key = where
    table = _get(raw, tuple(above))
    if not isinstance(table, dict) or key not in table:
        return _drop(raw, tuple(above))
    if where[0] in _GIVEN_BY_FLAGS and table[key] != "-":
        table[key] = "-"
    else:
        del table[key]
    return True


def _lines(text: str) -> Iterator[tuple[KeyPath, int]]:
    """Yield the path of each key and table of a TOML text with the number of its line.

    Read line by line: what looks like a key in a text of several lines is taken for one, which moves a number at worst.
    """
    table: KeyPath = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if header := _TABLE.match(line):
            table = _names(header[1])
            yield table, number
        elif key := _KEY.match(line):
            names = (*table, *_names(key[1]))
            for length in range(len(table) + 1, len(names) + 1):
                yield names[:length], number


def _names(dotted: str) -> KeyPath:
    return tuple(name.strip().strip("\"'") for name in re.findall(r"""[\w-]+|"[^"]*"|'[^']*'""", dotted))
