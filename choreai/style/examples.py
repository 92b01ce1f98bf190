"""Inputs: what a network reads from windows. Examples: labelled inputs, cut from the keypoint tables.

The driver cuts them once and writes them as one Parquet object beside the run's checkpoints; every training worker
reads them from there, so that Ray carries none of it.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from choreai.arrays import FloatArray, IntArray
from choreai.catalog.catalog import Video
from choreai.errors import TableError
from choreai.motion.kinematics import FEATURES
from choreai.motion.named_dancers import NamedDancers
from choreai.motion.windows import NUM_FEATURES, Windows, WindowSettings, cut_windows
from choreai.search.dancer_reviews import find_named
from choreai.storage import objects
from choreai.tables.keypoints import read_videos
from choreai.tables.parts import WRITING, list_parts
from choreai.tables.schemas import from_list_column, list_column


@dataclass(frozen=True, eq=False)
class Inputs:
    """The W windows that a style network reads (see `choreai.motion.windows.Windows`)."""

    steps: FloatArray
    """(W, num_steps, 3 J) x, y, score of each keypoint; 51 of COCO's."""
    xyz: FloatArray
    """(W, num_steps, 51) x, y, z of each keypoint in the body's own coordinates; 0 where the estimator has none."""
    kinematic_features: FloatArray
    """(W, K) `choreai.motion.kinematics.FEATURES` of the time around the window, NaN where missing."""

    def __post_init__(self) -> None:
        steps, xyz = self.steps.shape, self.xyz.shape
        if len(steps) != 3 or steps[2] < NUM_FEATURES or steps[2] % 3 or xyz != (*steps[:2], NUM_FEATURES):
            raise ValueError(f"steps and xyz must both be (W, T, {NUM_FEATURES}), got {steps} and {xyz}")
        if self.kinematic_features.shape != (len(self.steps), len(FEATURES)):
            raise ValueError(
                f"kinematic_features must be ({len(self.steps)}, {len(FEATURES)}), got {self.kinematic_features.shape}"
            )

    def __len__(self) -> int:
        return len(self.steps)

    @classmethod
    def from_windows(cls, windows: Windows) -> Self:
        """Return the inputs of one video's windows."""
        return cls(windows.steps, windows.xyz, windows.kinematic_features)

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Return the windows of all the parts, one part after the other; at least one part."""
        return cls(
            np.concatenate([part.steps for part in parts]),
            np.concatenate([part.xyz for part in parts]),
            np.concatenate([part.kinematic_features for part in parts]),
        )

    def take(self, rows: IntArray | slice) -> "Inputs":
        """Return the windows at these places."""
        return Inputs(self.steps[rows], self.xyz[rows], self.kinematic_features[rows])


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled windows, W of them, of V videos, sorted by video_id."""

    inputs: Inputs
    label_index: IntArray
    """(W,), index into the model's labels."""
    video_index: IntArray
    """(W,), index into `video_ids`."""
    fold: IntArray
    """(W,), the fold in which the window is tested."""
    video_ids: tuple[str, ...]
    groups: tuple[str, ...]
    """(V,) by video: the dancer or the source."""

    def __post_init__(self) -> None:
        for name in ("label_index", "video_index", "fold"):
            if getattr(self, name).shape != (len(self.inputs),):
                raise ValueError(f"{name} must be ({len(self.inputs)},), got {getattr(self, name).shape}")
        if len(self.groups) != len(self.video_ids):
            raise ValueError(f"there must be a group for each of {len(self.video_ids)} videos, got {len(self.groups)}")

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: IntArray) -> "Examples":
        """Return the windows at these places; `video_ids` stay as they are."""
        return Examples(
            inputs=self.inputs.take(rows),
            label_index=self.label_index[rows],
            video_index=self.video_index[rows],
            fold=self.fold[rows],
            video_ids=self.video_ids,
            groups=self.groups,
        )

    def digest(self) -> str:
        """Return 16 hex digits that change when any example does."""
        digest = hashlib.sha256("\0".join([*self.video_ids, *self.groups]).encode())
        inputs = self.inputs
        for array in (
            inputs.steps,
            inputs.xyz,
            inputs.kinematic_features,
            self.label_index,
            self.video_index,
            self.fold,
        ):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class VideoExamples:
    """The windows of a catalog's videos that the keypoint tables have."""

    windows: Mapping[str, Windows]
    """By video_id, at least one window each."""
    num_without_keypoints: int
    """Videos without a row: not extracted, not decodable, or nobody in view."""
    num_without_windows: int
    """Videos with rows, but nobody in view for long enough."""
    num_rows_not_finite: int
    num_named_not_found: int = 0
    """Videos in whose rows nobody was found whom a review names; their dancers were chosen by prominence."""


