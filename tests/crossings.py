"""Generated dancers who cross, meet, change places, leave and return, as a detector and a pose network would see them.

The demo's dancers (`choreai.demo`) walk on a stage before one camera; nothing is rendered. Who stands in front hides
who is behind, and from how much of somebody can be seen follows what a detector makes of them: boxes that are a little
off, missed or suppressed as doubles, keypoints on the wrong person, looks mixed with those of the person in front.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from crossing_walks import FRAMES_PER_SECOND, NUM_FRAMES, SCENES, Walks, frame_seconds

from choreai.demo.dancers import STYLES, Dancer
from choreai.demo.scene import Camera
from choreai.pose.estimator import Poses
from choreai.pose.trackers import PersonTracker
from choreai.pose.tracking_scores import BoxTracks, TrackingScores, overlaps, score_tracks

SIZE_WH = (1280, 720)
MASK_SCALE = 8
"""Pixels of a frame to one of the masks that tell who hides whom."""

NMS_IOU = 0.7
"""Of two boxes that overlap more the detector keeps the better one."""
LEAST_VISIBLE = 0.1
"""Who is hidden more, or for the most part outside the frame, has no box in the truth, as in DanceTrack."""

EDGE_NOISE = 0.007
"""Standard deviation of a box's edge, in box heights: three times that in one box of ten, and more where somebody is
partly hidden. YOLOX-nano on people who dance: 0.005 to 0.010 in the middle of the distribution, 0.009 to 0.023 with
its tails."""
KEYPOINT_NOISE = 0.015
HIDDEN_KEYPOINT_NOISE = 0.05

FEATURE_SIZE = 512
COMMON, PERSONAL, PASSING = 0.55, 0.24, 0.16
"""Shares of a feature's square length: what everybody has, what somebody has, and how they stand just now, which
changes within `PASSING_SECONDS`; the rest is noise. So two sightings of one person have a cosine of 0.95 in successive
frames and of 0.79 later, and those of two people 0.55. OSNet x0.25 on real clips: 0.95, 0.82 and 0.74 later, 0.53 and
0.57."""
PASSING_SECONDS = 1.0
PASSING_DIRECTIONS = 8
PERSONAL_DIRECTIONS = 8
"""So few that some two look alike, and some stand as others do: cosines spread by about 0.08, as measured."""

_Array = npt.NDArray[np.float64]
_BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sighting:
    """One frame as the tracker gets it."""

    poses: Poses
    owners: npt.NDArray[np.int64]
    """(P,) whose boxes they are; -1 for false ones."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A generated video."""

    name: str
    truth: BoxTracks
    """Frames from 1."""
    sightings: list[Sighting]


def score_tracker(scene: Scene, tracker: PersonTracker) -> TrackingScores:
    """What the tracker makes of a scene."""
    ids = [
        tracker.update(sighting.poses, pts_seconds=number / FRAMES_PER_SECOND)
        for number, sighting in enumerate(scene.sightings)
    ]
    return score_tracks(scene.truth, _tracks(scene.sightings, ids))


def score_perfect_ids(scene: Scene, *, forget_seconds: float = np.inf) -> TrackingScores:
    """What the same boxes score if nobody is ever confused: the most that a tracker can reach which invents no boxes
    and leaves none out. Whoever was not seen for longer than `forget_seconds` is somebody new, as by movement alone."""
    next_id, known, ids = 0, dict[int, tuple[int, int]](), list[int]()
    for frame, sighting in enumerate(scene.sightings):
        for owner in sighting.owners.tolist():
            track_id, last = known.get(owner, (None, 0))
            if track_id is None or owner < 0 or frame - last > forget_seconds * FRAMES_PER_SECOND:
                track_id, next_id = next_id, next_id + 1
            known[owner] = track_id, frame
            ids.append(track_id)
    splits = np.cumsum([len(sighting.owners) for sighting in scene.sightings])[:-1]
    return score_tracks(scene.truth, _tracks(scene.sightings, np.split(np.array(ids), splits)))


def _tracks(sightings: Sequence[Sighting], ids: Sequence[npt.NDArray[np.integer]]) -> BoxTracks:
    frames = [np.full(len(frame_ids), number) for number, frame_ids in enumerate(ids, start=1)]
    boxes = [sighting.poses.box_xyxy for sighting in sightings]
    return BoxTracks(
        np.concatenate(frames).astype(np.int64),
        np.concatenate(ids).astype(np.int64),
        np.concatenate(boxes).astype(np.float64),
    )


