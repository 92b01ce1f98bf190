"""plan: the workers, nodes, hours and cost of a catalog or a stream, before any of it is spent."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from choreai.cli.parser import CommandParser
from choreai.errors import ConfigError

if TYPE_CHECKING:
    from choreai.operations.capacity import Need, Node, Rates

PLAN = """\
Estimate the workers, nodes, hours and cost of a catalog or a stream of uploads.

  choreai plan catalog.csv --output out --hours 8 --price-per-hour 0.98
  choreai plan --num-videos 10000000 --mean-seconds 30 \\
      --video-seconds-per-second 40 --num-gpus 1
  choreai plan --stream-hours-per-minute 500 --output out

Rates come from finished extractions under --output, or from flags, which win."""


def plan_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=PLAN)
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("catalog", nargs="?", help="a catalog, whose videos are counted")
    work.add_argument("--num-videos", type=int, metavar="N", help="number of videos, instead of a catalog")
    work.add_argument("--stream-hours-per-minute", type=float, metavar="H", help="hours of video uploaded each minute")
    parser.add_argument("--mean-seconds", type=float, metavar="S",
                        help="mean length of a video (default: as measured)")  # fmt: skip
    parser.add_argument("--hours", type=float, default=8.0, metavar="H",
                        help="time in which to finish the catalog (default: 8)")  # fmt: skip
    parser.add_argument("--output", metavar="URI", help="output of earlier runs, to measure their rates")
    parser.add_argument("--video-seconds-per-second", type=float, metavar="R",
                        help="seconds of video that a worker processes per busy second")  # fmt: skip
    parser.add_argument("--utilisation", type=float, metavar="U", help="share of its time that a worker is busy")
    parser.add_argument("--num-cpus", type=float, metavar="N", help="CPUs per worker")
    parser.add_argument("--num-gpus", type=float, metavar="N", help="GPUs per worker")
    parser.add_argument("--workers-per-node", type=int, default=1, metavar="N", help="default: 1")
    parser.add_argument("--price-per-hour", type=float, default=0.0, metavar="X", help="price of an on-demand node")
    parser.add_argument("--spot-price-per-hour", type=float, default=0.0, metavar="X", help="price of a spot node")
    parser.add_argument("--currency", default="USD", help="default: USD")
    return parser.add_result_flags()


def run(arguments: argparse.Namespace) -> int:
    """Print the plan, and return the exit code."""
    from choreai.cli.console import print_json, print_table
    from choreai.operations.capacity import Node, need_for_catalog, need_for_stream

    rates = _rates(arguments)
    node = Node(arguments.workers_per_node, arguments.price_per_hour, arguments.spot_price_per_hour)
    if arguments.stream_hours_per_minute is not None:
        work = f"{arguments.stream_hours_per_minute:g} hours of video a minute"
        need = need_for_stream(arguments.stream_hours_per_minute, rates, node)
    else:
        num_videos, mean_seconds = _num_videos(arguments), _mean_seconds(arguments, rates)
        work = f"{num_videos:,} videos of {mean_seconds:.1f} s: {num_videos * mean_seconds / 3600:,.1f} hours of video"
        need = need_for_catalog(num_videos * mean_seconds, rates, node, within_hours=arguments.hours)
    if arguments.json:
        print_json({"work": work, "rates": rates, "node": node, "need": need})
        return 0
    print_table("assumptions", _inputs(work, rates, node))
    print_table("plan", _results(need, node, arguments))
    return 0


def _rates(arguments: argparse.Namespace) -> "Rates":
    """Return the rates of earlier runs under --output, if given, overridden by the flags."""
    from choreai.operations.capacity import ASSUMED_UTILISATION, Rates, measured_rates
    from choreai.storage.uris import resolve_uri

    given = {
        name: getattr(arguments, name)
        for name in ("video_seconds_per_second", "utilisation", "num_cpus", "num_gpus")
        if getattr(arguments, name) is not None
    }
    if arguments.output:
        measured = measured_rates(resolve_uri(arguments.output, against="."))
        given_by_flag = f"; given: {', '.join(name.replace('_', ' ') for name in given)}" if given else ""
        return replace(measured, **given, source=measured.source + given_by_flag)
    if "video_seconds_per_second" not in given:
        raise ConfigError("no rate is known: give --output with earlier runs, or --video-seconds-per-second")
    assumed = {"utilisation": ASSUMED_UTILISATION, "num_cpus": 1.0, "num_gpus": 0.0}
    left = [f"{name.replace('_', ' ')} {value:g}" for name, value in assumed.items() if name not in given]
    source = "the command line" + (f"; assumed: {', '.join(left)}" if left else "")
    return Rates(**{**assumed, **given}, mean_seconds=None, source=source)


def _num_videos(arguments: argparse.Namespace) -> int:
    if arguments.catalog:
        from choreai.catalog.catalog import read_catalog

        return len(read_catalog(arguments.catalog))
    if arguments.num_videos < 1:
        raise ConfigError(f"--num-videos must be at least 1, got {arguments.num_videos}")
    return int(arguments.num_videos)


def _mean_seconds(arguments: argparse.Namespace, rates: "Rates") -> float:
    seconds = arguments.mean_seconds if arguments.mean_seconds is not None else rates.mean_seconds
    if seconds is None:
        raise ConfigError("no video length is known: give --mean-seconds, or --output with earlier runs")
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"--mean-seconds must be a positive number, got {seconds:g}")
    return float(seconds)


def _inputs(work: str, rates: "Rates", node: "Node") -> list[tuple[str, str]]:
    return [
        ("work", work),
        ("a worker processes", f"{rates.video_seconds_per_second:.2f} s of video per busy second"),
        ("utilisation", f"{100 * rates.utilisation:.0f} %"),
        ("a worker occupies", f"{rates.num_cpus:g} CPUs, {rates.num_gpus:g} GPUs"),
        ("workers per node", str(node.num_workers)),
        ("figures from", rates.source),
    ]


def _results(need: "Need", node: "Node", arguments: argparse.Namespace) -> list[tuple[str, str]]:
    is_stream = arguments.stream_hours_per_minute is not None
    rows = [
        ("workers", f"{need.num_workers:,}"),
        ("nodes", f"{need.num_nodes:,}"),
        ("CPUs", f"{need.num_cpus:,.0f}"),
        ("GPUs", f"{need.num_gpus:,.1f}".removesuffix(".0")),
    ]
    rows += [] if is_stream else [("hours", f"{need.hours:.2f}")]
    for name, price in (("on demand", node.price_per_hour), ("spot", node.spot_price_per_hour)):
        if price:
            month = " a month" if is_stream else ""
            rows.append(
                (f"{name}, at {price:g} per node and hour", f"{need.cost(price):,.2f} {arguments.currency}{month}")
            )
    if not node.price_per_hour and not node.spot_price_per_hour:
        rows.append(("cost", "unknown; give --price-per-hour or --spot-price-per-hour"))
    return rows
