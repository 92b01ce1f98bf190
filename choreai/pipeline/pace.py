"""How fast work goes and how long it will take: from the last minute, so that a slow start is soon forgotten."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW_SECONDS = 60.0
SETTLED_SECONDS = 5.0
"""A rate over less than this is not told: it jumps."""
_SAMPLE_SECONDS = 1.0
"""Samples that lie closer together replace each other."""


@dataclass
class Pace:
    """The rate at which a total grows, over the last WINDOW_SECONDS."""

    clock: Callable[[], float] = time.monotonic
    _samples: "deque[tuple[float, float]]" = field(default_factory=deque)
    """(time, total), the oldest first."""

    def note(self, total: float) -> None:
        """Note what is done by now. The first note starts the clock: what came before it does not count."""
        now = self.clock()
        if len(self._samples) > 1 and now - self._samples[-2][0] < _SAMPLE_SECONDS:
            self._samples.pop()
        self._samples.append((now, total))
        while len(self._samples) > 2 and self._samples[1][0] <= now - WINDOW_SECONDS:
            self._samples.popleft()

    @property
    def rate(self) -> float | None:
        """Return the growth a second; None while it is not settled, or where nothing grows."""
        if len(self._samples) < 2:
            return None
        (began, before), (_, now) = self._samples[0], self._samples[-1]
        seconds = self.clock() - began
        return (now - before) / seconds if seconds >= SETTLED_SECONDS and now > before else None


def in_words(seconds: float) -> str:
    """Return a duration as one would say it: "40 s", "12 min", "3.5 h"."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
