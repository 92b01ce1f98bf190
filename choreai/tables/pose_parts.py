"""Write one shard's poses: a keypoints part and its videos part, committed by one conditional PUT.

The keypoints part is the commit. It carries its videos rows in its own footer, so that the videos part, put
right after it, can be recovered by whoever finds it missing (`recover_videos_parts`). Where videos are split into
shots it carries those rows too, and the shots part is put between the two: where there is a videos part, there is the
shots part.

The pictures part goes before the commit: it is too large for a footer, and whoever does the shard again writes the
same.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from choreai.arrays import FloatArray, Int32Array
from choreai.errors import TableError
from choreai.motion.sequence import FramePeople
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.storage import objects
from choreai.storage.scratch import ScratchFolder, scratch_folder
from choreai.tables import schemas
from choreai.tables.parts import WRITING, current_parts, list_parts, open_part, part_id_of, part_uri, write_part
from choreai.tables.pictures import PictureRows
from choreai.tables.shots import ShotRows

VIDEOS_FOOTER = b"choreai.videos"
SHOTS_FOOTER = b"choreai.shots"
CHUNK_ROWS = 16_384
"""Rows of one video held in memory before they are spooled to disk: about 7 MB. The rows of a longer video are
sorted within such chunks, not across them."""

MERGED_FRAMES = 128
"""Frames whose arrays are made one. Thousands of small arrays among the networks' large ones, which come and go, keep
the allocator from using that memory again: 20 KB a frame."""


class VideoRows:
    """The keypoint rows of one video, frame by frame, in bounded memory."""

    def __init__(self, scratch: Path, *, video_id: str, content_id: str) -> None:
        self._scratch = scratch
        self._video_id, self._content_id = video_id, content_id
        self.shots = ShotRows(video_id=video_id, content_id=content_id)
        self.pictures = PictureRows(video_id=video_id, content_id=content_id)
        self._frames: list[dict[str, Any]] = []  # one entry per frame: scalars and (P, ...) arrays
        self._num_held = self._num_small = 0
        self._spool: pa.ipc.RecordBatchStreamWriter | None = None
        self._spool_path = scratch / f"rows-{id(self)}.arrow"
        self.num_rows = 0
        self.num_tracks = 0

    def add(
        self,
        *,
        frame_index: int,
        pts_seconds: float,
        track_ids: Int32Array,
        box_xyxy: FloatArray,
        box_scores: FloatArray,
        keypoints_xy: FloatArray,
        keypoint_scores: FloatArray,
        keypoints_xyz: FloatArray | None,
        other_keypoints_xy: FloatArray | None = None,
        other_keypoint_scores: FloatArray | None = None,
    ) -> None:
        """Add the P people of one frame: (P,), (P, 4), (P,), (P, 17, 2), (P, 17), (P, 17, 3) or None; of a set of J
        keypoints (P, J - 17, 2) and (P, J - 17) too, J being the same for all frames."""
        if not len(track_ids):
            return
        self._frames.append(
            {
                "frame_index": np.full(len(track_ids), frame_index, np.int32),
                "pts_seconds": np.full(len(track_ids), pts_seconds, np.float32),
                "track_id": track_ids,
                "box_xyxy": box_xyxy,
                "box_score": box_scores,
                "keypoints_xy": keypoints_xy,
                "keypoint_scores": keypoint_scores,
                "keypoints_xyz": keypoints_xyz,
                "other_keypoints_xy": other_keypoints_xy,
                "other_keypoint_scores": other_keypoint_scores,
            }
        )
        self._num_small += 1
        if self._num_small == MERGED_FRAMES:
            self._frames[-MERGED_FRAMES:] = [_joined(self._frames[-MERGED_FRAMES:])]
            self._num_small = 0
        self._num_held += len(track_ids)
        self.num_rows += len(track_ids)
        self.num_tracks = max(self.num_tracks, int(track_ids.max()) + 1)
        if self._num_held >= CHUNK_ROWS:
            self._write_spool(self._held_table())

    def add_people(self, people: FramePeople) -> None:
        """Add the people of one frame, who have boxes."""
        assert people.box_xyxy is not None
        assert people.box_scores is not None
        self.add(
            frame_index=people.frame_index,
            pts_seconds=people.pts_seconds,
            track_ids=people.track_id,
            box_xyxy=people.box_xyxy,
            box_scores=people.box_scores,
            keypoints_xy=people.keypoints_xy,
            keypoint_scores=people.keypoint_scores,
            keypoints_xyz=people.keypoints_xyz,
            other_keypoints_xy=people.other_keypoints_xy,
            other_keypoint_scores=people.other_keypoint_scores,
        )

    def chunks(self) -> Iterator[pa.Table]:
        """Yield all rows in tables sorted by (track_id, frame_index); one table unless the video is very long."""
        if self._spool is not None:
            self._spool.close()
            with pa.memory_map(str(self._spool_path)) as file, pa.ipc.open_stream(file) as reader:
                for batch in reader:
                    yield pa.Table.from_batches([batch], schema=reader.schema)
        if self._frames:
            yield self._held_table()

    def _write_spool(self, chunk: pa.Table) -> None:
        if self._spool is None:
            self._spool = pa.ipc.new_stream(str(self._spool_path), chunk.schema)
        self._spool.write_table(chunk.combine_chunks())
        self._frames.clear()
        self._num_held = self._num_small = 0

    def _held_table(self) -> pa.Table:
        columns = {name: values for name, values in _joined(self._frames).items() if values is not None}
        order = np.lexsort((columns["frame_index"], columns["track_id"]))
        num_rows = len(order)
        others = columns.get("other_keypoint_scores")
        schema = schemas.keypoints_schema(NUM_KEYPOINTS + (0 if others is None else others.shape[1]))
        arrays = []
        for field in schema:
            if field.name in ("video_id", "content_id"):
                value = self._video_id if field.name == "video_id" else self._content_id
                arrays.append(pa.array([value] * num_rows, field.type))
            elif field.name not in columns:
                arrays.append(pa.nulls(num_rows, field.type))
            elif pa.types.is_fixed_size_list(field.type):
                arrays.append(schemas.list_column(columns[field.name][order]))
            elif pa.types.is_list(field.type):
                arrays.append(schemas.any_list_column(columns[field.name][order]))
            else:
                arrays.append(pa.array(columns[field.name][order], field.type))
        return pa.Table.from_arrays(arrays, schema=schema)


def _joined(frames: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the columns of several frames as one; None where there are none."""
    names = frames[0]
    return {
        name: None if frames[0][name] is None else np.concatenate([frame[name] for frame in frames]) for name in names
    }


