"""train: the labelled videos of a catalog -> a style model, or a comparison of settings."""

import argparse
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from choreai.catalog.catalog import Video
from choreai.cli.console import print_json, print_table
from choreai.cli.job import Job, load_job
from choreai.cli.outcome import exit_code
from choreai.cli.report_experiment import run_report_experiment
from choreai.cluster.pose_worker import PoseWorker
from choreai.config import TrainConfig
from choreai.motion.keypoint_sets import COCO
from choreai.pipeline import extract
from choreai.pipeline.keypoint_labels import label_keypoints
from choreai.pipeline.keypoints import look_at_keypoints, take_keypoints
from choreai.pipeline.pose_change import find_pose_change
from choreai.pipeline.pose_files import settle_poses
from choreai.pipeline.train import find_labelled, find_outliers, sweep, train
from choreai.style.evaluation.bootstrap import Estimate
from choreai.style.evaluation.unseen import UnseenSources
from choreai.style.novelty import OutlierTest
from choreai.style.training.run_log import LogKind
from choreai.style.training.sweep import SweepKind, SweepResult
from choreai.style.training.training import Fit, TrainedStyle
from choreai.tables.forgotten import read_forgotten

logger = logging.getLogger(__name__)


def print_summary(trained: TrainedStyle) -> None:
    """Print the figures of the videos that each network never saw, beside the baselines', and where the model is."""
    metrics, data = trained.metrics, trained.data
    print_table(
        f"videos, {data.split}",
        [
            (style.label, str(style.num), *(f"{e.value:.2f}" for e in (style.precision, style.recall, style.f1)))
            for style in metrics.videos.classes
        ],
        header=("style", "videos", "precision", "recall", "F1"),
    )
    cards = [
        ("this model", metrics.videos),
        *((baseline.name.replace("_", " "), baseline.videos) for baseline in metrics.baselines),
    ]
    print_table(
        f"each network on the videos it never saw; 95 % intervals over {metrics.intervals_over}",
        [
            (name, *(f"{e.value:.3f} ({e.low:.3f} to {e.high:.3f})" for e in (card.accuracy, card.macro_f1)))
            for name, card in cards
        ],
        header=("", "accuracy", "mean F1"),
    )
    if metrics.unseen is not None and metrics.unseen.sources:
        _print_unseen(metrics.unseen)
    calibration = metrics.calibration
    print_table(
        "train",
        [
            ("expected calibration error", f"{metrics.videos.ece:.3f} (by chance {metrics.videos.ece_by_chance:.3f})"),
            ('"unknown" below a score of', f"{calibration.unknown_below:.2f}"),
            ("share of videos tagged, their precision", _format_shares(trained)),
            *_outlier_rows(metrics.outliers),
            ("videos, windows", f"{data.num_videos}, {data.num_windows}"),
            ("videos without usable poses", str(data.num_without_keypoints + data.num_without_windows)),
        ],
    )
    if metrics.unseen is not None:
        print(metrics.unseen.expectation)
    if data.copies:
        print(f"videos of one performance, kept in one fold: {_names_of(data.copies)}")
    print(f"model:  {trained.model_uri}")
    print(f"report: {trained.model_uri}/report.html")


def _outlier_rows(outliers: OutlierTest | None) -> list[tuple[str, str]]:
    """Return what became of the videos given as none of the styles, by limits that had not seen them."""
    if outliers is None:
        return []
    told = f"{outliers.refused_share:.2f} of {outliers.num_videos}; {outliers.refused_before:.2f} without any"
    return [("none of the styles, refused unseen", told)]


def _names_of(copies: Sequence[Sequence[str]]) -> str:
    """Return how many groups there are, and their names or the first five's."""
    names = "; ".join(", ".join(each) for each in copies[:5]) + ("; ..." if len(copies) > 5 else "")
    return f"{len(copies)} group{'' if len(copies) == 1 else 's'} ({names})"


def _print_unseen(unseen: UnseenSources) -> None:
    """Print each style's figures on sources that the network had seen nothing of."""
    print_table(
        "each source by a network without it; 95 % intervals over sources and their videos",
        [
            (
                style.label,
                str(style.num_sources or "-"),
                str(style.num_videos or "-"),
                *map(_span, (style.accuracy, style.ece)),
                f"{style.cross_validated:.2f}",
            )
            for style in unseen.styles
        ],
        header=("style", "sources", "videos", "accuracy", "ECE", "cross-val."),
    )


def _span(estimate: Estimate | None) -> str:
    return "-" if estimate is None else f"{estimate.value:.2f} ({estimate.low:.2f}-{estimate.high:.2f})"


