"""Top-down pose estimation: detect people, cut a crop of each, read its keypoints, drop duplicate people.

Frames go to the device once. Detection is batched over frames, keypoints over frames and people, and only boxes
and keypoints come back.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from choreai.arrays import FloatArray, ImageArray, IntArray
from choreai.errors import WeightsError
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.adaptive_batch import AdaptiveBatcher
from choreai.pose.crop_keypoints import CropKeypoints, CropPoseNetwork
from choreai.pose.crops import crop_people, pad_boxes
from choreai.pose.detectors.detector import Boxes, PersonDetector
from choreai.pose.estimator import Poses
from choreai.pose.nms import NmsConstants, keep_large_poses, pose_nms
from choreai.pose.osnet import FEATURE_SIZE, ReidNetwork, compute_features
from choreai.video.frame import Frame


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


@dataclass(frozen=True, eq=False)
class _Answers:
    """What the networks say of P people."""

    keypoints_xy: FloatArray
    """(P, K, 2) frame pixels."""
    scores: FloatArray
    """(P, K)."""
    features: FloatArray | None
    """(P, F), with a re-ID network."""

    def check_finite(self) -> None:
        for network, answer in (("pose", self.keypoints_xy), ("pose", self.scores), ("re-ID", self.features)):
            if answer is not None and not np.isfinite(answer).all():
                raise WeightsError(
                    f"the {network} network answers NaN or infinity: its weights are broken, or its precision too low"
                )


class TopDownEstimator:
    """A `PoseEstimator` of a person detector and a pose network for crops.

    Of larger keypoint sets (Halpe, COCO-WholeBody) duplicates are told by all keypoints, and the 17 of COCO
    are kept. Boxes are the detector's, `box_scores` its scores, `keypoint_scores` what the network answers.
    People come by falling mean keypoint score.

    With a `reid` network poses have features, of the pose network's own crops; nobody is dropped as a duplicate, as
    AlphaPose has it when it tracks, and people come in the detector's order, the surest first.
    """

    def __init__(
        self,
        detector: PersonDetector,
        network: CropPoseNetwork,
        *,
        constants: NmsConstants,
        device: torch.device,
        frame_batch: int,
        crop_batch: int,
        min_box_area: float = 0.0,
        reid: ReidNetwork | None = None,
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
        self._device, self._min_box_area, self._reid = device, min_box_area, reid
        self._detect_batcher = AdaptiveBatcher(detector.batch_size, item_name="frames")
        self._crop_batcher = AdaptiveBatcher(crop_batch, item_name="crops")

    def settings(self) -> dict[str, str | int | float | bool]:
        return {
            "estimator": "alphapose",
            "min_box_area": self._min_box_area,
            **self._detector.settings(),
            **self._network.settings(),
            **({"reid_sha256": self._reid.sha256} if self._reid else {}),
        }

    def start_video(self) -> None:
        """Nothing: a frame's people do not depend on the frames before."""

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        images = [self._upload(frame.image) for frame in frames]
        detected = self._detect_batcher.run(len(images), lambda batch: self._detector.detect(images[batch]))
        crowd = _Crowd.of([boxes for batch in detected for boxes in batch])
        if not len(crowd):
            features = None if self._reid is None else np.zeros((0, FEATURE_SIZE), np.float32)
            return [replace(Poses.empty(), features=features) for _ in frames]
        answers = self._look_at(images, crowd)
        choose = self._without_duplicates if self._reid is None else self._with_features
        return [choose(crowd, answers, np.flatnonzero(crowd.frame_of_person == frame)) for frame in range(len(frames))]

    def _upload(self, image: ImageArray) -> torch.Tensor:
        tensor = torch.from_numpy(image)
        if self._device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _look_at(self, images: list[torch.Tensor], crowd: _Crowd) -> _Answers:
        """What the networks say of everybody's crop."""
        settings = self._network.crop_settings
        padded = pad_boxes(crowd.box_xyxy, settings)

        def look(people: slice) -> tuple[CropKeypoints, torch.Tensor | None]:
            crops = crop_people(images, padded[people], crowd.frame_of_person[people], settings)
            features = None if self._reid is None else compute_features(self._reid.module, crops)
            return self._network.find_keypoints(crops), features

        batches = self._crop_batcher.run(len(crowd), look)
        scores = torch.cat([found.scores for found, _ in batches])
        found = CropKeypoints(torch.cat([found.xy for found, _ in batches]), scores)
        features = [features for _, features in batches if features is not None]
        answers = _Answers(
            keypoints_xy=found.in_frame(padded, settings),
            scores=scores.cpu().numpy(),
            features=torch.cat(features).cpu().numpy() if features else None,
        )
        answers.check_finite()
        return answers

    def _with_features(self, crowd: _Crowd, answers: _Answers, people: IntArray) -> Poses:
        large = keep_large_poses(answers.keypoints_xy[people], min_box_area=self._min_box_area)
        people = people[large]
        assert answers.features is not None
        return Poses(
            box_xyxy=crowd.box_xyxy[people],
            box_scores=crowd.scores[people],
            keypoints_xy=np.ascontiguousarray(answers.keypoints_xy[people, :NUM_KEYPOINTS]),
            keypoint_scores=np.ascontiguousarray(answers.scores[people, :NUM_KEYPOINTS]),
            features=answers.features[people],
        )

    def _without_duplicates(self, crowd: _Crowd, answers: _Answers, people: IntArray) -> Poses:
        survivors = pose_nms(
            crowd.box_xyxy[people],
            answers.keypoints_xy[people],
            answers.scores[people],
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
