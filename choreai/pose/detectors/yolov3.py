"""Load Darknet's YOLOv3-SPP weights file as a person detector."""

import hashlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from choreai.errors import WeightsError
from choreai.pose.detectors.letterbox import Letterbox
from choreai.pose.detectors.selection import SelectionRule
from choreai.pose.detectors.yolo import YoloDetector
from choreai.pose.detectors.yolov3_network import Yolov3Spp, darknet_layers
from choreai.pose.weights import load_strictly, read_weights

HEADER_BYTES = 20
"""Five int32: the format's version and the number of images seen in training."""
INPUT_SIZE = 608


def load_yolov3(
    weights: bytes | Path | BinaryIO,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    input_size: int = INPUT_SIZE,
    min_score: float = 0.1,
    batch_size: int = 4,
) -> YoloDetector:
    """Return the detector of a YOLOv3-SPP `.weights` file.

    Predictions whose objectness is below `min_score` are discarded (AlphaPose: 0.1, and 0.3 when it tracks), and boxes
    that overlap a better one by 0.6 or more. Raises WeightsError for a file of the wrong length or with values that are
    not finite, ValueError for an input size that is not a multiple of 32.
    """
    if input_size < 32 or input_size % 32:
        raise ValueError(f"YOLOv3's input must be a multiple of 32, got {input_size}")
    data = read_weights(weights)
    with torch.device("meta"):
        network = Yolov3Spp()
    load_strictly(network, read_darknet_state(data))
    network.requires_grad_(False).eval().fold_batch_norms()
    network.to(device=device, dtype=dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it

    def predict(canvases: torch.Tensor) -> torch.Tensor:
        inputs = canvases.to(device).to(dtype=dtype, memory_format=torch.channels_last) / 255
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # TF32 would move boxes
            return network(inputs)

    return YoloDetector(
        predict,
        letterbox=Letterbox(
            (input_size, input_size), centred=True, pad=128, interpolation="cubic", channel_order="RGB"
        ),
        rule=SelectionRule(min_score=min_score, max_iou=0.6, ranking="objectness", inclusive_pixels=True),
        network_settings={
            "detector": "yolov3-spp",
            "detector_sha256": hashlib.sha256(data).hexdigest(),
            "detector_dtype": str(dtype).removeprefix("torch."),
        },
        batch_size=batch_size,
    )


def read_darknet_state(data: bytes) -> dict[str, torch.Tensor]:
    """Return the state dict in a `.weights` file's bytes. Raises WeightsError for a file of the wrong length."""
    entries = _file_entries()
    expected = sum(int(np.prod(shape)) for _, shape in entries)
    found, rest = divmod(len(data) - HEADER_BYTES, 4)
    if found != expected or rest:
        raise WeightsError(
            f"a YOLOv3-SPP weights file has {expected} floats after its header of {HEADER_BYTES} bytes, but this one "
            f"of {len(data)} bytes has {max(found, 0)}{' and a fraction' if rest else ''}: it is truncated or of "
            "another network"
        )
    floats = torch.from_numpy(np.frombuffer(data, "<f4", offset=HEADER_BYTES).copy())
    state, position = {}, 0
    for key, shape in entries:
        length = int(np.prod(shape))
        state[key] = floats[position : position + length].view(shape)
        position += length
    return state


def _file_entries() -> list[tuple[str, tuple[int, ...]]]:
    """Return state-dict keys and shapes in file order."""
    entries: list[tuple[str, tuple[int, ...]]] = []
    for layer in darknet_layers():
        prefix, channels = f"module_list.{layer.index}", (layer.out_channels,)
        if layer.predicts:
            entries.append((f"{prefix}.conv_{layer.index}.bias", channels))
        else:
            names = ("bias", "weight", "running_mean", "running_var")
            entries += [(f"{prefix}.batch_norm_{layer.index}.{name}", channels) for name in names]
        shape = (layer.out_channels, layer.in_channels, layer.kernel, layer.kernel)
        entries.append((f"{prefix}.conv_{layer.index}.weight", shape))
    return entries
