"""An output with a style model and the keypoints of moving skeletons, for what compares movements."""

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import torch
from moving_skeletons import FINGERPRINT, STYLES, dancer_xy, keypoint_rows, write_keypoints
from tag_rows import video_row, write_rows

from choreai.motion.windows import WindowSettings, cut_windows
from choreai.storage import objects
from choreai.style.examples import Inputs
from choreai.style.model import StyleModel, StyleModelConfig, save_model
from choreai.style.networks import build_network
from choreai.tables.keypoints import sequence_of

WINDOWS = WindowSettings(num_steps=24, window_seconds=2.0, stride_seconds=1.0, context_seconds=4.0)


def rows_of(name: str, *, seconds: float = 6.0) -> pa.Table:
    """The keypoints of "style-seed"."""
    style, seed = name.split("-")[:2]
    return keypoint_rows(name, "c1", dancer_xy(style, seed=int(seed), num_frames=round(10 * seconds)))


def write_output(
    root: Path, videos: Mapping[str, pa.Table], *, num_parts: int = 2, labels: tuple[str, ...] = STYLES
) -> str:
    """A model folder, and the tables of these videos in parts; return the model's version."""
    names = list(videos)
    for part in range(num_parts):
        own = names[part::num_parts]
        write_keypoints(root, {f"part{part}": [videos[name] for name in own]})
        described = [video_row(name, shard_id=f"part{part}", uri=f"{root}/{name}.mp4") for name in own]
        write_rows(str(root), "videos", FINGERPRINT, f"part{part}", described)
    return write_model(root, videos, labels=labels)


def write_model(root: Path, videos: Mapping[str, pa.Table], *, labels: tuple[str, ...] = STYLES) -> str:
    """A model of random weights, which standardises by these videos; return its version."""
    inputs = Inputs.concat([Inputs.from_windows(cut_windows(sequence_of(rows), WINDOWS)) for rows in videos.values()])
    torch.manual_seed(0)
    networks = tuple(build_network("style", num_labels=len(labels), hidden_size=8, dropout=0.0) for _ in range(2))
    for network in networks:
        torch.nn.init.ones_(network.weigh.weight)  # type: ignore[arg-type, union-attr]  # a style network
        network.standardise(inputs)
    config = StyleModelConfig(
        labels=labels, pose_fingerprint=FINGERPRINT, windows=WINDOWS, network="style", hidden_size=8, num_members=2
    )
    model = StyleModel(networks, config)
    save_model(objects.join_uri(str(root), "models", model.model_version), model)
    return model.model_version
