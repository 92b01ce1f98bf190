"""The parser of the search language.

    expression  = term {"or" term}
    term        = factor {"and" factor}
    factor      = "not" factor | "(" expression ")" | comparison | a flag's name
    comparison  = name ("=" | "!=" | "<" | "<=" | ">" | ">=" | "~") value | name ["not"] "in" "(" value {"," value} ")"

Quotes are needed only around a value with blanks, commas or operators in it, or one that reads `and`. `~` (contains)
stands between blanks, since names of files may hold one.
"""

import difflib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from choreai.errors import ConfigError
from choreai.search.expression import (
    KEYWORDS,
    And,
    Column,
    Comparison,
    Expression,
    Flag,
    Kind,
    Membership,
    Not,
    Operator,
    Or,
    Value,
)
from choreai.storage.uris import shorten

CONTAINS: Final = "~"
MAX_LENGTH = 10_000
MAX_DEPTH = 50
_MAX_NUMBER = 3.4e38  # of a float32, which the tables hold

_TOKEN = re.compile(
    r"""\s*(?:(?P<operator><=|>=|!=|<>|==|=|<|>)|(?P<mark>[(),])|(?P<quoted>"[^"]*"|'[^']*')|(?P<word>[^\s()=!<>,"']+))"""
)
_OPERATORS: dict[str, Operator] = {
    "=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
}  # fmt: skip


def parse_expression(text: str, columns: Mapping[str, Column]) -> Expression | None:
    """Return the expression in `text`, None for an empty text. Raises ConfigError, which points at the mistake."""
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"the search has {len(text)} characters; at most {MAX_LENGTH} are read")
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise ConfigError("search: the expression has bytes that are not UTF-8; type them anew") from exc
    if "\0" in text:
        raise ConfigError("search: the expression has a zero byte in it; take it out")
    return _Parser(text, columns).parse() if text.strip() else None


@dataclass(frozen=True)
class _Token:
    kind: str
    """operator, mark, quoted, word (the groups of `_TOKEN`) or end"""
    text: str
    start: int


