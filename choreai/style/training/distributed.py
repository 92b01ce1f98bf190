"""The training loop on Ray Train: any number of workers, checkpoints in storage, resumed after a lost worker.

The run's folder is named after what is trained, so the same training started again goes on from its last
checkpoint, or ends at once if it was done. Ray carries only settings and progress. Every worker reads all examples
from their Parquet object itself: it needs any window at any time, for the batches are the same whatever the number of
workers, and a stream split by Ray Data is neither that nor complete (it drops what does not divide evenly).
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
from typing import TYPE_CHECKING, Any

import torch

from choreai.errors import ConfigError, ObjectMissingError
from choreai.storage import objects
from choreai.style.examples import Examples, read_examples, write_examples
from choreai.style.history import EpochResult
from choreai.style.networks import build_network
from choreai.style.settings import TrainSettings
from choreai.style.training.fit_state import FitState, Weights, dump_state, load_state
from choreai.style.training.fitting import DivergedError, WorkerShare, fit
from choreai.style.training.ray_storage import storage_settings
from choreai.style.training.split import num_folds_of

if TYPE_CHECKING:
    from ray.train import Checkpoint, ScalingConfig
    from ray.train.torch import TorchTrainer
    from ray.util.queue import Queue

MAX_FAILURES = 3
"""Lost workers after which a run still goes on."""
CHECKPOINT_NAME = "state.pt"
EXAMPLES_NAME = "examples.parquet"
CPU = torch.device("cpu")


@dataclass(frozen=True)
class TrainResources:
    """The resources that training requests from Ray."""

    num_workers: int = 1
    min_workers: int = 0
    """Start with fewer workers than `num_workers`, but at least these, while the cluster has no more; 0: no fewer."""
    num_cpus_per_worker: int = 1
    use_gpu: bool = False
    """One GPU for each worker."""

    def __post_init__(self) -> None:
        for name in ("num_workers", "num_cpus_per_worker"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 <= self.min_workers <= self.num_workers:
            raise ValueError(f"min_workers must be 0 to {self.num_workers} (num_workers), got {self.min_workers}")


@dataclass(frozen=True)
class Progress:
    """A finished epoch."""

    result: EpochResult
    num_done: int
    """Epochs of all members, including those that early stopping skipped."""
    num_epochs: int
    """Of all members, at most."""
    num_epochs_each: int
    """Of one member, at most."""
    seconds_left: float | None
    """At most; None until the second epoch has been timed."""


@dataclass(frozen=True, eq=False)
class _WorkerTask:
    """The arguments of each worker."""

    examples_uri: str
    num_labels: int
    num_members: int
    settings: TrainSettings
    num_threads: int
    epochs: "Queue"


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of a training run."""

    members: tuple[Weights, ...]
    """By fold: the weights of the network that never saw it, on the CPU."""
    history: tuple[EpochResult, ...]


def fit_on_ray(
    examples: Examples,
    settings: TrainSettings,
    *,
    num_labels: int,
    num_members: int | None = None,
    folder_uri: str,
    resources: TrainResources,
    on_progress: Callable[[Progress], None],
) -> Fitted:
    """Return one network for each of the first `num_members` folds of the examples (None: for every fold); the run's
    examples and checkpoints are under `folder_uri`.

    Raises ConfigError if the loss does not stay finite, `ray.train.TrainingFailedError` if more than MAX_FAILURES
    workers are lost.
    """
    from ray.train import CheckpointConfig, FailureConfig, RunConfig

    folder_uri = objects.resolve_uri(folder_uri, against=".")
    num_members = num_members or num_folds_of(examples)
    name = _training_id(examples, settings, num_labels=num_labels)
    result_uri = objects.join_uri(folder_uri, name, CHECKPOINT_NAME)
    with suppress(ObjectMissingError):
        done = load_state(objects.read_object(result_uri), settings, num_labels=num_labels, device=CPU)
        return Fitted(tuple(done.done), tuple(done.history))
    examples_uri = objects.join_uri(folder_uri, name, EXAMPLES_NAME)
    write_examples(examples_uri, examples)
    # cuBLAS adds up in the same order every time only with a workspace of fixed size.
    runtime_env = {"env_vars": {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}} if resources.use_gpu else None
    with _epoch_queue(num_members, settings.num_epochs, on_progress) as epochs:
        task = _WorkerTask(
            examples_uri=examples_uri,
            num_labels=num_labels,
            num_members=num_members,
            settings=settings,
            num_threads=resources.num_cpus_per_worker,
            epochs=epochs,
        )
        trainer = trainer_class()(
            _train_worker,
            train_loop_config={"task": task},
            scaling_config=scaling(resources),
            run_config=RunConfig(
                name=name,
                **storage_settings(folder_uri),
                failure_config=FailureConfig(max_failures=MAX_FAILURES),
                checkpoint_config=CheckpointConfig(num_to_keep=1),
                worker_runtime_env=runtime_env,
            ),
        )
        result = trainer.fit()
    state = FitState()
    if result.checkpoint is not None:
        state = load_state(_read_checkpoint(result.checkpoint), settings, num_labels=num_labels, device=CPU)
    if len(state.done) < num_members:
        raise ConfigError(
            f"training diverged in network {len(state.done) + 1} of {num_members}: the loss was no longer a finite "
            f"number; lower learning_rate (now {settings.learning_rate:g})"
        )
    objects.put_object(result_uri, dump_state(state))
    return Fitted(tuple(state.done), tuple(state.history))


