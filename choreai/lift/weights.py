"""A lifter's weights: one .safetensors file in half precision, which says in its metadata how it was made.

The one that comes with the package was trained on generated dancers and random movement alone, so its licence is the
project's own; docs/lift.md has the command.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from choreai.errors import StorageError, WeightsError
from choreai.lift.network import LifterNetwork
from choreai.storage.files import write_atomically

SHIPPED = Path(__file__).with_name("lifter.safetensors")
KIND = "choreai lifter 1"
"""In the metadata: what the file is, and of which network."""


@dataclass(frozen=True, eq=False)
class Lifter:
    """A trained network and what is known of it."""

    network: LifterNetwork
    version: str
    """`lifter-` and a hash of the weights."""
    about: Mapping[str, str]
    """The file's metadata: command, data, licence, figures."""


def load_lifter(path: Path | None = None) -> Lifter:
    """Return the lifter in the file at `path`, or the one that comes with the package.

    Raises WeightsError for a file that is none, StorageError for one that cannot be read.
    """
    return _load(path or SHIPPED)


@cache
def _load(path: Path) -> Lifter:
    try:
        with safe_open(path, framework="pt") as file:
            about = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except OSError as exc:
        raise StorageError(str(path), f"cannot be read ({exc.strerror or exc})") from exc
    except SafetensorError as exc:
        raise WeightsError(f"{path}: no .safetensors file ({exc}); give one that `choreai train-lifter` wrote") from exc
    if about.get("kind") != KIND:
        raise WeightsError(f"{path}: no lifter of this release; give a file that `choreai train-lifter` wrote")
    try:
        network = LifterNetwork(len(tensors["inlet.bias"]))
        network.load_state_dict({name: _widened(tensor) for name, tensor in tensors.items()})
    except (KeyError, RuntimeError) as exc:
        raise WeightsError(f"{path}: the weights do not fit the network; train it again") from exc
    return Lifter(network.eval(), f"lifter-{_hash(tensors)}", about)


def _hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return 12 hex digits; the file's own bytes would not do, as its metadata come in any order."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        digest.update(name.encode() + tensors[name].numpy().tobytes())
    return digest.hexdigest()[:12]


def _widened(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor


def save_lifter(network: LifterNetwork, path: Path, about: Mapping[str, str]) -> None:
    """Write the weights in half precision. The file appears once it is complete. Raises StorageError."""
    halves = {
        name: (tensor.half() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in network.state_dict().items()
    }
    try:
        with write_atomically(path) as temporary:
            save_file(halves, temporary, metadata={"kind": KIND, **about})
    except OSError as exc:
        raise StorageError(str(path), f"cannot be written ({exc.strerror})") from exc