# ---------------------------------------------------------------- what the camera sees


@dataclass(frozen=True, eq=False)
class _People:
    """P people of F frames, in pixels."""

    keypoints_xy: _Array  # (P, F, 17, 2)
    depth: _Array  # (P, F) metres from the camera
    box_xyxy: _Array  # (P, F, 4) with what is outside the frame
    visible: _Array  # (P, F) share that nobody hides
    in_front: npt.NDArray[np.int64]  # (P, F) who hides most of them; -1 for nobody
    is_hidden: _BoolArray  # (P, F, 17)


def make_scene(name: str, seed: int) -> Scene:
    """The scene follows from its name and seed."""
    rng = np.random.default_rng([seed, list(SCENES).index(name)])
    walks = SCENES[name](rng)
    people = _film(walks, seed)
    truth, is_there = _truth(people)
    features = _features(rng, people)
    return Scene(name, truth, _sight(rng, people, is_there, features))


def _film(walks: Walks, seed: int) -> _People:
    num_people = len(walks.floor_xz)
    seen = [_keypoints(walks, person, seed) for person in range(num_people)]
    keypoints = np.stack([xy for xy, _ in seen])
    depth = np.stack([z for _, z in seen])
    low, high = keypoints.min(axis=2), keypoints.max(axis=2)
    height = (high - low)[..., 1:]
    # Keypoints end at the eyes, the wrists and the ankles, the body at the crown, the fingers and the soles.
    boxes = np.concatenate((low - height * (0.04, 0.08), high + height * (0.04, 0.05)), axis=-1)
    visible, in_front, is_hidden = _hide(keypoints, depth, height[..., 0])
    return _People(keypoints, depth, boxes, visible, in_front, is_hidden)


def _keypoints(walks: Walks, person: int, seed: int) -> tuple[_Array, _Array]:
    """(F, 17, 2) pixels and (F,) depth."""
    dancer = Dancer(STYLES[(seed + person) % len(STYLES)], 100 * seed + person)
    xyz = dancer.skeleton(frame_seconds()).keypoints_xyz.copy()
    xyz[..., (0, 2)] += walks.floor_xz[person][:, None]
    eye = np.array([0.0, 1.5, 8.5])
    cos, sin = np.cos(walks.pan)[:, None], np.sin(walks.pan)[:, None]
    x, z = xyz[..., 0] - eye[0], xyz[..., 2] - eye[2]
    turned = np.stack((cos * x + sin * z + eye[0], xyz[..., 1], -sin * x + cos * z + eye[2]), axis=-1)
    axes = np.array([(1.0, 0.0, 0.0), (0.0, -1.0, 0.0), (0.0, 0.0, -1.0)])
    view = Camera(eye, axes, 1500.0, SIZE_WH).view(turned)
    return view[..., :2], view[..., 2].mean(axis=1)


_LIMBS = ((5, 7), (7, 9), (6, 8), (8, 10), (11, 13), (13, 15), (12, 14), (14, 16))
_TRUNK = (5, 6, 12, 11)


def _hide(keypoints: _Array, depth: _Array, height: _Array) -> tuple[_Array, npt.NDArray[np.int64], _BoolArray]:
    """How much of each can be seen, who hides them, and which keypoints are behind somebody."""
    num_people, num_frames = depth.shape
    visible = np.ones((num_people, num_frames))
    in_front = np.full((num_people, num_frames), -1)
    is_hidden = np.zeros(keypoints.shape[:3], bool)
    for frame in range(num_frames):
        masks = [_mask(keypoints[person, frame], height[person, frame]) for person in range(num_people)]
        for person in range(num_people):
            nearer = [other for other in range(num_people) if depth[other, frame] < depth[person, frame]]
            covered = [int((masks[other] & masks[person]).sum()) for other in nearer]
            if not any(covered):
                continue
            front = np.any([masks[other] for other in nearer], axis=0)
            visible[person, frame] = 1 - (front & masks[person]).sum() / masks[person].sum()
            in_front[person, frame] = nearer[int(np.argmax(covered))]
            x, y = (keypoints[person, frame] / MASK_SCALE).astype(int).T
            inside = (x >= 0) & (y >= 0) & (x < front.shape[1]) & (y < front.shape[0])
            is_hidden[person, frame, inside] = front[y[inside], x[inside]]
    return visible, in_front, is_hidden


