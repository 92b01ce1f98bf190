"""Prominence: which of a video's tracks are its dancers, and which are passers-by and onlookers."""

import numpy as np

from choreai.arrays import AnyFloatArray, AnyIntArray, Float64Array
from choreai.motion.skeleton import LEFT_HIP, RIGHT_HIP

MAIN_SHARE = 1 / 3
"""Of the highest prominence: half the size and two thirds of the movement still make a dancer."""
STILL_SPEED = 0.1
"""Extents a second by which everybody is taken to move: of people who all stand still, the larger ones count."""


def main_tracks(
    *,
    pts_seconds: AnyFloatArray,
    track_id: AnyIntArray,
    keypoints_xy: AnyFloatArray,
) -> list[int]:
    """The ids, rising, of the tracks with at least MAIN_SHARE of the highest prominence; none only for no rows.

    Of N rows: `pts_seconds` (N,), `track_id` (N,), `keypoints_xy` (N, 17, 2) pixels, NaN where unseen.
    """
    found = prominence_by_track(pts_seconds=pts_seconds, track_id=track_id, keypoints_xy=keypoints_xy)
    highest = max(found.values(), default=0.0)
    return [track for track, prominence in found.items() if prominence >= MAIN_SHARE * highest]


def prominence_by_track(
    *,
    pts_seconds: AnyFloatArray,
    track_id: AnyIntArray,
    keypoints_xy: AnyFloatArray,
) -> dict[int, float]:
    """By track id, rising: how long a person is seen, times how large, times how fast the keypoints move relative to
    the hips. It compares people of one video only; arrays as in `main_tracks`."""
    tracks = [int(track) for track in np.unique(track_id)]
    return {track: _prominence(pts_seconds[track_id == track], keypoints_xy[track_id == track]) for track in tracks}


def _prominence(pts_seconds: AnyFloatArray, keypoints_xy: AnyFloatArray) -> float:
    order = np.argsort(pts_seconds, kind="stable")
    seconds, xy = pts_seconds[order].astype(np.float64), keypoints_xy[order].astype(np.float64)
    xy = np.where(np.isfinite(xy), xy, np.nan)
    visible = xy[np.isfinite(xy).all(axis=2).any(axis=1)]
    extents = (np.nanmax(visible, axis=1) - np.nanmin(visible, axis=1)).max(axis=1)
    extent = float(np.median(extents)) if len(extents) else 0.0
    speed = _speed(seconds, xy) / extent if extent > 0 else 0.0
    return len(extents) * extent * (STILL_SPEED + speed)


def _speed(seconds: Float64Array, xy: Float64Array) -> float:
    """Pixels a second, mean over the keypoints, 0 if unknown.

    Of the values over time the upper quartile: dancers wait and freeze, and a few misplaced keypoints must not count.
    """
    relative = xy - xy[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1, keepdims=True)
    spans = np.diff(seconds)
    distances = np.linalg.norm(np.diff(relative, axis=0), axis=2)[spans > 0]
    told = np.isfinite(distances)
    sums = np.where(told, distances, 0.0).sum(axis=1)[told.any(axis=1)]
    counts = told.sum(axis=1)[told.any(axis=1)]
    speeds = sums / counts / spans[spans > 0][told.any(axis=1)]
    return float(np.percentile(speeds, 75)) if len(speeds) else 0.0
