"""The crowd estimator: everybody is detected, the few most salient get a pose, so that a crowd costs little.

Detector at a low threshold (a breaker upside down is no sure person), `max_people` by saliency, pose network on their
boxes. It looks at one frame after the other, so no result depends on batches or shards.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from choreai.arrays import FloatArray, ImageArray
from choreai.errors import WeightsError
from choreai.pose.bodies import Bodies, BodyReader
from choreai.pose.detectors.detector import Boxes, PersonDetector
from choreai.pose.estimator import Poses
from choreai.pose.following import BoxFollower
from choreai.pose.onnx_reid import OnnxReid
from choreai.pose.saliency import CENTRE_SPREAD, MEMORY_SECONDS, STILL_MOTION, Salience, SaliencyFilter
from choreai.pose.stages import stage
from choreai.video.frame import Frame
from choreai.video.pixel_motion import PixelMotion

CROWD_VERSION = 1
"""Part of the pose fingerprint: raise it with any change to saliency or pixel motion that changes who is read."""
MIN_PRESENCE = 0.05
"""A pose network that is surer than this that nobody is there is not believed: it knows few bodies upside down."""
CUT_LEVEL = 25.0
"""Mean grey levels of change, camera shift removed, at which people are detected out of turn: a cut, most likely."""
MAX_MOTION = 10.0
"""Times the frame's mean change that count. In dance clips 1 in 1,000 boxes moves more."""


class CrowdEstimator:
    """A `PoseEstimator` of at most `max_people` in each frame, the most salient ones.

    `box_scores` say how likely somebody is the one who dances, as far as a single frame tells (`dancer_scores`). So the
    tables carry what only frames can tell, pixel motion and the place in the frame, in a column that they have.
    `certainty` is the tracker's. People come by falling saliency.
    """

    batch_size = 8
    """Detection is batched over frames; the rest goes frame by frame, as it looks back at the one before."""

    def __init__(
        self,
        detector: PersonDetector,
        reader: BodyReader,
        *,
        max_people: int,
        detect_every: int = 1,
        reid: OnnxReid | None = None,
    ) -> None:
        """With a `reid` network poses have features, of the detector's boxes."""
        if min(max_people, detect_every) < 1:
            raise ValueError(f"max_people and detect_every must be positive, got {max_people}, {detect_every}")
        self._detector, self._reader, self._max_people = detector, reader, max_people
        self._detect_every, self._reid = detect_every, reid
        self.start_video()

    def settings(self) -> dict[str, str | int | float | bool]:
        return {
            "estimator": "crowd",
            "crowd_version": CROWD_VERSION,
            "max_people": self._max_people,
            "centre_spread": CENTRE_SPREAD,
            "memory_seconds": MEMORY_SECONDS,
            **({"detect_every": self._detect_every} if self._detect_every > 1 else {}),
            **self._detector.settings(),
            **self._reader.settings(),
            **(self._reid.settings() if self._reid else {}),
        }

    def start_video(self) -> None:
        """Forget who was where."""
        self._motion, self._saliency, self._follower = PixelMotion(), SaliencyFilter(), BoxFollower()
        self._num_frames = 0
        self._reader.start_video()

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        images = [np.ascontiguousarray(frame.image) for frame in frames]
        due = [at for at in range(len(frames)) if (self._num_frames + at) % self._detect_every == 0]
        with stage("detect"):
            found = self._detector.detect([torch.from_numpy(images[at]) for at in due]) if due else []
        detected: dict[int, Boxes] = dict(zip(due, found, strict=True))
        self._num_frames += len(frames)
        return [
            self._pose(image, detected.get(at), pts_seconds=frame.pts_seconds)
            for at, (frame, image) in enumerate(zip(frames, images, strict=True))
        ]

    def _pose(self, image: ImageArray, detected: Boxes | None, *, pts_seconds: float) -> Poses:
        """The most salient of one frame's people; where they were not detected, they are followed."""
        motion = self._motion.update(image)
        people = detected
        if people is None:
            is_lost = not len(self._follower) or motion.levels.mean() > CUT_LEVEL
            people = self._detector.detect([torch.from_numpy(image)])[0] if is_lost else self._follower.people()
        salience = self._saliency.update(
            people, motion, size_hw=(image.shape[0], image.shape[1]), pts_seconds=pts_seconds
        )
        chosen = np.argsort(-salience.saliency, kind="stable")[: self._max_people]
        bodies = self._reader.read(image, people.box_xyxy[chosen])
        features = self._reid.compute_features(image, people.box_xyxy[chosen]) if self._reid else None
        _check_finite(bodies, features)
        if self._detect_every > 1:
            self._follower.update(people, chosen, bodies.keypoints_xy, bodies.keypoint_scores)
        certainty = person_certainty(people.scores[chosen], bodies.presence)
        if not len(chosen):
            return replace(Poses.empty(with_xyz=self._reader.has_xyz), features=features, certainty=certainty)
        return Poses(
            box_xyxy=people.box_xyxy[chosen],
            box_scores=dancer_scores(people.scores[chosen], bodies.presence, salience.take(chosen)),
            keypoints_xy=bodies.keypoints_xy,
            keypoint_scores=bodies.keypoint_scores,
            keypoints_xyz=bodies.keypoints_xyz,
            all_keypoints_xy=bodies.all_keypoints_xy,
            all_keypoint_scores=bodies.all_keypoint_scores,
            features=features,
            certainty=certainty,
        )


def person_certainty(detector_scores: FloatArray, presence: FloatArray) -> FloatArray:
    """Return (P,) in [0, 1], how likely each is a person: the geometric mean of what detector and pose network say."""
    return np.sqrt(detector_scores.clip(0, 1) * presence.clip(MIN_PRESENCE, 1)).astype(np.float32)


def dancer_scores(detector_scores: FloatArray, presence: FloatArray, salience: Salience) -> FloatArray:
    """Return (P,) in [0, 1] of P people: how likely each is the one who dances, as far as one frame tells.

    That it is a person, times centrality, times pixel motion.
    """
    certainty = person_certainty(detector_scores, presence)
    motion = (STILL_MOTION + salience.motion).clip(0, MAX_MOTION) / MAX_MOTION
    return (certainty * salience.centrality * motion).astype(np.float32)


def _check_finite(bodies: Bodies, features: FloatArray | None) -> None:
    others = bodies.all_keypoints_xy, bodies.all_keypoint_scores
    for answer in (
        bodies.keypoints_xy, bodies.keypoint_scores, bodies.presence, bodies.keypoints_xyz, *others, features,
    ):  # fmt: skip
        if answer is not None and not np.isfinite(answer).all():
            network = "re-ID" if answer is features else "pose"
            raise WeightsError(f"the {network} network answers NaN or infinity: its weights are broken")
