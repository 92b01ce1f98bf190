"""tag, before anything heavy is loaded: the job where there is a model, otherwise what needs none."""

import argparse
import logging
import os
import shlex
from collections.abc import Sequence

from choreai.cli.job import load_job
from choreai.config import TagConfig

logger = logging.getLogger(__name__)

NO_MODEL = (
    "no style model is named, so no style can be told. Give one with --model FOLDER, as `choreai train` prints it, or "
    "the --output of a training. To make one, label some videos: `choreai train catalog.csv --output out`. "
    "(`choreai demo` makes one of synthetic dancers, which shows the flow and knows no real dance.)"
)

GROUPS = (
    "to see which of them move alike, and to label them group by group: `choreai extract %s --output out`, then "
    "`choreai similar --clusters --output out --to clusters.html --csv label.csv`"
)


def run(arguments: argparse.Namespace) -> int:
    """Run the job, and return its exit code; without a model measure the videos, and return 2."""
    job = load_job(TagConfig, arguments, needs_output=False)
    if job.is_temporary and not job.config.model and not arguments.dry_run and not job.is_of_keypoints:
        from choreai.cli.describe import describe

        logger.error("%s", NO_MODEL)
        logger.info("this is what needs no model, as `choreai describe` measures it:")
        describe(job.words, pose=job.config.pose, allow_private=job.allow_private, as_json=job.as_json)
        if _are_several(job.words):
            logger.info(GROUPS, shlex.join(job.words))
        return 2
    from choreai.cli import tag

    return tag.run(arguments)


def _are_several(words: Sequence[str]) -> bool:
    """Return whether the words name more than a video, without looking further than at the first."""
    return len(words) > 1 or os.path.isdir(words[0]) or words[0].endswith((".csv", ".jsonl", ".parquet"))
