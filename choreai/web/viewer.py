"""What the server remembers about one live viewer: the tracker, and the last seconds of movement."""

from collections import deque
from dataclasses import dataclass

from choreai.arrays import Int32Array
from choreai.motion.sequence import KeypointSequence
from choreai.pose.estimator import Poses
from choreai.pose.pipeline import TrackedPoses
from choreai.pose.trackers import PersonTracker, choose_tracker

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
        self._tracker: PersonTracker | None = None
        self._seen: deque[_Seen] = deque()
        self._num_frames = self._num_rows = 0

    def add(self, poses: Poses, *, pts_seconds: float) -> Int32Array:
        """Add the viewer's next picture; return the (P,) track ids of the people in it.

        Raises ValueError if its time is not later than the previous picture's.
        """
        if self._seen and not pts_seconds > self._seen[-1].pts_seconds:
            raise ValueError(f"pictures must come in order: {pts_seconds} s after {self._seen[-1].pts_seconds} s")
        if self._tracker is None:  # as for files
            self._tracker = choose_tracker(poses)
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
        return KeypointSequence.from_frames(
            TrackedPoses(seen.frame_index, seen.pts_seconds - start, seen.poses, seen.track_ids).frame_people
            for seen in self._seen
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
