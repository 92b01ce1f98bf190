"""Top-down pose estimation: detect people, crop each, estimate its keypoints, remove duplicate people.

Frames are copied to the device once. Detection is batched over frames, keypoints over frames and people, and only
boxes and keypoints are copied back.
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
from choreai.pose.stages import stage
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
    def from_boxes(cls, boxes: Sequence[Boxes]) -> "_Crowd":
        return cls(
            box_xyxy=np.concatenate([np.zeros((0, 4), np.float32), *(found.box_xyxy for found in boxes)]),
            scores=np.concatenate([np.zeros(0, np.float32), *(found.scores for found in boxes)]),
            frame_of_person=np.repeat(np.arange(len(boxes)), [len(found) for found in boxes]),
        )

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, eq=False)
class _Outputs:
    """The networks' output for P people."""

    keypoints_xy: FloatArray
    """(P, K, 2) frame pixels."""
    scores: FloatArray
    """(P, K)."""
    features: FloatArray | None
    """(P, F); None without a re-ID network."""

    def check_finite(self) -> None:
        for network, output in (("pose", self.keypoints_xy), ("pose", self.scores), ("re-ID", self.features)):
            if output is not None and not np.isfinite(output).all():
                raise WeightsError(
                    f"the {network} network outputs NaN or infinity: its weights are broken, or its precision too low"
                )


class TopDownEstimator:
    """A `PoseEstimator` of a person detector and a pose network for crops.

    With larger keypoint sets (Halpe, COCO-WholeBody) duplicates are found by all keypoints. Boxes and `box_scores` are
    the detector's, `keypoint_scores` the network's. People come in order of decreasing mean keypoint score.

    With a `reid` network poses have features, computed from the pose network's own crops. Then duplicates are not
    removed, as in AlphaPose when it tracks, and people come in the detector's order, by decreasing score.
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
        num_concurrent: int = 1,
    ) -> None:
        """Estimate `frame_batch` frames at a time and `crop_batch` people at a time, in `num_concurrent` threads at the
        same time; results depend on none of them.

        Frames and crops are on `device`; the detector and the network may be elsewhere. People whose keypoints span
        less than `min_box_area` / 2.25 square pixels are discarded.
        """
        if network.num_keypoints < NUM_KEYPOINTS:
            raise WeightsError(
                f"the pose network outputs {network.num_keypoints} keypoints, but its keypoint set must begin with "
                f"the {NUM_KEYPOINTS} of COCO"
            )
        self.batch_size, self.num_concurrent = frame_batch, num_concurrent
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
        """Do nothing: a frame's people do not depend on earlier frames."""

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        images = [self._upload(frame.image) for frame in frames]
        with stage("detect"):
            detected = self._detect_batcher.run(len(images), lambda batch: self._detector.detect(images[batch]))
        crowd = _Crowd.from_boxes([boxes for batch in detected for boxes in batch])
        if not len(crowd):
            features = None if self._reid is None else np.zeros((0, FEATURE_SIZE), np.float32)
            return [replace(Poses.empty(), features=features) for _ in frames]
        outputs = self._run_networks(images, crowd)
        choose = self._deduplicated_poses if self._reid is None else self._poses_with_features
        return [choose(crowd, outputs, np.flatnonzero(crowd.frame_of_person == frame)) for frame in range(len(frames))]

    def _upload(self, image: ImageArray) -> torch.Tensor:
        tensor = torch.from_numpy(image)
        if self._device.type != "cuda":
            return tensor
        return tensor.pin_memory().to(self._device, non_blocking=True)

    def _run_networks(self, images: list[torch.Tensor], crowd: _Crowd) -> _Outputs:
        """Run the networks on everybody's crop."""
        settings = self._network.crop_settings
        padded = pad_boxes(crowd.box_xyxy, settings)

        def run(people: slice) -> tuple[CropKeypoints, torch.Tensor | None]:
            crops = crop_people(images, padded[people], crowd.frame_of_person[people], settings)
            features = None if self._reid is None else compute_features(self._reid.module, crops)
            return self._network.find_keypoints(crops), features

        batches = self._crop_batcher.run(len(crowd), run)
        scores = torch.cat([found.scores for found, _ in batches])
        found = CropKeypoints(torch.cat([found.xy for found, _ in batches]), scores)
        features = [features for _, features in batches if features is not None]
        outputs = _Outputs(
            keypoints_xy=found.in_frame(padded, settings),
            scores=scores.cpu().numpy(),
            features=torch.cat(features).cpu().numpy() if features else None,
        )
        outputs.check_finite()
        return outputs

    def _poses_with_features(self, crowd: _Crowd, outputs: _Outputs, people: IntArray) -> Poses:
        large = keep_large_poses(outputs.keypoints_xy[people], min_box_area=self._min_box_area)
        people = people[large]
        assert outputs.features is not None
        return Poses(
            box_xyxy=crowd.box_xyxy[people],
            box_scores=crowd.scores[people],
            **_keypoints(outputs.keypoints_xy[people], outputs.scores[people]),
            features=outputs.features[people],
        )

    def _deduplicated_poses(self, crowd: _Crowd, outputs: _Outputs, people: IntArray) -> Poses:
        survivors = pose_nms(
            crowd.box_xyxy[people],
            outputs.keypoints_xy[people],
            outputs.scores[people],
            constants=self._constants,
            min_box_area=self._min_box_area,
        )
        picked = people[survivors.picks]
        return Poses(
            box_xyxy=crowd.box_xyxy[picked],
            box_scores=crowd.scores[picked],
            **_keypoints(survivors.keypoints_xy, survivors.keypoint_scores),
        )


def _keypoints(xy: FloatArray, scores: FloatArray) -> dict[str, FloatArray]:
    """Return the fields of `Poses` for (P, J, 2) keypoints and (P, J) scores, COCO's 17 first."""
    fields = {
        "keypoints_xy": np.ascontiguousarray(xy[:, :NUM_KEYPOINTS]),
        "keypoint_scores": np.ascontiguousarray(scores[:, :NUM_KEYPOINTS]),
    }
    if scores.shape[1] > NUM_KEYPOINTS:
        fields |= {"all_keypoints_xy": np.ascontiguousarray(xy), "all_keypoint_scores": np.ascontiguousarray(scores)}
    return fields
