"""Throughput of style training and tagging, as ratios against a plain PyTorch loop of the same run.

The setting is the student report's: 849 sequences of 100 steps of 51 numbers, batches of 512, 331 steps, which took
it 127.9 s; here a share of the steps, and the report's time for as many. Part of `make bench`.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from ratios import Ratios
from torch.nn import functional

from choreai.cluster.session import connect, disconnect
from choreai.motion.kinematics import FEATURES
from choreai.style.examples import Examples, Inputs
from choreai.style.model import log_scores_of
from choreai.style.networks import build_network
from choreai.style.settings import TrainSettings, seed_settings
from choreai.style.training.distributed import Progress, TrainResources, fit_on_ray
from choreai.style.training.fit_state import FitState
from choreai.style.training.fitting import WorkerShare, fit, tensors_of

REPORT_SECONDS = 127.9
NUM_SEQUENCES = 849
NUM_LABELS = 4
BATCH_SIZE = 512
NUM_STEPS = 331
STEPS_PER_EPOCH = 2
"""849 sequences in batches of 512."""
NUM_EPOCHS = 8
REPORT_SECONDS_HERE = REPORT_SECONDS * NUM_EPOCHS * STEPS_PER_EPOCH / NUM_STEPS
NUM_TAGGED = 1024
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
SETTINGS = replace(
    seed_settings(TrainSettings()), num_epochs=NUM_EPOCHS, batch_size=BATCH_SIZE, checkpoint_every_epochs=NUM_EPOCHS
)


def random_inputs(num_windows: int, *, num_steps: int = 100) -> Inputs:
    rng = np.random.default_rng(0)
    steps, xyz = rng.standard_normal((2, num_windows, num_steps, 51), np.float32)
    return Inputs(steps, xyz, rng.standard_normal((num_windows, len(FEATURES)), np.float32))


def random_examples() -> Examples:
    """All sequences train one network; a handful more are what it is tested on."""
    num_windows = NUM_SEQUENCES + NUM_LABELS
    return Examples(
        inputs=random_inputs(num_windows),
        label_index=np.arange(num_windows) % NUM_LABELS,
        video_index=np.arange(num_windows),
        fold=np.where(np.arange(num_windows) < NUM_LABELS, 0, 1),
        video_ids=tuple(f"{i:04d}" for i in range(num_windows)),
        groups=tuple(f"{i:04d}" for i in range(num_windows)),
    )


def synchronize() -> None:
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()


def seconds_of(work: Callable[[], object]) -> float:
    synchronize()
    started = time.perf_counter()
    work()
    synchronize()
    return time.perf_counter() - started


def plain_training() -> None:
    """What one would write without us: the same network, batches and optimizer."""
    network = build_network("report", num_labels=NUM_LABELS, hidden_size=SETTINGS.hidden_size, dropout=0.0).to(DEVICE)
    inputs = random_inputs(NUM_SEQUENCES)
    steps, xyz, features = tensors_of(inputs, DEVICE)
    labels = torch.arange(NUM_SEQUENCES, device=DEVICE) % NUM_LABELS
    optimizer = torch.optim.Adam(network.parameters(), lr=SETTINGS.learning_rate, weight_decay=SETTINGS.weight_decay)
    for _ in range(NUM_EPOCHS):
        for rows in torch.randperm(NUM_SEQUENCES, device=DEVICE).split(BATCH_SIZE):
            with torch.autocast(DEVICE.type, torch.bfloat16, enabled=DEVICE.type == "cuda"):
                logits = network(steps[rows], xyz[rows], features[rows])
            optimizer.zero_grad()
            functional.cross_entropy(logits.float(), labels[rows]).backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), SETTINGS.max_gradient_norm)
            optimizer.step()


def our_training() -> None:
    fit(
        FitState(),
        random_examples(),
        SETTINGS,
        num_labels=NUM_LABELS,
        num_members=1,
        share=WorkerShare(device=DEVICE),
        on_epoch=lambda state: None,
    )


def training_on_ray() -> tuple[float, float]:
    """Seconds from the first epoch's end to the last's, made up for the first, and of everything.

    Two folds, so two networks: the second's sequences are the handful, and take no time.
    """
    ends: list[float] = []

    def on_progress(progress: Progress) -> None:
        if progress.result.member == 0:
            ends.append(time.perf_counter())

    with tempfile.TemporaryDirectory(prefix="choreai-bench-") as folder:
        total = seconds_of(
            lambda: fit_on_ray(
                random_examples(),
                SETTINGS,
                num_labels=NUM_LABELS,
                folder_uri=str(Path(folder)),
                resources=TrainResources(use_gpu=DEVICE.type == "cuda"),
                on_progress=on_progress,
            )
        )
    return (ends[-1] - ends[0]) * NUM_EPOCHS / (NUM_EPOCHS - 1), total


def bench_training(ratios: Ratios) -> None:
    found: list[float] = []

    def plain() -> float:
        found.append(seconds_of(plain_training))
        return found[-1]

    ratios.measure("our loop", lambda: seconds_of(our_training), plain, wanted=0.9, of="plain loop")
    start = seconds_of(connect)
    around: list[float] = []

    def on_ray() -> float:
        seconds, total = training_on_ray()
        around.append(total - seconds)
        return seconds

    ratios.measure("our loop on Ray, 1 worker", on_ray, plain, wanted=0.9, of="plain loop")
    disconnect()
    best = min(found)
    print(f"plain loop                       {NUM_SEQUENCES * NUM_EPOCHS / best:8.0f} windows/s, {best:.1f} s for what "
          f"took the report {REPORT_SECONDS_HERE:.1f} s")  # fmt: skip
    print(f"Ray's own: start, run around it  {start:8.1f} s  {min(around):8.1f} s")


def bench_tagging(ratios: Ratios) -> None:
    """Windows a second that the default ensemble scores, against its networks called one by one."""
    settings = TrainSettings()
    networks = [
        build_network(
            settings.network, num_labels=NUM_LABELS, hidden_size=settings.hidden_size, dropout=settings.dropout
        ).to(DEVICE)
        for _ in range(settings.num_folds)
    ]
    inputs = random_inputs(NUM_TAGGED, num_steps=settings.windows.num_steps)
    batches = list(zip(*(tensor.split(256) for tensor in tensors_of(inputs, DEVICE)), strict=True))

    def plain() -> None:
        with torch.inference_mode():
            for batch in batches:
                for network in networks:
                    network(*batch).softmax(dim=1)

    plain()
    found: list[float] = []

    def ours() -> float:
        found.append(seconds_of(lambda: log_scores_of(networks, inputs, num_labels=NUM_LABELS)))
        return found[-1]

    ratios.measure(
        f"scoring by {settings.num_folds} networks", ours, lambda: seconds_of(plain), wanted=0.9, of="plain loop"
    )
    print(f"                                 {NUM_TAGGED / min(found):8.0f} windows/s")


def bench_all(ratios: Ratios) -> None:
    """Measure training and tagging."""
    if DEVICE.type == "cpu":
        torch.set_num_threads(1)
    print(f"style on {DEVICE}, {torch.get_num_threads()} thread(s)")
    bench_training(ratios)
    bench_tagging(ratios)


def main() -> int:
    ratios = Ratios()
    bench_all(ratios)
    return ratios.exit_code()


if __name__ == "__main__":
    sys.exit(main())
