"""Search expressions compiled to SQL.

The SQL is made of fixed pieces and columns from a given list, with `?` for every value: nothing a user typed ends
up in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from choreai.search.expression import (
    And,
    Column,
    Comparison,
    Expression,
    Flag,
    Kind,
    Membership,
    Not,
    Value,
    walk,
)
from choreai.search.parser import parse_expression

# The tables hold float32, and 0.7 as float32 is below 0.7: compared as float32, `score >= 0.7` finds it.
_PLACEHOLDER: dict[Kind, str] = {"text": "?", "number": "CAST(? AS FLOAT)", "flag": "?", "time": "?"}


@dataclass(frozen=True)
class Condition:
    """A compiled expression."""

    sql: str
    parameters: tuple[Value, ...]
    names: frozenset[str]
    """The names it uses."""
    compared: tuple[tuple[str, str], ...]
    """(name, text) of every comparison with a whole text."""


def compile_expression(text: str, columns: Mapping[str, Column]) -> Condition:
    """Return `text` as an SQL condition; an empty text is true of everything.

    A comparison with a missing value (null) is neither true nor false, and `not` leaves it so. Raises ConfigError,
    which points at the mistake.
    """
    expression = parse_expression(text, columns)
    if expression is None:
        return Condition("true", (), frozenset(), ())
    leaves = [
        (leaf.name, _values(leaf)) for leaf in walk(expression) if isinstance(leaf, Comparison | Membership | Flag)
    ]
    contained = {
        (leaf.name, leaf.value) for leaf in walk(expression) if isinstance(leaf, Comparison) and leaf.operator == "~"
    }
    return Condition(
        _sql(expression, columns),
        parameters=tuple(value for _, values in leaves for value in values),
        names=frozenset(name for name, _ in leaves),
        compared=tuple(
            (name, value)
            for name, values in leaves
            for value in values
            if isinstance(value, str) and (name, value) not in contained
        ),
    )


def contains_sql(column: str) -> str:
    """Return the SQL for "the column contains the parameter", whatever case and accents; nothing contains nothing."""
    return f"contains(strip_accents(lower(coalesce({column}, ''))), strip_accents(lower(?)))"


def _values(leaf: Comparison | Membership | Flag) -> tuple[Value, ...]:
    if isinstance(leaf, Flag):
        return ()
    return leaf.values if isinstance(leaf, Membership) else (leaf.value,)


def _sql(expression: Expression, columns: Mapping[str, Column]) -> str:
    if isinstance(expression, Not):
        return f"(NOT {_sql(expression.term, columns)})"
    if isinstance(expression, Flag):
        return columns[expression.name].sql
    if isinstance(expression, Comparison):
        column = columns[expression.name]
        if expression.operator == "~":
            return contains_sql(column.sql)
        return f"({column.sql} {expression.operator} {_PLACEHOLDER[column.kind]})"
    if isinstance(expression, Membership):
        column = columns[expression.name]
        holes = ", ".join([_PLACEHOLDER[column.kind]] * len(expression.values))
        return f"({column.sql} {'NOT ' if expression.negated else ''}IN ({holes}))"
    joint = " AND " if isinstance(expression, And) else " OR "
    return f"({joint.join(_sql(term, columns) for term in expression.terms)})"
