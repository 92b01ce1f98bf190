"""The schemas of the tables of people in 3D, which `choreai lift` writes."""

import pyarrow as pa

from choreai.motion.skeleton import NUM_KEYPOINTS

POSES3D_VERSION = 1


def _schema(name: str, fields: list[pa.Field]) -> pa.Schema:
    metadata = {"choreai.table": name, "choreai.schema_version": str(POSES3D_VERSION)}
    return pa.schema(fields, metadata=metadata)


SPACE_FIGURES = (
    "seconds",
    "num_turns_left",
    "num_turns_right",
    "turned_degrees",
    "back_share",
    "jump_height",
    "floor_share",
    "hips_height_mean",
    "reach_volume",
    "limb_variation",
)
"""The figures of `choreai.lift.figures`, which is above this floor."""
_LIFTED = [
    pa.field("pose_fingerprint", pa.string(), nullable=False),
    pa.field("lifter_version", pa.string(), nullable=False),
    pa.field("shard_id", pa.string(), nullable=False),
]

POSES3D = _schema(
    "poses3d",
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("pts_seconds", pa.float32(), nullable=False),
        pa.field("track_id", pa.int32(), nullable=False),
        pa.field("piece", pa.int32(), nullable=False),
        pa.field("keypoints_xyz", pa.list_(pa.float32(), 3 * NUM_KEYPOINTS), nullable=False),
        pa.field("heading", pa.float32(), nullable=False),
        pa.field("root_height", pa.float32(), nullable=False),
        pa.field("scale_source", pa.string(), nullable=False),
        *_LIFTED,
    ],
)
"""One row per person per sampled frame that has a pose in space: metres, hip-centred, axes of the camera (x right, y
down, z away), as `choreai.motion.skeleton3d` has it."""

MOVEMENT3D = _schema(
    "movement3d",
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("track_id", pa.int32()),
        pa.field("is_main", pa.bool_(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("num_poses", pa.int32(), nullable=False),
        *[pa.field(name, pa.float32()) for name in SPACE_FIGURES],
        pa.field("scale_source", pa.string()),
        *_LIFTED,
        pa.field("lifted_at", pa.timestamp("ms", tz="UTC"), nullable=False),
    ],
)
"""One row per track; a video without tracks, or one that could not be lifted, has one without `track_id`."""

LIFTED_SCHEMAS = {"poses3d": POSES3D, "movement3d": MOVEMENT3D}
