"""One page of the catalog's search, and how many videos there are of each kind, from a database of tags.

The database has the table `shown`: the view `found` of `choreai.search.search`, with the `key` of each video and, by
`FILTERS`, what it counts as.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from choreai.errors import ConfigError
from choreai.search.condition import Condition, compile_expression
from choreai.search.expression import Value
from choreai.search.search import COLUMNS
from choreai.search.tag_database import TagDatabase
from choreai.search.words import Understood, styles_seen, understand_found
from choreai.web.json_values import json_value

KEY = "left(sha256(video_id), 24)"
BEST_FIRST = "-score"

_ENTRY = ("video_id", "style", "best_style", "score", "unknown", "reason", "corrected_by", "corrected_at", "dancers_by",
          "dancers_at", "label", "duration", "tempo", "model_version", "tagged_at", "input_quality")  # fmt: skip
ENTRY_COLUMNS = ("key", *_ENTRY)

BINS: dict[str, tuple[float, ...]] = {
    "score": (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    "tempo": (80, 90, 100, 110, 120, 130, 140, 150),
    "duration": (0, 5, 10, 20, 30, 60, 120),
}
"""Where the bins of each histogram begin; each ends where the next begins, the last one nowhere."""
FILTERS = ("style", "reviewed", "day", *BINS)
MAX_DAYS = 14


@dataclass(frozen=True)
class Query:
    """What the catalog page asks for. Raises ConfigError for a filter or an order that there is not."""

    q: str = ""
    """Free words, or an expression."""
    chosen: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By one of `FILTERS` the values of which a video must have one."""
    sort: str = BEST_FIRST
    """A name of the search language; after a minus from the greatest down."""

    def __post_init__(self) -> None:
        if self.sort.removeprefix("-") not in COLUMNS:
            raise ConfigError(f"sort: unknown name {self.sort.removeprefix('-')!r}; such as score, tempo or tagged_at")
        for name, values in self.chosen.items():
            for value in values:
                _check_choice(name, value)


def _check_choice(name: str, value: str) -> None:
    if name not in FILTERS:
        raise ConfigError(f"there is no filter {name!r}; there are {', '.join(FILTERS)}")
    allowed = {str(start) for start in BINS[name]} if name in BINS else {"yes", "no"} if name == "reviewed" else None
    if allowed is not None and value not in allowed:
        raise ConfigError(f"{name}={value!r}: it is one of {', '.join(sorted(allowed))}")


@dataclass(frozen=True)
class Page:
    """One page of search results."""

    total: int
    videos: list[dict[str, Any]]
    """Entries of the tags table, with their `key`, in the order asked for."""
    styles: list[str]
    """Every style that is the best match, or the correction, of some video in the catalog."""
    expression: str = ""
    """What free words became; empty for an expression, or for no words."""
    not_understood: list[str] = field(default_factory=list)
    """Free words that were left out."""


@dataclass(frozen=True)
class Facets:
    """How many of the videos found are of each kind; of each filter as if nothing were chosen in itself."""

    style: list[dict[str, Any]]
    """`value` and `count` of each style, most first."""
    reviewed: list[dict[str, Any]]
    """`value` ("yes" or "no") and `count` of those that a reviewer has corrected."""
    day: list[dict[str, Any]]
    """`value` (a date, UTC) and `count` of the newest days of tagging."""
    bins: dict[str, list[dict[str, Any]]]
    """By `score`, `tempo` and `duration`: each bin's `value`, where it begins, `to`, where it ends, and `count`."""
    names: list[str] = field(default_factory=lambda: list(COLUMNS))
    """What can be searched and sorted by."""


def make_shown(database: TagDatabase) -> None:
    """Make the table `shown` of the view `found`: one join for all queries that follow."""
    database.sql("CREATE OR REPLACE TABLE newest_tags AS SELECT * FROM newest")
    database.sql("CREATE OR REPLACE VIEW newest AS SELECT * FROM newest_tags")
    database.sql(f"CREATE OR REPLACE TABLE shown AS {_SHOWN}")


def update_shown(database: TagDatabase, video_ids: Sequence[str]) -> None:
    """Bring the rows of these videos in `shown` up to date after their corrections have changed."""
    database.sql("DELETE FROM shown WHERE video_id IN (SELECT unnest(?))", [list(video_ids)])
    database.sql(f"INSERT INTO shown {_SHOWN} WHERE video_id IN (SELECT unnest(?))", [list(video_ids)])


