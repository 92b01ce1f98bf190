"""What a conversion is told that the files themselves may not contain."""

from dataclasses import dataclass
from pathlib import PurePosixPath

from choreai.errors import ConfigError

DEFAULT_IMAGE_NAMES = "%06d.jpg"
"""As `ffmpeg -i dance.mp4 -start_number 0 frames/%06d.jpg` names them: the first frame is 0."""


@dataclass(frozen=True)
class ConvertSettings:
    """Settings that the files themselves do not contain; None: not given."""

    video_id: str | None = None
    """From alphapose-json: the video's name (needed). From parquet and report-text: the one video to convert. From the
    others: the video's name, otherwise that of the file."""
    frames_per_second: float | None = None
    """The rate of the images or samples in the source, needed where the source does not say it."""
    report_labels: str | None = None
    """From and to report-text: URI of its second file, which has the class numbers (needed)."""
    label_table: str | None = None
    """A CSV with video_id and label. To report-text: read; a catalog will do (needed). From: written."""
    class_names: tuple[str, ...] | None = None
    """From and to report-text: the labels of its class numbers, from 1. If not given, the labels read are the
    numbers as text, and the labels written are numbered in alphabetical order."""
    size_wh: tuple[int, int] | None = None
    """Width and height of the pictures in pixels: needed where a file has shares of the picture instead of pixels."""
    image_names: str | None = None
    """To formats that name pictures: the name of a frame, with one %d or %06d for its number; if not given,
    `DEFAULT_IMAGE_NAMES`."""

    track_id: int | None = None
    """To formats that hold one person: which."""
    person_height_metres: float | None = None
    """To trc: the person's height, so that pixels become metres."""

    def __post_init__(self) -> None:
        rate = self.frames_per_second
        if rate is not None and not 0 < rate < float("inf"):
            raise ConfigError(f"frames_per_second must be a positive number, got {rate:g}")
        names = self.class_names
        if names is not None and (not all(names) or len(set(names)) != len(names)):
            raise ConfigError(f"class_names must be different names, got {', '.join(map(repr, names))}")
        if self.size_wh is not None and min(self.size_wh) < 1:
            raise ConfigError(f"size_wh must be two positive numbers, got {self.size_wh[0]} x {self.size_wh[1]}")
        height = self.person_height_metres
        if height is not None and not 0.3 <= height <= 3:
            raise ConfigError(f"person_height_metres must be 0.3 to 3, got {height:g}")
        if self.image_names is not None:
            self._check_image_names(self.image_names)

    def video_of(self, uri: str) -> str:
        """Return the name of the video that `uri` is of."""
        return self.video_id or PurePosixPath(uri.rstrip("/")).name.split(".")[0] or "video"

    def rate_of(self, uri: str, *, told: float | None = None) -> float:
        """Return the frame rate given, otherwise the one that the file `told`. Raises ConfigError if there is none."""
        if self.frames_per_second is not None:
            return self.frames_per_second
        if told is None:
            raise ConfigError(
                f"{uri} does not say how many frames a second it has; give --frames-per-second, such as 30"
            )
        return told

    def size_of(self, uri: str, *, why: str) -> tuple[int, int]:
        """Return the size given. Raises ConfigError, which says `why` it is needed."""
        if self.size_wh is None:
            raise ConfigError(f"{uri}: {why}; give the size of the pictures, such as --size 1920x1080")
        return self.size_wh

    def image_name(self, frame_index: int) -> str:
        """Return the name of a frame's picture."""
        return (self.image_names or DEFAULT_IMAGE_NAMES) % frame_index

    @staticmethod
    def _check_image_names(pattern: str) -> None:
        try:
            different = pattern % 1 != pattern % 2
        except (TypeError, ValueError):
            different = False
        if not different:
            raise ConfigError(f"image_names must have one %d or %06d for the frame, got {pattern!r}")
