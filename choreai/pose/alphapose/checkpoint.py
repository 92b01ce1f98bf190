"""AlphaPose checkpoint files into networks: opened safely, recognised by shape, loaded strictly."""

import hashlib
import io
import pickle
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import torch
from torch import nn

from choreai.errors import WeightsError
from choreai.pose.alphapose.architecture import (
    LOSS_WITHOUT_CONFIG,
    Loss,
    PoseArchitecture,
    describe_differences,
    fitting_configs,
    infer_architecture,
)
from choreai.pose.alphapose.config import PoseNetworkConfig
from choreai.pose.alphapose.fastpose import FastPose, FastPoseDuc
from choreai.pose.alphapose.hrnet import PoseHighResolutionNet
from choreai.pose.alphapose.simplepose import SimplePose

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


@dataclass(frozen=True, eq=False)
class PoseNetwork:
    """A network with its weights loaded, and what to know of it."""

    module: nn.Module
    """Evaluation mode, float32, on the CPU, no gradients; see `choreai.pose.alphapose.inference.prepare`."""
    architecture: PoseArchitecture
    loss: Loss
    """Decides how heatmaps are decoded."""
    sha256: str
    """Of the checkpoint's bytes, for the pose fingerprint."""


def build_network(architecture: PoseArchitecture) -> nn.Module:
    """The network with random weights, on the default device.

    It answers heatmaps (N, K, 64, 48) of crops (N, 3, 256, 192).
    """
    num_keypoints = architecture.num_keypoints
    if architecture.type == "PoseHighResolutionNet":
        return PoseHighResolutionNet(num_keypoints=num_keypoints)
    num_layers = architecture.num_layers
    assert num_layers is not None
    if architecture.type == "SimplePose":
        return SimplePose(num_keypoints=num_keypoints, num_layers=num_layers)
    if architecture.type == "FastPose_DUC":
        assert architecture.backbone is not None
        return FastPoseDuc(num_keypoints=num_keypoints, num_layers=num_layers, backbone=architecture.backbone)
    assert architecture.conv_dim is not None
    return FastPose(
        num_keypoints=num_keypoints,
        num_layers=num_layers,
        conv_dim=architecture.conv_dim,
        deformable=architecture.deformable,
    )


def load_pose_network(checkpoint: bytes | Path | BinaryIO, *, config: PoseNetworkConfig | None = None) -> PoseNetwork:
    """The network that a checkpoint's shapes describe, with the checkpoint's weights.

    A config is checked against the checkpoint; without one, the loss is that of the public checkpoints with
    as many keypoints. Raises WeightsError for a file that is cut, holds code or is no pose checkpoint, for
    a config that does not fit, and for 133 or 136 keypoints without a config, whose losses differ.
    """
    data = _read_bytes(checkpoint)
    state = _read_state(data)
    architecture = infer_architecture({key: tuple(value.shape) for key, value in state.items()})
    if config is not None and (differences := describe_differences(architecture, config.architecture)):
        fitting = " or ".join(fitting_configs(architecture)) or "none of AlphaPose's published ones"
        raise WeightsError(
            f"the checkpoint does not fit the config: {'; '.join(differences)}; the config that fits is {fitting}"
        )
    loss = config.loss if config is not None else _usual_loss(architecture)
    with torch.device("meta"):
        module = build_network(architecture)
    _load_strictly(module, state)
    module.requires_grad_(False).eval()
    return PoseNetwork(module, architecture, loss, hashlib.sha256(data).hexdigest())


def _read_bytes(checkpoint: bytes | Path | BinaryIO) -> bytes:
    if isinstance(checkpoint, bytes):
        return checkpoint
    if not isinstance(checkpoint, Path):
        return checkpoint.read()
    try:
        return checkpoint.read_bytes()
    except OSError as exc:
        raise WeightsError(f"cannot read the checkpoint {checkpoint}: {exc.strerror or exc}") from exc


def _read_state(data: bytes) -> State:
    try:
        content: object = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except UNREADABLE as exc:
        raise WeightsError(
            f"the checkpoint of {len(data)} bytes cannot be read as plain tensors ({_first_line(exc)}); "
            "it may be cut off, be no PyTorch checkpoint, or hold code, which is never run: fetch it again, "
            "or save its state_dict() alone"
        ) from exc
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"the checkpoint holds a {type(content).__name__}, not a state dict of tensors")
    state = {str(key): value for key, value in content.items()}
    if strange := [key for key, value in state.items() if not isinstance(value, torch.Tensor)]:
        raise WeightsError(f"the checkpoint's {strange[0]!r} is no tensor; save the network's state_dict() alone")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _usual_loss(architecture: PoseArchitecture) -> Loss:
    loss = LOSS_WITHOUT_CONFIG.get(architecture.num_keypoints)
    if loss is None:
        fitting = " or ".join(fitting_configs(architecture)) or "its training config"
        raise WeightsError(
            f"a checkpoint with {architecture.num_keypoints} keypoints does not say how its heatmaps are "
            f"read; give its config too: {fitting}"
        )
    return loss


def _load_strictly(module: nn.Module, state: State) -> None:
    """Puts the state's tensors into a network on the meta device."""
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
        raise WeightsError(f"the checkpoint's {key} has values that are not finite: a broken file or training run")
    return value.float()


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0][:200] if text else type(error).__name__
