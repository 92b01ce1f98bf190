"""Process one upload, from file to result: poses, tag, annotated video and tables, by the batch job's code."""

import json
import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from matplotlib.figure import Figure

from choreai.api.sound import hear
from choreai.errors import ChoreaiError, MediaError
from choreai.motion.sequence import KeypointSequence
from choreai.pose.estimator import PoseEstimator
from choreai.pose.pipeline import TrackedPoses, open_tracked
from choreai.storage.files import write_atomically
from choreai.style.explain.annotated_video import Annotated, annotate
from choreai.style.explain.movement_figure import draw_movement, save_figure
from choreai.style.model import StyleModel
from choreai.style.tagging import TaggedVideo, tag_sequence
from choreai.tables import schemas
from choreai.tables.keypoints import sequence_of
from choreai.tables.parts import WRITING
from choreai.tables.pose_parts import VideoRows
from choreai.tables.posed_video import PosedVideo
from choreai.video.decode import VideoInfo
from choreai.video.encode import VideoWriter
from choreai.video.quality import InputQuality, PeopleSeen
from choreai.web.json_values import json_value
from choreai.web.tag_json import tag_json
from choreai.web.upload_files import UPLOAD_NAME, write_status

logger = logging.getLogger(__name__)
NUM_THREADS = 2
"""Of decoding and encoding: somebody waits."""
POSE_SHARE = 0.6
"""Pose estimation's approximate share of the work; the rest is drawing and encoding."""


@dataclass(frozen=True)
class UploadLimits:
    """Limits on an uploaded video; one that exceeds them raises MediaError, with the limit in its reason."""

    max_seconds: float
    max_pixels: int
    work_seconds: float

    def check(self, info: VideoInfo, name: str) -> None:
        """Raise MediaError if the size or duration that the container claims exceeds a limit."""
        if info.width * info.height > self.max_pixels:
            raise MediaError(name, f"{info.width} x {info.height} is too large; the limit is {self.max_pixels} pixels")
        if info.duration_seconds is not None and info.duration_seconds > self.max_seconds:
            raise MediaError(name, f"{info.duration_seconds:.0f} s is too long; the limit is {self.max_seconds:g} s")


