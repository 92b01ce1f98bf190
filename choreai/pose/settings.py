"""What decides which keypoints come out: the [pose] section of a job file, and the estimator it names."""

from dataclasses import dataclass
from typing import Literal

from choreai.pose.estimator import PoseEstimator


@dataclass(frozen=True)
class PoseSettings:
    """The [pose] section. Everything here changes the pose fingerprint."""

    estimator: Literal["mediapipe"] = "mediapipe"
    frames_per_second: float = 8.0
    """Sampling rate; a video with fewer frames per second is used whole."""

    def __post_init__(self) -> None:
        if not 0 < self.frames_per_second <= 240:
            raise ValueError(f"frames_per_second must be in (0, 240], got {self.frames_per_second:g}")


def build_estimator(settings: PoseSettings) -> PoseEstimator:
    """The estimator that `settings` names, its weights loaded. Raises ConfigError if it is not installed."""
    from choreai.pose.mediapipe import MediaPipeEstimator

    return MediaPipeEstimator()


def fingerprint_settings(settings: PoseSettings, estimator: PoseEstimator) -> dict[str, str | int | float | bool]:
    """All that changes keypoints, ready to be hashed; tracking and table versions included."""
    from choreai.pose.tracking import TRACKER_VERSION
    from choreai.store.tables import SCHEMA_VERSION

    return {
        **{f"estimator.{name}": value for name, value in estimator.settings().items()},
        "frames_per_second": settings.frames_per_second,
        "tracker_version": TRACKER_VERSION,
        "schema_version": SCHEMA_VERSION,
    }
