"""Training a style model: keypoint tables and labels in, a model folder out.

The driver cuts the windows, divides the videos into folds, has the workers train a network for each
(`choreai.style.training.distributed`), and scores each network on the fold it never saw. These out-of-fold predictions
give the temperature, the threshold of "unknown" and all metrics; the networks together are the model.
"""

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from torch import nn

from choreai.arrays import FloatArray
from choreai.catalog.catalog import Video
from choreai.motion.named_dancers import NamedDancers
from choreai.motion.reasons import StyleReference
from choreai.storage import objects
from choreai.style.evaluation import baselines
from choreai.style.evaluation.evaluate import Metrics, evaluate
from choreai.style.evaluation.report import VideoSources, write_report
from choreai.style.history import EpochResult
from choreai.style.model import StyleModel, StyleModelConfig, log_scores_of, save_model
from choreai.style.networks import build_network
from choreai.style.novelty import fit_novelty
from choreai.style.predictions import Predictions, mean_by_video
from choreai.style.settings import TrainSettings, seed_settings
from choreai.style.tagging import mean_kinematics
from choreai.style.training.dataset import Dataset, DataSummary, TableSource, read_dataset, read_outliers, read_recut
from choreai.style.training.distributed import Fitted, Progress, TrainResources, fit_on_ray
from choreai.style.training.fit_state import Weights
from choreai.style.training.left_out import groups_to_leave_out, with_groups_as_folds
from choreai.style.training.run_log import RunLog
from choreai.style.versions import versions

logger = logging.getLogger(__name__)


class Fit(Protocol):
    """Trains a network for each fold of the data set, or for its first `num_members` folds."""

    def __call__(self, dataset: Dataset, settings: TrainSettings, num_members: int | None = None) -> Fitted: ...


@dataclass(frozen=True, eq=False)
class TrainedStyle:
    """A finished training and where it is stored."""

    model: StyleModel
    model_uri: str
    """Folder of the model, its metrics, predictions, figures and report."""
    metrics: Metrics
    predictions: Predictions
    history: tuple[EpochResult, ...]
    data: DataSummary


