"""The style model: network, settings, and how both are kept in storage.

A model is a folder of two objects: `model.safetensors` (weights) and `model.json` (all the rest). Nothing is
ever unpickled, so a model from somebody else can be wrong but not run code.
"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from choreai.errors import ObjectMissingError, WeightsError
from choreai.motion.windows import NUM_FEATURES, WindowSettings
from choreai.store import objects

FloatArray = npt.NDArray[np.float32]

MODEL_FORMAT = "choreai style model"
MODEL_SCHEMA_VERSION = 1
WEIGHTS_NAME = "model.safetensors"
DESCRIPTION_NAME = "model.json"
MAX_HIDDEN_SIZE = 4096
BATCH_SIZE = 256
"""Windows per forward pass when scoring: a batch of 256 takes about 30 MB of activations."""


@dataclass(frozen=True)
class StyleModelConfig:
    """What a style model is made for; with the weights it decides every score."""

    labels: tuple[str, ...]
    """Class names, in the order of the scores."""
    pose_fingerprint: str
    """Of the keypoints it was trained on: others may have another skeleton, score scale or noise."""
    hidden_size: int
    windows: WindowSettings

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be two or more different names, got {list(self.labels)}")
        if not 1 <= self.hidden_size <= MAX_HIDDEN_SIZE:
            raise ValueError(f"hidden_size must be 1 to {MAX_HIDDEN_SIZE}, got {self.hidden_size}")

    @property
    def window_shape(self) -> tuple[int, int]:
        """(steps, features) of one window."""
        return self.windows.num_steps, NUM_FEATURES


class StyleLSTM(nn.Module):
    """Linear with ReLU, two LSTM layers one on the other, and a linear layer on the last step's output.

    Features are standardised first: `feature_mean` and `feature_scale` (51,) are of the training windows.
    """

    feature_mean: torch.Tensor
    feature_scale: torch.Tensor

    def __init__(self, *, num_labels: int, hidden_size: int) -> None:
        super().__init__()
        self.register_buffer("feature_mean", torch.zeros(NUM_FEATURES))
        self.register_buffer("feature_scale", torch.ones(NUM_FEATURES))
        self.embed = nn.Linear(NUM_FEATURES, hidden_size)
        self.lstm = nn.LSTM(hidden_size, hidden_size, num_layers=2, batch_first=True)
        self.classify = nn.Linear(hidden_size, num_labels)

    def forward(self, steps_WTF: torch.Tensor) -> torch.Tensor:
        """(W, labels) logits of (W, T, 51) windows."""
        standard_WTF = (steps_WTF - self.feature_mean) / self.feature_scale
        hidden_WTH, _ = self.lstm(torch.relu(self.embed(standard_WTF)))
        return self.classify(hidden_WTH[:, -1])


@dataclass(frozen=True, eq=False)
class StyleModel:
    """A trained network with all that is needed to use it."""

    network: StyleLSTM
    config: StyleModelConfig
    training: Mapping[str, Any] = field(default_factory=dict)
    """How it came about, JSON values (`choreai.style.training` writes it): for people, not for the scores."""
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def model_version(self) -> str:
        """`lstm-` and 12 hex digits of SHA-256 over weights and config: same training, same name."""
        digest = hashlib.sha256(json.dumps(dataclasses.asdict(self.config), sort_keys=True).encode())
        for name, weights in sorted(_weights(self.network).items()):
            digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
            digest.update(weights.numpy().tobytes())
        return f"lstm-{digest.hexdigest()[:12]}"

    def window_scores(self, steps: FloatArray) -> FloatArray:
        """(W, labels) probabilities of (W, num_steps, 51) windows; each row sums to 1."""
        if steps.shape[1:] != self.config.window_shape:
            raise ValueError(f"windows must be (W, {', '.join(map(str, self.config.window_shape))}), got {steps.shape}")
        self.network.eval()
        device = self.network.classify.weight.device
        with torch.inference_mode():
            batches = [
                torch.softmax(self.network(batch.to(device)), dim=1).cpu()
                for batch in torch.from_numpy(steps).split(BATCH_SIZE)
            ]
        return torch.cat(batches).numpy() if len(steps) else np.zeros((0, len(self.config.labels)), np.float32)


def save_model(folder_uri: str, model: StyleModel) -> None:
    """Nothing; writes the model under `folder_uri`, the description last: a folder with one is complete.

    What is there stays: a folder named after the model's version can only hold the same model.
    """
    description = {
        "format": MODEL_FORMAT,
        "schema_version": MODEL_SCHEMA_VERSION,
        "model_version": model.model_version,
        "created_at": model.created_at,
        "config": dataclasses.asdict(model.config),
        "training": dict(model.training),
    }
    weights = safetensors.torch.save(_weights(model.network))
    objects.put_if_absent(objects.join_uri(folder_uri, WEIGHTS_NAME), weights)
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    objects.put_if_absent(objects.join_uri(folder_uri, DESCRIPTION_NAME), text.encode())


def load_model(folder_uri: str) -> StyleModel:
    """The model that `save_model` put under `folder_uri`, on the CPU.

    Raises WeightsError for anything else: a pickle, another format or version, weights that do not fit the
    config, a damaged file.
    """
    suffix = PurePosixPath(folder_uri).suffix
    if suffix in (".pth", ".pt", ".pkl", ".bin", ".ckpt", ".safetensors", ".json"):
        raise WeightsError(
            f"{folder_uri}: a style model is a folder with {DESCRIPTION_NAME} and {WEIGHTS_NAME}, as "
            f"`choreai train` writes it; give that ({suffix} files of other programs are never unpickled)"
        )
    description = _read_description(folder_uri)
    config = _config_of(description, folder_uri)
    with torch.device("meta"):  # no memory for sizes that the weights do not have
        network = StyleLSTM(num_labels=len(config.labels), hidden_size=config.hidden_size)
    _load_weights(network, folder_uri)
    training, created_at = description.get("training", {}), str(description.get("created_at", ""))
    model = StyleModel(network, config, training=training, created_at=created_at)
    if model.model_version != description.get("model_version"):
        raise WeightsError(
            f"{folder_uri}: {DESCRIPTION_NAME} names {description.get('model_version')!r}, but weights and "
            f"config are those of {model.model_version!r}; the folder was changed: copy or train it again"
        )
    return model


def newest_model(output: str) -> str | None:
    """The URI of the model under `output`/models that was trained last, None if there is none."""
    found = [
        (str(_read_description(folder).get("created_at", "")), folder)
        for info in objects.list_objects(objects.join_uri(output, "models") + "/")
        if info.uri.endswith(f"/{DESCRIPTION_NAME}")
        for folder in [info.uri.removesuffix(f"/{DESCRIPTION_NAME}")]
    ]
    return max(found)[1] if found else None


def _weights(network: StyleLSTM) -> dict[str, torch.Tensor]:
    return {name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()}


def _read_part(folder_uri: str, name: str) -> bytes:
    try:
        return objects.read_object(objects.join_uri(folder_uri, name))
    except ObjectMissingError as exc:
        raise WeightsError(
            f"{folder_uri}: there is no {name} here; give a model folder that `choreai train` wrote"
        ) from exc


def _read_description(folder_uri: str) -> dict[str, Any]:
    try:
        description = json.loads(_read_part(folder_uri, DESCRIPTION_NAME))
    except ValueError as exc:  # also bytes that are not UTF-8
        raise WeightsError(f"{folder_uri}: {DESCRIPTION_NAME} is not readable as JSON ({exc})") from exc
    found = description.get("format") if isinstance(description, dict) else None
    if found != MODEL_FORMAT:
        raise WeightsError(f"{folder_uri}: {DESCRIPTION_NAME} has format {found!r}, not {MODEL_FORMAT!r}")
    if description.get("schema_version") != MODEL_SCHEMA_VERSION:
        raise WeightsError(
            f"{folder_uri}: model schema version {description.get('schema_version')!r}, but this release "
            f"reads version {MODEL_SCHEMA_VERSION}; train again, or use the release that wrote it"
        )
    return description


def _config_of(description: Mapping[str, Any], folder_uri: str) -> StyleModelConfig:
    try:
        raw = dict(description["config"])
        windows = WindowSettings(**raw.pop("windows"))
        return StyleModelConfig(labels=tuple(raw.pop("labels")), windows=windows, **raw)
    except (KeyError, TypeError, ValueError) as exc:
        raise WeightsError(f"{folder_uri}: the config in {DESCRIPTION_NAME} is wrong: {exc}") from exc


def _load_weights(network: StyleLSTM, folder_uri: str) -> None:
    try:
        weights = safetensors.torch.load(_read_part(folder_uri, WEIGHTS_NAME))
    except SafetensorError as exc:
        raise WeightsError(
            f"{folder_uri}: {WEIGHTS_NAME} is not a whole safetensors file ({exc}); copy or train it again"
        ) from exc
    expected = {name: (tuple(t.shape), t.dtype) for name, t in network.state_dict().items()}
    found = {name: (tuple(t.shape), t.dtype) for name, t in weights.items()}
    if found != expected:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise WeightsError(
            f"{folder_uri}: {WEIGHTS_NAME} does not fit the config; missing, extra or misshapen: {wrong}"
        )
    if not all(bool(torch.isfinite(t).all()) for t in weights.values()):
        raise WeightsError(f"{folder_uri}: {WEIGHTS_NAME} holds values that are not finite; train again")
    network.load_state_dict(weights, assign=True)
