"""Lifting a track: its keypoints in the picture become poses in metres, or a status that says why not.

A pose is made only where enough of the body is seen; across a cut, or where two people change places, the track is two.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch

from choreai.arrays import BoolArray, Float64Array, FloatArray, IntArray
from choreai.lift.inputs import network_inputs
from choreai.lift.network import LifterNetwork
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, NUM_KEYPOINTS, RIGHT_HIP
from choreai.motion.skeleton3d import STANDARD_HEIGHT, fit_to_picture, headings, steady_limbs

FRAMES_PER_SECOND = 15.0
"""What the network was trained at; other rates are resampled."""
MIN_SCORE = 0.2
"""Keypoints below it count as unseen, as in a style model's windows."""
MIN_SEEN = 8
"""Keypoints of a frame, of the 12 below the head, without which no pose is made."""
MIN_SECONDS = 0.5
MAX_GAP_SECONDS = 0.5
MAX_STEP = 1.0
"""Sizes of the person, on from a frame to the next at 15 a second: further is a cut, or another person."""
MAX_GROWTH = 1.6
"""Times by which the size changes between two frames, likewise."""
MAX_RESIDUAL = 0.35
"""Share of the person's size by which a pose, seen from the camera, may miss the keypoints (root mean square): a pose
that explains them worse is none."""
MAX_FRAMES_AT_ONCE = 4096
OVERLAP = 32

Status = Literal["ok", "too_short", "not_seen"]
ScaleSource = Literal["assumed", "given"]


@dataclass(frozen=True, eq=False)
class LiftedTrack:
    """One track in three dimensions, F poses of it, by time. Axes as in `choreai.motion.skeleton3d`."""

    track_id: int
    status: Status
    """`ok`, `too_short` (half a second or less in one piece), `not_seen` (never enough of the body)."""
    frame_index: IntArray
    """(F,) of the rows that have a pose."""
    pts_seconds: FloatArray
    xyz: FloatArray
    """(F, 17, 3) metres, hip-centred, camera axes."""
    heading: FloatArray
    """(F,) radians, going on beyond a full turn within a piece."""
    root_height: FloatArray
    """(F,) metres of the hip centre above the floor, which is where the lowest keypoints are for a while."""
    piece: IntArray
    """(F,) number of the piece, from 0: of one person without a cut or a gap."""
    scale: float = 1.0
    """Times as large as a body of 1.70 m."""
    scale_source: ScaleSource = "assumed"

    def __len__(self) -> int:
        return len(self.frame_index)

    def take(self, chosen: BoolArray) -> "LiftedTrack":
        """Return some of the poses."""
        arrays = ("frame_index", "pts_seconds", "xyz", "heading", "root_height", "piece")
        return replace(self, **{name: getattr(self, name)[chosen] for name in arrays})


def lift_track(track: KeypointSequence, network: LifterNetwork, *, height: float | None = None) -> LiftedTrack:
    """Return the poses of one track. `height` is the person's in metres; without it a body of 1.70 m is assumed.

    Raises ValueError for a sequence of several tracks, or a height that is not positive.
    """
    if len(track.track_ids) != 1:
        raise ValueError(f"lift_track takes one track, got {len(track.track_ids)}")
    if height is not None and not 0 < height < 10:
        raise ValueError(f"height must be a person's in metres, got {height:g}")
    seen = np.isfinite(track.keypoints_xy).all(2) & (np.nan_to_num(track.keypoint_scores) >= MIN_SCORE)
    usable = (seen[:, LEFT_SHOULDER:].sum(1) >= MIN_SEEN) & seen[:, [LEFT_HIP, RIGHT_HIP]].any(1)
    rows = np.flatnonzero(usable)
    pieces = _pieces(track, seen, rows)
    lifted = [piece for piece in pieces if _seconds(track, piece) > MIN_SECONDS]
    if not lifted:
        return _without_poses(int(track.track_id[0]), "too_short" if len(rows) else "not_seen")
    with torch.inference_mode():
        poses = [_lift_piece(track, seen, piece, network) for piece in lifted]
    return _join(track, seen, lifted, poses, height)