class KeypointsWriter:
    """Writes the chunks of one estimator's videos to a Parquet file.

    Its schema is that of the first chunk, since only people tell how many keypoints a network finds.
    """

    def __init__(self, path: Path, metadata: Mapping[str, str] | None = None) -> None:
        self._path, self._metadata = path, metadata or {}
        self._writer: pq.ParquetWriter | None = None

    def write(self, chunk: pa.Table) -> None:
        self._open(chunk.schema).write_table(chunk)

    def add_metadata(self, metadata: Mapping[str, str]) -> None:
        """Add to what the file's footer says."""
        self._open(schemas.KEYPOINTS).add_key_value_metadata(metadata)

    def close(self) -> None:
        """Finish the file; one without people is an empty table."""
        self._open(schemas.KEYPOINTS).close()

    def _open(self, schema: pa.Schema) -> pq.ParquetWriter:
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._path, schema, **WRITING)
            self._writer.add_key_value_metadata(self._metadata)
        return self._writer


class PosePartWriter:
    """One shard's two parts, from scratch file to commit; a context manager around a scratch folder."""

    def __init__(self, root: str, *, shard_id: str, pose_fingerprint: str, trace: Mapping[str, object]) -> None:
        self._root, self._shard_id, self._fingerprint = root, shard_id, pose_fingerprint
        self._folder = ScratchFolder()
        self.scratch = self._folder.path
        self._path = self.scratch / "keypoints.parquet"
        self._writer = KeypointsWriter(
            self._path,
            {"choreai.pose_fingerprint": pose_fingerprint, "choreai.trace": json.dumps(trace, sort_keys=True)},
        )
        self._videos: list[dict[str, object]] = []
        self._shots: list[Mapping[str, object]] = []
        self._pictures: list[Mapping[str, object]] = []

    def __enter__(self) -> "PosePartWriter":
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._writer.close()
        finally:
            self._folder.close()

    def add_video(self, record: Mapping[str, object], rows: VideoRows | None) -> None:
        """Add one finished video: its videos row (without shard_id) and its keypoint rows, None if it failed."""
        for chunk in rows.chunks() if rows is not None else ():
            self._writer.write(chunk)
        self._videos.append({**record, "shard_id": self._shard_id})
        if rows is not None:
            self._shots += rows.shots.rows
            self._pictures += rows.pictures.rows

    def commit(self) -> bool:
        """Commit the shard; return False if it was committed already, in which case nothing changes."""
        self._writer.add_metadata({VIDEOS_FOOTER.decode(): json.dumps(self._videos)})
        if self._shots:
            self._writer.add_metadata({SHOTS_FOOTER.decode(): json.dumps(self._shots)})
        self._writer.close()
        if self._pictures:
            pictures = pa.Table.from_pylist(self._pictures, schema=schemas.PICTURES)
            uri = part_uri(self._root, "pictures", self._fingerprint, self._shard_id)
            write_part(uri, pictures, self.scratch / "pictures.parquet")
        uri = part_uri(self._root, "keypoints", self._fingerprint, self._shard_id)
        written = objects.put_if_absent(uri, self._path)
        if written:
            described = _Described(self._videos, self._shots)
            described.put_parts(self._root, self._fingerprint, self._shard_id, self.scratch)
        else:
            recover_videos_part(self._root, self._fingerprint, self._shard_id)
        return written


