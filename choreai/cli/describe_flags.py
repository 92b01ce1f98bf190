"""The flags of `choreai describe`."""

from choreai.cli.parser import CommandParser

DESCRIBE = """\
Measure what videos show, without any style model: length, shots, people,
tempo, speed, size and levels of the movement.

  choreai describe dance.mp4
  choreai describe *.mp4 --json
  choreai describe https://example.org/dance.mp4

Lengths are in torso lengths, from shoulders to hips, so that people of any
size and distance compare. Nothing is written."""


def describe_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=DESCRIBE)
    parser.add_argument("videos", nargs="+", metavar="VIDEO",
                        help="videos, folders, patterns, https:// addresses, an s3:// prefix or a catalog")  # fmt: skip
    parser.add_argument("--config", metavar="FILE", help="the TOML file of a job, for its [pose] settings")
    parser.add_argument("--allow-private-addresses", action="store_true",
                        help="download from hosts of a private network too")  # fmt: skip
    return parser.add_result_flags()
