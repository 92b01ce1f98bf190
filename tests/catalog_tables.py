"""Tables of a few tagged videos, as the jobs leave them, for the catalog pages."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from clips import numbered, write_clip
from moving_skeletons import dancer_xy
from tag_rows import tag_row, video_row, write_tags

from choreai.catalog.catalog import Video
from choreai.tables.pose_parts import PosePartWriter, VideoRows
from choreai.tables.runs import RunManifest

SIZE_WH = (480, 400)
RUN_ID = "20261101T030000Z-aaaaaa"
STYLES = ["hiphop", "ballet", "unknown", "hiphop"]


def write_catalog_tables(root: Path) -> None:
    """Four tagged videos, "video <0>" to "video <3>"; of the first there are the video itself and its poses."""
    path = root / "dance & <b>.mp4"
    picture = numbered(1, size_wh=SIZE_WH)
    clip = write_clip(path, num_frames=40, frames_per_second=8, size_wh=SIZE_WH, paint=lambda _: picture)
    rows = []
    for number, style in enumerate(STYLES):
        moment = {"start_seconds": 2.0, "stop_seconds": 5.0, "track_id": 0, "style": style, "score": 0.9}
        reason = {"feature": "hands_up_share", "sentence": "hands up", "strength": 1.0, "value": 0.5}
        rows.append(
            tag_row(
                f"video <{number}>",
                style,
                0.9 - number / 10,
                tempo=90.0 + 10 * number,
                uri=str(clip) if number == 0 else str(root / "gone.mp4"),
                best_style="hiphop" if style == "unknown" else style,
                segments=[moment],
                run_id=RUN_ID,
                reasons=[{**reason, "style_median": 0.4, "others_median": 0.1}],
            )
        )
    write_tags(str(root), rows)
    _write_poses(str(root), Video("video <0>", str(clip), "c1"))


def write_night(root: Path, run_id: str = RUN_ID, **totals: Any) -> None:
    """The manifest of a night; RUN_ID's tagged the four videos."""
    run = RunManifest("tag_catalog", run_id, {"catalog": str(root / "catalog.csv")}, "fp1", "lstm-a", wall_seconds=60.0)
    run.statuses.update({"tagged": 4} if run_id == RUN_ID else {})
    replace(run, **totals).write(str(root))


def _write_poses(root: str, video: Video) -> None:
    """A keypoints and a videos part of one dancer, 8 samples a second."""
    with PosePartWriter(root, shard_id="s1", pose_fingerprint="fp1", trace={}) as writer:
        rows = VideoRows(writer.scratch, video_id=video.video_id, content_id=video.content_id)
        for number, xy in enumerate(dancer_xy("clockwise", seed=0, num_frames=40, frames_per_second=8)):
            rows.add(
                frame_index=number,
                pts_seconds=number / 8,
                track_ids=np.zeros(1, np.int32),
                box_xyxy=np.zeros((1, 4), np.float32),
                box_scores=np.ones(1, np.float32),
                keypoints_xy=xy[None],
                keypoint_scores=np.ones((1, 17), np.float32),
                keypoints_xyz=None,
            )
        record = video_row(video.video_id, uri=video.uri, duration=5.0)
        writer.add_video({name: value for name, value in record.items() if name != "shard_id"}, rows)
        writer.commit()
