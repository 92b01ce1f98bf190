"""tag: a catalog of videos -> style tags, poses included where they are missing."""

import argparse
import logging
import time
from dataclasses import replace

from choreai.catalog.catalog import Catalog
from choreai.cli.answers import print_answers, print_counts, print_one
from choreai.cli.console import print_json
from choreai.cli.dry_run import print_dry_run
from choreai.cli.extract import record
from choreai.cli.job import Job, load_job
from choreai.cli.outcome import (
    exit_code,
    exit_code_after_deadline,
    print_left_for_later,
    print_nothing_to_do,
    warn_of_input_quality,
)
from choreai.cluster.pose_worker import PoseWorker
from choreai.cluster.tag_worker import TagWorker
from choreai.config import TagConfig
from choreai.operations.forget import forget_again
from choreai.pipeline import extract
from choreai.pipeline.answers import Answer, count_styles, read_answers
from choreai.pipeline.in_process import MAX_VIDEOS
from choreai.pipeline.keypoints import look_at_keypoints, take_keypoints
from choreai.pipeline.music import listen
from choreai.pipeline.pose_change import find_pose_change
from choreai.pipeline.pose_files import settle_poses
from choreai.pipeline.selection import Selection, deadline, is_partial, num_remaining, select_videos
from choreai.pipeline.tag import (
    POSE_SHARE,
    follow_model,
    open_model,
    open_model_of_keypoints,
    tag_catalog,
    untagged_videos,
)
from choreai.tables.forgotten import read_forgotten
from choreai.tables.pose_parts import recover_videos_parts
from choreai.tables.runs import RunManifest

logger = logging.getLogger(__name__)

MAX_SHOWN = 50
MAX_IN_PROCESS = 1000
"""Videos with keypoints that are tagged here and not on Ray, which takes longer to start than they do."""
MAX_AFTER_POSES = 100
"""Videos that are tagged here after an extraction on Ray: new workers take three seconds and more to load torch and the
model, which this process has loaded already, and a video a fourteenth of a second."""
MAX_JSON = 10_000
"""Videos listed in JSON: `choreai search --format jsonl` streams any number."""


def print_summary(config: TagConfig, catalog: Catalog, extracted: RunManifest, tagged: RunManifest) -> None:
    """Print the tags, the styles of the full catalog, and what the run did."""
    answers = _answers(config, catalog, tagged, limit=MAX_SHOWN)
    if len(catalog) == 1 and answers:
        print_one(answers[0])
        return
    print_answers(answers)
    if not tagged.num_videos and not extracted.num_videos:
        left = extracted.num_quarantined_before
        print(
            f"nothing to do: {len(catalog) - left} of {len(catalog)} videos are tagged by {tagged.model_version}"
            + (f", {left} are quarantined (--retry-quarantined tries them again)" if left else "")
        )
        return
    print_counts(count_styles(config.output, tagged.model_version, catalog))
    counts = [(status, count) for status, count in sorted(tagged.statuses.items())]
    counts += [
        ("could not be finished", tagged.num_failed),
        ("tagged before", tagged.num_done_before - extracted.num_quarantined_before
                          - extracted.statuses["quarantined"] - extracted.num_failed),
        ("quarantined", extracted.num_quarantined_before + extracted.statuses["quarantined"]),
    ]  # fmt: skip
    seconds = extracted.wall_seconds + tagged.wall_seconds
    print(f"{', '.join(f'{count} {name}' for name, count in counts if count)}; {seconds:.1f} s")


def _answers(config: TagConfig, catalog: Catalog, tagged: RunManifest, *, limit: int) -> list[Answer]:
    """Return the answers to print: of a small catalog all, of a large one those of this run."""
    return read_answers(
        config.output,
        catalog,
        pose_id=tagged.pose_fingerprint,
        model_version=tagged.model_version,
        run_id=None if len(catalog) <= limit else tagged.run_id,
        limit=limit,
    )


def print_summary_json(config: TagConfig, catalog: Catalog, extracted: RunManifest, tagged: RunManifest) -> None:
    """Print the same for a program."""
    answers = _answers(config, catalog, tagged, limit=MAX_JSON)
    print_json(
        {
            "model": tagged.model_version,
            "output": config.output,
            "num_videos": len(catalog),
            "styles": [
                {"style": style, "num_videos": num, "mean_score": score}
                for style, num, score in count_styles(config.output, tagged.model_version, catalog)
            ],
            "this_run": {
                "poses": dict(extracted.statuses),
                "tags": dict(tagged.statuses),
                "num_failed": extracted.num_failed + tagged.num_failed,
            },
            "videos": answers,
        }
    )


