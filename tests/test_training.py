"""Training: the loop by itself, and whole runs on Ray Train."""

import copy
import itertools
import json
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from moving_skeletons import FINGERPRINT, STYLES, videos_of, windows_of, write_videos

from choreai.errors import TableError
from choreai.motion.windows import WindowSettings
from choreai.store.catalog import Video
from choreai.style.distributed import Progress, TrainResources
from choreai.style.evaluate import evaluate
from choreai.style.examples import Examples, make_examples
from choreai.style.fitting import (
    DivergedError,
    FitState,
    Share,
    dump_state,
    fit,
    restore_state,
    start_state,
)
from choreai.style.model import StyleModel, StyleModelConfig, load_model
from choreai.style.settings import TrainSettings
from choreai.style.split import split_groups
from choreai.style.training import TrainedStyle, train_style

CPU = torch.device("cpu")
SETTINGS = TrainSettings(  # two of the styles here are mirror images: no variations
    augment=False,
    hidden_size=24,
    num_epochs=30,
    batch_size=8,
    learning_rate=0.01,
    l2_penalty=1e-4,
    checkpoint_every_epochs=5,
    windows=WindowSettings(num_steps=40, window_seconds=4.0, stride_seconds=1.0),
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As a Ray Train worker with one CPU: sums of more threads may differ in the last digit."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


@pytest.fixture(scope="module")
def examples() -> Examples:
    return examples_of(videos_of(10), SETTINGS)


def examples_of(videos: list[Video], settings: TrainSettings) -> Examples:
    split = split_groups(
        videos, STYLES, seed=settings.seed, test_fraction=settings.test_fraction, when_one_group="error"
    )
    return make_examples(
        windows_of(videos, settings.windows),
        label_of={v.video_id: str(v.label) for v in videos},
        labels=STYLES,
        test_video_ids=split.test_video_ids,
    )


def started(settings: TrainSettings, examples: Examples) -> FitState:
    return start_state(settings, examples, num_labels=len(STYLES), device=CPU)


def fitted(settings: TrainSettings, examples: Examples) -> FitState:
    state = started(settings, examples)
    fit(state, examples, settings, share=Share(), on_epoch=lambda state: None)
    return state


def fitted_by(num_workers: int, settings: TrainSettings, examples: Examples) -> FitState:
    """What this many workers end with, each a thread; sums are in the order of ranks."""
    tensors: list[torch.Tensor] = [torch.zeros(0)] * num_workers
    barrier = threading.Barrier(num_workers)

    def reduce_as(rank: int) -> Callable[[torch.Tensor], None]:
        def reduce(tensor: torch.Tensor) -> None:
            tensors[rank] = tensor.clone()
            barrier.wait()
            total = tensors[0].clone()
            for other in tensors[1:]:
                total += other
            barrier.wait()
            tensor.copy_(total)

        return reduce

    states = [started(settings, examples) for _ in range(num_workers)]
    threads = [
        threading.Thread(
            target=fit,
            args=(states[rank], examples, settings),
            kwargs={"share": Share(rank, num_workers, reduce_as(rank)), "on_epoch": lambda state: None},
        )
        for rank in range(num_workers)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(weights_equal(state, states[0]) for state in states)
    return states[0]


def weights_equal(a: FitState, b: FitState, *, tolerance: float = 0.0) -> bool:
    pairs = zip(a.network.state_dict().values(), b.network.state_dict().values(), strict=True)
    return all(torch.allclose(x, y, rtol=0, atol=tolerance) for x, y in pairs)


def model_of(state: FitState, settings: TrainSettings) -> StyleModel:
    config = StyleModelConfig(STYLES, FINGERPRINT, settings.hidden_size, settings.windows)
    return StyleModel(state.network, config)


def test_motion_is_learnt_that_neither_mean_pose_nor_mean_speed_shows(examples: Examples) -> None:
    metrics = evaluate(model_of(fitted(SETTINGS, examples), SETTINGS), examples)
    assert metrics.videos.accuracy >= 0.9
    assert metrics.mean_pose_accuracy < 0.7
    assert metrics.mean_speed_accuracy < 0.7


def test_the_same_seed_gives_the_same_model_and_another_seed_another(examples: Examples) -> None:
    short = replace(SETTINGS, num_epochs=3)
    first = fitted(short, examples)
    torch.manual_seed(99)  # a global generator in whatever state must not matter
    assert model_of(fitted(short, examples), short).model_version == model_of(first, short).model_version
    assert not weights_equal(fitted(replace(short, seed=1), examples), first)


@pytest.mark.parametrize("num_workers", [2, 3])
def test_the_number_of_workers_changes_no_more_than_rounding(examples: Examples, num_workers: int) -> None:
    short = replace(SETTINGS, num_epochs=4)
    alone, together = fitted(short, examples), fitted_by(num_workers, short, examples)
    assert weights_equal(alone, together, tolerance=1e-4)
    for a, b in zip(alone.history, together.history, strict=True):
        assert a.train_loss == pytest.approx(b.train_loss, abs=1e-4)
        assert (a.train_accuracy, a.test_accuracy) == pytest.approx((b.train_accuracy, b.test_accuracy))


def test_workers_without_a_window_in_a_batch_keep_in_step(examples: Examples) -> None:
    tiny = replace(SETTINGS, num_epochs=1, batch_size=1)
    assert weights_equal(fitted(tiny, examples), fitted_by(3, tiny, examples), tolerance=1e-4)


def test_a_run_resumed_from_a_checkpoint_ends_as_if_never_stopped(examples: Examples) -> None:
    short = replace(SETTINGS, num_epochs=6)
    checkpoints: dict[int, bytes] = {}
    whole = started(short, examples)

    def keep(state: FitState) -> None:
        checkpoints[state.epoch] = dump_state(state)

    fit(whole, examples, short, share=Share(), on_epoch=keep)
    resumed = started(short, examples)
    restore_state(resumed, checkpoints[4])
    assert resumed.epoch == 4
    fit(resumed, examples, short, share=Share(), on_epoch=lambda state: None)
    assert weights_equal(resumed, whole)
    assert resumed.history == whole.history


def test_a_checkpoint_is_never_unpickled(examples: Examples, tmp_path: Path) -> None:
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trap,)

    with pytest.raises(pickle.UnpicklingError):
        restore_state(started(SETTINGS, examples), pickle.dumps(Trap(), protocol=2))
    assert not trap.exists()


def test_the_learning_rate_goes_down_in_stairs(examples: Examples) -> None:
    stairs = replace(SETTINGS, num_epochs=5, decay_epochs=2, learning_rate_decay=0.1)
    rates = [result.learning_rate for result in fitted(stairs, examples).history]
    np.testing.assert_allclose(rates, [0.01, 0.01, 0.001, 0.001, 0.0001])


def test_the_penalty_is_on_all_weights(examples: Examples) -> None:
    free, held = (fitted(replace(SETTINGS, num_epochs=5, l2_penalty=p), examples) for p in (0.0, 0.1))
    for name, weights in held.network.named_parameters():
        assert weights.norm() < free.network.get_parameter(name).norm(), name


def test_a_loss_that_is_not_finite_stops_training(examples: Examples) -> None:
    steps = examples.steps.copy()
    steps[np.flatnonzero(~examples.is_test)[0]] = np.nan
    broken = replace(copy.copy(examples), steps=steps)
    with pytest.raises(DivergedError, match="lower the learning rate"):
        fitted(SETTINGS, broken)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden_size", 0),
        ("num_epochs", 0),
        ("seed", -1),
        ("learning_rate", 0.0),
        ("learning_rate_decay", 1.5),
        ("l2_penalty", float("inf")),
        ("test_fraction", 1.0),
        ("when_one_group", "shrug"),
    ],
)
def test_impossible_settings_are_refused(name: str, value: object) -> None:
    with pytest.raises(ValueError, match=name):
        TrainSettings(**{name: value})  # type: ignore[arg-type]


