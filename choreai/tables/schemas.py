"""The schemas of the Parquet tables, and their versions.

A schema carries its name and version in its metadata; a reader refuses any other version.
"""

import math
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import FloatArray
from choreai.errors import TableError
from choreai.motion.keypoint_sets import keypoint_set
from choreai.motion.kinematics import FEATURES
from choreai.motion.sequence import KEYPOINTS_VERSION
from choreai.motion.skeleton import NUM_KEYPOINTS

SCHEMA_VERSION = KEYPOINTS_VERSION
"""Of the keypoints and videos tables, and part of the pose fingerprint: a new one starts new tables beside the old."""
TAGS_VERSION = 2
KINEMATICS_VERSION = 1
SHOTS_VERSION = 1
PICTURES_VERSION = 1
EMBEDDINGS_VERSION = 1
EMBEDDING_SIZE = 128
"""Numbers of a motion embedding: half of them would be half the reading and lose a tenth of the precision."""


def _schema(name: str, version: int, fields: list[pa.Field]) -> pa.Schema:
    metadata = {"choreai.table": name, "choreai.schema_version": str(version)}
    return pa.schema(fields, metadata=metadata)


def _vector(length: int) -> pa.DataType:
    return pa.list_(pa.float32(), length)


KEYPOINTS = _schema(
    "keypoints",
    SCHEMA_VERSION,
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("frame_index", pa.int32(), nullable=False),
        pa.field("pts_seconds", pa.float32(), nullable=False),
        pa.field("track_id", pa.int32(), nullable=False),
        pa.field("box_xyxy", _vector(4), nullable=False),
        pa.field("box_score", pa.float32(), nullable=False),
        pa.field("keypoints_xy", _vector(2 * NUM_KEYPOINTS), nullable=False),
        pa.field("keypoint_scores", _vector(NUM_KEYPOINTS), nullable=False),
        # Not a fixed-size list: pyarrow 25 writes nulls of those but cannot read them back (apache/arrow#35692).
        pa.field("keypoints_xyz", pa.list_(pa.float32())),
    ],
)
"""One row per person per sampled frame. Pixels of the upright original frame; xyz in metres, hip-centred,
51 numbers, or null where the estimator has no 3D."""

OTHER_KEYPOINTS = (
    pa.field("other_keypoints_xy", pa.list_(pa.float32())),
    pa.field("other_keypoint_scores", pa.list_(pa.float32())),
)
"""The columns of keypoints beside COCO's 17, in tables of networks that find more; not in the others. Null or missing:
of the person only COCO's are known."""
_KEYPOINT_SET = b"choreai.keypoint_set"


def keypoints_schema(num_keypoints: int) -> pa.Schema:
    """Return the schema of keypoint tables of a set of `num_keypoints`: `KEYPOINTS`, for more than COCO's 17 followed
    by `OTHER_KEYPOINTS`, with the set's names, skeleton and mirror pairs in the metadata."""
    if num_keypoints == NUM_KEYPOINTS:
        return KEYPOINTS
    described = {**KEYPOINTS.metadata, _KEYPOINT_SET: keypoint_set(num_keypoints).to_json()}
    return pa.schema([*KEYPOINTS, *OTHER_KEYPOINTS], metadata=described)


def num_other_keypoints(table: pa.Table) -> int:
    """Return how many keypoints the rows of a keypoint table have beside COCO's 17; rows without do not count.

    Raises TableError for rows of different numbers.
    """
    widths = [_list_length(table, field.name) for field in OTHER_KEYPOINTS]
    if widths[0] != 2 * widths[1]:
        raise TableError(f"other_keypoints_xy has {widths[0]} numbers a row, other_keypoint_scores {widths[1]}")
    return widths[1]


def _list_length(table: pa.Table, name: str) -> int:
    """Return the length of a column's lists, 0 where the column is missing or all are null."""
    if name not in table.column_names or table[name].null_count == len(table):
        return 0
    lengths = pc.unique(pc.list_value_length(table[name].drop_null())).to_pylist()
    if len(lengths) != 1:
        raise TableError(f"{name} must have the same number of numbers in every row, got {sorted(lengths)} numbers")
    return int(lengths[0])


_INPUT_QUALITY = [
    pa.field("input_quality", pa.string()),
    pa.field("expected_seconds", pa.float32()),
    pa.field("read_seconds", pa.float32()),
    pa.field("pixel_aspect", pa.float32()),
    pa.field("dynamic_range", pa.string()),
    pa.field("interlaced_share", pa.float32()),
    pa.field("combed_share", pa.float32()),
    pa.field("num_sizes", pa.int32()),
    pa.field("num_clock_jumps", pa.int32()),
    pa.field("num_frames_skipped", pa.int32()),
    pa.field("num_video_streams", pa.int32()),
    pa.field("brightness", pa.float32()),
    pa.field("person_height", pa.float32()),
    pa.field("nobody_share", pa.float32()),
]