def train_style(
    videos: Sequence[Video],
    *,
    tables_uri: str,
    pose_fingerprint: str,
    output_uri: str,
    settings: TrainSettings,
    labels: Sequence[str] = (),
    parents: Mapping[str, str] | None = None,
    taxonomy_version: str = "",
    named: Mapping[str, NamedDancers] | None = None,
    copies: Sequence[Sequence[str]] = (),
    outliers: Sequence[Video] = (),
    keypoints: Mapping[str, str] | None = None,
    has_videos: bool = True,
    resources: TrainResources,
    on_progress: Callable[[Progress], None],
    fit: Fit | None = None,
    log: RunLog | None = None,
) -> TrainedStyle:
    """Train a model on the labelled `videos`' keypoints in `tables_uri`, and save it under `output_uri`/models.

    Ray must be connected, unless `fit` trains the networks elsewhere. `labels` empty: those of the catalog. `parents`:
    see `StyleModelConfig`. `named`: by video_id who dances, where a review says so. `copies`: sets of video_ids of one
    performance. `outliers`: videos of no dance, or of dances outside of the labels. `keypoints`: what the model says of
    the origin of its keypoints. Without `has_videos` the report has no pictures. `log`: told of the model's own epochs
    and figures. Checkpoints go to `output_uri`/training. Raises TableError where the videos cannot be trained on,
    ConfigError where the loss does not stay finite, and `ray.train.TrainingFailedError` after more than MAX_FAILURES
    lost workers.
    """
    source = TableSource(tables_uri, pose_fingerprint, dict(named or {}), copies)
    dataset, summary = read_dataset(videos, source, settings=settings, labels=labels)

    def on_ray(dataset: Dataset, settings: TrainSettings, num_members: int | None = None) -> Fitted:
        return fit_on_ray(
            dataset.examples,
            settings,
            num_labels=len(dataset.labels),
            num_members=num_members,
            folder_uri=objects.join_uri(output_uri, "training"),
            resources=resources,
            on_progress=on_epoch,
        )

    is_own = True

    def on_epoch(done: Progress) -> None:
        on_progress(done)
        if log is not None and is_own:
            log.epoch(done.result)

    fit = fit or on_ray
    fitted = fit(dataset, settings)
    is_own = False
    networks = networks_of(fitted.members, settings, dataset.labels)
    predictions = replace(predict_out_of_fold(networks, dataset), outliers=read_outliers(outliers, source, settings))
    simple = _baselines(predictions, dataset)
    if settings.compare_report_lstm:
        simple |= _seed_lstm(predictions, read_recut(dataset, source, seed_settings(settings).windows), settings, fit)
    leaky = _leaky(predictions, dataset, settings, fit)
    metrics = evaluate(
        predictions,
        baselines=simple,
        leaky=leaky,
        unseen=predict_left_out(predictions, dataset, settings, fit) if settings.unseen_sources else None,
        target_precision=settings.target_precision,
        seed=settings.seed,
    )
    calibration = metrics.calibration
    novelty = fit_novelty(predictions)
    config = StyleModelConfig(
        labels=dataset.labels,
        pose_fingerprint=pose_fingerprint,
        windows=settings.windows,
        network=settings.network,
        hidden_size=settings.hidden_size,
        num_members=len(fitted.members),
        parents=dict(parents or {}),
        taxonomy_version=taxonomy_version,
        temperature=calibration.temperature,
        unknown_below=calibration.unknown_below,
        target_precision=calibration.target_precision,
        novelty=None if novelty is None else novelty.to_dict(),
        references=_references(predictions),
    )
    training: dict[str, Any] = {
        "settings": dataclasses.asdict(settings),
        "data": dataclasses.asdict(summary),
        "versions": versions(),
    }
    if len(predictions.outliers):
        training["num_outliers"] = len(predictions.outliers)
    if keypoints:
        training["keypoints"] = dict(keypoints)
    model = StyleModel(networks, config, training=training)
    trained = TrainedStyle(
        model=model,
        model_uri=objects.join_uri(output_uri, "models", model.model_version),
        metrics=metrics,
        predictions=predictions,
        history=fitted.history,
        data=summary,
    )
    write_report(
        trained.model_uri,
        model=model,
        metrics=metrics,
        predictions=predictions,
        history=trained.history,
        sources=VideoSources(dataset.videos, tables_uri, pose_fingerprint, has_videos=has_videos),
    )
    save_model(trained.model_uri, model)  # last: a folder with a model is complete
    if log is not None:
        log.finish(trained.history, _figures(metrics), about={"model": model.model_version, "uri": trained.model_uri})
    return trained


def _figures(metrics: Metrics) -> dict[str, float]:
    """Return what a log says of the model."""
    videos, calibration = metrics.videos, metrics.calibration
    return {
        "accuracy": videos.accuracy.value,
        "macro_f1": videos.macro_f1.value,
        "nll": videos.nll.value,
        "ece": videos.ece,
        "temperature": calibration.temperature,
        "unknown_below": calibration.unknown_below,
    }


def networks_of(members: Sequence[Weights], settings: TrainSettings, labels: Sequence[str]) -> tuple[nn.Module, ...]:
    """Return the trained networks, on the CPU and in evaluation mode."""
    networks = []
    for weights in members:
        network = build_network(
            settings.network,
            num_labels=len(labels),
            hidden_size=settings.hidden_size,
            dropout=settings.dropout,
            num_keypoints=settings.windows.num_keypoints,
        )
        network.load_state_dict(weights)
        networks.append(network.eval())
    return tuple(networks)


def predict_out_of_fold(networks: Sequence[nn.Module], dataset: Dataset) -> Predictions:
    """Return the predictions of each fold's network for the windows of its fold."""
    examples = dataset.examples
    log_scores = np.zeros((len(examples), len(dataset.labels)), np.float32)
    for fold, network in enumerate(networks):
        rows = np.flatnonzero(examples.fold == fold)
        log_scores[rows] = log_scores_of([network], examples.inputs.take(rows), num_labels=len(dataset.labels))
    return predictions_of(dataset, log_scores)


