"""What it costs in `choreai.pose.occlusion_tracking` that a person continues a track.

Shape letters: P people of a frame, T tracks, F numbers in a feature.
"""

from collections.abc import Sequence

import numpy as np

from choreai.arrays import BoolArray, Float64Array
from choreai.pose.occlusion_tracks import OcclusionSettings, People, Track

NO_MATCH_COST = 1e3
NUM_LOOKS = 3
"""Clear sightings before somebody can be found by appearance alone."""


def near_costs(
    people: People, tracks: Sequence[Track], *, now: float, step: float, settings: OcclusionSettings
) -> Float64Array:
    """Return (P, T) costs by position, posture, size and appearance; `NO_MATCH_COST` out of reach."""
    gap = now - np.array([track.seen_seconds for track in tracks])
    strides = step * np.stack([track.velocity_xy(settings.velocity_seconds) + track.turn_xy for track in tracks])
    walked = np.stack([track.shift_xy for track in tracks]) + strides * (gap <= settings.coast_seconds)[:, None]
    track_size = np.array([track.size for track in tracks])
    size = np.sqrt(people.size[:, None] * track_size)
    growth = np.abs(np.log(people.size[:, None] / track_size))

    moved = people.centre_xy[:, None] - np.stack([track.centres_xy[-1] for track in tracks])
    torso, stayed = np.linalg.norm(moved - walked, axis=2) / size, np.linalg.norm(moved, axis=2) / size
    box = _box_distance(people, tracks, walked) / size
    posture = _posture_distance(people, tracks, walked, size)

    costs = (
        settings.box_weight * box
        + settings.keypoint_weight * (torso + posture)
        + growth
        + settings.gap_cost * gap
        + settings.hidden_cost * (1 - people.clear[:, None])
    )
    reach = np.minimum(settings.reach + settings.reach_per_second * gap, settings.max_reach)
    allowed = (np.minimum(np.minimum(torso, stayed), box) <= reach) & (growth <= np.log(settings.max_size_ratio))
    allowed &= _may_be_near(tracks, gap, settings, with_looks=people.looks is not None)
    if people.looks is not None:
        distance = _nearest_looks(people.looks, tracks)
        costs += settings.looks_cost * people.clear[:, None] * distance
        allowed &= (distance <= settings.max_looks_distance_near) | (people.clear < settings.clear_share)[:, None]
    return np.where(allowed, costs, NO_MATCH_COST)


def _may_be_near(
    tracks: Sequence[Track], gap: Float64Array, settings: OcclusionSettings, *, with_looks: bool
) -> BoolArray:
    """Return (T,) whether they were not gone for too long to be found by position."""
    hidden = np.array([track.hidden_seconds if with_looks else 0.0 for track in tracks])
    return (gap - hidden <= settings.remember_seconds) & (gap <= settings.remember_hidden_seconds)


def _box_distance(people: People, tracks: Sequence[Track], walked: Float64Array) -> Float64Array:
    """Return (P, T) pixels between the corners, on average; between the upper edges where these are nearer, for boxes
    that end at the hips."""
    boxes = np.stack([track.box_xyxy for track in tracks]) + np.tile(walked, 2)
    apart = people.box_xyxy[:, None] - boxes
    corners = np.hypot(apart[..., 0::2], apart[..., 1::2]).mean(axis=2)
    upper_edge = np.hypot(np.abs(apart[..., 0::2]).mean(axis=2), apart[..., 1])
    return np.minimum(corners, upper_edge)


def _posture_distance(
    people: People, tracks: Sequence[Track], walked: Float64Array, size: Float64Array
) -> Float64Array:
    """Return (P, T) the keypoints' distances in body sizes, 1 at most, averaged by their scores."""
    keypoints = np.stack([track.keypoints_xy for track in tracks]) + walked[:, None]
    apart = np.linalg.norm(people.keypoints_xy[:, None] - keypoints, axis=3) / size[..., None]
    weights = np.minimum(people.weights[:, None], np.stack([track.weights for track in tracks]))
    return (apart.clip(0, 1) * weights).sum(axis=2) / weights.sum(axis=2)


def looks_costs(
    looks: Float64Array, clear: Float64Array, tracks: Sequence[Track], *, settings: OcclusionSettings
) -> Float64Array:
    """Return (P, T) cosine distances of people in the open from tracks that are well known; else `NO_MATCH_COST`."""
    known = np.array([track.looks is not None and track.looks.weight >= NUM_LOOKS for track in tracks])
    distance = 1 - looks @ _stack(tracks, "mean").T
    allowed = (distance <= settings.max_looks_distance) & known & (clear > settings.clear_share)[:, None]
    return np.where(allowed, distance, NO_MATCH_COST)


def _nearest_looks(looks: Float64Array, tracks: Sequence[Track]) -> Float64Array:
    """Return (P, T) cosine distances from a track's mean appearance or its latest: nobody changes within a moment."""
    alike: Float64Array = np.maximum(looks @ _stack(tracks, "mean").T, looks @ _stack(tracks, "latest").T)
    return 1.0 - alike


def _stack(tracks: Sequence[Track], name: str) -> Float64Array:
    """Return (T, F) the tracks' mean or latest appearance."""
    if any(track.looks is None for track in tracks):
        raise ValueError("either all poses of a video have features or none")
    return np.stack([getattr(track.looks, name) for track in tracks])
