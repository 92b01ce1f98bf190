"""The part of a catalog that one run processes: `--since`, `--limit` and `--max-hours`."""

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
class Selection:
    """The videos that a run processes, and what it leaves out."""

    catalog: Catalog
    """The full catalog, unless `since` or `limit` is set; then only its selected videos that need work."""
    full_catalog: Catalog
    num_later: int = 0
    """Videos that need work too, but are left for another run."""
    num_quarantined: int = 0
    """Quarantined videos of the full catalog that are not in `catalog`."""


def is_partial(config: ExtractConfig) -> bool:
    """Return whether a run may leave out videos that need work."""
    return config.limit is not None or config.since is not None


def select_videos(
    config: ExtractConfig, catalog: Catalog, pending: Pending, *, also: pa.Table | None = None
) -> Selection:
    """Select the first `config.limit` videos, in catalog order, that need work and were written since `config.since`.

    A video needs work if it is pending, or in `also` (column video_id).
    """
    ids = catalog.table["video_id"]
    needs_work = pc.is_in(ids, value_set=pending.videos["video_id"].combine_chunks())
    if also is not None:
        needs_work = pc.or_(needs_work, pc.is_in(ids, value_set=also["video_id"].combine_chunks()))
    wanted = np.flatnonzero(needs_work.to_numpy())
    chosen = wanted
    if config.since is not None:
        chosen = chosen[_is_recent(catalog.select(chosen), config.since)]
    chosen = chosen[: config.limit]
    selected = catalog.select(chosen)
    retried = pending.videos.filter(pc.greater(pending.videos["attempts"], 1))["video_id"]
    is_selected = pc.is_in(retried, value_set=selected.table["video_id"].combine_chunks())
    return Selection(
        catalog=selected,
        full_catalog=catalog,
        num_later=len(wanted) - len(chosen),
        num_quarantined=pending.num_quarantined + len(retried) - (pc.sum(is_selected).as_py() or 0),
    )


def _is_recent(catalog: Catalog, since: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """For each video whether its bytes were written since; unavailable videos, which have no date, count as recent."""
    moment = parse_since(since, now=datetime.now(UTC))
    unavailable = pc.starts_with(catalog.table["content_id"], UNAVAILABLE)
    uris = pc.if_else(unavailable, pa.scalar(None, pa.string()), catalog.table["uri"]).combine_chunks()
    times = modified_at(uris)
    logger.info(
        "since %s: %d videos whose date cannot be read are kept", f"{moment:%Y-%m-%d %H:%M} UTC", times.null_count
    )
    recent = pc.fill_null(pc.greater_equal(times, pa.scalar(moment, times.type)), True)
    return np.asarray(recent.to_numpy(zero_copy_only=False), np.bool_)


def deadline(config: ExtractConfig, *, started: float, share: float = 1.0) -> float:
    """Return when a run that began at `started` has used up `share` of its time budget (both `time.monotonic`)."""
    return math.inf if config.max_hours is None else started + 3600 * config.max_hours * share


def num_remaining(manifest: RunManifest, catalog: Catalog) -> int:
    """Return the number of videos that a run which met its deadline did not begin."""
    return len(catalog) - manifest.num_done_before - manifest.num_quarantined_before - manifest.num_videos
