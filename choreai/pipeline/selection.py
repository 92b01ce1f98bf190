"""What one run takes on of all that is to be done: `--since`, `--limit` and `--max-hours`."""

import logging
import math
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.catalog import UNAVAILABLE, Catalog
from choreai.catalog.listings import modified_at
from choreai.catalog.shards import Pending
from choreai.config import ExtractConfig, parse_since
from choreai.tables.runs import RunManifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Tonight:
    """The part of a catalog that a run deals with."""

    catalog: Catalog
    """The whole one, unless `since` or `limit` is set; then only videos that need something."""
    whole: Catalog
    num_later: int = 0
    """Videos that need something too, but not from this run."""
    num_quarantined: int = 0
    """Quarantined videos of the whole catalog that are not in `catalog`."""


def is_narrowed(config: ExtractConfig) -> bool:
    """Whether a run may leave out what it could do."""
    return config.limit is not None or config.since is not None


def choose(config: ExtractConfig, catalog: Catalog, pending: Pending, *, also: pa.Table | None = None) -> Tonight:
    """Of the videos that are pending, or in `also`, those since `config.since`, and of these the first `config.limit`
    in the catalog's order.
    """
    ids = catalog.table["video_id"]
    needy = pc.is_in(ids, value_set=pending.videos["video_id"].combine_chunks())
    if also is not None:
        needy = pc.or_(needy, pc.is_in(ids, value_set=also["video_id"].combine_chunks()))
    wanted = np.flatnonzero(needy.to_numpy())
    chosen = wanted
    if config.since is not None:
        chosen = chosen[_is_since(catalog.select(chosen), config.since)]
    chosen = chosen[: config.limit]
    taken = catalog.select(chosen)
    retried = pending.videos.filter(pc.greater(pending.videos["attempts"], 1))["video_id"]
    taken_on = pc.is_in(retried, value_set=taken.table["video_id"].combine_chunks())
    return Tonight(
        catalog=taken,
        whole=catalog,
        num_later=len(wanted) - len(chosen),
        num_quarantined=pending.num_quarantined + len(retried) - (pc.sum(taken_on).as_py() or 0),
    )


def _is_since(catalog: Catalog, since: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each video whether its bytes were written since; those without a date, which cannot be looked at, count."""
    moment = parse_since(since, now=datetime.now(UTC))
    unseen = pc.starts_with(catalog.table["content_id"], UNAVAILABLE)
    uris = pc.if_else(unseen, pa.scalar(None, pa.string()), catalog.table["uri"]).combine_chunks()
    times = modified_at(uris)
    logger.info(
        "since %s: %d videos without a date (they cannot be looked at) are not left out",
        f"{moment:%Y-%m-%d %H:%M} UTC", times.null_count,
    )  # fmt: skip
    recent = pc.fill_null(pc.greater_equal(times, pa.scalar(moment, times.type)), True)
    return np.asarray(recent.to_numpy(zero_copy_only=False), np.bool_)


def stop_at(config: ExtractConfig, *, started: float, share: float = 1.0) -> float:
    """When (`time.monotonic`) a run that began at `started` has used up `share` of its time budget."""
    return math.inf if config.max_hours is None else started + 3600 * config.max_hours * share


def num_left(summary: RunManifest, catalog: Catalog) -> int:
    """Videos that a step which was stopped did not come to."""
    return len(catalog) - summary.num_done_before - summary.num_quarantined_before - summary.num_videos


def tell_what_is_left(tonight: Tonight) -> None:
    """Say what `since` and `limit` left for another run."""
    if tonight.num_later:
        num_needy = len(tonight.catalog) + tonight.num_later
        print(f"{num_needy} videos needed something; --limit or --since left {tonight.num_later} for another run")


def end_of_time(num_left: int, *, num_done: int) -> int:
    """0, and word of the videos that a run which was stopped did not come to; 1 if it came to none at all.

    Then no next night would come further: the budget is too small to start in, or no worker ever came.
    """
    if not num_left:
        return 0
    print(f"stopped at the time budget, {num_left} videos left for the next night")
    if num_done:
        return 0
    logger.error("the time budget ran out before a single video was done; raise --max-hours, or see why no worker came")
    return 1


def tell_nothing_to_do(tonight: Tonight) -> None:
    """Say that a narrowed run found nothing to take on."""
    within = "that need something is within --since" if tonight.num_later else "needs anything"
    in_quarantine = f", {tonight.num_quarantined} are quarantined" if tonight.num_quarantined else ""
    print(f"nothing to do: none of the {len(tonight.whole)} videos {within}{in_quarantine}")