@dataclass(frozen=True, eq=False)
class _Described:
    """What a keypoints part's footer says of its videos."""

    videos: list[dict[str, object]]
    shots: list[Mapping[str, object]]
    """Empty if the videos were not split into shots."""

    def put_parts(self, root: str, pose_fingerprint: str, shard_id: str, scratch: Path) -> None:
        """Write the shots part, if there is to be one, and then the videos part."""
        tables = (("shots", self.shots, schemas.SHOTS), ("videos", self.videos, schemas.VIDEOS))
        for name, rows, schema in tables:
            if rows:
                uri = part_uri(root, name, pose_fingerprint, shard_id)
                write_part(uri, pa.Table.from_pylist(rows, schema=schema), scratch / f"{name}.parquet")


def described_videos(uri: str) -> list[dict[str, object]]:
    """Return the videos rows in the footer of the keypoints part at `uri`; none where it has no such footer."""
    with open_part(uri, schemas.KEYPOINTS) as part:
        found: list[dict[str, object]] = json.loads((part.metadata.metadata or {}).get(VIDEOS_FOOTER, b"[]"))
    return found


def recover_videos_part(root: str, pose_fingerprint: str, shard_id: str) -> None:
    """Write the videos part of a committed shard, and its shots part before, from the footer of its keypoints part, if
    it is missing."""
    if objects.stat_object(part_uri(root, "videos", pose_fingerprint, shard_id)) is not None:
        return
    uri = part_uri(root, "keypoints", pose_fingerprint, shard_id)
    with open_part(uri, schemas.KEYPOINTS) as part:
        footer = part.metadata.metadata or {}
    if VIDEOS_FOOTER not in footer:
        raise TableError(f"{uri}: no videos rows in its footer; delete this part and run again")
    with scratch_folder() as folder:
        described = _Described(json.loads(footer[VIDEOS_FOOTER]), json.loads(footer.get(SHOTS_FOOTER, b"[]")))
        described.put_parts(root, pose_fingerprint, shard_id, folder)


def recover_videos_parts(root: str, pose_fingerprint: str) -> int:
    """Write all missing videos parts and return their number: their workers died between the two PUTs."""
    committed = {part_id_of(uri) for uri in list_parts(root, "keypoints", pose_fingerprint)}
    described = current_parts(root, "videos", pose_fingerprint).ids
    missing = sorted(committed - described)
    for shard_id in missing:
        recover_videos_part(root, pose_fingerprint, shard_id)
    return len(missing)
