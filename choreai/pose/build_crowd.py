"""The crowd estimator put together from the files that the settings name."""

from dataclasses import replace

import torch

from choreai.errors import WeightsError
from choreai.pose.blazepose import BlazePoseNetwork, BlazePoseReader, is_blazepose
from choreai.pose.bodies import BodyReader, CropBodyReader
from choreai.pose.build_topdown import (
    DETECT_BATCH,
    Machine,
    choose_device,
    load_detector,
    onnx_device,
    read_checkpoint,
)
from choreai.pose.crowd import CrowdEstimator
from choreai.pose.onnx_pose import OnnxPose
from choreai.pose.onnx_reid import OnnxReid
from choreai.pose.onnx_session import OnnxNetwork
from choreai.pose.settings import PoseSettings, ReadFile

MIN_SCORE = 0.05
"""Of detections. Of 140 frames of dancers, many of them upside down or mere shadows, YOLOX-nano had the dancer among
the four most salient people in 137 at 0.05 and in 134 at 0.1."""
MAX_IOU = 0.45
"""Low scores bring several boxes for one body, which must not take the places of other people."""


def build_crowd(settings: PoseSettings, *, read_file: ReadFile, num_threads: int) -> CrowdEstimator:
    """Return the estimator. Sets PyTorch's threads in this process. Raises ConfigError and WeightsError."""
    torch.set_num_threads(num_threads)
    machine = Machine(choose_device(settings.device), num_threads, read_file)
    # Batches gain nothing on a CPU; one by one, who is chosen cannot hang on a sum's last bit.
    batch = settings.detect_batch or (1 if machine.device.type == "cpu" else DETECT_BATCH[machine.device.type])
    detection = replace(settings, min_box_score=settings.min_box_score or MIN_SCORE, detect_batch=batch)
    detector = load_detector(detection, machine, max_iou=MAX_IOU)
    reader, reid = _load_reader(settings, machine), _load_reid(settings, machine)
    return CrowdEstimator(
        detector, reader, max_people=settings.max_people, detect_every=settings.detect_every, reid=reid
    )


def _load_reader(settings: PoseSettings, machine: Machine) -> BodyReader:
    """BlazePose's landmark network, or a top-down one."""
    data = read_checkpoint("checkpoint", settings.checkpoint, machine.read_file)
    device = onnx_device(settings.device, machine.device)
    try:
        network = OnnxNetwork(data, num_threads=machine.num_threads, device=device)
        if is_blazepose(network):
            return BlazePoseReader(BlazePoseNetwork(network))
        onnx = OnnxPose(data, preprocessing=settings.preprocessing, num_threads=machine.num_threads, device=device)
        return CropBodyReader(onnx)
    except WeightsError as exc:
        raise WeightsError(f"{settings.checkpoint}: {exc}") from exc


def _load_reid(settings: PoseSettings, machine: Machine) -> OnnxReid | None:
    if not settings.reid_checkpoint:
        return None
    data = read_checkpoint("reid_checkpoint", settings.reid_checkpoint, machine.read_file)
    device = onnx_device(settings.device, machine.device)
    try:
        return OnnxReid(OnnxNetwork(data, num_threads=machine.num_threads, device=device))
    except WeightsError as exc:
        raise WeightsError(f"{settings.reid_checkpoint}: {exc}") from exc
