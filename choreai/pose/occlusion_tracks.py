"""What `choreai.pose.occlusion_tracking` knows: its settings, the people of a frame, and the tracks.

Shape letters: P people of a frame, F numbers in a feature.
"""

from dataclasses import dataclass, field

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, RIGHT_HIP, RIGHT_SHOULDER
from choreai.pose.estimator import Poses

MIN_FOOT_SCORE = 0.4
"""Keypoints with a lower score do not show how low somebody stands."""

_TORSO = [LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP]


@dataclass(frozen=True)
class OcclusionSettings:
    """Thresholds of the tracker, chosen on generated crossings (`docs/tracking.md`).

    Distances are in body sizes, the diagonal of a person's box; appearance is compared by cosine distance.
    """

    sure_score: float = 0.4
    """Detections from here on are matched first, hide others, and are remembered."""
    reach: float = 0.25
    reach_per_second: float = 1.0
    max_reach: float = 1.0
    """Largest distance of somebody from their last or predicted position: `reach` plus `reach_per_second` times the
    gap, `max_reach` at most."""
    max_size_ratio: float = 1.8
    box_weight: float = 3.0
    keypoint_weight: float = 0.3
    """Of distances in the cost of a pair, to which the log of the sizes' ratio is added. Boxes weigh more than torso
    and keypoints: where somebody is half hidden, the pose network often takes those of the person in front."""
    gap_cost: float = 0.3
    """Of a second out of sight."""
    hidden_cost: float = 0.3
    """Of a detection that others cover: of two for one track the one in the open is likelier."""
    looks_cost: float = 4.0
    """Of a cosine distance of 1."""
    max_cost: float = 3.0
    """Of a pair; also the cost of a person without a track."""
    max_looks_distance: float = 0.27
    """Largest distance at which somebody is found again wherever they are: 0.2 is usual for one person at two times,
    0.45 for two people."""
    max_looks_distance_near: float = 0.3
    """Largest distance at which somebody is found where they are expected."""
    clear_share: float = 0.6
    """Of a box that nobody covers, from which on its appearance is its person's."""
    looks_memory: float = 60.0
    """A track's appearance is the mean of about so many clear sightings; of fewer it would be that of one posture."""
    velocity_seconds: float = 0.2
    coast_seconds: float = 1.0
    """How long somebody hidden is assumed to walk on."""
    hidden_share: float = 0.5
    """Of a box that is covered, from which on nobody would be seen there."""
    fresh_seconds: float = 1.0
    """Detections that are not sure continue only tracks seen so recently; a track of such alone is forgotten after
    it. With a quarter of a second breakers, of whom detectors are rarely sure, broke up into twice as many tracks."""
    remember_seconds: float = 2.0
    """After so long in the open nobody is found by position any more."""
    remember_hidden_seconds: float = 5.0
    """Nor, where appearance can confirm it, after so long behind somebody."""
    remember_looks_seconds: float = 60.0
    """After so long nobody is found by appearance either."""


@dataclass(frozen=True, eq=False)
class Looks:
    """What somebody looks like, as far as they were seen clearly."""

    mean: Float64Array  # (F,), length 1
    latest: Float64Array  # (F,), length 1
    weight: float  # how many clear sightings it is from


