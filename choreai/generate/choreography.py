"""Dances of any length from a generator: windows that share a second, styles that change at a beat, feet that stand."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from choreai.arrays import Float64Array, FloatArray
from choreai.errors import ConfigError
from choreai.generate.dances import KNOWN_FRAMES, beat_features
from choreai.generate.diffusion import GUIDANCE, NUM_STEPS, Condition, sample
from choreai.generate.feet import lock_feet
from choreai.generate.model import Generator
from choreai.generate.representation import FRAMES_PER_SECOND, NUM_FEATURES, Proportions, decode

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


def generate_dances(
    generator: Generator,
    plan: Plan,
    *,
    start_features: FloatArray | None = None,
    end_features: FloatArray | None = None,
    locks_feet: bool = True,
) -> Float64Array:
    """Return the joints (count, F, 17, 3) of new dances: COCO-17, world metres as in `choreai.generate.representation`.

    `start_features` and `end_features` (K, NUM_FEATURES), at most a second each, are how the dances begin and end.
    Raises ConfigError for a style that the generator does not know.
    """
    features = generate_features(generator, plan, start_features=start_features, end_features=end_features)
    dances = [decode(each, height=plan.height) for each in features]
    if locks_feet:
        standing = Proportions().ankle * plan.height
        dances = [lock_feet(joints, standing_height=standing, frames_per_second=FRAMES_PER_SECOND) for joints in dances]
    return np.stack(dances)


def generate_features(
    generator: Generator,
    plan: Plan,
    *,
    start_features: FloatArray | None = None,
    end_features: FloatArray | None = None,
) -> FloatArray:
    """Return the features (count, F, NUM_FEATURES) of new dances; as `generate_dances`, before the body is posed."""
    labels = generator.config.labels
    if unknown := sorted(set(plan.styles) - set(labels)):
        raise ConfigError(f"this generator does not know {', '.join(unknown)}; it dances {', '.join(labels)}")
    length, shared = generator.config.num_frames, KNOWN_FRAMES
    num_windows = 1 + max(0, -(-(plan.num_frames - length) // (length - shared)))
    total = length + (num_windows - 1) * (length - shared)
    style, beat = _by_frame(plan, labels, total)
    random = torch.Generator().manual_seed(plan.seed)
    made = torch.zeros(plan.count, total, NUM_FEATURES)
    is_made = torch.zeros(total, dtype=torch.bool)
    for frames, part in ((start_features, slice(0, None)), (end_features, slice(None, plan.num_frames))):
        if frames is not None:
            _give(
                made[:, part],
                is_made[part],
                generator.normalise(torch.from_numpy(frames)),
                at_end=part.stop is not None,
            )
    for number in range(num_windows):
        part = slice(number * (length - shared), number * (length - shared) + length)
        condition = Condition(
            style[part].expand(plan.count, -1), beat[part].expand(plan.count, -1, -1), made[:, part],
            is_made[part].expand(plan.count, -1),
        )  # fmt: skip
        made[:, part] = sample(
            generator.network, condition, generator=random, num_steps=plan.num_steps, guidance=plan.guidance
        )
        is_made[part] = True
    features: FloatArray = generator.scale(made[:, : plan.num_frames]).numpy()
    return features


def _by_frame(plan: Plan, labels: Sequence[str], total: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return style (total,) and beat (total, BEAT_FEATURES), going on as they end where windows reach further."""
    numbers = [labels.index(style) for style in plan.style_of_frame()]
    numbers += [numbers[-1]] * (total - len(numbers))
    beat = plan.beat_of_frame()
    step = (plan.beats[-1] - plan.beats[-2]) * FRAMES_PER_SECOND
    beat = np.concatenate([beat, beat[-1] + np.arange(1, total - len(beat) + 1) / step])[:total]
    return torch.tensor(numbers[:total]), torch.from_numpy(beat_features(beat, total))


def _give(made: torch.Tensor, is_made: torch.Tensor, frames: torch.Tensor, *, at_end: bool) -> None:
    if len(frames) > KNOWN_FRAMES:
        raise ConfigError(f"a given beginning or end has at most {KNOWN_FRAMES} frames, got {len(frames)}")
    place = slice(made.shape[1] - len(frames), None) if at_end else slice(0, len(frames))
    made[:, place] = frames
    is_made[place] = True
