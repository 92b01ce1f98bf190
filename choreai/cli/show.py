"""The flags of `choreai show`."""

from choreai.cli.parser import CommandParser

SHOW = """\
Draw skeletons and style on videos: an annotated mp4 and a contact sheet PNG of
each.

  choreai show dance.mp4                estimates the poses now
  choreai show *.mp4 --model MODEL --to pictures
  choreai show VIDEO_ID --output out    takes poses and model from the output

Where several people are in view, who dances is drawn in colour and the others
in grey, each with an id. Where that is wrong, name the dancer; `choreai tag`
then tags the video again, and training takes this person:

  choreai show VIDEO_ID --output out --person 3
  choreai show VIDEO_ID --output out --person auto    leaves it to choreai again"""


def show_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=SHOW)
    parser.add_argument("video", nargs="+", help="videos, folders, patterns, https:// addresses, s3:// URIs, or ids of "
                        "videos in the tables under --output")  # fmt: skip
    parser.add_argument("--output", metavar="URI", help="folder or s3:// prefix of the jobs' tables and models")
    parser.add_argument("--model", metavar="URI", help="folder of a style model (default: newest under --output)")
    parser.add_argument(
        "--person", metavar="ID[,ID]", help="who dances, or `auto`; stored as a review where --output has the video"
    )
    parser.add_argument("--reviewer", metavar="NAME", help="who says so (default: your user name)")
    parser.add_argument("--to", metavar="FOLDER", default=".", help="where the files go (default: here)")
    parser.add_argument("--config", metavar="FILE", help="the TOML file of the job, for its [pose] settings")
    parser.add_argument(
        "--why", action="store_true", help="print the reasons for the style, and draw them in a picture"
    )
    parser.add_argument("--view", metavar="SIDE", help="draw the dancer in 3D from another side too: side, back, "
                        "other-side or degrees")  # fmt: skip
    parser.add_argument("--mute", action="store_true", help="leave the sound out of the annotated video")
    parser.add_argument("--allow-private-addresses", action="store_true",
                        help="download from hosts of a private network too")  # fmt: skip
    return parser.add_result_flags()
