"""report: the run report, made again or against another run."""

import argparse

from choreai.cli.parser import CommandParser
from choreai.config import ReportSettings

REPORT = """\
Write the run report, runs/RUN/report.html: what was done, changed, failed
and drifted, and what it cost. Every job writes it at its end; this writes it
again, or compares with another run."""


def report_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=REPORT)
    parser.add_argument("run_id", nargs="?", metavar="RUN", help="a run id under runs/ (default: the newest)")
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--reference-run", metavar="RUN", default="",
                        help="compare with this run (default: the previous tagging run)")  # fmt: skip
    parser.add_argument("--price-per-hour", type=float, metavar="X", default=0.0,
                        help="price of one worker node (default: no cost is stated)")  # fmt: skip
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
    report = make_run_report(output, settings, run_id=arguments.run_id)
    if arguments.json:
        print_json({"page": write_run_report(output, report), **asdict(report)})
        return 0
    for line in report.summary:
        print(line)
    print(f"run report: {write_run_report(output, report)}")
    return 0
