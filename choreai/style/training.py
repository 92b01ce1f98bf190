"""Training a style model: keypoint tables and labels in, a model folder out.

The driver cuts the windows, divides the videos, has the workers train (`choreai.style.distributed`), and
judges what they end with on the held-out videos.
"""

import dataclasses
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from choreai.errors import TableError
from choreai.store import objects
from choreai.store.catalog import Video
from choreai.style.distributed import Progress, TrainResources, fit_on_ray
from choreai.style.evaluate import Metrics, evaluate
from choreai.style.examples import VideoExamples, make_examples, read_windows
from choreai.style.fitting import EpochResult
from choreai.style.model import StyleModel, StyleModelConfig, save_model
from choreai.style.plots import confusion_matrix_png, learning_curves_png
from choreai.style.settings import TrainSettings
from choreai.style.split import find_labels, split_groups

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataSummary:
    """What a model was trained and tested on."""

    split: str
    """How the videos were divided, e.g. `group; locking by contiguous blocks`."""
    num_train_videos: int
    num_test_videos: int
    num_train_windows: int
    num_test_windows: int
    num_without_keypoints: int
    """Labelled videos left out: not extracted, not decodable, or nobody in view."""
    num_without_windows: int
    """Labelled videos left out: nobody in view for long enough."""
    num_rows_not_finite: int
    """Keypoint rows with coordinates that are not finite, taken as unseen."""


@dataclass(frozen=True, eq=False)
class TrainedStyle:
    """A finished training and where it lies."""

    model: StyleModel
    model_uri: str
    """Folder of model.safetensors, model.json, metrics.json, confusion_matrix.png, learning_curves.png."""
    metrics: Metrics
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
    resources: TrainResources,
    on_progress: Callable[[Progress], None],
) -> TrainedStyle:
    """The model trained on the labelled `videos`' keypoints in `tables_uri`, saved in `output_uri`/models.

    Ray must be connected. `labels` empty: those of the catalog. Checkpoints go to `output_uri`/training.
    Raises TableError where the videos cannot be trained on, ConfigError where the loss does not stay finite,
    and `ray.train.TrainingFailedError` after more than MAX_FAILURES lost workers.
    """
    find_labels(videos, labels)  # before anything is read: most mistakes show here
    found = read_windows(tables_uri, pose_fingerprint, videos, settings.windows)
    usable = [v for v in videos if v.video_id in found.windows]
    _report_missing(found, len(videos), tables_uri=tables_uri, pose_fingerprint=pose_fingerprint)
    classes = find_labels(usable, labels)
    split = split_groups(
        usable,
        classes,
        seed=settings.seed,
        test_fraction=settings.test_fraction,
        when_one_group=settings.when_one_group,
    )
    examples = make_examples(
        found.windows,
        label_of={v.video_id: str(v.label) for v in usable},
        labels=classes,
        test_video_ids=split.test_video_ids,
    )
    config = StyleModelConfig(classes, pose_fingerprint, settings.hidden_size, settings.windows)
    state = fit_on_ray(
        examples,
        config,
        settings,
        folder_uri=objects.join_uri(output_uri, "training"),
        resources=resources,
        on_progress=on_progress,
    )
    data = DataSummary(
        split=split.description,
        num_train_videos=len(usable) - len(split.test_video_ids),
        num_test_videos=len(split.test_video_ids),
        num_train_windows=int((~examples.is_test).sum()),
        num_test_windows=int(examples.is_test.sum()),
        num_without_keypoints=found.num_without_keypoints,
        num_without_windows=found.num_without_windows,
        num_rows_not_finite=found.num_rows_not_finite,
    )
    training = {"settings": dataclasses.asdict(settings), "data": dataclasses.asdict(data)}
    model = StyleModel(state.network, config, training=training)
    metrics = evaluate(model, examples)
    trained = TrainedStyle(
        model=model,
        model_uri=objects.join_uri(output_uri, "models", model.model_version),
        metrics=metrics,
        history=tuple(state.history),
        data=data,
    )
    _save(trained)
    return trained


def _save(trained: TrainedStyle) -> None:
    """Nothing; writes the model's folder, the model itself last."""
    metrics: dict[str, Any] = {
        "model_version": trained.model.model_version,
        **trained.metrics.to_dict(),
        "data": dataclasses.asdict(trained.data),
        "history": [dataclasses.asdict(result) for result in trained.history],
    }
    parts = {
        "metrics.json": json.dumps(metrics, indent=2, ensure_ascii=False, allow_nan=False).encode(),
        "confusion_matrix.png": confusion_matrix_png(trained.metrics.videos),
        "learning_curves.png": learning_curves_png(trained.history),
    }
    for name, content in parts.items():
        objects.put_object(objects.join_uri(trained.model_uri, name), content)
    save_model(trained.model_uri, trained.model)


def _report_missing(found: VideoExamples, num_videos: int, *, tables_uri: str, pose_fingerprint: str) -> None:
    if not found.windows:
        raise TableError(
            f"{tables_uri}: no window of {num_videos} labelled videos in keypoints/{pose_fingerprint}: "
            f"{found.num_without_keypoints} without keypoints, {found.num_without_windows} with nobody "
            "in view for long enough; extract these videos with the same pose settings first"
        )
    if found.num_without_keypoints or found.num_without_windows or found.num_rows_not_finite:
        logger.warning(
            "left out of training: %d videos without keypoints, %d with nobody in view for long enough; "
            "%d rows with coordinates that are not finite were taken as unseen",
            found.num_without_keypoints,
            found.num_without_windows,
            found.num_rows_not_finite,
        )
