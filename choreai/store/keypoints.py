"""Keypoint tables read back as arrays, one video at a time."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.store import tables

FloatArray = npt.NDArray[np.float32]
_COLUMNS = ["video_id", "frame_index", "pts_seconds", "track_id", "keypoints_xy", "keypoint_scores"]


@dataclass(frozen=True, eq=False)
class KeypointRows:
    """One video's N person-frames, sorted by (track_id, frame_index)."""

    frame_index: npt.NDArray[np.int32]
    """(N,)."""
    pts_seconds: FloatArray
    """(N,)."""
    track_id: npt.NDArray[np.int32]
    """(N,)."""
    keypoints_xy: FloatArray
    """(N, 17, 2) original-frame pixels."""
    keypoint_scores: FloatArray
    """(N, 17)."""

    def __len__(self) -> int:
        return len(self.frame_index)

    @classmethod
    def of(cls, table: pa.Table) -> "KeypointRows":
        """The rows of one video's table (columns of the keypoints schema), put in order."""
        columns = {name: _array(table.column(name)) for name in _COLUMNS if name != "video_id"}
        order = np.lexsort((columns["frame_index"], columns["track_id"]))
        return cls(
            frame_index=columns["frame_index"][order],
            pts_seconds=columns["pts_seconds"][order],
            track_id=columns["track_id"][order],
            keypoints_xy=columns["keypoints_xy"].reshape(-1, NUM_KEYPOINTS, 2)[order],
            keypoint_scores=columns["keypoint_scores"].reshape(-1, NUM_KEYPOINTS)[order],
        )


def read_videos(part_uri: str, video_ids: Collection[str]) -> Iterator[tuple[str, KeypointRows]]:
    """(video_id, rows) of each of `video_ids` that has rows in the keypoints part, one video in memory at a time."""
    wanted = pa.array(sorted(video_ids), pa.string())
    held: list[pa.Table] = []
    held_id: str | None = None
    with tables.open_part(part_uri, tables.KEYPOINTS) as part:
        for batch in part.iter_batches(columns=_COLUMNS):
            table = pa.Table.from_batches([batch])
            table = table.filter(pc.is_in(table["video_id"], value_set=wanted))
            for video_id in pc.unique(table["video_id"]).to_pylist():  # in order of appearance
                if video_id != held_id and held_id is not None:
                    yield held_id, KeypointRows.of(pa.concat_tables(held))
                    held = []
                held_id = video_id
                held.append(table.filter(pc.equal(table["video_id"], video_id)))
    if held_id is not None:
        yield held_id, KeypointRows.of(pa.concat_tables(held))


def _array(column: pa.ChunkedArray) -> npt.NDArray[np.generic]:
    combined = column.combine_chunks()
    if pa.types.is_fixed_size_list(combined.type):
        combined = combined.flatten()
    return combined.to_numpy(zero_copy_only=False)
