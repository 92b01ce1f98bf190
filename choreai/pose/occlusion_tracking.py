"""Track people from frame to frame where they hide each other: by movement, and by appearance where it is seen.

`choreai.pose.tracking` and `choreai.pose.reid` are for existing tables and for AlphaPose's ids. What crossings need
beyond them:

- Detections that are sure are matched first, the others to the tracks that are left (ByteTrack, Zhang et al. 2022).
- A velocity is the way between two sightings some time apart, across a gap too, and never a prediction (OC-SORT, Cao
  et al. 2023).
- Whoever is not seen is assumed to walk on only behind somebody; in the open they would be seen.
- If the velocities of most people change alike, the camera turns, and whoever is hidden moves along.
- A pair that fits badly is no better than none, so that it does not force another.
- Appearance counts and is remembered as far as nobody stands in front of a person; else half of it is the other's.

It takes one frame at a time, in order, so that ids cannot depend on batch or shard size.

Shape letters: P people of a frame, T tracks, F numbers in a feature.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from choreai.arrays import BoolArray, Float64Array, Int32Array
from choreai.pose.estimator import Poses
from choreai.pose.occlusion_costs import looks_costs, near_costs
from choreai.pose.occlusion_tracks import Looks, OcclusionSettings, People, Track, covered_shares, describe, unit

OCCLUSION_TRACKER_VERSION = 1
"""Part of the pose fingerprint: increment it with any change to this tracker that changes a track id."""

NUM_SIGHTINGS = 12
"""Sightings of a track that are kept: enough for its velocity."""
UNCLEAR_WEIGHT = 0.02
"""Weight in a track's appearance of somebody half hidden; 1 for somebody who is not hidden at all."""
MIN_WITNESSES = 3
"""People whose velocities must change alike for that to be the camera's doing."""

__all__ = ["OCCLUSION_TRACKER_VERSION", "OcclusionSettings", "OcclusionTracker"]


