"""BlazePose for several people, from MediaPipe's two .tflite files and without MediaPipe.

Somebody who was there in the frame before is looked for where their landmarks said, as MediaPipe does with its one
person. New people come from the detector, and from what moves most, if that is nobody yet. It looks at one frame after
the other, so no result depends on batches or shards.

Legend: P people.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray, ImageArray, IntArray
from choreai.pose.blazepose import CENTRE, COCO_FROM_BLAZEPOSE, NUM_IN_METRES, TOP, BlazePoseNetwork, Landmarks, Squares
from choreai.pose.crowd import dancer_scores
from choreai.pose.detectors.blazepose import BlazePoseDetector, Found
from choreai.pose.detectors.detector import Boxes
from choreai.pose.estimator import Poses
from choreai.pose.mediapipe import BOX_MARGIN, MIN_DETECTION_CONFIDENCE, MIN_TRACKING_CONFIDENCE, box_around
from choreai.pose.motion_region import MotionRegion
from choreai.pose.saliency import CENTRE_SPREAD, MEMORY_SECONDS, SaliencyFilter, iou_matrix
from choreai.video.frame import Frame
from choreai.video.pixel_motion import PixelMotion

BLAZEPOSE_VERSION = 1
"""Part of the pose fingerprint: raise it with any change below that changes who is read, or where."""
MIN_SCORE = MIN_DETECTION_CONFIDENCE
MIN_PRESENCE = MIN_TRACKING_CONFIDENCE
"""As in MediaPipe. Somebody whom the landmark network is less sure of is lost."""
DETECT_EVERY = 3
"""Frames; more often where nobody is known."""
SAME_IOU = 0.5
"""Bodies that overlap more are one person."""
TAKEN_SHARE = 0.5
"""Of the smaller of a moving region and somebody's box: who shares so much is what moves, and nobody is looked for."""
REGION_SCALE = 1.6
"""Side of the square in which a region is searched over the region's longer side. Of the breakers in the 40 frames of
`motion_region.MIN_LEVEL`, 30 were found then, and 24 at 1.25."""
ROTATIONS = np.arange(4) * np.pi / 2
"""The network knows people upright, and dancers stand on their hands: upright alone found 19 of those 30."""
NUM_LIKELY = 2
"""Rotations that are read again, in the square that the first reading says: 25 were found with the best one alone, 31
with all four."""

FRAME_SECONDS = 0.033333
"""What MediaPipe takes every frame to last, whatever it does last."""
MIN_CUTOFF_HZ, CUTOFF_PER_SPEED, SPEED_CUTOFF_HZ = 0.01, 10.0, 1.0
"""MediaPipe smooths the two points by which it places the next square, even where landmarks are not smoothed, by a
one-euro filter (Casiez et al. 2012), speeds in body sizes a second. With it keypoints are MediaPipe's to 0.002 torso
lengths in the median, without it to 0.017."""


