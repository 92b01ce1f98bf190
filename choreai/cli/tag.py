"""tag: what the job shows, and its exit code."""

import argparse
import logging
import time

import pyarrow.compute as pc

from choreai.catalog.catalog import Catalog
from choreai.catalog.shards import KEY
from choreai.cli.console import print_table
from choreai.cli.dry_run import print_dry_run
from choreai.cli.extract import exit_code, write_report
from choreai.cluster.pose_worker import PoseWorker
from choreai.cluster.tag_worker import TagWorker
from choreai.config import TagConfig, load_config
from choreai.pipeline import extract
from choreai.pipeline.selection import (
    Tonight,
    choose,
    end_of_time,
    is_narrowed,
    num_left,
    stop_at,
    tell_nothing_to_do,
    tell_what_is_left,
)
from choreai.pipeline.tag import POSE_SHARE, open_model, tag_catalog, untagged_videos
from choreai.tables import schemas
from choreai.tables.parts import read_table
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.runs import RunManifest
from choreai.tables.schemas import UNKNOWN

logger = logging.getLogger(__name__)


def print_summary(config: TagConfig, catalog: Catalog, extracted: RunManifest, tagged: RunManifest) -> None:
    """What was done, and the styles of the whole catalog."""
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
        _styles(config.output, tagged.model_version, catalog),
        header=("style", "videos", "share", "mean score"),
    )


def _styles(output: str, model_version: str, catalog: Catalog) -> list[tuple[str, str, str, str]]:
    """By tag, "unknown" last: videos, their share of those with somebody to judge, mean score."""
    columns = [*KEY, "style", "score"]
    tags = read_table(output, "tags", model_version, schemas.TAGS, columns=columns)
    judged = tags.filter(pc.is_valid(tags["style"])).join(catalog.table.select(KEY), keys=KEY, join_type="left semi")
    grouped = judged.group_by("style").aggregate([("score", "count"), ("score", "mean")]).to_pylist()
    return [
        (
            row["style"],
            str(row["score_count"]),
            f"{row['score_count'] / judged.num_rows:.0%}",
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
    config = load_config(TagConfig, settings.pop("config"), settings)
    catalog = extract.open_catalog(config)
    pose_id = pose_worker.fingerprint(config.pose)
    _, model = open_model(
        config, pose_id=pose_id, worker=tag_worker
    )  # a wrong model should not cost a night of poses first
    tonight = Tonight(catalog, catalog)
    if dry_run or is_narrowed(config):
        if not dry_run:
            recover_videos_parts(config.output, pose_id)  # or what they hold would count as pending
        pending = extract.find_pending(config, catalog, pose_id=pose_id)
        untagged = untagged_videos(catalog, output=config.output, pose_id=pose_id, model_version=model.model_version)
        tonight = choose(config, catalog, pending, also=untagged)
        if dry_run:
            print_dry_run(config, tonight, pending, pose_id=pose_id, model_version=model.model_version)
            return 0
    poses_until, tags_until = (stop_at(config, started=started, share=share) for share in (POSE_SHARE, 1.0))
    extracted = extract.extract_poses(config, tonight.catalog, pose_id=pose_id, worker=pose_worker, until=poses_until)
    tagged = tag_catalog(config, tonight.catalog, pose_id=pose_id, worker=tag_worker, until=tags_until)
    return _finish(config, tonight, extracted, tagged)


def _finish(config: TagConfig, tonight: Tonight, extracted: RunManifest, tagged: RunManifest) -> int:
    """Print and report what was done, and return the exit code."""
    catalog = tonight.catalog
    if tagged.num_videos or extracted.num_videos or not is_narrowed(config):
        print_summary(config, tonight.whole, extracted, tagged)
    else:
        tell_nothing_to_do(tonight)
    tell_what_is_left(tonight)
    left = num_left(extracted, catalog) + num_left(tagged, catalog)
    stopped = end_of_time(left, num_done=extracted.num_videos + tagged.num_videos)
    if tagged.num_videos or extracted.num_videos:
        write_report(config, (tagged if tagged.num_videos else extracted).run_id)
    return max(stopped, exit_code(extracted, config, tonight), 1 if tagged.num_failed else 0)
