"""The videos of an output in groups that move alike: by a model's motion embeddings, or by kinematics without one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from choreai.arrays import FloatArray, IntArray
from choreai.errors import ConfigError
from choreai.motion.clusters import MIN_VIDEOS, Clustering, find_clusters, standardise
from choreai.motion.kinematics import FEATURES, MIN_BEAT_STRENGTH, Kinematics
from choreai.pipeline.duplicates import keypoints_version
from choreai.pipeline.embed import embed_missing
from choreai.pipeline.progress import progress
from choreai.search.corrections import read_corrections
from choreai.search.similar import mean_vectors, newest_videos
from choreai.style.dancers import measure_dancers
from choreai.style.embedding import unit_length
from choreai.style.model import load_model
from choreai.tables import schemas
from choreai.tables.keypoints import read_contents
from choreai.tables.parts import list_parts, read_table

KINEMATICS = "kinematics"
MIN_WORD_DEVIATIONS = 0.5
"""A group's mean must be so far from that of all videos for a word."""
MAX_WORDS = 3
_WORDS = {
    "body_speed_mean": ("slow", "fast"),
    "feet_speed_mean": ("calm feet", "quick feet"),
    "hands_speed_mean": ("calm hands", "quick hands"),
    "travel_speed_mean": ("on the spot", "travelling"),
    "reach_mean": ("arms close", "arms far out"),
    "stance_width_mean": ("narrow stance", "wide stance"),
    "bounce_height": ("level", "bouncing"),
    "torso_lean_degrees_mean": ("upright", "leaning"),
    "bent_knees_share": ("straight legs", "bent knees"),
    "bent_elbows_share": ("straight arms", "bent elbows"),
    "hips_height_mean": ("near the floor", ""),
    "hands_up_share": ("", "hands up"),
    "hands_still_share": ("", "hands with stops"),
    "half_turns_per_second": ("", "turning"),
}
"""By feature what a group is that has little of it, and much."""


@dataclass(frozen=True)
class VideoCluster:
    """Videos that move alike."""

    medoid: str
    """The most typical."""
    video_ids: tuple[str, ...]
    """The medoid first, then the others, the most like it first."""
    words: str
    """What is different in them from all the videos here."""


@dataclass(frozen=True)
class VideoClusters:
    """All the videos of an output that nobody has labelled, in groups."""

    compared: str
    """What was compared: `kinematics`, or the version of the model whose embeddings were."""
    pose_fingerprint: str
    clusters: tuple[VideoCluster, ...]
    outside: tuple[str, ...]
    """Near no group: each is nearer to another group than to its own."""
    silhouette: float
    """-1 to 1; below 0.03 there are hardly any groups."""
    num_labelled: int
    """Left out, as a person has said what they are."""
    uris: dict[str, str]
    """By video_id."""
    content_ids: dict[str, str]


def cluster_videos(output: str, *, model_uri: str | None = None, num_clusters: int | None = None) -> VideoClusters:
    """Return the groups among the videos of `output` that no review has a style of.

    Raises ConfigError where there are too few videos, or none with keypoints.
    """
    pose_id = keypoints_version(output, model_uri)
    movements = _movements(output, pose_id)
    points = _embeddings(output, model_uri) if model_uri else _points(movements)
    reviews = read_corrections(output)
    labelled = set(reviews.filter(pc.is_valid(reviews["style"]))["video_id"].to_pylist())
    names = sorted((points.keys() & movements.keys()) - labelled)
    if len(names) < MIN_VIDEOS:
        raise ConfigError(
            f"{output}: {len(names)} videos without a label show somebody; clusters need {MIN_VIDEOS} or more"
        )
    if num_clusters is not None and num_clusters > len(names) // 2:
        raise ConfigError(f"--num-clusters must be at most half of the {len(names)} videos, got {num_clusters}")
    found = find_clusters(np.stack([points[name] for name in names]), num_clusters)
    videos = read_table(output, "videos", pose_id, schemas.VIDEOS, columns=["video_id", "uri", "content_id"])
    known = {row["video_id"]: row for row in videos.to_pylist()}
    return VideoClusters(
        compared=load_model(model_uri).model_version if model_uri else KINEMATICS,
        pose_fingerprint=pose_id,
        clusters=_named(found, names, movements),
        outside=tuple(names[row] for row in found.outside),
        silhouette=found.silhouette,
        num_labelled=len(labelled & movements.keys()),
        uris={name: known[name]["uri"] if name in known else "" for name in names},
        content_ids={name: known[name]["content_id"] for name in names if name in known},
    )


