"""Networks fitted in this process, by one thread a worker: what training on Ray must come to."""

import threading
from collections.abc import Callable

import torch
from moving_skeletons import STYLES, windows_of

from choreai.catalog.catalog import Video
from choreai.motion.windows import WindowSettings
from choreai.style.examples import Examples
from choreai.style.settings import TrainSettings
from choreai.style.training.dataset import Dataset
from choreai.style.training.fit_state import FitState
from choreai.style.training.fitting import WorkerShare, fit
from choreai.style.training.split import divide_folds

CPU = torch.device("cpu")
SETTINGS = TrainSettings(  # two of the styles here are mirror images: no variations
    augment=False,
    network="report",
    hidden_size=24,
    num_epochs=20,
    patience_epochs=20,
    batch_size=8,
    num_folds=3,
    learning_rate=0.01,
    checkpoint_every_epochs=5,
    windows=WindowSettings(num_steps=40, window_seconds=4.0, stride_seconds=1.0),
)


def dataset_of(videos: list[Video], settings: TrainSettings) -> Dataset:
    folds = divide_folds(
        videos, STYLES, seed=settings.seed, num_folds=settings.num_folds, when_one_group=settings.when_one_group
    )
    return Dataset.from_windows(videos, STYLES, windows_of(videos, settings.windows), folds)


def fitted(settings: TrainSettings, examples: Examples, *, num_members: int | None = 1) -> FitState:
    """One network unless told otherwise."""
    state = FitState()
    fit_all(state, examples, settings, num_members=num_members)
    return state


def fit_all(
    state: FitState,
    examples: Examples,
    settings: TrainSettings,
    *,
    num_members: int | None = None,
    on_epoch: Callable[[FitState], None] = lambda state: None,
    share: WorkerShare = WorkerShare(),  # noqa: B008, a frozen dataclass
) -> None:
    fit(
        state,
        examples,
        settings,
        num_labels=len(STYLES),
        num_members=num_members,
        share=share,
        on_epoch=on_epoch,
    )


def fitted_by(
    num_workers: int, settings: TrainSettings, examples: Examples, *, num_members: int | None = 1
) -> FitState:
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

    states = [FitState() for _ in range(num_workers)]
    threads = [
        threading.Thread(
            target=fit_all,
            args=(states[rank], examples, settings),
            kwargs={"share": WorkerShare(rank, num_workers, reduce_as(rank)), "num_members": num_members},
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
    assert len(a.done) == len(b.done) > 0
    return all(
        torch.allclose(own[name], other[name], rtol=0, atol=tolerance)
        for own, other in zip(a.done, b.done, strict=True)
        for name in own
    )
