"""The interface of person detectors: images in, people's boxes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from choreai.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Boxes:
    """The P people found in one image (P may be 0), by decreasing score."""

    box_xyxy: FloatArray
    """(P, 4) pixels of the original image, x right, y down."""
    scores: FloatArray
    """(P,). Their meaning depends on the detector; for YOLO networks they are the objectness."""

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
        """Return the boxes of an image without people."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class PersonDetector(Protocol):
    """Finds people in images. Built once per worker, which loads the weights."""

    batch_size: int
    """Images per batch."""

    def settings(self) -> dict[str, str | int | float | bool]:
        """Return everything that affects the boxes (name, SHA-256 of the weights, thresholds), to be fingerprinted."""
        ...

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        """Return one `Boxes` per image, in order; images are (H, W, 3) uint8 RGB on any device, of any sizes."""
        ...
