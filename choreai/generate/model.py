"""A generator on disk: one .safetensors file whose metadata say what it was trained on and how."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any, Self

import safetensors.torch
import torch
from safetensors import SafetensorError

from choreai.errors import WeightsError
from choreai.generate.network import Denoiser

FORMAT = "choreai generator"
SHIPPED = "generator.safetensors"


@dataclass(frozen=True)
class GeneratorConfig:
    """The network's size and what it knows."""

    labels: tuple[str, ...]
    num_frames: int = 75
    size: int = 160
    num_layers: int = 6
    num_heads: int = 5
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """What it learned from, in JSON values: source, seed, steps, number of dances."""

    def __post_init__(self) -> None:
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be different names, got {list(self.labels)}")
        for name, most in (("num_frames", 3000), ("size", 4096), ("num_layers", 64), ("num_heads", 64)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 1 to {most}, got {getattr(self, name)}")
        if self.size % (2 * self.num_heads):
            raise ValueError(f"size must divide by twice num_heads ({self.num_heads}), got {self.size}")

    def build(self) -> Denoiser:
        return Denoiser(
            num_styles=len(self.labels), num_frames=self.num_frames,
            size=self.size, num_layers=self.num_layers, num_heads=self.num_heads,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Generator:
    """A trained denoiser and the scale of its numbers."""

    config: GeneratorConfig
    weights: Mapping[str, torch.Tensor]
    mean: torch.Tensor
    """(NUM_FEATURES,)."""
    deviation: torch.Tensor
    """(NUM_FEATURES,)."""

    @cached_property
    def network(self) -> Denoiser:
        network = self.config.build()
        network.load_state_dict({name: values.float() for name, values in self.weights.items()})
        return network.eval().requires_grad_(False)

    def normalise(self, features: torch.Tensor) -> torch.Tensor:
        return (features - self.mean) / self.deviation

    def scale(self, normalised: torch.Tensor) -> torch.Tensor:
        return normalised * self.deviation + self.mean

    def to_bytes(self) -> bytes:
        """Return the file: in half precision."""
        tensors = {name: values.half().contiguous() for name, values in self.weights.items()}
        tensors |= {"scale.mean": self.mean.float(), "scale.deviation": self.deviation.float()}
        return safetensors.torch.save(tensors, {"format": FORMAT, "config": json.dumps(asdict(self.config))})

    @classmethod
    def from_bytes(cls, data: bytes, *, name: str) -> Self:
        """Return the generator in a file's bytes. Raises WeightsError if they are none."""
        try:
            tensors = safetensors.torch.load(data)
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
            if header.get("format") != FORMAT:
                raise WeightsError(f"{name}: not a generator of choreai; train one with `choreai train-generator`")
            values = json.loads(header["config"])
            config = GeneratorConfig(**{**values, "labels": tuple(values["labels"])})
            mean, deviation = tensors.pop("scale.mean"), tensors.pop("scale.deviation")
            generator = cls(config, tensors, mean, deviation)
            _ = generator.network
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError, json.JSONDecodeError) as exc:
            raise WeightsError(f"{name}: not a generator of choreai ({str(exc).splitlines()[0]})") from exc
        return generator


def shipped_generator() -> Generator:
    """Return the generator of the demo's three styles that comes with choreai; all its dancers are made up."""
    return Generator.from_bytes((resources.files("choreai.generate") / SHIPPED).read_bytes(), name=SHIPPED)
