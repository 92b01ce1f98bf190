"""Keypoint tables in Parquet, as `choreai extract`, `pose` and `convert` write them."""

import pyarrow as pa
import pyarrow.compute as pc

from choreai.errors import StorageError, TableError
from choreai.formats.glimpse import Glimpse
from choreai.formats.settings import ConvertSettings
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder
from choreai.tables import schemas
from choreai.tables.parts import read_part, read_schema, write_part


def is_keypoint_table(glimpse: Glimpse) -> bool:
    """Return whether it is Parquet, or a folder with Parquet in it, and not known to be another table."""
    is_parquet = glimpse.head.startswith(b"PAR1") or any(name.endswith(".parquet") for name in glimpse.names)
    return is_parquet and named_table(glimpse) != "poses3d"


def named_table(glimpse: Glimpse) -> str:
    """Return which of our tables the file, or the first in the folder, says to be; empty where it does not."""
    if not glimpse.head.startswith(b"PAR1"):
        return ""
    uri = f"{glimpse.uri.rstrip('/')}/{glimpse.names[0]}" if glimpse.names else glimpse.uri
    try:
        return (read_schema(uri).metadata or {}).get(b"choreai.table", b"").decode(errors="replace")
    except TableError:  # damaged: told when it is read
        return ""


def read_keypoint_table(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read a keypoints part, or all parts in a folder; only `settings.video_id` if that is given."""
    return select_video(_read_parts(uri), settings.video_id, uri)


def write_keypoint_table(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write one part. Raises StorageError if `uri` exists."""
    with scratch_folder() as folder:
        if not write_part(uri, table, folder / "keypoints.parquet"):
            raise StorageError(uri, "was written by another process meanwhile; choose another name")


def select_video(table: pa.Table, video_id: str | None, uri: str) -> pa.Table:
    """Return the rows of one video, or all if `video_id` is None. Raises TableError if there are none."""
    if video_id is None:
        return table
    rows = table.filter(pc.equal(table["video_id"], video_id))
    if not len(rows):
        raise TableError(f"{uri}: no row has video_id {video_id!r}; check the name")
    return rows


def parts_of(folder: str) -> list[str]:
    """Return the Parquet parts directly in a folder, sorted. Raises TableError if there are none."""
    inside = objects.join_uri(folder)
    parts = sorted(
        info.uri
        for info in objects.list_objects(folder.rstrip("/") + "/")
        if info.uri.endswith(".parquet") and objects.parent_uri(info.uri) == inside
    )
    if not parts:
        raise TableError(f"{folder}: no Parquet parts directly in this folder; point at keypoints/<fingerprint>")
    return parts


def _read_parts(uri: str) -> pa.Table:
    if not objects.is_folder(uri):
        return _read_one(uri)
    read = list(map(_read_one, parts_of(uri)))
    metadata = [table.schema.metadata or {} for table in read]
    common = dict(set.intersection(*(set(found.items()) for found in metadata)))
    return pa.concat_tables(
        [table.replace_schema_metadata(common) for table in read],
        promote_options="default",  # parts of an earlier release lack the keypoints beside COCO's
    )


def _read_one(part: str) -> pa.Table:
    others = [field.name for field in schemas.OTHER_KEYPOINTS if field.name in read_schema(part).names]
    return read_part(part, schemas.KEYPOINTS, columns=[*schemas.KEYPOINTS.names, *others])
