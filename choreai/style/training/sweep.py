"""The sweep: many short trainings on Ray Tune, to see the effect of a setting or to find better ones.

Every trial trains the first NUM_MEMBERS folds' networks and is scored on their validation folds; the folds on which
these networks are tested are not looked at. A model trained afterwards with the best settings still looks slightly too
good, since its other folds' test videos took part in the choice.
"""

import dataclasses
import hashlib
import io
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from choreai import __version__
from choreai.catalog.catalog import Video
from choreai.storage import objects
from choreai.style.examples import Examples, read_examples, write_examples
from choreai.style.history import EpochResult
from choreai.style.settings import TrainSettings
from choreai.style.training.dataset import TableSource, read_dataset
from choreai.style.training.fit_state import FitState
from choreai.style.versions import versions
from choreai.visualize.figures import BLUE, DOTS_PER_INCH, GREY, png_metadata

if TYPE_CHECKING:
    import torch
    from ray.tune import Tuner

logger = logging.getLogger(__name__)

SweepKind = Literal["learning-rate", "search"]
LEARNING_RATES = tuple(10.0**exponent for exponent in range(-9, -2))
"""Those of the student report's study."""
NUM_MEMBERS = 2
NUM_SEARCHED = 16


@dataclass(frozen=True)
class Trial:
    """One training's settings and result: means over its networks, each at its best epoch."""

    changes: Mapping[str, float]
    """The settings that differ from the job's."""
    validation_loss: float
    """Infinite where the training diverged."""
    validation_accuracy: float
    train_loss: float
    train_accuracy: float
    num_epochs: int
    """Of all its networks."""


@dataclass(frozen=True)
class SweepResult:
    """All trials, the best first, and where they are stored."""

    kind: SweepKind
    trials: tuple[Trial, ...]
    folder_uri: str
    """Of sweep.json and sweep.png."""
    guessing: float = 0.0
    """The share of all windows that the most frequent style has: the accuracy of guessing."""

    @property
    def beats_guessing(self) -> bool:
        """Whether the best trial is right more often than guessing, by validation."""
        return self.trials[0].validation_accuracy > self.guessing

    def best_toml(self) -> str:
        """Return the best trial's settings as a section of a job file."""
        lines = [f"{name} = {value!r}" for name, value in self.trials[0].changes.items()]
        return "\n".join(["[training]", *lines])


@dataclass(frozen=True)
class SweepTask:
    """The arguments of each trial."""

    examples_uri: str
    settings: TrainSettings
    num_labels: int
    use_gpu: bool


def run_sweep(
    videos: Sequence[Video],
    source: TableSource,
    *,
    kind: SweepKind,
    settings: TrainSettings,
    labels: Sequence[str],
    output_uri: str,
    use_gpu: bool,
) -> SweepResult:
    """Return the trials of "learning-rate" (the student report's study, 1e-9 to 1e-3) or "search" (NUM_SEARCHED random
    settings).

    Ray must be connected; as many trials run at a time as it has CPUs (with `use_gpu`, GPUs). Started again it resumes.
    Raises TableError where the videos cannot be trained on.
    """
    dataset, _ = read_dataset(videos, source, settings=settings, labels=labels)
    # Trials are compared by validation, so there must be some; without patience it stops nothing.
    settings = replace(settings.for_fit(), patience_epochs=settings.patience_epochs or settings.num_epochs)
    fitting = {**dataclasses.asdict(settings), "windows": settings.windows.to_json()}
    decisive = json.dumps([kind, fitting, dataset.examples.digest()], sort_keys=True)
    name = f"sweep-{hashlib.sha256(decisive.encode()).hexdigest()[:12]}"
    training_uri = objects.resolve_uri(objects.join_uri(output_uri, "training"), against=".")
    folder_uri = objects.join_uri(training_uri, name)
    task = SweepTask(objects.join_uri(folder_uri, "examples.parquet"), settings, len(dataset.labels), use_gpu)
    write_examples(task.examples_uri, dataset.examples)
    results = _tuner(task, kind, storage_uri=training_uri, name=name).fit()
    trials = [Trial(**result.metrics["trial"]) for result in results if result.metrics and "trial" in result.metrics]
    if len(trials) < len(results):
        logger.warning("%d of %d trials failed and are left out", len(results) - len(trials), len(results))
    if not trials:
        raise RuntimeError(f"all {len(results)} trials failed: {results.errors[:1]}")
    guessing = float(np.bincount(dataset.examples.label_index).max() / len(dataset.examples.label_index))
    found = SweepResult(kind, tuple(sorted(trials, key=lambda t: t.validation_loss)), folder_uri, guessing)
    about = {"written by": f"choreai {__version__}", "sweep": name, "seed": str(settings.seed)}
    objects.put_object(objects.join_uri(folder_uri, "sweep.json"), _as_json(found, seed=settings.seed))
    objects.put_object(objects.join_uri(folder_uri, "sweep.png"), sweep_png(found, about=about))
    return found


