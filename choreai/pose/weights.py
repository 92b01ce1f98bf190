"""Read network weights from files without running code, and load them into networks strictly."""

import io
import pickle
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import torch
from torch import nn

from choreai.errors import WeightsError

State = dict[str, torch.Tensor]

# Exceptions of torch.load seen on truncated, altered and unrelated files.
UNREADABLE = (
    RuntimeError,
    pickle.UnpicklingError,
    EOFError,
    ValueError,
    LookupError,
    AttributeError,
    TypeError,
    AssertionError,
    OverflowError,
    struct.error,
)


def read_weights(checkpoint: bytes | Path | BinaryIO) -> bytes:
    """Return the whole file. Raises WeightsError for a path that cannot be read."""
    if isinstance(checkpoint, bytes):
        return checkpoint
    if not isinstance(checkpoint, Path):
        return checkpoint.read()
    try:
        return checkpoint.read_bytes()
    except OSError as exc:
        raise WeightsError(f"cannot read the checkpoint {checkpoint}: {exc.strerror or exc}") from exc


def read_state(data: bytes) -> State:
    """Return a PyTorch checkpoint's state dict: bare, or under `state_dict` or `model`, with or without `module.`.

    Raises WeightsError if there is none.
    """
    try:
        content: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UNREADABLE as exc:
        raise WeightsError(
            f"the checkpoint of {len(data)} bytes cannot be read as plain tensors ({_first_line(exc)}); "
            "it may be truncated, not a PyTorch checkpoint, or contain code, which is never run: download it again, "
            "or save its state_dict() alone"
        ) from exc
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"the checkpoint contains a {type(content).__name__}, not a state dict of tensors")
    state = {str(key): value for key, value in content.items()}
    if strange := [key for key, value in state.items() if not isinstance(value, torch.Tensor)]:
        raise WeightsError(f"the checkpoint's {strange[0]!r} is not a tensor; save the network's state_dict() alone")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def load_strictly(module: nn.Module, state: State) -> None:
    """Load a state's tensors, as float32, into a network on the meta device. Raises WeightsError if they do not fit."""
    counters = {
        key: torch.tensor(0) for key in module.state_dict() if key.endswith(".num_batches_tracked") and key not in state
    }
    weights = {key: _as_float32(key, value) for key, value in state.items()}
    try:
        module.load_state_dict({**weights, **counters}, strict=True, assign=True)
    except RuntimeError as exc:
        found = re.sub(r"\s+", " ", str(exc))
        raise WeightsError(f"the checkpoint's weights do not fit the network: {found[:500]}") from exc


def _as_float32(key: str, value: torch.Tensor) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return value.long()
    if not torch.isfinite(value).all():
        raise WeightsError(f"the checkpoint's {key} has values that are not finite: the file or its training is broken")
    return value.float()


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
