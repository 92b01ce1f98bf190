"""The flags of `choreai export`."""

from typing import Literal

from choreai.cli.parser import CommandParser
from choreai.errors import ConfigError

EXPORT = """\
Write who dances in a video, keypoints over time, to files for an analysis: one
for each dancer.

  choreai export VIDEO_ID --output out --to csv
  choreai export "hiphop-*" --output out --to npz --folder motion
  choreai export VIDEO_ID --output out --to trc --person-height 1.72

csv: a row a sample, columns as nose_x, nose_y, nose_score; above them lines
with # that say what wrote it, the video, units and frame; read it with
pandas.read_csv(path, comment="#"), or with `choreai convert`. npz: the same as
NumPy arrays, with 3D and more keypoints where the tables have them. trc: the
markers of OpenSim and Mokka; in metres with --person-height."""

FORMATS = ("csv", "trc", "npz")
EVERYBODY = "all"


def export_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=EXPORT)
    parser.add_argument(
        "videos", nargs="+", metavar="VIDEO", help="ids or URIs of videos in the tables, or patterns of ids in quotes"
    )
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--to", choices=FORMATS, required=True, metavar="FORMAT", help=", ".join(FORMATS))
    parser.add_argument("--folder", metavar="URI", default=".", help="where the files go (default: here)")
    parser.add_argument("--person", metavar="ID[,ID]", help="whom to write, or `all` (default: who dances)")
    parser.add_argument("--person-height", type=float, metavar="METRES", help="to trc: makes metres of pixels")
    parser.add_argument("--poses", metavar="FINGERPRINT", help="which poses, where the tables have a video's twice")
    return parser.add_result_flags()


def parse_people(text: str | None) -> list[int] | Literal["all"] | None:
    """Return the ids in --person, `all`, or None where it is not given. Raises ConfigError."""
    if text is None:
        return None
    if text.strip() == EVERYBODY:
        return "all"
    try:
        return sorted({int(part) for part in text.split(",")})
    except ValueError as exc:
        raise ConfigError(f"--person {text!r}: give ids such as 3 or 3,7, or {EVERYBODY}") from exc
