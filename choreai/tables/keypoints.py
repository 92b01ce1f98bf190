"""Keypoint tables read back as arrays, one video at a time."""

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import FloatArray
from choreai.errors import TableError
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.tables import schemas

_ARRAYS = ["frame_index", "pts_seconds", "track_id", "keypoints_xy", "keypoint_scores"]
_COLUMNS = ["video_id", "content_id", *_ARRAYS, "keypoints_xyz"]


def sequence_of(table: pa.Table) -> KeypointSequence:
    """Return the keypoints of one video's table (columns of the keypoints schema), put in order."""
    columns = {name: _array(table.column(name)) for name in _ARRAYS}
    order = np.lexsort((columns["frame_index"], columns["track_id"]))
    xyz = _xyz(table.column("keypoints_xyz"))
    return KeypointSequence(
        frame_index=columns["frame_index"][order],
        pts_seconds=columns["pts_seconds"][order],
        track_id=columns["track_id"][order],
        keypoints_xy=columns["keypoints_xy"].reshape(-1, NUM_KEYPOINTS, 2)[order],
        keypoint_scores=columns["keypoint_scores"].reshape(-1, NUM_KEYPOINTS)[order],
        keypoints_xyz=None if xyz is None else xyz[order],
    )


def read_videos(part_uri: str, content_ids: Mapping[str, str]) -> Iterator[tuple[str, KeypointSequence]]:
    """(video_id, rows) of each video of a keypoints part that is in `content_ids` with that content.

    `content_ids` is by video_id. One video is in memory at a time.
    """
    for video_id, table in _videos(part_uri, pa.array(sorted(content_ids), pa.string())):
        yield video_id, sequence_of(table.filter(pc.equal(table["content_id"], content_ids[video_id])))


def read_contents(part_uri: str) -> Iterator[tuple[str, str, KeypointSequence]]:
    """(video_id, content_id, rows) of each video of a keypoints part. One video is in memory at a time."""
    for video_id, table in _videos(part_uri, None):
        for content_id in pc.unique(table["content_id"]).to_pylist():
            yield video_id, content_id, sequence_of(table.filter(pc.equal(table["content_id"], content_id)))


def _videos(part_uri: str, wanted: pa.Array | None) -> Iterator[tuple[str, pa.Table]]:
    """(video_id, rows) of each video, of those in `wanted` if it is given, whatever the content."""
    held: list[pa.Table] = []
    held_id: str | None = None
    with schemas.open_part(part_uri, schemas.KEYPOINTS) as part:
        for batch in part.iter_batches(columns=_COLUMNS):
            table = pa.Table.from_batches([batch])
            if wanted is not None:
                table = table.filter(pc.is_in(table["video_id"], value_set=wanted))
            for video_id in pc.unique(table["video_id"]).to_pylist():  # in order of appearance
                if video_id != held_id and held_id is not None:
                    yield held_id, pa.concat_tables(held)
                    held = []
                held_id = video_id
                held.append(table.filter(pc.equal(table["video_id"], video_id)))
    if held_id is not None:
        yield held_id, pa.concat_tables(held)


def _array(column: pa.ChunkedArray) -> npt.NDArray[np.generic]:
    combined = column.combine_chunks()
    if pa.types.is_fixed_size_list(combined.type):
        combined = combined.flatten()
    return combined.to_numpy(zero_copy_only=False)


def _xyz(column: pa.ChunkedArray) -> FloatArray | None:
    """(N, 17, 3), None for a column of nulls. Raises TableError for rows of other lengths."""
    if column.null_count == len(column):
        return None
    known = np.asarray(column.is_valid())
    lengths = pc.unique(pc.list_value_length(column.drop_null())).to_pylist()
    if lengths != [3 * NUM_KEYPOINTS]:
        raise TableError(
            f"keypoints_xyz must have {3 * NUM_KEYPOINTS} numbers or be null, got {sorted(lengths)} numbers"
        )
    xyz = np.full((len(column), NUM_KEYPOINTS, 3), np.nan, np.float32)
    xyz[known] = _array(pc.list_flatten(column)).reshape(-1, NUM_KEYPOINTS, 3)
    return xyz
