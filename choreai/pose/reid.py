"""Track people from frame to frame by appearance features and movement.

AlphaPose's re-ID association with features from OSNet (`choreai.pose.osnet`); `choreai.pose.tracking` needs no
weights. It takes one frame at a time, in order, so that ids cannot depend on batch or shard size. Deliberate
differences from AlphaPose:

- Ids count from 0 in every video, without gaps; new tracks are numbered in the order of the poses.
- A frame without people counts like any other: every track becomes lost. AlphaPose does not pass such frames to its
  tracker, so that a person who has left an empty stage is found again only near where they left it.
- If a track duplicates a lost track, its pose takes the lost track's id; AlphaPose drops the pose. If several
  duplicate the same lost track, the others keep their tracks.
- A track found again in the last frame before it would be forgotten can be lost and found again like any other.

Shape letters: P people of a frame, T tracks, F numbers in a feature.
"""

from dataclasses import dataclass, replace

import numpy as np

from choreai.arrays import Float64Array, FloatArray, Int32Array
from choreai.pose.estimator import Poses

REID_TRACKER_VERSION = 1
"""Part of the pose fingerprint: increment it with any change below that changes a track id."""

_NOT_NUMBERED = -1


@dataclass(frozen=True)
class ReidSettings:
    """Thresholds of the tracker; the defaults are AlphaPose's."""

    appearance_share: float = 0.98
    """Weight of the cosine distance in the first round's cost; the rest is the box's squared Mahalanobis distance."""
    gate: float = 9.4877
    """Largest squared Mahalanobis distance of a box from a track: the 95 % quantile of the chi-square distribution
    with 4 degrees of freedom."""
    max_appearance_cost: float = 0.7
    max_overlap_cost: float = 0.5
    """Largest 1 - IoU between a detection and a track, both left unmatched by the first round."""
    max_newcomer_cost: float = 0.7
    """Largest 1 - IoU between a detection and a track seen only once."""
    double_overlap: float = 0.85
    """IoU above which a detection is merged with a lost track regardless of appearance. Lost tracks are assumed to
    keep moving, so that one may end up where its path crosses a person at the same distance; 1 turns the rule off."""
    feature_memory: float = 0.9
    """Weight of a track's old feature at each sighting (exponential moving average)."""
    max_lost_frames: int = 240
    """How many frames a lost track is kept: AlphaPose's number, which is 16 seconds at 15 samples per second (8 seconds
    at 30) and suits dancers who leave between two entrances. In frames rather than seconds, because the movement model
    counts frames too. As in AlphaPose, a lost track can be found in one more frame."""

    def __post_init__(self) -> None:
        shares = (self.appearance_share, self.double_overlap, self.feature_memory)
        limits = (self.gate, self.max_appearance_cost, self.max_overlap_cost, self.max_newcomer_cost)
        if not all(0 <= share <= 1 for share in shares) or min(limits) <= 0 or self.max_lost_frames < 0:
            raise ValueError(f"shares must be in [0, 1], limits positive and frames not negative, got {self}")


@dataclass(frozen=True, eq=False)
class _Track:
    """A person's last sighting and predicted position."""

    track_id: int
    mean: Float64Array  # (8,) centre x, y, width / height, height; then their changes per frame
    covariance: Float64Array  # (8, 8)
    feature: Float64Array  # (F,), length 1
    first_frame: int
    last_frame: int

    @property
    def history(self) -> int:
        """Frames from the first to the last sighting; 0 if seen only once."""
        return self.last_frame - self.first_frame


@dataclass(frozen=True, eq=False)
class _People:
    """The tracker's features of P poses."""

    boxes: Float64Array  # (P, 4) centre x, y, width / height, height
    features: Float64Array  # (P, F), length 1


