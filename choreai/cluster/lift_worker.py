"""The lifting worker: one keypoints part in, its people in 3D out. Opens no video."""

import logging
import os
import resource
import socket
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from choreai.catalog.catalog import Video
from choreai.catalog.shards import TagShard
from choreai.errors import ConfigError, DamagedPartError, StorageError
from choreai.lift.figures import SpaceFigures, measure_space
from choreai.lift.lifter import LiftedTrack, lift_track
from choreai.lift.weights import Lifter, load_lifter
from choreai.motion.prominence import choose_dancers, prominence_by_track
from choreai.motion.sequence import KeypointSequence
from choreai.storage.scratch import scratch_folder
from choreai.tables import space_schemas
from choreai.tables.keypoints import read_videos
from choreai.tables.parts import part_uri, write_part
from choreai.tables.reports import ShardReport
from choreai.tables.schemas import list_column
from choreai.tables.space_schemas import LIFTED_SCHEMAS, SPACE_FIGURES

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LiftedVideo:
    """One video's tracks in 3D, or why there are none."""

    video: Video
    status: str
    """`ok`: at least one track has poses; `nobody`, `too_short`, `not_seen`, `quarantined`."""
    reason: str | None
    tracks: tuple[LiftedTrack, ...]
    figures: tuple[SpaceFigures, ...]
    main: int | None
    """Id of the main dancer's track."""


class LiftWorker:
    """Lifts shards from stored keypoints; keeps only the network between calls."""

    def __init__(
        self, output: str, *, weights: str | None, height: float | None, pose_fingerprint: str, version: str
    ) -> None:
        """`weights` is a lifter's file, None for the one that comes with the package; `version` names the tables."""
        self._output, self._weights, self._height = output, weights, height
        self._fingerprint, self._version = pose_fingerprint, version
        self._lifter: Lifter | None = None

    def setup(self) -> None:
        """Load the network. Raises WeightsError, which ends the run."""
        self._lifter = load_lifter(Path(self._weights) if self._weights else None)

    def process(self, shard: TagShard) -> ShardReport:
        """Lift one shard, commit its two parts, and return its report.

        Raises StorageError for a damaged keypoints part: its videos are left for another run.
        """
        if self._lifter is None:
            raise ConfigError("LiftWorker.process was called before setup; call setup() once per worker first")
        started = time.monotonic()
        try:
            videos = self._lift(shard, self._lifter)
        except DamagedPartError as exc:
            raise StorageError(shard.keypoints_part, str(exc)) from exc
        # The movement comes last: its rows say that the shard is done.
        self._write("poses3d", shard, _pose_columns(videos), self._lifter)
        written = self._write("movement3d", shard, _movement_columns(videos), self._lifter)
        num_poses = sum(len(track) for video in videos for track in video.tracks)
        return ShardReport(
            shard_id=shard.shard_id,
            written=written,
            statuses=Counter(video.status for video in videos),
            problems=tuple((v.video.video_id, v.reason or "") for v in videos if v.status == "quarantined"),
            num_frames=num_poses,
            num_rows=num_poses,
            process_seconds=time.monotonic() - started,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            worker=f"{socket.gethostname()}:{os.getpid()}",
        )

    def _lift(self, shard: TagShard, lifter: Lifter) -> list[LiftedVideo]:
        """Return the shard's videos by id; one without keypoints shows nobody."""
        part = part_uri(self._output, "keypoints", self._fingerprint, shard.keypoints_part)
        waiting = {video.video_id: video for video in shard.videos}
        content_ids = {name: video.content_id for name, video in waiting.items()}
        found = []
        for video_id, rows in read_videos(part, content_ids):
            found.append(lift_video(waiting.pop(video_id), rows, lifter, height=self._height))
        found += [lift_video(video, KeypointSequence.empty(), lifter) for video in waiting.values()]
        return sorted(found, key=lambda each: each.video.video_id)

    def _write(self, table: str, shard: TagShard, columns: dict[str, Any], lifter: Lifter) -> bool:
        """Write the shard's part of one of the two tables, and return whether this call wrote it."""
        same = {
            "pose_fingerprint": self._fingerprint,
            "lifter_version": lifter.version,
            "shard_id": shard.shard_id,
        }
        num_rows = len(columns["video_id"])
        every = {**columns, **{name: [value] * num_rows for name, value in same.items()}}
        uri = part_uri(self._output, table, self._version, shard.shard_id)
        with scratch_folder() as folder:
            return write_part(uri, pa.table(every, schema=LIFTED_SCHEMAS[table]), folder / "part.parquet")