VIDEOS = _schema(
    "videos",
    SCHEMA_VERSION,
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("stage", pa.string()),
        pa.field("error_class", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("attempts", pa.int32(), nullable=False),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("frames_per_second", pa.float32()),
        pa.field("duration_seconds", pa.float32()),
        pa.field("num_frames_decoded", pa.int32(), nullable=False),
        pa.field("num_frames_sampled", pa.int32(), nullable=False),
        pa.field("num_decode_errors", pa.int32(), nullable=False),
        pa.field("num_tracks", pa.int32(), nullable=False),
        pa.field("num_rows", pa.int32(), nullable=False),
        pa.field("process_seconds", pa.float32(), nullable=False),
        pa.field("shard_id", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        *_INPUT_QUALITY,
        pa.field("codec", pa.string()),
    ],
)
"""One row per video and attempt. `status`: "ok", "nobody" (decoded, but no person in view) or "quarantined"
(then `stage`, `error_class` and `reason` say where and why)."""

_MEASURES = [pa.field(name, pa.float32()) for name in ("seconds", "seen_share", *FEATURES)]


def _structs(**types: pa.DataType) -> pa.DataType:
    return pa.list_(pa.struct([pa.field(name, kind) for name, kind in types.items()]))


_SPAN = {"start_seconds": pa.float32(), "stop_seconds": pa.float32(), "track_id": pa.int32()}

UNKNOWN = "unknown"
"""The tag of a video whose style the model is not sure of; no label may have this name."""

TAGS = _schema(
    "tags",
    TAGS_VERSION,
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("style", pa.string()),
        pa.field("best_style", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("unknown", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),
        pa.field("distribution", _structs(style=pa.string(), score=pa.float32()), nullable=False),
        pa.field("segments", _structs(**_SPAN, style=pa.string(), score=pa.float32()), nullable=False),
        pa.field(
            "tracks",
            _structs(
                track_id=pa.int32(),
                start_seconds=pa.float32(),
                stop_seconds=pa.float32(),
                style=pa.string(),
                best_style=pa.string(),
                score=pa.float32(),
                unknown=pa.bool_(),
            ),
            nullable=False,
        ),
        pa.field("windows", _structs(**_SPAN, style=pa.string(), score=pa.float32()), nullable=False),
        pa.field("kinematics", pa.struct(_MEASURES)),
        pa.field(
            "reasons",
            _structs(
                feature=pa.string(),
                sentence=pa.string(),
                strength=pa.float32(),
                value=pa.float32(),
                style_median=pa.float32(),
                others_median=pa.float32(),
            ),
            nullable=False,
        ),
        pa.field("pose_fingerprint", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("tagged_at", pa.timestamp("ms", tz="UTC"), nullable=False),
        pa.field("input_quality", pa.string()),
        pa.field("doubts", pa.string()),
        pa.field("novelty", pa.float32()),
    ],
)
"""One row per video. `style` is the tag: "unknown" where `unknown`, null where there is nothing to judge; `reason`
says why. `best_style` is the most likely style, sure or not, and `score` its calibrated probability. `segments` are
changes of style, `tracks` each dancer's own tag, `kinematics` the main dancer's (lengths in torso lengths)."""

KINEMATICS = _schema(
    "kinematics",
    KINEMATICS_VERSION,
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("track_id", pa.int32(), nullable=False),
        pa.field("start_seconds", pa.float32(), nullable=False),
        pa.field("stop_seconds", pa.float32(), nullable=False),
        pa.field("is_main", pa.bool_(), nullable=False),
        *_MEASURES,
        pa.field("run_id", pa.string(), nullable=False),
    ],
)
"""One row per track. Features as documented in `choreai.motion.kinematics.Kinematics`, null where missing."""


SHOTS = _schema(
    "shots",
    SHOTS_VERSION,
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("shot_index", pa.int32(), nullable=False),
        pa.field("start_seconds", pa.float32(), nullable=False),
        pa.field("stop_seconds", pa.float32(), nullable=False),
        pa.field("first_frame_index", pa.int32(), nullable=False),
    ],
)
"""One row per shot of each video that was split into shots (`split_shots`)."""

PICTURES = _schema(
    "pictures",
    PICTURES_VERSION,
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("pts_seconds", pa.list_(pa.float32()), nullable=False),
        pa.field("luma", pa.binary(), nullable=False),
    ],
)
"""One row per video that could be decoded: its picture signature. `luma` is a byte per pixel of 9 rows of 16, row by
row, for each of `pts_seconds`."""