def _format_shares(trained: TrainedStyle) -> str:
    refusals = trained.metrics.refusals
    share = refusals.num_tagged / trained.data.num_videos
    return f"{share:.2f}, {'-' if refusals.precision is None else f'{refusals.precision:.2f}'}"


def print_sweep(result: SweepResult) -> None:
    """Print the trials of a sweep and the best settings."""
    print_table(
        f"{result.kind}, ranked by validation loss",
        [
            (
                ", ".join(f"{name} = {value:g}" for name, value in trial.changes.items()),
                f"{trial.validation_loss:.3f}",
                f"{trial.validation_accuracy:.3f}",
                str(trial.num_epochs),
            )
            for trial in result.trials
        ],
        header=("settings", "loss", "accuracy", "epochs"),
    )
    print(f"guessing the most frequent style would be right for {result.guessing:.3f} of the windows")
    print(f"figure and all trials: {result.folder_uri}")
    if not result.beats_guessing:
        logger.warning(
            "even the settings with the lowest validation loss are right no more often than guessing: no settings are "
            "recommended; look at the labels, or train on more videos"
        )
        return
    print(f"the best settings, by the lowest validation loss, for the job file:\n\n{result.best_toml()}")


def run(arguments: argparse.Namespace, *, worker: type[PoseWorker] = PoseWorker, fit: Fit | None = None) -> int:
    """Run the training job or a sweep, with poses by `worker`, and return the exit code.

    `fit` None: networks are trained on Ray.
    """
    job = load_job(TrainConfig, arguments)
    if arguments.report_experiment:
        return run_report_experiment(job, arguments)
    if job.is_of_keypoints:
        return _run_on_keypoints(job, kind=arguments.sweep, fit=fit, log=arguments.log)
    config = settle_poses(job.config)
    catalog = extract.open_catalog(config)
    labelled = find_labelled(config, catalog)
    strange = None if config.not_dance is None else replace(config, catalog=config.not_dance)
    not_dance = None if strange is None else extract.open_catalog(strange)
    outliers = find_outliers(config, catalog, not_dance)
    pose_id = worker.fingerprint(config.pose)
    if change := find_pose_change(config, job.config.pose, catalog, pose_id=pose_id, worker=worker):
        logger.warning("%s", change.text)
    extracted = extract.extract_poses(config, catalog, pose_id=pose_id, worker=worker)
    if strange is not None and not_dance is not None:
        extract.extract_poses(strange, not_dance, pose_id=pose_id, worker=worker)
    told = {"made_by": config.pose.estimator, "skeleton": COCO.name, "scores": "yes"}
    own = replace(job, config=config)
    kind, log = arguments.sweep, arguments.log
    _fit(own, labelled, pose_id=pose_id, outliers=outliers, keypoints=told, kind=kind, fit=fit, log=log)
    return exit_code(extracted, config)


def _run_on_keypoints(job: Job[TrainConfig], *, kind: SweepKind | None, fit: Fit | None, log: LogKind | None) -> int:
    """Run it on keypoints that are there already, and return the exit code."""
    others = [uri for uri in (job.config.labels_file, job.config.output) if uri]
    given = look_at_keypoints(job.config.keypoints, but=others)
    config, catalog = label_keypoints(given, job.config)
    forgotten = read_forgotten(config.output)
    catalog = extract.leave_out_forgotten(catalog, forgotten)
    given = replace(given, catalog=extract.leave_out_forgotten(given.catalog, forgotten))
    labelled = find_labelled(config, catalog)
    taken = take_keypoints(given, config)
    origin = given.origin
    own = replace(job, config=config)
    told = origin.to_json()
    _fit(own, labelled, pose_id=origin.pose_fingerprint, keypoints=told, kind=kind, has_videos=False, fit=fit, log=log)
    return exit_code(taken, config)


def _fit(
    job: Job[TrainConfig],
    labelled: list[Video],
    *,
    pose_id: str,
    outliers: Sequence[Video] = (),
    keypoints: Mapping[str, str],
    kind: SweepKind | None,
    has_videos: bool = True,
    fit: Fit | None,
    log: LogKind | None,
) -> None:
    """Train or compare settings, and print what came of it."""
    if kind is not None:
        found = sweep(job.config, labelled, pose_id=pose_id, kind=kind)
        print_json(found) if job.as_json else print_sweep(found)
        return
    trained = train(
        job.config,
        labelled,
        pose_id=pose_id,
        outliers=outliers,
        keypoints=keypoints,
        has_videos=has_videos,
        fit=fit,
        log=log,
    )
    print_json({"model": trained.model_uri, "metrics": trained.metrics}) if job.as_json else print_summary(trained)
