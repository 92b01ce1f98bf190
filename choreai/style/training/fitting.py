"""The training loop of one worker: an ordinary function on arrays, without Ray.

One network per fold, one after the other. All workers go through the same seeded batches; worker r takes every
world_size-th window of each. Gradients are sums over windows divided by the whole batch's size, and dropout is drawn
for the whole batch, so the result does not depend, beyond float rounding, on how many workers share the work.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from choreai.arrays import FloatArray, IntArray
from choreai.style.examples import Examples, Inputs
from choreai.style.history import EpochResult
from choreai.style.settings import TrainSettings
from choreai.style.training.augment import vary
from choreai.style.training.dropout import RowDropout
from choreai.style.training.fit_state import FitState, Member, new_member, on_cpu
from choreai.style.training.split import num_folds_of, roles_of

EVALUATION_BATCH = 256

Reduce = Callable[[torch.Tensor], object]
"""Sums a tensor over all workers, in place."""
Tensors = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""The arguments of a network: steps, xyz, features."""


class DivergedError(ArithmeticError):
    """The loss is no longer a finite number."""


@dataclass(frozen=True)
class WorkerShare:
    """One worker's place among the workers of a run."""

    rank: int = 0
    world_size: int = 1
    reduce: Reduce = lambda tensor: tensor
    device: torch.device = torch.device("cpu")  # noqa: RUF009, a torch.device cannot be changed

    @property
    def own(self) -> slice:
        """The worker's own windows of a batch."""
        return slice(self.rank, None, self.world_size)


def fit(
    state: FitState,
    examples: Examples,
    settings: TrainSettings,
    *,
    num_labels: int,
    num_members: int | None = None,
    share: WorkerShare,
    on_epoch: Callable[[FitState], None],
) -> None:
    """Train the networks that `state` lacks, calling `on_epoch` (on every worker) after each epoch.

    The network of a fold never sees that fold's windows. `num_members` None: one network for every fold. Raises
    DivergedError.
    """
    while (index := len(state.done)) < (num_members or num_folds_of(examples)):
        roles = roles_of(examples, index, with_validation=settings.patience_epochs > 0)
        train = _Windows(examples.take(roles.train), settings, num_labels=num_labels, device=share.device)
        validation = _Windows(examples.take(roles.validation), settings, num_labels=num_labels, device=share.device)
        member = state.member
        if member is None:
            member = new_member(settings, index=index, num_labels=num_labels, train=train.inputs, device=share.device)
            state.member = member
        while state.member is not None:
            state.history.append(_epoch(member, train, validation, settings, index=index, share=share))
            if _is_finished(member, settings):
                state.done.append(member.weights())
                state.member = None
            on_epoch(state)


class _Windows:
    """Labelled windows on the device, to be drawn as batches."""

    def __init__(self, examples: Examples, settings: TrainSettings, *, num_labels: int, device: torch.device) -> None:
        self.inputs = examples.inputs
        self._tensors = tensors_of(examples.inputs, device)
        self._device = device
        self.labels = torch.from_numpy(examples.label_index).to(device)
        self.weights = torch.from_numpy(_window_weights(examples.label_index, settings, num_labels)).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, rows: IntArray) -> Tensors:
        """Return the inputs of these windows."""
        at = torch.from_numpy(rows).to(self._device)
        steps, xyz, features = (tensor[at] for tensor in self._tensors)
        return steps, xyz, features

    def varied_batch(self, rows: IntArray, rng: np.random.Generator, *, own: slice) -> Tensors:
        """Return the own part of a variation of the whole batch, drawn for all: the same for any share."""
        return tensors_of(vary(self.inputs.take(rows), rng).take(own), self._device)


def tensors_of(inputs: Inputs, device: torch.device) -> Tensors:
    """Return the arguments of a network's `forward`."""
    steps, xyz, features = (
        torch.from_numpy(np.ascontiguousarray(array)).to(device)
        for array in (inputs.steps, inputs.xyz, inputs.kinematic_features)
    )
    return steps, xyz, features


def _window_weights(label_index: IntArray, settings: TrainSettings, num_labels: int) -> FloatArray:
    """Return (W,) weights with mean 1."""
    if not settings.balance_classes:
        return np.ones(len(label_index), np.float32)
    num_windows = np.bincount(label_index, minlength=num_labels)
    of_class = len(label_index) / np.maximum(np.count_nonzero(num_windows) * num_windows, 1)
    return of_class[label_index].astype(np.float32)


def _is_finished(member: Member, settings: TrainSettings) -> bool:
    waited = member.epoch - member.best_epoch if member.best_epoch else 0
    return member.epoch >= settings.num_epochs or waited >= settings.patience_epochs > 0


