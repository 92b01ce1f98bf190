"""show: one video with its skeletons and style drawn on it, as an mp4 and a contact sheet.

Poses come from the keypoint tables if the jobs have made them, else they are estimated on the spot by the same
code.
"""

import argparse
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.compute as pc

from choreai.config import load_pose_settings
from choreai.errors import ConfigError, MediaError
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.people import TrackedPoses, find_people
from choreai.pose.settings import PoseSettings, build_estimator, fingerprint_settings
from choreai.store import objects, tables
from choreai.store.keypoints import KeypointRows, read_videos
from choreai.store.shards import fingerprint, latest_attempts
from choreai.style.examples import windows_of
from choreai.style.model import StyleModel, load_model, newest_model
from choreai.style.tagging import tag_video
from choreai.video.decode import VideoReader
from choreai.video.draw import contact_sheet, draw_label, draw_people
from choreai.video.encode import VideoWriter, write_png
from choreai.video.frame import Frame

logger = logging.getLogger(__name__)

SHEET_STILLS = 12
MAX_GAP_SECONDS = 0.5
"""Skeletons are interpolated between samples, but not across a longer absence."""


@dataclass(frozen=True)
class Annotated:
    """The files that `annotate` wrote."""

    video: Path
    sheet: Path
    tag: str
    """What is written on them: style and score, or why there is none."""


@dataclass(frozen=True, eq=False)
class PosedVideo:
    """A video and its poses."""

    name: str
    uri: str
    rows: KeypointRows


class _Skeletons:
    """Where everybody is at any time: tracks interpolated between their samples."""

    def __init__(self, rows: KeypointRows) -> None:
        self._tracks = [
            (int(track), rows.pts_seconds[mine], rows.keypoints_xy[mine], rows.keypoint_scores[mine])
            for track in np.unique(rows.track_id)
            for mine in [np.flatnonzero(rows.track_id == track)]
        ]

    def at(self, seconds: float) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], list[int]]:
        """keypoints_xy (P, 17, 2), keypoint_scores (P, 17) and track ids of those in view at `seconds`."""
        people = [
            (track, *found)
            for track, pts_seconds, xy, scores in self._tracks
            if (found := _between(pts_seconds, xy, scores, seconds))
        ]
        return (
            np.array([xy for _, xy, _ in people], np.float32).reshape(-1, NUM_KEYPOINTS, 2),
            np.array([scores for _, _, scores in people], np.float32).reshape(-1, NUM_KEYPOINTS),
            [track for track, _, _ in people],
        )


