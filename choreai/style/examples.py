"""Examples: the labelled windows a style model learns from and is tested on, cut from the keypoint tables.

The driver cuts them once and writes them as one Parquet object beside the run's checkpoints; every training
worker reads them there, so that Ray carries none of it.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from choreai.errors import TableError
from choreai.motion.windows import Windows, WindowSettings, cut_windows
from choreai.store import objects, tables
from choreai.store.catalog import Video
from choreai.store.keypoints import KeypointRows, read_videos

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled windows, W of them, of V videos, sorted by video_id."""

    steps: FloatArray
    """(W, num_steps, 51), see `choreai.motion.windows.Windows`."""
    label_index: IntArray
    """(W,), index into the model's labels."""
    video_index: IntArray
    """(W,), index into `video_ids`."""
    is_test: BoolArray
    """(W,)."""
    video_ids: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("label_index", "video_index", "is_test"):
            if getattr(self, name).shape != (len(self.steps),):
                raise ValueError(f"{name} must be ({len(self.steps)},), got {getattr(self, name).shape}")

    def __len__(self) -> int:
        return len(self.steps)

    def part(self, *, test: bool) -> "Examples":
        """The test windows, or the training windows."""
        rows = np.flatnonzero(self.is_test == test)
        return Examples(
            self.steps[rows],
            self.label_index[rows],
            self.video_index[rows],
            self.is_test[rows],
            self.video_ids,
        )

    def digest(self) -> str:
        """16 hex digits that change when any example does."""
        digest = hashlib.sha256("\0".join(self.video_ids).encode())
        for array in (self.steps, self.label_index, self.video_index, self.is_test):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


def windows_of(rows: KeypointRows, settings: WindowSettings) -> Windows:
    """The windows of one video's rows."""
    return cut_windows(
        pts_seconds=rows.pts_seconds,
        track_id=rows.track_id,
        keypoints_xy=rows.keypoints_xy,
        keypoint_scores=rows.keypoint_scores,
        settings=settings,
    )


@dataclass(frozen=True, eq=False)
class VideoExamples:
    """What the keypoint tables hold of the videos of a catalog."""

    windows: Mapping[str, Windows]
    """By video_id, at least one window each."""
    num_without_keypoints: int
    """Videos without a row: not extracted, not decodable, or nobody in view."""
    num_without_windows: int
    """Videos with rows, but nobody in view for long enough."""
    num_rows_not_finite: int


def read_windows(root: str, pose_fingerprint: str, videos: Sequence[Video], settings: WindowSettings) -> VideoExamples:
    """The windows of `videos` from the keypoint tables under `root`, rows of other contents left out."""
    content_ids = {v.video_id: v.content_id for v in videos}
    found: dict[str, Windows] = {}
    num_not_finite = 0
    for uri in sorted(tables.list_parts(root, "keypoints", pose_fingerprint)):
        for video_id, rows in read_videos(uri, content_ids):
            # A shard that was narrowed after its worker was lost may be there twice: the rows are the same.
            if len(rows) and video_id not in found:
                found[video_id] = windows_of(rows, settings)
                num_not_finite += rows.num_not_finite()
    windows = {name: found[name] for name in sorted(found) if len(found[name])}
    return VideoExamples(
        windows=windows,
        num_without_keypoints=len(content_ids) - len(found),
        num_without_windows=len(found) - len(windows),
        num_rows_not_finite=num_not_finite,
    )


def make_examples(
    windows: Mapping[str, Windows],
    *,
    label_of: Mapping[str, str],
    labels: Sequence[str],
    test_video_ids: frozenset[str],
) -> Examples:
    """All windows under their videos' labels, in the order of `windows`."""
    video_ids = tuple(windows)
    counts = [len(w) for w in windows.values()]
    label_index = np.array([labels.index(label_of[name]) for name in video_ids], np.int64)
    is_test = np.array([name in test_video_ids for name in video_ids], np.bool_)
    return Examples(
        steps=np.concatenate([w.steps for w in windows.values()]),
        label_index=np.repeat(label_index, counts),
        video_index=np.repeat(np.arange(len(video_ids)), counts),
        is_test=np.repeat(is_test, counts),
        video_ids=video_ids,
    )


def write_examples(uri: str, examples: Examples) -> None:
    """Nothing; puts the examples at `uri` as Parquet, one row per window. What is there already stays."""
    num_steps, num_features = examples.steps.shape[1:]
    flat = pa.array(examples.steps.reshape(-1))
    table = pa.table(
        {
            "video_id": pa.array(examples.video_ids).take(pa.array(examples.video_index)),
            "video_index": examples.video_index,
            "label_index": examples.label_index,
            "is_test": examples.is_test,
            "steps": pa.FixedSizeListArray.from_arrays(flat, num_steps * num_features),
        }
    ).replace_schema_metadata({"choreai.window_shape": f"{num_steps} {num_features}"})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    objects.put_if_absent(uri, buffer.getvalue())


def read_examples(uri: str) -> Examples:
    """The examples that `write_examples` put at `uri`. Raises TableError for anything else."""
    try:
        table = pq.read_table(io.BytesIO(objects.read_object(uri)))
        num_steps, num_features = map(int, table.schema.metadata[b"choreai.window_shape"].split())
        return Examples(
            steps=_vectors(table["steps"]).reshape(-1, num_steps, num_features),
            label_index=table["label_index"].to_numpy(),
            video_index=table["video_index"].to_numpy(),
            is_test=table["is_test"].to_numpy(),
            video_ids=tuple(dict.fromkeys(table["video_id"].to_pylist())),
        )
    except (pa.ArrowException, KeyError, TypeError, ValueError) as exc:
        raise TableError(f"{uri}: not the examples of a training run ({exc}); delete it and train again") from exc


def _vectors(column: pa.ChunkedArray) -> FloatArray:
    """The values of a fixed-size list column, one after the other."""
    return np.concatenate([chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks])
