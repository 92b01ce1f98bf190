"""The state of a training and its checkpoint: the finished networks and the one in training.

A style model has one network per fold (a member of the ensemble). They are trained one after the other, and a
checkpoint holds all of them, so that a resumed run repeats none.
"""

import copy
import io
import threading
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from choreai.style.examples import Inputs
from choreai.style.history import EpochResult
from choreai.style.networks import build_network
from choreai.style.settings import TrainSettings
from choreai.style.training.dropout import with_row_dropout

Weights = dict[str, torch.Tensor]
_one_at_a_time = threading.Lock()
"""New weights come from torch's own generator, which is the whole process's."""


@dataclass(eq=False)
class Member:
    """One network in training."""

    network: nn.Module
    average: nn.Module
    """Its twin with the moving average of the weights: the one that is validated and kept."""
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    """Epochs done."""
    num_steps: int = 0
    best_epoch: int = 0
    """Of the lowest validation loss; 0 as long as there is none."""
    best_loss: float = float("inf")
    best_weights: Weights = field(default_factory=dict)
    """On the CPU; empty as long as nothing was validated."""

    def weights(self) -> Weights:
        """Return the weights to keep, on the CPU: the best epoch's, or the last where nothing was validated."""
        return self.best_weights or on_cpu(self.average.state_dict())


@dataclass(eq=False)
class FitState:
    """The state of a training: a checkpoint's content."""

    done: list[Weights] = field(default_factory=list)
    """Of the finished members, on the CPU."""
    member: Member | None = None
    """None between two members."""
    history: list[EpochResult] = field(default_factory=list)


def new_member(
    settings: TrainSettings, *, index: int, num_labels: int, train: Inputs | None, device: torch.device
) -> Member:
    """Return a network with random weights, the same on every worker and whatever the device.

    It is standardised by `train`; None: not at all, because a checkpoint will follow.
    """
    with _one_at_a_time, torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.SeedSequence([settings.seed, index]).generate_state(1)[0]))
        network = build_network(
            settings.network,
            num_labels=num_labels,
            hidden_size=settings.hidden_size,
            dropout=settings.dropout,
            num_keypoints=settings.windows.num_keypoints,
        )
    if train is not None:
        network.standardise(train)
    module = with_row_dropout(network).to(device)
    return Member(module, copy.deepcopy(module).eval(), _optimizer(module, settings))


def dump_state(state: FitState) -> bytes:
    """Return the bytes of a checkpoint."""
    content: dict[str, Any] = {"done": state.done, "history": [asdict(result) for result in state.history]}
    if (member := state.member) is not None:
        content["member"] = {
            "network": member.network.state_dict(),
            "average": member.average.state_dict(),
            "optimizer": member.optimizer.state_dict(),
            "best_weights": member.best_weights,
            **{name: getattr(member, name) for name in _COUNTS},
        }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def load_state(checkpoint: bytes, settings: TrainSettings, *, num_labels: int, device: torch.device) -> FitState:
    """Return the state that `dump_state` wrote. Nothing is ever unpickled: raises `pickle.UnpicklingError`."""
    content: dict[str, Any] = torch.load(io.BytesIO(checkpoint), map_location="cpu", weights_only=True)
    state = FitState(done=content["done"], history=[EpochResult(**result) for result in content["history"]])
    if (saved := content.get("member")) is not None:
        member = new_member(settings, index=len(state.done), num_labels=num_labels, train=None, device=device)
        for name in ("network", "average", "optimizer"):
            getattr(member, name).load_state_dict(saved[name])
        member.best_weights = saved["best_weights"]
        for name in _COUNTS:
            setattr(member, name, saved[name])
        state.member = member
    return state


_COUNTS = ("epoch", "num_steps", "best_epoch", "best_loss")


def _optimizer(network: nn.Module, settings: TrainSettings) -> torch.optim.Optimizer:
    # Adam's weight_decay (unlike AdamW's) adds weight_decay * w to the gradient: sum(w^2) / 2, weighted.
    make = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return make(network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)


def on_cpu(weights: Weights) -> Weights:
    """Return copies on the CPU."""
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
