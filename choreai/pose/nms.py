"""Parametric pose NMS: merge several poses of the same person into one.

Fang et al. 2017 ("RMPE"), with the constants of AlphaPose's release. The body rule was compared with AlphaPose's
output; the whole-body rule (133 and 136 keypoints) follows a description of it, oddities included. It was implemented
twice, here and as loops in the tests, but not compared with AlphaPose's output.

Distances are in frame pixels, so results depend on the video's resolution, as they do in AlphaPose.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray, IntArray

WHOLE_BODY_KEYPOINTS = (133, 136)
# Keypoints up to a tenth of the box's size apart count as close, but at most this many pixels.
MATCH_PIXELS, MERGE_PIXELS = 7.0, 15.0
ZERO_SCORE = 1e-5
AREA_FACTOR = 2.25


@dataclass(frozen=True)
class NmsConstants:
    """Constants that decide whether two poses are the same person, named as in the paper where it names them."""

    delta1: float
    mu: float
    delta2: float
    gamma: float
    """Poses more similar than this are the same person."""
    score_threshold: float
    """Poses whose best keypoint scores below this are discarded."""
    num_matches: int
    """Poses with at least this many keypoints close together are the same person."""
    alpha: float
    """Distance that counts as close, relative to the box's longer side."""


HEATMAP_CONSTANTS = NmsConstants(
    delta1=1.0, mu=1.7, delta2=2.65, gamma=22.48, score_threshold=0.3, num_matches=5, alpha=0.1
)
REGRESSION_CONSTANTS = NmsConstants(
    delta1=1.0, mu=1.65, delta2=8.0, gamma=3.6, score_threshold=0.01, num_matches=3, alpha=0.15
)


@dataclass(frozen=True)
class BodyPart:
    """One part of the whole-body rule: its keypoints and their weights."""

    keypoints: slice
    matched_keypoints: slice
    """Defined for 136 keypoints but used for 133 too, where it is off by three."""
    distance_scale: float
    score_weight: float
    distance_weight: float


WHOLE_BODY_PARTS = (
    BodyPart(slice(None, -110), slice(0, 26), 1.0, 1.0, 1.0),
    BodyPart(slice(-110, -42), slice(26, 94), 1.9, 1.0, 1.0),
    BodyPart(slice(-42, None), slice(94, None), 0.55, 0.1, 1.5),
)


@dataclass(frozen=True, eq=False)
class Survivors:
    """The S people of one frame that remain after NMS, in the order they were picked: by decreasing mean score."""

    picks: IntArray
    """(S,) index of the input person picked, whose box and box score are kept."""
    keypoints_xy: FloatArray
    """(S, K, 2), merged."""
    keypoint_scores: FloatArray
    """(S, K), merged."""
    merged: tuple[tuple[int, ...], ...]
    """For each survivor, the indices of the input people merged into it, including its own, in ascending order."""

    def __len__(self) -> int:
        return len(self.picks)

    def person_scores(self, box_scores: FloatArray) -> FloatArray:
        """Return (S,) AlphaPose's person score, given the input's box scores: not a probability, may exceed 1."""
        if len(self) == 0:
            return np.zeros(0, np.float32)
        of_keypoints = self.keypoint_scores.mean(1) + 1.25 * self.keypoint_scores.max(1)
        return (of_keypoints + box_scores[self.picks]).astype(np.float32)


def constants_for(loss: Literal["MSELoss", "L1JointRegression", "Combined"]) -> NmsConstants:
    """Return the constants for keypoints of a network trained with `loss`."""
    return HEATMAP_CONSTANTS if loss == "MSELoss" else REGRESSION_CONSTANTS


