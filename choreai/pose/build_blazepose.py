"""The BlazePose estimator put together from the two files that the settings name."""

from choreai.errors import WeightsError
from choreai.pose.blazepose import BlazePoseNetwork
from choreai.pose.blazepose_people import MIN_SCORE, BlazePoseEstimator
from choreai.pose.build_topdown import read_checkpoint
from choreai.pose.detectors.blazepose import BlazePoseDetector
from choreai.pose.litert import LiteRtNetwork
from choreai.pose.settings import PoseSettings, ReadFile

MASK_SHAPE = (256, 256, 1)
"""Of the landmark network's segmentation, which nobody needs and which takes two fifths of its time."""


def build_blazepose(
    settings: PoseSettings, *, read_file: ReadFile, num_threads: int, searches_motion: bool = True
) -> BlazePoseEstimator:
    """Return the estimator of the files in the settings.

    Raises ConfigError without LiteRT, WeightsError for files that are missing or something else.
    """
    detector = _open("detector_checkpoint", settings.detector_checkpoint, read_file, num_threads)
    network = _open("checkpoint", settings.checkpoint, read_file, num_threads)
    try:
        found = BlazePoseDetector(detector, min_score=settings.min_box_score or MIN_SCORE)
    except WeightsError as exc:
        raise WeightsError(f"{settings.detector_checkpoint}: {exc}") from exc
    try:
        landmarks = BlazePoseNetwork(network, as_mediapipe=True)
    except WeightsError as exc:
        raise WeightsError(f"{settings.checkpoint}: {exc}") from exc
    return BlazePoseEstimator(found, landmarks, max_people=settings.max_people, searches_motion=searches_motion)


def _open(setting: str, uri: str, read_file: ReadFile, num_threads: int) -> LiteRtNetwork:
    data = read_checkpoint(setting, uri, read_file)
    try:
        return LiteRtNetwork(data, num_threads=num_threads, unwanted={MASK_SHAPE})
    except WeightsError as exc:
        raise WeightsError(f"{uri}: {exc}") from exc
