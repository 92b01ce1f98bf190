"""Track people from frame to frame by movement only, without any weights.

It takes one frame at a time, in order, so that ids cannot depend on batch or shard size. Distances are measured in body
sizes: the diagonal of a person's box, which changes less than height or width when somebody crouches, spreads the arms
or goes upside down.

Limits of movement alone: a cut to another dancer at the same place and size keeps the id, and people who meet outside
the camera's view may swap ids.
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array, FloatArray, Int32Array
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from choreai.pose.estimator import Poses

TRACKER_VERSION = 2
"""Part of the pose fingerprint: increment it with any change below that changes a track id."""

BASE_REACH = 0.25
REACH_PER_SECOND = 1.0
"""Largest distance, in body sizes, of a person from their last or predicted position: `BASE_REACH` plus
`REACH_PER_SECOND` times the gap, so 0.317 at 15 samples per second and 0.375 at 8. In 22 real dance clips sampled at 8
per second (1,600 steps) the torso moved by 0.04 in the median, 0.2 at the 98th percentile of the wildest clips, 0.38
at most (breaking)."""

MAX_REACH = 1.0
"""The reach stops growing at one body size; anyone further away is somebody else, or seen by another camera."""

MAX_SIZE_RATIO = 1.8
"""Between two samples (at 8 per second) real boxes grew or shrank by a factor of 1.2 at the 95th percentile, and never
by more than 1.77."""

FORGET_SECONDS = 2.0
"""A person out of sight for longer gets a new id, wherever they reappear."""

COAST_SECONDS = 0.25
"""How long an unseen person is assumed to keep moving; no longer, because dancers turn around within a beat."""

VELOCITY_GAIN = 0.5
"""Weight of the newest step in the velocity: with 1 it would overreact to reversals, with too little miss crossings."""

SIZE_GAIN = 0.5
"""Weight of the newest box in a person's size. Detectors occasionally box only the upper body, half as high: with a
weight of 1 the whole body in the next frame would count as somebody else's."""

GAP_COST_PER_SECOND = 0.3
"""Makes a pose more likely to belong to a person seen just now than to one lost equally close to it."""

NO_MATCH_COST = 10.0
"""Higher than the cost of any allowed pair, so that as many people as possible keep their ids."""

_TORSO = (LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP)


@dataclass(frozen=True, eq=False)
class _Track:
    """A person's last sighting."""

    track_id: int
    seen_seconds: float
    centre_xy: Float64Array  # (2,) of the torso
    velocity_xy: Float64Array  # (2,) pixels per second
    size: float  # box diagonal, pixels, blended over the sightings
    keypoints_xy: FloatArray  # (17, 2)
    weights: Float64Array  # (17,) keypoint scores in [0, 1]


@dataclass(frozen=True, eq=False)
class _People:
    """The tracker's features of P poses."""

    centre_xy: Float64Array  # (P, 2)
    size: Float64Array  # (P,)
    keypoints_xy: FloatArray  # (P, 17, 2)
    weights: Float64Array  # (P, 17)


class Tracker:
    """Assigns track ids to the people of one video, from 0 by first appearance. Use one tracker per video.

    Each person is predicted by their velocity; among the pairs of pose and track within reach, the assignment with the
    lowest total cost is chosen (Kuhn 1955, the Hungarian method).
    """

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next_id = 0
        self._now_seconds = -np.inf

    def update(self, poses: Poses, *, pts_seconds: float) -> Int32Array:
        """Return the (P,) track ids of the people in the next frame, in the order of `poses`.

        The order of the people affects only the numbering of new tracks. Raises ValueError if time runs backwards or
        a pose is not finite.
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
        """Return the track updated with this sighting; a new one without `owner`."""
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
    if gap <= 0:  # two frames with the same timestamp carry no speed
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
    """Return (person, track) pairs, each person and each track at most once."""
    if len(people.size) == 0 or not tracks:
        return []
    from scipy.optimize import linear_sum_assignment

    cost = _costs(people, tracks, now_seconds=now_seconds)
    rows, columns = linear_sum_assignment(cost)
    return [(int(p), int(t)) for p, t in zip(rows, columns, strict=True) if cost[p, t] < NO_MATCH_COST]


def _costs(people: _People, tracks: list[_Track], *, now_seconds: float) -> Float64Array:
    """Return (P, T) costs in body sizes: torso distance, mean keypoint distance, change of size, time out of sight.

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