def read_windows(
    root: str,
    pose_fingerprint: str,
    videos: Sequence[Video],
    settings: WindowSettings,
    *,
    named: Mapping[str, NamedDancers] = MappingProxyType({}),
) -> VideoExamples:
    """Return the windows of `videos` from the keypoint tables under `root`; rows of other contents are skipped.

    `named`: by video_id who dances, where a review says so.
    """
    content_ids = {v.video_id: v.content_id for v in videos}
    found: dict[str, Windows] = {}
    num_not_finite = num_not_found = 0
    for uri in sorted(list_parts(root, "keypoints", pose_fingerprint)):
        for video_id, rows in read_videos(uri, content_ids, with_others=settings.needs_others):
            # A shard that was split after its worker was lost may be there twice: the rows are the same.
            if len(rows) and video_id not in found:
                dancers = find_named(named.get(video_id), rows, pose_fingerprint=pose_fingerprint)
                num_not_found += dancers.remark is not None
                found[video_id] = cut_windows(rows, settings, named=dancers.track_ids)
                num_not_finite += rows.num_not_finite()
    windows = {name: found[name] for name in sorted(found) if len(found[name])}
    return VideoExamples(
        windows=windows,
        num_without_keypoints=len(content_ids) - len(found),
        num_without_windows=len(found) - len(windows),
        num_rows_not_finite=num_not_finite,
        num_named_not_found=num_not_found,
    )


def make_examples(
    windows: Mapping[str, Windows],
    *,
    label_of: Mapping[str, str],
    labels: Sequence[str],
    fold_of: Mapping[str, int],
    group_of: Mapping[str, str],
) -> Examples:
    """Return all windows with their videos' labels, in the order of `windows`."""
    video_ids = tuple(windows)
    counts = [len(w) for w in windows.values()]
    label_index = np.array([labels.index(label_of[name]) for name in video_ids], np.int64)
    fold = np.array([fold_of[name] for name in video_ids], np.int64)
    return Examples(
        inputs=Inputs.concat([Inputs.from_windows(w) for w in windows.values()]),
        label_index=np.repeat(label_index, counts),
        video_index=np.repeat(np.arange(len(video_ids)), counts),
        fold=np.repeat(fold, counts),
        video_ids=video_ids,
        groups=tuple(group_of[name] for name in video_ids),
    )


def write_examples(uri: str, examples: Examples) -> None:
    """Write the examples to `uri` as Parquet, one row per window, unless there is an object already."""
    num_steps = examples.inputs.steps.shape[1]
    table = pa.table(
        {
            "video_id": pa.array(examples.video_ids).take(pa.array(examples.video_index)),
            "group": pa.array(examples.groups).take(pa.array(examples.video_index)),
            "video_index": examples.video_index,
            "label_index": examples.label_index,
            "fold": examples.fold,
            "steps": list_column(examples.inputs.steps),
            "xyz": list_column(examples.inputs.xyz),
            "context": list_column(examples.inputs.kinematic_features),
        }
    ).replace_schema_metadata({"choreai.num_steps": str(num_steps)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **WRITING)
    objects.put_if_absent(uri, buffer.getvalue())


def read_examples(uri: str) -> Examples:
    """Return the examples that `write_examples` wrote to `uri`. Raises TableError for anything else."""
    try:
        table = pq.read_table(io.BytesIO(objects.read_object(uri)), page_checksum_verification=True)
        num_steps = int(table.schema.metadata[b"choreai.num_steps"])
        steps, xyz = (from_list_column(table[name]) for name in ("steps", "xyz"))
        group_of = dict(zip(table["video_id"].to_pylist(), table["group"].to_pylist(), strict=True))
        return Examples(
            inputs=Inputs(
                steps=steps.reshape(-1, num_steps, steps.shape[1] // num_steps),
                xyz=xyz.reshape(-1, num_steps, NUM_FEATURES),
                kinematic_features=from_list_column(table["context"]).reshape(-1, len(FEATURES)),
            ),
            label_index=table["label_index"].to_numpy(),
            video_index=table["video_index"].to_numpy(),
            fold=table["fold"].to_numpy(),
            video_ids=tuple(group_of),
            groups=tuple(group_of.values()),
        )
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as exc:
        raise TableError(f"{uri}: not the examples of a training run ({exc}); delete it and train again") from exc
