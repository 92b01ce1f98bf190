"""A detector's weights from bytes: opened without running code, put into a network without gaps."""

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

# What torch.load was seen to raise on bytes that are cut, altered or no checkpoint.
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


def read_weights(weights: bytes | Path | BinaryIO) -> bytes:
    """The whole file. Raises WeightsError for a path that cannot be read."""
    if isinstance(weights, bytes):
        return weights
    if not isinstance(weights, Path):
        return weights.read()
    try:
        return weights.read_bytes()
    except OSError as exc:
        raise WeightsError(f"cannot read the weights {weights}: {exc.strerror or exc}") from exc


def read_state(data: bytes) -> State:
    """The state dict in a PyTorch checkpoint, alone or under `model`. Raises WeightsError where there is none."""
    try:
        content: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UNREADABLE as exc:
        reason = (str(exc).strip().splitlines() or [type(exc).__name__])[0][:200]
        raise WeightsError(
            f"the checkpoint of {len(data)} bytes cannot be read as plain tensors ({reason}); it may be cut off, "
            "be no PyTorch checkpoint, or hold code, which is never run: fetch it again"
        ) from exc
    if isinstance(content, Mapping) and isinstance(content.get("model"), Mapping):
        content = content["model"]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"the checkpoint holds a {type(content).__name__}, not a state dict of tensors")
    state = {str(key): value for key, value in content.items()}
    if strange := [key for key, value in state.items() if not isinstance(value, torch.Tensor)]:
        raise WeightsError(f"the checkpoint's {strange[0]!r} is no tensor; a state dict under `model` was expected")
    return {key.removeprefix("module."): value for key, value in state.items()}


def load_strictly(network: nn.Module, state: State) -> None:
    """Puts the state's tensors, as float32, into a network on the meta device. Raises WeightsError for others."""
    counters = {
        key: torch.tensor(0) for key in network.state_dict() if key.endswith("num_batches_tracked") and key not in state
    }
    for key, value in state.items():
        if not torch.isfinite(value).all():
            raise WeightsError(f"the weights {key} are not finite: a broken file or training run")
    weights = {
        key: value.long() if key.endswith("num_batches_tracked") else value.float() for key, value in state.items()
    }
    try:
        network.load_state_dict({**weights, **counters}, strict=True, assign=True)
    except RuntimeError as exc:
        found = re.sub(r"\s+", " ", str(exc))
        raise WeightsError(f"the weights do not fit the network: {found[:500]}") from exc
