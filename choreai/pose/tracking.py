"""Which person is which from frame to frame: a tracker that looks at movement only and needs no weights.

It takes one frame at a time, in order, so ids cannot depend on batch or shard size. Distances are measured in
body sizes (the diagonal of a person's box, which changes less than height or width when somebody crouches,
spreads the arms or goes upside down).

What movement alone cannot see: a cut to another dancer at the same place and size keeps the id, and people
who look alike and meet outside the camera's view may swap.
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array, FloatArray, Int32Array
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from choreai.pose.estimator import Poses

TRACKER_VERSION = 2
"""Part of the pose fingerprint: raise it with any change below that changes a track id."""

BASE_REACH = 0.25
REACH_PER_SECOND = 1.0
"""How far, in body sizes, somebody may be from where they were or were heading: `BASE_REACH` and
`REACH_PER_SECOND` times the gap, so 0.375 at 8 samples a second. In 22 real dance clips sampled so (1,600
steps) the torso moved by 0.04 in the median, 0.2 at the 98th percentile of the wildest clips, 0.38 at most
(breaking)."""

MAX_REACH = 1.0
"""The reach stops growing at one body size: further away is somebody else, or another camera."""

MAX_SIZE_RATIO = 1.8
"""Between two samples real boxes grew or shrank by 1.2 at the 95th percentile and never by more than 1.77."""

FORGET_SECONDS = 2.0
"""Who has been out of sight for longer gets a new id, wherever they reappear."""

COAST_SECONDS = 0.25
"""How long a movement is believed to go on unseen: two samples. Dancers turn around within a beat."""

VELOCITY_GAIN = 0.5
"""The newest step's share of the velocity: all of it would chase reversals, too little sees no crossing."""

SIZE_GAIN = 0.5
"""The newest box's share of a person's size. A detector now and then boxes no more than an upper body, half as high:
with all of its size the whole body in the next frame would be somebody else's."""

GAP_COST_PER_SECOND = 0.3
"""Makes somebody seen just now the likelier owner of a pose than somebody lost as near to it."""

NO_MATCH_COST = 10.0
"""More than any allowed pair costs, so that as many people as possible keep their ids."""

_TORSO = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)


@dataclass(frozen=True, eq=False)
class _Track:
    """Somebody's last sighting."""

    track_id: int
    seen_seconds: float
    centre_xy: Float64Array  # (2,) of the torso
    velocity_xy: Float64Array  # (2,) pixels per second
    size: float  # box diagonal, pixels, blended over the sightings
    keypoints_xy: FloatArray  # (17, 2)
    weights: Float64Array  # (17,) keypoint scores in [0, 1]


@dataclass(frozen=True, eq=False)
class _People:
    """What the tracker looks at in P poses."""

    centre_xy: Float64Array  # (P, 2)
    size: Float64Array  # (P,)
    keypoints_xy: FloatArray  # (P, 17, 2)
    weights: Float64Array  # (P, 17)


