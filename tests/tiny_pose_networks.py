"""A detector and a pose network of a few bytes for `choreai pose`, and pictures that they have an answer to."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import helper
from tiny_onnx import constant_network, serialize

from choreai.cli import pose as pose_command
from choreai.cli.pose import pose_parser


def run(*flags: object) -> int:
    return pose_command.run(pose_parser("choreai pose").parse_args([str(flag) for flag in flags]))


def write_networks(folder: Path, *, num_keypoints: int = 17) -> list[object]:
    """Flags for a detector that sees one person in every picture, and a network whose heatmaps are the crop's light."""
    # Decoded YOLOX on a 64 x 64 canvas: (1, 84, 85), one sure person of 20 x 40 in the middle.
    predictions = np.zeros((1, 84, 85), np.float32)
    predictions[..., :2] = 40.0
    predictions[0, 0, :6] = (32, 32, 20, 40, 0.9, 0.99)
    (folder / "detector.onnx").write_bytes(constant_network(predictions))
    pose = serialize(
        [helper.make_node("Conv", ["images", "weight"], ["heatmaps"], strides=[4, 4])],
        {"images": ["N", 3, 256, 192]},
        {"heatmaps": ["N", num_keypoints, 64, 48]},
        {"weight": np.full((num_keypoints, 3, 1, 1), 1 / 3, np.float32)},
    )
    (folder / "pose.onnx").write_bytes(pose)
    flags = ["--checkpoint", folder / "pose.onnx", "--detector-checkpoint", folder / "detector.onnx"]
    return [*flags, "--preprocessing", "unit", "--gpus", "-1"]


def spot(number: int, *, side: int = 64) -> np.ndarray:
    """Dark grey, with a bright spot that goes to the right."""
    image = np.full((side, side, 3), 20, np.uint8)
    x = 27 + number
    image[28:33, x - 2 : x + 3] = 250
    return image


def results_of(outdir: Path) -> list[dict[str, Any]]:
    return json.loads((outdir / "alphapose-results.json").read_text())
