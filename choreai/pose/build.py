"""Build the estimator that the settings name, and compute the fingerprint of its keypoints.

Networks are imported only when they are built: a MediaPipe worker never imports torch.
"""

from dataclasses import replace

from choreai.fingerprint import fingerprint
from choreai.motion.sequence import KEYPOINTS_VERSION
from choreai.pose.choice import follow, settle
from choreai.pose.estimator import PoseEstimator
from choreai.pose.settings import PoseSettings, ReadFile


def build_estimator(settings: PoseSettings, *, read_file: ReadFile, num_threads: int = 1) -> PoseEstimator:
    """Return the estimator that `settings` names, with its weights loaded, using `num_threads` CPU threads.

    Raises ConfigError if it cannot run here, WeightsError if its files are missing or not what they should be.
    """
    settings = settle(settings, read_file=read_file)
    if settings.estimator == "mediapipe":
        from choreai.pose.mediapipe import MediaPipeEstimator

        return MediaPipeEstimator()
    if settings.estimator == "blazepose":
        from choreai.pose.build_blazepose import build_blazepose

        return build_blazepose(settings, read_file=read_file, num_threads=num_threads)
    if settings.estimator == "crowd":
        from choreai.pose.build_crowd import build_crowd

        return build_crowd(settings, read_file=read_file, num_threads=num_threads)
    from choreai.pose.build_topdown import build_topdown

    return build_topdown(settings, read_file=read_file, num_threads=num_threads)


def follow_poses(settings: PoseSettings, pose_id: str, *, read_file: ReadFile) -> PoseSettings:
    """Return the settings with the estimator whose poses have the fingerprint `pose_id` in place of "auto".

    Other settings, and "auto" where nothing at hand makes these poses, come back as they are.
    """

    def fingerprint_of(each: PoseSettings) -> str:
        return pose_fingerprint(each, build_estimator(replace(each, device="cpu"), read_file=read_file))

    return follow(settings, pose_id, fingerprint=fingerprint_of, read_file=read_file)


def pose_fingerprint(settings: PoseSettings, estimator: PoseEstimator) -> str:
    """Return a hash of everything that affects the keypoints; the keypoint tables are stored under this name."""
    return fingerprint(fingerprint_settings(settings, estimator))


def fingerprint_settings(settings: PoseSettings, estimator: PoseEstimator) -> dict[str, str | int | float | bool]:
    """Return everything that affects the keypoints, ready to be hashed, including tracker and table versions."""
    from choreai.pose.trackers import tracker_settings
    from choreai.video.shots import DETECTOR_VERSION

    described = estimator.settings()
    is_crowd = described.get("estimator") == "crowd"
    tracking = tracker_settings(is_crowd=is_crowd, has_reid=bool(settings.reid_checkpoint))
    if settings.split_shots:
        tracking["shot_detector_version"] = DETECTOR_VERSION

    return {
        **{f"estimator.{name}": value for name, value in described.items()},
        "frames_per_second": settings.frames_per_second,
        **tracking,
        "schema_version": KEYPOINTS_VERSION,
    }