def group_movements(movements: dict[str, Kinematics]) -> tuple[VideoCluster, ...]:
    """Return the groups among videos measured just now, by video_id; of fewer than MIN_VIDEOS none."""
    if len(movements) < MIN_VIDEOS:
        return ()
    points = _points(movements)
    names = sorted(points)
    return _named(find_clusters(np.stack([points[name] for name in names])), names, movements)


def _movements(output: str, pose_id: str) -> dict[str, Kinematics]:
    """Return by video_id the movement of the main dancer; without videos that show nobody."""
    found = {}
    parts = sorted(list_parts(output, "keypoints", pose_id))
    with progress("measuring", len(parts)) as steps:
        for uri in parts:
            for video_id, _, rows in read_contents(uri):
                main = next((each for each in measure_dancers(rows) if each.is_main), None)
                if main is not None:
                    found[video_id] = main.kinematics
            steps.advance()
    return found


def _points(movements: dict[str, Kinematics]) -> dict[str, FloatArray]:
    return dict(zip(movements, standardise(_table(list(movements.values()))), strict=True))


def _table(movements: Sequence[Kinematics]) -> FloatArray:
    """Return (N, FEATURES) values; tempo says nothing here, as it is no number without a clear beat."""
    names = [name for name in FEATURES if name != "beats_per_minute"]
    values = [[getattr(each, name) for name in names] for each in movements]
    return np.array(values, np.float32).reshape(len(movements), len(names))


def _embeddings(output: str, model_uri: str) -> dict[str, FloatArray]:
    model = load_model(model_uri)
    embed_missing(output, model_uri=model_uri, model=model)
    vectors = mean_vectors(output, model.model_version, newest_videos(output, model.model_version))
    return {name: unit_length(vector[None])[0] for name, vector in vectors.items()}


def _named(found: Clustering, names: Sequence[str], movements: dict[str, Kinematics]) -> tuple[VideoCluster, ...]:
    values = np.array([[getattr(movements[name], key) for key in _WORDS] for name in names], np.float32)
    deviations = standardise(values)
    return tuple(
        VideoCluster(
            names[each.medoid],
            tuple(names[row] for row in each.members),
            ", ".join([*_words(deviations[list(each.members)]), *_tempo([movements[names[r]] for r in each.members])]),
        )
        for each in found.clusters
    )


def _words(deviations: FloatArray) -> list[str]:
    """Return up to MAX_WORDS words for what lies furthest from all videos, the furthest first."""
    means = deviations.mean(axis=0)
    order: IntArray = np.argsort(-np.abs(means), kind="stable")
    words = [list(_WORDS.values())[place][int(means[place] > 0)] for place in order.tolist()
             if abs(means[place]) >= MIN_WORD_DEVIATIONS]  # fmt: skip
    return [word for word in words if word][:MAX_WORDS] or ["as most are"]


def _tempo(movements: Sequence[Kinematics]) -> list[str]:
    """Return the middle tempo where most have a clear beat."""
    clear = [each.beats_per_minute for each in movements if each.beat_strength >= MIN_BEAT_STRENGTH]
    return [f"{np.median(clear):.0f} beats/min"] if len(clear) > len(movements) / 2 else []