class Tracker:
    """Gives the people of one video their track ids, from 0 by first appearance. One tracker per video.

    Each person is expected where their velocity takes them; the assignment of poses to tracks with the
    smallest sum of distances (Kuhn 1955, the Hungarian method) is taken among the pairs within reach.
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._now_seconds = -np.inf

    def update(self, poses: Poses, *, pts_seconds: float) -> Int32Array:
        """(P,) the track id of every person in the next frame, in the order of `poses`.

        The order of the people decides nothing but the numbering of newcomers. Raises ValueError if time runs
        backwards or a pose is not finite.
        """
        if not pts_seconds >= self._now_seconds:
            raise ValueError(f"frames must come in order: {pts_seconds} s after {self._now_seconds} s")
        people = _describe(poses)
        self._now_seconds = pts_seconds
        known = [t for t in self._tracks if pts_seconds - t.seen_seconds <= FORGET_SECONDS]
        owners: list[_Track | None] = [None] * len(poses)
        for person, track in _assign(people, known, now_seconds=pts_seconds):
            owners[person] = known[track]
        seen = [self._see(people, i, owner, pts_seconds) for i, owner in enumerate(owners)]
        ids = [track.track_id for track in seen]
        self._tracks = [t for t in known if t.track_id not in set(ids)] + seen
        return np.array(ids, np.int32)

    def _see(self, people: _People, person: int, owner: _Track | None, now_seconds: float) -> _Track:
        """The track as this sighting leaves it; a new one without `owner`."""
        centre, size = people.centre_xy[person], float(people.size[person])
        if owner is None:
            track_id, velocity = self._next_id, np.zeros(2)
            self._next_id += 1
        else:
            track_id, velocity = owner.track_id, _new_velocity(owner, centre, now_seconds)
            size = owner.size ** (1 - SIZE_GAIN) * size**SIZE_GAIN
        return _Track(
            track_id=track_id,
            seen_seconds=now_seconds,
            centre_xy=centre,
            velocity_xy=velocity,
            size=size,
            keypoints_xy=people.keypoints_xy[person],
            weights=people.weights[person],
        )


def _new_velocity(track: _Track, centre_xy: Float64Array, now_seconds: float) -> Float64Array:
    gap = now_seconds - track.seen_seconds
    if gap <= 0:  # two frames with one timestamp say nothing about speed
        return track.velocity_xy
    step = (centre_xy - track.centre_xy) / gap
    return VELOCITY_GAIN * step + (1 - VELOCITY_GAIN) * track.velocity_xy


def _describe(poses: Poses) -> _People:
    arrays = (poses.box_xyxy, poses.keypoints_xy, poses.keypoint_scores)
    if not all(np.isfinite(array).all() for array in arrays):
        raise ValueError("poses must be finite: the estimator returned NaN or infinity")
    weights = poses.keypoint_scores.astype(np.float64).clip(1e-3, 1)  # AlphaPose's scores may exceed 1
    torso = list(_TORSO)
    share = weights[:, torso] / weights[:, torso].sum(axis=1, keepdims=True)
    diagonal = np.hypot(*(poses.box_xyxy[:, 2:] - poses.box_xyxy[:, :2]).T.astype(np.float64))
    return _People(
        centre_xy=(poses.keypoints_xy[:, torso] * share[..., None]).sum(axis=1),
        size=diagonal.clip(1, None),
        keypoints_xy=poses.keypoints_xy,
        weights=weights,
    )


def _assign(people: _People, tracks: list[_Track], *, now_seconds: float) -> list[tuple[int, int]]:
    """(person, track) pairs, each person and each track at most once."""
    if len(people.size) == 0 or not tracks:
        return []
    from scipy.optimize import linear_sum_assignment

    cost = _costs(people, tracks, now_seconds=now_seconds)
    rows, columns = linear_sum_assignment(cost)
    return [(int(p), int(t)) for p, t in zip(rows, columns, strict=True) if cost[p, t] < NO_MATCH_COST]


def _costs(people: _People, tracks: list[_Track], *, now_seconds: float) -> Float64Array:
    """(P, T) in body sizes: torso distance, mean keypoint distance, change of size and time out of sight.

    Pairs out of reach cost `NO_MATCH_COST`.
    """
    gap = now_seconds - np.array([t.seen_seconds for t in tracks])
    shift = np.stack([t.velocity_xy for t in tracks]) * np.minimum(gap, COAST_SECONDS)[:, None]
    track_size = np.array([t.size for t in tracks])
    size = np.sqrt(people.size[:, None] * track_size)
    growth = np.abs(np.log(people.size[:, None] / track_size))

    moved = people.centre_xy[:, None] - np.stack([t.centre_xy for t in tracks])
    distance = np.linalg.norm(moved - shift, axis=2) / size
    nearest = np.minimum(distance, np.linalg.norm(moved, axis=2) / size)
    keypoints = np.stack([t.keypoints_xy for t in tracks]) + shift[:, None]
    apart = np.linalg.norm(people.keypoints_xy[:, None] - keypoints, axis=3) / size[..., None]
    weights = np.minimum(people.weights[:, None], np.stack([t.weights for t in tracks]))
    posture = (apart.clip(0, 1) * weights).sum(axis=2) / weights.sum(axis=2)

    reach = np.minimum(BASE_REACH + REACH_PER_SECOND * gap, MAX_REACH)
    allowed = (nearest <= reach) & (growth <= np.log(MAX_SIZE_RATIO))
    return np.where(allowed, distance + posture + growth + GAP_COST_PER_SECOND * gap, NO_MATCH_COST)
