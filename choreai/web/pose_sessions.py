"""Estimate the poses in many viewers' camera pictures, one picture after the other, in one process.

Each viewer gets their own estimator, because some search for people where they were in the previous frame. An
ordinary class: Ray Serve runs it in a replica, tests call it directly.
"""

import io
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image

from choreai.arrays import ImageArray
from choreai.errors import MediaError
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.video.frame import Frame

MAX_PICTURE_SIDE = 1920
MAX_SCANS = 16
"""Of a progressive JPEG, usually ten. Each is decoded over the whole picture: hundreds take seconds."""
_START_OF_SCAN = b"\xff\xda"
IDLE_SECONDS = 20.0
"""A viewer who has sent nothing for this long has left, or has been moved to another replica."""


@dataclass
class _Session:
    estimator: PoseEstimator
    num_frames: int
    used_at: float


@dataclass(frozen=True, eq=False)
class LivePoses:
    """The people of one picture."""

    poses: Poses
    width: int
    height: int
    seconds: float
    """Time taken by decoding and estimating."""


class PoseSessions:
    """Estimators by viewer, at most `max_sessions`; the one idle for longest is dropped first."""

    def __init__(self, build_estimator: Callable[[], PoseEstimator], *, max_sessions: int) -> None:
        self._build, self._max = build_estimator, max_sessions
        self._sessions: OrderedDict[str, _Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def warm_up(self) -> None:
        """Run an estimator once, so that the first viewer need not wait for it to load. Raises as building one does."""
        estimator = self._build()
        estimator.start_video()
        estimator.estimate([Frame(np.zeros((256, 256, 3), np.uint8), 0, 0.0)])
        _close(estimator)

    def estimate(self, session_id: str, picture: bytes, *, pts_seconds: float) -> LivePoses:
        """Return the poses in a viewer's next picture, a JPEG. Raises MediaError if it cannot be decoded."""
        started = time.perf_counter()
        image = decode_picture(picture)
        session = self._session(session_id)
        (poses,) = session.estimator.estimate([Frame(image, session.num_frames, pts_seconds)])
        session.num_frames += 1
        session.used_at = time.monotonic()
        height, width = image.shape[:2]
        return LivePoses(poses, width, height, time.perf_counter() - started)

    def end(self, session_id: str) -> None:
        """Drop a viewer's estimator, if there is one."""
        session = self._sessions.pop(session_id, None)
        if session is not None:
            _close(session.estimator)

    def end_idle(self) -> None:
        """Drop the estimators of viewers idle for `IDLE_SECONDS`."""
        now = time.monotonic()
        for session_id in [i for i, s in self._sessions.items() if now - s.used_at > IDLE_SECONDS]:
            self.end(session_id)

    def _session(self, session_id: str) -> _Session:
        session = self._sessions.get(session_id)
        if session is None:
            self.end_idle()
            while len(self._sessions) >= self._max:
                self.end(next(iter(self._sessions)))
            estimator = self._build()
            estimator.start_video()
            session = self._sessions[session_id] = _Session(estimator, 0, time.monotonic())
        self._sessions.move_to_end(session_id)
        return session


def decode_picture(picture: bytes) -> ImageArray:
    """Return a JPEG as (H, W, 3) uint8 RGB. Raises MediaError if it is not a JPEG, is truncated or is too large.

    The size is read from the header before anything is decoded.
    """
    if picture.count(_START_OF_SCAN) > MAX_SCANS:
        raise MediaError("picture", f"a JPEG may have at most {MAX_SCANS} scans; send a baseline one")
    try:
        with Image.open(io.BytesIO(picture), formats=["JPEG"]) as image:
            if max(image.size) > MAX_PICTURE_SIDE:
                raise MediaError("picture", f"a picture's longer side may have at most {MAX_PICTURE_SIDE} pixels")
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as exc:
        raise MediaError("picture", "this is not a complete JPEG") from exc


def _close(estimator: PoseEstimator) -> None:
    """Free an estimator's native resources, if it has any."""
    close = getattr(estimator, "close", None)
    if close is not None:
        close()
