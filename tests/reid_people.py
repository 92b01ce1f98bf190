"""People with looks who move, for tests of the re-ID tracker."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from choreai.arrays import FloatArray
from choreai.pose.estimator import Poses
from choreai.pose.reid import ReidSettings, ReidTracker

STEP_SECONDS = 1 / 8


@dataclass(frozen=True)
class Person:
    """Where somebody is, in pixels, and who they look like."""

    x: float = 500.0
    y: float = 500.0
    height: float = 400.0
    width: float = 160.0
    looks: int = 0
    noise: int = 0
    """Two sightings with different noise have a cosine distance of about 0.2."""

    def box(self) -> tuple[float, float, float, float]:
        half_width, half_height = self.width / 2, self.height / 2
        return self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height

    def feature(self) -> FloatArray:
        looks = np.random.default_rng(self.looks).normal(size=512)
        noise = np.random.default_rng((self.looks, self.noise + 1)).normal(size=512)
        return (looks + 0.5 * noise).astype(np.float32)


def poses_of(boxes: Sequence[tuple[float, float, float, float]] | FloatArray) -> Poses:
    nobody = Poses.empty()
    num_people = len(boxes)
    return replace(
        nobody,
        box_xyxy=np.asarray(boxes, np.float32).reshape(num_people, 4),
        box_scores=np.ones(num_people, np.float32),
        keypoints_xy=np.zeros((num_people, 17, 2), np.float32),
        keypoint_scores=np.ones((num_people, 17), np.float32),
    )


def show(tracker: ReidTracker, people: Sequence[Person], *, frame: int) -> list[int]:
    features = np.array([person.feature() for person in people], np.float32).reshape(-1, 512)
    poses = poses_of([person.box() for person in people])
    return tracker.update(replace(poses, features=features), pts_seconds=frame * STEP_SECONDS).tolist()


def ids_of(frames: Sequence[Sequence[Person]], *, settings: ReidSettings | None = None) -> list[list[int]]:
    """The ids of each frame, frames an eighth of a second apart."""
    tracker = ReidTracker(settings)
    return [show(tracker, people, frame=i) for i, people in enumerate(frames)]
