"""What is to be danced: styles in turn, for how long, to which beats. Checked before anything heavy is loaded."""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array
from choreai.errors import ConfigError

FRAMES_PER_SECOND = 15
"""Of every movement that is learned or generated."""
NUM_STEPS = 30
"""Steps in which noise is taken out."""
GUIDANCE = 2.0
"""3 exaggerates: faster and wider than anybody danced."""
MIN_SECONDS, MAX_SECONDS = 1.0, 600.0
MAX_COUNT = 1000
BEATS_PER_MINUTE = (40.0, 240.0)


@dataclass(frozen=True)
class Plan:
    """What is to be danced."""

    styles: tuple[str, ...]
    """One after the other, each for an equal part of the time."""
    seconds: float
    beats: tuple[float, ...]
    """The music's beats in seconds, increasing; two or more."""
    count: int = 1
    """Dances."""
    seed: int = 0
    """The same plan, seed and generator give the same dances on the same machine."""
    height: float = 1.70
    """Metres."""
    guidance: float = GUIDANCE
    num_steps: int = NUM_STEPS

    def __post_init__(self) -> None:
        if not MIN_SECONDS <= self.seconds <= MAX_SECONDS:
            raise ConfigError(f"seconds must be {MIN_SECONDS:g} to {MAX_SECONDS:g}, got {self.seconds:g}")
        if not 1 <= self.count <= MAX_COUNT:
            raise ConfigError(f"count must be 1 to {MAX_COUNT}, got {self.count}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, got {self.seed}")
        if not self.styles:
            raise ConfigError("name a style to dance")
        if len(self.beats) < 2 or np.any(np.diff(self.beats) <= 0):
            raise ConfigError(f"a dance needs two beats or more, one after the other, got {len(self.beats)}")
        if not 0.5 <= self.height <= 2.5:
            raise ConfigError(f"height must be 0.5 to 2.5 metres, got {self.height:g}")

    @property
    def num_frames(self) -> int:
        return round(self.seconds * FRAMES_PER_SECOND)

    def beat_of_frame(self) -> Float64Array:
        """Return the time in beats (F,) of each frame; before the first and after the last beat the tempo stays."""
        times, beats = np.arange(self.num_frames) / FRAMES_PER_SECOND, np.array(self.beats)
        inside = np.interp(times, beats, np.arange(len(beats)))
        early = (times - beats[0]) / (beats[1] - beats[0])
        late = len(beats) - 1 + (times - beats[-1]) / (beats[-1] - beats[-2])
        return np.where(times < beats[0], early, np.where(times > beats[-1], late, inside))

    def style_of_frame(self) -> list[str]:
        """Return each frame's style; one gives way to the next at the beat nearest to an equal share of the time."""
        times = np.arange(self.num_frames) / FRAMES_PER_SECOND
        shares = [self.seconds * part / len(self.styles) for part in range(1, len(self.styles))]
        beats = np.array(self.beats)
        changes = [float(beats[np.argmin(np.abs(beats - at))]) for at in shares]
        return [self.styles[number] for number in np.searchsorted(changes, times, side="right")]


def steady_beats(beats_per_minute: float, seconds: float) -> tuple[float, ...]:
    """Return the beats of a metronome. Raises ConfigError for a tempo nobody dances to."""
    if not BEATS_PER_MINUTE[0] <= beats_per_minute <= BEATS_PER_MINUTE[1]:
        raise ConfigError(f"the tempo must be 40 to 240 beats a minute, got {beats_per_minute:g}")
    spacing = 60 / beats_per_minute
    return tuple(float(beat) for beat in np.arange(0, max(seconds, 2 * spacing) + spacing / 2, spacing))
