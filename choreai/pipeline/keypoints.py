"""Keypoints that somebody has already -> keypoint tables, in place of an extraction: no video is opened.

What follows, training and tagging, reads tables and does not know where they came from. Their fingerprint says which
estimator made the keypoints and whether they have scores: a model fits those of its training only.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from choreai.catalog.catalog import CATALOG_SCHEMA, Catalog, Video
from choreai.catalog.shards import PoseShard, pending_videos
from choreai.config import ExtractConfig, KeypointSettings
from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError, TableError
from choreai.formats.keypoint_files import KeypointFile, find_keypoint_files
from choreai.formats.keypoint_reader import GivenVideo, KeypointReader
from choreai.formats.origin import Origin
from choreai.formats.registry import FORMATS
from choreai.pipeline.extract import known_videos
from choreai.pipeline.progress import progress
from choreai.storage import objects
from choreai.storage.conditional_writes import check_conditional_writes
from choreai.style.training.split import some_names
from choreai.tables.parts import read_consistently
from choreai.tables.pose_parts import PosePartWriter, VideoRows, recover_videos_parts
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest, new_run_id

logger = logging.getLogger(__name__)
BAD_FILE = (TableError, ObjectMissingError, ObjectUnusableError)
"""What makes one file unusable, and no other."""


@dataclass(frozen=True, eq=False)
class GivenKeypoints:
    """Keypoints as a job finds them, before any table is written."""

    catalog: Catalog
    """A row per video or sequence, without labels."""
    files: Mapping[str, KeypointFile]
    """By video_id."""
    origin: Origin
    """Of the first file that has people; others must be of the same, or are quarantined."""
    reader: KeypointReader
    made_by: str


def look_at_keypoints(settings: KeypointSettings, *, but: Sequence[str] = ()) -> GivenKeypoints:
    """Return what there is in `settings.source`. What is in `but` are no keypoints, even if it lies among them: labels,
    the job's own output.

    Raises ConfigError where there is nothing to read or a setting is missing, TableError where no file can be used.
    """
    files = find_keypoint_files(settings.source, but=but)
    if settings.frames_per_second is None and "frames_per_second" in FORMATS[files[0].format].reading_needs:
        raise ConfigError(
            f"{settings.source}: {files[0].format} has no times; say with --frames-per-second how many frames of it "
            "are a second"
        )
    reader = KeypointReader(
        frames_per_second=settings.frames_per_second,
        lines_per_sequence=settings.sequence_lines,
        size_wh=settings.size_wh,
    )
    origin = _first_origin(files, reader, settings)
    rows: dict[str, Video] = {}
    owners: dict[str, KeypointFile] = {}
    for file in files:
        for video in _videos_in(file, reader, may_fail=len(files) > 1):
            if (other := rows.get(video.video_id)) is None:
                rows[video.video_id] = Video(video.video_id, file.video_uri, video.content_id)
                owners[video.video_id] = file
            elif other.content_id != video.content_id:
                logger.warning("%s: %s was in %s already, with other keypoints; the first are taken", file.uri,
                               video.video_id, owners[video.video_id].uri)  # fmt: skip
    table = pa.Table.from_pylist([asdict(row) for row in rows.values()], schema=CATALOG_SCHEMA)
    catalog = Catalog(objects.resolve_uri(settings.source, against="."), table)
    return GivenKeypoints(catalog, owners, origin, reader, settings.made_by)


def _first_origin(files: list[KeypointFile], reader: KeypointReader, settings: KeypointSettings) -> Origin:
    first_error: Exception | None = None
    for file in files:
        try:
            origin = reader.origin_of(file, made_by=settings.made_by)
        except BAD_FILE as exc:
            if len(files) == 1 or file.format == "report-text":  # a set of sequences is used whole
                raise
            first_error = first_error or exc
            continue
        if origin is not None and settings.made_by and not origin.made_by:
            raise ConfigError(
                f"{file.uri}: its poses are {origin.pose_fingerprint}, as its footer says; leave out --made-by"
            )
        if origin is not None:
            return origin
    what = f"{settings.source}: {'none' if first_error else 'nobody is in any'} of {len(files)} keypoint files"
    if first_error is not None:
        raise TableError(f"{what} can be used; the first: {first_error}")
    raise TableError(f"{what}; check that they are complete")


def _videos_in(file: KeypointFile, reader: KeypointReader, *, may_fail: bool) -> list[GivenVideo]:
    """Return a file's videos; one under the file's own name where it cannot be read, which quarantines it later."""
    try:
        return reader.videos_in(file)
    except BAD_FILE:
        if not may_fail or file.format == "report-text":
            raise
        return [GivenVideo(file.name or PurePosixPath(file.uri).stem, "unreadable")]


def take_keypoints(given: GivenKeypoints, config: ExtractConfig) -> RunManifest:
    """Write the keypoints that the tables under `config.output` lack, and return what became of each video.

    A file that cannot be read, or is of another origin than the first, is quarantined.
    """
    pose_id = given.origin.pose_fingerprint
    recover_videos_parts(config.output, pose_id)
    pending = read_consistently(
        lambda: pending_videos(
            given.catalog, known_videos(config.output, pose_id), retry_quarantined=config.retry_quarantined
        )
    )
    summary = RunManifest(
        job="take_keypoints",
        run_id=new_run_id(),
        config=asdict(config),
        pose_fingerprint=pose_id,
        num_done_before=pending.num_done,
        num_quarantined_before=pending.num_quarantined,
    )
    if pending.videos.num_rows:
        logger.info("%d of %d are new: %s", pending.videos.num_rows, len(given.catalog), given.origin)
        check_conditional_writes(config.output)
        with progress("reading keypoints", pending.videos.num_rows) as steps:
            for shard in _shards(given, pending.videos, videos_per_shard=config.videos_per_shard):
                summary.add(_take_shard(given, shard, output=config.output, run_id=summary.run_id))
                steps.advance(len(shard.videos))
    summary.finish()
    given.reader.log_remarks()
    if summary.problems:
        shown = some_names([f"{video_id}: {reason}" for video_id, reason in summary.problems], noun="file")
        logger.warning("quarantined: %s", shown)
    return summary


def _shards(given: GivenKeypoints, pending: pa.Table, *, videos_per_shard: int) -> Iterator[PoseShard]:
    """Yield the pending videos: those of one file together, of files with one each a few together."""
    held: list[tuple[Video, int]] = []
    last: KeypointFile | None = None
    for row in pending.to_pylist():
        attempt = row.pop("attempts")
        file = given.files[row["video_id"]]
        is_other = file != last if file.holds_many else len(held) >= videos_per_shard
        if held and is_other:
            yield _shard(held, given)
            held = []
        held.append((Video(**row), attempt))
        last = file
    if held:
        yield _shard(held, given)


def _shard(held: list[tuple[Video, int]], given: GivenKeypoints) -> PoseShard:
    videos, attempts = zip(*held, strict=True)
    return PoseShard.from_videos(videos, attempts, pose_fingerprint=given.origin.pose_fingerprint)


def _take_shard(given: GivenKeypoints, shard: PoseShard, *, output: str, run_id: str) -> ShardReport:
    """Write one part, and return its report."""
    started = time.monotonic()
    records: list[dict[str, object]] = []
    trace = {"run_id": run_id, "keypoints": given.origin.to_json()}
    with PosePartWriter(
        output, shard_id=shard.shard_id, pose_fingerprint=given.origin.pose_fingerprint, trace=trace
    ) as writer:
        for video, attempt in zip(shard.videos, shard.attempts, strict=True):
            rows: _TableRows | None = None
            try:
                rows = _TableRows(writer.scratch, video, _read(given, video))
                outcome = {"status": "ok" if rows.num_rows else "nobody"}
            except BAD_FILE as exc:
                outcome = {"status": "quarantined", "stage": "open", "error_class": type(exc).__name__,
                           "reason": str(exc)[:1000]}  # fmt: skip
            record = _record(video, rows, attempt, run_id) | outcome
            writer.add_video(record, rows)
            records.append(record)
        written = writer.commit()
    statuses = [str(record["status"]) for record in records]
    return ShardReport(
        shard_id=shard.shard_id,
        written=written,
        statuses={status: statuses.count(status) for status in sorted(set(statuses))},
        problems=tuple((str(r["video_id"]), str(r["reason"])) for r in records if r["status"] == "quarantined"),
        num_frames=sum(int(str(record["num_frames_sampled"])) for record in records),
        num_rows=sum(int(str(record["num_rows"])) for record in records),
        process_seconds=time.monotonic() - started,
        peak_memory_bytes=0,
        worker="driver",
    )


def _read(given: GivenKeypoints, video: Video) -> pa.Table:
    """Return one video's rows. Raises TableError where they are of another origin than the others."""
    file = given.files[video.video_id]
    table = given.reader.read(file, GivenVideo(video.video_id, video.content_id))
    if not file.holds_many or file.format == "parquet":
        origin = given.reader.origin_of(file, made_by=given.made_by)
        if origin is not None and origin.pose_fingerprint != given.origin.pose_fingerprint:
            raise TableError(f"{file.uri}: {origin}, but the first file has {given.origin}; keep them apart")
    return table


class _TableRows(VideoRows):
    """The rows of one video that are there as a table."""

    def __init__(self, scratch: Path, video: Video, table: pa.Table) -> None:
        super().__init__(scratch, video_id=video.video_id, content_id=video.content_id)
        self.table, self.num_rows = table, len(table)
        self.num_tracks = len(table["track_id"].unique())
        self.num_frames = len(table["frame_index"].unique())

    def chunks(self) -> Iterator[pa.Table]:
        """Yield all rows."""
        if self.num_rows:
            yield self.table


def _record(video: Video, rows: _TableRows | None, attempt: int, run_id: str) -> dict[str, object]:
    """Return a row of the videos table; there is no picture, so nothing is known of it."""
    num_frames = rows.num_frames if rows is not None else 0
    return {
        "video_id": video.video_id,
        "uri": video.uri,
        "content_id": video.content_id,
        "attempts": attempt,
        "num_frames_decoded": 0,
        "num_frames_sampled": num_frames,
        "num_decode_errors": 0,
        "num_tracks": rows.num_tracks if rows is not None else 0,
        "num_rows": rows.num_rows if rows is not None else 0,
        "process_seconds": 0.0,
        "run_id": run_id,
    }
