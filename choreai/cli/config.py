"""config: the jobs' TOML files checked, and their JSON Schema."""

import argparse

from choreai.cli.parser import CommandParser

CONFIG = """\
Check the TOML files of extract, train and tag, or print their JSON Schema.

  choreai config check deploy/tag.toml
  choreai config check nightly.toml --job tag
  choreai config schema tag > tag.schema.json

check names all mistakes at once, each with its line and the key that was perhaps
meant, and exits with 2 if there are any. A schema makes an editor complete keys
and show what they mean."""
_JOBS = ("extract", "train", "tag")


def config_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=CONFIG)
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    common = CommandParser(add_help=False).add_result_flags()
    check = commands.add_parser("check", parents=[common], help="name all mistakes of files",
                                description="Name all mistakes of files at once.")  # fmt: skip
    check.add_argument("files", nargs="+", metavar="FILE", help="TOML files of jobs")
    check.add_argument("--job", choices=_JOBS, help="default: by the file's name, else the job that fits best")
    schema = commands.add_parser("schema", parents=[common], help="print the JSON Schema",
                                 description="Print the JSON Schema of one job's files, or of all.")  # fmt: skip
    schema.add_argument(
        "schema_job", nargs="?", choices=_JOBS, metavar="JOB", help="extract, train or tag (default: all)"
    )
    return parser


def run(arguments: argparse.Namespace) -> int:
    """Check the files or print a schema, and return the exit code."""
    from choreai.cli.console import print_json

    if arguments.what == "check":
        return _check(arguments)
    from choreai.operations.config_schema import any_schema, job_schema

    print_json(job_schema(arguments.schema_job) if arguments.schema_job else any_schema())
    return 0


def _check(arguments: argparse.Namespace) -> int:
    from choreai.cli.console import print_json
    from choreai.operations.config_check import check_file

    checked = [check_file(path, job=arguments.job) for path in arguments.files]
    if arguments.json:
        print_json(checked)
    else:
        for each in checked:
            for mistake in each.mistakes:
                place = f"{each.path}:{mistake.line}" if mistake.line else each.path
                print(f"{place}: {mistake.text}")
            if not each.mistakes:
                print(f"{each.path}: fine, for `choreai {each.job}`")
    return 2 if any(each.mistakes for each in checked) else 0