class _Parser:
    def __init__(self, text: str, columns: Mapping[str, Column]) -> None:
        self._text, self._columns = text, columns
        self._tokens = self._tokenize()
        self._next = 0
        self._depth = 0

    def parse(self) -> Expression:
        expression = self._any_of()
        token = self._peek()
        if token.kind != "end":
            raise self._error(token, f"expected `and` or `or` before {token.text!r}")
        return expression

    def _tokenize(self) -> list[_Token]:
        tokens: list[_Token] = []
        place = 0
        end = len(self._text.rstrip())
        while place < end:
            match = _TOKEN.match(self._text, place)
            if match is None:
                start = place + len(self._text[place:]) - len(self._text[place:].lstrip())
                what = "a quote that is not closed" if self._text[start] in "\"'" else repr(self._text[start])
                raise self._error(_Token("end", "", start), f"cannot read {what}")
            kind = str(match.lastgroup)
            tokens.append(_Token(kind, match[kind], match.start(kind)))
            place = match.end()
        return [*tokens, _Token("end", "", end)]

    def _any_of(self) -> Expression:
        terms = [self._all_of()]
        while self._accept("or"):
            terms.append(self._all_of())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _all_of(self) -> Expression:
        factors = [self._factor()]
        while self._accept("and"):
            factors.append(self._factor())
        return factors[0] if len(factors) == 1 else And(tuple(factors))

    def _factor(self) -> Expression:
        token = self._peek()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(token, f"nested more than {MAX_DEPTH} deep")
        try:
            if self._accept("not"):
                return Not(self._factor())
            if self._accept_mark("("):
                inner = self._any_of()
                self._expect_mark(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Expression:
        token = self._peek()
        if token.kind == "end":
            raise self._error(token, "something is missing here: a name, such as `style`")
        if token.kind != "word" or token.text.lower() in KEYWORDS:
            raise self._error(token, f"expected a name, not {token.text!r}")
        self._next += 1
        name = token.text.lower()
        column = self._columns.get(name)
        if column is None:
            near = difflib.get_close_matches(name, self._columns, n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else "`choreai search --help` lists the names"
            raise self._error(token, f"unknown name {token.text!r}; {hint}")
        operator = self._peek()
        if operator.kind == "operator" or self._peek_word() == CONTAINS:
            self._next += 1
            return self._compare(name, column, operator)
        negated = self._accept("not")
        if negated or self._peek_word() == "in":
            if not self._accept("in"):
                raise self._error(self._peek(), f"expected `in` after `{token.text} not`")
            return Membership(name, self._take_values(name, column), negated=negated)
        if column.kind == "flag":
            return Flag(name)
        raise self._error(operator, f"expected =, !=, <, <=, >, >=, ~ or in after {token.text!r}")

    def _compare(self, name: str, column: Column, operator: _Token) -> Comparison:
        sign = CONTAINS if operator.text == CONTAINS else _OPERATORS[operator.text]
        if sign == CONTAINS and column.kind != "text":
            raise self._error(operator, f"{name} is no text; compare it with =, !=, <, <=, > or >=")
        if sign not in ("=", "!=", CONTAINS) and column.kind in ("text", "flag"):
            raise self._error(operator, f"{name} has no order; compare it with =, != or ~")
        return Comparison(name, sign, self._take_value(name, column))

    def _take_values(self, name: str, column: Column) -> tuple[Value, ...]:
        self._expect_mark("(")
        values = [self._take_value(name, column)]
        while self._accept_mark(","):
            values.append(self._take_value(name, column))
        self._expect_mark(")")
        return tuple(values)

    def _take_value(self, name: str, column: Column) -> Value:
        token = self._peek()
        is_value = token.kind == "quoted" or (token.kind == "word" and token.text.lower() not in KEYWORDS)
        if not is_value:
            found = repr(token.text) if token.text else "the end"
            raise self._error(token, f"expected a value for {name}, not {found}")
        self._next += 1
        text = token.text[1:-1] if token.kind == "quoted" else token.text
        return self._value(token, text, name, column.kind)

    def _value(self, token: _Token, text: str, name: str, kind: Kind) -> Value:
        if kind == "text":
            return text
        if kind == "flag":
            if text.lower() not in ("true", "false"):
                raise self._error(token, f"{name} is true or false, not {text!r}")
            return text.lower() == "true"
        if kind == "time":
            return self._time(token, text, name)
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if math.isnan(number):
            raise self._error(token, f"{name} is a number; {shorten(text)!r} is not")
        if abs(number) > _MAX_NUMBER:
            raise self._error(token, f"{name} is a number of the usual size; {shorten(text)!r} is beyond all")
        return number

    def _time(self, token: _Token, text: str, name: str) -> datetime:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError as exc:
            raise self._error(token, f"{name} is a time (UTC) such as 2026-11-22 or 2026-11-22T06:00") from exc
        try:  # naive UTC, as the scratch database has times
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        except OverflowError as exc:
            raise self._error(token, f"{name}: {text!r} is before or after all years of the calendar") from exc

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _peek_word(self) -> str:
        token = self._peek()
        return token.text.lower() if token.kind == "word" else ""

    def _accept(self, keyword: str) -> bool:
        if self._peek_word() != keyword:
            return False
        self._next += 1
        return True

    def _accept_mark(self, mark: str) -> bool:
        token = self._peek()
        if token.kind != "mark" or token.text != mark:
            return False
        self._next += 1
        return True

    def _expect_mark(self, mark: str) -> None:
        if not self._accept_mark(mark):
            raise self._error(self._peek(), f"expected {mark!r} here")

    def _error(self, token: _Token, problem: str) -> ConfigError:
        line = self._text.replace("\n", " ").replace("\t", " ")
        start = max(0, token.start - 60)
        shown = line[start : token.start + 60]
        return ConfigError(f"search: {problem}\n  {shown}\n  {' ' * (token.start - start)}^")
