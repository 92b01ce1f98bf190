"""The music worker: one shard of videos in, one music part and one small report out. Decodes no picture."""

import logging
import os
import resource
import socket
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from choreai.catalog.catalog import UNAVAILABLE, Video
from choreai.catalog.pictures import num_bytes, open_source
from choreai.catalog.shards import PoseShard
from choreai.cluster.limits import DEFAULT_LIMITS, VideoLimits, watch_limits
from choreai.cluster.steps import Step, Steps, run_to_end
from choreai.errors import ConfigError, MediaError, ObjectMissingError, ObjectUnusableError, StorageError
from choreai.music.analysis import Listener
from choreai.music.beat_network import BeatNetwork, shipped_network
from choreai.music.spectrum import FRAMES_PER_SECOND, SAMPLES_PER_SECOND
from choreai.storage.scratch import no_room_is_a_storage_error, scratch_folder, sweep_scratch
from choreai.tables.music import MUSIC, music_columns
from choreai.tables.parts import part_uri, write_part
from choreai.tables.reports import ShardReport
from choreai.video.audio import AudioReader, NoSoundError
from choreai.video.picture_files import Pictures

logger = logging.getLogger(__name__)
Row = dict[str, object]


@dataclass
class _Progress:
    """How far a sound was heard."""

    num_heard: int = 0
    num_expected: int = 0
    """Both in frames of sound, 50 a second."""


class MusicWorker:
    """Listens to shards; keeps only the network between calls."""

    def __init__(
        self, output: str, *, music_fingerprint: str, run_id: str, limits: VideoLimits = DEFAULT_LIMITS
    ) -> None:
        self._output, self._fingerprint, self._run_id, self._limits = output, music_fingerprint, run_id, limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sound")
        self._network: BeatNetwork | None = None
        self._num_bytes = 0

    def setup(self) -> None:
        """Load the beat network."""
        sweep_scratch()
        self._network = shipped_network()

    def process(self, shard: PoseShard) -> ShardReport:
        """Listen to one shard, commit its part, and return its report."""
        return run_to_end(self.steps(shard))

    def steps(self, shard: PoseShard) -> Steps[ShardReport]:
        """Listen to one shard video by video, commit its part, and return its report.

        Raises StorageError if the store fails, and VideoLimitError at a video over its limits.
        """
        started = time.monotonic()
        rows: list[Row] = []
        num_frames = 0
        with no_room_is_a_storage_error():
            for index, (video, attempt) in enumerate(zip(shard.videos, shard.attempts, strict=True)):
                began, heard = Step(index, num_frames_before=num_frames), _Progress()
                yield began
                watched = watch_limits(
                    partial(self._listen_to, video, heard),
                    thread=self._thread,
                    limits=self._limits,
                    index=index,
                    what=f"the sound of video {video.video_id}",
                )
                found = yield from _steps_of(watched, began, heard)
                rows.append(found | identity(video, attempt, shard.shard_id, self._run_id))
                num_frames += heard.num_heard
            yield Step(len(shard.videos), num_frames_before=num_frames)
            written = commit_rows(self._output, shard.shard_id, rows, music_fingerprint=self._fingerprint)
        num_read, self._num_bytes = self._num_bytes, 0
        return make_report(shard, rows, written, seconds=time.monotonic() - started, num_bytes=num_read)

    def _listen_to(self, video: Video, heard: _Progress) -> Row:
        """Return the columns of one video's sound; whatever an untrusted file makes a library do costs no other."""
        started = time.monotonic()
        row: Row = {}
        try:
            self._listen(video, heard, row)
        except NoSoundError as exc:
            row |= {"status": "no_audio", "reason": exc.reason}
        except (MediaError, ObjectMissingError, ObjectUnusableError) as exc:
            row |= failure("decode" if heard.num_heard else "open", type(exc).__name__, exc.reason)
        except (StorageError, ConfigError):
            raise  # not the video's fault
        except Exception as exc:
            logger.exception("the sound of video %s failed", video.video_id)
            row |= failure("decode", type(exc).__name__, f"{type(exc).__name__}: {exc}")
        return row | {"process_seconds": time.monotonic() - started}

    def _listen(self, video: Video, heard: _Progress, row: Row) -> None:
        if self._network is None:
            raise ConfigError("MusicWorker.process was called before setup; call setup() once per worker first")
        if video.content_id.startswith(UNAVAILABLE):
            raise MediaError(video.uri, video.content_id.removeprefix(UNAVAILABLE))
        with open_source(video.uri) as file:
            if isinstance(file, Pictures):
                raise NoSoundError(video.uri, "pictures have no sound")
            try:
                with AudioReader(file, uri=video.uri, samples_per_second=SAMPLES_PER_SECOND) as reader:
                    info = reader.info
                    row |= {
                        "codec": info.codec,
                        "sample_rate": info.sample_rate or None,
                        "num_channels": info.num_channels or None,
                    }
                    heard.num_expected = round((info.duration_seconds or 0.0) * FRAMES_PER_SECOND)
                    listener = Listener()
                    for samples in reader.samples():
                        listener.add(samples)
                        heard.num_heard = listener.num_samples * FRAMES_PER_SECOND // SAMPLES_PER_SECOND
                    row["num_decode_errors"] = reader.state.num_decode_errors
                    if not reader.state.num_frames and reader.state.is_damaged:
                        raise MediaError(video.uri, "no sound could be decoded; is the file damaged or truncated?")
                    row |= music_columns(listener.finish(self._network))
            finally:
                self._num_bytes += num_bytes(file)


def _steps_of(watched: Generator[None, None, Row], began: Step, heard: _Progress) -> Steps[Row]:
    """Go on with a sound until it is done, telling how far it is."""
    while True:
        try:
            next(watched)
        except StopIteration as end:
            row: Row = end.value
            return row
        yield replace(began, num_frames=heard.num_heard, num_expected=heard.num_expected)


def identity(video: Video, attempt: int, shard_id: str, run_id: str) -> Row:
    """Return the columns that name a row."""
    return {
        "video_id": video.video_id,
        "uri": video.uri,
        "content_id": video.content_id,
        "attempts": attempt,
        "shard_id": shard_id,
        "run_id": run_id,
    }


def failure(stage: str, error_class: str, reason: str) -> Row:
    """Return the columns of a sound that could not be read."""
    return {"status": "quarantined", "stage": stage, "error_class": error_class, "reason": reason[:1000]}


def commit_rows(output: str, shard_id: str, rows: list[Row], *, music_fingerprint: str) -> bool:
    """Write the part, sorted by video, and return whether this call wrote it."""
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["video_id"])), schema=MUSIC)
    with scratch_folder() as folder:
        return write_part(part_uri(output, "music", music_fingerprint, shard_id), table, folder / "part.parquet")


def make_report(
    shard: PoseShard, rows: list[Row], written: bool, *, seconds: float = 0.0, num_bytes: int = 0, worker: str = ""
) -> ShardReport:
    """Return the report of a shard whose rows these are."""
    statuses = [str(row["status"]) for row in rows]
    return ShardReport(
        shard_id=shard.shard_id,
        written=written,
        statuses={status: statuses.count(status) for status in sorted(set(statuses))},
        problems=tuple((str(r["video_id"]), str(r["reason"])) for r in rows if r["status"] == "quarantined"),
        num_frames=0,
        num_rows=len(rows),
        process_seconds=seconds,
        peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        worker=worker or f"{socket.gethostname()}:{os.getpid()}",
        num_bytes=num_bytes,
    )
