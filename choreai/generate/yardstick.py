"""A generator of the demo's styles, judged by what it makes, beside made-up people that nobody has learned from."""

from dataclasses import dataclass

from choreai.generate.choreography import generate_dances
from choreai.generate.dances import Dance, generated_dances
from choreai.generate.judging import HEIGHT, Figures, judge, measure
from choreai.generate.model import Generator
from choreai.generate.plan import Plan, steady_beats
from choreai.generate.representation import encode

FIRST_SEED = 100_000
"""People to learn from; far from the seeds of `choreai demo`."""
JUDGES_SEED, REAL_SEED = 200_000, 300_000
TEMPOS = (90.0, 98.0, 106.0, 114.0)


@dataclass(frozen=True)
class Sizes:
    """How many people and dances a judgement takes."""

    judges: int = 120
    real: int = 40
    dances_each: int = 3
    """New dances of each style and tempo."""
    seconds: float = 20.0


def judge_generator(generator: Generator, *, num_learned: int, sizes: Sizes | None = None, seed: int = 1) -> Figures:
    """Return the figures of a generator that learned from the first `num_learned` made-up people."""
    sizes = sizes or Sizes()
    labels = generator.config.labels
    new = [dance for style in labels for tempo in TEMPOS for dance in _new_dances(generator, style, tempo, sizes, seed)]
    groups = ((FIRST_SEED, num_learned), (JUDGES_SEED, sizes.judges), (REAL_SEED, sizes.real))
    learned, judges, real = (
        measure(list(generated_dances(range(first, first + num), styles=labels, seconds=sizes.seconds)), labels)
        for first, num in groups
    )
    return judge(measure(new, labels), learned=learned, judges=judges, real=real, num_labels=len(labels), seed=seed)


def _new_dances(generator: Generator, style: str, tempo: float, sizes: Sizes, seed: int) -> list[Dance]:
    beats = steady_beats(tempo, sizes.seconds)
    number = generator.config.labels.index(style) * len(TEMPOS) + TEMPOS.index(tempo)
    plan = Plan((style,), sizes.seconds, beats, count=sizes.dances_each, seed=seed * 1000 + number, height=HEIGHT)
    made = generate_dances(generator, plan)
    return [Dance(style, "nobody", encode(joints, height=HEIGHT), plan.beat_of_frame()) for joints in made]
