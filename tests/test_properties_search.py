"""Properties of the search language: an expression and its text mean the same, and the SQL means what it says."""

import operator
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from choreai.errors import ConfigError
from choreai.search.condition import compile_expression
from choreai.search.expression import (
    And,
    Column,
    Comparison,
    Expression,
    Flag,
    Membership,
    Not,
    Or,
    Value,
)
from choreai.search.parser import parse_expression
from choreai.search.search import COLUMNS
from choreai.search.spreadsheet import escape_formula, unescape_formula

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="'\0"))
    | st.just("in")
    | st.just("Not"),
    "number": st.floats(-3.4e38, 3.4e38),
    "flag": st.booleans(),
    "time": st.datetimes(),
}
OPERATORS = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


@st.composite
def leaves(draw: st.DrawFn, columns: dict[str, Column], values: dict[str, st.SearchStrategy[Any]]) -> Expression:
    name = draw(st.sampled_from(sorted(columns)))
    kind = columns[name].kind
    form = draw(st.sampled_from(["comparison", "membership", *(["flag"] if kind == "flag" else [])]))
    if form == "flag":
        return Flag(name)
    if form == "membership":
        chosen = draw(st.lists(values[kind], min_size=1, max_size=3))
        return Membership(name, tuple(chosen), negated=draw(st.booleans()))
    ordered = ["<", "<=", ">", ">="] if kind in ("number", "time") else []
    return Comparison(name, draw(st.sampled_from(["=", "!=", *ordered])), draw(values[kind]))


def expressions(columns: dict[str, Column], values: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[Expression]:
    def join(inner: st.SearchStrategy[Expression]) -> st.SearchStrategy[Expression]:
        terms = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return inner.map(Not) | terms.map(And) | terms.map(Or)

    return st.recursive(leaves(columns, values), join, max_leaves=8)


@given(expressions(COLUMNS, VALUES))
def test_an_expression_parsed_from_its_text_is_the_same(expression: Expression) -> None:
    assert parse_expression(str(expression), COLUMNS) == expression


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=60))
def test_any_text_is_an_expression_or_refused_with_a_pointer_to_the_mistake(text: str) -> None:
    message = "^"
    try:
        parse_expression(text, COLUMNS)
    except ConfigError as exc:
        message = str(exc)
    assert message.endswith("^")


def test_a_text_with_both_kinds_of_quotes_cannot_be_expressed() -> None:
    with pytest.raises(ConfigError, match="both kinds of quotes"):
        str(Comparison("style", "=", "\"'"))


FEW = {
    "style": Column("t.style", "text"),
    "score": Column("t.score", "number"),
    "unknown": Column("t.unknown", "flag"),
}
FEW_VALUES = {"text": st.sampled_from(["a", "b", "c d"]), "number": st.sampled_from([0.1, 0.7, 1.0]),
              "flag": st.booleans()}  # fmt: skip
ROWS = st.fixed_dictionaries(
    {"style": st.none() | FEW_VALUES["text"], "score": st.none() | FEW_VALUES["number"],
     "unknown": st.none() | FEW_VALUES["flag"]}
)  # fmt: skip


def means(expression: Expression, row: dict[str, Value | None]) -> bool | None:
    """The three-valued truth of an expression, null where it is not known."""
    if isinstance(expression, Not):
        truth = means(expression.term, row)
        return None if truth is None else not truth
    if isinstance(expression, And | Or):
        truths = [means(term, row) for term in expression.terms]
        decisive = isinstance(expression, Or)
        return decisive if decisive in truths else None if None in truths else not decisive
    found = row[expression.name]
    if found is None:
        return None
    if isinstance(expression, Flag):
        return bool(found)
    if isinstance(expression, Membership):
        return (found in expression.values) != expression.negated
    return bool(OPERATORS[expression.operator](found, expression.value))


@given(expressions(FEW, FEW_VALUES), st.lists(ROWS, min_size=1, max_size=6))
def test_the_sql_finds_exactly_the_rows_for_which_the_expression_is_true(
    expression: Expression, rows: list[dict[str, Value | None]]
) -> None:
    schema = pa.schema([("style", pa.string()), ("score", pa.float32()), ("unknown", pa.bool_()), ("n", pa.int32())])
    table = pa.Table.from_pylist([{**row, "n": n} for n, row in enumerate(rows)], schema=schema)
    condition = compile_expression(str(expression), FEW)
    with duckdb.connect() as connection:
        connection.register("t", table)
        query = f"SELECT n FROM t WHERE {condition.sql} ORDER BY n"
        found = [n for (n,) in connection.execute(query, list(condition.parameters)).fetchall()]
    assert found == [n for n, row in enumerate(rows) if means(expression, row)]


def test_numbers_are_compared_as_the_tables_hold_them() -> None:
    assert float(np.float32(0.7)) < 0.7
    with duckdb.connect() as connection:
        connection.register("t", pa.table({"score": pa.array([0.7], pa.float32())}))
        condition = compile_expression("score >= 0.7", FEW)
        assert connection.execute(f"SELECT count(*) FROM t WHERE {condition.sql}", [0.7]).fetchone() == (1,)


@given(st.text())
def test_an_escaped_text_is_unescaped_to_what_it_was_and_never_a_formula(text: str) -> None:
    escaped = escape_formula(text)
    assert unescape_formula(escaped) == text
    assert not escaped.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