def _without_poses(track_id: int, status: Status) -> LiftedTrack:
    none = np.zeros(0, np.float32)
    no_index = np.zeros(0, np.int64)
    return LiftedTrack(
        track_id, status, no_index, none, np.zeros((0, NUM_KEYPOINTS, 3), np.float32), none, none, no_index
    )


def _seconds(track: KeypointSequence, piece: IntArray) -> float:
    return float(track.pts_seconds[piece[-1]] - track.pts_seconds[piece[0]])


def _pieces(track: KeypointSequence, seen: BoolArray, rows: IntArray) -> list[IntArray]:
    """Return the rows in pieces: parted at gaps, and where the person leaps or changes in size."""
    if not len(rows):
        return []
    places, sizes = _place_and_size(track.keypoints_xy[rows], seen[rows])
    steps = np.diff(track.pts_seconds[rows].astype(np.float64))
    frames = np.maximum(steps * FRAMES_PER_SECOND, 1.0)
    leaps = np.linalg.norm(np.diff(places, axis=0), axis=1) > MAX_STEP * frames * np.minimum(sizes[1:], sizes[:-1])
    grown = np.abs(np.diff(np.log(np.maximum(sizes, 1e-6)))) > np.log(MAX_GROWTH) * frames
    ends = np.flatnonzero((steps > MAX_GAP_SECONDS) | leaps | grown) + 1
    return list(np.split(rows, ends))


def _place_and_size(xy: FloatArray, seen: BoolArray) -> tuple[Float64Array, Float64Array]:
    """Return (F, 2) the middle of the seen keypoints below the head, and (F,) their mean distance from it."""
    body = seen.copy()
    body[:, :LEFT_SHOULDER] = False
    points = np.where(body[..., None], xy, 0.0).astype(np.float64)
    counts = body.sum(1)[:, None]
    middle = points.sum(1) / counts
    away = np.where(body, np.linalg.norm(points - middle[:, None], axis=2), 0.0)
    return middle, away.sum(1) / counts[:, 0]


def _lift_piece(track: KeypointSequence, seen: BoolArray, piece: IntArray, network: LifterNetwork) -> FloatArray:
    """Return (F, 17, 3) poses of the piece's rows, of a body of standard size."""
    times = track.pts_seconds[piece].astype(np.float64)
    steady = times[0] + np.arange(int(np.floor((times[-1] - times[0]) * FRAMES_PER_SECOND + 0.5)) + 1) / 15
    xy, known = _at(steady, times, track.keypoints_xy[piece], seen[piece])
    inputs = network_inputs(torch.from_numpy(xy)[None], torch.from_numpy(known)[None])
    poses = np.concatenate([np.asarray(part) for part in _run(network, inputs)])
    flat = poses.reshape(len(poses), -1)
    there = np.stack([np.interp(times, steady, values) for values in flat.T], 1)
    return there.reshape(-1, NUM_KEYPOINTS, 3).astype(np.float32)


