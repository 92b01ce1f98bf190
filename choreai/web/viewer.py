"""What the server remembers about one live viewer: the tracker, and the last seconds of movement."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from choreai.arrays import Int32Array
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.estimator import Poses
from choreai.pose.reid import ReidTracker
from choreai.pose.tracking import Tracker

HORIZON_SECONDS = 10.0
"""The last ten seconds are classified, which is as long as the context a style model sees around a window."""
MAX_ROWS = 2_000
"""Ten seconds of six people at 30 pictures per second; older rows beyond that are dropped."""
RATE_SECONDS = 3.0


@dataclass(frozen=True, eq=False)
class _Seen:
    frame_index: int
    pts_seconds: float
    poses: Poses
    track_ids: Int32Array


class Viewer:
    """One viewer's last `HORIZON_SECONDS`, on the viewer's own clock."""

    def __init__(self) -> None:
        self._tracker: Tracker | ReidTracker | None = None
        self._seen: deque[_Seen] = deque()
        self._num_frames = self._num_rows = 0

    def add(self, poses: Poses, *, pts_seconds: float) -> Int32Array:
        """Add the viewer's next picture; return the (P,) track ids of the people in it.

        Raises ValueError if its time is not later than the previous picture's.
        """
        if self._seen and not pts_seconds > self._seen[-1].pts_seconds:
            raise ValueError(f"pictures must come in order: {pts_seconds} s after {self._seen[-1].pts_seconds} s")
        if self._tracker is None:  # as `choreai.pose.pipeline` chooses for files
            self._tracker = Tracker() if poses.features is None else ReidTracker()
        track_ids = self._tracker.update(poses, pts_seconds=pts_seconds)
        self._seen.append(_Seen(self._num_frames, pts_seconds, poses, track_ids))
        self._num_frames += 1
        self._num_rows += len(track_ids)
        while self._num_rows > MAX_ROWS or self._seen[0].pts_seconds <= pts_seconds - HORIZON_SECONDS:
            self._num_rows -= len(self._seen.popleft().track_ids)
        return track_ids

    def rows(self) -> KeypointSequence:
        """Return the last seconds as a keypoint table would hold them.

        Time counts from the first of them, because a table's float32 would lose milliseconds within hours.
        """
        start = self._seen[0].pts_seconds if self._seen else 0.0
        counts = [len(seen.track_ids) for seen in self._seen]
        track_id = _concat([seen.track_ids for seen in self._seen], (), np.int32)
        frame_index = np.repeat(np.array([seen.frame_index for seen in self._seen], np.int32), counts)
        order = np.lexsort((frame_index, track_id))
        xyz = [seen.poses.keypoints_xyz for seen in self._seen]
        known = [points for points in xyz if points is not None]
        return KeypointSequence(
            frame_index=frame_index[order],
            pts_seconds=np.repeat(np.array([s.pts_seconds - start for s in self._seen], np.float32), counts)[order],
            track_id=track_id[order],
            keypoints_xy=_concat([s.poses.keypoints_xy for s in self._seen], (NUM_KEYPOINTS, 2), np.float32)[order],
            keypoint_scores=_concat([s.poses.keypoint_scores for s in self._seen], (NUM_KEYPOINTS,), np.float32)[order],
            keypoints_xyz=_concat(known, (NUM_KEYPOINTS, 3), np.float32)[order] if len(known) == len(xyz) else None,
        )

    @property
    def seconds_seen(self) -> float:
        """The length of what is remembered, in seconds."""
        return self._seen[-1].pts_seconds - self._seen[0].pts_seconds if self._seen else 0.0

    @property
    def frames_per_second(self) -> float:
        """The rate at which pictures were processed in the last `RATE_SECONDS`."""
        recent = [s.pts_seconds for s in self._seen if s.pts_seconds > self._seen[-1].pts_seconds - RATE_SECONDS]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0


def _concat(arrays: Sequence[npt.NDArray[Any]], shape: tuple[int, ...], dtype: type[np.generic]) -> npt.NDArray[Any]:
    """Concatenate the arrays, of which there may be none."""
    return np.concatenate([np.zeros((0, *shape), dtype), *arrays])