def lift_video(video: Video, rows: KeypointSequence, lifter: Lifter, *, height: float | None = None) -> LiftedVideo:
    """Return the people of one video in 3D; a video whose numbers cannot be worked with is quarantined."""
    if not len(rows):
        return LiftedVideo(video, "nobody", "nobody is in view", (), (), None)
    try:
        tracks = tuple(lift_track(track, lifter.network, height=height) for _, track in rows.tracks())
        figures = tuple(measure_space(track) for track in tracks)
        main = _main_track(rows)
    except (ValueError, ArithmeticError, np.linalg.LinAlgError, RuntimeError) as exc:
        return LiftedVideo(video, "quarantined", f"{type(exc).__name__}: {exc}", (), (), None)
    statuses = {track.status for track in tracks}
    status = next(each for each in ("ok", "too_short", "not_seen") if each in statuses)
    return LiftedVideo(video, status, _REASONS[status], tracks, figures, main)


_REASONS = {
    "ok": None,
    "too_short": "nobody is in view for more than half a second in one piece",
    "not_seen": "of nobody enough of the body is seen at once: hips, and 8 of the 12 keypoints below the head",
}


def _main_track(rows: KeypointSequence) -> int | None:
    """Return the most prominent track, as kinematics have it where no review names a dancer."""
    prominence = prominence_by_track(rows.take(choose_dancers(rows).is_main))
    return max(prominence, key=lambda track_id: (prominence[track_id], -track_id), default=None)


def _pose_columns(videos: Sequence[LiftedVideo]) -> dict[str, Any]:
    lifted = [(video, track) for video in videos for track in video.tracks]
    counts = [len(track) for _, track in lifted]

    def joined(name: str, kind: type) -> np.ndarray[Any, Any]:
        return np.concatenate([np.zeros(0, kind), *(getattr(track, name) for _, track in lifted)]).astype(kind)

    return {
        "video_id": [video.video.video_id for (video, _), num in zip(lifted, counts, strict=True) for _ in range(num)],
        "content_id": [v.video.content_id for (v, _), num in zip(lifted, counts, strict=True) for _ in range(num)],
        "frame_index": joined("frame_index", np.int32),
        "pts_seconds": joined("pts_seconds", np.float32),
        "track_id": np.repeat([track.track_id for _, track in lifted], counts).astype(np.int32),
        "piece": joined("piece", np.int32),
        "keypoints_xyz": list_column(np.concatenate([np.zeros((0, 17, 3), np.float32), *(t.xyz for _, t in lifted)])),
        "heading": joined("heading", np.float32),
        "root_height": joined("root_height", np.float32),
        "scale_source": [
            track.scale_source for (_, track), num in zip(lifted, counts, strict=True) for _ in range(num)
        ],
    }


def _movement_columns(videos: Sequence[LiftedVideo]) -> dict[str, Any]:
    now = datetime.now(UTC)
    now = now.replace(microsecond=now.microsecond // 1000 * 1000)
    rows = [row for video in videos for row in _movement_rows(video)]
    names = [
        name
        for name in space_schemas.MOVEMENT3D.names
        if name not in ("pose_fingerprint", "lifter_version", "shard_id")
    ]
    return {name: [{"lifted_at": now, **row}.get(name) for row in rows] for name in names}


def _movement_rows(video: LiftedVideo) -> list[dict[str, Any]]:
    of_video = {"video_id": video.video.video_id, "uri": video.video.uri, "content_id": video.video.content_id}
    if not video.tracks:
        return [{**of_video, "is_main": False, "status": video.status, "reason": video.reason, "num_poses": 0}]
    return [
        {
            **of_video,
            "track_id": track.track_id,
            "is_main": track.track_id == video.main,
            "status": track.status,
            "reason": _REASONS[track.status],
            "num_poses": len(track),
            **{name: figures.row()[name] for name in SPACE_FIGURES},
            "scale_source": track.scale_source if len(track) else None,
        }
        for track, figures in zip(video.tracks, video.figures, strict=True)
    ]