class ReidTracker:
    """Assigns track ids to the people of one video, from 0 by first appearance. Use one tracker per video.

    Poses are matched to tracks in three rounds (Kuhn 1955, the Hungarian method): by appearance to all tracks seen at
    least twice, visible or lost; by overlap to those of them visible one frame ago; by overlap to those seen only
    once, one frame ago. Unmatched poses start new tracks.
    """

    def __init__(self, settings: ReidSettings | None = None) -> None:
        self._settings = settings or ReidSettings()
        self._seen: list[_Track] = []
        self._lost: list[_Track] = []
        self._next_id = 0
        self._frame = 0
        self._now_seconds = -np.inf

    def update(self, poses: Poses, *, pts_seconds: float) -> Int32Array:
        """Return the (P,) track ids of the people in the next frame, in the order of `poses`.

        Their `features` may have any length; OSNet's have 512. The order of the people affects only the numbering of
        new tracks. Raises ValueError if time runs backwards, a box or feature is not finite, or there are no features.
        """
        features = poses.features
        if features is None:
            raise ValueError("poses without features cannot be matched by appearance; use choreai.pose.tracking")
        if not pts_seconds >= self._now_seconds:
            raise ValueError(f"frames must come in order: {pts_seconds} s after {self._now_seconds} s")
        people = _describe(poses, features)
        for track in (self._seen + self._lost)[:1]:
            if len(track.feature) != features.shape[1]:
                raise ValueError(f"features must be as long as before, {len(track.feature)}, got {features.shape[1]}")
        self._now_seconds = pts_seconds
        self._frame += 1
        in_sight = _predict([track for track in self._seen if track.history])
        lost = _predict([_stop_growth(track) for track in self._lost])
        newcomers = [track for track in self._seen if not track.history]
        owners = self._find_owners(people, in_sight, lost, newcomers)
        seen = [self._see(people, person, owners.get(person)) for person in range(len(poses))]
        return self._settle(seen, _without(in_sight + lost, owners))

    def _find_owners(
        self, people: _People, in_sight: list[_Track], lost: list[_Track], newcomers: list[_Track]
    ) -> dict[int, _Track]:
        """Return the track that each person continues, by index of the person."""
        settings = self._settings
        everyone = list(range(len(people.boxes)))
        costs = _appearance_costs(in_sight + lost, people, settings)
        owners = _assign(in_sight + lost, everyone, costs, limit=settings.max_appearance_cost)
        rounds = ((in_sight, settings.max_overlap_cost), (newcomers, settings.max_newcomer_cost))
        for tracks, limit in rounds:
            tracks_left = _without(tracks, owners)
            people_left = [person for person in everyone if person not in owners]
            costs = 1 - _overlaps(_boxes(tracks_left), people.boxes[people_left])
            owners |= _assign(tracks_left, people_left, costs, limit=limit)
        return owners

    def _see(self, people: _People, person: int, owner: _Track | None) -> _Track:
        """Return the track updated with this sighting; a new one without `owner`."""
        box, feature = people.boxes[person], people.features[person]
        if owner is None:
            return _Track(_NOT_NUMBERED, *_start(box), feature, self._frame, self._frame)
        memory = self._settings.feature_memory
        blended = _unit(memory * owner.feature + (1 - memory) * feature)
        mean, covariance = _correct(owner, box)
        return replace(owner, mean=mean, covariance=covariance, feature=blended, last_frame=self._frame)

    def _settle(self, seen: list[_Track], unseen: list[_Track]) -> Int32Array:
        """Return the ids of this frame's people; keep the tracks for the next frame.

        Of a visible and a lost track at the same place the one with the shorter history is dropped; if they are
        equal, the visible one.
        """
        lost = [t for t in unseen if self._frame - t.last_frame <= self._settings.max_lost_frames + 1]
        same_place = _overlaps(_boxes(seen), _boxes(lost)) > self._settings.double_overlap
        older = np.array([[s.history > t.history for t in lost] for s in seen], bool).reshape(same_place.shape)
        doubles, outlived = same_place & ~older, (same_place & older).any(axis=0)
        ids: list[int] = []
        self._seen = []
        for person, track in enumerate(seen):
            originals = [lost[i].track_id for i in np.flatnonzero(doubles[person])]
            unused = [track_id for track_id in originals if track_id not in ids]
            if unused:
                ids.append(unused[0])
                continue
            if track.track_id == _NOT_NUMBERED:
                track = replace(track, track_id=self._next_id)
                self._next_id += 1
            ids.append(track.track_id)
            self._seen.append(track)
        self._lost = [track for track, gone in zip(lost, outlived, strict=True) if not gone]
        return np.array(ids, np.int32)


def _describe(poses: Poses, features: FloatArray) -> _People:
    if not (np.isfinite(poses.box_xyxy).all() and np.isfinite(features).all()):
        raise ValueError("boxes and features must be finite: a network returned NaN or infinity")
    corners = poses.box_xyxy.astype(np.float64)
    sizes = (corners[:, 2:] - corners[:, :2]).clip(1, None)  # a box without height has no shape
    centres = (corners[:, :2] + corners[:, 2:]) / 2
    boxes = np.concatenate((centres, sizes[:, :1] / sizes[:, 1:], sizes[:, 1:]), axis=1)
    return _People(boxes, _unit(features.astype(np.float64)))


def _unit(features: Float64Array) -> Float64Array:
    """Return the features scaled to length 1; a feature of zeros stays zero and matches no track."""
    return features / np.linalg.norm(features, axis=-1, keepdims=True).clip(1e-12, None)


def _without(tracks: list[_Track], owners: dict[int, _Track]) -> list[_Track]:
    taken = list(owners.values())
    return [track for track in tracks if track not in taken]


def _boxes(tracks: list[_Track]) -> Float64Array:
    return np.array([track.mean[:4] for track in tracks]).reshape(-1, 4)


# ---------------------------------------------------------------- assignment