def _between(
    pts_seconds: npt.NDArray[np.float32],
    xy: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    seconds: float,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """One track's keypoints at `seconds`, or None where it is out of view."""
    after = int(np.searchsorted(pts_seconds, seconds))
    if after < len(pts_seconds) and pts_seconds[after] - seconds < 1e-3:
        return xy[after], scores[after]
    if after == 0:
        return None
    before_seconds = float(pts_seconds[after - 1])
    if after == len(pts_seconds) or pts_seconds[after] - before_seconds > MAX_GAP_SECONDS:
        step = float(np.median(np.diff(pts_seconds))) if len(pts_seconds) > 1 else 0.0
        return (xy[after - 1], scores[after - 1]) if seconds - before_seconds < step else None
    share = (seconds - before_seconds) / (float(pts_seconds[after]) - before_seconds)
    return (
        (1 - share) * xy[after - 1] + share * xy[after],
        np.minimum(scores[after - 1], scores[after]),
    )


def annotate(video: PosedVideo, *, tag: str, folder: Path) -> Annotated:
    """The annotated video and contact sheet of one video, written to `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    target = Annotated(folder / f"{video.name}.annotated.mp4", folder / f"{video.name}.sheet.png", tag)
    skeletons = _Skeletons(video.rows)
    stills: list[npt.NDArray[np.uint8]] = []
    captions: list[str] = []
    with objects.open_object(video.uri) as file, VideoReader(file, uri=video.uri, num_threads=2) as reader:
        still_times = iter(_still_times(video.rows, reader.info.duration_seconds))
        next_still = next(still_times, None)
        with VideoWriter(target.video) as writer:
            for frame in reader.frames():
                image = _drawn(frame, skeletons, tag)
                writer.write(image, pts_seconds=frame.pts_seconds)
                if next_still is not None and frame.pts_seconds >= next_still:
                    stills.append(image)
                    captions.append(f"{frame.pts_seconds:.1f} s")
                    next_still = next((t for t in still_times if t > frame.pts_seconds), None)
    write_png(target.sheet, contact_sheet(stills, columns=4, captions=captions))
    return target


def _drawn(frame: Frame, skeletons: _Skeletons, tag: str) -> npt.NDArray[np.uint8]:
    image = frame.image.copy()
    xy, scores, track_ids = skeletons.at(frame.pts_seconds)
    draw_people(image, keypoints_xy=xy, keypoint_scores=scores, track_ids=track_ids)
    draw_label(image, tag)
    return image


def _still_times(rows: KeypointRows, duration_seconds: float | None) -> npt.NDArray[np.float64]:
    """Evenly over the time in which somebody is in view; over the whole video if nobody is."""
    if len(rows):
        start, stop = float(rows.pts_seconds.min()), float(rows.pts_seconds.max())
    else:
        start, stop = 0.0, duration_seconds or 0.0
    return np.linspace(start, stop, SHEET_STILLS, endpoint=False)


def describe_style(rows: KeypointRows, model: StyleModel | None) -> str:
    """Style and score as text, or why there is none."""
    if model is None:
        return "no style model"
    scores = tag_video(model, windows_of(rows, model.config.windows))
    if scores is None:
        return f"nobody in view for {model.config.windows.min_seconds:g} s on end"
    return f"{scores.style} {scores.score:.2f}"


def _find(video: str, output: str | None, settings: PoseSettings) -> PosedVideo:
    """The video's poses: from the tables under `output` if they have it, else estimated now."""
    estimator = build_estimator(settings, read_file=objects.read_object, num_threads=2)
    if output:
        pose_id = fingerprint(fingerprint_settings(settings, estimator))
        known = find_in_tables(video, output, pose_id)
        if known:
            return known
    if objects.stat_object(video) is None:
        where = f" and no video of that id or URI in the tables under {output}" if output else ""
        raise ConfigError(f"{video}: no such file or object{where}; give a path, an s3:// URI, or --output and an id")
    logger.info("estimating the poses of %s now", video)
    name = Path(video).stem
    with objects.open_object(video) as file, VideoReader(file, uri=video, num_threads=2) as reader:
        people = find_people(reader.sample(frames_per_second=settings.frames_per_second), estimator)
        return PosedVideo(name, video, _gather(people))


def find_in_tables(video: str, output: str, pose_id: str) -> PosedVideo | None:
    """The video of this id or URI with its poses, if the tables under `output` have it.

    Raises MediaError if it was quarantined.
    """
    columns = ["video_id", "uri", "content_id", "status", "stage", "reason", "attempts", "shard_id"]
    videos = latest_attempts(tables.read_all(output, "videos", pose_id, tables.VIDEOS, columns=columns))
    found = videos.filter(pc.or_(pc.equal(videos["video_id"], video), pc.equal(videos["uri"], video))).to_pylist()
    if not found:
        return None
    row = found[-1]
    if row["status"] == "quarantined":
        raise MediaError(row["uri"], f"quarantined at {row['stage']}: {row['reason']}")
    part = tables.part_uri(output, "keypoints", pose_id, row["shard_id"])
    rows = dict(read_videos(part, {row["video_id"]: row["content_id"]})).get(row["video_id"], _gather([]))
    return PosedVideo(Path(row["video_id"]).stem, row["uri"], rows)


def _gather(people: Iterable[TrackedPoses]) -> KeypointRows:
    """Tracked poses as the rows a keypoint table would hold."""
    frames = list(people)
    counts = [len(frame.track_ids) for frame in frames]
    rows = KeypointRows(
        frame_index=np.repeat(np.array([frame.frame_index for frame in frames], np.int32), counts),
        pts_seconds=np.repeat(np.array([frame.pts_seconds for frame in frames], np.float32), counts),
        track_id=np.concatenate([np.zeros(0, np.int32), *(frame.track_ids for frame in frames)]),
        keypoints_xy=np.concatenate(
            [np.zeros((0, NUM_KEYPOINTS, 2), np.float32), *(frame.poses.keypoints_xy for frame in frames)]
        ),
        keypoint_scores=np.concatenate(
            [np.zeros((0, NUM_KEYPOINTS), np.float32), *(frame.poses.keypoint_scores for frame in frames)]
        ),
    )
    return rows


def run(arguments: argparse.Namespace) -> int:
    pose = load_pose_settings(arguments.config)
    model_uri = arguments.model or (newest_model(arguments.output) if arguments.output else None)
    model = load_model(model_uri) if model_uri else None
    source = _find(arguments.video, arguments.output, pose)
    tag = describe_style(source.rows, model)
    annotated = annotate(source, tag=tag, folder=Path(arguments.to))
    print(f"{source.name}: {tag}")
    print(f"video: {annotated.video}")
    print(f"contact sheet: {annotated.sheet}")
    return 0