class UploadWorker:
    """Processes uploads one after the other; holds the estimator and the model in between."""

    def __init__(
        self,
        estimator: PoseEstimator,
        model: StyleModel | None,
        *,
        frames_per_second: float,
        pose_fingerprint: str,
        limits: UploadLimits,
        split_shots: bool = False,
    ) -> None:
        self._estimator, self._model, self._limits = estimator, model, limits
        self._frames_per_second, self._fingerprint = frames_per_second, pose_fingerprint
        self._split_shots = split_shots

    def warm_up(self) -> None:
        """Process a second of black, so that the first upload need not wait for everything to load. Never raises."""
        with tempfile.TemporaryDirectory(prefix="choreai-") as scratch:
            folder = Path(scratch)
            try:
                with VideoWriter(folder / UPLOAD_NAME) as writer:
                    for number in range(8):
                        writer.write(np.zeros((240, 320, 3), np.uint8), pts_seconds=number / 8)
                self.process(folder, "black.mp4")
                save_figure(Figure(), folder / "movement.png")
            except ChoreaiError:
                logger.warning("warming up failed; uploads may too", exc_info=True)

    def process(self, folder: Path, name: str) -> None:
        """Write the result of the upload to `folder`, whose name is the upload's id.

        Raises MediaError, with `name` and never the path in it, if the video cannot be processed.
        """
        deadline = time.monotonic() + self._limits.work_seconds
        table, info, quality = self._estimate_poses(folder, name, deadline)
        rows = sequence_of(table)
        tagged = tag_sequence(rows, self._model)
        tag = tag_json(tagged, self._model)
        keypoints = table.replace_schema_metadata(
            {**(table.schema.metadata or {}), "choreai.pose_fingerprint": self._fingerprint}
        )
        pq.write_table(keypoints, folder / "keypoints.parquet", **WRITING)
        result = {
            "video_id": folder.name,
            "name": name,
            "width": info.width,
            "height": info.height,
            "duration_seconds": info.duration_seconds,
            "pose_fingerprint": self._fingerprint,
            "model_version": None if self._model is None else self._model.model_version,
            "tag": tag,
            "why_no_tag": None if tag is not None else "nobody was in view for long enough",
            "input_quality": list(quality.sentences),
            "music": self._hear(folder / UPLOAD_NAME, tagged, rows),
        }
        _write_json(folder / "tag.json", result)  # the answer, while the pictures are still to be drawn
        write_status(folder, state="working", name=name, progress=POSE_SHARE)
        video = PosedVideo("clip", str(folder / UPLOAD_NAME), rows)
        drawn = annotate(video, tagged, folder=folder, num_threads=NUM_THREADS)
        os.replace(drawn.video, folder / "annotated.mp4")
        os.replace(drawn.sheet, folder / "sheet.png")
        figure = draw_movement(rows, tagged)
        if figure is not None:
            save_figure(figure, folder / "movement.png")
            save_figure(figure, folder / "movement.svg")
        result["input_quality"] = [*quality.sentences, *_about_sound(drawn)]
        _write_json(folder / "tag.json", result)

    def _hear(self, path: Path, tagged: TaggedVideo, rows: KeypointSequence) -> Any:  # JSON
        """Return what is heard, and how the main dancer goes with it; None without sound."""
        main = tagged.main_dancer
        sound = hear(str(path), None if main is None else rows.track(main.track_id))
        return None if sound is None else json_value({"words": sound.words, **sound.record()})

    def _estimate_poses(self, folder: Path, name: str, deadline: float) -> tuple[pa.Table, VideoInfo, InputQuality]:
        """Return the keypoint table, sampled as the batch job does, and the properties and quality of the video."""
        rows = VideoRows(folder, video_id=folder.name, content_id="upload")
        with (
            (folder / UPLOAD_NAME).open("rb") as file,
            open_tracked(
                file,
                self._estimator,
                uri=name,
                frames_per_second=self._frames_per_second,
                num_threads=NUM_THREADS,
                split_shots=self._split_shots,
                max_pixels=self._limits.max_pixels,
            ) as (reader, tracked),
        ):
            info = reader.info
            self._limits.check(info, name)
            people_seen = PeopleSeen()
            report_progress = _Progress(folder, name, info.duration_seconds or self._limits.max_seconds)
            for people in tracked:
                self._check_time(people, name, deadline)
                rows.add_people(people.frame_people)
                people_seen.add(people.poses.box_xyxy, picture_height=info.height)
                report_progress(people.pts_seconds)
            quality = people_seen.complete(reader.quality)
        chunks = list(rows.chunks())
        return pa.concat_tables(chunks) if chunks else schemas.KEYPOINTS.empty_table(), info, quality

    def _check_time(self, people: TrackedPoses, name: str, deadline: float) -> None:
        if people.pts_seconds > self._limits.max_seconds:  # whatever the container claimed
            raise MediaError(name, f"it is longer than {self._limits.max_seconds:g} s, which is the limit")
        if time.monotonic() > deadline:
            raise MediaError(name, f"it took longer than {self._limits.work_seconds:g} s to process")


def _write_json(path: Path, value: dict[str, Any]) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False))


def _about_sound(drawn: Annotated) -> list[str]:
    return [f"the annotated video is without its sound: {drawn.sound_problem}"] if drawn.sound_problem else []


class _Progress:
    """Writes the progress of pose estimation to the status file, at most once a second."""

    def __init__(self, folder: Path, name: str, duration_seconds: float, clock: Callable[[], float] = time.monotonic):
        self._folder, self._name, self._duration, self._clock = folder, name, duration_seconds, clock
        self._written_at = clock()

    def __call__(self, pts_seconds: float) -> None:
        if self._clock() - self._written_at >= 1:
            self._written_at = self._clock()
            share = POSE_SHARE * min(1.0, pts_seconds / max(self._duration, 1e-3))
            write_status(self._folder, state="working", name=self._name, progress=round(share, 2))