def _run(network: LifterNetwork, inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return the poses of (1, T, I) inputs, some thousand frames at a time: memory stays bounded."""
    total, parts = inputs.shape[1], []
    for start in range(0, total, MAX_FRAMES_AT_ONCE):
        first, stop = max(start - OVERLAP, 0), min(start + MAX_FRAMES_AT_ONCE, total)
        poses = network(inputs[:, first : min(stop + OVERLAP, total)])[0]
        parts.append(poses[start - first : stop - first])
    return parts


def _at(wanted: Float64Array, times: Float64Array, xy: FloatArray, seen: BoolArray) -> tuple[FloatArray, BoolArray]:
    """Return keypoints at other times, linear between neighbours, seen where both neighbours are."""
    after = np.clip(np.searchsorted(times, wanted), 0, len(times) - 1)
    before = np.maximum(after - 1, 0)
    span = times[after] - times[before]
    share = np.clip((wanted - times[before]) / np.where(span > 0, span, 1.0), 0.0, 1.0)
    share = np.where(span > 0, share, 1.0)[:, None, None]
    both = (seen[before] | (share[..., 0] > 0.99)) & (seen[after] | (share[..., 0] < 0.01))
    points = np.where(seen[..., None], xy, 0.0)
    return ((1 - share) * points[before] + share * points[after]).astype(np.float32), both


def _join(
    track: KeypointSequence, seen: BoolArray, pieces: list[IntArray], poses: list[FloatArray], height: float | None
) -> LiftedTrack:
    """Return the track of its pieces, without poses that do not explain what was seen."""
    rows = np.concatenate(pieces)
    piece = np.repeat(np.arange(len(pieces)), [len(each) for each in pieces])
    xyz = steady_limbs(np.concatenate(poses))
    metres, residual = fit_to_picture(xyz, track.keypoints_xy[rows], seen[rows])
    kept = _for_long_enough(residual <= MAX_RESIDUAL, piece, track.pts_seconds[rows])
    if not kept.any():
        return _without_poses(int(track.track_id[0]), "not_seen")
    rows, piece, xyz, metres = rows[kept], piece[kept], xyz[kept], metres[kept]
    heading, root = np.zeros(len(rows)), np.zeros(len(rows))
    for number in np.unique(piece):
        own = piece == number
        heading[own] = np.unwrap(headings(xyz[own]))
        root[own] = _root_heights(
            track.pts_seconds[rows[own]], track.keypoints_xy[rows[own]], seen[rows[own]], metres[own]
        )
    scale = 1.0 if height is None else height / STANDARD_HEIGHT
    return LiftedTrack(
        track_id=int(track.track_id[0]),
        status="ok",
        frame_index=track.frame_index[rows].astype(np.int64),
        pts_seconds=track.pts_seconds[rows],
        xyz=(xyz * scale).astype(np.float32),
        heading=heading.astype(np.float32),
        root_height=(root * scale).astype(np.float32),
        piece=piece,
        scale=scale,
        scale_source="assumed" if height is None else "given",
    )


def _for_long_enough(kept: BoolArray, piece: IntArray, seconds: FloatArray) -> BoolArray:
    """Return which poses of those to keep are in a piece that has enough of them: what fits for a moment fits by
    chance."""
    found = kept.copy()
    for number in np.unique(piece):
        own = kept & (piece == number)
        if not own.any() or own.sum() * np.median(np.diff(seconds[piece == number])) <= MIN_SECONDS:
            found[piece == number] = False
    return found


ANKLE_HEIGHT = 0.077
"""Metres of a standing body of 1.70 m."""
FLOOR_SECONDS = 3.0
FLOOR_PERCENTILE = 85.0
"""Of the lowest keypoints: a few are misplaced, and the nearer foot stands lower in the picture."""


def _root_heights(seconds: FloatArray, xy: FloatArray, seen: BoolArray, metres: Float64Array) -> Float64Array:
    """Return (F,) heights of the hip centre above the floor: the lowest keypoints within some seconds stand on it."""
    below = np.where(seen[:, LEFT_SHOULDER:], xy[:, LEFT_SHOULDER:, 1], -np.inf).max(1).astype(np.float64)
    hips = np.where(seen[:, [LEFT_HIP, RIGHT_HIP]], xy[:, [LEFT_HIP, RIGHT_HIP], 1], np.nan)
    hip = np.nanmean(hips, axis=1, dtype=np.float64)
    first = np.searchsorted(seconds, seconds - FLOOR_SECONDS / 2, side="left")
    stop = np.searchsorted(seconds, seconds + FLOOR_SECONDS / 2, side="right")
    heights = np.zeros(len(seconds))
    for row in range(len(seconds)):
        near = slice(int(first[row]), int(stop[row]))
        heights[row] = (np.percentile(below[near], FLOOR_PERCENTILE) - hip[row]) * np.median(metres[near])
    return heights + ANKLE_HEIGHT
