"""A style added to a trained model by a few examples: a new model beside the old one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from choreai.api.similar import embedded_videos, model_uri, windows_of
from choreai.arrays import FloatArray, IntArray
from choreai.catalog.spellings import spelling_key
from choreai.errors import ConfigError, ObjectMissingError
from choreai.pipeline.embed import embed_missing
from choreai.pose.settings import PoseSettings
from choreai.search.corrections import store_reviews
from choreai.search.similar import EmbeddedVideo, mean_vectors
from choreai.storage import objects
from choreai.style.model import StyleModel, load_model, save_model
from choreai.style.predictions import read_predictions
from choreai.style.taught import MIN_KNOWN_VIDEOS, TaughtStyle, teach_style
from choreai.tables.schemas import UNKNOWN

PREDICTIONS_NAME = "predictions.parquet"


@dataclass(frozen=True, eq=False)
class Lesson:
    """What came of teaching a style."""

    name: str
    style: TaughtStyle
    num_known: int
    """Videos of the known styles that it was told from."""
    model_uri: str
    """The new model's folder."""
    model_version: str
    taught_from: str
    """The version of the model before."""
    num_reviews: int
    """Examples in the tables, whose style was stored as a review."""


def teach(
    name: str,
    examples: Sequence[str],
    *,
    output: str,
    reviewer: str,
    model: str | None = None,
    settings: PoseSettings | None = None,
) -> Lesson:
    """Add the style `name` to a model by `examples`, and write the new model under `output`; the old one stays.

    Examples are ids or URIs in the tables under `output`, or files, whose poses are then estimated with `settings`. The
    known styles' videos are those of the model's training, whose keypoints must be under `output`. Examples that are in
    the tables are stored as reviews by `reviewer`, so that the next training takes the style over. A style that was
    taught before is taught anew. Raises ConfigError for a name or tables that will not do, else as
    `choreai.api.similar.similar`.
    """
    uri = model_uri(output, model)
    style_model = load_model(uri)
    check_name(name, style_model)
    embed_missing(output, model_uri=uri, model=style_model)
    videos = embedded_videos(output, style_model)
    names = list(dict.fromkeys(examples))
    found = [windows_of(each, output=output, model=style_model, videos=videos, settings=settings) for each in names]
    entries = [entry for entry, _ in found if entry is not None]
    vectors = np.stack([query.vectors.mean(axis=0) for _, query in found])
    known, known_label = _known_videos(output, uri, style_model, {entry.video_id for entry in entries}, videos)
    ids = [each if entry is None else entry.video_id for each, (entry, _) in zip(names, found, strict=True)]
    style = teach_style(vectors, known, known_label, video_ids=ids)
    taught_model = _with_style(style_model, name, style)
    folder = objects.join_uri(output, "models", taught_model.model_version)
    objects.put_if_absent(objects.join_uri(folder, PREDICTIONS_NAME), _read_predictions_of(uri))
    save_model(folder, taught_model)
    _store_reviews(output, name, entries, reviewer)
    return Lesson(name, style, len(known), folder, taught_model.model_version, style_model.model_version, len(entries))


def check_name(name: str, model: StyleModel) -> None:
    """Raise ConfigError for a name that a trained style has, or nearly has."""
    if not name.strip() or name != name.strip() or spelling_key(name) == UNKNOWN:
        raise ConfigError(f"{name!r} cannot be a style; give it the name of a dance")
    if name in model.config.taught:
        return
    for label in model.config.labels:
        if spelling_key(label) == spelling_key(name):
            raise ConfigError(
                f"{name!r}: {model.model_version} was trained on {label!r} already; to change what it knows, label "
                "more videos and train again"
            )


def _read_predictions_of(uri: str) -> bytes:
    try:
        return objects.read_object(objects.join_uri(uri, PREDICTIONS_NAME))
    except ObjectMissingError as exc:
        raise ConfigError(
            f"{uri}: there is no {PREDICTIONS_NAME}, which names the videos of its training; give the folder as "
            "`choreai train` wrote it"
        ) from exc


def _known_videos(
    output: str, uri: str, model: StyleModel, examples: set[str], videos: pa.Table
) -> tuple[FloatArray, IntArray]:
    """Return the mean vectors and labels (N,) of the videos of the model's training that are in the tables."""
    _read_predictions_of(uri)
    predictions = read_predictions(objects.join_uri(uri, PREDICTIONS_NAME))
    vectors = mean_vectors(output, model.model_version, videos)
    labelled = zip(predictions.video_ids, predictions.label_index.tolist(), strict=True)
    usable = [(video_id, label) for video_id, label in labelled if video_id in vectors and video_id not in examples]
    if len(usable) < MIN_KNOWN_VIDEOS:
        raise ConfigError(
            f"{output}: has {len(usable)} of the {len(predictions.video_ids)} videos that {model.model_version} was "
            f"trained on, and {MIN_KNOWN_VIDEOS} are needed to tell a style from theirs; give the --output of its "
            "training"
        )
    return np.stack([vectors[video_id] for video_id, _ in usable]), np.array([label for _, label in usable])


def _with_style(model: StyleModel, name: str, style: TaughtStyle) -> StyleModel:
    taught = {**model.config.taught, name: style}
    labels = (*model.config.labels[: model.config.num_trained], *taught)
    config = replace(model.config, labels=labels, taught=taught, taxonomy_version="")
    return StyleModel(model.networks, config, training={**model.training, "taught_from": model.model_version})


def _store_reviews(output: str, name: str, entries: Sequence[EmbeddedVideo], reviewer: str) -> None:
    now = datetime.now(UTC)
    moment = now.replace(microsecond=now.microsecond // 1000 * 1000)
    said = {"style": name, "reviewer": reviewer, "reviewed_at": moment, "note": "an example of `choreai teach`"}
    blank = {"content_id": None, "dancers": None, "pose_fingerprint": None}
    if entries:
        store_reviews(output, [{"video_id": each.video_id, **said, **blank} for each in entries])
