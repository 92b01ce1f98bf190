"""What 3D is for: turns counted, jumps, time on the floor, the room that the hands take."""

from dataclasses import asdict, dataclass, fields

import numpy as np

from choreai.arrays import Float64Array, FloatArray
from choreai.lift.lifter import LiftedTrack
from choreai.motion.skeleton3d import limb_variation

LOW_HIPS = 0.5
"""Metres above the floor below which a body of 1.70 m sits, lies, kneels or spins on it: standing hips are at 0.9."""
MIN_RISE = 0.10
"""Metres that hips and both feet rise in what counts as a jump: on the toes the hips rise by 0.08."""
JUMP_FRAMES = 3
"""A jump lasts so many frames: what is higher in fewer is a misplaced keypoint."""
REVERSAL = np.radians(40)
"""A heading that comes back by less goes on turning in the same way."""
FULL_TURN = np.radians(300)
"""What counts as a turn: the last sixth is often not finished."""
TURN_SECONDS = 0.25
"""Headings are averaged over so much to either side: what shakes faster is noise."""
ANKLES = [15, 16]
MIN_HULL_FRAMES, MAX_HULL_FRAMES = 8, 20_000


@dataclass(frozen=True)
class SpaceFigures:
    """The movement of one lifted track in space; NaN where a value is missing."""

    seconds: float
    """With a pose."""
    num_turns_left: float
    """Full turns to the dancer's own left, in one go."""
    num_turns_right: float
    turned_degrees: float
    """Turned in all, to either side."""
    back_share: float
    """Of the time, turned away from the camera."""
    jump_height: float
    """Metres by which hips and both feet rise together, at most; 0 where it is less than 0.1 m."""
    floor_share: float
    """Of the time, hips lower than half a metre (of a body of 1.70 m)."""
    hips_height_mean: float
    """Metres."""
    reach_volume: float
    """Cubic metres of the convex hull of the hands' places around the chest, the furthest 5 % left out."""
    limb_variation: float
    """The largest coefficient of variation of a limb's length: lifted tracks have next to none."""

    def row(self) -> dict[str, float | None]:
        """Return the values by field, for a table: None in place of NaN."""
        return {name: None if np.isnan(value) else float(value) for name, value in asdict(self).items()}


FIGURES: tuple[str, ...] = tuple(field.name for field in fields(SpaceFigures))


def measure_space(track: LiftedTrack) -> SpaceFigures:
    """Return the figures of a lifted track; NaN throughout, but for `seconds`, where it has no pose."""
    if not len(track):
        return SpaceFigures(0.0, *[float("nan")] * (len(FIGURES) - 1))
    left, right, turned = 0, 0, 0.0
    for number in np.unique(track.piece):
        own = track.piece == number
        turns = _turns(_averaged(track.heading[own], track.pts_seconds[own]))
        left += sum(_full_turns(turn) for turn in turns if turn > 0)
        right += sum(_full_turns(turn) for turn in turns if turn < 0)
        turned += sum(abs(turn) for turn in turns)
    height = track.root_height
    return SpaceFigures(
        seconds=_seconds(track),
        num_turns_left=float(left),
        num_turns_right=float(right),
        turned_degrees=float(np.degrees(turned)),
        back_share=float((np.cos(track.heading) < 0).mean()),
        jump_height=max(_jump_height(track.take(track.piece == number)) for number in np.unique(track.piece)),
        floor_share=float((height < LOW_HIPS * track.scale).mean()),
        hips_height_mean=float(height.mean()),
        reach_volume=_reach_volume(track),
        limb_variation=limb_variation(track.xyz),
    )


def _seconds(track: LiftedTrack) -> float:
    """Return the time covered, a last pose of each piece for as long as the one before."""
    total = 0.0
    for number in np.unique(track.piece):
        times = track.pts_seconds[track.piece == number].astype(np.float64)
        total += times[-1] - times[0] + (float(np.median(np.diff(times))) if len(times) > 1 else 0.0)
    return total


def _averaged(heading: FloatArray, seconds: FloatArray) -> Float64Array:
    first = np.searchsorted(seconds, seconds - TURN_SECONDS, side="left")
    stop = np.searchsorted(seconds, seconds + TURN_SECONDS, side="right")
    sums = np.concatenate([[0.0], np.cumsum(heading, dtype=np.float64)])
    return np.asarray((sums[stop] - sums[first]) / (stop - first), np.float64)


def _turns(heading: Float64Array) -> list[float]:
    """Return the signed angles of the stretches that turn one way, small reversals left out."""
    stops = [float(heading[0])]
    peak = float(heading[0])
    for angle in heading.tolist():
        way = np.sign(peak - stops[-1])
        if way == 0 or (angle - peak) * way > 0:
            peak = angle
        elif abs(angle - peak) > REVERSAL:
            stops.append(peak)
            peak = angle
    return [float(turn) for turn in np.diff([*stops, peak])]


def _full_turns(turn: float) -> int:
    return int((abs(turn) + 2 * np.pi - FULL_TURN) // (2 * np.pi))


def _jump_height(piece: LiftedTrack) -> float:
    """Return how far hips and the lower foot rise together above where they mostly are."""
    height = piece.root_height.astype(np.float64)
    foot = height - piece.xyz[:, ANKLES, 1].max(1)
    rise = np.minimum(height - np.percentile(height, 75), foot - np.median(foot))
    if len(rise) < JUMP_FRAMES:
        return 0.0
    held = np.lib.stride_tricks.sliding_window_view(rise, JUMP_FRAMES).min(1)
    highest = float(rise[int(held.argmax()) : int(held.argmax()) + JUMP_FRAMES].max())
    return highest if held.max() >= MIN_RISE / 2 and highest >= MIN_RISE * piece.scale else 0.0


def _reach_volume(track: LiftedTrack) -> float:
    from scipy.spatial import ConvexHull, QhullError  # here: scipy takes longer to load than --help may

    chest = track.xyz[:, [5, 6]].mean(1, keepdims=True)
    every = slice(None, None, 1 + len(track) // MAX_HULL_FRAMES)
    hands = _facing((track.xyz[:, [9, 10]] - chest)[every], track.heading[every]).reshape(-1, 3)
    far = np.linalg.norm(hands - np.median(hands, axis=0), axis=1)
    kept = hands[far <= np.percentile(far, 95)]
    if len(kept) < MIN_HULL_FRAMES:
        return float("nan")
    try:
        return float(ConvexHull(kept).volume)
    except QhullError:  # all in one plane
        return 0.0


def _facing(points: FloatArray, heading: FloatArray) -> Float64Array:
    """Return points (F, P, 3) turned back so that the person always faces the camera."""
    cos, sin = np.cos(heading)[:, None], np.sin(heading)[:, None]
    x, y, z = np.moveaxis(np.asarray(points, np.float64), -1, 0)
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], -1)
