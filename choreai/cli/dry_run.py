"""`--dry-run`: what a run would do and why, how long it would take, what it would cost. Writes nothing."""

import logging
import math
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from choreai.catalog.catalog import UNAVAILABLE, Catalog
from choreai.catalog.shards import KEY, Pending, pending_videos
from choreai.cli.console import print_table
from choreai.config import ExtractConfig
from choreai.errors import ConfigError, TableError
from choreai.operations.capacity import hours_of_one_worker
from choreai.operations.rates import measured_rates
from choreai.operations.speeds import relative_cost
from choreai.pipeline.pose_change import PoseChange
from choreai.pipeline.selection import Selection
from choreai.tables import schemas
from choreai.tables.compact import list_versions
from choreai.tables.parts import current_parts, open_part, read_consistently
from choreai.tables.runs import read_runs

logger = logging.getLogger(__name__)
Rows = list[tuple[str, str]]
_KNOWN = pa.schema([("video_id", pa.string()), ("content_id", pa.string()), ("status", pa.string()),
                    ("attempts", pa.int32())])  # fmt: skip


def print_dry_run(
    config: ExtractConfig,
    selection: Selection,
    pending: Pending,
    *,
    pose_id: str,
    model_version: str | None = None,
    change: PoseChange | None = None,
) -> None:
    """Print tables of what a run of `selection` would do, and the `change` of poses that it brings.

    With a model version, of its tags too.
    """
    chosen = pc.is_in(pending.videos["video_id"], value_set=selection.catalog.table["video_id"].combine_chunks())
    to_pose = pending.videos.filter(chosen)
    rows = read_consistently(lambda: _pose_rows(config.output, to_pose, pose_id=pose_id))
    if model_version is not None:
        rows += read_consistently(lambda: _tag_rows(config.output, selection.catalog, model_version))
    rows += [
        ("left for another run by --since or --limit", f"{selection.num_later:,}"),
        ("in quarantine, not tried again", f"{selection.num_quarantined:,}"),
    ]
    print_table("work", rows)
    if to_pose.num_rows:
        print_table("effort", _effort_rows(config, to_pose.num_rows))
    if change is not None:
        print(change.text)
    print("dry run: nothing was written")


def _pose_rows(output: str, to_pose: pa.Table, *, pose_id: str) -> Rows:
    """Return rows that say why these videos need poses: new ones, new bytes, other settings, or another attempt."""
    first = to_pose.filter(pc.equal(to_pose["attempts"], 1))
    catalog = Catalog("", first.drop_columns("attempts"))
    fingerprints = list_versions(output, "videos")
    others = [version for version in fingerprints if version != pose_id]
    unposed = _exclude(catalog, _stream_known(output, "videos", others))
    unseen = _exclude(_blank_content_ids(unposed), _stream_known(output, "videos", fingerprints, any_bytes=True))
    reasons = [
        ("new videos", len(unseen)),
        ("new bytes under an old id", len(unposed) - len(unseen)),
        ("other pose settings than before", len(catalog) - len(unposed)),
        ("quarantined before, tried again", to_pose.num_rows - first.num_rows),
    ]
    unusable = pc.sum(pc.starts_with(to_pose["content_id"], UNAVAILABLE)).as_py() or 0
    rows = [("videos to extract", f"{to_pose.num_rows:,}"), *((f"  {name}", f"{n:,}") for name, n in reasons)]
    return [*rows, ("  of all these, unreadable: to be quarantined", f"{unusable:,}")] if unusable else rows


def _tag_rows(output: str, catalog: Catalog, model_version: str) -> Rows:
    """Return rows with the number of videos to tag, and of those that only another model has tagged."""
    others = [version for version in list_versions(output, "tags") if version != model_version]
    never_tagged = _exclude(catalog, _stream_known(output, "tags", others))
    return [
        (f"videos to tag with {model_version}", f"{len(catalog):,}"),
        ("  tagged before, by another model", f"{len(catalog) - len(never_tagged):,}"),
    ]


def _exclude(catalog: Catalog, known: pa.RecordBatchReader) -> Catalog:
    """Return the videos of `catalog` that are not in `known`."""
    return Catalog("", pending_videos(catalog, known, retry_quarantined=False).videos.drop_columns("attempts"))


def _blank_content_ids(catalog: Catalog) -> Catalog:
    """Return the catalog with one content id for all videos, so that only video ids are compared."""
    place = catalog.table.schema.get_field_index("content_id")
    blank = pa.repeat(pa.scalar(""), len(catalog))
    return Catalog("", catalog.table.set_column(place, catalog.table.schema.field(place), blank))


def _stream_known(output: str, table: str, versions: Sequence[str], *, any_bytes: bool = False) -> pa.RecordBatchReader:
    """Stream these versions of a table as `_KNOWN`; versions with another release's schema are skipped."""
    schema = {"videos": schemas.VIDEOS, "tags": schemas.TAGS}[table]

    def batches() -> Iterator[pa.RecordBatch]:
        for version in versions:
            try:
                for uri in current_parts(output, table, version).uris:
                    with open_part(uri, schema) as part:
                        for batch in part.iter_batches(columns=KEY):
                            num = len(batch)
                            content = pa.repeat(pa.scalar(""), num) if any_bytes else batch["content_id"]
                            filled = [pa.repeat(pa.scalar("ok"), num), pa.repeat(pa.scalar(1, pa.int32()), num)]
                            yield pa.record_batch([batch["video_id"], content, *filled], schema=_KNOWN)
            except TableError as exc:
                logger.warning("skipped: %s", exc)

    return pa.RecordBatchReader.from_batches(_KNOWN, batches())


def _effort_rows(config: ExtractConfig, num_videos: int) -> Rows:
    """Return hours and cost of extracting so many videos, from the rates of earlier runs."""
    try:
        rates = measured_rates(config.output)
    except ConfigError as exc:
        return [("unknown", str(exc))]
    worker_hours = hours_of_one_worker(num_videos, rates, estimator=config.pose.estimator)
    factor = relative_cost(config.pose.estimator, rates.estimator)
    source = rates.source if factor == 1 else f"{rates.source}, with {rates.estimator}; times {factor:.2g}"
    rows = [("hours of one worker", f"{worker_hours:.4f}")]
    if num_workers := config.workers.num_workers:
        rows.append((f"hours with {num_workers} workers", f"{worker_hours / num_workers:.4f}"))
    if config.max_hours is not None:
        rows.append(("of these in one run", f"at most {config.max_hours:g} (--max-hours)"))
    return [*rows, _cost_row(config, worker_hours), ("figures from", source)]


def _cost_row(config: ExtractConfig, worker_hours: float) -> tuple[str, str]:
    price, currency = config.report.price_per_hour, config.report.currency
    if not price:
        return "cost", "unknown; set price_per_hour in [report]"
    measured = next(run for run in read_runs(config.output) if run.job == "extract_poses" and run.workers)
    per_node = max(1, round(len(measured.workers) / measured.num_hosts))
    num_workers = config.workers.num_workers or per_node
    cost = math.ceil(num_workers / per_node) * worker_hours / num_workers * price
    return f"cost, at {price:g} per node and hour, {per_node} workers per node", f"{cost:,.2f} {currency}"