def _mask(keypoints_xy: _Array, height: float) -> _BoolArray:
    """(H, W) a body of sticks, a trunk and a head, small."""
    mask = np.zeros((SIZE_WH[1] // MASK_SCALE, SIZE_WH[0] // MASK_SCALE), np.uint8)
    points = (keypoints_xy / MASK_SCALE).astype(np.int32)
    thickness = max(1, round(0.075 * height / MASK_SCALE))
    for start, stop in _LIMBS:
        cv2.line(mask, points[start].tolist(), points[stop].tolist(), (1,), thickness)
    trunk = points[list(_TRUNK)]
    cv2.fillPoly(mask, [trunk], (1,))
    cv2.polylines(mask, [trunk], True, (1,), thickness)
    cv2.circle(mask, points[0].tolist(), max(1, round(0.07 * height / MASK_SCALE)), (1,), -1)
    return mask.astype(bool)


def _truth(people: _People) -> tuple[BoxTracks, _BoolArray]:
    """The boxes of those who can be seen, inside the frame, and (P, F) who that is."""
    boxes = _clip(people.box_xyxy)
    inside = _area(boxes) / _area(people.box_xyxy)
    is_there = (people.visible >= LEAST_VISIBLE) & (inside >= 0.5)
    person, frame = np.nonzero(is_there)
    return BoxTracks(frame + 1, person, boxes[person, frame]), is_there


def _clip(boxes: _Array) -> _Array:
    return boxes.clip(0, (*SIZE_WH, *SIZE_WH))


def _area(boxes: _Array) -> _Array:
    return (boxes[..., 2:] - boxes[..., :2]).clip(0, None).prod(axis=-1)


# ---------------------------------------------------------------- what a detector makes of it


def _drifting(rng: np.random.Generator, shape: tuple[int, ...], seconds: float) -> _Array:
    """Normal numbers along the last axis but for those of `shape`, that stay alike for about `seconds`: (..., F)."""
    keep = np.exp(-1 / (seconds * FRAMES_PER_SECOND))
    steps = rng.normal(size=(NUM_FRAMES, *shape))
    values = [steps[0]]
    for step in steps[1:]:
        values.append(keep * values[-1] + np.sqrt(1 - keep**2) * step)
    return np.stack(values, axis=-1)


def _features(rng: np.random.Generator, people: _People) -> _Array:
    """(P, F, 512) what everybody's crop looks like, length 1, mixed with who stands before them."""
    num_people = len(people.depth)
    common = _direction(rng, ())
    own = _mixed(rng, rng.normal(size=(num_people, PERSONAL_DIRECTIONS)))
    drift = _drifting(rng, (num_people, PASSING_DIRECTIONS), PASSING_SECONDS)
    passing = _mixed(rng, drift.transpose(0, 2, 1))
    noise = _direction(rng, (num_people, NUM_FRAMES))
    rest = 1 - COMMON - PERSONAL - PASSING
    clean = np.sqrt(COMMON) * common + np.sqrt(PERSONAL) * own[:, None] + np.sqrt(PASSING) * passing
    in_front = np.take_along_axis(clean, people.in_front.clip(0, None)[..., None], axis=0)
    hidden = (1 - people.visible)[..., None]
    mixed = (1 - hidden) * clean + hidden * in_front + np.sqrt(rest) * noise
    return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


def _mixed(rng: np.random.Generator, amounts: _Array) -> _Array:
    """(..., 512) of length 1, from amounts (..., D) of D random directions."""
    mixed = amounts @ _direction(rng, (amounts.shape[-1],))
    return mixed / np.linalg.norm(mixed, axis=-1, keepdims=True)


def _direction(rng: np.random.Generator, shape: tuple[int, ...]) -> _Array:
    values = rng.normal(size=(*shape, FEATURE_SIZE))
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def _sight(rng: np.random.Generator, people: _People, is_there: _BoolArray, features: _Array) -> list[Sighting]:
    luck = _drifting(rng, (len(people.depth),), 0.15)
    chance = 2.3 * ((people.visible - 0.15) / 0.2 - 1).clip(-2, 0.95)  # in standard deviations
    is_found = is_there & (luck < np.where(people.visible > 0.5, 2.2, chance))
    ghosts = _Ghosts(rng)
    sightings = []
    for frame in range(NUM_FRAMES):
        found = [_find(rng, people, person, frame, features) for person in np.flatnonzero(is_found[:, frame])]
        found += ghosts.at(rng, frame)
        sightings.append(_suppress(rng, found))
    return sightings


@dataclass(frozen=True, eq=False)
class _Found:
    """One box of a frame."""

    owner: int
    box_xyxy: _Array
    score: float
    keypoints_xy: _Array
    keypoint_scores: _Array
    feature: _Array


def _find(rng: np.random.Generator, people: _People, person: int, frame: int, features: _Array) -> _Found:
    visible, height = people.visible[person, frame], float(np.ptp(people.box_xyxy[person, frame, 1::2]))
    noise = EDGE_NOISE * (3 if rng.random() < 0.1 else 1) * (1 + 3 * (1 - visible))
    edges = rng.normal(0, noise * height, 4)
    box = _clip(people.box_xyxy[person, frame] + edges)
    if rng.random() < 0.02 + 0.1 * (1 - visible):  # no more than the upper body
        box[3] -= rng.uniform(0.3, 0.5) * height
    hidden = people.is_hidden[person, frame]
    keypoints = people.keypoints_xy[person, frame]
    if visible < 0.5 and rng.random() < 0.3:  # the pose network takes the one in front
        keypoints, hidden = people.keypoints_xy[people.in_front[person, frame], frame], np.zeros(17, bool)
    spread = np.where(hidden, HIDDEN_KEYPOINT_NOISE, KEYPOINT_NOISE)[:, None] * height
    return _Found(
        owner=person,
        box_xyxy=box,
        score=float((0.3 + 0.6 * visible + rng.normal(0, 0.05)).clip(0.1, 0.98)),
        keypoints_xy=keypoints + rng.normal(0, 1, (17, 2)) * spread,
        keypoint_scores=(np.where(hidden, 0.3, 0.85) + rng.normal(0, 0.08, 17)).clip(0.02, 1),
        feature=features[person, frame],
    )


class _Ghosts:
    """Two places where the detector now and then sees somebody: a mirror, a poster, a pile of coats."""

    def __init__(self, rng: np.random.Generator) -> None:
        height = rng.uniform(120, 280, (2, 1))
        corner = rng.uniform((0, 150), (SIZE_WH[0] - 150, 350), (2, 2))
        self._boxes = np.concatenate((corner, corner + height * (0.4, 1.0)), axis=1)
        self._features = _direction(rng, (3,))
        self._luck = _drifting(rng, (2,), 0.3)

    def at(self, rng: np.random.Generator, frame: int) -> list[_Found]:
        return [self._ghost(rng, place) for place in np.flatnonzero(self._luck[:, frame] > 1.3)]

    def _ghost(self, rng: np.random.Generator, place: int) -> _Found:
        box = self._boxes[place] + rng.normal(0, 0.05 * np.ptp(self._boxes[place, 1::2]), 4)
        keypoints = rng.uniform(box[:2], box[2:], (17, 2))
        feature = self._features[place] + self._features[2] + 0.5 * _direction(rng, ())
        return _Found(-1, _clip(box), rng.uniform(0.1, 0.45), keypoints, rng.uniform(0.05, 0.5, 17), feature)


def _suppress(rng: np.random.Generator, found: list[_Found]) -> Sighting:
    """NMS, and the order of scores."""
    kept: list[_Found] = []
    for candidate in sorted(found, key=lambda f: -f.score):
        others = np.array([other.box_xyxy for other in kept]).reshape(-1, 4)
        if not (overlaps(candidate.box_xyxy[None], others) > NMS_IOU).any():
            kept.append(candidate)
    if not kept:
        nobody = replace(Poses.empty(), features=np.zeros((0, FEATURE_SIZE), np.float32))
        return Sighting(nobody, np.zeros(0, np.int64))
    poses = Poses(
        box_xyxy=np.stack([f.box_xyxy for f in kept]).astype(np.float32),
        box_scores=np.array([f.score for f in kept], np.float32),
        keypoints_xy=np.stack([f.keypoints_xy for f in kept]).astype(np.float32),
        keypoint_scores=np.stack([f.keypoint_scores for f in kept]).astype(np.float32),
        features=np.stack([f.feature for f in kept]).astype(np.float32),
    )
    return Sighting(poses, np.array([f.owner for f in kept], np.int64))
