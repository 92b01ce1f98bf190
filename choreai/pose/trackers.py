"""Which tracker follows the people of a video, and what of it goes into the pose fingerprint."""

from dataclasses import asdict
from typing import Protocol

from choreai.arrays import Int32Array
from choreai.pose import occlusion_tracking, reid, tracking
from choreai.pose.estimator import Poses


class PersonTracker(Protocol):
    """Assigns track ids to the people of one video, or of one shot, frame by frame."""

    def update(self, poses: Poses, *, pts_seconds: float) -> Int32Array:
        """Return the (P,) track ids of the people in the next frame, in the order of `poses`."""
        ...


def choose_tracker(poses: Poses) -> PersonTracker:
    """Return a new tracker for the video or shot whose first frame has `poses`.

    The crowd estimator's poses, the only ones with `certainty`, get the one made for people who hide each other where
    they have features. Without, they keep the tracker with which the dancer is chosen best (`docs/tracking.md`). The
    others keep those that the ids in existing tables come from: AlphaPose's where there are features.
    """
    if poses.features is None:
        return tracking.Tracker()
    return reid.ReidTracker() if poses.certainty is None else occlusion_tracking.OcclusionTracker()


def tracker_settings(*, is_crowd: bool, has_reid: bool) -> dict[str, float | int]:
    """Return everything about the tracker that affects track ids, ready to be hashed."""
    if is_crowd and has_reid:
        settings = {
            f"occlusion.{name}": value for name, value in asdict(occlusion_tracking.OcclusionSettings()).items()
        }
        return {**settings, "occlusion.tracker_version": occlusion_tracking.OCCLUSION_TRACKER_VERSION}
    if has_reid:
        return {**_named("reid", reid.ReidSettings()), "reid.tracker_version": reid.REID_TRACKER_VERSION}
    return {"tracker_version": tracking.TRACKER_VERSION}


def _named(prefix: str, settings: occlusion_tracking.OcclusionSettings | reid.ReidSettings) -> dict[str, float | int]:
    return {f"{prefix}.{name}": value for name, value in asdict(settings).items()}
