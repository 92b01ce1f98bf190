"""The command line: `choreai demo | extract | train | tag | pose | show | convert`.

extract, train and tag are the functions that `ray job submit -- python jobs/...` runs. Heavy libraries load only
once a command really starts, so that --help answers at once.
"""

import argparse
import importlib
import sys
from collections.abc import Callable

from choreai import __version__
from choreai.cli.compact import compact_parser
from choreai.cli.plan import plan_parser
from choreai.cli.pose import pose_parser
from choreai.cli.report import report_parser
from choreai.cli.review import review_parser
from choreai.cli.search import search_parser
from choreai.cli.serve import serve_parser
from choreai.config import extract_parser, tag_parser, train_parser

FORMATS = ("alphapose-json", "report-text", "parquet")
DESCRIPTION = """\
Objective style tags for catalogs of dance videos.

  choreai demo       five minutes from nothing to tagged videos, on synthetic dancers
  choreai extract    catalog -> keypoint tables
  choreai train      catalog with labels -> style model (extracts what is missing first)
  choreai tag        catalog -> style tags, only for what has none (extracts what is missing first)
  choreai pose       AlphaPose's own inputs and result files, for scripts that have used it
  choreai show       draw skeletons and style on one video
  choreai serve      live classification, uploads and the catalog on a web page
  choreai convert    to and from AlphaPose JSON and text keypoints

  choreai search     videos by style, score, tempo and how they move; as a table, CSV, JSONL or for OpenSearch
  choreai review     the videos worth a person's time, as a page to correct them on
  choreai report     what a night did, changed, failed and cost, as a page
  choreai plan       workers, hours and money for a catalog or a stream of uploads
  choreai compact    many small Parquet parts become few

A catalog is a CSV, JSONL or Parquet file with video_id and uri (label and group for training), a folder of
videos, or an s3:// prefix. Exit codes: 0 done, 1 too many failures (run again to resume), 2 wrong input.
"""

EXTRACT = """\
Estimate the poses of every video of a catalog that has none yet, into Parquet keypoint tables.

  choreai extract videos/ --output out
  choreai extract s3://bucket/catalog.csv --output s3://bucket/dance --config deploy/extract.toml

Kill it anywhere and run it again: it goes on where it stopped."""

TRAIN = """\
Train a style classifier on the labelled videos of a catalog (columns video_id, uri, label, group). Videos of one
group (a dancer, a source) never stand on both sides of the train/test split. Poses that are missing are
extracted first.

  choreai train catalog.csv --output out"""

TAG = """\
Tag every video of a catalog that has no tag from this model yet. Poses that are missing are extracted first.

  choreai tag videos/ --output out
  choreai tag s3://bucket/uploads/ --output s3://bucket/dance --model s3://bucket/dance/models/lstm-0123456789ab"""

SHOW = """\
Draw skeletons and style on one video: an annotated mp4 and a contact sheet PNG.

  choreai show dance.mp4                     estimates the poses now
  choreai show VIDEO_ID --output out         takes poses from the tables, and the newest model's style"""

CONVERT = """\
Convert keypoints. Formats: alphapose-json (alphapose-results.json), report-text (51 numbers a line, 100 lines a
sequence, with a second file of 1-based labels) and parquet (a keypoint table)."""


def show_parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=prog, description=SHOW, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", help="a path, an s3:// URI, or the id of a video in the tables under --output")
    parser.add_argument("--output", metavar="URI", help="folder or s3:// prefix of the jobs' tables and models")
    parser.add_argument("--model", metavar="URI", help="folder of a style model (default: newest under --output)")
    parser.add_argument("--to", metavar="FOLDER", default=".", help="where the files go (default: here)")
    parser.add_argument("--config", metavar="FILE", help="the TOML file of the job, for its [pose] settings")
    parser.add_argument("--why", action="store_true", help="say what speaks for the style, in words and in a picture")
    return parser


