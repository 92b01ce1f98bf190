"""A video of two people, each of another style, side by side or in boxes of any other tables' ids and rate."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from clips import write_clip
from moving_skeletons import FINGERPRINT, dancer_xy
from tag_rows import video_row

from choreai.motion.sequence import FramePeople, KeypointSequence
from choreai.tables.pose_parts import PosePartWriter, VideoRows

SIZE_WH = (640, 360)
STYLES = ("clockwise", "counter")
"""Of the person on the left and of the one on the right."""


def two_people(
    *, ids: Sequence[int] = (0, 1), frames_per_second: int = 10, seconds: float = 6.0, margin: float = 10
) -> KeypointSequence:
    """Two people who dance on the left and on the right, with boxes `margin` pixels around their keypoints."""
    people = []
    for number, style in enumerate(STYLES):
        xy = dancer_xy(style, seed=1, num_frames=round(seconds * 30), frames_per_second=30)
        xy += np.array([120 + 400 * number, 180], np.float32) - xy.mean(axis=(0, 1))
        people.append(xy[:: 30 // frames_per_second])

    def frame(index: int) -> FramePeople:
        xy = np.stack([people[number][index] for number in np.argsort(ids)])
        boxes = np.concatenate([xy.min(axis=1) - margin, xy.max(axis=1) + margin], axis=1)
        scores = np.full((len(xy), 17), 0.9, np.float32)
        tracks = np.sort(np.asarray(ids, np.int32))
        return FramePeople(
            index, index / frames_per_second, tracks, xy, scores, None, boxes, np.ones(len(xy), np.float32)
        )

    return KeypointSequence.from_frames(frame(index) for index in range(len(people[0])))


def write_two_people(
    root: Path,
    sequence: KeypointSequence,
    *,
    video_id: str = "duo",
    uri: str = "duo.mp4",
    fingerprint: str = FINGERPRINT,
) -> None:
    """The keypoints and videos parts of one video."""
    with PosePartWriter(str(root), shard_id=f"part-of-{video_id}", pose_fingerprint=fingerprint, trace={}) as writer:
        rows = VideoRows(writer.scratch, video_id=video_id, content_id="c")
        for index in np.unique(sequence.frame_index).tolist():
            here = sequence.take(sequence.frame_index == index)
            assert here.box_xyxy is not None
            assert here.box_scores is not None
            rows.add(
                frame_index=index,
                pts_seconds=float(here.pts_seconds[0]),
                track_ids=here.track_id,
                box_xyxy=here.box_xyxy,
                box_scores=here.box_scores,
                keypoints_xy=here.keypoints_xy,
                keypoint_scores=here.keypoint_scores,
                keypoints_xyz=None,
            )
        width, height = SIZE_WH
        record = video_row(video_id, uri=uri, content_id="c", width=width, height=height)
        writer.add_video({name: value for name, value in record.items() if name != "shard_id"}, rows)
        writer.commit()


def write_duo(root: Path) -> None:
    """A grey clip of six seconds and its poses: video "duo" of content "c"."""
    shade = np.full((SIZE_WH[1], SIZE_WH[0], 3), 90, np.uint8)
    clip = write_clip(root / "duo.mp4", num_frames=60, frames_per_second=10, size_wh=SIZE_WH, paint=lambda _: shade)
    write_two_people(root, two_people(), uri=str(clip))
