"""The four COCO pictures in ../shared, whose twelve people have annotated keypoints."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"
FOLDER = SHARED / "data" / "pose_gt" / "coco"
YOLOX_NANO = SHARED / "data" / "weights" / "yolox_nano_416.onnx"
SIMPLE_POSE = SHARED / "data" / "weights" / "ultralight_simplepose_256x192.onnx"


@dataclass(frozen=True, eq=False)
class Picture:
    image_id: int
    image: torch.Tensor
    """(H, W, 3) uint8 RGB."""
    box_xyxy: np.ndarray
    """(P, 4)."""
    keypoints: np.ndarray
    """(P, 17, 3): x, y, and whether it is annotated (0 is not)."""
    areas: np.ndarray
    """(P,) of the people's outlines, in pixels."""


def read_pictures() -> list[Picture]:
    import cv2

    truth = json.loads((FOLDER / "test_coco.json").read_text())
    pictures = []
    for entry in truth["images"]:
        people = [one for one in truth["annotations"] if one["image_id"] == entry["id"] and one["num_keypoints"]]
        boxes = np.array([one["bbox"] for one in people], np.float32)
        boxes[:, 2:] += boxes[:, :2]
        keypoints = np.array([one["keypoints"] for one in people], np.float32).reshape(-1, 17, 3)
        image = cv2.cvtColor(cv2.imread(str(FOLDER / entry["file_name"])), cv2.COLOR_BGR2RGB)
        areas = np.array([one["area"] for one in people])
        pictures.append(Picture(entry["id"], torch.from_numpy(image), boxes, keypoints, areas))
    return pictures


def best_ious(truth_xyxy: np.ndarray, found_xyxy: np.ndarray) -> np.ndarray:
    """(P,) how well each true box is met by the best of the found ones."""
    starts = np.maximum(truth_xyxy[:, None, :2], found_xyxy[None, :, :2])
    ends = np.minimum(truth_xyxy[:, None, 2:], found_xyxy[None, :, 2:])
    overlaps = (ends - starts).clip(0).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (truth_xyxy, found_xyxy)]
    return (overlaps / (areas[0][:, None] + areas[1][None] - overlaps)).max(1, initial=0)
