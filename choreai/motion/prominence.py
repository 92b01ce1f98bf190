"""Prominence: which of a video's tracks are its dancers, and which are passers-by and onlookers."""

import numpy as np

from choreai.arrays import Float64Array
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import LEFT_HIP, RIGHT_HIP

MAIN_SHARE = 1 / 3
"""Of the highest prominence: somebody half as large who moves two thirds as much still counts as a dancer."""
STILL_SPEED = 0.1
"""Extents a second added to everyone's speed, so that among people who all stand still the larger ones count."""


def main_tracks(sequence: KeypointSequence) -> list[int]:
    """Return the ids, rising, of the tracks with at least MAIN_SHARE of the highest prominence; none only for no rows.

    Keypoints that are not finite count as unseen.
    """
    found = prominence_by_track(sequence)
    highest = max(found.values(), default=0.0)
    return [track for track, prominence in found.items() if prominence >= MAIN_SHARE * highest]


def prominence_by_track(sequence: KeypointSequence) -> dict[int, float]:
    """Return the prominence of each track, by id, rising.

    It is how long a person is seen, times how large, times how fast the keypoints move relative to the hips, and
    compares people of one video only.
    """
    return {track_id: _prominence(track) for track_id, track in sequence.tracks()}


def _prominence(track: KeypointSequence) -> float:
    order = np.argsort(track.pts_seconds, kind="stable")
    seconds, xy = track.pts_seconds[order].astype(np.float64), track.keypoints_xy[order].astype(np.float64)
    xy = np.where(np.isfinite(xy), xy, np.nan)
    visible = xy[np.isfinite(xy).all(axis=2).any(axis=1)]
    extents = (np.nanmax(visible, axis=1) - np.nanmin(visible, axis=1)).max(axis=1)
    extent = float(np.median(extents)) if len(extents) else 0.0
    speed = _speed(seconds, xy) / extent if extent > 0 else 0.0
    return len(extents) * extent * (STILL_SPEED + speed)


def _speed(seconds: Float64Array, xy: Float64Array) -> float:
    """Return the mean speed of the keypoints, pixels a second; 0 if unknown.

    It is the upper quartile over time: dancers wait and freeze, and a few misplaced keypoints must not count.
    """
    relative = xy - xy[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1, keepdims=True)
    spans = np.diff(seconds)
    distances = np.linalg.norm(np.diff(relative, axis=0), axis=2)[spans > 0]
    known = np.isfinite(distances)
    sums = np.where(known, distances, 0.0).sum(axis=1)[known.any(axis=1)]
    counts = known.sum(axis=1)[known.any(axis=1)]
    speeds = sums / counts / spans[spans > 0][known.any(axis=1)]
    return float(np.percentile(speeds, 75)) if len(speeds) else 0.0
