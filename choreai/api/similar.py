"""Videos that move alike: one of the tables, or a file, against all that the tables have."""

import difflib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from choreai.api.poses import NUM_THREADS, estimate_with
from choreai.errors import CatalogError, ConfigError, WeightsError
from choreai.motion.windows import cut_windows
from choreai.pipeline.embed import embed_missing
from choreai.pose.build import build_estimator, follow_poses, pose_fingerprint
from choreai.pose.choice import settle
from choreai.pose.settings import PoseSettings
from choreai.search.corrections import read_corrections
from choreai.search.similar import (
    EmbeddedVideo,
    MotionQuery,
    SimilarVideo,
    find_similar,
    find_video,
    newest_videos,
    query_of,
)
from choreai.storage import objects
from choreai.style.embedding import embed_windows
from choreai.style.examples import Inputs
from choreai.style.model import StyleModel, load_model, newest_model
from choreai.tables import schemas
from choreai.tables.parts import read_table

logger = logging.getLogger(__name__)

MAX_SUGGESTED_FROM = 100_000
"""Ids among which the nearest to a misspelt one is looked for: a second."""


@dataclass(frozen=True, eq=False)
class Similarity:
    """The videos like one, and what they were found among."""

    video: str
    """The id or the file that was asked for."""
    found: tuple[SimilarVideo, ...]
    """The most similar first."""
    styles: Mapping[str, str]
    """By video_id of those found the tag of this model, or what a review says; without those that have neither."""
    num_videos: int
    num_windows: int
    """Searched through."""
    num_not_embedded: int
    """Videos with poses that could not be embedded now; running it again tries them again."""
    model_version: str


def similar(
    video: str, *, output: str, model: str | None = None, count: int = 10, settings: PoseSettings | None = None
) -> Similarity:
    """Return the `count` videos in the tables under `output` whose movement is most like that of `video`.

    `video` is an id or a URI in these tables, or a file, whose poses are then estimated with `settings` (default: the
    estimator of the model's training). `model` is the folder of a style model (default: the newest under `output`).
    Videos that it has not embedded yet are embedded first. Raises WeightsError for a missing model, CatalogError for a
    video that is nowhere, ConfigError where no poses of the model's kind are.
    """
    uri = model_uri(output, model)
    style_model = load_model(uri)
    version = style_model.model_version
    done = embed_missing(output, model_uri=uri, model=style_model)
    videos = embedded_videos(output, style_model)
    known, query = windows_of(video, output=output, model=style_model, videos=videos, settings=settings)
    found = find_similar(
        output, version, query, videos=videos, count=count, leave_out=None if known is None else known.video_id
    )
    num_windows = sum(videos["num_windows"].to_pylist())
    styles = _styles(output, version, [each.video_id for each in found])
    return Similarity(video, tuple(found), styles, len(videos), num_windows, done.num_failed, version)


def model_uri(output: str, model: str | None) -> str:
    """Return the model's folder, by default the newest under `output`. Raises WeightsError where there is none."""
    uri = model or newest_model(output)
    if uri is None:
        raise WeightsError(f"{output}: no style model here yet; run `choreai train`, or name one with --model")
    return uri


def embedded_videos(output: str, model: StyleModel) -> pa.Table:
    """Return the videos that `model` has embedded, as `newest_videos` does. Raises ConfigError where there are none."""
    videos = newest_videos(output, model.model_version)
    if not len(videos):
        raise ConfigError(
            f"{output}: no poses {model.config.pose_fingerprint} here, on which {model.model_version} was trained; run "
            "`choreai extract` with the [pose] settings of its training"
        )
    return videos


def windows_of(
    name: str, *, output: str, model: StyleModel, videos: pa.Table, settings: PoseSettings | None
) -> tuple[EmbeddedVideo | None, MotionQuery]:
    """Return the windows of a video, and its entry if it is one of the `videos`; else its poses are estimated now.

    Raises CatalogError if it is nowhere or shows nobody for long enough.
    """
    known = find_video(videos, name)
    if known is not None:
        query = query_of(output, model.model_version, known)
    elif objects.stat_object(name) is None:
        raise CatalogError(f"{name}: no such file, and no video of that id or URI under {output}{_meant(name, videos)}")
    else:
        query = _query_now(name, model, settings or PoseSettings())
    if not len(query):
        raise CatalogError(f"{name}: nobody is in view for {model.config.windows.min_seconds:g} s on end")
    return known, query


def _query_now(path_or_uri: str, model: StyleModel, settings: PoseSettings) -> MotionQuery:
    """Return the windows of a video whose poses are estimated now. Raises WeightsError for poses of another kind."""
    wanted = follow_poses(settings, model.config.pose_fingerprint, read_file=objects.read_object)
    wanted = settle(wanted, read_file=objects.read_object)
    estimator = build_estimator(wanted, read_file=objects.read_object, num_threads=NUM_THREADS)
    if pose_fingerprint(wanted, estimator) != model.config.pose_fingerprint:
        raise WeightsError(
            f"{model.model_version} was trained on poses {model.config.pose_fingerprint}, but these settings make "
            f"{pose_fingerprint(wanted, estimator)}; give the [pose] settings of its training with --config"
        )
    logger.info("estimating the poses of %s now", path_or_uri)
    windows = cut_windows(estimate_with(estimator, path_or_uri, settings=wanted).sequence, model.config.windows)
    vectors = embed_windows(model.networks, Inputs.from_windows(windows))
    return MotionQuery(vectors, windows.start_seconds, windows.stop_seconds)


def _styles(output: str, model_version: str, video_ids: Sequence[str]) -> dict[str, str]:
    """Return the styles of these videos that are known: the newest tag's, or the last review's."""
    wanted = pa.array(video_ids, pa.string())
    columns = ["video_id", "style", "tagged_at"]
    tags = read_table(output, "tags", model_version, schemas.TAGS, columns=columns)
    tags = tags.filter(pc.is_in(tags["video_id"], value_set=wanted)).sort_by([("tagged_at", "ascending")])
    reviews = read_corrections(output)
    reviews = reviews.filter(pc.is_in(reviews["video_id"], value_set=wanted))
    rows = [*tags.to_pylist(), *reviews.select(["video_id", "style"]).to_pylist()]
    return {row["video_id"]: row["style"] for row in rows if row["style"] is not None}


def _meant(name: str, videos: pa.Table) -> str:
    near = difflib.get_close_matches(name, videos["video_id"].slice(0, MAX_SUGGESTED_FROM).to_pylist(), n=1)
    return f"; did you mean {near[0]}?" if near else ""
