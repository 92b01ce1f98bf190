"""The videos of a shard as a pose worker goes through them: opened, sampled and described, one ahead of the other."""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from choreai.catalog.catalog import UNAVAILABLE, Video
from choreai.catalog.pictures import num_bytes, open_source
from choreai.cluster.lookahead import Lookahead
from choreai.errors import MediaError
from choreai.pose.settings import PoseSettings
from choreai.pose.stages import StageClock, each_counted_as
from choreai.tables.pose_parts import VideoRows
from choreai.video.decode import VideoInfo
from choreai.video.frame import Frame
from choreai.video.pictures import open_reader
from choreai.video.prefetch import Prefetch
from choreai.video.quality import InputQuality
from choreai.video.shots import mark_shots


@dataclass
class VideoFacts:
    """What is known of a video, as far as it was read; most are columns of its row of the videos table."""

    num_expected: int = 0
    """Frames that will be sampled, by its duration; 0 where that is unknown. No column."""
    num_bytes: int = 0
    """Of all of it. No column."""
    width: int | None = None
    height: int | None = None
    frames_per_second: float | None = None
    duration_seconds: float | None = None
    num_frames_decoded: int = 0
    num_frames_sampled: int = 0
    num_decode_errors: int = 0
    codec: str | None = None
    quality: InputQuality | None = None

    def columns(self) -> dict[str, object]:
        names = [field.name for field in fields(self) if field.name not in ("quality", "num_expected", "num_bytes")]
        known = {name: getattr(self, name) for name in names}
        return known | (self.quality.columns() if self.quality is not None else {})

    def describe(self, info: VideoInfo, *, frames_per_second: float) -> None:
        self.width, self.height, self.codec = info.width, info.height, info.codec
        self.frames_per_second, self.duration_seconds = info.frames_per_second, info.duration_seconds
        rate = min(frames_per_second, info.frames_per_second or frames_per_second)
        self.num_expected = round((info.duration_seconds or 0.0) * rate)


@dataclass(frozen=True, eq=False)
class OpenedVideo:
    """A video that is being read, and what becomes of it."""

    frames: Prefetch
    rows: VideoRows
    seen: VideoFacts


class ShardVideos:
    """The videos of a shard, taken one after the other; what is read of the next is counted by `clock` too."""

    def __init__(
        self, videos: Sequence[Video], scratch: Path, *, clock: StageClock, settings: PoseSettings, num_threads: int
    ) -> None:
        self._videos, self._scratch, self._clock = videos, scratch, clock
        self._settings, self._num_threads = settings, num_threads
        self._noted: dict[int, tuple[VideoRows, VideoFacts]] = {}
        self._lookahead = Lookahead(self._begin, num_videos=len(videos))
        self.give_up, self.close = self._lookahead.give_up, self._lookahead.close

    def take(self, index: int) -> OpenedVideo:
        """Return a video, begun with or not; its frames are the caller's to close."""
        frames = self._lookahead.take(index)
        return OpenedVideo(frames, *self._noted.pop(index))

    def _begin(self, index: int, on_end: Callable[[], None]) -> Prefetch:
        video, seen = self._videos[index], VideoFacts()
        rows = VideoRows(self._scratch, video_id=video.video_id, content_id=video.content_id)
        self._noted[index] = rows, seen
        frames = _read_frames(video, rows, seen, settings=self._settings, num_threads=self._num_threads)
        return Prefetch(each_counted_as("decode", frames, self._clock), on_end=on_end)


def _read_frames(
    video: Video, rows: VideoRows, seen: VideoFacts, *, settings: PoseSettings, num_threads: int
) -> Generator[Frame, None, None]:
    """Yield the video's sampled frames, noting in `rows` what its pictures look like, and in `seen` what is known
    of it, as far as it was read."""
    if video.content_id.startswith(UNAVAILABLE):
        raise MediaError(video.uri, video.content_id.removeprefix(UNAVAILABLE))
    with (
        open_source(video.uri) as file,
        open_reader(file, uri=video.uri, num_threads=num_threads) as reader,
    ):
        seen.describe(reader.info, frames_per_second=settings.frames_per_second)
        frames = _noted(reader.sample(frames_per_second=settings.frames_per_second), rows)
        try:
            yield from mark_shots(frames) if settings.split_shots else frames
        finally:
            seen.num_bytes = num_bytes(file)  # all of it counts, even if it was not read to its end
            seen.num_frames_decoded = reader.num_frames_decoded
            seen.num_decode_errors = reader.num_decode_errors
            seen.quality = reader.quality


def _noted(frames: Iterable[Frame], rows: VideoRows) -> Iterator[Frame]:
    for frame in frames:
        rows.pictures.add(frame)
        yield frame