def _epoch(
    member: Member, train: _Windows, validation: _Windows, settings: TrainSettings, *, index: int, share: WorkerShare
) -> EpochResult:
    learning_rate = _learning_rate(settings, member.epoch)
    for group in member.optimizer.param_groups:
        group["lr"] = learning_rate
    train_loss, train_accuracy = _train_epoch(member, train, settings, index=index, share=share)
    if not np.isfinite(train_loss):
        raise DivergedError(f"the loss is {train_loss} in epoch {member.epoch + 1}; lower the learning rate")
    member.epoch += 1
    validation_loss, validation_accuracy = None, None
    if len(validation):
        validation_loss, validation_accuracy = _validate(member.average, validation, share)
        if validation_loss < member.best_loss:
            member.best_epoch, member.best_loss = member.epoch, validation_loss
            member.best_weights = on_cpu(member.average.state_dict())
    return EpochResult(
        member=index,
        epoch=member.epoch,
        train_loss=train_loss,
        train_accuracy=train_accuracy,
        validation_loss=validation_loss,
        validation_accuracy=validation_accuracy,
        learning_rate=learning_rate,
    )


def _learning_rate(settings: TrainSettings, epoch: int) -> float:
    if settings.schedule == "stairs":
        return settings.learning_rate * settings.learning_rate_decay ** (epoch // settings.decay_epochs)
    return settings.learning_rate * float(1 + np.cos(np.pi * epoch / settings.num_epochs)) / 2


def _train_epoch(
    member: Member, train: _Windows, settings: TrainSettings, *, index: int, share: WorkerShare
) -> tuple[float, float]:
    """Return mean loss and accuracy over the epoch's windows."""
    member.network.train()
    seeds = [settings.seed, index, member.epoch]
    order = np.random.default_rng(seeds).permutation(len(train))
    generator = torch.Generator(share.device)
    sums = torch.zeros(2, dtype=torch.float64, device=share.device)
    for start in range(0, len(order), settings.batch_size):
        rows = order[start : start + settings.batch_size]
        own = rows[share.own]
        tally = torch.zeros(2, device=share.device)
        member.optimizer.zero_grad(set_to_none=False)
        if len(own):  # a last batch smaller than the number of workers leaves some without
            rng = np.random.default_rng([*seeds, start])
            generator.manual_seed(int(rng.integers(2**63)))
            _draw_dropout(member.network, generator, num_rows=len(rows), own=share.own)
            batch = train.varied_batch(rows, rng, own=share.own) if settings.augment else train.batch(own)
            at = torch.from_numpy(own).to(share.device)
            tally = _backward(member.network, batch, train.labels[at], train.weights[at], settings, len(rows))
        sums += _update(member, tally, settings, share)
    loss, accuracy = (sums / len(order)).tolist()
    return loss, accuracy


def _draw_dropout(network: nn.Module, generator: torch.Generator, *, num_rows: int, own: slice) -> None:
    for module in network.modules():
        if isinstance(module, RowDropout):
            module.draw_from(generator, num_rows=num_rows, own=own)


def _backward(
    network: nn.Module,
    batch: Tensors,
    labels: torch.Tensor,
    weights: torch.Tensor,
    settings: TrainSettings,
    num_rows: int,
) -> torch.Tensor:
    """Return (2,) sum of losses and number right; adds the gradients of the loss over the whole batch's `num_rows`."""
    with torch.autocast(labels.device.type, torch.bfloat16, enabled=labels.device.type == "cuda"):
        logits = network(*batch)
    losses = functional.cross_entropy(
        logits.float(), labels, reduction="none", label_smoothing=settings.label_smoothing
    )
    loss = (losses * weights).sum()
    (loss / num_rows).backward()
    return torch.stack([loss.detach(), (logits.argmax(1) == labels).sum()])


def _update(member: Member, tally: torch.Tensor, settings: TrainSettings, share: WorkerShare) -> torch.Tensor:
    """Take one optimizer step by the sum of all gradients, and return the tally over all workers."""
    parameters = list(member.network.parameters())
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    summed = torch.cat([*(g.reshape(-1) for g in gradients), tally])
    share.reduce(summed)
    offset = 0
    for parameter in parameters:
        parameter.grad = summed[offset : offset + parameter.numel()].view_as(parameter)
        offset += parameter.numel()
    torch.nn.utils.clip_grad_norm_(parameters, settings.max_gradient_norm)
    member.optimizer.step()
    member.num_steps += 1
    # Otherwise the average would at first consist mostly of the random initial weights.
    decay = min(settings.average_decay, member.num_steps / (member.num_steps + 10))
    with torch.no_grad():
        for average, parameter in zip(member.average.parameters(), parameters, strict=True):
            average.lerp_(parameter, 1 - decay)
    return summed[offset:]


@torch.no_grad()
def _validate(network: nn.Module, windows: _Windows, share: WorkerShare) -> tuple[float, float]:
    """Return mean loss and accuracy, computed by all workers like a batch."""
    sums = torch.zeros(2, device=share.device)
    for rows in torch.arange(len(windows))[share.own].split(EVALUATION_BATCH):
        if len(rows):
            logits, wanted = network(*windows.batch(rows.numpy())), windows.labels[rows]
            loss = functional.cross_entropy(logits, wanted, reduction="sum")
            sums += torch.stack([loss, (logits.argmax(1) == wanted).sum()])
    share.reduce(sums)
    loss_sum, num_right = sums.tolist()
    return loss_sum / len(windows), num_right / len(windows)
