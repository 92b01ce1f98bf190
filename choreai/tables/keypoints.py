"""Keypoint tables, read back as one `KeypointSequence` per video."""

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import FloatArray
from choreai.errors import DamagedPartError, TableError
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.tables.parts import HOW_TO_MEND, open_part
from choreai.tables.schemas import (
    KEYPOINTS,
    OTHER_KEYPOINTS,
    from_any_list_column,
    from_list_column,
    num_other_keypoints,
)

_COLUMNS = [
    "video_id", "content_id", "frame_index", "pts_seconds", "track_id", "keypoints_xy", "keypoint_scores",
    "keypoints_xyz", "box_xyxy", "box_score",
]  # fmt: skip


def sequence_of(table: pa.Table) -> KeypointSequence:
    """Return the keypoints of one video's table (columns of the keypoints schema), put in order.

    Raises TableError for 3D keypoints of another length.
    """
    frame_index, track_id = table["frame_index"].to_numpy(), table["track_id"].to_numpy()
    order = np.lexsort((frame_index, track_id))
    xyz = _xyz(table["keypoints_xyz"])
    others = _others(table)
    return KeypointSequence(
        frame_index=frame_index[order],
        pts_seconds=table["pts_seconds"].to_numpy()[order],
        track_id=track_id[order],
        keypoints_xy=from_list_column(table["keypoints_xy"]).reshape(-1, NUM_KEYPOINTS, 2)[order],
        keypoint_scores=from_list_column(table["keypoint_scores"])[order],
        keypoints_xyz=None if xyz is None else xyz[order],
        box_xyxy=from_list_column(table["box_xyxy"])[order],
        box_scores=table["box_score"].to_numpy()[order],
        **{name: array[order] for name, array in others.items()},
    )


def read_videos(
    part_uri: str, content_ids: Mapping[str, str], *, with_others: bool = False
) -> Iterator[tuple[str, KeypointSequence]]:
    """Yield (video_id, keypoints) of each video of a keypoints part that has the content id in `content_ids`.

    `content_ids` maps video_id to content_id. One video is in memory at a time. `with_others`: with the keypoints
    beside COCO's 17, where the part has any; they are several times as much to read.
    """
    for video_id, table in _videos(part_uri, pa.array(sorted(content_ids), pa.string()), with_others=with_others):
        wanted = table.filter(pc.equal(table["content_id"], content_ids[video_id]))
        yield video_id, _sequence_in(part_uri, wanted)


def read_contents(part_uri: str) -> Iterator[tuple[str, str, KeypointSequence]]:
    """Yield (video_id, content_id, keypoints) of each video of a keypoints part, one video in memory at a time."""
    for video_id, table in _videos(part_uri, None):
        for content_id in pc.unique(table["content_id"]).to_pylist():
            wanted = table.filter(pc.equal(table["content_id"], content_id))
            yield video_id, content_id, _sequence_in(part_uri, wanted)


def _sequence_in(part_uri: str, table: pa.Table) -> KeypointSequence:
    """Return the keypoints of one video of a part. Raises DamagedPartError for rows that are no keypoints."""
    try:
        return sequence_of(table)
    except (ValueError, TableError, pa.ArrowException) as exc:
        raise DamagedPartError(f"{part_uri}: {exc}; {HOW_TO_MEND['keypoints']}") from exc


def _videos(part_uri: str, wanted: pa.Array | None, *, with_others: bool = False) -> Iterator[tuple[str, pa.Table]]:
    """Yield (video_id, rows) of each video, or of those whose ids are in `wanted`, whatever their content."""
    held: list[pa.Table] = []
    held_id: str | None = None
    with open_part(part_uri, KEYPOINTS) as part:
        others = [field.name for field in OTHER_KEYPOINTS if with_others and field.name in part.schema_arrow.names]
        for batch in part.iter_batches(columns=_COLUMNS + others):
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


def _xyz(column: pa.ChunkedArray) -> FloatArray | None:
    """Return (N, 17, 3), NaN where a row is null; None if all are. Raises TableError for rows of other lengths."""
    if column.null_count == len(column):
        return None
    lengths = pc.unique(pc.list_value_length(column.drop_null())).to_pylist()
    if lengths != [3 * NUM_KEYPOINTS]:
        raise TableError(
            f"keypoints_xyz must have {3 * NUM_KEYPOINTS} numbers or be null, got {sorted(lengths)} numbers"
        )
    return from_any_list_column(column, 3 * NUM_KEYPOINTS, missing=np.nan).reshape(-1, NUM_KEYPOINTS, 3)


def _others(table: pa.Table) -> dict[str, FloatArray]:
    """Return the arrays of the keypoints beside COCO's 17; none where no row has any, or they were not read."""
    num_others = num_other_keypoints(table)
    if not num_others:
        return {}
    xy, scores = (table[field.name] for field in OTHER_KEYPOINTS)
    return {
        "other_keypoints_xy": from_any_list_column(xy, 2 * num_others, missing=np.nan).reshape(-1, num_others, 2),
        "other_keypoint_scores": from_any_list_column(scores, num_others, missing=0.0),
    }