def nothing(progress: Progress) -> None:
    pass


def test_videos_without_keypoints_are_named_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"no window of 12 labelled videos.*12 without keypoints"):
        train_style(
            videos_of(4),
            tables_uri=str(tmp_path),
            pose_fingerprint=FINGERPRINT,
            output_uri=str(tmp_path),
            settings=SETTINGS,
            resources=TrainResources(),
            on_progress=nothing,
        )


@pytest.fixture(scope="module")
def local_ray() -> Iterator[None]:
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        object_store_memory=80_000_000,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()


def training_workers() -> list[psutil.Process]:
    """The Ray Train workers of this process's own Ray."""
    workers = []
    for process in psutil.Process().children(recursive=True):
        try:
            if any("RayTrainWorker" in part for part in process.cmdline()):
                workers.append(process)
        except psutil.NoSuchProcess:
            continue
    return workers


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_a_killed_worker_or_a_second_run_changes_nothing(tmp_path: Path) -> None:
    videos = videos_of(10)
    write_videos(tmp_path, videos)
    epochs: list[int] = []
    killed: list[int] = []

    def kill_one_at_epoch_11(progress: Progress) -> None:
        epochs.append(progress.result.epoch)
        if progress.result.epoch >= 11 and not killed:
            victim = training_workers()[-1]
            killed.append(victim.pid)
            victim.kill()

    def train() -> TrainedStyle:
        return train_style(
            videos,
            tables_uri=str(tmp_path),
            pose_fingerprint=FINGERPRINT,
            output_uri=str(tmp_path / "out"),
            settings=SETTINGS,
            resources=TrainResources(num_workers=2),
            on_progress=kill_one_at_epoch_11,
        )

    trained = train()
    assert killed
    again_from = [b for a, b in itertools.pairwise(epochs) if b <= a]
    assert len(again_from) == 1  # it went back once
    assert again_from[0] > 1  # to a checkpoint, not to the start
    undisturbed = model_of(fitted_by(2, SETTINGS, examples_of(videos, SETTINGS)), SETTINGS)
    assert trained.model.model_version == undisturbed.model_version
    assert load_model(trained.model_uri).model_version == undisturbed.model_version
    folder = Path(trained.model_uri)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["videos"]["accuracy"] == trained.metrics.videos.accuracy >= 0.9
    assert [result["epoch"] for result in metrics["history"]] == list(range(1, 31))
    assert metrics["data"]["num_train_videos"] + metrics["data"]["num_test_videos"] == len(videos)
    for name in ("confusion_matrix.png", "learning_curves.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")

    epochs.clear()
    again = train()
    assert epochs == []  # it was done
    assert again.model.model_version == trained.model.model_version
