"""The style model: networks, settings, and how both are stored.

A model is a folder of two objects: `model.safetensors` (weights) and `model.json` (everything else). Nothing is ever
unpickled, so a model from somebody else can be wrong but cannot run code.
"""

import dataclasses
import hashlib
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, get_args

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from choreai.arrays import Float64Array, FloatArray
from choreai.errors import ChoreaiWarning, ObjectMissingError, WeightsError
from choreai.motion.reasons import StyleReference
from choreai.motion.windows import WindowSettings
from choreai.storage import objects
from choreai.storage.uris import shorten
from choreai.style.embedding import BATCH_SIZE, embed_windows
from choreai.style.examples import Inputs
from choreai.style.networks import build_network
from choreai.style.settings import NetworkKind
from choreai.style.taught import TaughtStyle
from choreai.style.taxonomy import check_parents, taxonomy_version

MODEL_FORMAT = "choreai style model"
MODEL_SCHEMA_VERSION = 2
WEIGHTS_NAME = "model.safetensors"
DESCRIPTION_NAME = "model.json"
MAX_HIDDEN_SIZE = 4096
MAX_MEMBERS = 100
MAX_LABELS = 10_000
MAX_STEPS = 10_000
"""Steps of a window: 100 million would ask for 25 GiB before the first video is tagged."""
MAX_WINDOW_SECONDS = 3600.0
MAX_DESCRIPTION_BYTES = 64 << 20
MAX_WEIGHTS_BYTES = 4 << 30


