"""search: the videos whose tags, kinematics or labels match an expression, as a table or a file."""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from choreai.cli.parser import CommandParser
from choreai.errors import ConfigError, StorageError
from choreai.storage.scratch import scratch_folder

if TYPE_CHECKING:
    import pyarrow as pa

logger = logging.getLogger(__name__)

SEARCH = """\
Find videos by their tags.

  choreai search "style = hiphop and score > 0.8 and tempo > 100" --output out
  choreai search "fast shuffle with hands up" --output out
  choreai search "unknown and duration > 30" --output s3://bucket/dance \\
      --format csv --to unsure.csv

Names: style, score, unknown, tempo (beats per minute), duration (seconds),
label (given by a person), corrected, corrected_by, corrected_at, best_style,
doubts, novelty (above 1: unlike training), video_id, uri, tagged_at, model,
run, and every kinematic feature (hands_speed_mean, ...).
Operators: = != < <= > >=, ~ (contains), in (a, b), and, or, not, parentheses.
A value with spaces needs quotes. Words alone are styles, movement (fast, slow,
hands up, turning, on the floor, ...) or parts of ids and file names; the
expression that they become is told. Only the newest tag of a video counts, and
a reviewer's style overrides the model's."""

MAX_SHOWN = 50


def search_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=SEARCH)
    parser.add_argument("expression", nargs="?", default="", help="what to find (default: everything)")
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--model", metavar="VERSION", action="append", default=[],
                        help="only tags of this model; may be repeated (default: all models)")  # fmt: skip
    parser.add_argument("--all", action="store_true", help="every tag, not only the newest of each video")
    parser.add_argument("--catalog", metavar="URI", help="catalog whose labels `label` refers to, beside reviews")
    parser.add_argument("--limit", type=int, metavar="N",
                        help=f"the N best scores (default: all; {MAX_SHOWN} in a table)")  # fmt: skip
    parser.add_argument("--format", choices=("table", "csv", "jsonl", "opensearch"), default="table")
    parser.add_argument("--index", metavar="NAME", default="choreai-tags",
                        help="OpenSearch index (default: choreai-tags)")  # fmt: skip
    parser.add_argument("--to", metavar="FILE", help="a new path or s3:// URI (default: standard output)")
    return parser.add_result_flags()


def run(arguments: argparse.Namespace) -> int:
    """Print or export the videos that match, and return the exit code."""
    from choreai.search.search import Search, find_tags, unmet_styles
    from choreai.search.tag_database import open_tag_database
    from choreai.search.words import understand_here
    from choreai.storage.uris import resolve_uri

    if arguments.json:
        if arguments.format != "table":
            raise ConfigError("--json is short for --format jsonl; give one of them")
        arguments.format = "jsonl"
    as_table = arguments.format == "table"
    if as_table and arguments.to:
        raise ConfigError("--to needs --format csv, jsonl or opensearch; a table is only printed")
    limit = arguments.limit if arguments.limit is not None or not as_table else MAX_SHOWN + 1
    models = tuple(arguments.model)
    labels = catalog_labels(arguments.catalog) if arguments.catalog else None
    with open_tag_database(resolve_uri(arguments.output, against=".")) as database:
        understood = understand_here(database, arguments.expression, models=models)
        if understood.from_words:
            logger.info("searching for: %s", understood.expression)
        for word in understood.not_understood:
            logger.warning("%r is no style, no movement and in no id or file name here; it is left out", word)
        search = Search(understood.expression, models, not arguments.all, limit)
        found = find_tags(database, search, labels=labels, with_details=not as_table)
        num_found = _show(found, arguments.limit) if as_table else _export(found, arguments)
        if not num_found:
            for style, there in unmet_styles(database, understood.expression).items():
                logger.warning("no video has the style %r; the styles are: %s", style, ", ".join(there))
    return 0


def catalog_labels(catalog_uri: str) -> "pa.Table":
    """Return the labels of a catalog (video_id, label), without the rows that have none."""
    from choreai.catalog.catalog import read_catalog

    labels = read_catalog(catalog_uri).table.select(["video_id", "label"])
    return labels.filter(labels["label"].is_valid())


def _show(found: "Iterator[pa.Table]", limit: int | None) -> int:
    """Print the videos in a table, and return how many there are."""
    from choreai.cli.console import print_table

    rows = [row for table in found for row in table.to_pylist()]
    shown = rows if limit is not None else rows[:MAX_SHOWN]
    models = sorted({row["model_version"] for row in rows})
    left_out = {"video_id", "uri", "content_id", "best_style", "unknown", "reason", "pose_fingerprint", "run_id"}
    left_out |= {"doubts", "novelty"}
    left_out |= {"tagged_at"} | ({"model_version"} if len(models) == 1 else set())
    with_values = [name for name in rows[0] if any(row[name] is not None for row in rows)] if rows else []
    names = [name for name in with_values if name not in left_out]
    if any(_why(row) for row in shown):
        names.append("why")
    if rows:
        print_table(
            f"{len(shown)} videos" if len(shown) == len(rows) else f"the {len(shown)} best scores",
            [(row["video_id"], *(_cell(row, name) for name in names)) for row in shown],
            header=("video", *(name.replace("_", " ") for name in names)),
        )
        if len(models) == 1:
            print(f"tagged by {models[0]}")
    else:
        print("no video matches")
    if len(shown) < len(rows):
        print("--limit N shows more; --format csv has all, with every column")
    return len(rows)


def _is_guess(row: dict[str, Any]) -> bool:
    """Return whether the score is not of the style but of the best guess, which the model does not believe."""
    return bool(row["unknown"]) and row["corrected_by"] is None and row["best_style"] is not None


def _why(row: dict[str, Any]) -> str:
    """Return the best guess of an unknown style, and what speaks against a tag; nothing where a person has decided."""
    if row["corrected_by"] is not None:
        return ""
    guess = f"most like {row['best_style']} {row['score']:.2f}" if _is_guess(row) else ""
    return "; ".join(text for text in (guess, row["reason"]) if text)


def _cell(row: dict[str, Any], name: str) -> str:
    if name == "why":
        return _why(row)
    return "" if name == "score" and _is_guess(row) else _text(row[name])


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}"
    return value.isoformat(sep=" ", timespec="minutes") if hasattr(value, "isoformat") else str(value)


def _export(found: "Iterator[pa.Table]", arguments: argparse.Namespace) -> int:
    """Write the videos to the file or to standard output, and return how many there are."""
    from choreai.search.exports import export_lines
    from choreai.storage import objects

    num_found = 0

    def count() -> "Iterator[pa.Table]":
        nonlocal num_found
        for table in found:
            num_found += table.num_rows
            yield table

    lines = export_lines(count(), to=arguments.format, index=arguments.index)
    if not arguments.to:
        _write_out(lines)
        return num_found
    if objects.stat_object(arguments.to) is not None:
        raise StorageError(arguments.to, "already exists; delete it or choose another name")
    with scratch_folder() as folder:
        path = folder / "export"
        with path.open("wb") as file:
            file.writelines(lines)
        if not objects.put_if_absent(arguments.to, path):
            raise StorageError(arguments.to, "was created by another process meanwhile; choose another name")
    print(f"{arguments.to}: {num_found} videos")
    return num_found


def _write_out(lines: Iterator[bytes]) -> None:
    try:
        for piece in lines:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # the reader, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
