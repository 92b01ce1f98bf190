"""One decoded video frame: the output of the decoder and the input of every pose estimator."""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import ImageArray


@dataclass(frozen=True, eq=False)
class Frame:
    """A decoded frame, upright (with rotation metadata applied)."""

    image: ImageArray
    """(H, W, 3) RGB."""
    frame_index: int
    """0-based index of this frame among all frames of the video, in presentation order."""
    pts_seconds: float
    """Presentation time in seconds since the video's first frame."""
    shot_index: int = 0
    """0-based index of the frame's shot (`choreai.video.shots`); 0 for all where no shots are looked for."""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(f"image must be (H, W, 3) uint8, got {self.image.shape} {self.image.dtype}")
