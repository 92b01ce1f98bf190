"""The training loop of one worker: an ordinary function on arrays that knows nothing of Ray.

All workers go through the same seeded batches; worker r takes every world_size-th window of each. Gradients
are sums over windows divided by the whole batch's size, so they do not depend, beyond float rounding, on how
many workers share the batch.
"""

import io
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from choreai.motion.windows import NUM_FEATURES
from choreai.style.augment import FloatArray, vary
from choreai.style.examples import Examples
from choreai.style.model import StyleLSTM
from choreai.style.settings import TrainSettings

EVALUATION_BATCH = 256
MIN_FEATURE_SCALE = 0.05
"""Torso lengths: what varies less than this over all training windows is not blown up to full size."""

Reduce = Callable[[torch.Tensor], object]
"""Sums a tensor over all workers, in place."""


class DivergedError(ArithmeticError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class EpochResult:
    """What one pass over the training windows came to; losses are cross-entropies without the penalty."""

    epoch: int
    """From 1."""
    train_loss: float
    train_accuracy: float
    """Of windows, while the weights change: a little behind the accuracy after the epoch."""
    test_loss: float
    test_accuracy: float
    learning_rate: float


@dataclass(eq=False)
class FitState:
    """Everything that moves during training: a checkpoint's content."""

    network: StyleLSTM
    optimizer: torch.optim.Adam
    num_steps: int = 0
    history: list[EpochResult] = field(default_factory=list)

    @property
    def epoch(self) -> int:
        """Epochs done."""
        return len(self.history)


@dataclass(frozen=True)
class Share:
    """One worker's place among the workers of a run."""

    rank: int = 0
    world_size: int = 1
    reduce: Reduce = lambda tensor: tensor
    device: torch.device = torch.device("cpu")  # noqa: RUF009, a torch.device cannot be changed


def start_state(settings: TrainSettings, examples: Examples, *, num_labels: int, device: torch.device) -> FitState:
    """A fresh network, the same on every worker and whatever the device, and its optimizer.

    The network standardises its input by the mean and spread of each feature over the training windows.
    """
    train = examples.part(test=False).steps.reshape(-1, NUM_FEATURES).astype(np.float64)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)
        network = StyleLSTM(num_labels=num_labels, hidden_size=settings.hidden_size)
    network.feature_mean.copy_(torch.from_numpy(train.mean(axis=0)))
    network.feature_scale.copy_(torch.from_numpy(np.maximum(train.std(axis=0), MIN_FEATURE_SCALE)))
    network.to(device)
    # Adam's weight_decay (unlike AdamW's) adds l2_penalty * w to the gradient: sum(w^2) / 2, weighted.
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate, weight_decay=settings.l2_penalty)
    return FitState(network, optimizer)


def dump_state(state: FitState) -> bytes:
    """A checkpoint's bytes."""
    buffer = io.BytesIO()
    torch.save(
        {
            "network": state.network.state_dict(),
            "optimizer": state.optimizer.state_dict(),
            "num_steps": state.num_steps,
            "history": [asdict(result) for result in state.history],
        },
        buffer,
    )
    return buffer.getvalue()


def restore_state(state: FitState, checkpoint: bytes) -> None:
    """Nothing; `state` continues where `dump_state` was called."""
    device = state.network.classify.weight.device
    saved: dict[str, Any] = torch.load(io.BytesIO(checkpoint), map_location=device, weights_only=True)
    state.network.load_state_dict(saved["network"])
    state.optimizer.load_state_dict(saved["optimizer"])
    state.num_steps = saved["num_steps"]
    state.history = [EpochResult(**result) for result in saved["history"]]


