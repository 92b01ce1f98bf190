"""train-lifter: a network that lifts keypoints into 3D, trained, judged and written."""

import argparse
import os
from pathlib import Path

from choreai.cli.console import print_json, print_table
from choreai.errors import ConfigError
from choreai.lift.training import LifterSettings
from choreai.pipeline.train_lifter import TrainedLifter, train_lifter


def run(arguments: argparse.Namespace) -> int:
    """Train, print the errors on what was held out, and return 0."""
    try:
        settings = LifterSettings(seed=arguments.seed, num_steps=arguments.num_steps)
    except ValueError as exc:
        raise ConfigError(f"--{str(exc).replace('_', '-', 1)}") from exc
    target = Path(arguments.target)
    if target.suffix != ".safetensors":
        raise ConfigError(f"{target}: weights go into a .safetensors file; give such a name")
    if target.exists():
        raise ConfigError(f"{target}: exists already; delete it or choose another name")
    if arguments.mocap and not os.path.isdir(arguments.mocap):
        raise ConfigError(f"{arguments.mocap}: no such folder; give one with .npz files of motion capture")
    mocap = Path(arguments.mocap) if arguments.mocap else None
    trained = train_lifter(target, settings, mocap=mocap, held_out=arguments.held_out)
    if arguments.json:
        print_json({"target": str(target), "version": trained.lifter.version, "errors": trained.errors})
    else:
        _print(target, trained)
    return 0


def _print(target: Path, trained: TrainedLifter) -> None:
    rows = [
        (label, str(each.num_recordings), f"{each.joint_mm:.0f} mm", f"{each.aligned_mm:.0f} mm")
        for label, each in trained.errors.items()
    ]
    print_table("held out", rows, header=("movement", "views", "error", "aligned"))
    print("error: mean distance of the joints, hips on hips; aligned: after the best turn, scale and shift")
    print("seen through made-up cameras, with the noise of training; bodies of one size")
    print(f"{target}: {trained.lifter.version}, trained on {trained.num_sequences} sequences")
