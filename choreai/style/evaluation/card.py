"""The head of a model card: YAML between two lines of ---, which the Hugging Face hub and `choreai model list` read."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml  # type: ignore[import-untyped]

from choreai.errors import WeightsError
from choreai.style.evaluation.bootstrap import Estimate
from choreai.style.evaluation.evaluate import Metrics
from choreai.style.model import StyleModel

CARD_NAME = "MODEL_CARD.md"
_FENCE = "---\n"
_TASK = {"type": "video-classification", "name": "Dance style"}
NO_LICENCE = "unknown"
"""What the hub calls a licence that nobody named."""


def card_head(model: StyleModel, metrics: Metrics, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the head says of a model at the end of its training; its terms are for whoever shares it to say."""
    return {
        "library_name": "choreai",
        "pipeline_tag": _TASK["type"],
        "tags": ["dance", "pose", "lstm"],
        "model-index": [{"name": model.model_version, "results": _results(metrics, data)}],
    }


def _results(metrics: Metrics, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the results as the hub wants them: of the cross-validation, and of sources never seen where there are."""
    videos = metrics.videos
    shown = [
        ("accuracy", "accuracy of videos", videos.accuracy),
        ("f1", "macro F1 of videos", videos.macro_f1),
        ("precision", "macro precision of videos", videos.macro_precision),
        ("recall", "macro recall of videos", videos.macro_recall),
    ]
    dataset = f"{videos.num} videos, cross-validated: {data['split']}"
    results = [_result("cross-validation", dataset, [_metric(*each) for each in shown])]
    if metrics.unseen is not None and metrics.unseen.accuracy is not None:
        unseen = _metric("accuracy", "accuracy expected on sources never seen", metrics.unseen.accuracy)
        results.append(_result("unseen-sources", "sources left out one at a time", [unseen]))
    return results


def _result(kind: str, name: str, metrics: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    return {"task": dict(_TASK), "dataset": {"type": kind, "name": name}, "metrics": list(metrics)}


def _metric(kind: str, name: str, value: Estimate) -> dict[str, Any]:
    interval = f"95 % interval {value.low:.3f} to {value.high:.3f}"
    return {"type": kind, "name": f"{name} ({interval})", "value": round(value.value, 4)}


def write_head(head: Mapping[str, Any]) -> str:
    """Return the head as text, its fences included."""
    text = yaml.safe_dump(dict(head), sort_keys=False, allow_unicode=True, width=10_000)
    return f"{_FENCE}{text}{_FENCE}"


def split_card(card: str) -> tuple[dict[str, Any], str]:
    """Return the head of a card and what follows it. Raises WeightsError for a head that is no YAML mapping."""
    if not card.startswith(_FENCE):
        return {}, card
    text, fence, body = card.removeprefix(_FENCE).partition(f"\n{_FENCE}")
    try:
        head = yaml.safe_load(text) if fence else None
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise WeightsError(f"{CARD_NAME}: its head is no YAML ({' '.join(str(exc).split())}); mend it") from exc
    if not isinstance(head, dict):
        raise WeightsError(f"{CARD_NAME}: its head, between two lines of ---, names no keys; mend it")
    return head, body


def with_terms(card: str, *, licence: str | None, datasets: Sequence[str]) -> str:
    """Return the card with a licence and data sets in its head; what it has stays where nothing is given."""
    head, body = split_card(card)
    terms = {"license": licence or head.get("license") or NO_LICENCE}
    if datasets or head.get("datasets"):
        terms["datasets"] = list(datasets) or head["datasets"]
    return write_head({**terms, **{key: value for key, value in head.items() if key not in terms}}) + body


def value_of(card: str, *, dataset: str, metric: str) -> float | None:
    """Return a number of the card's model-index, None where it has none: of a release before, or of another program."""
    try:
        (model, *_) = split_card(card)[0]["model-index"]
        values = [
            each["value"]
            for result in model["results"]
            if result["dataset"]["type"] == dataset
            for each in result["metrics"]
            if each["type"] == metric
        ]
        return float(values[0]) if values else None
    except (WeightsError, KeyError, TypeError, ValueError):
        return None
