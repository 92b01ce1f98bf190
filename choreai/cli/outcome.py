"""How a job ends: what it prints of the videos it left out, and its exit code."""

import logging

from choreai.config import ExtractConfig
from choreai.pipeline.selection import Selection
from choreai.tables.runs import RunManifest
from choreai.video.quality import ALL_REMARKS

logger = logging.getLogger(__name__)


def print_left_for_later(selection: Selection) -> None:
    """Print how many videos `--since` and `--limit` left for another run."""
    if selection.num_later:
        num_wanted = len(selection.catalog) + selection.num_later
        print(f"{num_wanted} videos need work; --limit or --since left {selection.num_later} for another run")


def print_nothing_to_do(selection: Selection) -> None:
    """Print that a run with `--since` or `--limit` found no video to process."""
    within = "that need work is within --since" if selection.num_later else "needs work"
    quarantined = f", {selection.num_quarantined} are quarantined" if selection.num_quarantined else ""
    print(f"nothing to do: none of the {len(selection.full_catalog)} videos {within}{quarantined}")


def warn_of_input_quality(manifest: RunManifest) -> None:
    """Log in one line how many of the videos that a run extracted were cut short, damaged, dark and so on."""
    counts = [f"{manifest.input_quality[remark]} {remark}" for remark in ALL_REMARKS if manifest.input_quality[remark]]
    if counts:
        logger.warning("input quality: %s; `input_quality` in the videos table says which", ", ".join(counts))


def exit_code_after_deadline(num_remaining: int, *, num_done: int) -> int:
    """Return 1 if a run met its deadline before a single video was processed, else 0; log how many remain.

    If none was, no later run would get further: the budget is too short to start in, or no worker ever came.
    """
    if not num_remaining:
        return 0
    logger.warning("stopped at the deadline (--max-hours); %d videos remain for the next run", num_remaining)
    if num_done:
        return 0
    logger.error("the deadline came before a single video was processed; raise --max-hours, or see why no worker came")
    return 1


def exit_code(manifest: RunManifest, config: ExtractConfig, selection: Selection | None = None) -> int:
    """Return 1 if the run failed (`RunManifest.failed`) or too large a share of the catalog is in quarantine, else 0.

    The catalog counts so that a run after a bad one, which finds nothing new, does not make its failures look fixed.
    """
    if manifest.num_videos and manifest.failed:
        logger.error("%s", _reason_of_failure(manifest, config))
        return 1
    num_quarantined = manifest.num_quarantined_before + manifest.statuses["quarantined"]
    num_videos = manifest.num_videos + manifest.num_done_before + manifest.num_quarantined_before
    if selection is not None:
        num_quarantined += selection.num_quarantined
        num_videos = len(selection.full_catalog)
    if num_quarantined > config.max_failed_fraction * num_videos:
        logger.error(
            "%d of the catalog's %d videos are in quarantine, more than max_failed_fraction = %g allows; the videos "
            "table has the reasons. Repair the videos or remove them from the catalog; --retry-quarantined tries again",
            num_quarantined,
            num_videos,
            config.max_failed_fraction,
        )
        return 1
    return 0


def _reason_of_failure(manifest: RunManifest, config: ExtractConfig) -> str:
    if manifest.num_failed:
        return f"{manifest.num_failed} videos could not be finished; run again to resume"
    return (
        f"{manifest.failed_fraction:.0%} of the videos failed, more than max_failed_fraction = "
        f"{config.max_failed_fraction:g} allows"
    )
