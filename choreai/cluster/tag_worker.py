"""The tag worker: one keypoints part in, one tags part and one small report out. Touches no video."""

import os
import resource
import socket
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from choreai.errors import ConfigError
from choreai.store import tables
from choreai.store.catalog import Video
from choreai.store.keypoints import KeypointRows, read_videos
from choreai.store.reports import ShardReport
from choreai.store.shards import TagShard
from choreai.style.examples import windows_of
from choreai.style.model import StyleModel, load_model
from choreai.style.tagging import tag_video


class TagWorker:
    """Tags shards from stored keypoints; holds the model and nothing else between calls."""

    def __init__(self, output: str, *, model_uri: str, pose_fingerprint: str, run_id: str) -> None:
        self._output, self._model_uri = output, model_uri
        self._fingerprint, self._run_id = pose_fingerprint, run_id
        self._model: StyleModel | None = None

    def setup(self) -> None:
        """Load the model. Raises WeightsError, which ends the run."""
        self._model = load_model(self._model_uri)

    def process(self, shard: TagShard) -> ShardReport:
        """The report of one shard, its tags part committed."""
        if self._model is None:
            raise ConfigError("TagWorker.process was called before setup; call setup() once per worker first")
        started = time.monotonic()
        part = tables.part_uri(self._output, "keypoints", self._fingerprint, shard.keypoints_part)
        content_ids = {video.video_id: video.content_id for video in shard.videos}
        rows = []
        waiting = {video.video_id: video for video in shard.videos}
        for video_id, rows_of_video in read_videos(part, content_ids):
            rows.append(self._tag(waiting.pop(video_id), rows_of_video, self._model))
        rows += [self._row(video, self._model, reason="nobody in view") for video in waiting.values()]
        written = self._commit(shard, rows, self._model)
        num_tagged = sum(row["style"] is not None for row in rows)
        statuses = {"tagged": num_tagged, "nothing to judge": len(rows) - num_tagged}
        return ShardReport(
            shard_id=shard.shard_id,
            written=written,
            statuses={status: count for status, count in statuses.items() if count},
            problems=(),
            num_frames=0,
            num_rows=len(rows),
            process_seconds=time.monotonic() - started,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            worker=f"{socket.gethostname()}:{os.getpid()}",
        )

    def _tag(self, video: Video, keypoints: KeypointRows, model: StyleModel) -> dict[str, object]:
        """One video's tags row: its style is the mean over its windows."""
        windows = windows_of(keypoints, model.config.windows)
        scores = tag_video(model, windows)
        if scores is None:
            shortest = model.config.windows.min_seconds
            return self._row(video, model, reason=f"nobody in view for {shortest:g} seconds on end")
        spans = zip(
            windows.start_seconds.tolist(),
            windows.stop_seconds.tolist(),
            windows.track_id.tolist(),
            scores.window_styles,
            scores.window_scores.max(axis=1).tolist(),
            strict=True,
        )
        names = ("start_seconds", "stop_seconds", "track_id", "style", "score")
        return {
            **self._row(video, model),
            "style": scores.style,
            "score": scores.score,
            "distribution": [{"style": style, "score": score} for style, score in scores.distribution.items()],
            "windows": [dict(zip(names, span, strict=True)) for span in spans],
        }

    def _row(self, video: Video, model: StyleModel, *, reason: str | None = None) -> dict[str, object]:
        """A tags row without a style."""
        return {
            "video_id": video.video_id,
            "uri": video.uri,
            "content_id": video.content_id,
            "style": None,
            "score": None,
            "reason": reason,
            "distribution": [],
            "windows": [],
            "pose_fingerprint": self._fingerprint,
            "model_version": model.model_version,
            "run_id": self._run_id,
            "tagged_at": datetime.now(UTC).replace(microsecond=0),
        }

    def _commit(self, shard: TagShard, rows: list[dict[str, object]], model: StyleModel) -> bool:
        table = pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["video_id"])), schema=tables.TAGS)
        uri = tables.part_uri(self._output, "tags", model.model_version, shard.shard_id)
        with tempfile.TemporaryDirectory(prefix="choreai-") as folder:
            return tables.write_part(uri, table, Path(folder) / "tags.parquet")
