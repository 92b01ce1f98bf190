"""convert: keypoints from and to the files of other programs."""

import argparse

from choreai.cli.parser import CommandParser

FORMATS = ("alphapose-json", "report-text", "parquet")
CONVERT = """\
Convert keypoints. Formats: alphapose-json (alphapose-results.json), report-text
(51 numbers per line, 100 lines per sequence, with a second file of 1-based
labels) and parquet (a keypoint table)."""


def convert_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=CONVERT)
    parser.add_argument("source", help="path or s3:// URI; format by name: .json, .txt, .parquet, a folder")
    parser.add_argument("target", help="path or s3:// URI of a file that does not exist yet")
    parser.add_argument("--from", dest="source_format", metavar="FORMAT", choices=FORMATS, help=", ".join(FORMATS))
    parser.add_argument("--to", dest="target_format", metavar="FORMAT", choices=FORMATS, help=", ".join(FORMATS))
    parser.add_argument("--video-id", help="AlphaPose JSON: the video's name; otherwise the one video to convert")
    parser.add_argument("--frames-per-second", type=float, metavar="F", help="of the images or samples in the source")
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