@dataclass(frozen=True)
class StyleModelConfig:
    """What a style model is for; together with the weights it decides every score and tag."""

    labels: tuple[str, ...]
    """Class names, in the order of the scores."""
    pose_fingerprint: str
    """Of the keypoints it was trained on: others may have another skeleton, score scale or noise."""
    windows: WindowSettings
    network: NetworkKind
    hidden_size: int
    num_members: int
    """Networks, one per fold of the training videos; their probabilities are averaged."""
    parents: Mapping[str, str] = field(default_factory=dict)
    """By style, the style it is a kind of, where there is one; a parent may have a parent."""
    taxonomy_version: str = ""
    """Empty: a hash of labels and parents."""
    temperature: float = 1.0
    """Log scores are divided by it to become calibrated probabilities."""
    unknown_below: float = 0.0
    """A tag with a lower calibrated score is "unknown"."""
    target_precision: float | None = None
    """The share of the tags that are not "unknown" that should be right; `unknown_below` was chosen for it."""
    novelty: Mapping[str, Any] | None = None
    """The limits of the training videos' movement (`choreai.style.novelty`), JSON values; None: no limit."""
    references: Mapping[str, StyleReference] = field(default_factory=dict)
    """By label, the measurements of its videos, for the reasons given with a tag."""
    taught: Mapping[str, TaughtStyle] = field(default_factory=dict)
    """By label the styles added by examples, the last of `labels` in this order; the networks do not know them."""

    def __post_init__(self) -> None:
        if len(self.labels) < 2 or len(set(self.labels)) != len(self.labels):
            raise ValueError(f"labels must be two or more different names, got {list(self.labels)}")
        for name, most in (("hidden_size", MAX_HIDDEN_SIZE), ("num_members", MAX_MEMBERS)):
            if not 1 <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be 1 to {most}, got {getattr(self, name)}")
        if len(self.labels) > MAX_LABELS or not all(isinstance(label, str) for label in self.labels):
            raise ValueError(f"labels must be at most {MAX_LABELS} texts, got {len(self.labels)}")
        if self.windows.num_steps > MAX_STEPS:
            raise ValueError(f"windows.num_steps must be at most {MAX_STEPS}, got {self.windows.num_steps}")
        if max(self.windows.window_seconds, self.windows.context_seconds) > MAX_WINDOW_SECONDS:
            raise ValueError(f"windows and their context must be at most {MAX_WINDOW_SECONDS:g} seconds long")
        if self.network not in get_args(NetworkKind):
            raise ValueError(f"network must be one of {', '.join(get_args(NetworkKind))}, got {self.network!r}")
        if not 0 < self.temperature < float("inf"):
            raise ValueError(f"temperature must be positive, got {self.temperature}")
        if not 0 <= self.unknown_below <= 1:
            raise ValueError(f"unknown_below must be in [0, 1], got {self.unknown_below}")
        if unknown := sorted(self.references.keys() - set(self.labels)):
            raise ValueError(f"references of unknown styles {unknown}; the labels are {list(self.labels)}")
        if tuple(self.taught) != self.labels[self.num_trained :] or self.num_trained < 2:
            raise ValueError(f"the last labels must be the styles taught, {list(self.taught)}, got {list(self.labels)}")
        check_parents(self.labels, self.parents)
        if not self.taxonomy_version:
            object.__setattr__(self, "taxonomy_version", taxonomy_version(self.labels, self.parents))

    @property
    def num_trained(self) -> int:
        """The number of labels that the networks were trained on: the first ones."""
        return len(self.labels) - len(self.taught)

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON values; without what is taught where nothing is, as models had it before."""
        values = {**dataclasses.asdict(self), "windows": self.windows.to_json()}
        if not self.taught:
            del values["taught"]
        return values

    @property
    def window_shape(self) -> tuple[int, int]:
        """(steps, features) of one window."""
        return self.windows.num_steps, 3 * self.windows.num_keypoints


@dataclass(frozen=True, eq=False)
class StyleModel:
    """Trained networks with everything needed to use them."""

    networks: tuple[nn.Module, ...]
    config: StyleModelConfig
    training: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained, JSON values (`choreai.style.training.training` writes it); the scores do not depend on it."""
    created_at: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def __post_init__(self) -> None:
        if len(self.networks) != self.config.num_members:
            raise ValueError(f"there must be {self.config.num_members} networks, got {len(self.networks)}")

    @cached_property
    def model_version(self) -> str:
        """`lstm-` and 12 hex digits of SHA-256 over weights and config: same training, same name."""
        digest = hashlib.sha256(json.dumps(self.config.to_json(), sort_keys=True).encode())
        for name, weights in sorted(_weights(self.networks).items()):
            digest.update(f"{name} {weights.dtype} {tuple(weights.shape)}".encode())
            digest.update(weights.numpy().tobytes())
        return f"lstm-{digest.hexdigest()[:12]}"

    def window_log_scores(self, inputs: Inputs) -> FloatArray:
        """Return (W, labels) logarithms of the networks' mean probabilities of W windows, not calibrated.

        With taught styles it is (W, labels trained on + EMBEDDING_SIZE): the windows' motion embeddings follow, whose
        mean over a video says whether it is of one of them.
        """
        if inputs.steps.shape[1:] != self.config.window_shape:
            wanted = ", ".join(map(str, self.config.window_shape))
            raise ValueError(f"windows must be (W, {wanted}), got {inputs.steps.shape}")
        trained = log_scores_of(self.networks, inputs, num_labels=self.config.num_trained)
        if not self.config.taught:
            return trained
        return np.concatenate([trained, embed_windows(self.networks, inputs)], axis=1)

    def calibrated(self, log_scores: FloatArray) -> FloatArray:
        """Return (N, labels) probabilities from what `window_log_scores` returned for windows, or from its means over
        windows.

        Where there is no evidence for a taught style, its probability is 0 and the others' are what they were before
        it was taught.
        """
        scaled = log_scores[:, : self.config.num_trained].astype(np.float64) / self.config.temperature
        odds = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        trained = odds / odds.sum(axis=1, keepdims=True)
        if self.config.taught:
            vectors = log_scores[:, self.config.num_trained :]
            evidence = np.stack([style.evidence(vectors) for style in self.config.taught.values()], axis=1)
            return _with_taught(trained, evidence).astype(np.float32)
        return trained.astype(np.float32)


