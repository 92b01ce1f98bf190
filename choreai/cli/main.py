"""The command line: `COMMANDS` has every command, its parser and the function that runs it.

`ray job submit -- python jobs/...` runs the same functions. Heavy libraries load only once a command really starts,
so that --help answers at once.
"""

import argparse
import importlib
import sys
from collections.abc import Callable
from functools import partial

from choreai import __version__
from choreai.cli.compact import compact_parser
from choreai.cli.completion_flags import completion_parser
from choreai.cli.config import config_parser
from choreai.cli.convert import convert_parser
from choreai.cli.describe_flags import describe_parser
from choreai.cli.diff import diff_parser
from choreai.cli.export_flags import export_parser
from choreai.cli.flags import demo_parser, extract_parser, tag_parser, train_parser
from choreai.cli.forget import forget_parser
from choreai.cli.gc import gc_parser
from choreai.cli.generate_flags import generate_parser, train_generator_parser
from choreai.cli.lift_flags import lift_parser
from choreai.cli.model_flags import model_parser
from choreai.cli.music_flags import music_parser
from choreai.cli.parser import CommandParser, help_width, wrap
from choreai.cli.plan import plan_parser
from choreai.cli.pose import pose_parser
from choreai.cli.report import report_parser
from choreai.cli.review import review_parser
from choreai.cli.score_tracks import score_tracks_parser
from choreai.cli.search import search_parser
from choreai.cli.serve import serve_parser
from choreai.cli.show import show_parser
from choreai.cli.similar_flags import similar_parser
from choreai.cli.teach_flags import teach_parser
from choreai.cli.train_lifter_flags import train_lifter_parser
from choreai.cli.weights import weights_parser

DESCRIPTION = """\
Objective style tags for dance videos, one or a catalog of millions.

  choreai describe   what one video shows, without any model
  choreai tag        videos, folders, addresses, catalogs -> style tags
  choreai show       draw skeletons and style on videos
  choreai demo       the whole flow on synthetic dancers, in five minutes

  choreai extract    catalog -> keypoint tables
  choreai train      catalog with labels -> style model
  choreai lift       keypoint tables -> people in 3D
  choreai train-lifter
                     the network that lifts keypoints into 3D
  choreai serve      live classification, uploads and the catalog on a web page
  choreai search     find videos by style, score, tempo and movement
  choreai similar    find videos that move like one
  choreai music      tempo, beats, key and songs of the sound tracks
  choreai teach      add a style to a model by a few examples
  choreai model      push, pull and list style models, the hub's too
  choreai review     choose videos for review, and import the corrections
  choreai report     what a run did, changed, failed and cost, as a page
  choreai diff       what changed between two runs or models, and why

  choreai pose       AlphaPose's flags and result files, for its users
  choreai convert    keypoints of OpenPose, COCO, TRC and others, in and out
  choreai export     who dances in a video, as CSV, TRC or NumPy arrays
  choreai generate   new dances of a style, to a beat, as video and joints
  choreai train-generator
                     a generator of your own, measured beside real dances
  choreai plan       workers, hours and cost of a catalog or a stream of uploads
  choreai compact    merge many small Parquet parts into few
  choreai forget     take everything about a video out, for good
  choreai gc         poses and models that nothing wants any more
  choreai weights    fetch, list, verify and mirror detector and pose weights
  choreai config     check the jobs' TOML files, and their JSON Schema
  choreai score-tracks
                     HOTA, IDF1 and id switches against a ground truth
  choreai completion commands and flags completed by bash, zsh or fish

A catalog is a CSV, JSONL or Parquet file with video_id and uri (label and
group for training), a folder of videos, or a prefix in a bucket. train and tag
extract missing poses first.

Results go to standard output, progress and messages to standard error; --json
prints results for programs, --quiet leaves out the progress. Exit codes: 0
done, 1 too many failures (run again to resume), 2 wrong input."""


COMMANDS: dict[str, tuple[Callable[[str], CommandParser], str]] = {
    "describe": (describe_parser, "choreai.cli.describe:run"),
    "tag": (tag_parser, "choreai.cli.tag_start:run"),
    "show": (show_parser, "choreai.cli.show_run:run"),
    "demo": (demo_parser, "choreai.cli.demo:run"),
    "extract": (extract_parser, "choreai.cli.extract:run"),
    "train": (train_parser, "choreai.cli.train:run"),
    "lift": (lift_parser, "choreai.cli.lift:run"),
    "train-lifter": (train_lifter_parser, "choreai.cli.train_lifter:run"),
    "serve": (serve_parser, "choreai.web.serve:run"),
    "search": (search_parser, "choreai.cli.search:run"),
    "similar": (similar_parser, "choreai.cli.similar:run"),
    "music": (music_parser, "choreai.cli.music:run"),
    "teach": (teach_parser, "choreai.cli.teach:run"),
    "model": (model_parser, "choreai.cli.model:run"),
    "review": (review_parser, "choreai.cli.review:run"),
    "report": (report_parser, "choreai.cli.report:run"),
    "diff": (diff_parser, "choreai.cli.diff:run"),
    "pose": (pose_parser, "choreai.cli.pose:run"),
    "convert": (convert_parser, "choreai.cli.convert:run"),
    "export": (export_parser, "choreai.cli.export:run"),
    "generate": (generate_parser, "choreai.cli.generate:run"),
    "train-generator": (train_generator_parser, "choreai.cli.train_generator:run"),
    "plan": (plan_parser, "choreai.cli.plan:run"),
    "compact": (compact_parser, "choreai.cli.compact:run"),
    "forget": (forget_parser, "choreai.cli.forget:run"),
    "gc": (gc_parser, "choreai.cli.gc:run"),
    "weights": (weights_parser, "choreai.cli.weights:run"),
    "config": (config_parser, "choreai.cli.config:run"),
    "score-tracks": (score_tracks_parser, "choreai.cli.score_tracks:run"),
    "completion": (completion_parser, "choreai.cli.completion:run"),
}
"""By command: what makes its parser, and the function (module:name) that runs what was parsed."""
RESUMING = (
    "extract", "train", "tag", "demo", "compact", "forget", "gc", "weights", "similar", "music", "model", "lift",
    "train-generator",
)  # fmt: skip
"""Commands that, run again, go on where they were stopped."""


def main(argv: list[str] | None = None) -> int:
    """Run one command, and return its exit code: 0 done, 1 too many failures, 2 wrong input."""
    words = sys.argv[1:] if argv is None else argv
    parser = CommandParser(prog="choreai", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"choreai {__version__}")
    parser.add_argument("command", choices=list(COMMANDS), metavar="COMMAND", help=", ".join(COMMANDS))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="`choreai COMMAND --help` explains them")
    if not words:
        print(wrap(DESCRIPTION, help_width()))
        return 0
    chosen = parser.parse_args(words)
    make_parser, target = COMMANDS[chosen.command]
    arguments = make_parser(f"choreai {chosen.command}").parse(chosen.arguments)
    from choreai.cli.console import run_command

    run = partial(_check_and_run, chosen.command, target)
    return run_command(run, arguments, resumes=chosen.command in RESUMING)


def _check_and_run(command: str, target: str, arguments: argparse.Namespace) -> int:
    """Refuse what shows at once to be wrong; only then load what the command needs, and run it."""
    from choreai.cli.checks import check_arguments
    from choreai.video.opencv import check_opencv

    check_arguments(command, arguments)
    check_opencv()
    module, _, function = target.partition(":")
    return int(getattr(importlib.import_module(module), function)(arguments))


def run() -> None:
    """Run the command on the command line, and exit with its code."""
    sys.exit(main())
