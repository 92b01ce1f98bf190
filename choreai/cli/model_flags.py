"""The flags of `choreai model`."""

from choreai.cli.parser import CommandParser

MODEL = """\
Share style models, and list them.

  choreai model list --output out --to models.html
  choreai model push out/models/lstm-0123456789ab s3://bucket/models/street
  choreai model push out/models/lstm-0123456789ab hf://user/street-dance
  choreai model pull hf://user/street-dance models/street
  choreai tag dance.mp4 --model models/street

A place is a folder, an s3://, gs:// or az:// prefix, or hf://user/name of the
Hugging Face hub (extra choreai[hub]). Weights travel as safetensors, and a
model is loaded before it is put anywhere: a damaged or changed one is refused.
What names videos or shows people stays, unless --with-report."""


def model_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=MODEL)
    commands = parser.add_subparsers(dest="what", metavar="WHAT", required=True)
    common = CommandParser(add_help=False).add_result_flags()
    report = CommandParser(add_help=False)
    report.add_argument("--with-report", action="store_true",
                        help="also report.html, metrics.json and predictions.parquet")  # fmt: skip

    push = commands.add_parser("push", parents=[common, report], help="put a model where others can get it",
                               description="Put a model where others can get it.")  # fmt: skip
    push.add_argument("model", metavar="MODEL", help="folder of a style model")
    push.add_argument("target", metavar="TARGET", help="a folder, a prefix, or hf://user/name")
    push.add_argument("--licence", metavar="NAME", help="for its card, such as cc-by-nc-4.0 (default: unknown)")
    push.add_argument("--dataset", action="append", default=[], metavar="NAME",
                      help="for its card: what it was trained on; may be repeated")  # fmt: skip
    push.add_argument("--public", action="store_true", help="on the hub: make a new repository public")

    pull = commands.add_parser("pull", parents=[common, report], help="get a model, and check it",
                               description="Get a model, and check it.")  # fmt: skip
    pull.add_argument("source", metavar="SOURCE", help="a folder, a prefix, https://, hf://user/name[@revision]")
    pull.add_argument("folder", metavar="FOLDER", help="where to put it: a folder or a prefix")

    listed = commands.add_parser("list", parents=[common], help="the models of an output, the newest first",
                                 description="The models of an output, the newest first.")  # fmt: skip
    listed.add_argument("--output", metavar="URI", required=True, help="folder or s3:// prefix of the jobs' tables")
    listed.add_argument("--to", metavar="FILE.html", help="write the comparison as a page too")
    return parser
