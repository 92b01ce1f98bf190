"""The extraction job with a pose estimator that costs nothing: `python tests/tiny_job.py`, flags as the job has."""

import functools
import sys

from tiny_poses import TinyWorker

from choreai.cli import extract
from choreai.cli.console import run_command
from choreai.cli.flags import extract_parser

if __name__ == "__main__":
    run = functools.partial(extract.run, worker=TinyWorker)
    sys.exit(run_command(run, extract_parser(None).parse_args()))
