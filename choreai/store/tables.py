"""The Parquet tables: their schemas, versions, and how a part is written and read.

Every part is one immutable object, `<table>/<version>/part-<id>.parquet`, readable by anything that reads
Parquet. Schemas carry a name and a version in their metadata; a reader refuses any other version.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from choreai.errors import ObjectMissingError, TableError
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.store import objects

SCHEMA_VERSION = 1
"""Part of the pose fingerprint: a new version means new tables beside the old ones."""


def _schema(name: str, fields: list[pa.Field]) -> pa.Schema:
    metadata = {"choreai.table": name, "choreai.schema_version": str(SCHEMA_VERSION)}
    return pa.schema(fields, metadata=metadata)


def _vector(length: int) -> pa.DataType:
    return pa.list_(pa.float32(), length)


KEYPOINTS = _schema(
    "keypoints",
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

VIDEOS = _schema(
    "videos",
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
    ],
)
"""One row per video and attempt. `status`: "ok", "nobody" (decoded, but no person in view) or "quarantined"
(then `stage`, `error_class` and `reason` say where and why)."""

TAGS = _schema(
    "tags",
    [
        pa.field("video_id", pa.string(), nullable=False),
        pa.field("uri", pa.string(), nullable=False),
        pa.field("content_id", pa.string(), nullable=False),
        pa.field("style", pa.string()),
        pa.field("score", pa.float32()),
        pa.field("reason", pa.string()),
        pa.field(
            "distribution",
            pa.list_(pa.struct([pa.field("style", pa.string()), pa.field("score", pa.float32())])),
            nullable=False,
        ),
        pa.field(
            "windows",
            pa.list_(
                pa.struct(
                    [
                        pa.field("start_seconds", pa.float32()),
                        pa.field("stop_seconds", pa.float32()),
                        pa.field("track_id", pa.int32()),
                        pa.field("style", pa.string()),
                        pa.field("score", pa.float32()),
                    ]
                )
            ),
            nullable=False,
        ),
        pa.field("pose_fingerprint", pa.string(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("tagged_at", pa.timestamp("ms", tz="UTC"), nullable=False),
    ],
)
"""One row per video. `style` is null, with a `reason`, where there is nothing to judge."""


def check_schema(schema: pa.Schema, expected: pa.Schema, *, uri: str) -> None:
    """Nothing; TableError if `schema` is not this table in this version."""
    found = {k.decode(): v.decode() for k, v in (schema.metadata or {}).items()}
    table, version = expected.metadata[b"choreai.table"].decode(), str(SCHEMA_VERSION)
    if found.get("choreai.table") != table:
        raise TableError(
            f"{uri}: this is not a choreai {table} table (its metadata names "
            f"{found.get('choreai.table', 'no table')!r}); point the job at the output folder of `choreai extract`"
        )
    if found.get("choreai.schema_version") != version:
        raise TableError(
            f"{uri}: {table} schema version {found.get('choreai.schema_version')!r}, but this release reads "
            f"version {version}; extract again, or use the release that wrote it"
        )
    missing = [name for name in expected.names if name not in schema.names]
    wrong = [
        f"{name} is {schema.field(name).type}, not {expected.field(name).type}"
        for name in expected.names
        if name in schema.names and schema.field(name).type != expected.field(name).type
    ]
    if missing or wrong:
        raise TableError(f"{uri}: columns differ from the {table} schema: missing {missing}, wrong {wrong}")


@contextmanager
def open_part(uri: str, expected: pa.Schema) -> Iterator[pq.ParquetFile]:
    """The Parquet part at `uri`, its schema checked. Raises TableError if it is not such a part."""
    with objects.open_object(uri) as file:
        try:
            part = pq.ParquetFile(file)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as exc:
            raise TableError(f"{uri}: not readable as Parquet ({exc}); delete it and run again") from exc
        check_schema(part.schema_arrow, expected, uri=uri)
        yield part


def read_part(uri: str, expected: pa.Schema, *, columns: list[str] | None = None) -> pa.Table:
    """One whole part as a table (use `open_part` to stream row groups)."""
    with open_part(uri, expected) as part:
        return part.read(columns=columns)


def part_uri(root: str, table: str, version: str, part_id: str) -> str:
    return objects.join_uri(root, table, version, f"part-{part_id}.parquet")


def list_parts(root: str, table: str, version: str) -> Iterator[str]:
    """URIs of all parts of one table version, in no promised order; none if there is no such table yet."""
    for info in objects.list_objects(objects.join_uri(root, table, version) + "/"):
        name = info.uri.rsplit("/", 1)[-1]
        if name.startswith("part-") and name.endswith(".parquet"):
            yield info.uri


def part_id_of(uri: str) -> str:
    """`part_uri` read backwards: the id in a part's name."""
    return uri.rsplit("/", 1)[-1].removeprefix("part-").removesuffix(".parquet")


def read_all(root: str, table: str, version: str, expected: pa.Schema, *, columns: list[str]) -> pa.Table:
    """The named columns of all parts of one table version, one after the other."""
    schema = pa.schema([expected.field(name) for name in columns])
    tables = [schema.empty_table()]
    for uri in list_parts(root, table, version):
        try:
            tables.append(read_part(uri, expected, columns=columns).replace_schema_metadata(None))
        except ObjectMissingError:  # compacted or deleted between listing and reading
            continue
    return pa.concat_tables(tables)


def write_part(uri: str, table: pa.Table, path: Path) -> bool:
    """Whether this call wrote the part: False means somebody else had, and nothing was changed.

    `path` is scratch space on local disk.
    """
    pq.write_table(table, path, compression="zstd")
    return objects.put_if_absent(uri, path)
