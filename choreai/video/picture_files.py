"""Image files that are read as a video: which they are, without what decodes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
IMAGES_PER_SECOND = 25.0
"""Images have no time stamps; this rate is taken where none is given."""


@dataclass(frozen=True)
class Picture:
    """An image file."""

    name: str
    read: Callable[[], bytes]
    num_bytes: int


@dataclass(frozen=True)
class Pictures:
    """Image files in order, shown at a steady rate."""

    files: Sequence[Picture]
    per_second: float = IMAGES_PER_SECOND

    @property
    def num_bytes(self) -> int:
        return sum(file.num_bytes for file in self.files)
