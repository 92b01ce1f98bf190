"""Training on Ray: a killed worker changes nothing, and a finished training is not done again."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from fitted import SETTINGS, dataset_of, fitted_by
from moving_skeletons import FINGERPRINT, STYLES, videos_of, write_videos

from choreai.style.model import load_model, log_scores_of
from choreai.style.predictions import read_predictions
from choreai.style.training.distributed import Progress, TrainResources
from choreai.style.training.training import TrainedStyle, networks_of, train_style


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """As a Ray Train worker with one CPU: sums of more threads may differ in the last digit."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


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

    def kill_one_in_mid_run(progress: Progress) -> None:
        epochs.append(progress.num_done)
        if progress.result.member == 1 and progress.result.epoch >= 7 and not killed:
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
            parents={"clockwise": "circles", "counter": "circles"},
            resources=TrainResources(num_workers=2),
            on_progress=kill_one_in_mid_run,
        )

    trained = train()
    assert killed
    again_from = [b for a, b in itertools.pairwise(epochs) if b <= a]
    assert len(again_from) == 1  # it went back once
    assert again_from[0] > SETTINGS.num_epochs  # to a checkpoint in or after the first network, not to the start
    undisturbed = fitted_by(2, SETTINGS, dataset_of(videos, SETTINGS).examples, num_members=None)
    back = load_model(trained.model_uri)
    assert back.model_version == trained.model.model_version
    assert len(trained.history) == len(undisturbed.history)
    for network, expected in zip(back.networks, networks_of(undisturbed.done, SETTINGS, STYLES), strict=True):
        inputs = dataset_of(videos, SETTINGS).examples.inputs
        scores = [log_scores_of([n], inputs, num_labels=len(STYLES)) for n in (network, expected)]
        np.testing.assert_allclose(scores[0], scores[1], atol=1e-3)
    folder = Path(trained.model_uri)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["videos"]["accuracy"]["value"] == trained.metrics.videos.accuracy.value >= 0.7
    assert metrics["data"]["num_videos"] == len(videos)
    assert back.config.parents == {"clockwise": "circles", "counter": "circles"}
    assert back.config.references.keys() == set(STYLES)
    assert len(read_predictions(str(folder / "predictions.parquet"))) == len(videos)
    assert (folder / "learning_curves.png").read_bytes().startswith(b"\x89PNG")
    assert back.model_version in (folder / "report.html").read_text()

    epochs.clear()
    again = train()
    assert epochs == []  # it was done
    assert again.model.model_version == trained.model.model_version