def _with_taught(trained: Float64Array, evidence: FloatArray) -> Float64Array:
    """Return (N, labels) the probabilities of the labels trained on, and of those taught where anything speaks for it:
    then of the one with the most evidence (N, taught)."""
    taught = np.zeros(evidence.shape)
    rows, best = np.arange(len(evidence)), evidence.argmax(axis=1)
    most = evidence[rows, best].astype(np.float64)
    taught[rows, best] = np.where(most > 0, 1 / (1 + np.exp(-most.clip(0, 30))), 0)
    return np.concatenate([trained * (1 - taught.sum(axis=1, keepdims=True)), taught], axis=1)


def log_scores_of(networks: Sequence[nn.Module], inputs: Inputs, *, num_labels: int) -> FloatArray:
    """Return (W, labels) logarithms of the mean of the networks' probabilities."""
    found = [np.zeros((0, num_labels), np.float32)]
    for network in networks:
        network.eval()
    device = next(networks[0].parameters()).device
    with torch.inference_mode():
        for start in range(0, len(inputs), BATCH_SIZE):
            part = inputs.take(slice(start, start + BATCH_SIZE))
            batch = [torch.from_numpy(array).to(device) for array in (part.steps, part.xyz, part.kinematic_features)]
            log_scores = torch.stack([torch.log_softmax(network(*batch), dim=1) for network in networks])
            found.append((log_scores.logsumexp(dim=0) - math.log(len(networks))).cpu().numpy())
    return np.concatenate(found)