def fit(
    state: FitState,
    examples: Examples,
    settings: TrainSettings,
    *,
    share: Share,
    on_epoch: Callable[[FitState], None],
) -> None:
    """Nothing; trains `state` up to `settings.num_epochs`, calling `on_epoch` (on every worker) after each.

    The test windows are only watched: no setting and no epoch is chosen by them. Raises DivergedError.
    """
    train = examples.part(test=False)
    test = _Batches.of(examples.part(test=True), share.device)
    while state.epoch < settings.num_epochs:
        learning_rate = _learning_rate(settings, state.epoch)
        train_loss, train_accuracy = _train_epoch(state, train, settings, share)
        test_loss, test_accuracy = _watch(state.network, test, share)
        if not np.isfinite(train_loss):
            raise DivergedError(f"the loss is {train_loss} in epoch {state.epoch + 1}; lower the learning rate")
        state.history.append(
            EpochResult(state.epoch + 1, train_loss, train_accuracy, test_loss, test_accuracy, learning_rate)
        )
        on_epoch(state)


@dataclass(frozen=True, eq=False)
class _Batches:
    steps: torch.Tensor  # (W, T, 51)
    labels: torch.Tensor  # (W,)

    @classmethod
    def of(cls, examples: Examples, device: torch.device) -> "_Batches":
        return cls(torch.from_numpy(examples.steps).to(device), torch.from_numpy(examples.label_index).to(device))


def _learning_rate(settings: TrainSettings, epoch: int) -> float:
    return settings.learning_rate * settings.learning_rate_decay ** (epoch // settings.decay_epochs)


def _train_epoch(state: FitState, train: Examples, settings: TrainSettings, share: Share) -> tuple[float, float]:
    """Mean loss and accuracy over the epoch's windows."""
    state.network.train()
    order = np.random.default_rng([settings.seed, state.epoch]).permutation(len(train))
    sums = np.zeros(2)
    for start in range(0, len(order), settings.batch_size):
        batch = order[start : start + settings.batch_size]
        rng = np.random.default_rng([settings.seed, state.epoch, start])
        steps = vary(train.steps[batch], rng) if settings.augment else train.steps[batch]
        sums += _train_step(state, steps, train.label_index[batch], settings, share)
    loss, accuracy = sums / len(order)
    return float(loss), float(accuracy)


def _train_step(
    state: FitState,
    steps: FloatArray,
    labels: npt.NDArray[np.int64],
    settings: TrainSettings,
    share: Share,
) -> npt.NDArray[np.float64]:
    """One optimizer step on the whole batch; (sum of losses, number right) over it."""
    parameters = list(state.network.parameters())
    state.optimizer.zero_grad(set_to_none=False)
    own = torch.from_numpy(np.ascontiguousarray(steps[share.rank :: share.world_size])).to(share.device)
    wanted = torch.from_numpy(labels[share.rank :: share.world_size]).to(share.device)
    tally = torch.zeros(2, device=share.device)
    if len(own):  # a last batch smaller than the number of workers leaves some without
        logits = state.network(own)
        loss = functional.cross_entropy(logits, wanted, reduction="sum")
        (loss / len(labels)).backward()
        tally = torch.stack([loss.detach(), (logits.argmax(1) == wanted).sum()])
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    summed = torch.cat([*(g.reshape(-1) for g in gradients), tally])
    share.reduce(summed)
    offset = 0
    for parameter in parameters:
        parameter.grad = summed[offset : offset + parameter.numel()].view_as(parameter)
        offset += parameter.numel()
    torch.nn.utils.clip_grad_norm_(parameters, settings.max_gradient_norm)
    for group in state.optimizer.param_groups:
        group["lr"] = _learning_rate(settings, state.epoch)
    state.optimizer.step()
    state.num_steps += 1
    return summed[offset:].double().cpu().numpy()


@torch.inference_mode()
def _watch(network: StyleLSTM, test: _Batches, share: Share) -> tuple[float, float]:
    """Mean loss and accuracy on the test windows, shared among the workers like a batch."""
    network.eval()
    sums = torch.zeros(2, device=share.device)
    steps, labels = (t[share.rank :: share.world_size] for t in (test.steps, test.labels))
    if len(labels):
        pairs = zip(steps.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True)
        for batch, wanted in pairs:
            logits = network(batch)
            loss = functional.cross_entropy(logits, wanted, reduction="sum")
            sums += torch.stack([loss, (logits.argmax(1) == wanted).sum()])
    share.reduce(sums)
    loss_sum, num_right = sums.tolist()
    return loss_sum / len(test.labels), num_right / len(test.labels)