def pose_nms(
    box_xyxy: FloatArray,
    keypoints_xy: FloatArray,
    keypoint_scores: FloatArray,
    *,
    constants: NmsConstants,
    min_box_area: float = 0.0,
) -> Survivors:
    """Return the people of one frame without duplicates.

    Takes detector boxes (P, 4), keypoints (P, K, 2) and scores (P, K) of one frame, in pixels. Survivors whose
    keypoints span less than `min_box_area` / 2.25 square pixels are discarded. Scores that are exactly zero
    count as 0.00001, negative ones as they are. Raises ValueError for shapes that do not fit and keypoints that are not
    finite.
    """
    num_people, num_keypoints = keypoint_scores.shape
    if box_xyxy.shape != (num_people, 4) or keypoints_xy.shape != (num_people, num_keypoints, 2):
        raise ValueError(
            f"boxes {box_xyxy.shape}, keypoints {keypoints_xy.shape} and scores {keypoint_scores.shape} do not fit"
        )
    if not (np.isfinite(keypoints_xy).all() and np.isfinite(keypoint_scores).all()):
        raise ValueError("keypoints and scores must be finite; did a network overflow in half precision?")
    xy = keypoints_xy.astype(np.float64)
    scores = np.where(keypoint_scores == 0, ZERO_SCORE, keypoint_scores.astype(np.float64))
    reach = constants.alpha * (box_xyxy[:, 2:] - box_xyxy[:, :2]).max(1, initial=0)
    pool = np.arange(num_people)
    picks, merged, poses, pose_scores = [], [], [], []
    while len(pool):
        pick = pool[scores[pool].mean(1).argmax()]
        distances = np.linalg.norm(xy[pool] - xy[pick], axis=2)
        same = _is_same_person(distances, scores[pick], scores[pool], reach[pick], constants) | (pool == pick)
        cluster, pool = pool[same], pool[~same]
        if scores[pick].max() < constants.score_threshold:
            continue
        close = distances[same] <= min(reach[pick], MERGE_PIXELS)
        weights = np.where(close, scores[cluster], 0)
        total = weights.sum(0)
        total = np.where(total == 0, ZERO_SCORE, total)  # positive and negative ones that cancel out
        pose = (xy[cluster] * weights[..., None]).sum(0) / total[:, None]
        pose_score = (weights**2).sum(0) / total
        is_large = keep_large_poses(pose[None], min_box_area=min_box_area)[0]
        if pose_score.max() < constants.score_threshold or not is_large:
            continue
        picks.append(int(pick))
        merged.append(tuple(int(person) for person in cluster))
        poses.append(pose)
        pose_scores.append(pose_score)
    return Survivors(
        picks=np.array(picks, np.int64),
        keypoints_xy=np.array(poses, np.float32).reshape(-1, num_keypoints, 2),
        keypoint_scores=np.array(pose_scores, np.float32).reshape(-1, num_keypoints),
        merged=tuple(merged),
    )


def keep_large_poses(keypoints_xy: FloatArray, *, min_box_area: float) -> BoolArray:
    """Return (P,) whether the keypoints (P, K, 2) span at least `min_box_area` / 2.25 square pixels."""
    return AREA_FACTOR * np.ptp(keypoints_xy.astype(np.float64), axis=1).prod(axis=1) >= min_box_area


def _is_same_person(
    distances: Float64Array,
    pick_scores: Float64Array,
    pool_scores: Float64Array,
    reach: float,
    constants: NmsConstants,
) -> BoolArray:
    """Return (n,) which of the pool are the picked person: similar, or with enough keypoints close together."""
    rule = _compare_whole_bodies if len(pick_scores) in WHOLE_BODY_KEYPOINTS else _compare_bodies
    similarities, num_matches = rule(distances, pick_scores, pool_scores, min(reach, MATCH_PIXELS), constants)
    return (similarities > constants.gamma) | (num_matches >= constants.num_matches)


def _compare_bodies(
    distances: Float64Array,
    pick_scores: Float64Array,
    pool_scores: Float64Array,
    reach: float,
    constants: NmsConstants,
) -> tuple[Float64Array, Float64Array]:
    score_terms, distance_terms = _similarity_terms(distances, pick_scores, pool_scores, constants)
    similarities = score_terms.sum(1) + constants.mu * distance_terms.sum(1)
    return similarities, (distances <= reach).sum(1).astype(np.float64)


def _compare_whole_bodies(
    distances: Float64Array,
    pick_scores: Float64Array,
    pool_scores: Float64Array,
    reach: float,
    constants: NmsConstants,
) -> tuple[Float64Array, Float64Array]:
    """Compare part by part, with means. Only weak keypoints count for scores and only strong ones for distances, and
    matches are scaled down by the number of people left: both look unintended, and both are AlphaPose's."""
    weak = pool_scores < constants.score_threshold
    similarities = np.zeros(len(distances))
    num_close = np.zeros(len(distances))
    for part in WHOLE_BODY_PARTS:
        keypoints = part.keypoints
        score_terms, distance_terms = _similarity_terms(
            distances[:, keypoints],
            pick_scores[keypoints],
            pool_scores[:, keypoints],
            constants,
            distance_scale=part.distance_scale,
        )
        of_scores = (score_terms * weak[:, keypoints]).mean(1)
        of_distances = (distance_terms * ~weak[:, keypoints]).mean(1)
        similarities += part.score_weight * of_scores + constants.mu * part.distance_weight * of_distances
        num_close += (distances[:, part.matched_keypoints] <= reach * part.distance_scale).sum(1)
    pairs = 2 * len(distances) * int((pick_scores > constants.score_threshold / 2).sum())
    if pairs < 2:
        return similarities, np.zeros(len(distances))
    return similarities, num_close * len(pick_scores) / (2 * pairs)


def _similarity_terms(
    distances: Float64Array,
    pick_scores: Float64Array,
    pool_scores: Float64Array,
    constants: NmsConstants,
    *,
    distance_scale: float = 1.0,
) -> tuple[Float64Array, Float64Array]:
    """Return two (n, K) terms: agreement of the scores where keypoints coincide, and closeness."""
    agreement = np.tanh(pick_scores / constants.delta1) * np.tanh(pool_scores / constants.delta1)
    score_terms = np.where(distances <= constants.delta1, agreement, 0)
    return score_terms, np.exp(-distances / (constants.delta2 * distance_scale))