_EMBEDDED = [
    pa.field("embedding", _vector(EMBEDDING_SIZE), nullable=False),
    pa.field("pose_fingerprint", pa.string(), nullable=False),
    pa.field("model_version", pa.string(), nullable=False),
    pa.field("shard_id", pa.string(), nullable=False),
]

EMBEDDINGS = _schema(
    "embeddings",
    EMBEDDINGS_VERSION,
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("track_id", pa.int32(), nullable=False),
        pa.field("start_seconds", pa.float32(), nullable=False),
        pa.field("stop_seconds", pa.float32(), nullable=False),
        *_EMBEDDED,
    ],
)
"""One row per window of the dancers. `embedding` is a unit vector: the dot product of two is their cosine."""

VIDEO_EMBEDDINGS = _schema(
    "video_embeddings",
    EMBEDDINGS_VERSION,
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("num_windows", pa.int32(), nullable=False),
        *_EMBEDDED,
        pa.field("embedded_at", pa.timestamp("ms", tz="UTC"), nullable=False),
    ],
)
"""One row per video; one whose dancers were named since has another, and the newest counts. Its windows are those with
its `shard_id`. `embedding` is the mean of its windows', made a unit vector again; zeros where it has none."""


ADDED = {
    "videos": frozenset({*(field.name for field in _INPUT_QUALITY), "codec"}),
    "tags": frozenset({"input_quality", "doubts", "novelty"}),
}
"""By table the columns that were added without a new version: where a part lacks them they are null."""


def check_schema(schema: pa.Schema, expected: pa.Schema, *, uri: str) -> None:
    """Raise TableError, which names `uri`, unless `schema` is the table `expected` in the same version."""
    found = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
    table, version = (expected.metadata[name].decode() for name in (b"choreai.table", b"choreai.schema_version"))
    if found.get("choreai.table") != table:
        raise TableError(
            f"{uri}: this is not a choreai {table} table (its metadata names "
            f"{found.get('choreai.table', 'no table')!r}); point the job at the output folder of `choreai extract`"
        )
    if found.get("choreai.schema_version") != version:
        raise TableError(
            f"{uri}: {table} schema version {found.get('choreai.schema_version')!r}, but this release reads "
            f"version {version}; run the job that makes it again, or use the release that wrote it"
        )
    missing = [name for name in expected.names if name not in schema.names and name not in ADDED.get(table, ())]
    wrong = [
        f"{name} is {schema.field(name).type}, not {expected.field(name).type}"
        for name in expected.names
        if name in schema.names and schema.field(name).type != expected.field(name).type
    ]
    if missing or wrong:
        raise TableError(f"{uri}: columns differ from the {table} schema: missing {missing}, wrong {wrong}")


def with_added(table: pa.Table, expected: pa.Schema, columns: Sequence[str] | None) -> pa.Table:
    """Return the named columns of a part's `table` (None: all); those of `ADDED` that an earlier release did not write
    are null. Names may be paths into structs, which come whole."""
    added = ADDED.get(expected.metadata[b"choreai.table"].decode(), frozenset())
    for name in expected.names if columns is None else columns:
        if name in added and name not in table.column_names:
            table = table.append_column(expected.field(name), pa.nulls(len(table), expected.field(name).type))
    if columns is None:
        return table
    return table.select(list(dict.fromkeys(name.partition(".")[0] for name in columns)))


def list_column(values: FloatArray) -> pa.FixedSizeListArray:
    """Return (N, ...) `values` as a column of N fixed-size lists, each with one row's values in order."""
    flat = pa.array(np.ascontiguousarray(values, np.float32).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, math.prod(values.shape[1:]))


def any_list_column(values: FloatArray) -> pa.ListArray:
    """Return (N, ...) `values` as a column of N lists, which unlike those of fixed size may be null elsewhere."""
    flat = np.ascontiguousarray(values, np.float32).reshape(len(values), -1)
    stops = pa.array(np.arange(len(values) + 1) * flat.shape[1], pa.int32())
    return pa.ListArray.from_arrays(stops, pa.array(flat.reshape(-1)))


def from_any_list_column(column: pa.ChunkedArray, length: int, *, missing: float) -> FloatArray:
    """Return the lists of a column, all of `length` or null, as (N, length); `missing` in null rows."""
    values = np.full((len(column), length), missing, np.float32)
    values[np.asarray(column.is_valid())] = pc.list_flatten(column).to_numpy().reshape(-1, length)
    return values


def from_list_column(column: pa.ChunkedArray) -> FloatArray:
    """Return the lists of a fixed-size list column without nulls, as (N, list length)."""
    lists = column.combine_chunks()
    return lists.flatten().to_numpy().reshape(len(lists), lists.type.list_size)
