"""Dancers: what each track of a video measures, and which of them the video is about."""

from dataclasses import dataclass

import numpy as np

from choreai.motion.kinematics import Kinematics, measure_kinematics
from choreai.motion.prominence import prominence_by_track
from choreai.motion.sequence import KeypointSequence


@dataclass(frozen=True)
class Dancer:
    """One track of a video, whole, in [start_seconds, stop_seconds)."""

    track_id: int
    start_seconds: float
    stop_seconds: float
    kinematics: Kinematics
    is_main: bool
    """Whether nobody in the video is more prominent: one of its people is."""


def measure_dancers(rows: KeypointSequence) -> tuple[Dancer, ...]:
    """The people of one video by track id; one of them is the main dancer, if there is anybody."""
    prominence = prominence_by_track(
        pts_seconds=rows.pts_seconds, track_id=rows.track_id, keypoints_xy=rows.keypoints_xy
    )
    main = max(prominence, key=lambda track: (prominence[track], -track), default=None)
    return tuple(_measure(rows, track, is_main=track == main) for track in prominence)


def _measure(rows: KeypointSequence, track_id: int, *, is_main: bool) -> Dancer:
    mine = np.flatnonzero(rows.track_id == track_id)
    seconds = rows.pts_seconds[mine]
    kinematics = measure_kinematics(
        seconds,
        keypoints_xy=rows.keypoints_xy[mine],
        keypoint_scores=rows.keypoint_scores[mine],
        keypoints_xyz=None if rows.keypoints_xyz is None else rows.keypoints_xyz[mine],
    )
    times = np.unique(seconds)
    spacing = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    return Dancer(track_id, float(times[0]), float(times[-1]) + spacing, kinematics, is_main)
