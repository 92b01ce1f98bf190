"""A generator's training on Ray Train: any number of workers, checkpoints in storage, resumed after a lost worker."""

import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from choreai.errors import ConfigError, ObjectMissingError
from choreai.generate.dances import Dance, Windows
from choreai.generate.fitting import FitSettings, FitState, Share, fit, fitted
from choreai.generate.model import Generator, GeneratorConfig
from choreai.storage import objects
from choreai.style.training.distributed import MAX_FAILURES, TrainResources, scaling, trainer_class, worker_queue
from choreai.style.training.ray_storage import storage_settings

if TYPE_CHECKING:
    from ray.util.queue import Queue

CHECKPOINT_NAME = "state.safetensors"
DANCES_NAME = "dances.npz"
CHECKPOINT_EVERY = 250
"""Steps: a minute or two on a processor."""
PROGRESS_EVERY = 10


@dataclass(frozen=True)
class _WorkerTask:
    """The arguments of each worker."""

    dances_uri: str
    config: GeneratorConfig
    settings: FitSettings
    num_threads: int
    steps: "Queue"
    """For (step, loss)."""


def fit_generator_on_ray(
    dances: Sequence[Dance],
    config: GeneratorConfig,
    settings: FitSettings,
    *,
    folder_uri: str,
    resources: TrainResources,
    on_progress: Callable[[int, float], None] = lambda step, loss: None,
) -> Generator:
    """Return the generator fitted to the dances; the run's dances and checkpoints are under `folder_uri`, and the same
    training started again goes on from there.

    `on_progress` is told step and loss every PROGRESS_EVERY steps. Raises ConfigError if the loss does not stay finite,
    `ray.train.TrainingFailedError` if more than MAX_FAILURES workers are lost.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig

    folder_uri = objects.resolve_uri(folder_uri, against=".")
    data = dances_to_bytes(dances)
    name = _training_id(data, config, settings, resources.num_workers)
    dances_uri = objects.join_uri(folder_uri, name, DANCES_NAME)
    objects.put_object(dances_uri, data)
    windows = Windows(dances, labels=config.labels, num_frames=config.num_frames)
    result_uri = objects.join_uri(folder_uri, name, CHECKPOINT_NAME)
    with suppress(ObjectMissingError):
        return _generator(objects.read_object(result_uri), config, settings, windows)
    with worker_queue(lambda done: on_progress(*done)) as steps:
        task = _WorkerTask(dances_uri, config, settings, resources.num_cpus_per_worker, steps)
        trainer = trainer_class()(
            _train_worker,
            train_loop_config={"task": task},
            scaling_config=scaling(resources),
            run_config=RunConfig(
                name=name,
                **storage_settings(folder_uri),
                failure_config=FailureConfig(max_failures=MAX_FAILURES),
                checkpoint_config=CheckpointConfig(num_to_keep=1),
            ),
        )
        result = trainer.fit()
    if result.checkpoint is None or not np.isfinite((result.metrics or {}).get("loss", np.nan)):
        raise ConfigError(
            f"training diverged: the loss was no longer a finite number; lower the learning rate (now "
            f"{settings.learning_rate:g})"
        )
    with result.checkpoint.as_directory() as folder:
        state = Path(folder, CHECKPOINT_NAME).read_bytes()
    objects.put_object(result_uri, state)
    return _generator(state, config, settings, windows)


def _generator(state: bytes, config: GeneratorConfig, settings: FitSettings, windows: Windows) -> Generator:
    done = FitState(config, settings, Share()).load(state, step=settings.num_steps)
    return fitted(done, replace(config, trained_on={**config.trained_on, **asdict(settings)}), windows)


def _train_worker(config: dict[str, _WorkerTask]) -> None:
    """Run one worker under Ray Train: every worker reports equally often."""
    import ray.train
    from ray.train.torch import prepare_model

    task, context = config["task"], ray.train.get_context()
    torch.set_num_threads(task.num_threads)
    share = Share(
        context.get_world_rank(),
        context.get_world_size(),
        lambda network: prepare_model(network, move_to_device=False) if context.get_world_size() > 1 else network,
    )
    dances = dances_from_bytes(objects.read_object(task.dances_uri))
    windows = Windows(dances, labels=task.config.labels, num_frames=task.config.num_frames)
    state = FitState(task.config, task.settings, share)
    if (checkpoint := ray.train.get_checkpoint()) is not None:
        with checkpoint.as_directory() as folder:
            data = Path(folder, CHECKPOINT_NAME).read_bytes()
        state.load(data, step=_step_of(data))

    def on_step(state: FitState, loss: float) -> None:
        if share.rank == 0 and (state.step % PROGRESS_EVERY == 0 or state.step == task.settings.num_steps):
            task.steps.put((state.step, loss))
        if state.step % CHECKPOINT_EVERY == 0 or state.step == task.settings.num_steps:
            _report(state, loss, is_first=share.rank == 0)

    # All workers see the same network. Raising would make Ray Train start them again, to the same end.
    with suppress(FloatingPointError):
        fit(state, windows, task.settings, share=share, on_step=on_step)


def _step_of(data: bytes) -> int:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return int(header["__metadata__"]["step"])


def _report(state: FitState, loss: float, *, is_first: bool) -> None:
    """Report to Ray Train, which is a barrier for all workers; the first one adds a checkpoint."""
    import ray.train

    metrics = {"step": state.step, "loss": loss}
    if not is_first:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, CHECKPOINT_NAME).write_bytes(state.to_bytes())
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def dances_to_bytes(dances: Sequence[Dance]) -> bytes:
    """Return dances as one .npz object, without pickles."""
    arrays = {"styles": np.array([d.style for d in dances]), "persons": np.array([d.person for d in dances])}
    for number, dance in enumerate(dances):
        arrays[f"features_{number}"] = dance.features
        if dance.beat is not None:
            arrays[f"beat_{number}"] = dance.beat
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def dances_from_bytes(data: bytes) -> list[Dance]:
    """Return the dances that `dances_to_bytes` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
        names = zip(arrays["styles"], arrays["persons"], strict=True)
        return [
            Dance(str(style), str(person), arrays[f"features_{n}"], arrays.get(f"beat_{n}"))
            for n, (style, person) in enumerate(names)
        ]


def _training_id(data: bytes, config: GeneratorConfig, settings: FitSettings, num_workers: int) -> str:
    """Return a hash of everything that affects the result."""
    decisive = [asdict(config), asdict(settings), num_workers, hashlib.sha256(data).hexdigest()]
    return "generator-" + hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]
