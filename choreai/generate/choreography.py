"""Dances of any length from a generator: windows that share a second, styles that change at a beat, feet that stand."""

from collections.abc import Sequence

import numpy as np
import torch

from choreai.arrays import Float64Array, FloatArray
from choreai.errors import ConfigError
from choreai.generate.dances import KNOWN_FRAMES, beat_features
from choreai.generate.diffusion import Condition, sample
from choreai.generate.feet import lock_feet
from choreai.generate.model import Generator
from choreai.generate.plan import FRAMES_PER_SECOND, Plan
from choreai.generate.representation import NUM_FEATURES, Proportions, decode


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
