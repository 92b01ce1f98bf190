"""What our AlphaPose networks answer with weights from a fixed rule, written to networks.npz beside this.

    python tests/golden/make_golden.py

The networks were first compared with AlphaPose's own answers (`tests/test_alphapose_networks.py`, marker
`shared`); this keeps those who do not have these from changing them unnoticed. Run it only for a change that is
meant.
"""

import zlib
from pathlib import Path

import numpy as np
import torch
from torch import nn

from choreai.pose.alphapose.architecture import PoseArchitecture
from choreai.pose.alphapose.checkpoint import build_network

NETWORKS = {
    "fastpose": PoseArchitecture("FastPose", 17, 50, conv_dim=128),
    "fastpose_deformable_26": PoseArchitecture("FastPose", 26, 50, conv_dim=256, deformable=True),
    "fastpose_duc_shuffle": PoseArchitecture("FastPose_DUC", 17, 50, "shuffle"),
    "simplepose": PoseArchitecture("SimplePose", 17, 50),
    "hrnet": PoseArchitecture("PoseHighResolutionNet", 17),
}
FILE = Path(__file__).with_name("networks.npz")


def fill_tensor(key: str, shape: tuple[int, ...], *, is_batch_norm: bool) -> torch.Tensor:
    """Values that depend on key and shape alone; NumPy promises that RandomState's never change."""
    if key.endswith("num_batches_tracked"):
        return torch.tensor(1)
    uniform = np.random.RandomState(zlib.crc32(key.encode())).random_sample(shape).astype(np.float32)
    if key.endswith("running_var"):
        values = 0.5 + uniform
    elif is_batch_norm and key.endswith("weight"):
        # Small where branches are added up, or dozens of blocks would swell the values.
        added_up = any(part in key for part in ("bn3", "downsample", "fuse_layers", "branches"))
        values = (0.1 if added_up else 0.5) + 0.5 * uniform
    elif len(shape) >= 2:
        values = (uniform - 0.5) * np.sqrt(24 / np.prod(shape[1:]))
    else:
        values = (uniform - 0.5) * 0.4
    return torch.from_numpy(values.astype(np.float32))


def filled_network(architecture: PoseArchitecture) -> nn.Module:
    """The network with weights by `fill_tensor`, ready to answer."""
    with torch.device("meta"):
        network = build_network(architecture)
    shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    norms = {key.rpartition(".")[0] for key in shapes if key.endswith("running_mean")}
    weights = {
        key: fill_tensor(key, shape, is_batch_norm=key.rpartition(".")[0] in norms) for key, shape in shapes.items()
    }
    network.load_state_dict(weights, assign=True)
    return network.requires_grad_(False).eval()


def golden_input() -> torch.Tensor:
    """(1, 3, 128, 96): half of a crop's size, which the networks take as well, four times faster."""
    return torch.from_numpy(np.random.RandomState(0).random_sample((1, 3, 128, 96)).astype(np.float32) - 0.45)


def thinned(heatmaps: torch.Tensor) -> np.ndarray:
    """Every second row and column: enough to notice a change, and small enough to keep."""
    return heatmaps[..., ::2, ::2].numpy()


def main() -> None:
    with torch.inference_mode():
        answers = {name: thinned(filled_network(kind)(golden_input())) for name, kind in NETWORKS.items()}
    for name, answer in answers.items():
        print(f"{name}: {answer.shape}, mean {answer.mean():.4g}, std {answer.std():.4g}")
    np.savez_compressed(FILE, **answers)


if __name__ == "__main__":
    main()
