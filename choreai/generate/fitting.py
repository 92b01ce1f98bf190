"""The loop that trains a generator, the same in one process and on every worker of Ray Train."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import safetensors.torch
import torch
from torch import nn

from choreai.generate.dances import Windows
from choreai.generate.diffusion import training_loss
from choreai.generate.model import Generator, GeneratorConfig

EMA = 0.995
"""The weights that are kept follow the trained ones by one part in 200 a step, which averages their noise out."""
WARM_UP = 100
"""Steps over which the learning rate rises."""


@dataclass(frozen=True)
class FitSettings:
    """How long and how fast."""

    num_steps: int = 3000
    batch_size: int = 32
    learning_rate: float = 6e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("num_steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate must be between 0 and 1, got {self.learning_rate}")
        if self.seed < 0:
            raise ValueError(f"seed must not be negative, got {self.seed}")


@dataclass(frozen=True)
class Share:
    """This worker's part of every batch."""

    rank: int = 0
    num_workers: int = 1
    wrap: Callable[[nn.Module], nn.Module] = lambda network: network
    """Makes the gradients common to all workers."""


class FitState:
    """A training under way: network, average and optimizer; all that a later process needs to go on."""

    def __init__(self, config: GeneratorConfig, settings: FitSettings, share: Share) -> None:
        torch.manual_seed(settings.seed)
        self.step = 0
        self.network = config.build()
        self.wrapped = share.wrap(self.network)
        self.average = {name: values.clone() for name, values in self.network.state_dict().items()}
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=settings.learning_rate, weight_decay=1e-3)

    def to_bytes(self) -> bytes:
        """Return it as .safetensors: nothing of it is ever unpickled."""
        tensors = {f"network.{name}": values.contiguous() for name, values in self.network.state_dict().items()}
        tensors |= {f"average.{name}": values.contiguous() for name, values in self.average.items()}
        for number, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{number}.{name}": value.clone() for name, value in values.items()}
        return safetensors.torch.save(tensors, {"step": str(self.step)})

    def load(self, data: bytes, *, step: int) -> Self:
        """Take over what `to_bytes` wrote after `step`."""
        tensors = safetensors.torch.load(data)

        def part(name: str) -> dict[str, torch.Tensor]:
            return {key.removeprefix(name): values for key, values in tensors.items() if key.startswith(name)}

        self.network.load_state_dict(part("network."))
        self.average = part("average.")
        state = self.optimizer.state_dict()
        state["state"] = {
            number: part(f"optimizer.{number}.") for number in range(len(state["param_groups"][0]["params"]))
        }
        self.optimizer.load_state_dict(state)
        self.step = step
        return self


def fit(
    state: FitState,
    windows: Windows,
    settings: FitSettings,
    *,
    share: Share | None = None,
    on_step: Callable[[FitState, float], None] = lambda state, loss: None,
) -> None:
    """Go on training until `settings.num_steps` are done; `on_step` is told each step's loss.

    What is drawn in a step depends on seed, rank and step alone, so that a training that was stopped ends as if it had
    not been. Raises FloatingPointError if the loss does not stay finite.
    """
    share = share or Share()
    while state.step < settings.num_steps:
        loss = _step(state, windows, settings, share)
        if not np.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {state.step}; use a lower learning rate")
        on_step(state, loss)


def _step(state: FitState, windows: Windows, settings: FitSettings, share: Share) -> float:
    rng = np.random.default_rng([settings.seed, share.rank, state.step])
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    clean, condition = windows.draw(max(1, settings.batch_size // share.num_workers), rng)
    loss = training_loss(
        state.wrapped, clean, condition, no_style=state.network.no_style,
        scale=lambda features: features * windows.deviation + windows.mean, generator=noise,
    )  # fmt: skip
    for group in state.optimizer.param_groups:
        group["lr"] = settings.learning_rate * _rate(state.step, settings.num_steps)
    state.optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), 1.0)
    state.optimizer.step()
    momentum = min(EMA, (1 + state.step) / (10 + state.step))
    for name, values in state.network.state_dict().items():
        state.average[name].lerp_(values, 1 - momentum)
    state.step += 1
    return float(loss.item())


def fitted(state: FitState, config: GeneratorConfig, windows: Windows) -> Generator:
    """Return the generator that a training has reached."""
    return Generator(config, state.average, windows.mean, windows.deviation)


def _rate(step: int, num_steps: int) -> float:
    """Return the factor of the learning rate: a short rise, then half a cosine."""
    return float(min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + np.cos(np.pi * step / num_steps)))