def trainer_class() -> "type[TorchTrainer]":
    """Return Ray's trainer for PyTorch, with Ctrl-C left to the command."""
    from ray.train.torch import TorchTrainer

    class Trainer(TorchTrainer):
        """Leaves Ctrl-C to the command: Ray Train's own handler ends the process with exit code 0, as if all was done.

        What it would shut down ends with the driver, and training resumes from its last checkpoint.
        """

        def _register_sigint_handler(self, controller: object) -> None:
            pass

    return Trainer


def scaling(resources: TrainResources) -> "ScalingConfig":
    """Return what Ray Train asks the cluster for."""
    from ray.train import ScalingConfig

    most = resources.num_workers
    return ScalingConfig(
        num_workers=(resources.min_workers, most) if 0 < resources.min_workers < most else most,
        use_gpu=resources.use_gpu,
        resources_per_worker={"CPU": resources.num_cpus_per_worker} | ({"GPU": 1} if resources.use_gpu else {}),
    )


def _train_worker(config: dict[str, _WorkerTask]) -> None:
    """Run one worker under Ray Train: every worker reports equally often."""
    import ray.train
    from ray.train.torch import get_device
    from torch import distributed

    task, context = config["task"], ray.train.get_context()
    torch.set_num_threads(task.num_threads)
    torch.use_deterministic_algorithms(True)
    share = WorkerShare(
        rank=context.get_world_rank(),
        world_size=context.get_world_size(),
        reduce=distributed.all_reduce,
        device=get_device(),
    )
    examples = read_examples(task.examples_uri)
    state = FitState()
    if (checkpoint := ray.train.get_checkpoint()) is not None:
        content = _read_checkpoint(checkpoint)
        state = load_state(content, task.settings, num_labels=task.num_labels, device=share.device)

    saved_for = None

    def on_epoch(state: FitState) -> None:
        nonlocal saved_for
        if share.rank == 0:
            task.epochs.put(state.history[-1])
        going = _nodes_going_away()
        is_notice = going is not None and going != saved_for
        if state.member is None or state.member.epoch % task.settings.checkpoint_every_epochs == 0 or is_notice:
            saved_for = going
            _report(state, is_first=share.rank == 0)

    # All workers see the same loss. Raising would make Ray Train start them again, to the same end.
    with suppress(DivergedError):
        fit(
            state,
            examples,
            task.settings,
            num_labels=task.num_labels,
            num_members=task.num_members,
            share=share,
            on_epoch=on_epoch,
        )


def _nodes_going_away() -> list[str] | None:
    """Return the workers' nodes that a cloud is about to take back; None if it takes none.

    Every worker has to ask equally often. An interface that Ray calls alpha: without it there are the periodic
    checkpoints alone.
    """
    import ray.train

    ask = getattr(ray.train, "get_preemption_info", None)
    notice = None if ask is None else ask()
    return None if notice is None else list(notice.preempted_node_ids)


def _report(state: FitState, *, is_first: bool) -> None:
    """Report to Ray Train, which is a barrier for all workers; the first one adds a checkpoint."""
    import ray.train

    metrics = {"epoch": len(state.history), "members_done": len(state.done)}
    if not is_first:
        ray.train.report(metrics)
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, CHECKPOINT_NAME).write_bytes(dump_state(state))
        ray.train.report(metrics, checkpoint=ray.train.Checkpoint.from_directory(folder))


def _read_checkpoint(checkpoint: "Checkpoint") -> bytes:
    with checkpoint.as_directory() as folder:
        return Path(folder, CHECKPOINT_NAME).read_bytes()


def _training_id(examples: Examples, settings: TrainSettings, *, num_labels: int) -> str:
    """Return a hash of everything that affects the result, including the network's form in this release."""
    with torch.device("meta"):
        network = build_network(
            settings.network,
            num_labels=num_labels,
            hidden_size=settings.hidden_size,
            dropout=0.0,
            num_keypoints=settings.windows.num_keypoints,
        )
    form = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    fitting = {**dataclasses.asdict(settings.for_fit()), "windows": settings.windows.to_json()}
    for name in ("keep_copies_together", "unseen_sources"):
        del fitting[name]  # younger than these hashes: a training that an older release began goes on
    decisive = [fitting, form, examples.digest()]
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


@contextmanager
def _epoch_queue(num_members: int, num_epochs: int, on_progress: Callable[[Progress], None]) -> Iterator["Queue"]:
    """Yield a queue for the workers' epochs, each of which becomes a Progress."""
    started, num_trained = 0.0, 0

    def hand_on(result: EpochResult) -> None:
        nonlocal started, num_trained
        started = started or time.monotonic()
        num_done = result.member * num_epochs + result.epoch
        seconds = (time.monotonic() - started) / num_trained if num_trained else None
        num_trained += 1
        num_left = num_members * num_epochs - num_done
        left = None if seconds is None else seconds * num_left
        on_progress(Progress(result, num_done, num_members * num_epochs, num_epochs, left))

    with worker_queue(hand_on) as epochs:
        yield epochs


@contextmanager
def worker_queue(hand_on: Callable[[Any], None]) -> Iterator["Queue"]:
    """Yield a queue that workers put things into; a thread of this process hands each on.

    Not by `ray.train.report`, which blocks the workers until Ray Train polls them, every 2 s.
    """
    from ray.util.queue import Queue

    items = Queue(actor_options={"num_cpus": 0})
    finished = threading.Event()

    def work() -> None:
        while True:
            try:
                item = items.get(timeout=0.2)
            except queue.Empty:
                if finished.is_set():
                    return
                continue
            hand_on(item)

    thread = threading.Thread(target=work, name="training-progress", daemon=True)
    thread.start()
    try:
        yield items
    finally:
        finished.set()
        thread.join()
        items.shutdown()
