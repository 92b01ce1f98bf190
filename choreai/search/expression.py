"""Expressions of the search language as trees: `style = hiphop and score > 0.8 and (tempo > 100 or not unknown)`.

`choreai.search.parser` makes them from text, `choreai.search.condition` compiles them to SQL, and `str` gives text
that parses to the same expression.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from choreai.errors import ConfigError

Kind = Literal["text", "number", "flag", "time"]
Value = str | float | bool | datetime
Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~"]

KEYWORDS = ("and", "or", "not", "in")
_PLAIN = re.compile(r"""[^\s()=!<>,"']+""")


@dataclass(frozen=True)
class Column:
    """A name of the search language."""

    sql: str
    """The SQL that it stands for: ours, never a user's."""
    kind: Kind


@dataclass(frozen=True)
class Comparison:
    """`name operator value`; `~` is true where a text contains the value, whatever the case and the accents."""

    name: str
    operator: Operator
    value: Value

    def __str__(self) -> str:
        return f"{self.name} {self.operator} {_format_value(self.value)}"


@dataclass(frozen=True)
class Membership:
    """`name in (value, ...)`, or `not in`."""

    name: str
    values: tuple[Value, ...]
    negated: bool

    def __str__(self) -> str:
        return f"{self.name} {'not ' if self.negated else ''}in ({', '.join(map(_format_value, self.values))})"


@dataclass(frozen=True)
class Flag:
    """The name of a flag, true where the flag is."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Not:
    """`not term`."""

    term: "Expression"

    def __str__(self) -> str:
        return f"not {_parenthesise(self.term)}"


@dataclass(frozen=True)
class And:
    """Two or more terms, of which all must be true."""

    terms: tuple["Expression", ...]

    def __str__(self) -> str:
        return " and ".join(map(_parenthesise, self.terms))


@dataclass(frozen=True)
class Or:
    """Two or more terms, of which one must be true."""

    terms: tuple["Expression", ...]

    def __str__(self) -> str:
        return " or ".join(map(_parenthesise, self.terms))


Expression = Comparison | Membership | Flag | Not | And | Or


def walk(expression: Expression) -> Iterator[Expression]:
    """Yield `expression` and all expressions inside it, from left to right."""
    yield expression
    if isinstance(expression, Not):
        yield from walk(expression.term)
    elif isinstance(expression, And | Or):
        for term in expression.terms:
            yield from walk(term)


def _parenthesise(term: Expression) -> str:
    return f"({term})" if isinstance(term, And | Or) else str(term)


def _format_value(value: Value) -> str:
    """Return `value` as the parser reads it. Raises ConfigError for text with both kinds of quotes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    if _PLAIN.fullmatch(value) and value.lower() not in KEYWORDS:
        return value
    if '"' in value and "'" in value:
        raise ConfigError(f"search: {value!r} has both kinds of quotes; the search language cannot express it")
    return f"'{value}'" if '"' in value else f'"{value}"'
