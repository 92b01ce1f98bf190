"""The training loop on Ray Train: any number of workers, checkpoints in storage, resumed after a lost worker.

The run's folder is named after what is trained, so the same training started again goes on from its last
checkpoint, or ends at once if it was done. Ray carries only settings and progress; workers read the examples.
"""

import dataclasses
import hashlib
import json
import queue
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import torch

from choreai.errors import ConfigError
from choreai.store import objects
from choreai.style.examples import Examples, read_examples, write_examples
from choreai.style.fitting import (
    DivergedError,
    EpochResult,
    FitState,
    Share,
    dump_state,
    fit,
    restore_state,
    start_state,
)
from choreai.style.model import StyleModelConfig
from choreai.style.settings import TrainSettings

if TYPE_CHECKING:
    from ray.train import Checkpoint
    from ray.util.queue import Queue

MAX_FAILURES = 3
"""Lost workers that a run survives."""
CHECKPOINT_NAME = "state.pt"
EXAMPLES_NAME = "examples.parquet"


@dataclass(frozen=True)
class TrainResources:
    """What training asks of Ray."""

    num_workers: int = 1
    num_cpus_per_worker: int = 1
    use_gpu: bool = False
    """One GPU for each worker."""

    def __post_init__(self) -> None:
        for name in ("num_workers", "num_cpus_per_worker"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Progress:
    """An epoch is done."""

    result: EpochResult
    num_epochs: int
    seconds_left: float | None
    """None until a second epoch has shown how long one takes."""


@dataclass(frozen=True, eq=False)
class _WorkerTask:
    """What each worker is told."""

    examples_uri: str
    num_labels: int
    settings: TrainSettings
    num_threads: int
    epochs: "Queue"


def fit_on_ray(
    examples: Examples,
    config: StyleModelConfig,
    settings: TrainSettings,
    *,
    folder_uri: str,
    resources: TrainResources,
    on_progress: Callable[[Progress], None],
) -> FitState:
    """What the workers ended with, on the CPU; the run's examples and checkpoints are under `folder_uri`.

    Raises ConfigError if the loss does not stay finite, `ray.train.TrainingFailedError` if more than
    MAX_FAILURES workers are lost.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    folder_uri = objects.resolve_uri(folder_uri, against=".")
    name = _training_id(examples, config, settings)
    examples_uri = objects.join_uri(folder_uri, name, EXAMPLES_NAME)
    write_examples(examples_uri, examples)
    per_worker = {"CPU": resources.num_cpus_per_worker} | ({"GPU": 1} if resources.use_gpu else {})
    # cuBLAS adds up in the same order every time only with a workspace of fixed size.
    runtime_env = {"env_vars": {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}} if resources.use_gpu else None
    with _epoch_queue(settings.num_epochs, on_progress) as epochs:
        task = _WorkerTask(
            examples_uri=examples_uri,
            num_labels=len(config.labels),
            settings=settings,
            num_threads=resources.num_cpus_per_worker,
            epochs=epochs,
        )
        trainer = TorchTrainer(
            _train_worker,
            train_loop_config={"task": task},
            scaling_config=ScalingConfig(
                num_workers=resources.num_workers, use_gpu=resources.use_gpu, resources_per_worker=per_worker
            ),
            run_config=RunConfig(
                name=name,
                storage_path=_for_arrow(folder_uri),
                failure_config=FailureConfig(max_failures=MAX_FAILURES),
                checkpoint_config=CheckpointConfig(num_to_keep=1),
                worker_runtime_env=runtime_env,
            ),
        )
        result = trainer.fit()
    state = start_state(settings, examples, num_labels=len(config.labels), device=torch.device("cpu"))
    if result.checkpoint is not None:
        restore_state(state, _read_checkpoint(result.checkpoint))
    if state.epoch < settings.num_epochs:
        raise ConfigError(
            f"training came apart after epoch {state.epoch}: the loss was no longer a finite number; "
            f"lower learning_rate (now {settings.learning_rate:g})"
        )
    return state


def _train_worker(config: dict[str, _WorkerTask]) -> None:
    """One worker's run, on Ray Train's terms: every worker reports equally often."""
    import ray.train
    from ray.train.torch import get_device
    from torch import distributed

    task, context = config["task"], ray.train.get_context()
    torch.set_num_threads(task.num_threads)
    torch.use_deterministic_algorithms(True)
    share = Share(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        reduce=distributed.all_reduce,
        device=get_device(),
    )
    examples = read_examples(task.examples_uri)
    state = start_state(task.settings, examples, num_labels=task.num_labels, device=share.device)
    if (checkpoint := ray.train.get_checkpoint()) is not None:
        restore_state(state, _read_checkpoint(checkpoint))

    def on_epoch(state: FitState) -> None:
        if share.rank == 0:
            task.epochs.put(state.history[-1])
        if state.epoch % task.settings.checkpoint_every_epochs == 0 or state.epoch == task.settings.num_epochs:
            _report(state, is_first=share.rank == 0)

    # All workers see the same loss. Raising would make Ray Train start them again, to the same end.
    with suppress(DivergedError):
        fit(state, examples, task.settings, share=share, on_epoch=on_epoch)


def _report(state: FitState, *, is_first: bool) -> None:
    """A checkpoint, from the first worker; a barrier for all."""
    import ray.train

    metrics = {"epoch": state.epoch}
    if not is_first:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, CHECKPOINT_NAME).write_bytes(dump_state(state))
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _read_checkpoint(checkpoint: "Checkpoint") -> bytes:
    with checkpoint.as_directory() as folder:
        return Path(folder, CHECKPOINT_NAME).read_bytes()


def _training_id(examples: Examples, config: StyleModelConfig, settings: TrainSettings) -> str:
    decisive = [dataclasses.asdict(settings), dataclasses.asdict(config), examples.digest()]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def _for_arrow(uri: str) -> str:
    """The URI as pyarrow reads it: S3 keys percent-encoded, paths as they are."""
    return quote(uri, safe=":/") if uri.startswith("s3://") else uri


@contextmanager
def _epoch_queue(num_epochs: int, on_progress: Callable[[Progress], None]) -> Iterator["Queue"]:
    """A queue that workers put epochs into, each handed on to `on_progress` in a thread of this process.

    Not by way of `ray.train.report`: that holds the workers up until Ray Train looks at them, every 2 s.
    """
    from ray.util.queue import Queue

    epochs = Queue(actor_options={"num_cpus": 0})
    finished = threading.Event()

    def hand_on() -> None:
        first: tuple[int, float] | None = None
        while True:
            try:
                result: EpochResult = epochs.get(timeout=0.2)
            except queue.Empty:
                if finished.is_set():
                    return
                continue
            now = time.monotonic()
            if first is None or result.epoch <= first[0]:
                first = (result.epoch, now)
            done = result.epoch - first[0]
            seconds_left = (now - first[1]) / done * (num_epochs - result.epoch) if done else None
            on_progress(Progress(result, num_epochs, seconds_left))

    thread = threading.Thread(target=hand_on, name="training-progress", daemon=True)
    thread.start()
    try:
        yield epochs
    finally:
        finished.set()
        thread.join()
        epochs.shutdown()
