"""The flags of `choreai similar`."""

from choreai.cli.parser import CommandParser

SIMILAR = """\
Find the videos whose movement is most like that of one, and where in them.

  choreai similar VIDEO_ID --output out
  choreai similar dance.mp4 --output out --count 20
  choreai similar --duplicates --output out
  choreai similar --clusters --output out --to clusters.html --csv label.csv

Compares motion embeddings: what a style model makes of three seconds of a
dancer before it decides on a style. Videos that have poses but no embedding of
this model yet are embedded first, from the tables; no video is opened for it.

--duplicates lists videos of one performance: uploaded again, mirrored,
cropped, at another speed, compressed again. It needs no model.

--clusters puts the videos that nobody has labelled into groups that move
alike, with the most typical of each: by kinematics, or by the embeddings of
--model. --to is a page with its pictures, --csv a catalog to write labels in."""

DEFAULT_COUNT = 10


def similar_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=SIMILAR)
    parser.add_argument(
        "video", nargs="?", help="an id or URI of a video in the tables, or a file, whose poses are then estimated"
    )
    parser.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    parser.add_argument("--model", metavar="URI", help="folder of a style model (default: newest under --output)")
    parser.add_argument("--count", type=int, default=DEFAULT_COUNT, metavar="N",
                        help=f"videos to find (default: {DEFAULT_COUNT})")  # fmt: skip
    parser.add_argument("--duplicates", action="store_true", help="list groups of near-duplicates instead")
    parser.add_argument("--clusters", action="store_true", help="list groups of videos that move alike instead")
    parser.add_argument("--num-clusters", type=int, metavar="N", help="groups (default: the root of half the videos)")
    parser.add_argument("--to", metavar="FILE", help="of --clusters: a page (.html) with pictures of each group")
    parser.add_argument("--csv", metavar="FILE", help="of --clusters: a catalog of all videos, to write labels in")
    parser.add_argument("--config", metavar="FILE", help="the TOML file of a job, for its [pose] settings")
    return parser.add_result_flags()
