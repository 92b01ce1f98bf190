"""Read the files that `choreai.formats.keypoint_files` finds, as rows of keypoint tables."""

import logging
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from choreai.errors import ChoreaiWarning, ConfigError, ObjectMissingError, TableError
from choreai.fingerprint import fingerprint
from choreai.formats.convert import ConvertSettings, read_keypoints
from choreai.formats.keypoint_files import KeypointFile
from choreai.formats.keypoint_text import read_keypoint_text
from choreai.formats.origin import Origin, has_3d, has_scores, made_by_default
from choreai.motion.keypoint_sets import keypoint_set
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.storage import objects
from choreai.storage.uris import shorten
from choreai.tables.parts import read_part
from choreai.tables.schemas import KEYPOINTS, keypoints_schema, num_other_keypoints

logger = logging.getLogger(__name__)
ORIGIN_VIDEOS = 8
"""Videos of a file that are looked at to tell whether it has scores and 3D."""
_FINGERPRINT = b"choreai.pose_fingerprint"


@dataclass(frozen=True)
class GivenVideo:
    """A video, or a sequence, of a keypoint file."""

    video_id: str
    content_id: str


class KeypointReader:
    """Reads keypoint files; keeps the last one, and what there was to remark."""

    def __init__(
        self,
        *,
        frames_per_second: float | None,
        lines_per_sequence: int,
        size_wh: tuple[int, int] | None = None,
    ) -> None:
        self._rate, self._lines, self._size_wh = frames_per_second, lines_per_sequence, size_wh
        self._last: tuple[KeypointFile, Mapping[str, pa.Table]] | None = None
        self._remarks: dict[str, set[str]] = defaultdict(set)
        self._origins: dict[str, Origin | None] = {}

    def videos_in(self, file: KeypointFile) -> list[GivenVideo]:
        """Return the videos of a file; one that holds several is read for it. Raises TableError and StorageError."""
        if not file.holds_many:
            return [GivenVideo(file.name, self._at_rate(file, _content_id(file.uri)))]
        return [
            GivenVideo(video_id, content_id)
            for video_id, table in self._read(file).items()
            for content_id in pc.unique(table["content_id"]).to_pylist()
        ]

    def read(self, file: KeypointFile, video: GivenVideo) -> pa.Table:
        """Return the rows of one video (`KEYPOINTS` schema), by track and time. Raises TableError and StorageError."""
        found = self._read(file)
        if file.holds_many:
            if video.video_id not in found:
                raise TableError(f"{file.uri}: no longer has {video.video_id!r}; it was changed meanwhile, run again")
            table = found[video.video_id]
            return table.filter(pc.equal(table["content_id"], video.content_id))
        table = next(iter(found.values()), KEYPOINTS.empty_table())
        content = pa.array([video.content_id] * len(table), pa.string())
        return table.set_column(KEYPOINTS.get_field_index("content_id"), KEYPOINTS.field("content_id"), content)

    def origin_of(self, file: KeypointFile, *, made_by: str) -> Origin | None:
        """Return where a file's keypoints are from; None where it has no row. `made_by` empty: as its format says.

        Raises TableError and StorageError.
        """
        if file.uri not in self._origins:
            self._origins[file.uri] = self._look_for_origin(file, made_by)
        return self._origins[file.uri]

    def _look_for_origin(self, file: KeypointFile, made_by: str) -> Origin | None:
        if (known := _fingerprint_of(file)) is not None:
            return Origin("", True, known)
        tables = [table for table in self._read(file).values() if len(table)]
        if not tables:
            return None
        some = tables[:ORIGIN_VIDEOS]
        return Origin.of_files(
            made_by.strip().lower() or made_by_default(file.format),
            has_scores=any(map(has_scores, some)),
            has_3d=any(map(has_3d, some)),
            skeleton=keypoint_set(NUM_KEYPOINTS + num_other_keypoints(some[0])).name,
        )

    def log_remarks(self) -> None:
        """Log what the readers warned of: once for all files, and not for each."""
        for text, uris in self._remarks.items():
            more = f" and {len(uris) - 1} more files" if len(uris) > 1 else ""
            logger.warning("%s%s: %s", min(uris), more, text)
        self._remarks.clear()

    def _read(self, file: KeypointFile) -> Mapping[str, pa.Table]:
        """Return the rows of each video of a file, by the ids that they have here."""
        if self._last is None or self._last[0] != file:
            self._last = None  # not two at a time
            try:
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always", ChoreaiWarning)
                    found = dict(self._videos_of(file, self._table_of(file)))
            except ValueError as exc:  # Arrow's, at nulls where none may be, is one too
                raise TableError(f"{file.uri}: {shorten(str(exc))}; leave the file out, or write it again") from exc
            for each in caught:
                self._remarks[str(each.message).removeprefix(f"{file.uri}: ")].add(file.uri)
            self._last = file, found
        return self._last[1]

    def _table_of(self, file: KeypointFile) -> pa.Table:
        if file.format == "parquet":  # `read_keypoints` leaves out the 3D
            return read_part(file.uri, KEYPOINTS)
        if file.format == "report-text":
            if self._rate is None:
                raise ConfigError(f"{file.uri}: text keypoints have no times; give --frames-per-second")
            read = read_keypoint_text(file.uri, None, frames_per_second=self._rate, lines_per_sequence=self._lines)
            return read.keypoints
        settings = ConvertSettings(video_id=file.name, frames_per_second=self._rate, size_wh=self._size_wh)
        return read_keypoints(file.uri, settings, source_format=file.format)

    def _videos_of(self, file: KeypointFile, table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
        schema = keypoints_schema(NUM_KEYPOINTS + num_other_keypoints(table))
        held: dict[str, list[pa.Table]] = defaultdict(list)
        if len(table):
            runs = pc.run_end_encode(table["video_id"].combine_chunks())
            starts = [0, *runs.run_ends.to_pylist()]
            for video_id, start, stop in zip(runs.values.to_pylist(), starts, starts[1:], strict=False):
                held[video_id].append(table.slice(start, stop - start))
        for video_id, tables in held.items():
            rows = pa.concat_tables(tables).select(schema.names).cast(schema)
            rows = rows.sort_by([("track_id", "ascending"), ("frame_index", "ascending")])
            if file.holds_many:
                rows = self._renamed(file, rows, file.id_of(video_id))
            yield file.id_of(video_id) if file.holds_many else video_id, rows

    def _renamed(self, file: KeypointFile, rows: pa.Table, video_id: str) -> pa.Table:
        contents = [self._at_rate(file, content_id) for content_id in rows["content_id"].to_pylist()]
        columns = {"video_id": [video_id] * len(rows), "content_id": contents}
        for name, values in columns.items():
            field = KEYPOINTS.field(name)
            rows = rows.set_column(KEYPOINTS.get_field_index(name), field, pa.array(values, pa.string()))
        return rows

    def _at_rate(self, file: KeypointFile, content_id: str) -> str:
        """Return an id that is another one at another rate: times are not in the file, but in the tables."""
        return content_id if self._rate is None or file.format == "parquet" else f"{content_id}@{self._rate:g}"


def _content_id(uri: str) -> str:
    """Return the content id of a file, or of all the files in a folder of frames."""
    if objects.is_folder(uri):
        listed = objects.list_objects(uri + "/", sub_folders=False)
        return f"files-{fingerprint({info.uri[len(uri) :]: info.content_id for info in listed})}"
    info = objects.stat_object(uri)
    if info is None:
        raise ObjectMissingError(uri, "there is nothing here any more")
    return info.content_id


def _fingerprint_of(file: KeypointFile) -> str | None:
    """Return the pose fingerprint in the footer of a part that an extraction wrote; None of other files."""
    if file.format != "parquet":
        return None
    try:
        with objects.open_object(file.uri) as part:
            metadata = pq.read_metadata(part).metadata or {}
    except (pa.ArrowException, OSError) as exc:
        raise TableError(f"{file.uri}: not readable as Parquet ({exc}); leave it out, or copy it again") from exc
    found = metadata.get(_FINGERPRINT)
    return found.decode("ascii", "replace") if found else None