@dataclass(frozen=True, eq=False)
class Track:
    """Somebody's sightings, and where they are assumed to be now."""

    track_id: int
    seconds: tuple[float, ...]  # of the last sightings, oldest first
    centres_xy: tuple[Float64Array, ...]  # (2,) of the torso in each
    is_sure: bool  # whether any of its detections was
    box_xyxy: Float64Array  # (4,) when last seen
    size: float  # box diagonal, pixels, blended over the sightings
    keypoints_xy: FloatArray  # (17, 2)
    weights: Float64Array  # (17,) keypoint scores in [0, 1]
    looks: Looks | None
    shift_xy: Float64Array = field(default_factory=lambda: np.zeros(2))  # how far they have gone since, unseen
    turn_xy: Float64Array = field(default_factory=lambda: np.zeros(2))  # pixels per second that the camera turns since
    hidden_seconds: float = 0.0  # of the time since, behind somebody

    @property
    def seen_seconds(self) -> float:
        return self.seconds[-1]

    @property
    def assumed_box(self) -> Float64Array:
        return self.box_xyxy + np.tile(self.shift_xy, 2)

    def velocity_xy(self, over_seconds: float) -> Float64Array:
        """Return pixels per second between the last sighting and the newest that is so much older, or the oldest."""
        earlier = [i for i, t in enumerate(self.seconds[:-1]) if self.seen_seconds - t >= over_seconds - 1e-6]
        first = earlier[-1] if earlier else 0
        passed = self.seen_seconds - self.seconds[first]
        return (self.centres_xy[-1] - self.centres_xy[first]) / passed if passed > 0 else np.zeros(2)


@dataclass(frozen=True, eq=False)
class People:
    """The tracker's features of P poses."""

    box_xyxy: Float64Array  # (P, 4)
    is_sure: BoolArray  # (P,)
    centre_xy: Float64Array  # (P, 2) of the torso
    size: Float64Array  # (P,)
    keypoints_xy: FloatArray  # (P, 17, 2)
    weights: Float64Array  # (P, 17)
    clear: Float64Array  # (P,) share of the box that nobody in front covers
    looks: Float64Array | None  # (P, F), length 1

    def __len__(self) -> int:
        return len(self.size)


def describe(poses: Poses, settings: OcclusionSettings) -> People:
    arrays = (poses.box_xyxy, poses.keypoints_xy, poses.keypoint_scores, poses.features)
    if not all(np.isfinite(array).all() for array in arrays if array is not None):
        raise ValueError("poses must be finite: the estimator returned NaN or infinity")
    weights = poses.keypoint_scores.astype(np.float64).clip(1e-3, 1)  # AlphaPose's scores may exceed 1
    share = weights[:, _TORSO] / weights[:, _TORSO].sum(axis=1, keepdims=True)
    boxes = poses.box_xyxy.astype(np.float64)
    is_sure = (poses.box_scores if poses.certainty is None else poses.certainty) >= settings.sure_score
    feet = _feet(boxes, poses.keypoints_xy, weights)
    return People(
        box_xyxy=boxes,
        is_sure=is_sure,
        centre_xy=(poses.keypoints_xy[:, _TORSO] * share[..., None]).sum(axis=1),
        size=np.hypot(*(boxes[:, 2:] - boxes[:, :2]).T).clip(1, None),
        keypoints_xy=poses.keypoints_xy,
        weights=weights,
        clear=1 - covered_shares(boxes, boxes, (feet[None] > feet[:, None]) & is_sure),
        looks=None if poses.features is None else unit(poses.features.astype(np.float64)),
    )


def _feet(boxes: Float64Array, keypoints_xy: FloatArray, weights: Float64Array) -> Float64Array:
    """Return (P,) the y of the lowest that is seen of people, as a box may end at the hips. On a floor, whoever stands
    in front stands lower."""
    lowest = np.where(weights > MIN_FOOT_SCORE, keypoints_xy[..., 1], -np.inf).max(axis=1, initial=-np.inf)
    return np.maximum(boxes[:, 3], lowest)


def covered_shares(boxes: Float64Array, others: Float64Array, counts: BoolArray) -> Float64Array:
    """Return (P,) the largest share of each box that one of the others covers, of those that count."""
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clip(0, None).prod(axis=-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=-1).clip(1, None)
    return (np.where(counts, shared, 0) / area[:, None]).max(axis=1, initial=0.0)


def unit(features: Float64Array) -> Float64Array:
    """Return the features scaled to length 1; a feature of zeros stays zero and is like nobody's."""
    return features / np.linalg.norm(features, axis=-1, keepdims=True).clip(1e-12, None)
