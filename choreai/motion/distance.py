"""How far apart two keypoint sequences of the same video are: of two estimators, or of one under two settings."""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import FloatArray
from choreai.motion.sequence import KeypointSequence

MIN_SCORE = 0.2
"""Keypoints below it, on either side, are guesses: they are not compared."""


@dataclass(frozen=True)
class KeypointDistance:
    """The distance between two sequences, over all frames and people that both have."""

    median_pixels: float
    median_share: float
    """Of the height of the person in the first: comparable between videos."""
    num_people: int
    """Person-frames of the first that have a partner."""
    matched_share: float
    """Of the person-frames of the first."""


def measure_distance(before: KeypointSequence, now: KeypointSequence) -> KeypointDistance | None:
    """Return how far the keypoints of `now` are from those of `before`; None where no person is in both.

    Each person of a frame is compared with the nearest of the other's frame, which is the nearest in time, up to half a
    sample away: track ids and sampling may be others.
    """
    if not len(before) or not len(now):
        return None
    times = np.unique(now.pts_seconds)
    tolerance = max(_step(times), _step(np.unique(before.pts_seconds))) / 2 + 1e-4
    found: list[FloatArray] = []
    shares: list[FloatArray] = []
    for moment in np.unique(before.pts_seconds):
        nearest = times[np.abs(times - moment).argmin()]
        if abs(nearest - moment) > tolerance:
            continue
        ours, theirs = before.pts_seconds == moment, now.pts_seconds == nearest
        seen = before.keypoint_scores[ours, None] >= MIN_SCORE
        seen = seen & (now.keypoint_scores[None, theirs] >= MIN_SCORE)  # (P, Q, K)
        apart = np.linalg.norm(before.keypoints_xy[ours, None] - now.keypoints_xy[None, theirs], axis=-1)
        apart = np.where(seen & np.isfinite(apart), apart, np.nan)
        known = np.isfinite(apart).any(axis=2)
        mean = np.where(known, np.nanmean(np.where(known[..., None], apart, 0.0), axis=2), np.inf)  # (P, Q)
        heights = np.nanmax(before.keypoints_xy[ours, :, 1], axis=1) - np.nanmin(
            before.keypoints_xy[ours, :, 1], axis=1
        )
        for person, partner in enumerate(mean.argmin(axis=1)):
            if known[person, partner]:
                distances = apart[person, partner][np.isfinite(apart[person, partner])]
                found.append(distances)
                shares.append(distances / max(float(heights[person]), 1.0))
    if not found:
        return None
    return KeypointDistance(
        median_pixels=float(np.median(np.concatenate(found))),
        median_share=float(np.median(np.concatenate(shares))),
        num_people=len(found),
        matched_share=len(found) / len(before),
    )


def _step(times: FloatArray) -> float:
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0
