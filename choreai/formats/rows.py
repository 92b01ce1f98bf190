"""Keypoint tables to and from NumPy, for the file formats of other programs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from choreai.arrays import FloatArray, IntArray
from choreai.errors import TableError
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.tables.schemas import (
    KEYPOINTS,
    OTHER_KEYPOINTS,
    any_list_column,
    from_any_list_column,
    from_list_column,
    keypoints_schema,
    list_column,
    num_other_keypoints,
)


@dataclass(frozen=True, eq=False)
class ConvertedRows:
    """N rows of a keypoint table, in any order, of V videos."""

    video_ids: Sequence[str]
    """(V,), without repetition."""
    content_ids: Sequence[str]
    """(V,)."""
    video: IntArray
    """(N,) index into `video_ids`."""
    track_id: IntArray
    """(N,)."""
    frame_index: IntArray
    """(N,)."""
    box_xyxy: FloatArray
    """(N, 4)."""
    box_score: FloatArray
    """(N,)."""
    keypoints: FloatArray
    """(N, 17, 3): x, y, score."""
    xyz: FloatArray | None = None
    """(N, 17, 3) metres from between the hips, x right and y down; NaN throughout where a row has no 3D."""
    others: FloatArray | None = None
    """(N, J - 17, 3): x, y, score of the keypoints that a set of J has after COCO's 17; None for those only."""

    def to_table(self, *, frames_per_second: float) -> pa.Table:
        """Return the rows in the schema of their keypoint set, sorted by video, track and frame; times are
        frame_index / rate."""
        order = np.lexsort((self.frame_index, self.track_id, self.video))
        video = pa.array(self.video[order])
        frame_index = self.frame_index[order]
        columns = {
            "video_id": pa.array(self.video_ids, pa.string()).take(video),
            "content_id": pa.array(self.content_ids, pa.string()).take(video),
            "frame_index": pa.array(frame_index, pa.int32()),
            "pts_seconds": pa.array((frame_index / frames_per_second).astype(np.float32)),
            "track_id": pa.array(self.track_id[order], pa.int32()),
            "box_xyxy": list_column(self.box_xyxy[order]),
            "box_score": pa.array(self.box_score[order], pa.float32()),
            "keypoints_xy": list_column(self.keypoints[order, :, :2]),
            "keypoint_scores": list_column(self.keypoints[order, :, 2]),
            "keypoints_xyz": self._xyz_column(order),
        }
        if self.others is None:
            return pa.table(columns, schema=KEYPOINTS)
        columns["other_keypoints_xy"] = any_list_column(self.others[order, :, :2])
        columns["other_keypoint_scores"] = any_list_column(self.others[order, :, 2])
        return pa.table(columns, schema=keypoints_schema(NUM_KEYPOINTS + self.others.shape[1]))

    def _xyz_column(self, order: IntArray) -> pa.Array:
        kind = KEYPOINTS.field("keypoints_xyz").type
        if self.xyz is None:
            return pa.nulls(len(order), kind)
        rows = self.xyz[order].reshape(len(order), 3 * NUM_KEYPOINTS)
        has_none = np.isnan(rows).all(axis=1)
        return pa.array([None if none else row for none, row in zip(has_none, rows, strict=True)], kind)


def table_of(sequence: KeypointSequence, *, video_id: str, content_id: str) -> pa.Table:
    """Return one video's sequence as a keypoint table of COCO's 17, with its own times."""
    num_rows = len(sequence)
    boxes = np.full((num_rows, 4), np.nan, np.float32) if sequence.box_xyxy is None else sequence.box_xyxy
    scores = np.full(num_rows, np.nan, np.float32) if sequence.box_scores is None else sequence.box_scores
    columns = {
        "video_id": pa.array([video_id] * num_rows, pa.string()),
        "content_id": pa.array([content_id] * num_rows, pa.string()),
        "frame_index": pa.array(sequence.frame_index),
        "pts_seconds": pa.array(sequence.pts_seconds),
        "track_id": pa.array(sequence.track_id),
        "box_xyxy": list_column(boxes),
        "box_score": pa.array(scores),
        "keypoints_xy": list_column(sequence.keypoints_xy),
        "keypoint_scores": list_column(sequence.keypoint_scores),
        "keypoints_xyz": pa.nulls(num_rows, KEYPOINTS.field("keypoints_xyz").type),
    }
    return pa.table(columns, schema=KEYPOINTS)


def without_missing(keypoints: FloatArray) -> FloatArray:
    """Return (..., 17, 3) keypoints as AlphaPose has those that it does not see: x, y and score are 0.

    JSON has no NaN, and a reader that takes the token takes it for a place in the picture.
    """
    seen = np.isfinite(keypoints).all(axis=-1, keepdims=True)
    return np.where(seen, keypoints, 0).astype(np.float32)


def keypoints_of(table: pa.Table) -> FloatArray:
    """Return (N, 17, 3): x, y, score of each row of a keypoint table."""
    xy = from_list_column(table["keypoints_xy"]).reshape(len(table), NUM_KEYPOINTS, 2)
    scores = from_list_column(table["keypoint_scores"]).reshape(len(table), NUM_KEYPOINTS, 1)
    return np.concatenate([xy, scores], axis=2)


def all_keypoints_of(table: pa.Table) -> list[FloatArray]:
    """Return for each row of a keypoint table (K, 3): x, y, score of all its keypoints, of which a part of the rows may
    have more than COCO's 17."""
    coco, num_others = keypoints_of(table), num_other_keypoints(table)
    if not num_others:
        return list(coco)
    xy, scores = (table[field.name] for field in OTHER_KEYPOINTS)
    others = np.concatenate(
        (
            from_any_list_column(xy, 2 * num_others, missing=np.nan).reshape(-1, num_others, 2),
            from_any_list_column(scores, num_others, missing=np.nan)[..., None],
        ),
        axis=2,
    )
    has_others = np.asarray(xy.is_valid())
    return [
        np.concatenate((own, more)) if has else own for own, more, has in zip(coco, others, has_others, strict=True)
    ]


def ranks_within(groups: IntArray) -> IntArray:
    """Return for each row the number of rows before it in the same group."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[:1] - 1))
    lengths = np.diff(starts, append=len(groups))
    ranks = np.empty(len(groups), np.int64)
    ranks[order] = np.arange(len(groups)) - np.repeat(starts, lengths)
    return ranks


def one_video(table: pa.Table, uri: str) -> str:
    """Return the name of the one video in a table, "video" for none. Raises TableError naming the target `uri`."""
    videos = table["video_id"].unique().to_pylist()
    if len(videos) > 1:
        raise TableError(
            f"{uri}: such a file holds one video, the table {len(videos)} ({', '.join(videos[:3])}, ...); choose one "
            "with --video-id"
        )
    return videos[0] if videos else "video"
