"""Build a top-down estimator from the weight files that the settings name."""

import logging
from dataclasses import dataclass, replace
from typing import Literal

import torch

from choreai.errors import ConfigError, ObjectMissingError, ObjectUnusableError, WeightsError
from choreai.pose.alphapose.checkpoint import load_pose_network
from choreai.pose.alphapose.config import read_pose_config
from choreai.pose.alphapose.crop_network import AlphaPoseNetwork
from choreai.pose.concurrency import share_threads
from choreai.pose.crop_keypoints import CropPoseNetwork
from choreai.pose.detectors.detector import PersonDetector
from choreai.pose.detectors.onnx_detector import load_onnx_detector
from choreai.pose.detectors.yolov3 import load_yolov3
from choreai.pose.detectors.yolox import YOLOX_MAX_IOU, load_yolox
from choreai.pose.nms import HEATMAP_CONSTANTS, NmsConstants
from choreai.pose.onnx_pose import OnnxPose
from choreai.pose.osnet import ReidNetwork, load_reid_network
from choreai.pose.settings import PoseSettings, ReadFile
from choreai.pose.topdown import TopDownEstimator

logger = logging.getLogger(__name__)

DETECT_BATCH = {"cpu": 8, "cuda": 32}
POSE_BATCH = {"cpu": 8, "cuda": 64}


@dataclass(frozen=True, eq=False)
class Machine:
    """The device and CPU threads this process computes with, and how it reads files."""

    device: torch.device
    num_threads: int
    read_file: ReadFile


def build_topdown(
    settings: PoseSettings, *, read_file: ReadFile, num_threads: int, detector: PersonDetector | None = None
) -> TopDownEstimator:
    """Return the estimator; `detector`, if given, replaces the one that the settings name.

    Sets the number of PyTorch threads of this process. Raises ConfigError and WeightsError.
    """
    device = choose_device(settings.device)
    num_concurrent, threads_each = _share_threads(num_threads, settings, device, has_own_detector=detector is not None)
    torch.set_num_threads(threads_each)
    machine = Machine(device, threads_each, read_file)
    network, constants = _load_network(settings, machine)
    return TopDownEstimator(
        detector or load_detector(settings, machine),
        network,
        constants=constants,
        reid=_load_reid(settings, machine),
        device=machine.device,
        frame_batch=frame_batch(settings),
        crop_batch=_pose_batch(settings, machine),
        min_box_area=settings.min_box_area,
        num_concurrent=num_concurrent,
    )


def _share_threads(
    num_threads: int, settings: PoseSettings, device: torch.device, *, has_own_detector: bool
) -> tuple[int, int]:
    """Return how many batches are estimated at the same time, and the CPU threads of each.

    One on a GPU, whose recordings hold one batch, where a compiler is at work, and with a detector that may go by what
    it was asked before.
    """
    is_in_order = device.type != "cpu" or settings.compile or has_own_detector
    return (1, num_threads) if is_in_order else share_threads(num_threads)


def frame_batch(settings: PoseSettings) -> int:
    """Return how many frames the estimator takes at a time, in this process."""
    return settings.detect_batch or DETECT_BATCH[choose_device(settings.device).type]


def choose_device(wanted: str) -> torch.device:
    """Return where networks compute. Raises ConfigError for a GPU that is not there."""
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            'device = "cuda", but this process sees no GPU; give each worker one (num_gpus), check that PyTorch is '
            'built for CUDA, or set device = "cpu"'
        )
    return torch.device("cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu")


def _pose_batch(settings: PoseSettings, machine: Machine) -> int:
    return settings.pose_batch or POSE_BATCH[machine.device.type]


def _load_network(settings: PoseSettings, machine: Machine) -> tuple[CropPoseNetwork, NmsConstants]:
    data = read_checkpoint("checkpoint", settings.checkpoint, machine.read_file)
    try:
        if settings.checkpoint.lower().endswith(".onnx"):
            device = onnx_device(settings.device, machine.device)
            onnx = OnnxPose(data, preprocessing=settings.preprocessing, num_threads=machine.num_threads, device=device)
            return onnx, HEATMAP_CONSTANTS
        config = settings.config
        described = read_pose_config(read_checkpoint("config", config, machine.read_file)) if config else None
        network = AlphaPoseNetwork(
            load_pose_network(data, config=described),
            device=machine.device,
            largest_batch=_pose_batch(settings, machine),
            precision=settings.precision,
            compiled=settings.compile,
            flip=settings.flip,
        )
    except WeightsError as exc:
        raise WeightsError(f"{settings.checkpoint}: {exc}") from exc
    return network, network.constants


def load_detector(settings: PoseSettings, machine: Machine, *, max_iou: float = YOLOX_MAX_IOU) -> PersonDetector:
    """Return the detector that the settings name; `max_iou` of two people's boxes is that of .onnx files."""
    uri = settings.detector_checkpoint
    if not uri:
        raise ConfigError("a person detector is needed; give detector_checkpoint, the path or s3:// URI of the file")
    data = read_checkpoint("detector_checkpoint", uri, machine.read_file)
    batch = frame_batch(settings)
    kind = uri.lower().rpartition(".")[2]
    min_score = settings.min_box_score or (0.3 if kind == "weights" and settings.reid_checkpoint else 0.1)
    try:
        match kind:
            case "onnx":
                return load_onnx_detector(
                    data,
                    num_threads=machine.num_threads,
                    device=onnx_device(settings.device, machine.device),
                    min_score=min_score,
                    max_iou=max_iou,
                    batch_size=batch,
                )
            case "weights":
                return load_yolov3(data, device=machine.device, min_score=min_score, batch_size=batch)
            case _:
                return load_yolox(data, device=machine.device, min_score=min_score, batch_size=batch)
    except WeightsError as exc:
        raise WeightsError(f"{uri}: {exc}") from exc


def _load_reid(settings: PoseSettings, machine: Machine) -> ReidNetwork | None:
    if not settings.reid_checkpoint:
        return None
    data = read_checkpoint("reid_checkpoint", settings.reid_checkpoint, machine.read_file)
    try:
        loaded = load_reid_network(data)
    except WeightsError as exc:
        raise WeightsError(f"{settings.reid_checkpoint}: {exc}") from exc
    return replace(loaded, module=loaded.module.to(machine.device))


def onnx_device(wanted: str, device: torch.device) -> Literal["cpu", "cuda"]:
    """Return the device for onnxruntime, whose GPU build is a separate package that may not be installed."""
    if device.type == "cpu":
        return "cpu"
    if wanted == "cuda":
        return "cuda"
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return "cuda"
    logger.warning("this onnxruntime cannot use the GPU; .onnx networks run on the CPU (install onnxruntime-gpu)")
    return "cpu"


def read_checkpoint(name: str, uri: str, read_file: ReadFile) -> bytes:
    """Return the file of the setting `name`. Raises WeightsError where it is missing."""
    try:
        return read_file(uri)
    except (ObjectMissingError, ObjectUnusableError) as exc:
        raise WeightsError(f"{name}: {exc}") from exc