def search_page(database: TagDatabase, query: Query, *, offset: int, limit: int) -> Page:
    """Return one page of the videos found. Raises ConfigError for a search that is not understood."""
    styles = styles_seen(database)
    understood, condition = _read(database, query, styles)
    sql, parameters = _where(condition, query.chosen)
    (count,) = database.rows(f"SELECT count(*) AS n FROM shown AS found WHERE {sql}", parameters)
    rows = database.rows(
        f"SELECT {', '.join(ENTRY_COLUMNS)} FROM shown AS found WHERE {sql} {_order(query.sort)} LIMIT ? OFFSET ?",
        [*parameters, limit, offset],
    )
    expression = understood.expression if understood.from_words else ""
    return Page(int(count["n"]), [json_value(row) for row in rows], styles, expression, list(understood.not_understood))


def count_facets(database: TagDatabase, query: Query) -> Facets:
    """Return the counts for a query. Raises ConfigError for a search that is not understood."""
    _, condition = _read(database, query, styles_seen(database))

    def count(name: str, *, order: str = "count DESC, value", limit: int = 200) -> list[dict[str, Any]]:
        sql, parameters = _where(condition, query.chosen, but=name)
        value = _column(name)
        return database.rows(
            f"SELECT {value} AS value, count(*) AS count FROM shown AS found WHERE {sql} AND {value} IS NOT NULL "
            f"GROUP BY value ORDER BY {order} LIMIT {limit:d}",
            parameters,
        )

    def count_bins(name: str) -> list[dict[str, Any]]:
        found = {row["value"]: row["count"] for row in count(name, limit=len(BINS[name]))}
        ends = (*BINS[name][1:], None)
        return [
            {"value": str(low), "to": end, "count": found.get(str(low), 0)}
            for low, end in zip(BINS[name], ends, strict=True)
        ]

    return Facets(
        style=count("style"),
        reviewed=count("reviewed"),
        day=count("day", order="value DESC", limit=MAX_DAYS),
        bins={name: count_bins(name) for name in BINS},
    )


def found_rows(database: TagDatabase, query: Query, *, keys: Sequence[str] = ()) -> Iterator[pa.Table]:
    """Yield the videos found, or those of `keys` among them, as tables for an export."""
    _, condition = _read(database, query, styles_seen(database))
    sql, parameters = _where(condition, query.chosen)
    if keys:
        sql, parameters = f"{sql} AND key IN ({', '.join('?' * len(keys))})", [*parameters, *keys]
    columns = "video_id, uri, " + ", ".join(name for name in _ENTRY if name != "video_id")
    yield from database.batches(f"SELECT {columns} FROM shown AS found WHERE {sql} {_order(query.sort)}", parameters)


def _read(database: TagDatabase, query: Query, styles: Sequence[str]) -> tuple[Understood, Condition]:
    understood = understand_found(database, query.q, styles=styles)
    return understood, compile_expression(understood.expression, COLUMNS)


def _where(condition: Condition, chosen: Mapping[str, tuple[str, ...]], *, but: str = "") -> tuple[str, list[Value]]:
    """Return the condition with all filters as SQL, `but` one, and its parameters."""
    terms, parameters = [f"coalesce({condition.sql}, false)"], list(condition.parameters)
    for name, values in chosen.items():
        if values and name != but:
            terms.append(f"{_column(name)} IN ({', '.join('?' * len(values))})")
            parameters += values
    return " AND ".join(terms), parameters


def _bin_sql(name: str) -> str:
    """Return the SQL for the bin, by its beginning as text, that a value is in."""
    column = COLUMNS[name].sql
    cases = "".join(f" WHEN {column} >= CAST({low} AS FLOAT) THEN '{low}'" for low in reversed(BINS[name]))
    return f"(CASE{cases} END)"


_FILTER_SQL = {
    "style": "found.style",
    "reviewed": "(CASE WHEN found.corrected_by IS NULL THEN 'no' ELSE 'yes' END)",
    "day": "strftime(found.tagged_at, '%Y-%m-%d')",
    **{name: _bin_sql(name) for name in BINS},
}
# Worked out once, and not for each of the 100,000 rows in every count.
_SHOWN = (
    f"SELECT *, {KEY} AS key, {', '.join(f'{sql} AS facet_{name}' for name, sql in _FILTER_SQL.items())} FROM found"
)


def _column(filter_name: str) -> str:
    """Return the column of `shown` that a filter looks at."""
    return f"found.facet_{filter_name}"


def _order(sort: str) -> str:
    direction = "DESC" if sort.startswith("-") else "ASC"
    return f"ORDER BY {COLUMNS[sort.removeprefix('-')].sql} {direction} NULLS LAST, video_id"
