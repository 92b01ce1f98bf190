"""Keypoint sequences from plain arrays."""

import numpy as np
import numpy.typing as npt

from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import NUM_KEYPOINTS


def sequence_from(
    seconds: npt.ArrayLike,
    xy: npt.ArrayLike,
    *,
    scores: npt.ArrayLike = 0.9,
    xyz: npt.ArrayLike | None = None,
    track_id: npt.ArrayLike = 0,
) -> KeypointSequence:
    """Return N rows as a sequence: frames are numbered in the order given; one score or id stands for all."""
    num_rows = len(np.asarray(seconds))
    tracks = np.broadcast_to(np.asarray(track_id, np.int32), (num_rows,))
    order = np.argsort(tracks, kind="stable")
    return KeypointSequence(
        frame_index=np.arange(num_rows, dtype=np.int32)[order],
        pts_seconds=np.asarray(seconds, np.float32)[order],
        track_id=tracks[order],
        keypoints_xy=np.asarray(xy, np.float32)[order],
        keypoint_scores=np.broadcast_to(np.asarray(scores, np.float32), (num_rows, NUM_KEYPOINTS))[order],
        keypoints_xyz=None if xyz is None else np.asarray(xyz, np.float32)[order],
    )
