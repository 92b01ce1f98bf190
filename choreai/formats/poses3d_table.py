"""Tables of lifted poses, as `choreai lift` writes them, read as keypoints: the picture is drawn from them.

The camera that took the video sees the same in it, but for perspective: 250 pixels to the metre, the floor level.
"""

import numpy as np
import pyarrow as pa

from choreai.formats.glimpse import Glimpse
from choreai.formats.markers import MARGIN, PIXELS_PER_METRE
from choreai.formats.parquet_table import named_table, parts_of, select_video
from choreai.formats.settings import ConvertSettings
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.storage import objects
from choreai.tables.parts import read_part
from choreai.tables.schemas import KEYPOINTS, any_list_column, from_list_column, list_column
from choreai.tables.space_schemas import POSES3D

_CEILING = 2.5
"""Metres above the floor where the picture begins."""


def is_poses3d_table(glimpse: Glimpse) -> bool:
    """Return whether it is a part of poses3d, or a folder of them."""
    return named_table(glimpse) == "poses3d"


def read_poses3d_table(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read a part, or all parts in a folder; only `settings.video_id` if that is given."""
    parts = parts_of(uri) if objects.is_folder(uri) else [uri]
    rows = pa.concat_tables([read_part(part, POSES3D) for part in parts])
    return _as_keypoints(select_video(rows, settings.video_id, uri))


def _as_keypoints(rows: pa.Table) -> pa.Table:
    rows = rows.sort_by([(name, "ascending") for name in ("video_id", "track_id", "frame_index")])
    xyz = from_list_column(rows["keypoints_xyz"]).reshape(-1, NUM_KEYPOINTS, 3)
    height = rows["root_height"].to_numpy()[:, None]
    x = (xyz[..., 0] - xyz[..., 0].min(initial=0.0)) * PIXELS_PER_METRE + MARGIN
    y = (_CEILING - height + xyz[..., 1]) * PIXELS_PER_METRE
    xy = np.stack([x, y], axis=2).astype(np.float32)
    boxes = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1) if len(xy) else np.zeros((0, 4), np.float32)
    columns = {
        **{name: rows[name] for name in ("video_id", "content_id", "frame_index", "pts_seconds", "track_id")},
        "box_xyxy": list_column(boxes),
        "box_score": pa.array(np.ones(len(xy), np.float32)),
        "keypoints_xy": list_column(xy),
        "keypoint_scores": list_column(np.ones((len(xy), NUM_KEYPOINTS), np.float32)),
        "keypoints_xyz": any_list_column(xyz),
    }
    return pa.table({name: columns[name] for name in KEYPOINTS.names}, schema=KEYPOINTS)
