"""weights quantize: an int8 network, calibrated on a catalog and measured against its float32 weights."""

import argparse
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from choreai.errors import ConfigError

logger = logging.getLogger(__name__)

MAX_SHARE = 0.8
"""Of the float32 network's time; from here on int8 is not worth its error."""

if TYPE_CHECKING:
    from choreai.operations.int8 import Outcome, Trial


def run_quantize(arguments: argparse.Namespace) -> int:
    """Write the int8 network if it stays near the float32 one, print what was measured, and return the exit code."""
    if not arguments.output.lower().endswith(".onnx"):
        raise ConfigError(f"--output must be a path that ends in .onnx, got {arguments.output}")
    from choreai.operations.int8 import refusal

    outcome = _quantize(arguments)
    _print(outcome)
    if not outcome.is_good:
        raise refusal(outcome.record)
    _warn_if_slow(outcome.trials[-1])
    from choreai.storage.files import write_atomically

    with write_atomically(Path(arguments.output)) as temporary:
        temporary.write_bytes(outcome.model)
    print(f"{arguments.output}: {len(outcome.model) / 1e6:.1f} MB, for onnxruntime on CPUs")
    if outcome.record.preprocessing:
        print(f'  checkpoint = "{arguments.output}", preprocessing = "{outcome.record.preprocessing}"')
    return 0


def _quantize(arguments: argparse.Namespace) -> "Outcome":
    from choreai.catalog.several import read_catalogs
    from choreai.operations.int8 import quantize_detector, quantize_pose_network
    from choreai.pose.detectors.onnx_detector import load_onnx_detector
    from choreai.storage import objects
    from choreai.weights.resolve import resolve_settings

    files = resolve_settings({"weights": arguments.weights, "detector": arguments.detector_checkpoint or ""})
    weights = objects.read_object(files["weights"])
    catalog = read_catalogs([arguments.catalog])
    if not files["detector"]:
        return quantize_detector(weights, catalog)
    detector = load_onnx_detector(objects.read_object(files["detector"]), num_threads=1)
    return quantize_pose_network(
        weights,
        catalog,
        detector=detector,
        is_onnx=files["weights"].lower().endswith(".onnx"),
        preprocessing=arguments.preprocessing,
    )


def _print(outcome: "Outcome") -> None:
    is_pose = outcome.record.measure == "oks"
    what = "OKS" if is_pose else "overlap"
    print(f"{'in float32':26} {'videos':8} {what:>7}   5 %   ms  ms of float32")
    for trial in outcome.trials:
        print(f"{trial.recipe!s:26} {trial.part:8} {trial.agreement.mean:7.4f}  {trial.agreement.low:.2f} "
              f"{trial.milliseconds:4.1f}  {trial.exact_milliseconds:13.1f}")  # fmt: skip
    print(_summary(outcome.trials[-1], is_pose=is_pose))


def _warn_if_slow(trial: "Trial") -> None:
    if trial.milliseconds > MAX_SHARE * trial.exact_milliseconds:
        logger.warning("int8 saves hardly any time on this CPU and network; leave it at float32")


def _summary(trial: "Trial", *, is_pose: bool) -> str:
    agreement = trial.agreement
    if is_pose:
        moved = f"{agreement.moved.mean():.2f} crop pixels" if len(agreement.moved) else "nobody is sure how far"
        return f"{agreement.num_people} people in videos kept apart: keypoints move by {moved}"
    return f"{agreement.num_people} boxes in videos kept apart: {agreement.found:.1%} of them have their like"
