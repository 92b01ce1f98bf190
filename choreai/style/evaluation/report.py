"""The report beside a model: one HTML page that works offline, a model card, the figures and the numbers.

Names of videos, labels and groups come from catalogs, so everything is escaped.
"""

import base64
import json
import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from choreai import __version__
from choreai.catalog.catalog import Video
from choreai.errors import MediaError, StorageError
from choreai.motion.sequence import KeypointSequence
from choreai.storage import objects
from choreai.style.evaluation.bootstrap import Estimate
from choreai.style.evaluation.card import CARD_NAME, card_head, write_head
from choreai.style.evaluation.claims import limits
from choreai.style.evaluation.evaluate import Metrics, WorstVideo
from choreai.style.evaluation.plots import as_png, as_svg, display_name, draw_figures
from choreai.style.evaluation.report_data import data_files
from choreai.style.history import EpochResult
from choreai.style.model import StyleModel
from choreai.style.predictions import Predictions, write_predictions
from choreai.tables.keypoints import read_videos
from choreai.tables.parts import list_parts
from choreai.visualize.html import page_environment
from choreai.visualize.stills import annotated_stills

logger = logging.getLogger(__name__)

METRICS_NAME = "metrics.json"
PREDICTIONS_NAME = "predictions.parquet"
REPORT_NAME = "report.html"


@dataclass(frozen=True, eq=False)
class VideoSources:
    """Where the videos of a training and their keypoints are, for stills."""

    videos: Sequence[Video]
    tables_uri: str
    pose_fingerprint: str
    has_videos: bool = True
    """Without, there are only keypoints, and no stills."""


@dataclass(frozen=True, eq=False)
class _WorstEntry:
    """One of the worst videos as the page shows it."""

    video: WorstVideo
    stills: str = ""
    """A data URI; empty where there are none."""
    why_none: str = ""


@dataclass(frozen=True, eq=False)
class _Page:
    """The content of both templates."""

    model: StyleModel
    metrics: Metrics
    limits: tuple[str, ...]
    leaky_of: str
    """What was trained on a leaky split."""
    data: Mapping[str, Any]
    """As `DataSummary` has it."""
    settings: Mapping[str, Any]
    head: str = ""
    """Of the card."""
    worst: Sequence[_WorstEntry] = ()
    figures: Mapping[str, str] = field(default_factory=dict)
    """SVG by name."""


def write_report(
    folder_uri: str,
    *,
    model: StyleModel,
    metrics: Metrics,
    predictions: Predictions,
    history: Sequence[EpochResult],
    sources: VideoSources,
) -> None:
    """Write report.html, MODEL_CARD.md, metrics.json, predictions.parquet, and of each figure a PNG and its numbers as
    CSV to `folder_uri`.

    `model.training` must have `settings` and `data`, as training writes them. A video that cannot be opened gets a line
    that says why. Raises StorageError where nothing can be written.
    """
    figures = draw_figures(metrics, history)
    data, settings = model.training["data"], model.training["settings"]
    leaky_of = "networks" if settings.get("leaky_split_too") else "the kinematic regression"
    page = _Page(
        model=model,
        metrics=metrics,
        limits=limits(
            metrics, split=data["split"], leaky_of=leaky_of, context_seconds=model.config.windows.context_seconds
        ),
        leaky_of=leaky_of,
        data=data,
        settings=settings,
        head=write_head(card_head(model, metrics, data)),
        worst=_worst_entries(metrics.worst_videos, sources),
        figures={name: as_svg(figure, name=name) for name, figure in figures.items()},
    )
    made_by = {"seed": settings.get("seed"), "versions": dict(model.training.get("versions", {}))}
    numbers = {
        "model_version": model.model_version,
        "created_at": model.created_at,
        **made_by,
        **metrics.to_dict(),
        "data": dict(page.data),
        "history": [asdict(result) for result in history],
    }
    texts = {
        METRICS_NAME: json.dumps(numbers, indent=2, ensure_ascii=False, allow_nan=False),
        REPORT_NAME: _render("report.html.j2", page),
        CARD_NAME: _render("MODEL_CARD.md.j2", page),
    }
    for name, text in texts.items():
        # A video's name may hold half a surrogate pair, which no UTF-8 file can.
        objects.put_object(objects.join_uri(folder_uri, name), text.encode("utf-8", "replace"))
    about = {"model": model.model_version, "written by": f"choreai {__version__}", **_listed(made_by)}
    for name, figure in figures.items():
        objects.put_object(objects.join_uri(folder_uri, f"{name}.png"), as_png(figure, about=about))
    for name, content in data_files(metrics, history, about=about).items():
        objects.put_object(objects.join_uri(folder_uri, name), content)
    write_predictions(objects.join_uri(folder_uri, PREDICTIONS_NAME), predictions, about=about)


