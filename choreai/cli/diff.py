"""diff: what changed between two runs, two models or two pose fingerprints, and why."""

import argparse
from statistics import median
from typing import TYPE_CHECKING

from choreai.cli.parser import CommandParser

if TYPE_CHECKING:
    from choreai.operations.difference import Difference

DIFF = """\
Compare two runs of an output, or two models, or two pose fingerprints: which videos
have another tag, another score, went into quarantine or out of it, are new or gone;
how far keypoints moved; and why: other bytes, poses, model or settings.

  choreai diff 20261101T030000Z-1f2e3d 20261102T030000Z-4c5b6a --output out
  choreai diff lstm-0123456789ab lstm-ba9876543210 --output out --to diff.html
  choreai diff 3cec098405ea40cd 4f230740cfadf4bc --output out --keypoints 200

A run stands for what it and the runs before it left in the tables of its model and
its poses. Finds differences or none: the exit code is 0."""
MAX_SHOWN = 20


def diff_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=DIFF)
    parser.add_argument(
        "before", metavar="A", help="id of a run under runs/, version of a model, or a pose fingerprint"
    )
    parser.add_argument("now", metavar="B", help="the same")
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--keypoints", type=int, metavar="N", default=50,
                        help="compare the keypoints of at most N videos (default: 50)")  # fmt: skip
    parser.add_argument("--min-score-change", type=float, metavar="X", default=0.05,
                        help="smaller changes of a score are none (default: 0.05)")  # fmt: skip
    parser.add_argument("--to", metavar="FILE", help="write a page there too: a new .html path or s3:// URI")
    return parser.add_result_flags()


def run(arguments: argparse.Namespace) -> int:
    """Print the differences, write the page if one is asked for, and return the exit code."""
    from choreai.cli.console import print_json
    from choreai.errors import ConfigError
    from choreai.operations.difference import compare
    from choreai.operations.difference_page import difference_page
    from choreai.storage import objects
    from choreai.storage.uris import resolve_uri

    found = compare(
        resolve_uri(arguments.output, against="."),
        arguments.before,
        arguments.now,
        num_keypoints=arguments.keypoints,
        min_score_change=arguments.min_score_change,
    )
    if arguments.to and not objects.put_if_absent(arguments.to, difference_page(found).encode("utf-8", "replace")):
        raise ConfigError(f"{arguments.to}: exists already; --to never replaces a file")
    if arguments.json:
        print_json(found)
    else:
        _print(found)
        if arguments.to:
            print(f"page: {arguments.to}")
    return 0


def _print(found: "Difference") -> None:
    from choreai.cli.console import print_table
    from choreai.operations.difference_page import described, state

    print(f"{found.before.name} ({described(found.before)})\n{found.now.name} ({described(found.now)})")
    print(f"{found.num_before:,} videos before, {found.num_now:,} now, {found.num_changed:,} changed")
    if found.causes:
        rows = [(each.change, each.cause or "-", f"{each.num:,}") for each in found.causes]
        print_table("changes", rows, header=("change", "why", "videos"))
    if found.settings:
        settings = [(each.name, each.before, each.now) for each in found.settings]
        print_table("settings that differ", settings, header=("setting", "was", "is"))
    if found.keypoints:
        print(keypoints_text(found))
    if found.videos:
        shown = [(each.video_id, each.change, state(each, "before"), state(each, "now"), each.cause)
                 for each in found.videos[:MAX_SHOWN]]  # fmt: skip
        print_table("videos", shown, header=("video", "change", "was", "is", "why"))
        if found.num_changed > MAX_SHOWN:
            print(f"and {found.num_changed - MAX_SHOWN:,} more: --to FILE.html or --json lists them")


def keypoints_text(found: "Difference") -> str:
    """Return in a sentence how far keypoints moved."""
    pixels = median(each.distance.median_pixels for each in found.keypoints)
    share = median(each.distance.median_share for each in found.keypoints)
    most = found.keypoints[0]
    return (
        f"keypoints of {len(found.keypoints)} videos moved by {pixels:.1f} px, {share:.1%} of the person's height "
        f"(medians); most in {most.video_id}: {most.distance.median_share:.1%}"
    )
