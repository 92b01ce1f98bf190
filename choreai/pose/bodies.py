"""Bodies: the keypoints of the people in given boxes, frame by frame of one video, by whichever network reads them."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from choreai.arrays import FloatArray, ImageArray
from choreai.errors import WeightsError
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.crop_keypoints import CropPoseNetwork
from choreai.pose.crops import crop_people, pad_boxes


@dataclass(frozen=True, eq=False)
class Bodies:
    """What a pose network makes of P boxes."""

    keypoints_xy: FloatArray
    """(P, 17, 2) frame pixels."""
    keypoint_scores: FloatArray
    """(P, 17)."""
    presence: FloatArray
    """(P,) in [0, 1], how sure the network is that a person is there; 1 where it does not tell."""
    keypoints_xyz: FloatArray | None = None
    """(P, 17, 3) metres from between the hips, y down; None from a network without 3D."""
    all_keypoints_xy: FloatArray | None = None
    """(P, J, 2) COCO's 17 and the network's others after them; None where it has no others."""
    all_keypoint_scores: FloatArray | None = None
    """(P, J) beside `all_keypoints_xy`."""


class BodyReader(Protocol):
    """A pose network that may look for people where the frame before had them."""

    has_xyz: bool

    def settings(self) -> dict[str, str | int | float | bool]:
        """Return all that changes the keypoints, for the pose fingerprint."""
        ...

    def start_video(self) -> None:
        """Do nothing: a frame's keypoints do not depend on the frames before."""
        ...

    def read(self, image: ImageArray, box_xyxy: FloatArray) -> Bodies:
        """Return the bodies in (P, 4) boxes of the video's next frame, (H, W, 3) RGB; P may be 0."""
        ...


class CropBodyReader:
    """A `BodyReader` of a top-down network (heatmaps, SimCC), which needs no earlier frame."""

    has_xyz = False

    def __init__(self, network: CropPoseNetwork) -> None:
        """Raises WeightsError for a network of fewer keypoints than COCO's."""
        if network.num_keypoints < NUM_KEYPOINTS:
            raise WeightsError(
                f"the pose network answers {network.num_keypoints} keypoints, and the {NUM_KEYPOINTS} of COCO are "
                "needed, at the beginning of its keypoint set"
            )
        self._network = network

    def settings(self) -> dict[str, str | int | float | bool]:
        return self._network.settings()

    def start_video(self) -> None:
        """Nothing: a frame's keypoints do not depend on the frames before."""

    def read(self, image: ImageArray, box_xyxy: FloatArray) -> Bodies:
        settings = self._network.crop_settings
        padded = pad_boxes(box_xyxy, settings)
        frame_of_person = np.zeros(len(box_xyxy), np.int64)
        crops = crop_people([torch.from_numpy(image)], padded, frame_of_person, settings)
        found = self._network.find_keypoints(crops)
        xy, scores = found.in_frame(padded, settings), found.scores.cpu().numpy().astype(np.float32)
        has_others = self._network.num_keypoints > NUM_KEYPOINTS
        return Bodies(
            keypoints_xy=xy[:, :NUM_KEYPOINTS],
            keypoint_scores=scores[:, :NUM_KEYPOINTS],
            presence=np.ones(len(box_xyxy), np.float32),
            all_keypoints_xy=xy if has_others else None,
            all_keypoint_scores=scores if has_others else None,
        )
