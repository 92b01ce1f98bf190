"""The flags of `choreai teach`."""

from choreai.cli.parser import CommandParser

TEACH = """\
Add a style to a model by a few examples, without training.

  choreai teach kizomba clip1 clip2 clip3 --output out

Writes a new model folder; the old one stays. Prints what to expect of the
style. Every video that is not taken for it keeps its tag and score. Examples
in the tables are stored as reviews: the next training takes the style over."""


def teach_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=TEACH)
    parser.add_argument("name", help="of the style")
    parser.add_argument("examples", nargs="+", metavar="VIDEO",
                        help="ids or URIs of videos in the tables, or files; their poses are estimated")  # fmt: skip
    parser.add_argument("--output", metavar="URI", required=True,
                        help="folder or s3:// prefix of the tables that the model was trained on")  # fmt: skip
    parser.add_argument("--model", metavar="URI", help="folder of a style model (default: newest under --output)")
    parser.add_argument("--reviewer", metavar="NAME", help="who says so (default: your user name)")
    parser.add_argument("--config", metavar="FILE", help="the TOML file of a job, for its [pose] settings")
    return parser.add_result_flags()
