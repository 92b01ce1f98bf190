"""Skeletons that move their arms in circles: styles that differ only in the order of their poses.

All have the same mean pose and mean speed, so that only a model that follows the motion tells them apart.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from keypoint_sequences import sequence_from

from choreai.catalog.catalog import Video
from choreai.motion.windows import Windows, WindowSettings, cut_windows
from choreai.tables import schemas
from choreai.tables.parts import part_uri, write_part

FINGERPRINT = "0123456789abcdef"
STYLES = ("clockwise", "counter", "seesaw")
FloatArray = npt.NDArray[np.float32]


def dancer_xy(style: str, *, seed: int, num_frames: int = 60, frames_per_second: float = 10) -> FloatArray:
    """(N, 17, 2) pixels: both wrists on circles of random phase, tempo and size."""
    rng = np.random.default_rng([seed, STYLES.index(style)])
    pose = np.zeros((17, 2))
    pose[:5] = (0, -90)
    pose[5:11] = (20, -60), (-20, -60), (40, -40), (-40, -40), (60, -50), (-60, -50)
    pose[11:] = (14, 0), (-14, 0), (14, 50), (-14, 50), (14, 100), (-14, 100)
    xy = np.tile(pose, (num_frames, 1, 1))
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * rng.uniform(0.6, 0.9) * np.arange(num_frames) / frames_per_second
    turns = {"clockwise": (1, 1), "counter": (-1, -1), "seesaw": (1, -1)}[style]
    radius = rng.uniform(15, 25)
    for wrist, turn in zip((9, 10), turns, strict=True):
        xy[:, wrist] += radius * np.stack([np.cos(turn * phase), np.sin(turn * phase)], axis=1)
    return (xy + rng.normal(0, 1, xy.shape) + rng.uniform(100, 300, 2)).astype(np.float32)


def videos_of(num_per_style: int) -> list[Video]:
    """Labelled videos, two to a group."""
    return [
        Video(f"{style}_{i}", f"{style}_{i}.mp4", f"content-{i}", label=style, group=f"{style}-{i // 2}")
        for style in STYLES
        for i in range(num_per_style)
    ]


def windows_of(videos: Sequence[Video], settings: WindowSettings) -> dict[str, Windows]:
    """What a keypoint table of these videos gives."""
    found = {}
    for video in sorted(videos, key=lambda v: v.video_id):
        xy = dancer_xy(str(video.label), seed=int(video.video_id.split("_")[1]))
        found[video.video_id] = cut_windows(sequence_from(np.arange(len(xy)) / 10, xy), settings)
    return found


def keypoint_rows(video_id: str, content_id: str, xy: FloatArray) -> pa.Table:
    """Rows of a keypoint table: one person, 10 frames a second."""
    num_rows = len(xy)
    columns = {
        "video_id": [video_id] * num_rows,
        "content_id": [content_id] * num_rows,
        "frame_index": np.arange(num_rows, dtype=np.int32),
        "pts_seconds": (np.arange(num_rows) / 10).astype(np.float32),
        "track_id": np.zeros(num_rows, np.int32),
        "box_xyxy": np.tile(np.array([0, 0, 400, 400], np.float32), (num_rows, 1)).tolist(),
        "box_score": np.ones(num_rows, np.float32),
        "keypoints_xy": xy.reshape(num_rows, -1).tolist(),
        "keypoint_scores": np.full((num_rows, 17), 0.9, np.float32).tolist(),
        "keypoints_xyz": [None] * num_rows,
    }
    return pa.table(columns, schema=schemas.KEYPOINTS)


def write_keypoints(root: Path, parts: Mapping[str, Sequence[pa.Table]]) -> None:
    """Keypoint parts under `root`, by part id."""
    for part_id, rows in parts.items():
        uri = part_uri(str(root), "keypoints", FINGERPRINT, part_id)
        assert write_part(uri, pa.concat_tables(rows), root / f"scratch-{part_id}")


def write_videos(root: Path, videos: Sequence[Video]) -> None:
    """The keypoints of `videos_of`, in two parts."""
    rows = [
        keypoint_rows(v.video_id, v.content_id, dancer_xy(str(v.label), seed=int(v.video_id.split("_")[1])))
        for v in videos
    ]
    write_keypoints(root, {"a": rows[::2], "b": rows[1::2]})
