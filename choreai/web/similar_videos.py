"""The videos of the catalog that move like one of them, from the motion embeddings in the tables."""

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import pyarrow as pa

from choreai.search.similar import SimilarVideo, find_similar, find_video, newest_videos, query_of
from choreai.tables.compact import list_versions

KEEP_SECONDS = 60.0
"""How long the list of embedded videos is kept before it is read again."""
HOW_TO_EMBED = "run `choreai similar` once with this output, which embeds all videos that have poses"


@dataclass(frozen=True)
class Alike:
    """Videos that move alike, the most similar first."""

    found: tuple[SimilarVideo, ...] = ()
    model_version: str = ""
    """Of the embeddings."""
    num_videos: int = 0
    """Searched through."""
    why_none: str = ""
    """And what to do about it."""


class SimilarVideos:
    """Searches the embeddings under `output`. Thread-safe."""

    def __init__(self, output: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._output, self._clock = output, clock
        self._lock = threading.Lock()
        self._read_at = -math.inf
        self._embedded: dict[str, pa.Table] = {}

    def like(self, video_id: str, *, model_version: str, count: int) -> Alike:
        """Return the `count` most similar videos, by the embeddings of `model_version` where it has this video's."""
        embedded = self._tables()
        if not embedded:
            return Alike(why_none=f"There are no motion embeddings here yet: {HOW_TO_EMBED}.")
        versions = sorted(embedded, key=lambda version: version != model_version)
        for version in versions:
            video = find_video(embedded[version], video_id)
            if video is None:
                continue
            if not video.num_windows:
                return Alike(why_none="Nobody is in view for long enough to compare.")
            query = query_of(self._output, version, video)
            found = find_similar(
                self._output, version, query, videos=embedded[version], count=count, leave_out=video_id
            )
            return Alike(tuple(found), version, len(embedded[version]) - 1)
        return Alike(why_none=f"This video has no motion embedding yet: {HOW_TO_EMBED}.")

    def _tables(self) -> dict[str, pa.Table]:
        """Return the embedded videos by model version."""
        with self._lock:
            if self._clock() - self._read_at >= KEEP_SECONDS:
                versions = list_versions(self._output, "video_embeddings")
                self._embedded = {version: newest_videos(self._output, version) for version in versions}
                self._read_at = self._clock()
            return self._embedded