def demo_parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="Make synthetic dancers, train on them, and tag dancers the model never saw: about 5 minutes.",
    )
    parser.add_argument("--output", metavar="FOLDER", default="demo-output", help="default: demo-output")
    parser.add_argument("--seed", type=int, default=0, help="other dancers (default: 0)")
    return parser


def convert_parser(prog: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog, description=CONVERT, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", help="path or s3:// URI; its name tells the format: .json, .txt, .parquet, a folder")
    parser.add_argument("target", help="path or s3:// URI of a file that does not exist yet")
    parser.add_argument("--from", dest="source_format", metavar="FORMAT", choices=FORMATS, help=", ".join(FORMATS))
    parser.add_argument("--to", dest="target_format", metavar="FORMAT", choices=FORMATS, help=", ".join(FORMATS))
    parser.add_argument("--video-id", help="of AlphaPose JSON: the video's name; else the one video to convert")
    parser.add_argument("--frames-per-second", type=float, metavar="F", help="of the images or samples in the source")
    parser.add_argument("--labels", metavar="FILE", help="report text's second file, a class number a line")
    parser.add_argument("--label-table", metavar="FILE", help="CSV with video_id and label (a catalog will do)")
    parser.add_argument("--class-names", metavar="A,B,C", help="names of the class numbers, from 1")
    return parser


def convert_keypoints(arguments: argparse.Namespace) -> int:
    """`choreai convert`: prints what was converted, and what of it the target cannot hold."""
    from choreai.formats.convert import ConvertSettings, convert

    names = arguments.class_names
    settings = ConvertSettings(
        video_id=arguments.video_id,
        frames_per_second=arguments.frames_per_second,
        report_labels=arguments.labels,
        label_table=arguments.label_table,
        class_names=tuple(names.split(",")) if names else None,
    )
    done = convert(
        arguments.source,
        arguments.target,
        settings,
        source_format=arguments.source_format,
        target_format=arguments.target_format,
    )
    print(f"{arguments.target}: {done.num_rows} person-frames of {done.num_videos} videos")
    for number, name in enumerate(done.class_names, start=1):
        print(f"class {number} = {name}")
    for dropped in done.dropped:
        print(f"left out, too few for a sequence: {dropped}")
    return 0


# command -> (its parser, the function that takes what it parsed)
_COMMANDS: dict[str, tuple[Callable[[str], argparse.ArgumentParser], str]] = {
    "demo": (demo_parser, "choreai.cli.demo:run"),
    "extract": (lambda prog: extract_parser(prog, EXTRACT), "choreai.pipeline.extract:run"),
    "train": (lambda prog: train_parser(prog, TRAIN), "choreai.pipeline.train:run"),
    "tag": (lambda prog: tag_parser(prog, TAG), "choreai.pipeline.tag:run"),
    "pose": (pose_parser, "choreai.cli.pose_run:run"),
    "show": (show_parser, "choreai.style.explain.annotated_video:run"),
    "serve": (serve_parser, "choreai.web.serve:run"),
    "convert": (convert_parser, "choreai.cli.main:convert_keypoints"),
    "search": (search_parser, "choreai.cli.search:run"),
    "report": (report_parser, "choreai.cli.report:run"),
    "review": (review_parser, "choreai.cli.review:run"),
    "plan": (plan_parser, "choreai.cli.plan:run"),
    "compact": (compact_parser, "choreai.cli.compact:run"),
}


def main(argv: list[str] | None = None) -> int:
    """The exit code of one command: 0 done, 1 too many failures, 2 wrong input."""
    parser = argparse.ArgumentParser(
        prog="choreai", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"choreai {__version__}")
    parser.add_argument("command", choices=list(_COMMANDS), metavar="COMMAND", help=", ".join(_COMMANDS))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="`choreai COMMAND --help` explains them")
    words = parser.parse_args(argv)
    make_parser, target = _COMMANDS[words.command]
    arguments = make_parser(f"choreai {words.command}").parse_args(words.arguments)
    from choreai.cli.console import run_command

    module, _, function = target.partition(":")
    return run_command(getattr(importlib.import_module(module), function), arguments)


def run() -> None:
    sys.exit(main())
