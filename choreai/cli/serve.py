"""The flags of `choreai serve`."""

from choreai.cli.parser import CommandParser

DESCRIPTION = """\
The web application: dance in front of the camera and see skeleton, style and
reasons live; upload a video; browse the tagged catalog as pictures.

  choreai serve --output out

With --host 0.0.0.0, every request needs the token in CHOREAI_WEB_TOKEN."""


def serve_parser(prog: str | None) -> CommandParser:
    parser = CommandParser(prog=prog, description=DESCRIPTION)
    parser.add_argument("--model", metavar="URI", help="folder of a style model (default: newest under --output)")
    parser.add_argument("--output", metavar="URI", help="folder or s3:// prefix of the jobs' tables, for the catalog")
    parser.add_argument("--port", type=int, default=8000, help="default: 8000")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--data", metavar="FOLDER", help="for uploads and results (default: a temporary one)")
    parser.add_argument("--max-viewers", type=int, metavar="N", help="live viewers at a time (default: 4 per CPU)")
    parser.add_argument("--config", metavar="FILE", help="the TOML file of the job, for its [pose] settings")
    return parser.add_result_flags(json=False)