def predict_left_out(
    predictions: Predictions, dataset: Dataset, settings: TrainSettings, fit: Fit
) -> dict[str, FloatArray]:
    """Return by group, of those that take a network of their own, the (W', labels) log scores of their windows."""
    labels = [predictions.labels[i] for i in predictions.label_index]
    groups = groups_to_leave_out(labels, predictions.groups, predictions.fold)
    if not groups:
        return {}
    apart = replace(dataset, examples=with_groups_as_folds(dataset.examples, groups))
    networks = networks_of(fit(apart, settings, len(groups)).members, settings, dataset.labels)
    log_scores = predict_out_of_fold(networks, apart).window_log_scores
    return {group: log_scores[apart.examples.fold == place] for place, group in enumerate(groups)}


def predictions_of(dataset: Dataset, log_scores: FloatArray) -> Predictions:
    """Return the (W, labels) log scores with the windows and videos they belong to."""
    examples, windows = dataset.examples, list(dataset.windows.values())
    _, first = np.unique(examples.video_index, return_index=True)
    return Predictions(
        labels=dataset.labels,
        video_ids=examples.video_ids,
        groups=examples.groups,
        label_index=examples.label_index[first],
        fold=examples.fold[first],
        window_log_scores=log_scores,
        window_video=examples.video_index,
        window_start_seconds=np.concatenate([w.start_seconds for w in windows]),
        window_stop_seconds=np.concatenate([w.stop_seconds for w in windows]),
        kinematic_features=mean_by_video(
            examples.inputs.kinematic_features, examples.video_index, num_videos=len(examples.video_ids)
        ),
    )


def _baselines(predictions: Predictions, dataset: Dataset) -> dict[str, Predictions]:
    inputs = dataset.examples.inputs
    return {
        "majority": baselines.majority(predictions),
        "kinematic_regression": baselines.kinematic_regression(predictions, inputs.kinematic_features),
        "mean_pose_regression": baselines.mean_pose_regression(predictions, inputs.steps),
        "mean_speed_regression": baselines.mean_speed_regression(predictions, inputs.steps),
        "mean_score_regression": baselines.mean_score_regression(predictions, inputs.steps),
    }


def _seed_lstm(ours: Predictions, dataset: Dataset, settings: TrainSettings, fit: Fit) -> dict[str, Predictions]:
    """Return the student report's network trained on the same folds, if all videos are long enough for its windows."""
    if dataset.examples.video_ids != ours.video_ids:
        num_lost = len(ours) - len(dataset.videos)
        logger.warning("no comparison with the student report's LSTM: %d videos have no window of its length", num_lost)
        return {}
    theirs = seed_settings(settings)
    networks = networks_of(fit(dataset, theirs).members, theirs, dataset.labels)
    return {"report_lstm": predict_out_of_fold(networks, dataset)}


def _leaky(ours: Predictions, dataset: Dataset, settings: TrainSettings, fit: Fit) -> Predictions:
    """Return the predictions with windows divided at random: of the network if asked for, else of a regression."""
    examples = dataset.examples
    if not settings.leaky_split_too:
        return baselines.leaky_regression(ours, examples.inputs.kinematic_features, seed=settings.seed)
    num_folds = dataset.folds.num_folds
    fold = np.random.default_rng([settings.seed, 0]).permutation(len(examples)) % num_folds
    torn = replace(dataset, examples=replace(examples, fold=fold))
    networks = networks_of(fit(torn, settings).members, settings, dataset.labels)
    return replace(ours, window_log_scores=predict_out_of_fold(networks, torn).window_log_scores)


def _references(predictions: Predictions) -> dict[str, StyleReference]:
    """Return what each label's videos measure."""
    by_label = {
        label: predictions.kinematic_features[predictions.label_index == index]
        for index, label in enumerate(predictions.labels)
    }
    return {
        label: StyleReference.from_videos(mean_kinematics(of_video[None]) for of_video in features)
        for label, features in by_label.items()
    }
