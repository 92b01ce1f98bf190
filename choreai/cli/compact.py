"""compact: many small Parquet parts merged into few."""

import argparse

from choreai.cli.parser import CommandParser

COMPACT = """\
Merge the many small Parquet parts of the videos, shots, tags, kinematics and
embeddings tables into few. Rows stay as they are; jobs and searches may run meanwhile.
Kill it anywhere and run it again: it resumes."""


def compact_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=COMPACT)
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    return parser.add_result_flags()


def run(arguments: argparse.Namespace) -> int:
    """Merge the parts, and return the exit code."""
    from choreai.cli.console import print_json, print_table
    from choreai.errors import ConfigError
    from choreai.storage.objects import list_objects
    from choreai.storage.uris import resolve_uri
    from choreai.tables.compact import compact

    output = resolve_uri(arguments.output, against=".")
    done = compact(output)
    if not done and not any(True for _ in list_objects(output)):
        raise ConfigError(f"{output}: there is nothing here; give the --output of a job that has run")
    if arguments.json:
        print_json(done)
        return 0
    rows = [(f"{d.table}/{d.version}", str(d.num_parts_before), str(d.num_parts_after)) for d in done]
    if rows:
        print_table("compact", rows, header=("table", "parts before", "parts now"))
    else:
        print(f"{arguments.output}: no tables to compact")
    return 0
