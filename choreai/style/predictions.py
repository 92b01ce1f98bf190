"""Out-of-fold predictions: scores of videos whose groups the network never saw, with their labels.

Everything claimed of a model (`evaluate`), its temperature and threshold (`calibrate`) and its limits of ordinary
movement (`novelty`) come from these; they lie beside the model as a Parquet table for whoever wants to check.
"""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from choreai.arrays import AnyFloatArray, BoolArray, FloatArray, IntArray
from choreai.errors import TableError
from choreai.storage import objects
from choreai.tables.parts import WRITING
from choreai.tables.schemas import from_list_column, list_column

SCHEMA_VERSION = "1"


def _no_outliers() -> FloatArray:
    return np.zeros((0, 0), np.float32)


@dataclass(frozen=True, eq=False)
class Predictions:
    """V videos and their W windows, each scored by the network of the fold in which it was held out."""

    labels: tuple[str, ...]
    """The C classes, in the order of the scores."""
    video_ids: tuple[str, ...]
    groups: tuple[str, ...]
    """(V,) dancer or source; a video without one has its own id."""
    label_index: IntArray
    """(V,) index into `labels`: what a person said."""
    fold: IntArray
    """(V,) the fold in which the video was held out, from 0."""
    window_log_scores: FloatArray
    """(W, C) natural logarithms of the network's probabilities, not calibrated."""
    window_video: IntArray
    """(W,) index into `video_ids`; every video has a window."""
    window_start_seconds: FloatArray
    """(W,) of the video, as `Windows` has it."""
    window_stop_seconds: FloatArray
    """(W,)."""
    kinematic_features: FloatArray
    """(V, K) the video's mean kinematics, NaN where missing."""
    outliers: FloatArray = field(default_factory=_no_outliers)
    """(O, K) mean kinematics of videos of no dance, or of dances outside of the labels, given for `novelty`; no part of
    the table."""

    def __post_init__(self) -> None:
        num_videos, num_windows = len(self.video_ids), len(self.window_log_scores)
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be two or more different names, got {list(self.labels)}")
        if not num_videos or len(set(self.video_ids)) != num_videos:
            raise ValueError(f"video_ids must be different, and one at least, got {num_videos}")
        expected = {
            "label_index": (num_videos,),
            "fold": (num_videos,),
            "window_log_scores": (num_windows, len(self.labels)),
            "window_video": (num_windows,),
            "window_start_seconds": (num_windows,),
            "window_stop_seconds": (num_windows,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} must be {shape}, got {getattr(self, name).shape}")
        features = self.kinematic_features
        if features.ndim != 2 or len(features) != num_videos or len(self.groups) != num_videos:
            raise ValueError(
                f"kinematic_features must be ({num_videos}, K) and groups ({num_videos},), "
                f"got {features.shape} and {len(self.groups)}"
            )
        if self.label_index.min() < 0 or self.label_index.max() >= len(self.labels) or self.fold.min() < 0:
            raise ValueError(f"label_index must be 0 to {len(self.labels) - 1}, and fold not negative")
        if not np.array_equal(np.unique(self.window_video), np.arange(num_videos)):
            raise ValueError(f"window_video must name each of the {num_videos} videos, and no other")
        if not np.isfinite(self.window_log_scores).all() or self.window_log_scores.max() > 1e-4:
            raise ValueError("window_log_scores must be logarithms of probabilities: finite, and none above 0")

    def __len__(self) -> int:
        """Return the number of videos."""
        return len(self.video_ids)

    @property
    def video_log_scores(self) -> FloatArray:
        """(V, C) mean over each video's windows."""
        return mean_by_video(self.window_log_scores, self.window_video, num_videos=len(self))

    @property
    def is_right(self) -> BoolArray:
        """(V,) whether the best style is the label."""
        return self.video_log_scores.argmax(axis=1) == self.label_index

    def windows_where(self, chosen: BoolArray) -> "Predictions":
        """Return only the chosen (W,) windows; videos left without one are dropped."""
        kept, video_of_window = np.unique(self.window_video[chosen], return_inverse=True)
        return Predictions(
            labels=self.labels,
            video_ids=tuple(self.video_ids[v] for v in kept),
            groups=tuple(self.groups[v] for v in kept),
            label_index=self.label_index[kept],
            fold=self.fold[kept],
            window_log_scores=self.window_log_scores[chosen],
            window_video=video_of_window.astype(np.int64),
            window_start_seconds=self.window_start_seconds[chosen],
            window_stop_seconds=self.window_stop_seconds[chosen],
            kinematic_features=self.kinematic_features[kept],
            outliers=self.outliers,
        )

    def videos_where(self, chosen: BoolArray) -> "Predictions":
        """Return only the chosen (V,) videos."""
        return self.windows_where(chosen[self.window_video])


def mean_by_video(values: AnyFloatArray, window_video: IntArray, *, num_videos: int) -> FloatArray:
    """Return (V, K) means over each video's windows of (W, K) values: NaN is left out, and all NaN stays NaN."""
    known = np.isfinite(values)
    sums = np.zeros((num_videos, values.shape[1]))
    counts = np.zeros_like(sums)
    np.add.at(sums, window_video, np.where(known, values, 0.0))
    np.add.at(counts, window_video, known)
    with np.errstate(invalid="ignore"):
        return (sums / counts).astype(np.float32)


def write_predictions(uri: str, predictions: Predictions, *, about: Mapping[str, str] | None = None) -> None:
    """Write a Parquet table to `uri`, one row per window, its video's columns repeated; `about` goes into its metadata
    as `choreai.about`, JSON."""
    of_window = predictions.window_video
    table = pa.table(
        {
            "video_id": pa.array(predictions.video_ids).take(pa.array(of_window)),
            "group": pa.array(predictions.groups).take(pa.array(of_window)),
            "label": pa.array(predictions.labels).take(pa.array(predictions.label_index[of_window])),
            "fold": predictions.fold[of_window],
            "start_seconds": predictions.window_start_seconds,
            "stop_seconds": predictions.window_stop_seconds,
            "log_scores": list_column(predictions.window_log_scores),
            "video_context": list_column(predictions.kinematic_features[of_window]),
        }
    ).replace_schema_metadata(
        {
            "choreai.predictions_version": SCHEMA_VERSION,
            "choreai.labels": json.dumps(predictions.labels),
            "choreai.about": json.dumps(dict(about or {})),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **WRITING)
    objects.put_object(uri, buffer.getvalue())


def read_predictions(uri: str) -> Predictions:
    """Return what `write_predictions` wrote to `uri`. Raises TableError for anything else."""
    try:
        table = pq.read_table(io.BytesIO(objects.read_object(uri)), page_checksum_verification=True)
        metadata = table.schema.metadata or {}
        if (version := metadata[b"choreai.predictions_version"].decode()) != SCHEMA_VERSION:
            raise ValueError(f"version {version}, but this release reads {SCHEMA_VERSION}")
        labels = tuple(json.loads(metadata[b"choreai.labels"]))
        video_ids = tuple(dict.fromkeys(table["video_id"].to_pylist()))
        place = {name: i for i, name in enumerate(video_ids)}
        of_window = np.array([place[name] for name in table["video_id"].to_pylist()], np.int64)
        _, first = np.unique(of_window, return_index=True)
        return Predictions(
            labels=labels,
            video_ids=video_ids,
            groups=tuple(table["group"].take(pa.array(first)).to_pylist()),
            label_index=np.array([labels.index(n) for n in table["label"].take(pa.array(first)).to_pylist()], np.int64),
            fold=table["fold"].to_numpy()[first],
            window_log_scores=from_list_column(table["log_scores"]),
            window_video=of_window,
            window_start_seconds=table["start_seconds"].to_numpy(),
            window_stop_seconds=table["stop_seconds"].to_numpy(),
            kinematic_features=from_list_column(table["video_context"])[first],
        )
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as exc:
        raise TableError(f"{uri}: not the predictions of a training run ({exc}); train again") from exc