def save_model(folder_uri: str, model: StyleModel) -> None:
    """Write the model to `folder_uri`; `model.json` is written last, so its presence marks a complete model.

    An object that is there already stays: a folder named after the model's version can only hold the same model.
    """
    description = {
        "format": MODEL_FORMAT,
        "schema_version": MODEL_SCHEMA_VERSION,
        "model_version": model.model_version,
        "created_at": model.created_at,
        "config": model.config.to_json(),
        "training": dict(model.training),
    }
    weights = safetensors.torch.save(_weights(model.networks))
    objects.put_if_absent(objects.join_uri(folder_uri, WEIGHTS_NAME), weights)
    text = json.dumps(description, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    objects.put_if_absent(objects.join_uri(folder_uri, DESCRIPTION_NAME), text.encode())


def load_model(folder_uri: str) -> StyleModel:
    """Return the model that `save_model` wrote to `folder_uri`, on the CPU.

    Raises WeightsError for anything else: a pickle, another format or version, weights that do not fit the config, a
    damaged file.
    """
    suffix = PurePosixPath(folder_uri).suffix
    if suffix in (".pth", ".pt", ".pkl", ".bin", ".ckpt", ".safetensors", ".json"):
        raise WeightsError(
            f"{folder_uri}: a style model is a folder with {DESCRIPTION_NAME} and {WEIGHTS_NAME}, as "
            f"`choreai train` writes it; give that ({suffix} files of other programs are never unpickled)"
        )
    description = read_description(folder_uri)
    config = _config_of(description, folder_uri)
    try:
        with torch.device("meta"):  # no memory for sizes that the weights do not have
            networks = tuple(
                build_network(
                    config.network,
                    num_labels=config.num_trained,
                    hidden_size=config.hidden_size,
                    dropout=0.0,
                    num_keypoints=config.windows.num_keypoints,
                )
                for _ in range(config.num_members)
            )
    except (TypeError, ValueError, RuntimeError) as exc:
        raise WeightsError(f"{folder_uri}: the config in {DESCRIPTION_NAME} fits no network: {exc}") from exc
    _load_weights(networks, folder_uri)
    training, created_at = description.get("training", {}), str(description.get("created_at", ""))
    model = StyleModel(networks, config, training=training, created_at=created_at)
    try:
        version = model.model_version
    except (RecursionError, TypeError, ValueError) as exc:
        raise WeightsError(f"{folder_uri}: the config in {DESCRIPTION_NAME} is wrong: {exc}") from exc
    if version != description.get("model_version"):
        raise WeightsError(
            f"{folder_uri}: {DESCRIPTION_NAME} names {description.get('model_version')!r}, but weights and "
            f"config are those of {version!r}; the folder was changed: copy or train it again"
        )
    return model


def newest_model(output: str) -> str | None:
    """Return the URI of the model under `output`/models that was trained last, None if there is none."""
    found: list[tuple[str, str]] = []
    for info in objects.list_objects(objects.join_uri(output, "models") + "/"):
        if info.uri.endswith(f"/{DESCRIPTION_NAME}"):
            folder = info.uri.removesuffix(f"/{DESCRIPTION_NAME}")
            try:
                found.append((str(read_description(folder).get("created_at", "")), folder))
            except WeightsError as exc:  # another program's file of that name
                warnings.warn(f"left out: {exc}", ChoreaiWarning, stacklevel=2)
    return max(found)[1] if found else None


def _weights(networks: Sequence[nn.Module]) -> dict[str, torch.Tensor]:
    """Return the weights of all networks, each name prefixed with the network's number."""
    return {
        f"{index}.{name}": tensor.detach().cpu().contiguous()
        for index, network in enumerate(networks)
        for name, tensor in network.state_dict().items()
    }


def _read_part(folder_uri: str, name: str, *, max_bytes: int) -> bytes:
    try:
        with objects.open_object(objects.join_uri(folder_uri, name)) as file:
            data = file.read(max_bytes + 1)
    except ObjectMissingError as exc:
        raise WeightsError(
            f"{folder_uri}: there is no {name} here; give a model folder that `choreai train` wrote"
        ) from exc
    if len(data) > max_bytes:
        raise WeightsError(f"{folder_uri}: {name} is larger than {max_bytes >> 20} MiB; it is not a style model's")
    return data


def read_description(folder_uri: str) -> dict[str, Any]:
    """Return what `model.json` in a model's folder says. Raises WeightsError if there is none of this release."""
    try:
        description = json.loads(_read_part(folder_uri, DESCRIPTION_NAME, max_bytes=MAX_DESCRIPTION_BYTES))
    except (ValueError, RecursionError) as exc:  # also bytes that are not UTF-8
        raise WeightsError(f"{folder_uri}: {DESCRIPTION_NAME} is not readable as JSON ({shorten(str(exc))})") from exc
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
        labels, windows = tuple(raw.pop("labels")), WindowSettings(**raw.pop("windows"))
        references = {label: StyleReference(**reference) for label, reference in raw.pop("references").items()}
        taught = {label: TaughtStyle.from_dict(style) for label, style in raw.pop("taught", {}).items()}
        return StyleModelConfig(labels=labels, windows=windows, references=references, taught=taught, **raw)
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise WeightsError(f"{folder_uri}: the config in {DESCRIPTION_NAME} is wrong: {shorten(str(exc))}") from exc


def _load_weights(networks: Sequence[nn.Module], folder_uri: str) -> None:
    try:
        weights = safetensors.torch.load(_read_part(folder_uri, WEIGHTS_NAME, max_bytes=MAX_WEIGHTS_BYTES))
    except SafetensorError as exc:
        raise WeightsError(
            f"{folder_uri}: {WEIGHTS_NAME} is not a whole safetensors file ({exc}); copy or train it again"
        ) from exc
    expected = {
        f"{index}.{name}": (tuple(tensor.shape), tensor.dtype)
        for index, network in enumerate(networks)
        for name, tensor in network.state_dict().items()
    }
    found = {name: (tuple(t.shape), t.dtype) for name, t in weights.items()}
    if found != expected:
        wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise WeightsError(
            f"{folder_uri}: {WEIGHTS_NAME} does not fit the config; missing, extra or misshapen: {wrong}"
        )
    if not all(bool(torch.isfinite(t).all()) for t in weights.values()):
        raise WeightsError(f"{folder_uri}: {WEIGHTS_NAME} holds values that are not finite; train again")
    for index, network in enumerate(networks):
        own = {name: weights[f"{index}.{name}"] for name in network.state_dict()}
        network.load_state_dict(own, assign=True)