class OcclusionTracker:
    """Assigns track ids to the people of one video, from 0 by first appearance. Use one tracker per video."""

    def __init__(self, settings: OcclusionSettings | None = None) -> None:
        self._settings = settings or OcclusionSettings()
        self._tracks: list[Track] = []
        self._next_id = 0
        self._now_seconds = -np.inf

    def update(self, poses: Poses, *, pts_seconds: float) -> Int32Array:
        """Return the (P,) track ids of the people in the next frame, in the order of `poses`.

        Appearance is used where the poses have `features`, either all of a video or none. Raises ValueError if time
        runs backwards, a pose is not finite, or features come and go.
        """
        if not pts_seconds >= self._now_seconds:
            raise ValueError(f"frames must come in order: {pts_seconds} s after {self._now_seconds} s")
        people = describe(poses, self._settings)
        step = pts_seconds - self._now_seconds if self._tracks else 0.0
        self._now_seconds = pts_seconds
        known = [track for track in self._tracks if self._is_remembered(track)]
        owners = self._find_owners(people, known, step=step)
        seen = [self._see(people, person, owners.get(person)) for person in range(len(people))]
        turn = self._camera_turn([(owner, seen[person]) for person, owner in owners.items()], step=step)
        found = {track.track_id for track in seen}
        lost = [replace(t, turn_xy=t.turn_xy + turn) for t in known if t.track_id not in found]
        self._tracks = [self._walk_on(track, people, step=step) for track in lost] + seen
        return np.array([track.track_id for track in seen], np.int32)

    def _is_remembered(self, track: Track) -> bool:
        settings = self._settings
        limit = settings.remember_looks_seconds if track.is_sure else settings.fresh_seconds
        return self._now_seconds - track.seen_seconds <= limit

    def _find_owners(self, people: People, known: list[Track], *, step: float) -> dict[int, Track]:
        """Return the track that each person continues, by index of the person."""
        settings, now = self._settings, self._now_seconds
        if not known or not len(people):
            return {}
        near = near_costs(people, known, now=now, step=step, settings=settings)
        is_firm = np.array([track.is_sure for track in known])
        is_fresh = np.array([now - track.seen_seconds <= settings.fresh_seconds for track in known])
        owners: dict[int, Track] = {}
        for counts in (is_firm, ~is_firm):
            owners |= _assign(near, people.is_sure, counts, known, owners, limit=settings.max_cost)
            owners |= _assign(near, ~people.is_sure, counts & is_fresh, known, owners, limit=settings.max_cost)
        if people.looks is not None:
            looks = looks_costs(people.looks, people.clear, known, settings=settings)
            owners |= _assign(looks, people.is_sure, is_firm, known, owners, limit=1.0)
        return owners

    def _see(self, people: People, person: int, owner: Track | None) -> Track:
        """Return the track updated with this sighting; a new one without `owner`."""
        centre, size, is_sure = people.centre_xy[person], float(people.size[person]), bool(people.is_sure[person])
        seen = Track(
            track_id=self._next_id if owner is None else owner.track_id,
            seconds=(self._now_seconds,),
            centres_xy=(centre,),
            is_sure=is_sure,
            box_xyxy=people.box_xyxy[person],
            size=size,
            keypoints_xy=people.keypoints_xy[person],
            weights=people.weights[person],
            looks=self._remember(people, person, owner),
        )
        if owner is None:
            self._next_id += 1
            return seen
        seen = replace(seen, is_sure=is_sure or owner.is_sure, size=float(np.sqrt(owner.size * size)))
        if self._now_seconds - owner.seen_seconds > self._settings.remember_seconds:
            return seen  # how they walked before says nothing about now
        return replace(
            seen,
            seconds=(*owner.seconds[-NUM_SIGHTINGS:], self._now_seconds),
            centres_xy=(*owner.centres_xy[-NUM_SIGHTINGS:], centre),
        )

    def _remember(self, people: People, person: int, owner: Track | None) -> Looks | None:
        """Return the track's appearance after this sighting."""
        if people.looks is None:
            return None
        looks, clear = people.looks[person], float(people.clear[person])
        if owner is None or owner.looks is None:
            return Looks(looks, looks, clear)
        is_clear = clear > self._settings.clear_share
        weight = clear**2 if is_clear else UNCLEAR_WEIGHT
        before = min(owner.looks.weight, self._settings.looks_memory)
        mean = unit(before * owner.looks.mean + weight * looks)
        return Looks(mean, looks if is_clear else owner.looks.latest, owner.looks.weight + weight)

    def _camera_turn(self, pairs: Sequence[tuple[Track, Track]], *, step: float) -> Float64Array:
        """Return (2,) pixels per second by which everybody's velocity changed since the frame before, which is the
        camera's doing: whoever is hidden moves with the others."""
        over = self._settings.velocity_seconds
        last_seconds = self._now_seconds - step - 1e-6
        changes = [
            after.velocity_xy(over) - before.velocity_xy(over)
            for before, after in pairs
            if before.seen_seconds >= last_seconds and len(before.seconds) > 3
        ]
        return np.median(changes, axis=0) if len(changes) >= MIN_WITNESSES else np.zeros(2)

    def _walk_on(self, track: Track, people: People, *, step: float) -> Track:
        """Return where somebody is assumed to be who is not seen: further along if that is behind somebody, else where
        they were."""
        settings = self._settings
        stride = step * (track.velocity_xy(settings.velocity_seconds) + track.turn_xy)
        is_walking = self._now_seconds - track.seen_seconds <= settings.coast_seconds
        if is_walking and self._is_hidden(track.assumed_box + np.tile(stride, 2), people):
            track = replace(track, shift_xy=track.shift_xy + stride)
        if self._is_hidden(track.assumed_box, people):
            track = replace(track, hidden_seconds=track.hidden_seconds + step)
        return track

    def _is_hidden(self, box_xyxy: Float64Array, people: People) -> bool:
        covered = covered_shares(box_xyxy[None], people.box_xyxy, people.is_sure[None])
        return bool(covered[0] > self._settings.hidden_share)


def _assign(
    costs_PT: Float64Array,
    people_count: BoolArray,
    tracks_count: BoolArray,
    known: Sequence[Track],
    owners: dict[int, Track],
    *,
    limit: float,
) -> dict[int, Track]:
    """Return the assignment of tracks to people at the lowest total cost, among those that count and are free.

    A person without a track costs `limit`, so that a pair that fits badly does not force another.
    """
    from scipy.optimize import linear_sum_assignment

    taken = {track.track_id for track in owners.values()}
    tracks = [int(t) for t in np.flatnonzero(tracks_count) if known[t].track_id not in taken]
    people = [int(p) for p in np.flatnonzero(people_count) if int(p) not in owners]
    costs = costs_PT[np.ix_(people, tracks)]
    rows, columns = linear_sum_assignment(np.minimum(costs, limit))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return {people[p]: known[tracks[t]] for p, t in pairs if costs[p, t] < limit}
