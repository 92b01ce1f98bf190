"""The beats of the music that was heard with a dance, as the movement is held against them."""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array


@dataclass(frozen=True, eq=False)
class HeardBeats:
    """The seconds of N beats since the first picture, in order."""

    seconds: Float64Array  # (N,)

    def __post_init__(self) -> None:
        if self.seconds.ndim != 1 or (np.diff(self.seconds) <= 0).any():
            raise ValueError("seconds must be (N,) and increase")

    def __len__(self) -> int:
        return len(self.seconds)

    def counted_at(self, seconds: Float64Array) -> Float64Array:
        """Return at each of (T,) times the number of beats since the first, with fractions.

        NaN before the first beat, after the last, and in gaps of more than two.
        """
        count = np.interp(seconds, self.seconds, np.arange(len(self.seconds)), left=np.nan, right=np.nan)
        usual = np.median(np.diff(self.seconds))
        place = np.clip(np.searchsorted(self.seconds, seconds, "right") - 1, 0, len(self.seconds) - 2)
        gaps = np.diff(self.seconds)[place]
        return np.where(gaps > 2 * usual, np.nan, count)
