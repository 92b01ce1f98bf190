"""Select the people among a YOLO network's predictions: thresholds, the person class, NMS.

Legend: N images, A predictions (anchors) per image, C classes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from choreai.arrays import FloatArray, IntArray
from choreai.errors import WeightsError
from choreai.pose.detectors.detector import Boxes

PERSON = 0
"""Index of the person class among COCO's 80, and in detectors of people only."""
CROWD = 100
CROWD_MAX_IOU = 0.55


@dataclass(frozen=True)
class SelectionRule:
    """Decides which predictions are people."""

    min_score: float
    max_iou: float
    """Boxes that overlap by more are the same person."""
    ranking: Literal["objectness", "objectness x class"]
    """The score compared with `min_score`, and by which NMS keeps the best of overlapping boxes."""
    inclusive_pixels: bool = False
    """Darknet's convention: a box includes its last pixel (is one pixel larger), and boxes that overlap by exactly
    `max_iou` are the same person too."""

    def __post_init__(self) -> None:
        if not (0 < self.min_score < 1 and 0 < self.max_iou < 1):
            raise ValueError(f"min_score and max_iou must be in (0, 1), got {self}")

    def settings(self) -> dict[str, str | int | float | bool]:
        """Return the rule's part of the pose fingerprint."""
        return {
            "min_score": self.min_score,
            "max_iou": self.max_iou,
            "ranking": self.ranking,
            "inclusive_pixels": self.inclusive_pixels,
            "crowd_max_iou": CROWD_MAX_IOU,
        }


def select_people(predictions_NAC: torch.Tensor, rule: SelectionRule) -> list[Boxes]:
    """Return N `Boxes` in canvas pixels, by decreasing rank; their scores are the objectness alone, as in AlphaPose.

    Predictions are (N, A, 5 + C): centre x, centre y, width, height in canvas pixels, objectness, class scores. If more
    than 100 people are left in an image, NMS runs again with an IoU of 0.55. AlphaPose counts people over the whole
    batch, which makes its boxes depend on the batch size; ours do not. Raises WeightsError for predictions that are not
    finite.
    """
    class_scores, classes = predictions_NAC[..., 5:].max(dim=2)
    objectness = predictions_NAC[..., 4]
    ranks = objectness if rule.ranking == "objectness" else objectness * class_scores
    # NaN passes no threshold and would look like an image without people.
    chosen = ((ranks >= rule.min_score) & (classes == PERSON)) | ~ranks.isfinite()
    images, anchors = chosen.nonzero(as_tuple=True)
    fields = torch.cat((predictions_NAC[images, anchors, :5], ranks[images, anchors, None], images[:, None]), dim=1)
    candidates = fields.cpu().numpy()
    if not np.isfinite(candidates).all():
        raise WeightsError("the detector outputs NaN or infinity: its weights are broken, or its precision too low")
    image_of_candidate = candidates[:, 6].astype(np.int64)
    return [
        _select_in_image(candidates[image_of_candidate == image, :6], rule) for image in range(len(predictions_NAC))
    ]


def box_nms(box_xyxy: FloatArray, ranks: FloatArray, *, max_iou: float, inclusive_pixels: bool = False) -> IntArray:
    """Return the indices of boxes (P, 4) that overlap no better one by more than `max_iou`, by decreasing rank.

    For `inclusive_pixels` see `SelectionRule`. Of equal ranks the first is kept.
    """
    boxes = box_xyxy.astype(np.float64)
    extra = 1.0 if inclusive_pixels else 0.0
    areas = (boxes[:, 2:] - boxes[:, :2] + extra).prod(axis=1)
    order = np.argsort(-ranks, kind="stable")
    kept = []
    while len(order):
        best, rest = order[0], order[1:]
        kept.append(best)
        starts = np.maximum(boxes[best, :2], boxes[rest, :2])
        ends = np.minimum(boxes[best, 2:], boxes[rest, 2:])
        overlaps = (ends - starts + extra).clip(0).prod(axis=1)
        unions = areas[best] + areas[rest] - overlaps
        limits = max_iou * unions  # no division, because of boxes without area
        order = rest[overlaps < limits] if inclusive_pixels else rest[overlaps <= limits]
    return np.array(kept, np.int64)


def _select_in_image(candidates: FloatArray, rule: SelectionRule) -> Boxes:
    """Return the people among candidates (P, 6): centre, size, objectness, rank."""
    centres, sizes, ranks = candidates[:, :2], candidates[:, 2:4], candidates[:, 5]
    box_xyxy = np.concatenate((centres - sizes / 2, centres + sizes / 2), axis=1)
    kept = box_nms(box_xyxy, ranks, max_iou=rule.max_iou, inclusive_pixels=rule.inclusive_pixels)
    if len(kept) > CROWD:
        kept = box_nms(box_xyxy, ranks, max_iou=CROWD_MAX_IOU, inclusive_pixels=rule.inclusive_pixels)
    return Boxes(box_xyxy[kept].astype(np.float32), candidates[kept, 4].astype(np.float32))
