"""plan: the workers, nodes, hours and cost of a catalog or a stream, before any of it is spent."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from choreai.cli.parser import CommandParser
from choreai.errors import ConfigError
from choreai.operations.speeds import POSE_MILLISECONDS

if TYPE_CHECKING:
    from choreai.operations.capacity import Need, Node
    from choreai.operations.rates import Rates
    from choreai.operations.speeds import VideoKind

PLAN = """\
Estimate the workers, nodes, hours and cost of a catalog or a stream of uploads.

  choreai plan catalog.csv --output out --hours 8 --price-per-hour 0.98
  choreai plan --num-videos 10000000 --mean-seconds 30 \\
      --video-seconds-per-second 40 --num-gpus 1
  choreai plan --stream-hours-per-minute 500 --output out
  choreai plan --num-videos 10000 --mean-seconds 30 --estimator crowd \\
      --codec h264 --resolution 1080 --people 4

Rates come from finished extractions under --output (of one kind of video with
--codec, --resolution, --people), or from flags, which win. With neither,
--estimator assumes those of choreai's benchmarks on one CPU core."""


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
    parser.add_argument("--crops-per-second", type=float, metavar="C",
                        help="crops that a worker's pose network takes per second, instead; with --people")  # fmt: skip
    parser.add_argument("--estimator", choices=sorted(POSE_MILLISECONDS),
                        help="whose poses, for rates that are not measured with it")  # fmt: skip
    parser.add_argument("--codec", metavar="NAME", help="videos of this codec only: h264, hevc, vp9, av1")
    parser.add_argument("--resolution", type=int, metavar="N", help="videos of N pixels on their shorter side only")
    parser.add_argument("--people", type=int, metavar="N", help="videos of N people only")
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

    kind, rates = _kind(arguments), _rates(arguments)
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
    if len(rates.kinds) > 1:
        print_table("measured by kind of video", _kind_rows(rates), header=KINDS)
    print_table("assumptions", _inputs(work, rates, node))
    print_table("plan", _results(need, node, arguments) + _decoding_rows(arguments, rates, need, kind))
    return 0


def _kind(arguments: argparse.Namespace) -> "VideoKind":
    from choreai.operations.speeds import VideoKind

    for name in ("resolution", "people"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise ConfigError(f"--{name} must be at least 1, got {value}")
    return VideoKind.near(arguments.codec, lines=arguments.resolution, people=arguments.people)


def _rates(arguments: argparse.Namespace) -> "Rates":
    """Return the rates of earlier runs under --output, if given, or assumed ones, overridden by the flags."""
    from choreai.operations.rates import assumed_rates, for_estimator, measured_rates
    from choreai.storage.uris import resolve_uri

    given, kind = _given_rates(arguments), _kind(arguments)
    if arguments.output:
        measured = measured_rates(resolve_uri(arguments.output, against="."), kind=kind)
        rates = for_estimator(measured, arguments.estimator) if arguments.estimator else measured
    elif "video_seconds_per_second" in given:
        return _rates_by_flags(given)
    elif arguments.estimator:
        rates = assumed_rates(arguments.estimator, kind)
    else:
        raise ConfigError(
            "no rate is known: give --output with earlier runs, --estimator, or --video-seconds-per-second"
        )
    given_by_flag = f"; given: {', '.join(name.replace('_', ' ') for name in given)}" if given else ""
    return replace(rates, **given, source=rates.source + given_by_flag)


def _given_rates(arguments: argparse.Namespace) -> dict[str, Any]:  # Rates' fields
    """Return the rates that flags give, by name."""
    from choreai.operations.speeds import rate_of_crops

    given = {
        name: getattr(arguments, name)
        for name in ("video_seconds_per_second", "utilisation", "num_cpus", "num_gpus")
        if getattr(arguments, name) is not None
    }
    if arguments.crops_per_second is None:
        return given
    if "video_seconds_per_second" in given:
        raise ConfigError("--crops-per-second and --video-seconds-per-second say the same; give one of them")
    if arguments.people is None:
        raise ConfigError("--crops-per-second needs --people, how many of them there are in a frame")
    rate = rate_of_crops(arguments.crops_per_second, people=arguments.people)
    return {"video_seconds_per_second": rate, **given}


def _rates_by_flags(given: dict[str, Any]) -> "Rates":
    from choreai.operations.rates import Rates
    from choreai.operations.speeds import ASSUMED_UTILISATION

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


KINDS = ("codec", "lines", "people", "videos", "seconds", "video s/s")


def _kind_rows(rates: "Rates") -> list[tuple[str, ...]]:
    """Return how fast a worker was by kind of video, the most video first."""
    return [
        (
            each.kind.codec or "unknown",
            f"{each.kind.lines or '-'}",
            f"{each.kind.people or '-'}",
            f"{each.num_videos:,}",
            f"{each.video_seconds:,.0f}",
            f"{each.video_seconds_per_second:.2f}",
        )
        for each in rates.kinds
    ]


def _decoding_rows(
    arguments: argparse.Namespace, rates: "Rates", need: "Need", kind: "VideoKind"
) -> list[tuple[str, str]]:
    """Return how many cores decode for workers whose rate is that of their pose network."""
    from choreai.operations.speeds import DEFAULT_CODEC, DEFAULT_LINES, decoding_seconds

    if arguments.crops_per_second is None:
        return []
    each = rates.video_seconds_per_second * rates.utilisation * decoding_seconds(kind)
    what = f"cores that decode {kind.codec or DEFAULT_CODEC} of {kind.lines or DEFAULT_LINES} lines"
    return [(what, f"{each * need.num_workers:,.0f}, {each:.1f} a worker")]


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
