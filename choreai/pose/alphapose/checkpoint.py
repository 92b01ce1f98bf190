"""Load AlphaPose checkpoints: opened safely, recognised by their shapes, loaded strictly."""

import hashlib
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
from choreai.pose.weights import load_strictly, read_state, read_weights


@dataclass(frozen=True, eq=False)
class PoseNetwork:
    """A network with its weights loaded, and what is needed to run it."""

    module: nn.Module
    """Evaluation mode, float32, on the CPU, no gradients; see `choreai.pose.alphapose.inference.prepare`."""
    architecture: PoseArchitecture
    loss: Loss
    """Determines how heatmaps are decoded."""
    sha256: str
    """Hash of the checkpoint file, for the pose fingerprint."""


def build_network(architecture: PoseArchitecture) -> nn.Module:
    """Return the network with random weights, on the default device.

    It maps crops (N, 3, 256, 192) to heatmaps (N, K, 64, 48).
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
    """Return the network that a checkpoint's shapes describe, with the checkpoint's weights.

    A config is checked against the checkpoint; without one, the loss is that of the public checkpoints with
    as many keypoints. Raises WeightsError for a file that is cut, holds code or is no pose checkpoint, for
    a config that does not fit, and for 133 or 136 keypoints without a config, whose losses differ.
    """
    data = read_weights(checkpoint)
    state = read_state(data)
    architecture = infer_architecture({key: tuple(value.shape) for key, value in state.items()})
    if config is not None and (differences := describe_differences(architecture, config.architecture)):
        fitting = " or ".join(fitting_configs(architecture)) or "none of AlphaPose's published ones"
        raise WeightsError(
            f"the checkpoint does not fit the config: {'; '.join(differences)}; the config that fits is {fitting}"
        )
    loss = config.loss if config is not None else _usual_loss(architecture)
    with torch.device("meta"):
        module = build_network(architecture)
    load_strictly(module, state)
    module.requires_grad_(False).eval()
    return PoseNetwork(module, architecture, loss, hashlib.sha256(data).hexdigest())


def _usual_loss(architecture: PoseArchitecture) -> Loss:
    loss = LOSS_WITHOUT_CONFIG.get(architecture.num_keypoints)
    if loss is None:
        fitting = " or ".join(fitting_configs(architecture)) or "its training config"
        raise WeightsError(
            f"a checkpoint with {architecture.num_keypoints} keypoints does not determine how its heatmaps are "
            f"decoded; give its config too (--cfg, or config in a job's settings): {fitting}"
        )
    return loss
