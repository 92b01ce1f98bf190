"""The student report's experiment beside what one would write for it: `python tests/bench_report.py report-data`.

The folder is what `examples/report_data.py` writes. Both read the same files, train the same network for the same steps
at the same learning rate, and are tested on the same sequences; a second argument is a number of epochs. Nothing here
is a test: figures depend on the machine.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch.nn import functional

from choreai.config import KeypointSettings, TrainConfig
from choreai.pipeline.report_experiment import report_experiment
from choreai.style.networks import SeedLSTM
from choreai.style.settings import TrainSettings
from choreai.style.training.report_experiment import BATCH_SIZE, report_settings

LEARNING_RATE = 1e-3
NUM_LINES = 100
T = TypeVar("T")


def timed(what: str, work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - started
    print(f"{what:34}{seconds:8.1f} s", flush=True)
    return result, seconds


def read(folder: Path, name: str) -> tuple[torch.Tensor, torch.Tensor]:
    x = np.loadtxt(folder / f"X_{name}.txt", delimiter=",", dtype=np.float32).reshape(-1, NUM_LINES, 51)
    y = np.loadtxt(folder / f"Y_{name}.txt", dtype=np.int64) - 1
    return torch.from_numpy(x), torch.from_numpy(y)


def plain_loop(
    train: tuple[torch.Tensor, torch.Tensor], test: tuple[torch.Tensor, torch.Tensor], num_epochs: int | None
) -> float:
    (x, y), (x_test, y_test) = train, test
    settings = report_settings(TrainSettings(), num_train=len(x), num_epochs=num_epochs)
    torch.manual_seed(0)
    network = SeedLSTM(num_labels=int(y.max()) + 1, hidden_size=settings.hidden_size)
    flat = x.reshape(-1, 51)
    network.feature_mean.copy_(flat.mean(dim=0))
    network.feature_scale.copy_(flat.std(dim=0).clamp(min=0.05))
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, weight_decay=settings.weight_decay)
    nothing = torch.zeros(0)
    for epoch in range(settings.num_epochs):
        for group in optimizer.param_groups:
            group["lr"] = LEARNING_RATE * settings.learning_rate_decay ** (epoch // settings.decay_epochs)
        for rows in torch.randperm(len(x)).split(BATCH_SIZE):
            optimizer.zero_grad()
            functional.cross_entropy(network(x[rows], nothing, nothing), y[rows]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), settings.max_gradient_norm)
            optimizer.step()
    with torch.inference_mode():
        return float((network.eval()(x_test, nothing, nothing).argmax(dim=1) == y_test).float().mean())


def main(folder: Path, num_epochs: int | None) -> None:
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    print(f"{torch.get_num_threads()} thread(s), learning rate {LEARNING_RATE:g}")
    (train, test), reading = timed(
        "plain: reading, numpy.loadtxt", lambda: (read(folder, "train"), read(folder, "test"))
    )
    accuracy, training = timed("plain: training and test", lambda: plain_loop(train, test, num_epochs))
    print(f"plain: accuracy {accuracy:.3f}, all {reading + training:.1f} s")
    with tempfile.TemporaryDirectory(prefix="choreai-bench-") as output:
        config = TrainConfig(catalog="-", output=output, keypoints=KeypointSettings(source=str(folder)))
        done, seconds = timed(
            "ours: all of it", lambda: report_experiment(config, learning_rate=LEARNING_RATE, num_epochs=num_epochs)
        )
    print(
        f"ours: accuracy {done.experiment.accuracy:.3f}, {(reading + training) / seconds:.2f} x the plain loop's speed"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else None)
