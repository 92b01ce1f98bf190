"""tag: a catalog of videos -> style tags, poses included where they are missing."""

import argparse
import logging
import time

import pyarrow.compute as pc

from choreai.catalog.catalog import Catalog
from choreai.catalog.shards import KEY
from choreai.cli.console import print_table
from choreai.cli.dry_run import print_dry_run
from choreai.cli.extract import record
from choreai.cli.outcome import exit_code, exit_code_after_deadline, print_left_for_later, print_nothing_to_do
from choreai.cluster.pose_worker import PoseWorker
from choreai.cluster.tag_worker import TagWorker
from choreai.config import TagConfig, load_config
from choreai.pipeline import extract
from choreai.pipeline.pose_files import settle_poses
from choreai.pipeline.selection import Selection, deadline, is_partial, num_remaining, select_videos
from choreai.pipeline.tag import POSE_SHARE, newest_tags, open_model, tag_catalog, untagged_videos
from choreai.tables import schemas
from choreai.tables.parts import read_table
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.runs import RunManifest
from choreai.tables.schemas import UNKNOWN

logger = logging.getLogger(__name__)


def print_summary(config: TagConfig, catalog: Catalog, extracted: RunManifest, tagged: RunManifest) -> None:
    """Print what the run did, and the styles of the full catalog."""
    if not tagged.num_videos and not extracted.num_videos:
        left = extracted.num_quarantined_before
        print(
            f"nothing to do: {len(catalog) - left} of {len(catalog)} videos are tagged by {tagged.model_version}"
            + (f", {left} are quarantined (--retry-quarantined tries them again)" if left else "")
        )
        return
    rows = [(status, str(count)) for status, count in sorted(tagged.statuses.items())]
    rows += [
        ("could not be finished", str(tagged.num_failed)),
        ("tagged before", str(tagged.num_done_before - extracted.num_quarantined_before
                              - extracted.statuses["quarantined"] - extracted.num_failed)),
        ("quarantined", str(extracted.num_quarantined_before + extracted.statuses["quarantined"])),
        ("wall time of tagging", f"{tagged.wall_seconds:.1f} s"),
        ("tags", f"{config.output}/tags/{tagged.model_version}"),
    ]  # fmt: skip
    print_table("tag", rows)
    print_table(
        "styles in this catalog",
        _style_rows(config.output, tagged.model_version, catalog),
        header=("style", "videos", "share", "mean score"),
    )


def _style_rows(output: str, model_version: str, catalog: Catalog) -> list[tuple[str, str, str, str]]:
    """Return a row per style, "unknown" last: its videos, their share of all videos with a tag, mean score."""
    columns = [*KEY, "style", "score", "tagged_at"]
    tags = newest_tags(read_table(output, "tags", model_version, schemas.TAGS, columns=columns))
    tagged = tags.filter(pc.is_valid(tags["style"])).join(catalog.table.select(KEY), keys=KEY, join_type="left semi")
    grouped = tagged.group_by("style").aggregate([("score", "count"), ("score", "mean")]).to_pylist()
    return [
        (
            row["style"],
            str(row["score_count"]),
            f"{row['score_count'] / tagged.num_rows:.0%}",
            f"{row['score_mean']:.2f}",
        )
        for row in sorted(grouped, key=lambda row: (row["style"] == UNKNOWN, row["style"]))
    ]


def run(
    arguments: argparse.Namespace,
    *,
    pose_worker: type[PoseWorker] = PoseWorker,
    tag_worker: type[TagWorker] = TagWorker,
) -> int:
    """Run the tagging job with workers of these classes, and return its exit code."""
    started = time.monotonic()
    settings = dict(vars(arguments))
    dry_run = settings.pop("dry_run")
    config = settle_poses(load_config(TagConfig, settings.pop("config"), settings))
    catalog = extract.open_catalog(config)
    pose_id = pose_worker.fingerprint(config.pose)
    # Before any pose is extracted: a wrong model must not cost hours.
    _, model = open_model(config, pose_id=pose_id, worker=tag_worker)
    selection = Selection(catalog, catalog)
    if dry_run or is_partial(config):
        if not dry_run:
            recover_videos_parts(config.output, pose_id)  # otherwise their videos would count as pending
        pending = extract.find_pending(config, catalog, pose_id=pose_id)
        untagged = untagged_videos(catalog, output=config.output, pose_id=pose_id, model_version=model.model_version)
        selection = select_videos(config, catalog, pending, also=untagged)
        if dry_run:
            print_dry_run(config, selection, pending, pose_id=pose_id, model_version=model.model_version)
            return 0
    poses_until, tags_until = (deadline(config, started=started, share=share) for share in (POSE_SHARE, 1.0))
    extracted = extract.extract_poses(config, selection.catalog, pose_id=pose_id, worker=pose_worker, until=poses_until)
    tagged = tag_catalog(config, selection.catalog, pose_id=pose_id, worker=tag_worker, until=tags_until)
    return _finish(config, selection, extracted, tagged)


def _finish(config: TagConfig, selection: Selection, extracted: RunManifest, tagged: RunManifest) -> int:
    """Print and report what was done, and return the exit code."""
    num_done = extracted.num_videos + tagged.num_videos
    if num_done or not is_partial(config):
        print_summary(config, selection.full_catalog, extracted, tagged)
    else:
        print_nothing_to_do(selection)
    print_left_for_later(selection)
    left = num_remaining(extracted, selection.catalog) + num_remaining(tagged, selection.catalog)
    stopped = exit_code_after_deadline(left, num_done=num_done)
    tagging_failed = tagged.num_videos > 0 and tagged.failed
    code = max(stopped, exit_code(extracted, config, selection), int(tagging_failed))
    tagged.num_quarantined_before = extracted.num_quarantined_before
    return record(config, tagged, code)
