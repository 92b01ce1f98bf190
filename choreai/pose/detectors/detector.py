"""The detector contract: images in, people's boxes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from choreai.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Boxes:
    """The people found in one image, P of them (P may be 0), the surest first."""

    box_xyxy: FloatArray
    """(P, 4) pixels of the original image, x right, y down."""
    scores: FloatArray
    """(P,). What a score says is the detector's to tell; the YOLO networks give objectness."""

    def __post_init__(self) -> None:
        num_people = len(self.box_xyxy)
        for name, shape in (("box_xyxy", (num_people, 4)), ("scores", (num_people,))):
            array = getattr(self, name)
            if array.shape != shape or array.dtype != np.float32:
                raise ValueError(f"{name} must be {shape} float32, got {array.shape} {array.dtype}")

    def __len__(self) -> int:
        return len(self.scores)

    @classmethod
    def empty(cls) -> "Boxes":
        """An image without people."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class PersonDetector(Protocol):
    """Finds people in images. Built once per worker, where the weights load."""

    batch_size: int
    """How many images go through the network at once."""

    def settings(self) -> dict[str, str | int | float | bool]:
        """All that changes this detector's boxes (name, weights sha256, thresholds), for the pose fingerprint."""
        ...

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        """One `Boxes` per image, in order. Images are (H, W, 3) uint8 RGB on any device; sizes may differ."""
        ...