def _listed(made_by: Mapping[str, Any]) -> dict[str, str]:
    """Return seed and versions as text."""
    versions = ", ".join(f"{name} {version}" for name, version in made_by["versions"].items())
    return {name: str(value) for name, value in {**made_by, "versions": versions}.items() if value not in (None, "")}


def _worst_entries(worst: Sequence[WorstVideo], sources: VideoSources) -> list[_WorstEntry]:
    if not sources.has_videos:
        return [_WorstEntry(w, why_none="there are keypoints only, and no video") for w in worst]
    videos = {video.video_id: video for video in sources.videos}
    rows = _keypoints([videos[w.video_id] for w in worst if w.video_id in videos], sources)
    return [_worst_entry(w, videos.get(w.video_id), rows.get(w.video_id)) for w in worst]


def _worst_entry(worst: WorstVideo, video: Video | None, rows: KeypointSequence | None) -> _WorstEntry:
    if video is None or rows is None:
        return _WorstEntry(worst, why_none="its keypoints are not in the tables")
    try:
        stills = annotated_stills(video.uri, rows)
    except (MediaError, StorageError) as exc:
        logger.warning("no stills of %s in the report: %s", worst.video_id, exc.reason)
        return _WorstEntry(worst, why_none=exc.reason)
    if stills is None:
        return _WorstEntry(worst, why_none="nobody is in view in its first minute")
    return _WorstEntry(worst, stills=f"data:image/jpeg;base64,{base64.b64encode(stills).decode()}")


def _keypoints(videos: Sequence[Video], sources: VideoSources) -> dict[str, KeypointSequence]:
    """Return the keypoints of those videos that the tables have."""
    content_ids = {video.video_id: video.content_id for video in videos}
    found: dict[str, KeypointSequence] = {}
    for uri in list_parts(sources.tables_uri, "keypoints", sources.pose_fingerprint):
        if len(found) == len(content_ids):
            break
        found |= {name: rows for name, rows in read_videos(uri, content_ids) if len(rows)}
    return found


def _render(template: str, page: _Page) -> str:
    from jinja2 import PackageLoader

    environment = page_environment(PackageLoader("choreai.style.evaluation"))
    environment.autoescape = template.endswith(".html.j2")
    filters = {"figure": _figure, "span": _span, "name": display_name, "markdown": _markdown, "listed": _join_names}
    environment.filters.update(filters)
    return environment.get_template(template).render(page=page)


def _figure(value: float) -> str:
    return f"{value:.3f}"


def _span(estimate: Estimate) -> str:
    return f"{estimate.low:.3f} to {estimate.high:.3f}"


def _join_names(names: Iterable[str]) -> str:
    return ", ".join(names)


def _markdown(text: object) -> str:
    """Return one line of Markdown that shows the text as it is, HTML and all."""
    line = " ".join(str(text).split())
    return re.sub(r"([\\`*_{}\[\]<>()#|!~&])", r"\\\1", line)
