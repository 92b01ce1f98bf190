"""Load person detectors from .onnx files: YOLOX, and detectors that include NMS (MMDeploy's)."""

from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import torch

from choreai.errors import WeightsError
from choreai.pose.detectors.detector import PersonDetector
from choreai.pose.detectors.letterbox import Letterbox
from choreai.pose.detectors.nms_inside import NmsInsideDetector, has_nms_inside
from choreai.pose.detectors.yolo import YoloDetector
from choreai.pose.detectors.yolox import YOLOX_MAX_IOU, yolox_letterbox, yolox_rule
from choreai.pose.detectors.yolox_network import STRIDES, decode_yolox
from choreai.pose.int8_record import check_record
from choreai.pose.onnx_session import OnnxNetwork

FREE_SIZE_HW = (416, 416)
"""The canvas of networks that take any: a crowd's far faces are lost, people who dance are not."""


def load_onnx_detector(
    model: bytes | Path | BinaryIO,
    *,
    num_threads: int,
    device: Literal["cpu", "cuda"] = "cpu",
    min_score: float = 0.1,
    max_iou: float = YOLOX_MAX_IOU,
    batch_size: int = 8,
) -> PersonDetector:
    """Return the detector of an export, recognised by its outputs.

    One output (N, A, 5 + C) is YOLOX, raw (Megvii's default) or already decoded; boxes (N, D, 5) and labels (N, D) are
    a detector that includes NMS (`NmsInsideDetector`), on which `max_iou` has no effect. The canvas is the
    file's input size, or FREE_SIZE_HW if the file leaves it open. Raises WeightsError for other networks,
    ConfigError if onnxruntime cannot run here.
    """
    network = OnnxNetwork(model, num_threads=num_threads, device=device, free_size_hw=FREE_SIZE_HW)
    check_record(network)
    return detector_of(network, min_score=min_score, max_iou=max_iou, batch_size=batch_size)


def detector_of(
    network: OnnxNetwork, *, min_score: float = 0.1, max_iou: float = YOLOX_MAX_IOU, batch_size: int = 8
) -> PersonDetector:
    """Return the detector that an open network is. Raises WeightsError for other networks."""
    if has_nms_inside(network):
        return NmsInsideDetector(network, min_score=min_score)
    letterbox = _letterbox_for(network)
    is_decoded = _is_decoded(network, letterbox)

    def predict(canvases: torch.Tensor) -> torch.Tensor:
        answer = torch.from_numpy(network.run(canvases.cpu().numpy().astype(np.float32))[0])
        return answer if is_decoded else decode_yolox(answer, letterbox.size_hw)

    return YoloDetector(
        predict,
        letterbox=letterbox,
        rule=yolox_rule(min_score, max_iou=max_iou),
        network_settings={"detector": "onnx-yolox", "detector_sha256": network.sha256},
        batch_size=batch_size,
    )


def _letterbox_for(network: OnnxNetwork) -> Letterbox:
    height, width = network.size_hw
    cells = sum((height // stride) * (width // stride) for stride in STRIDES)
    match list(network.output_shapes.values()):
        case [(rows, columns)] if rows == cells and columns > 5:
            pass
        case _:
            raise WeightsError(
                f"a YOLOX network of {height} x {width} has one output of (N, {cells}, 5 + classes), this one has "
                f"{network.output_shapes}; export YOLOX without its post-processing, or with boxes (N, D, 5) and "
                "labels (N, D) as MMDeploy does"
            )
    try:
        return yolox_letterbox(network.size_hw)
    except ValueError as exc:
        raise WeightsError(str(exc)) from exc


def _is_decoded(network: OnnxNetwork, letterbox: Letterbox) -> bool:
    """Return whether the output's centres are in canvas pixels, as an empty canvas shows: they then span the canvas,
    whereas raw ones are offsets of a few cells."""
    empty = np.full((1, 3, *letterbox.size_hw), letterbox.pad, np.float32)
    centres = network.run(empty)[0][0, :, :2]
    return bool(centres.max() > min(letterbox.size_hw) / 2)
