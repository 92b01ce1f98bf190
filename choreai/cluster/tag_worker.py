"""The tag worker: one keypoints part in, one tags part and one small report out. Opens no video.

It also writes the kinematics of the part. They follow from the keypoints alone, so they are named after the
keypoints part and hold all of its videos: whichever worker writes them first, for whichever model, writes the same.
"""

import os
import resource
import socket
import time
from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import torch

from choreai.catalog.catalog import Video
from choreai.catalog.shards import TagShard
from choreai.cluster.steps import Step, Steps, run_to_end
from choreai.errors import ConfigError
from choreai.motion.named_dancers import NamedDancers
from choreai.motion.sequence import KeypointSequence
from choreai.search.dancer_reviews import find_named
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder
from choreai.style.dancers import Dancer, measure_dancers
from choreai.style.model import StyleModel, load_model
from choreai.style.tagging import Row, tag_row, tag_sequence, untagged_row, with_remark
from choreai.tables import schemas
from choreai.tables.keypoints import read_contents, read_videos
from choreai.tables.parts import part_id_of, part_uri, write_part
from choreai.tables.pose_parts import described_videos
from choreai.tables.reports import ShardReport
from choreai.video.quality import remarks_for_tag


class TagWorker:
    """Tags shards from stored keypoints; keeps only the model between calls."""

    def __init__(self, output: str, *, model_uri: str, pose_fingerprint: str, run_id: str) -> None:
        self._output, self._model_uri = output, model_uri
        self._fingerprint, self._run_id = pose_fingerprint, run_id
        self._model: StyleModel | None = None

    @staticmethod
    def load_model(uri: str) -> StyleModel:
        """Load the model that these workers tag with; a subclass may bring another. Raises WeightsError."""
        return load_model(uri)

    def setup(self) -> None:
        """Load the model. Raises WeightsError, which ends the run."""
        # Networks so small: with two threads, which wait for each other, a video took seven times the CPU time.
        torch.set_num_threads(1)
        self._model = self.load_model(self._model_uri)

    def process(self, shard: TagShard) -> ShardReport:
        """Tag one shard, commit its tags part, and return its report."""
        return run_to_end(self.steps(shard))

    def steps(self, shard: TagShard) -> Steps[ShardReport]:
        """Tag one shard video by video, commit its tags part, and return its report.

        A step may also be a video of the part that is only measured: compacted parts hold thousands.
        """
        if self._model is None:
            raise ConfigError("TagWorker.process was called before setup; call setup() once per worker first")
        started = time.monotonic()
        part = part_uri(self._output, "keypoints", self._fingerprint, shard.keypoints_part)
        measured = yield from self._write_kinematics(part)
        content_ids = {video.video_id: video.content_id for video in shard.videos}
        qualities = {
            (str(video["video_id"]), str(video["content_id"])): video.get("input_quality")
            for video in described_videos(part)
        }
        rows: list[Row] = []
        needs_others = self._model.config.windows.needs_others
        waiting = {video.video_id: video for video in shard.videos}
        for index, (video_id, keypoints) in enumerate(read_videos(part, content_ids, with_others=needs_others)):
            yield Step(index)
            video = waiting.pop(video_id)
            dancers = measured.get((video_id, video.content_id))
            rows.append(self._tag(video, keypoints, dancers, shard.named, self._model))
        rows += [self._row(video, self._model, untagged_row("nobody in view")) for video in waiting.values()]
        for row in rows:
            found = qualities.get((str(row["video_id"]), str(row["content_id"])))
            row["input_quality"] = remarks_for_tag(None if found is None else str(found))
        yield Step(len(shard.videos))
        # The tags come last: if a worker dies before, the shard is done again, whatever else it has written.
        uri = part_uri(self._output, "tags", self._model.model_version, shard.shard_id)
        written = _commit(uri, rows, schemas.TAGS)
        statuses = Counter(_status(row) for row in rows)
        return ShardReport(
            shard_id=shard.shard_id,
            written=written,
            statuses=dict(statuses),
            problems=(),
            num_frames=0,
            num_rows=len(rows),
            process_seconds=time.monotonic() - started,
            peak_memory_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            worker=f"{socket.gethostname()}:{os.getpid()}",
        )

    def _write_kinematics(self, keypoints_part_uri: str) -> Steps[dict[tuple[str, str], tuple[Dancer, ...]]]:
        """Measure every track of a keypoints part and write its kinematics, unless they are there already.

        Returns what was measured by (video_id, content_id); empty if nothing had to be.
        """
        part_id = part_id_of(keypoints_part_uri)
        uri = part_uri(self._output, "kinematics", self._fingerprint, part_id)
        if objects.stat_object(uri) is not None:
            return {}
        measured = {}
        for index, (video_id, content_id, keypoints) in enumerate(read_contents(keypoints_part_uri)):
            yield Step(index)
            measured[video_id, content_id] = measure_dancers(keypoints)
        rows: list[Row] = [
            {
                "video_id": video_id,
                "content_id": content_id,
                "track_id": dancer.track_id,
                "start_seconds": dancer.start_seconds,
                "stop_seconds": dancer.stop_seconds,
                "is_main": dancer.is_main,
                **dancer.kinematics.row(),
                "run_id": self._run_id,
            }
            for (video_id, content_id), dancers in measured.items()
            for dancer in dancers
        ]
        _commit(uri, rows, schemas.KINEMATICS)
        return measured

    def _tag(
        self,
        video: Video,
        keypoints: KeypointSequence,
        dancers: tuple[Dancer, ...] | None,
        named: NamedDancers | None,
        model: StyleModel,
    ) -> Row:
        """Return the tags row of one video. `dancers`: as choreai chooses them, where they are measured already."""
        found = find_named(named, keypoints, pose_fingerprint=self._fingerprint)
        known = dancers if found.track_ids is None else None
        tagged = tag_sequence(keypoints, model, dancers=known, named=found.track_ids)
        tag = with_remark(tagged, found.remark).tag
        if tag is None:
            shortest = model.config.windows.min_seconds
            return self._row(video, model, untagged_row(f"nobody in view for {shortest:g} seconds on end"))
        return self._row(video, model, tag_row(tag))

    def _row(self, video: Video, model: StyleModel, tag: Row) -> Row:
        """Return the tag's columns with those that name the video, the model and the run."""
        return {
            "video_id": video.video_id,
            "uri": video.uri,
            "content_id": video.content_id,
            **tag,
            "pose_fingerprint": self._fingerprint,
            "model_version": model.model_version,
            "run_id": self._run_id,
            "tagged_at": _now(),
        }


def _now() -> datetime:
    """Return the time as the table holds it; milliseconds tell a tag from one that a review has made old."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def _status(row: Row) -> str:
    if row["style"] is None:
        return "nothing to judge"
    return "unknown" if row["unknown"] else "tagged"


def _commit(uri: str, rows: list[Row], schema: pa.Schema) -> bool:
    """Write the part, sorted by video, and return whether this call wrote it."""
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["video_id"])), schema=schema)
    with scratch_folder() as folder:
        return write_part(uri, table, folder / "part.parquet")
