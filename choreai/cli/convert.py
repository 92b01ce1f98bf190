"""convert: keypoints from and to the files of other programs."""

import argparse

from choreai.cli.parser import CommandParser
from choreai.errors import ConfigError

READ = (
    "poses3d",
    "parquet",
    "alphapose-json",
    "report-text",
    "openpose",
    "coco-json",
    "coco-results",
    "mmpose-json",
    "ultralytics-labels",
    "ultralytics-results",
    "csv",
    "mediapipe-csv",
    "kinovea-csv",
    "deeplabcut",
    "trc",
    "c3d",
    "bvh",
    "joints-npz",
)
WRITTEN = (
    "parquet",
    "alphapose-json",
    "report-text",
    "openpose",
    "coco-json",
    "coco-results",
    "csv",
    "trc",
    "bvh",
    "opensim-mot",
    "cvat-images",
    "cvat-video",
    "label-studio",
    "fiftyone-json",
)
CONVERT = f"""\
Convert keypoints from and to the files of other programs. docs/formats.md says
of each format what it is and what is lost.

read: {", ".join(READ)}

written: {", ".join(WRITTEN)}"""


def convert_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=CONVERT)
    parser.add_argument("source", help="path or s3:// URI of a file or folder; its content tells its format")
    parser.add_argument("target", help="path or s3:// URI that does not exist yet; .parquet and .json tell the format")
    parser.add_argument("--from", dest="source_format", metavar="FORMAT", choices=READ, help="format of the source")
    parser.add_argument("--to", dest="target_format", metavar="FORMAT", choices=WRITTEN, help="format of the target")
    parser.add_argument("--video-id", help="the video's name; of a table the one video to convert")
    parser.add_argument("--frames-per-second", type=float, metavar="F", help="of the images or samples in the source")
    parser.add_argument(
        "--fps", dest="frames_per_second", type=float, metavar="F", default=argparse.SUPPRESS, help="the same"
    )
    parser.add_argument("--size", metavar="WIDTHxHEIGHT", help="of the pictures, where a format has it: 1920x1080")
    parser.add_argument("--image-names", metavar="NAME", help="names of pictures to write: frames/%%06d.jpg")
    parser.add_argument("--track", type=int, metavar="N", help="the one person to write, where a format holds one")
    parser.add_argument("--person-height", type=float, metavar="METRES", help="to trc: makes metres of pixels")
    parser.add_argument("--labels", metavar="FILE", help="second file of report-text, one class number per line")
    parser.add_argument("--label-table", metavar="FILE", help="CSV with video_id and label (a catalog will do)")
    parser.add_argument("--class-names", metavar="A,B,C", help="names of the class numbers, starting at 1")
    return parser.add_result_flags()


def run(arguments: argparse.Namespace) -> int:
    """Convert, and print what was converted and what the target cannot hold."""
    from dataclasses import asdict

    from choreai.cli.console import print_json
    from choreai.formats.convert import ConvertSettings, convert

    names = arguments.class_names
    settings = ConvertSettings(
        video_id=arguments.video_id,
        frames_per_second=arguments.frames_per_second,
        report_labels=arguments.labels,
        label_table=arguments.label_table,
        class_names=tuple(names.split(",")) if names else None,
        size_wh=parse_size(arguments.size) if arguments.size else None,
        image_names=arguments.image_names,
        track_id=arguments.track,
        person_height_metres=arguments.person_height,
    )
    done = convert(
        arguments.source,
        arguments.target,
        settings,
        source_format=arguments.source_format,
        target_format=arguments.target_format,
    )
    if arguments.json:
        print_json({"target": arguments.target, **asdict(done)})
        return 0
    print(f"{arguments.target}: {done.num_rows} person-frames of {done.num_videos} videos")
    for number, name in enumerate(done.class_names, start=1):
        print(f"class {number} = {name}")
    for dropped in done.dropped:
        print(f"dropped, too short for a sequence: {dropped}")
    return 0


def parse_size(text: str) -> tuple[int, int]:
    """Return width and height of "1920x1080". Raises ConfigError."""
    width, _, height = text.lower().partition("x")
    if not (width.isascii() and width.isdigit() and height.isascii() and height.isdigit()):
        raise ConfigError(f"--size must be width x height in pixels, such as 1920x1080, got {text!r}")
    return int(width), int(height)
