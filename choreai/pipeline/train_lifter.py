"""Training a lifter from end to end: movement gathered, network fitted, weights written and judged."""

import logging
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from choreai.errors import ConfigError
from choreai.lift.evaluation import LiftErrors, judge, split_motions
from choreai.lift.motions import Motion, generated_dancers, read_mocap, training_bank
from choreai.lift.training import LifterSettings, fit_lifter
from choreai.lift.weights import Lifter, load_lifter, save_lifter
from choreai.pipeline.progress import progress

logger = logging.getLogger(__name__)

FIRST_HELD_OUT_SEED = 2_000_000
"""Generated dancers from here on judge a lifter, and are never trained on."""


@dataclass(frozen=True, eq=False)
class TrainedLifter:
    """What became of a training."""

    lifter: Lifter
    num_sequences: int
    errors: dict[str, LiftErrors]
    """By label, on dancers and subjects held out."""


def train_lifter(
    target: Path, settings: LifterSettings, *, mocap: Path | None = None, held_out: Collection[str] = ()
) -> TrainedLifter:
    """Train a lifter, write its weights to `target`, and judge them as written.

    `held_out` names subjects or labels of the motion capture to judge by. Raises ConfigError for a name that is not
    there, or where nothing is left to train on.
    """
    captured = read_mocap(mocap) if mocap else []
    trained, judged = split_motions(captured, held_out)
    _check_held_out(captured, held_out, trained)
    rng = np.random.default_rng(settings.seed)
    logger.info("gathering movement: %d dancers, %d random bodies, %d recordings", settings.num_dancers,
                settings.num_random, len(trained))  # fmt: skip
    bank = training_bank(
        rng,
        num_dancers=settings.num_dancers,
        num_random=settings.num_random,
        mocap=trained,
        num_frames=settings.num_frames,
    )
    with progress("training", settings.num_steps) as steps:
        network = fit_lifter(bank, settings, on_step=lambda step, error: steps.advance())
    save_lifter(network, target, _about(settings, trained))
    lifter = load_lifter(target)
    dancers = list(generated_dancers(settings.num_judged, first_seed=FIRST_HELD_OUT_SEED, seconds=4.0))
    return TrainedLifter(lifter, len(bank), judge(lifter.network, [*dancers, *judged]))


def _check_held_out(captured: list[Motion], held_out: Collection[str], trained: list[Motion]) -> None:
    names = {name for motion in captured for name in (motion.group, motion.label)}
    if unknown := sorted(set(held_out) - names):
        known = ", ".join(sorted(names)) or "none, as there is no --mocap"
        raise ConfigError(f"--held-out {unknown[0]}: no subject or label of this name; there are {known}")
    if captured and not trained:
        raise ConfigError("--held-out leaves no motion capture to train on; name fewer, or leave out --mocap")


def _about(settings: LifterSettings, trained: list[Motion]) -> dict[str, str]:
    """Return how the weights were made, for their metadata."""
    data = f"{settings.num_dancers} generated dancers in every style, {settings.num_random} random movements"
    if trained:
        data += f", {len(trained)} recordings of motion capture of {len({each.group for each in trained})} subjects"
    return {
        "made_by": f"choreai train-lifter --seed {settings.seed} --num-steps {settings.num_steps}",
        "data": data,
        "licence": "as the motion capture's terms have it" if trained else "Apache-2.0",
    }