def _assign(tracks: list[_Track], people: list[int], costs_TP: Float64Array, *, limit: float) -> dict[int, _Track]:
    """Return the assignment of tracks to people: as many pairs within the limit as possible, at the lowest cost."""
    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(np.where(costs_TP <= limit, costs_TP, limit + 1e-4))
    return {people[p]: tracks[t] for t, p in zip(rows, columns, strict=True) if costs_TP[t, p] <= limit}


def _appearance_costs(tracks: list[_Track], people: _People, settings: ReidSettings) -> Float64Array:
    """Return (T, P) cosine distances plus a little of the boxes' distances; infinite beyond the gate."""
    if not tracks or not len(people.boxes):
        return np.zeros((len(tracks), len(people.boxes)))
    features = np.stack([track.feature for track in tracks])
    distances = _squared_mahalanobis(tracks, people.boxes)
    share = settings.appearance_share
    costs = share * (1 - features @ people.features.T) + (1 - share) * distances
    return np.where(distances <= settings.gate, costs, np.inf)


def _overlaps(boxes_A4: Float64Array, boxes_B4: Float64Array) -> Float64Array:
    """Return the (A, B) IoU of boxes (centre x, y, width / height, height) that include the pixels at their corners."""
    low_A, high_A = (corners[:, None] for corners in _corners(boxes_A4))
    low_B, high_B = _corners(boxes_B4)
    shared = _areas(np.maximum(low_A, low_B), np.minimum(high_A, high_B))
    return shared / (_areas(low_A, high_A) + _areas(low_B, high_B) - shared).clip(1e-9, None)


def _corners(boxes: Float64Array) -> tuple[Float64Array, Float64Array]:
    sizes = np.stack((boxes[:, 2] * boxes[:, 3], boxes[:, 3]), axis=1)
    return boxes[:, :2] - sizes / 2, boxes[:, :2] + sizes / 2


def _areas(low: Float64Array, high: Float64Array) -> Float64Array:
    return (high - low + 1).clip(0, None).prod(axis=-1)


# ---------------------------------------------------------------- movement: a Kalman filter of the box

# Standard deviations of a track's eight numbers: proportional to the box's height plus, for its aspect ratio, a
# constant. The values are those of Wojke et al. 2017 (SORT with a deep association metric), which AlphaPose uses.
_OF_HEIGHT = np.array([1 / 20, 1 / 20, 0, 1 / 20, 1 / 160, 1 / 160, 0, 1 / 160])
_OF_SHAPE = np.array([0, 0, 1e-2, 0, 0, 0, 1e-5, 0])
_OF_MEASURED_SHAPE = np.array([0, 0, 1e-1, 0])
_AT_START = np.array([2, 2, 2, 2, 10, 10, 10, 10])

_STEP = np.eye(8) + np.eye(8, k=4)
"""Transition by one frame: every value changes by its change per frame."""


def _start(box: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the mean and covariance of a new track, standing still."""
    mean = np.concatenate((box, np.zeros(4)))
    return mean, np.diag((_AT_START * _OF_HEIGHT * box[3] + _OF_SHAPE) ** 2)


def _predict(tracks: list[_Track]) -> list[_Track]:
    """Return the tracks one frame later."""
    moved = []
    for track in tracks:
        noise = np.diag((_OF_HEIGHT * track.mean[3] + _OF_SHAPE) ** 2)
        covariance = _STEP @ track.covariance @ _STEP.T + noise
        moved.append(replace(track, mean=_STEP @ track.mean, covariance=covariance))
    return moved


def _stop_growth(track: _Track) -> _Track:
    """Return the track with constant height: boxes of lost tracks would otherwise shrink to nothing."""
    return replace(track, mean=track.mean * (1, 1, 1, 1, 1, 1, 1, 0))


def _measurement(track: _Track) -> tuple[Float64Array, Float64Array]:
    """Return the predicted box (4,) and its covariance (4, 4)."""
    noise = np.diag((_OF_HEIGHT[:4] * track.mean[3] + _OF_MEASURED_SHAPE) ** 2)
    return track.mean[:4], track.covariance[:4, :4] + noise


def _correct(track: _Track, box: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Return the track's mean and covariance after a measurement of its box."""
    expected, covariance = _measurement(track)
    gain = np.linalg.solve(covariance, track.covariance[:4]).T
    return track.mean + gain @ (box - expected), track.covariance - gain @ covariance @ gain.T


def _squared_mahalanobis(tracks: list[_Track], boxes: Float64Array) -> Float64Array:
    """Return (T, P) squared Mahalanobis distances of each box from each track's prediction."""
    measurements = [_measurement(track) for track in tracks]
    apart = boxes - np.stack([expected for expected, _ in measurements])[:, None]
    weighted = np.linalg.solve(np.stack([covariance for _, covariance in measurements]), apart.transpose(0, 2, 1))
    return (apart * weighted.transpose(0, 2, 1)).sum(axis=-1)
