"""A time bar under the picture: who shows which style when, and where the video is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from choreai.arrays import ImageArray
from choreai.visualize.draw import Color, draw_label, track_color

_GROUND = 24
_WHITE: Color = (255, 255, 255)
_MIN_WIDTH_PER_TEXT = 2
"""A bar narrower than this many text heights has no text."""


@dataclass(frozen=True)
class Bar:
    """[start_seconds, stop_seconds) of one track with its text."""

    start_seconds: float
    stop_seconds: float
    track_id: int
    text: str
    color: Color


class Timeline:
    """The bars of one video, one row for each track, drawn once."""

    def __init__(self, bars: Sequence[Bar], *, width: int, text_height: int, duration_seconds: float) -> None:
        if width < 1 or not duration_seconds > 0:
            raise ValueError(f"a timeline needs width and duration, got {width} and {duration_seconds} s")
        self._width, self._duration = width, duration_seconds
        tracks = sorted({bar.track_id for bar in bars})
        row = round(1.9 * text_height)
        self._strip = np.full((row * len(tracks) + 2, width, 3), _GROUND, np.uint8)
        for bar in bars:
            self._draw(bar, top=2 + row * tracks.index(bar.track_id), height=row - 2, text_height=text_height)

    def under(self, image: ImageArray, *, seconds: float) -> ImageArray:
        """Return a new image: (H, width, 3) `image` with the timeline under it, a white line at `seconds`."""
        joined = np.vstack([image, self._strip])
        x = self._x(seconds)
        thickness = max(2, self._width // 320)
        joined[image.shape[0] :, max(0, x - thickness // 2) : x + (thickness + 1) // 2] = _WHITE
        return joined

    def _x(self, seconds: float) -> int:
        return int(np.clip(round(seconds / self._duration * self._width), 0, self._width - 1))

    def _draw(self, bar: Bar, *, top: int, height: int, text_height: int) -> None:
        left, right = self._x(bar.start_seconds), self._x(bar.stop_seconds)
        region = self._strip[top : top + height, left : max(left + 1, right - 1)]
        region[:] = bar.color
        marker = max(3, text_height // 3)
        region[:, :marker] = track_color(bar.track_id)  # the colour of the skeleton it belongs to
        room = region[:, marker:].copy()
        if room.shape[1] >= _MIN_WIDTH_PER_TEXT * text_height:
            draw_label(room, bar.text, text_height=text_height)
            region[:, marker:] = room