def _tuner(task: SweepTask, kind: SweepKind, *, storage_uri: str, name: str) -> "Tuner":
    # Ray reads this when a sweep starts: its boxes of settings, and advice on TensorBoard, are not ours to print.
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # it would go on with the trials that are done
    from ray import tune
    from ray.tune.search.basic_variant import BasicVariantGenerator

    from choreai.style.training.ray_storage import storage_settings

    trainable = tune.with_resources(tune.with_parameters(_run_trial, task=task), {"gpu" if task.use_gpu else "cpu": 1})
    storage = storage_settings(storage_uri)
    path, file_system = f"{storage['storage_path']}/{name}", storage.get("storage_filesystem")
    if tune.Tuner.can_restore(path, storage_filesystem=file_system):
        return tune.Tuner.restore(path, trainable, storage_filesystem=file_system, resume_errored=True)
    space: dict[str, Any] = {"learning_rate": tune.grid_search(list(LEARNING_RATES))}
    if kind == "search":
        space = {
            "hidden_size": tune.choice([32, 64, 128]),
            "learning_rate": tune.loguniform(3e-4, 1e-2),
            "dropout": tune.uniform(0.0, 0.7),
            "weight_decay": tune.loguniform(1e-4, 1.0),
        }
    return tune.Tuner(
        trainable,
        param_space=space,
        tune_config=tune.TuneConfig(
            num_samples=NUM_SEARCHED if kind == "search" else 1,
            search_alg=BasicVariantGenerator(random_state=task.settings.seed),
        ),
        run_config=tune.RunConfig(name=name, verbose=0, **storage),
    )


def _run_trial(config: dict[str, float], task: SweepTask) -> None:
    """Run one trial under Ray Tune."""
    import torch
    from ray import tune

    torch.set_num_threads(1)
    device = torch.device("cuda" if task.use_gpu else "cpu")
    trial = try_settings(task, config, device=device)
    tune.report({"trial": dataclasses.asdict(trial)})


def try_settings(task: SweepTask, changes: Mapping[str, float], *, device: "torch.device") -> Trial:
    """Return the result of the task's settings with these `changes`."""
    examples = read_examples(task.examples_uri)
    return try_on(examples, task.settings, changes, num_labels=task.num_labels, num_members=NUM_MEMBERS, device=device)


def try_on(
    examples: Examples,
    settings: TrainSettings,
    changes: Mapping[str, float],
    *,
    num_labels: int,
    num_members: int,
    device: "torch.device",
) -> Trial:
    """Return the result of `settings` with these `changes` over the first `num_members` networks."""
    from choreai.style.training.fitting import DivergedError, WorkerShare, fit

    rounded: dict[str, Any] = {name: _round(value) for name, value in changes.items()}  # Any: of several types
    settings = replace(settings, **rounded)
    state = FitState()
    try:
        fit(
            state,
            examples,
            settings,
            num_labels=num_labels,
            num_members=num_members,
            share=WorkerShare(device=device),
            on_epoch=lambda state: None,
        )
    except DivergedError:
        pass
    return _trial({name: getattr(settings, name) for name in changes}, state, num_members=num_members)


def _trial(changes: Mapping[str, float], state: FitState, *, num_members: int) -> Trial:
    best = [min(own, key=_loss) for own in _by_member(state.history)] if len(state.done) == num_members else []

    def mean(name: str, otherwise: float) -> float:
        values = [getattr(result, name) for result in best]
        return float(np.mean(values)) if best and None not in values else otherwise

    return Trial(
        changes=changes,
        validation_loss=mean("validation_loss", math.inf),
        validation_accuracy=mean("validation_accuracy", 0.0),
        train_loss=mean("train_loss", math.inf),
        train_accuracy=mean("train_accuracy", 0.0),
        num_epochs=len(state.history),
    )


def _by_member(history: Sequence[EpochResult]) -> list[list[EpochResult]]:
    return [[r for r in history if r.member == member] for member in sorted({r.member for r in history})]


def _loss(result: EpochResult) -> float:
    return math.inf if result.validation_loss is None else result.validation_loss


def _round(value: float) -> float:
    """Return the value with three digits, so that what is printed is what was tried; whole numbers stay whole."""
    return value if isinstance(value, int) else float(f"{value:.3g}")


def _as_json(result: SweepResult, *, seed: int) -> bytes:
    trials = [
        {name: None if value == math.inf else value for name, value in dataclasses.asdict(trial).items()}
        for trial in result.trials
    ]
    numbers = {"kind": result.kind, "seed": seed, "versions": versions(), "guessing": result.guessing, "trials": trials}
    return json.dumps(numbers, indent=2, allow_nan=False).encode()


def sweep_png(result: SweepResult, *, what_of: str = "windows", about: Mapping[str, str] | None = None) -> bytes:
    """Return a PNG of loss and accuracy: over the learning rate in its study, in a search over the trials from the best
    on. `what_of`: what was classified; `about`: what its metadata say of it."""
    from matplotlib.figure import Figure

    over_rates = result.kind == "learning-rate"
    trials = sorted(result.trials, key=lambda t: t.changes["learning_rate"]) if over_rates else list(result.trials)
    x = [t.changes["learning_rate"] for t in trials] if over_rates else list(range(1, len(trials) + 1))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for part, name, color in (("train", "training", GREY), ("validation", "validation", BLUE)):
            axes.plot(x, [getattr(t, f"{part}_{what}") for t in trials], marker="o", color=color, label=name)
        axes.set_xscale("log" if over_rates else "linear")
        axes.set(xlabel="learning rate" if over_rates else "trial", ylabel=f"{what} of {what_of}")
        most = max((value for line in axes.lines for value in line.get_ydata() if math.isfinite(value)), default=1.0)
        axes.set_ylim(0, 1.02 if what == "accuracy" else 1.08 * most)
        axes.grid(alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper right", ncols=2, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DOTS_PER_INCH, metadata=png_metadata(about or {}))
    return buffer.getvalue()
