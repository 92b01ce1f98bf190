"""The embedding worker: one keypoints part in, the motion embeddings of its windows and videos out. Opens no video."""

import os
import resource
import socket
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from choreai.arrays import FloatArray
from choreai.catalog.catalog import Video
from choreai.catalog.shards import TagShard
from choreai.errors import ConfigError
from choreai.motion.sequence import KeypointSequence
from choreai.motion.windows import Windows, cut_windows
from choreai.search.dancer_reviews import find_named
from choreai.storage.scratch import scratch_folder
from choreai.style.embedding import embed_video, embed_windows
from choreai.style.examples import Inputs
from choreai.style.model import StyleModel, load_model
from choreai.tables import schemas
from choreai.tables.keypoints import read_videos
from choreai.tables.parts import part_uri, write_part
from choreai.tables.reports import ShardReport
from choreai.tables.schemas import list_column


class EmbedWorker:
    """Embeds shards from stored keypoints; keeps only the model between calls."""

    def __init__(self, output: str, *, model_uri: str, pose_fingerprint: str) -> None:
        self._output, self._model_uri, self._fingerprint = output, model_uri, pose_fingerprint
        self._model: StyleModel | None = None

    def setup(self) -> None:
        """Load the model. Raises WeightsError, which ends the run."""
        self._model = load_model(self._model_uri)

    def process(self, shard: TagShard) -> ShardReport:
        """Embed one shard, commit its two parts, and return its report."""
        if self._model is None:
            raise ConfigError("EmbedWorker.process was called before setup; call setup() once per worker first")
        started = time.monotonic()
        embedded = self._embed(shard, self._model)
        # The videos come last: their rows say that the shard is done.
        self._write("embeddings", shard, _window_columns(embedded), self._model)
        written = self._write("video_embeddings", shard, _video_columns(embedded), self._model)
        return ShardReport(
            shard_id=shard.shard_id,
            written=written,
            statuses={"embedded": len(embedded)},
            problems=(),
            num_frames=0,
            num_rows=sum(len(each.windows) for each in embedded),
            process_seconds=time.monotonic() - started,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            worker=f"{socket.gethostname()}:{os.getpid()}",
        )

    def _embed(self, shard: TagShard, model: StyleModel) -> list["_Embedded"]:
        """Return the shard's videos by id; one without keypoints has no windows."""
        part = part_uri(self._output, "keypoints", self._fingerprint, shard.keypoints_part)
        waiting = {video.video_id: video for video in shard.videos}
        found = []
        content_ids = {name: video.content_id for name, video in waiting.items()}
        for video_id, rows in read_videos(part, content_ids, with_others=model.config.windows.needs_others):
            named = find_named(shard.named, rows, pose_fingerprint=self._fingerprint)
            found.append(_embed_video(waiting.pop(video_id), rows, model, named=named.track_ids))
        found += [_embed_video(video, KeypointSequence.empty(), model) for video in waiting.values()]
        return sorted(found, key=lambda each: each.video.video_id)

    def _write(self, table: str, shard: TagShard, columns: dict[str, Any], model: StyleModel) -> bool:
        """Write the shard's part of one of the two tables, and return whether this call wrote it."""
        same = {
            "pose_fingerprint": self._fingerprint,
            "model_version": model.model_version,
            "shard_id": shard.shard_id,
        }
        num_rows = len(columns["video_id"])
        every = {**columns, **{name: [value] * num_rows for name, value in same.items()}}
        uri = part_uri(self._output, table, model.model_version, shard.shard_id)
        with scratch_folder() as folder:
            return write_part(uri, pa.table(every, schema=_SCHEMAS[table]), folder / "part.parquet")


_SCHEMAS = {"embeddings": schemas.EMBEDDINGS, "video_embeddings": schemas.VIDEO_EMBEDDINGS}


@dataclass(frozen=True, eq=False)
class _Embedded:
    """One video's windows, W of them, and their embeddings."""

    video: Video
    windows: Windows
    vectors: FloatArray  # (W, EMBEDDING_SIZE)


def _embed_video(
    video: Video, rows: KeypointSequence, model: StyleModel, *, named: Collection[int] | None = None
) -> _Embedded:
    windows = cut_windows(rows, model.config.windows, named=named)
    return _Embedded(video, windows, embed_windows(model.networks, Inputs.from_windows(windows)))


def _window_columns(embedded: Sequence[_Embedded]) -> dict[str, Any]:
    counts = [len(each.vectors) for each in embedded]
    return {
        "video_id": np.repeat([each.video.video_id for each in embedded], counts),
        "content_id": np.repeat([each.video.content_id for each in embedded], counts),
        "track_id": np.concatenate([each.windows.track_id for each in embedded]),
        "start_seconds": np.concatenate([each.windows.start_seconds for each in embedded]),
        "stop_seconds": np.concatenate([each.windows.stop_seconds for each in embedded]),
        "embedding": list_column(np.concatenate([each.vectors for each in embedded])),
    }


def _video_columns(embedded: Sequence[_Embedded]) -> dict[str, Any]:
    now = datetime.now(UTC)
    return {
        "video_id": [each.video.video_id for each in embedded],
        "uri": [each.video.uri for each in embedded],
        "content_id": [each.video.content_id for each in embedded],
        "num_windows": [len(each.vectors) for each in embedded],
        "embedded_at": [now.replace(microsecond=now.microsecond // 1000 * 1000)] * len(embedded),
        "embedding": list_column(np.stack([embed_video(each.vectors) for each in embedded])),
    }
