"""The tiny worker, but whom it sees dances a style of `moving_skeletons` by the clip's number, for tags that differ."""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from clips import numbered, write_clip
from moving_skeletons import STYLES, dancer_xy
from tiny_poses import TinyEstimator, TinyWorker

from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.pose.settings import PoseSettings

NUM_FRAMES, FRAMES_PER_SECOND = 40, 10
CLOCKWISE, COUNTER, MIRRORED, STILL = range(4)
"""What somebody does in a clip: its number modulo 4."""


@cache
def _dance(kind: int, seed: int) -> npt.NDArray[np.float32]:
    return dancer_xy(STYLES[kind % len(STYLES)], seed=seed, num_frames=NUM_FRAMES).astype(np.float32)


class DancingEstimator(TinyEstimator):
    def _poses(self, number: int, frame_index: int) -> Poses:
        kind = number % 4
        dance = _dance(kind, number)
        xy = dance[0 if kind == STILL else frame_index]
        return Poses(
            box_xyxy=np.concatenate([xy.min(axis=0), xy.max(axis=0)])[None].astype(np.float32),
            box_scores=np.array([0.9], np.float32),
            keypoints_xy=xy[None].astype(np.float32),
            keypoint_scores=np.full((1, NUM_KEYPOINTS), 0.9, np.float32),
            keypoints_xyz=None,
        )


class DancingWorker(TinyWorker):
    @classmethod
    def build_estimator(cls, settings: PoseSettings, *, num_threads: int = 1) -> PoseEstimator:
        return DancingEstimator()


def write_dance(path: Path, number: int) -> None:
    """A clip of four seconds in which somebody dances as its number says."""
    write_clip(path, num_frames=NUM_FRAMES, frames_per_second=FRAMES_PER_SECOND, paint=lambda _: numbered(number))
