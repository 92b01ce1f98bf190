"""Decode the heatmaps of crops into keypoints in frames, in batches and on the heatmaps' device.

Legend: P people, K keypoints, H x W heatmap pixels (64 x 48 for 256 x 192 crops).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from choreai.arrays import FloatArray
from choreai.pose.stages import counted_as

MSE_KEYPOINTS = (17, 21, 26, 68, 133, 136)
NUM_HAND_AND_FACE, NUM_HANDS = 110, 42


@dataclass(frozen=True)
class Decoding:
    """How many keypoints are decoded by their peak, and how many of the following ones as a distribution's mean."""

    num_argmax: int
    num_integral: int

    def __post_init__(self) -> None:
        if self.num_argmax < 0 or self.num_integral < 0 or self.num_keypoints == 0:
            raise ValueError(f"a decoding needs keypoints, got {self}")

    @property
    def num_keypoints(self) -> int:
        return self.num_argmax + self.num_integral


@dataclass(frozen=True, eq=False)
class DecodedKeypoints:
    """Keypoints on the heatmaps' device, float32."""

    xy: torch.Tensor
    """(P, K, 2) frame pixels, pixel centres at integers."""
    scores: torch.Tensor
    """(P, K): the raw peak, which may exceed 1 or be negative (argmax), or its sigmoid (integral); NaN for a heatmap
    that contains NaN."""


def decoding_for(num_keypoints: int, loss: Literal["MSELoss", "L1JointRegression", "Combined"]) -> Decoding:
    """Return how to decode an AlphaPose network that was trained with `loss`.

    With MSE, only the first 17 keypoints of unknown keypoint sets are decoded. Combined networks have their hands (68
    keypoints) or face and hands (others) decoded as integrals.
    """
    if loss == "L1JointRegression":
        return Decoding(0, num_keypoints)
    if loss == "Combined":
        num_integral = NUM_HANDS if num_keypoints == 68 else NUM_HAND_AND_FACE
        return Decoding(num_keypoints - num_integral, num_integral)
    return Decoding(num_keypoints if num_keypoints in MSE_KEYPOINTS else min(num_keypoints, 17), 0)


@counted_as("heatmaps")
@torch.inference_mode()
def decode_heatmaps(
    heatmaps_PKHW: torch.Tensor, padded_boxes_xyxy: FloatArray, *, decoding: Decoding
) -> DecodedKeypoints:
    """Return the keypoints of each person in frame pixels; `padded_boxes_xyxy` (P, 4) are the crops' boxes.

    Always computed in float32. Keypoints beyond those that the decoding covers are left out.
    """
    num_people, num_keypoints, height, width = heatmaps_PKHW.shape
    if num_keypoints < decoding.num_keypoints or padded_boxes_xyxy.shape != (num_people, 4):
        raise ValueError(
            f"{decoding} and boxes {padded_boxes_xyxy.shape} do not fit heatmaps {tuple(heatmaps_PKHW.shape)}"
        )
    heatmaps = heatmaps_PKHW[:, : decoding.num_keypoints].float()
    argmax_xy, argmax_scores = _argmax(heatmaps[:, : decoding.num_argmax])
    integral_xy, integral_scores = _integral(heatmaps[:, decoding.num_argmax :])
    xy = torch.cat((argmax_xy, integral_xy), dim=1)
    boxes = torch.from_numpy(np.asarray(padded_boxes_xyxy, np.float32)).to(xy.device)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    # One scale for both axes, from the width: crops have the aspect ratio of their boxes.
    scales = (boxes[:, 2] - boxes[:, 0]) / width
    middle = torch.tensor([width / 2, height / 2], device=xy.device)
    return DecodedKeypoints(
        xy=centres[:, None] + (xy - middle) * scales[:, None, None],
        scores=torch.cat((argmax_scores, integral_scores), dim=1),
    )


def merge_flipped(heatmaps_PKHW: torch.Tensor, flipped_PKHW: torch.Tensor, *, mirror: Sequence[int]) -> torch.Tensor:
    """Return the mean of the heatmaps of crops and of mirrored crops, the latter mirrored back.

    `mirror` maps each keypoint to its mirror image. The heatmaps that are mirrored back are shifted one column to the
    right, repeating the first: column i lies at crop pixel 4 * i, whose mirror image 191 - 4 * i is closer to column
    48 - i than to 47 - i.
    """
    turned = flipped_PKHW.flip(-1)[:, list(mirror)]
    moved = torch.cat((turned[..., :1], turned[..., :-1]), dim=-1)
    return (heatmaps_PKHW + moved) / 2


def _argmax(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the peaks, shifted a quarter pixel towards the higher neighbour; (0, 0) where no pixel is positive."""
    height, width = heatmaps.shape[-2:]
    flat = heatmaps.flatten(2)
    scores, indices = flat.max(dim=2)  # the first of equal peaks
    above_zero = scores > 0
    x = torch.where(above_zero, indices % width, 0)
    y = torch.where(above_zero, indices // width, 0)
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)

    def slope_sign(step: int) -> torch.Tensor:
        after = flat.gather(2, torch.where(inside, indices + step, 0)[..., None])[..., 0]
        before = flat.gather(2, torch.where(inside, indices - step, 0)[..., None])[..., 0]
        return (after - before).sign()

    return torch.stack((x + 0.25 * slope_sign(1), y + 0.25 * slope_sign(width)), dim=-1), scores


def _integral(heatmaps: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the means of the sigmoid heatmaps, taken as distributions."""
    height, width = heatmaps.shape[-2:]
    probabilities = heatmaps.sigmoid()
    scores = probabilities.amax((2, 3))
    total = probabilities.sum((2, 3))
    columns = torch.arange(width, device=heatmaps.device, dtype=torch.float32)
    rows = torch.arange(height, device=heatmaps.device, dtype=torch.float32)
    x = (probabilities.sum(2) * columns).sum(-1) / total
    y = (probabilities.sum(3) * rows).sum(-1) / total
    return torch.stack((x, y), dim=-1), scores
