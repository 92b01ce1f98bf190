"""train-generator: a generator of dances, and the figures of what it makes."""

import argparse
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

from choreai.cli.console import print_json, print_table
from choreai.cli.generate_plan import check_training
from choreai.cluster.session import connect
from choreai.demo.dancers import STYLES
from choreai.errors import StorageError
from choreai.generate.dances import Dance, generated_dances
from choreai.generate.distributed import fit_generator_on_ray
from choreai.generate.fitting import FitSettings
from choreai.generate.judging import LEAST_NOVELTY, Figures
from choreai.generate.model import Generator, GeneratorConfig
from choreai.generate.yardstick import FIRST_SEED, judge_generator
from choreai.pipeline.progress import progress
from choreai.storage.files import write_atomically
from choreai.style.training.distributed import TrainResources

logger = logging.getLogger(__name__)
SHOWN = (
    ("style seen by measures", "style_by_measures", "real_style_by_measures"),
    ("style seen by a network", "style_by_network", "real_style_by_network"),
    ("Fréchet distance, kinetic", "frechet_kinetic", "real_frechet_kinetic"),
    ("Fréchet distance, geometric", "frechet_geometric", "real_frechet_geometric"),
    ("diversity, real = 1", "diversity", ""),
    ("sliding feet, m/s", "slide", "real_slide"),
    ("obeys the beat", "on_beat", "real_on_beat"),
    (f"novelty, below {LEAST_NOVELTY} a copy", "novelty", ""),
)
"""What is printed, the figure of the new dances, and that of real ones."""


def run(arguments: argparse.Namespace) -> int:
    """Train, measure, write the generator, and return the exit code: 1 if it copies."""
    check_training(arguments)
    settings = FitSettings(num_steps=arguments.steps, seed=arguments.seed)
    generator = _train(settings, arguments)
    logger.info("measuring what it makes: some minutes")
    figures = judge_generator(generator, num_learned=arguments.dancers)
    generator = _with_figures(generator, figures)
    _write(Path(arguments.to), generator)
    if arguments.json:
        print_json({"generator": arguments.to, "copies": figures.copies, "figures": figures.to_json()})
    else:
        _print(figures, arguments.to)
    if figures.copies:
        logger.error(
            "it repeats dances that it learned from; `choreai generate` will refuse it; train it on more dancers"
        )
    return int(figures.copies)


def _train(settings: FitSettings, arguments: argparse.Namespace) -> Generator:
    origin = {"source": "choreai's own generated dancers", "dancers": arguments.dancers, "first_seed": FIRST_SEED}
    config = GeneratorConfig(tuple(sorted(STYLES)), trained_on=origin)
    with progress("making dancers", arguments.dancers) as steps:
        dances: list[Dance] = []
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.dancers):
            dances += generated_dances([seed])
            steps.advance()
    connect()
    with progress("training", settings.num_steps) as steps:
        done = 0

        def on_progress(step: int, loss: float) -> None:
            nonlocal done
            steps.advance(step - done)
            done = step

        return fit_generator_on_ray(
            dances, config, settings, folder_uri=arguments.work,
            resources=TrainResources(num_workers=arguments.workers), on_progress=on_progress,
        )  # fmt: skip


def _with_figures(generator: Generator, figures: Figures) -> Generator:
    known: dict[str, Any] = {**generator.config.trained_on, "figures": figures.to_json(), "copies": figures.copies}
    return replace(generator, config=replace(generator.config, trained_on=known))


def _write(path: Path, generator: Generator) -> None:
    try:
        with write_atomically(path) as temporary:
            temporary.write_bytes(generator.to_bytes())
    except OSError as exc:
        raise StorageError(str(path), f"the generator cannot be written ({exc})") from exc


def _print(figures: Figures, path: str) -> None:
    values = figures.to_json()
    rows = [(what, f"{values[new]:.2f}", f"{values[real]:.2f}" if real else "") for what, new, real in SHOWN]
    print_table("new dances beside real ones", rows, header=("measure", "new", "real"))
    print(f"generator: {path}")