def run(
    arguments: argparse.Namespace,
    *,
    pose_worker: type[PoseWorker] = PoseWorker,
    tag_worker: type[TagWorker] = TagWorker,
) -> int:
    """Run the tagging job with workers of these classes, and return its exit code."""
    started = time.monotonic()
    job = load_job(TagConfig, arguments, needs_output=False)
    if job.is_of_keypoints:
        return _run_on_keypoints(job, tag_worker=tag_worker, dry_run=arguments.dry_run)
    config = settle_poses(follow_model(job.config, worker=tag_worker, pose_worker=pose_worker))
    sources = job.open_sources()
    catalog = extract.open_catalog(config, sources)
    pose_id = pose_worker.fingerprint(config.pose)
    change = find_pose_change(config, job.config.pose, catalog, pose_id=pose_id, worker=pose_worker)
    # Before any pose is extracted: a wrong model must not cost hours.
    _, model = open_model(config, pose_id=pose_id, worker=tag_worker)
    selection = Selection(catalog, catalog)
    if arguments.dry_run or is_partial(config):
        if not arguments.dry_run:
            recover_videos_parts(config.output, pose_id)  # otherwise their videos would count as pending
        pending = extract.find_pending(config, catalog, pose_id=pose_id)
        untagged = untagged_videos(catalog, output=config.output, pose_id=pose_id, model_version=model.model_version)
        selection = select_videos(config, catalog, pending, also=untagged)
        if arguments.dry_run:
            version = model.model_version
            print_dry_run(config, selection, pending, pose_id=pose_id, model_version=version, change=change)
            return 0
    if change is not None:
        logger.warning("%s", change.text)
    here = job.is_small(sources, most=MAX_VIDEOS)
    poses_until, tags_until = (deadline(config, started=started, share=share) for share in (POSE_SHARE, 1.0))
    extracted = extract.extract_poses(
        config, selection.catalog, pose_id=pose_id, worker=pose_worker, until=poses_until, in_process=here
    )
    if config.music.enabled:
        listen(config, selection.catalog, until=poses_until, in_process=here)
    most_here = MAX_IN_PROCESS if here else 0 if job.names_cluster else MAX_AFTER_POSES
    tagged = tag_catalog(
        config, selection.catalog, pose_id=pose_id, worker=tag_worker, until=tags_until, most_in_process=most_here
    )
    return _finish(replace(job, config=config), selection, extracted, tagged)


def _run_on_keypoints(job: Job[TagConfig], *, tag_worker: type[TagWorker], dry_run: bool) -> int:
    """Tag keypoints that are there already, and return the exit code."""
    config = job.config
    given = look_at_keypoints(config.keypoints, but=[config.output])
    open_model_of_keypoints(config, given.origin, worker=tag_worker)
    if dry_run:
        print(f"{config.keypoints.source}: {len(given.catalog)} videos or sequences, {given.origin}")
        return 0
    job.make_temporary()
    given = replace(given, catalog=extract.leave_out_forgotten(given.catalog, read_forgotten(config.output)))
    taken = take_keypoints(given, config)
    tagged = tag_catalog(
        config,
        given.catalog,
        pose_id=given.origin.pose_fingerprint,
        worker=tag_worker,
        most_in_process=0 if job.names_cluster else MAX_IN_PROCESS,
    )
    logger.info("keypoints only: there are no pictures, in the run's report either")
    return _finish(job, Selection(given.catalog, given.catalog), taken, tagged)


def _finish(job: Job[TagConfig], selection: Selection, extracted: RunManifest, tagged: RunManifest) -> int:
    """Print and report what was done, and return the exit code."""
    config = job.config
    num_done = extracted.num_videos + tagged.num_videos
    left = num_remaining(extracted, selection.catalog) + num_remaining(tagged, selection.catalog)
    if job.as_json:
        print_summary_json(config, selection.full_catalog, extracted, tagged)
    elif num_done or not (left or is_partial(config)):
        print_summary(config, selection.full_catalog, extracted, tagged)
    elif not left:
        print_nothing_to_do(selection)
    warn_of_input_quality(extracted)
    if not job.as_json:
        print_left_for_later(selection)
    stopped = exit_code_after_deadline(left, num_done=num_done)
    tagging_failed = tagged.num_videos > 0 and tagged.failed
    code = max(stopped, exit_code(extracted, config, selection), int(tagging_failed))
    if job.is_temporary:
        logger.info("tables are in %s, a temporary folder; --output FOLDER keeps them", config.output)
        return code
    tagged.num_quarantined_before = extracted.num_quarantined_before
    record(config, tagged, code)
    forget_again(config.output, selection.full_catalog.table)
    logger.info("tables are in %s", config.output)
    return code
