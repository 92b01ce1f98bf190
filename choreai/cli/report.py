"""report: the run report, made again or against another run."""

import argparse

from choreai.cli.parser import CommandParser
from choreai.config import ReportSettings

MAX_ROWS = 14
"""Nights in the terminal: two weeks."""

REPORT = """\
Write the run report, runs/RUN/report.html: what was done, changed, failed
and drifted, and what it cost. Every job writes it at its end; this writes it
again, or compares with another run. --all: all nights with their trends,
runs/nights.html."""


def report_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=REPORT)
    parser.add_argument("run_id", nargs="?", metavar="RUN", help="a run id under runs/ (default: the newest)")
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--all", action="store_true", help="all nights on one page, instead of one run")
    parser.add_argument("--reference-run", metavar="RUN", default="",
                        help="compare with this run (default: the previous tagging run)")  # fmt: skip
    parser.add_argument("--price-per-hour", type=float, metavar="X", default=0.0,
                        help="price of one worker node (default: none; with --all as each run had it)")  # fmt: skip
    parser.add_argument("--currency", default=ReportSettings.currency, help="default: USD")
    return parser.add_result_flags()


def run(arguments: argparse.Namespace) -> int:
    """Write a run report, and return the exit code."""
    from dataclasses import asdict

    from choreai.cli.console import print_json
    from choreai.errors import ConfigError
    from choreai.operations.run_report import make_run_report
    from choreai.operations.run_report_page import write_run_report
    from choreai.storage.uris import resolve_uri

    try:
        settings = ReportSettings(arguments.reference_run, arguments.price_per_hour, arguments.currency)
    except ValueError as exc:
        raise ConfigError(str(exc)) from exc
    output = resolve_uri(arguments.output, against=".")
    if arguments.all:
        if arguments.run_id or arguments.reference_run:
            raise ConfigError("--all is of all runs; leave out RUN and --reference-run")
        return _run_all(arguments, output)
    report = make_run_report(output, settings, run_id=arguments.run_id)
    if arguments.json:
        print_json({"page": write_run_report(output, report), **asdict(report)})
        return 0
    for line in report.summary:
        print(line)
    print(f"run report: {write_run_report(output, report)}")
    return 0


def _run_all(arguments: argparse.Namespace, output: str) -> int:
    """Write the page of all nights, and return the exit code."""
    from dataclasses import asdict

    from choreai.cli.console import print_json, print_table
    from choreai.operations.nights import read_nights
    from choreai.operations.nights_page import night_row, write_nights_page

    currency = arguments.currency if arguments.price_per_hour else ""
    nights = read_nights(output, price_per_hour=arguments.price_per_hour, currency=currency)
    page = write_nights_page(nights)
    if arguments.json:
        print_json({"page": page, **asdict(nights)})
        return 0
    rows = [night_row(night) for night in nights.nights[:MAX_ROWS][::-1]]
    header = ("night (UTC)", "state", "poses", "tags", "quarantined", "score", "drift")
    print_table("nights", rows, header=header)
    if len(nights.nights) > MAX_ROWS:
        print(f"the last {MAX_ROWS} of {len(nights.nights)} nights; the page has all")
    print(f"all nights: {page}")
    return 0
