"""The student report's experiment: sequences of raw keypoints, its own split, its LSTM, its study of the learning rate.

It is kept apart from the training of models: its split is given and not made by dancers, and its network reads pixels
as they are, so that it knows the camera too. Arrays in, numbers out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from choreai.arrays import BoolArray, FloatArray, IntArray
from choreai.motion.kinematics import FEATURES
from choreai.motion.windows import NUM_FEATURES
from choreai.style.evaluation.calibrate import share_interval
from choreai.style.evaluation.scorecard import f1_scores
from choreai.style.examples import Examples, Inputs
from choreai.style.model import log_scores_of
from choreai.style.networks import build_network
from choreai.style.settings import TrainSettings, seed_settings
from choreai.style.training.fit_state import FitState
from choreai.style.training.fitting import WorkerShare, fit
from choreai.style.training.sweep import LEARNING_RATES, Trial, try_on

BATCH_SIZE = 512
NUM_STEPS = 331
"""Both are the report's: its training of 849 sequences took 331 optimizer steps, 127.9 s on its machine."""
HELD_OUT_SHARE = 0.2
"""Of the training sequences, for the study: the test sequences have no part in the choice."""
_TEST, _HELD_OUT, _TRAIN = range(3)
"""Folds: the network that is tested on the first is validated on the next, where there are three."""


@dataclass(frozen=True, eq=False)
class Sequences:
    """N sequences of T samples and their labels."""

    samples: FloatArray
    """(N, T, 51): x, y in pixels and score of each keypoint."""
    label_index: IntArray
    """(N,)."""

    def __post_init__(self) -> None:
        if self.samples.ndim != 3 or self.samples.shape[2] != NUM_FEATURES:
            raise ValueError(f"samples must be (N, T, {NUM_FEATURES}), got {self.samples.shape}")
        if self.label_index.shape != (len(self.samples),):
            raise ValueError(f"there must be {len(self.samples)} labels, got {self.label_index.shape}")

    def __len__(self) -> int:
        return len(self.samples)


@dataclass(frozen=True)
class Experiment:
    """What came of it; the content of experiment.json."""

    labels: tuple[str, ...]
    num_train: int
    num_test: int
    num_steps: int
    """Of a sequence."""
    learning_rate: float
    """By the lowest loss on held-out training sequences, unless one was given."""
    num_epochs: int
    train_accuracy: float
    """Of the last epoch."""
    accuracy: float
    """Of the test sequences."""
    accuracy_low: float
    """Of the 95 % interval that counts each sequence as independent of the others."""
    accuracy_high: float
    macro_f1: float
    guessing: float
    """The accuracy of always naming the most frequent label."""
    confusion: tuple[tuple[int, ...], ...]
    """Rows: labels, columns: answers."""
    trials: tuple[Trial, ...]
    """Of the study, by rising learning rate; none where a rate was given."""


def report_settings(settings: TrainSettings, *, num_train: int, num_epochs: int | None = None) -> TrainSettings:
    """Return the report's training of so many sequences, with the seed of `settings`; `num_epochs` None: NUM_STEPS
    steps."""
    base = seed_settings(settings)
    steps_per_epoch = -(-num_train // BATCH_SIZE)
    epochs = num_epochs or -(-NUM_STEPS // steps_per_epoch)
    stairs = max(1, round(base.decay_epochs * epochs / base.num_epochs))
    return replace(base, batch_size=BATCH_SIZE, num_epochs=epochs, decay_epochs=stairs)


def run_experiment(
    train: Sequences,
    test: Sequences,
    *,
    labels: Sequence[str],
    settings: TrainSettings,
    learning_rate: float | None = None,
    device: torch.device,
    on_training: Callable[[], object] = lambda: None,
) -> Experiment:
    """Return the report's experiment with its `report_settings`.

    `learning_rate` None: it is studied first, on the training sequences alone. `on_training` is called after each
    network. Raises DivergedError where the loss of the last one does not stay finite.
    """
    trials: list[Trial] = []
    for rate in () if learning_rate is not None else LEARNING_RATES:
        trials.append(_try(train, test, rate, settings=settings, num_labels=len(labels), device=device))
        on_training()
    best = learning_rate or float(min(trials, key=lambda trial: trial.validation_loss).changes["learning_rate"])
    chosen = replace(settings, learning_rate=best)
    state = FitState()
    fit(
        state,
        _examples_of(train, test),
        chosen,
        num_labels=len(labels),
        num_members=1,
        share=WorkerShare(device=device),
        on_epoch=lambda _: None,
    )
    on_training()
    network = build_network("report", num_labels=len(labels), hidden_size=settings.hidden_size, dropout=0.0)
    network.load_state_dict(state.done[0])
    answers = log_scores_of([network.to(device)], _inputs_of(test.samples), num_labels=len(labels)).argmax(axis=1)
    confusion = np.zeros((len(labels), len(labels)), np.int64)
    np.add.at(confusion, (test.label_index, answers), 1)
    low, high = share_interval(int(confusion.trace()), len(test))
    return Experiment(
        labels=tuple(labels),
        num_train=len(train),
        num_test=len(test),
        num_steps=train.samples.shape[1],
        learning_rate=best,
        num_epochs=settings.num_epochs,
        train_accuracy=state.history[-1].train_accuracy,
        accuracy=float(confusion.trace() / len(test)),
        accuracy_low=low,
        accuracy_high=high,
        macro_f1=float(f1_scores(confusion.astype(np.float64)).mean()),
        guessing=float((test.label_index == np.bincount(train.label_index).argmax()).mean()),
        confusion=tuple(tuple(map(int, row)) for row in confusion),
        trials=tuple(trials),
    )


def _try(
    train: Sequences,
    test: Sequences,
    learning_rate: float,
    *,
    settings: TrainSettings,
    num_labels: int,
    device: torch.device,
) -> Trial:
    """Return what a learning rate comes to on a part of the training sequences that is held out."""
    held_out = np.random.default_rng(settings.seed).random(len(train)) < HELD_OUT_SHARE
    return try_on(
        _examples_of(train, test, held_out=held_out),
        replace(settings, patience_epochs=settings.num_epochs),
        {"learning_rate": learning_rate},
        num_labels=num_labels,
        num_members=1,
        device=device,
    )


def _examples_of(train: Sequences, test: Sequences, *, held_out: BoolArray | None = None) -> Examples:
    """Return all sequences, each a video of its own, with the test sequences as the first fold."""
    own = np.full(len(train), _HELD_OUT) if held_out is None else np.where(held_out, _HELD_OUT, _TRAIN)
    names = tuple(f"{place:06d}" for place in range(len(test) + len(train)))
    return Examples(
        inputs=_inputs_of(np.concatenate([test.samples, train.samples])),
        label_index=np.concatenate([test.label_index, train.label_index]),
        video_index=np.arange(len(names)),
        fold=np.concatenate([np.full(len(test), _TEST), own]),
        video_ids=names,
        groups=names,
    )


def _inputs_of(samples: FloatArray) -> Inputs:
    """Return what the report's network reads; it knows nothing of space and of kinematics."""
    return Inputs(samples, np.zeros_like(samples), np.full((len(samples), len(FEATURES)), np.nan, np.float32))
