"""What must not change by moving code: ids, schemas, settings and flags, as plain values that fit into JSON.

`python tests/pinned.py` writes them to `golden/pinned.json`: only to be run when a version was raised on purpose.
"""

import argparse
import dataclasses
import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pyarrow as pa
import torch
from torch import nn

from choreai.catalog.catalog import CATALOG_SCHEMA, Catalog
from choreai.catalog.shards import pending_videos, plan_shards, plan_tag_shards
from choreai.cli.main import COMMANDS
from choreai.config import ExtractConfig, TagConfig, TrainConfig
from choreai.motion.windows import WindowSettings
from choreai.pose.build import pose_fingerprint
from choreai.pose.settings import PoseSettings
from choreai.style.model import StyleModel, StyleModelConfig
from choreai.tables import schemas

PINNED = Path(__file__).parent / "golden" / "pinned.json"


class FixedEstimator:
    """An estimator's settings and no more: what the fingerprint sees of it."""

    batch_size = 1

    def __init__(self, **settings: str | int | float | bool) -> None:
        self._settings = settings

    def settings(self) -> dict[str, str | int | float | bool]:
        return self._settings


def pose_fingerprints() -> dict[str, str]:
    """Of made up settings, and of MediaPipe's real ones where it is installed."""
    files = {"checkpoint": "pose.onnx", "detector_checkpoint": "yolox.onnx"}
    alphapose: dict[str, Any] = {"estimator": "alphapose", **files}
    fixed: Any = FixedEstimator(name="topdown", weights="a" * 64, score=0.1, flip=False)
    cases: dict[str, tuple[PoseSettings, Any]] = {
        "top-down": (PoseSettings(**alphapose), fixed),
        "top-down with re-ID": (PoseSettings(**alphapose, reid_checkpoint="osnet.pth"), fixed),
    }
    if find_spec("mediapipe"):
        from choreai.pose.mediapipe import MediaPipeEstimator

        mediapipe = MediaPipeEstimator()
        cases["mediapipe"] = (PoseSettings(estimator="mediapipe"), mediapipe)
        cases["mediapipe at 8 frames a second"] = (PoseSettings(frames_per_second=8.0), mediapipe)
    return {name: pose_fingerprint(*case) for name, case in cases.items()}


def shard_ids() -> dict[str, list[str]]:
    rows = [{"video_id": f"video-{n}", "uri": f"/{n}.mp4", "content_id": f"bytes-{n}"} for n in range(5)]
    known = pa.schema([schemas.VIDEOS.field(name) for name in ("video_id", "content_id", "status", "attempts")])
    catalog = Catalog("catalog.csv", pa.Table.from_pylist(rows, schema=CATALOG_SCHEMA))
    pending = pending_videos(catalog, known.empty_table(), retry_quarantined=False)
    shards = list(plan_shards(pending.videos, videos_per_shard=2, pose_fingerprint="f" * 16))
    untagged = pa.Table.from_pylist([{**row, "shard_id": shards[n // 2].shard_id} for n, row in enumerate(rows)])
    tag_shards = plan_tag_shards(untagged, model_version="lstm-0123456789ab", pose_fingerprint="f" * 16)
    return {"pose": [shard.shard_id for shard in shards], "tag": sorted(shard.shard_id for shard in tag_shards)}


def model_version() -> str:
    network = nn.Linear(2, 3)
    with torch.no_grad():
        network.weight.copy_(torch.from_numpy(np.arange(6, dtype=np.float32).reshape(3, 2)))
        network.bias.copy_(torch.from_numpy(np.arange(3, dtype=np.float32)))
    config = StyleModelConfig(
        labels=("a", "b", "c"), pose_fingerprint="f" * 16, windows=WindowSettings(), network="style", hidden_size=4,
        num_members=1,
    )  # fmt: skip
    return StyleModel((network,), config).model_version


def table_schemas() -> dict[str, list[str]]:
    """Of each table its metadata and fields, as text."""
    tables = (schemas.KEYPOINTS, schemas.VIDEOS, schemas.TAGS, schemas.KINEMATICS)
    pinned = (*tables, schemas.EMBEDDINGS, schemas.VIDEO_EMBEDDINGS)
    return {
        schema.metadata[b"choreai.table"].decode(): [
            f"version {schema.metadata[b'choreai.schema_version'].decode()}",
            *(f"{field.name}: {field.type}{'' if field.nullable else ' not null'}" for field in schema),
        ]
        for schema in pinned
    }


def settings_of(config: type) -> dict[str, str]:
    """`section.key` -> its default, of a job's TOML file."""
    found = {}
    hints = get_type_hints(config)
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(hints[field.name]):
            inner = settings_of(hints[field.name])
            found.update({f"{field.name}.{name}": default for name, default in inner.items()})
        elif field.default is not dataclasses.MISSING:
            found[field.name] = repr(field.default)
        else:
            found[field.name] = "needed" if field.default_factory is dataclasses.MISSING else "empty"
    return found


def flags_of(parser: argparse.ArgumentParser) -> dict[str, str]:
    return {
        " ".join(action.option_strings) or action.dest: f"{action.dest} {action.nargs} {action.default!r}"
        for action in parser._actions
    }


def command_flags() -> dict[str, dict[str, str]]:
    parsers: dict[str, Callable[[str], argparse.ArgumentParser]] = {name: made for name, (made, _) in COMMANDS.items()}
    return {name: flags_of(make(f"choreai {name}")) for name, make in parsers.items()}


def everything() -> dict[str, Any]:
    return {
        "pose fingerprints": pose_fingerprints(),
        "shard ids": shard_ids(),
        "model version": model_version(),
        "tables": table_schemas(),
        "settings": {config.__name__: settings_of(config) for config in (ExtractConfig, TrainConfig, TagConfig)},
        "flags": command_flags(),
    }


if __name__ == "__main__":
    PINNED.write_text(json.dumps(everything(), indent=1, sort_keys=True) + "\n")
