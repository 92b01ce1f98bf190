"""What the bare engine reaches: decoding alone, the detector alone, the pose network alone on ready crops.

The speed of a job as a share of it is its speed of light, and `make bench` measures it on the same files in the same
run. On one core the three take turns, so the engine needs the sum of their seconds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from opencv_crops import crop_people_with_opencv
from ratios import seconds_of

from choreai.pose.crop_keypoints import CropPoseNetwork
from choreai.pose.crops import ALPHAPOSE_CROPS, pad_boxes
from choreai.pose.detectors.detector import PersonDetector
from choreai.pose.estimator import PoseEstimator
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame

DETECT_BATCH = 8


@dataclass(frozen=True)
class Engine:
    """Seconds of each part alone, for the same frames."""

    seconds: dict[str, float]

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def ceilings(self, video_seconds: float) -> str:
        """Seconds of video a second that each would reach."""
        return ", ".join(f"{name} {video_seconds / spent:.1f}" for name, spent in self.seconds.items() if spent)


def read_frames(path: Path | str, *, frames_per_second: float) -> list[Frame]:
    with open(path, "rb") as file, VideoReader(file, uri=str(path)) as reader:
        return list(reader.sample(frames_per_second=frames_per_second))


def decode_only(paths: Sequence[str], *, frames_per_second: float) -> float:
    """Seconds to decode the videos' sampled frames, to nowhere."""

    def decode() -> None:
        for path in paths:
            with open(path, "rb") as file, VideoReader(file, uri=path) as reader:
                for _ in reader.sample(frames_per_second=frames_per_second):
                    pass

    return seconds_of(decode)


def estimate_only(estimator: PoseEstimator, videos: Sequence[Sequence[Frame]]) -> float:
    """Seconds of the estimator for ready frames."""

    def estimate() -> None:
        for frames in videos:
            estimator.start_video()
            for start in range(0, len(frames), estimator.batch_size):
                estimator.estimate(frames[start : start + estimator.batch_size])

    return seconds_of(estimate)


def ready_crops(frames: Sequence[Frame], detector: PersonDetector) -> torch.Tensor:
    """The crops of all people in the frames, (P, 3, 256, 192)."""
    crops = []
    for frame in frames:
        (boxes,) = detector.detect([torch.from_numpy(frame.image)])
        if len(boxes):
            padded = pad_boxes(boxes.box_xyxy, ALPHAPOSE_CROPS)
            crops.append(crop_people_with_opencv(frame.image, padded, ALPHAPOSE_CROPS))
    return torch.cat(crops)


def detect_and_pose_only(
    frames: Sequence[Frame],
    crops: torch.Tensor,
    detector: PersonDetector,
    network: CropPoseNetwork,
    *,
    crop_batch: int,
    seconds_of: Callable[[Callable[[], object]], float],
) -> Engine:
    """The detector alone on ready frames, and the pose network alone on ready crops, timed by `seconds_of`."""
    images = [torch.from_numpy(frame.image) for frame in frames]

    def detect() -> None:
        for start in range(0, len(images), DETECT_BATCH):
            detector.detect(images[start : start + DETECT_BATCH])

    def find_keypoints() -> None:
        for batch in crops.split(crop_batch):
            network.find_keypoints(batch)

    return Engine({"detector": seconds_of(detect), "pose": seconds_of(find_keypoints)})