class BlazePoseEstimator:
    """A `PoseEstimator` of at most `max_people` in each frame, by falling saliency, with 3D keypoints.

    Keypoints and boxes are those of `MediaPipeEstimator`, and `box_scores` those of `CrowdEstimator`: how likely
    somebody is the one who dances.
    """

    batch_size = 8
    """Frames are looked at one by one."""

    def __init__(
        self, detector: BlazePoseDetector, network: BlazePoseNetwork, *, max_people: int, searches_motion: bool = True
    ) -> None:
        """Without `searches_motion` people come from the detector alone."""
        if max_people < 1:
            raise ValueError(f"max_people must be positive, got {max_people}")
        self._detector, self._network = detector, network
        self._max_people, self._searches_motion = max_people, searches_motion
        self.start_video()

    def settings(self) -> dict[str, str | int | float | bool]:
        return {
            "estimator": "blazepose",
            "blazepose_version": BLAZEPOSE_VERSION,
            "max_people": self._max_people,
            "searches_motion": self._searches_motion,
            "min_detection_confidence": self._detector.min_score,
            "min_tracking_confidence": MIN_PRESENCE,
            "box_margin": BOX_MARGIN,
            "centre_spread": CENTRE_SPREAD,
            "memory_seconds": MEMORY_SECONDS,
            "detector_sha256": self._detector.sha256,
            "landmarks_sha256": self._network.sha256,
        }

    def start_video(self) -> None:
        """Forget who was where."""
        self._motion, self._region, self._saliency = PixelMotion(), MotionRegion(), SaliencyFilter()
        self._followed, self._num_frames = Followed.nobody(), 0

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        return [self._pose(np.ascontiguousarray(frame.image), frame.pts_seconds) for frame in frames]

    def _pose(self, image: ImageArray, pts_seconds: float) -> Poses:
        motion = self._motion.update(image)
        region = self._region.update(motion, pts_seconds=pts_seconds)
        people = self._look(image, region if self._searches_motion else region[:0])
        boxes, size_hw = Boxes(people.squares.boxes(), people.scores), (image.shape[0], image.shape[1])
        salience = self._saliency.update(boxes, motion, size_hw=size_hw, pts_seconds=pts_seconds)
        chosen = np.argsort(-salience.saliency, kind="stable")[: self._max_people]
        people, salience = people.take(chosen), salience.take(chosen)
        landmarks = self._network.read(image, people.squares)
        box_xyxy = _boxes_around(landmarks, size_hw)
        kept = np.flatnonzero(_are_new(box_xyxy, landmarks.presence >= MIN_PRESENCE))
        landmarks, people, salience = landmarks.take(kept), people.take(kept), salience.take(kept)
        self._followed = self._followed.then(landmarks, people.rows, box_xyxy[kept])
        if not len(kept):
            return Poses.empty(with_xyz=True)
        return Poses(
            box_xyxy=box_xyxy[kept],
            box_scores=dancer_scores(people.scores, landmarks.presence, salience),
            keypoints_xy=landmarks.xy[:, list(COCO_FROM_BLAZEPOSE)],
            keypoint_scores=landmarks.scores[:, list(COCO_FROM_BLAZEPOSE)],
            keypoints_xyz=landmarks.xyz,
        )

    def _look(self, image: ImageArray, region: FloatArray) -> "Candidates":
        """Return whoever may be in the frame: known people first."""
        people = Candidates.known(self._followed)
        if self._num_frames % DETECT_EVERY == 0 or not len(people):
            people = people.joined_by(self._detector.detect(image))
        self._num_frames += 1
        if _shares(region, self._followed.box_xyxy).max(initial=0.0) < TAKEN_SHARE:
            people = people.joined_by(self._search(image, region))
        return people

    def _search(self, image: ImageArray, region: FloatArray) -> Found:
        """Return the person, if any, in (R, 4) regions, R 0 or 1: read in every rotation, then where that says."""
        turned = region.repeat(len(ROTATIONS), axis=0)
        upright = Squares.around(turned, scale=REGION_SCALE)
        first = Squares(upright.centre_xy, upright.side, np.tile(ROTATIONS, len(region)))
        landmarks = self._network.read(image, first)
        likely = np.argsort(-landmarks.presence, kind="stable")[: NUM_LIKELY * len(region)]
        squares = landmarks.next_squares(turned).take(likely)
        presence = self._network.read(image, squares).presence
        best = np.argsort(-presence, kind="stable")[: len(region)]
        best = best[presence[best] >= MIN_PRESENCE]
        return Found(squares.take(best), presence[best])


