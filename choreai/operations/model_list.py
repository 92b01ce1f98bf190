"""The models of an output on one screen: what each was trained for, and how right it should be."""

import json
import warnings
from dataclasses import dataclass
from typing import Any

from choreai.errors import ChoreaiError, ChoreaiWarning, WeightsError
from choreai.storage import objects
from choreai.style.evaluation.card import CARD_NAME, value_of
from choreai.style.evaluation.report import METRICS_NAME
from choreai.style.model import DESCRIPTION_NAME, read_description


@dataclass(frozen=True)
class ListedModel:
    """A model as its folder describes it; no weights were read."""

    model_version: str
    uri: str
    created_at: str
    labels: tuple[str, ...]
    pose_fingerprint: str
    accuracy: float | None
    """Share of videos, cross-validated; None where the folder does not say."""
    unseen_accuracy: float | None
    """The same, expected on sources never seen."""


def list_models(output: str) -> list[ListedModel]:
    """Return the models under `output`/models, the newest first, which jobs take; a damaged one is warned of."""
    found = []
    for info in objects.list_objects(objects.join_uri(output, "models") + "/"):
        if info.uri.endswith(f"/{DESCRIPTION_NAME}"):
            try:
                found.append(_describe(info.uri.removesuffix(f"/{DESCRIPTION_NAME}")))
            except WeightsError as exc:
                warnings.warn(f"left out: {exc}", ChoreaiWarning, stacklevel=2)
    return sorted(found, key=lambda each: (each.created_at, each.uri), reverse=True)


def _describe(folder: str) -> ListedModel:
    description = read_description(folder)
    try:
        config = description["config"]
        labels, pose_fingerprint = tuple(map(str, config["labels"])), str(config["pose_fingerprint"])
    except (KeyError, TypeError) as exc:
        raise WeightsError(f"{folder}: the config in {DESCRIPTION_NAME} has no {exc}") from exc
    return ListedModel(
        model_version=str(description.get("model_version", "")),
        uri=folder,
        created_at=str(description.get("created_at", "")),
        labels=labels,
        pose_fingerprint=pose_fingerprint,
        accuracy=_accuracy(folder, dataset="cross-validation", keys=("videos", "accuracy", "value")),
        unseen_accuracy=_accuracy(folder, dataset="unseen-sources", keys=("unseen", "accuracy", "value")),
    )


def _accuracy(folder: str, *, dataset: str, keys: tuple[str, ...]) -> float | None:
    """Return a number of metrics.json, or of the card's head, which is what a model that was pulled has."""
    value: Any = None
    try:
        value = json.loads(objects.read_object(objects.join_uri(folder, METRICS_NAME)))
        for key in keys:
            value = value[key]
    except (ChoreaiError, ValueError, KeyError, TypeError, RecursionError):
        value = None
    if isinstance(value, int | float):
        return float(value)
    try:
        card = objects.read_object(objects.join_uri(folder, CARD_NAME)).decode("utf-8", "replace")
    except ChoreaiError:
        return None
    return value_of(card, dataset=dataset, metric="accuracy")
