"""Motion embeddings: what a style model's encoders make of windows before its last layers, as vectors to compare.

Nothing in them names a style, so they also place dances that the model has no label for.
"""

from collections.abc import Sequence
from functools import cache
from typing import Protocol, cast

import numpy as np
import torch
from torch import nn

from choreai.arrays import FloatArray
from choreai.style.examples import Inputs
from choreai.tables.schemas import EMBEDDING_SIZE

BATCH_SIZE = 256
"""Windows per forward pass when scoring: a batch of 256 takes about 30 MB of activations."""


class Encoder(Protocol):
    """A network of a style model."""

    def encode(self, steps: torch.Tensor, xyz: torch.Tensor, features: torch.Tensor, /) -> torch.Tensor:
        """Return (W, D) what the last layers read."""


def embed_windows(networks: Sequence[nn.Module], inputs: Inputs) -> FloatArray:
    """Return (W, EMBEDDING_SIZE) unit vectors of W windows, by a style model's networks.

    All their encodings side by side are projected at random, the same way for every model of this size: distances
    survive that, and nothing has to be fitted or stored.
    """
    found = [np.zeros((0, EMBEDDING_SIZE), np.float32)]
    encoders = cast("Sequence[Encoder]", networks)
    for network in networks:
        network.eval()
    with torch.inference_mode():
        for start in range(0, len(inputs), BATCH_SIZE):
            part = inputs.take(slice(start, start + BATCH_SIZE))
            batch = [torch.from_numpy(array) for array in (part.steps, part.xyz, part.kinematic_features)]
            encoded = torch.cat([encoder.encode(*batch) for encoder in encoders], dim=1).numpy()
            found.append(encoded @ _projection(encoded.shape[1]))
    return unit_length(np.concatenate(found))


def embed_video(windows: FloatArray) -> FloatArray:
    """Return (EMBEDDING_SIZE,) the embedding of a video, from those of its W windows; zeros where there are none."""
    if not len(windows):
        return np.zeros(EMBEDDING_SIZE, np.float32)
    return unit_length(windows.mean(axis=0, keepdims=True))[0]


def unit_length(vectors: FloatArray) -> FloatArray:
    """Return (N, D) vectors of length 1; zeros stay zeros."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)


@cache
def _projection(size: int) -> FloatArray:
    """Return (size, EMBEDDING_SIZE) Gaussian numbers, the same in every release: RandomState's streams are frozen."""
    numbers = np.random.RandomState(0).standard_normal((size, EMBEDDING_SIZE))
    return numbers.astype(np.float32) / np.float32(np.sqrt(EMBEDDING_SIZE))
