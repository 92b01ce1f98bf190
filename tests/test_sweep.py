"""The sweep: trials that are scored by validation alone, and whole sweeps on Ray Tune."""

import io
import json
import math
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from moving_skeletons import FINGERPRINT, STYLES, videos_of, windows_of, write_videos

from choreai.cli.train import print_sweep
from choreai.config import TrainConfig, load_config
from choreai.motion.windows import WindowSettings
from choreai.style.examples import Examples, write_examples
from choreai.style.settings import TrainSettings
from choreai.style.training.dataset import Dataset, TableSource
from choreai.style.training.split import divide_folds
from choreai.style.training.sweep import (
    LEARNING_RATES,
    NUM_MEMBERS,
    SweepResult,
    SweepTask,
    Trial,
    run_sweep,
    sweep_png,
    try_settings,
)

CPU = torch.device("cpu")
SETTINGS = TrainSettings(
    augment=False,
    network="report",
    hidden_size=16,
    num_epochs=10,
    patience_epochs=10,
    batch_size=8,
    num_folds=4,
    learning_rate=0.01,
    windows=WindowSettings(num_steps=40, window_seconds=4.0, stride_seconds=1.0),
)


def trial(loss: float, **changes: float) -> Trial:
    return Trial(changes, loss, 0.5, 0.4, 0.6, 12)


@pytest.fixture(scope="module")
def examples() -> Examples:
    videos = videos_of(8)
    folds = divide_folds(videos, STYLES, seed=0, num_folds=4, when_one_group="error")
    return Dataset.from_windows(videos, STYLES, windows_of(videos, SETTINGS.windows), folds).examples


def task_of(examples: Examples, folder: Path) -> SweepTask:
    uri = str(folder / "examples.parquet")
    write_examples(uri, examples)
    return SweepTask(uri, SETTINGS, len(STYLES), use_gpu=False)


def test_a_trial_is_that_of_its_settings(examples: Examples, tmp_path: Path) -> None:
    task = task_of(examples, tmp_path)
    slow, fast = (try_settings(task, {"learning_rate": rate}, device=CPU) for rate in (1e-9, 0.0123456))
    assert slow.train_accuracy < 0.5  # nothing is learnt
    assert fast.train_accuracy > 0.6
    assert fast.changes == {"learning_rate": 0.0123}
    assert fast.num_epochs == NUM_MEMBERS * SETTINGS.num_epochs


def test_a_trial_that_comes_apart_is_the_worst(examples: Examples, tmp_path: Path) -> None:
    broken = Examples(**{**vars(examples), "inputs": examples.inputs.take(slice(None))})
    broken.inputs.steps[0] = np.nan
    assert try_settings(task_of(broken, tmp_path), {"learning_rate": 0.01}, device=CPU).validation_loss == math.inf


def test_the_best_settings_load_as_a_job_file(tmp_path: Path) -> None:
    result = SweepResult("search", (trial(0.5, hidden_size=128, learning_rate=0.00123, dropout=0.25),), "anywhere")
    path = tmp_path / "job.toml"
    path.write_text(f'catalog = "c.csv"\noutput = "out"\n\n{result.best_toml()}\n')
    training = load_config(TrainConfig, str(path), {}).training
    assert (training.hidden_size, training.learning_rate, training.dropout) == (128, 0.00123, 0.25)
    assert tomllib.loads(result.best_toml()).keys() == {"training"}


def test_settings_that_are_no_better_than_guessing_are_not_recommended(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    print_sweep(SweepResult("search", (trial(0.5, learning_rate=0.01),), "anywhere", guessing=0.3))
    assert "the best settings, by the lowest validation loss" in capsys.readouterr().out
    print_sweep(SweepResult("search", (trial(0.5, learning_rate=0.01),), "anywhere", guessing=0.5))
    out = capsys.readouterr().out
    assert "guessing the most frequent style would be right for 0.500" in out
    assert "[training]" not in out
    assert "right no more often than guessing" in caplog.text


def test_the_figure_follows_the_numbers() -> None:
    pictures = [
        imread(io.BytesIO(sweep_png(SweepResult(kind, trials, "anywhere"))), format="png")
        for kind in ("learning-rate", "search")
        for trials in [tuple(trial(loss, learning_rate=rate) for rate, loss in ((1e-3, 0.5), (1e-6, other)))
                       for other in (1.0, 1.5, math.inf)]
    ]  # fmt: skip
    assert min(pictures[0].shape[:2]) > 300
    assert len({picture.tobytes() for picture in pictures}) == len(pictures)


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


@pytest.mark.ray
@pytest.mark.usefixtures("local_ray")
def test_the_learning_rate_study_is_one_call_and_a_second_one_costs_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    videos = videos_of(8)
    write_videos(tmp_path, videos)

    def sweep() -> SweepResult:
        return run_sweep(
            videos,
            TableSource(str(tmp_path), FINGERPRINT),
            kind="learning-rate",
            settings=SETTINGS,
            labels=(),
            output_uri=str(tmp_path / "out"),
            use_gpu=False,
        )

    result = sweep()
    assert sorted(t.changes["learning_rate"] for t in result.trials) == pytest.approx(LEARNING_RATES)
    assert [t.validation_loss for t in result.trials] == sorted(t.validation_loss for t in result.trials)
    best, worst = result.trials[0], min(result.trials, key=lambda t: t.changes["learning_rate"])
    assert best.train_loss < worst.train_loss
    folder = Path(result.folder_uri)
    assert len(json.loads((folder / "sweep.json").read_text())["trials"]) == len(LEARNING_RATES)
    assert (folder / "sweep.png").read_bytes().startswith(b"\x89PNG")
    assert sweep() == result
    printed = "".join(capfd.readouterr())
    assert "TensorBoard" not in printed
    assert "╭" not in printed
