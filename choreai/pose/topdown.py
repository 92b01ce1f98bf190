"""Top-down pose estimation: detect people, cut a crop of each, read its keypoints, drop duplicate people.

Frames go to the device once. Detection is batched over frames, keypoints over frames and people, and only boxes
and keypoints come back.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from choreai.errors import WeightsError
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.batches import Batches
from choreai.pose.crop_keypoints import CropKeypoints, CropPoseNetwork
from choreai.pose.crops import crop_people, pad_boxes
from choreai.pose.detectors.detector import Boxes, PersonDetector
from choreai.pose.estimator import FloatArray, Poses
from choreai.pose.suppression import SuppressionConstants, suppress_poses
from choreai.video.frame import Frame

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Crowd:
    """The P detected people of several frames, frame by frame."""

    box_xyxy: FloatArray
    """(P, 4)."""
    scores: FloatArray
    """(P,)."""
    frame_of_person: IntArray
    """(P,) index into the frames."""

    @classmethod
    def of(cls, boxes: Sequence[Boxes]) -> "_Crowd":
        return cls(
            box_xyxy=np.concatenate([np.zeros((0, 4), np.float32), *(found.box_xyxy for found in boxes)]),
            scores=np.concatenate([np.zeros(0, np.float32), *(found.scores for found in boxes)]),
            frame_of_person=np.repeat(np.arange(len(boxes)), [len(found) for found in boxes]),
        )

    def __len__(self) -> int:
        return len(self.scores)


class TopDownEstimator:
    """A `PoseEstimator` of a person detector and a pose network for crops.

    Of larger keypoint sets (Halpe, COCO-WholeBody) duplicates are told by all keypoints, and the 17 of COCO
    are kept. Boxes are the detector's, `box_scores` its scores, `keypoint_scores` what the network answers.
    People come by falling mean keypoint score.
    """

    def __init__(
        self,
        detector: PersonDetector,
        network: CropPoseNetwork,
        *,
        constants: SuppressionConstants,
        device: torch.device,
        frame_batch: int,
        crop_batch: int,
        min_box_area: float = 0.0,
    ) -> None:
        """`frame_batch` frames are estimated at once, their people `crop_batch` at once; no result depends on it.

        Frames and crops are on `device`; the detector and the network may be elsewhere. People whose keypoints
        span less than `min_box_area` / 2.25 square pixels are dropped.
        """
        if network.num_keypoints < NUM_KEYPOINTS:
            raise WeightsError(
                f"the pose network answers {network.num_keypoints} keypoints, and the {NUM_KEYPOINTS} of COCO are "
                "needed, at the beginning of its keypoint set"
            )
        self.batch_size = frame_batch
        self._detector, self._network, self._constants = detector, network, constants
        self._device, self._min_box_area = device, min_box_area
        self._detect_batches = Batches(detector.batch_size, of="frames")
        self._crop_batches = Batches(crop_batch, of="crops")

    def settings(self) -> dict[str, str | int | float | bool]:
        return {
            "estimator": "alphapose",
            "min_box_area": self._min_box_area,
            **self._detector.settings(),
            **self._network.settings(),
        }

    def start_video(self) -> None:
        """Nothing: a frame's people do not depend on the frames before."""

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        images = [self._upload(frame.image) for frame in frames]
        detected = self._detect_batches.run(len(images), lambda batch: self._detector.detect(images[batch]))
        crowd = _Crowd.of([boxes for batch in detected for boxes in batch])
        if not len(crowd):
            return [Poses.nobody() for _ in frames]
        keypoints = self._find_keypoints(images, crowd)
        return [self._without_duplicates(crowd, keypoints, frame) for frame in range(len(frames))]

    def _upload(self, image: npt.NDArray[np.uint8]) -> torch.Tensor:
        tensor = torch.from_numpy(image)
        if self._device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _find_keypoints(self, images: list[torch.Tensor], crowd: _Crowd) -> FloatArray:
        """(P, K, 3): x, y in frame pixels and score of everybody's keypoints."""
        settings = self._network.crop_settings
        padded = pad_boxes(crowd.box_xyxy, settings)

        def find(people: slice) -> CropKeypoints:
            crops = crop_people(images, padded[people], crowd.frame_of_person[people], settings)
            return self._network.find_keypoints(crops)

        batches = self._crop_batches.run(len(crowd), find)
        scores = torch.cat([batch.scores for batch in batches])
        found = CropKeypoints(torch.cat([batch.xy for batch in batches]), scores)
        keypoints = np.concatenate((found.in_frame(padded, settings), scores.cpu().numpy()[..., None]), axis=2)
        if not np.isfinite(keypoints).all():
            raise WeightsError(
                "the pose network answers NaN or infinity: its weights are broken, or its precision too low"
            )
        return keypoints

    def _without_duplicates(self, crowd: _Crowd, keypoints: FloatArray, frame: int) -> Poses:
        people = np.flatnonzero(crowd.frame_of_person == frame)
        survivors = suppress_poses(
            crowd.box_xyxy[people],
            keypoints[people, :, :2],
            keypoints[people, :, 2],
            constants=self._constants,
            min_box_area=self._min_box_area,
        )
        picked = people[survivors.picks]
        return Poses(
            box_xyxy=crowd.box_xyxy[picked],
            box_scores=crowd.scores[picked],
            keypoints_xy=np.ascontiguousarray(survivors.keypoints_xy[:, :NUM_KEYPOINTS]),
            keypoint_scores=np.ascontiguousarray(survivors.keypoint_scores[:, :NUM_KEYPOINTS]),
        )