@dataclass(frozen=True, eq=False)
class Followed:
    """The people of a frame as the next one needs them."""

    points: Float64Array
    """(P, 2, 2) frame pixels of `CENTRE` and `TOP`, smoothed."""
    raw_points: Float64Array
    """(P, 2, 2) not smoothed."""
    velocity: Float64Array
    """(P, 2, 2) body sizes a second, smoothed."""
    presence: FloatArray
    """(P,)."""
    box_xyxy: FloatArray
    """(P, 4) around their landmarks."""

    @classmethod
    def nobody(cls) -> "Followed":
        none = np.zeros((0, 2, 2))
        return cls(none, none, none, np.zeros(0, np.float32), np.zeros((0, 4), np.float32))

    def squares(self) -> Squares:
        """Where to look for them."""
        return Squares.between(self.points[:, 0], self.points[:, 1])

    def then(self, landmarks: Landmarks, rows: IntArray, box_xyxy: FloatArray) -> "Followed":
        """Return the people of the next frame, who are those of (P,) `rows` here; -1 is somebody new."""
        points = landmarks.xy[:, [CENTRE, TOP]].astype(np.float64)
        is_new = (rows < 0)[:, None, None]
        if is_new.all():
            return Followed(points, points, np.zeros_like(points), landmarks.presence, box_xyxy)
        size = 2 * np.linalg.norm(points[:, 1] - points[:, 0], axis=1).clip(1e-6, None)[:, None, None]
        step = (points - self.raw_points[rows]) / size / FRAME_SECONDS
        gain = _gain(SPEED_CUTOFF_HZ)
        velocity = np.where(is_new, 0, gain * step + (1 - gain) * self.velocity[rows])
        gains = _gain(MIN_CUTOFF_HZ + CUTOFF_PER_SPEED * np.abs(velocity))
        smoothed = np.where(is_new, points, gains * points + (1 - gains) * self.points[rows])
        return Followed(smoothed, points, velocity, landmarks.presence, box_xyxy)


@dataclass(frozen=True, eq=False)
class Candidates:
    """P people who may be in a frame."""

    squares: Squares
    scores: FloatArray
    """(P,) in [0, 1]: what the detector, or the landmark network in the frame before, was sure of."""
    rows: IntArray
    """(P,) which of the people of the frame before this is; -1 for nobody."""

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def known(cls, followed: Followed) -> "Candidates":
        return cls(followed.squares(), followed.presence, np.arange(len(followed.presence)))

    def take(self, rows: IntArray) -> "Candidates":
        return Candidates(self.squares.take(rows), self.scores[rows], self.rows[rows])

    def joined_by(self, found: Found) -> "Candidates":
        """These, and those of `found` who are none of them."""
        overlap = iou_matrix(found.squares.boxes(), self.squares.boxes()).max(axis=1, initial=0.0)
        new = np.flatnonzero(overlap <= SAME_IOU)
        return Candidates(
            Squares.joined(self.squares, found.squares.take(new)),
            np.concatenate([self.scores, found.scores[new]]),
            np.concatenate([self.rows, np.full(len(new), -1)]),
        )


def _boxes_around(landmarks: Landmarks, size_hw: tuple[int, int]) -> FloatArray:
    height, width = size_hw
    bodies = landmarks.xy[:, :NUM_IN_METRES]
    boxes = [box_around(body, width=width, height=height) for body in bodies]
    return np.array(boxes, np.float32).reshape(-1, 4)


def _shares(regions: FloatArray, box_xyxy: FloatArray) -> FloatArray:
    """Return (R, P) what each region and each box share, of the smaller one's area."""
    starts = np.maximum(regions[:, None, :2], box_xyxy[None, :, :2])
    ends = np.minimum(regions[:, None, 2:], box_xyxy[None, :, 2:])
    of_regions, of_boxes = ((boxes[:, 2:] - boxes[:, :2]).prod(axis=1).clip(1, None) for boxes in (regions, box_xyxy))
    return np.asarray((ends - starts).clip(0).prod(axis=2) / np.minimum(of_regions[:, None], of_boxes), np.float32)


def _are_new(box_xyxy: FloatArray, is_there: BoolArray) -> BoolArray:
    """Return (P,) who is there and not somebody before them seen once more."""
    overlap = iou_matrix(box_xyxy, box_xyxy)
    is_new = is_there.copy()
    for person in range(len(is_new)):
        is_new[person] &= not (overlap[person, :person][is_new[:person]] > SAME_IOU).any()
    return is_new


def _gain(cutoff_hz: Float64Array | float) -> Float64Array:
    """The weight of the newest value in a low-pass filter of this cutoff."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff_hz * FRAME_SECONDS)))
