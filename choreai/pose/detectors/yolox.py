"""Load Megvii's YOLOX checkpoints as person detectors."""

import hashlib
from pathlib import Path
from typing import BinaryIO

import torch

from choreai.pose.detectors.letterbox import Letterbox
from choreai.pose.detectors.selection import SelectionRule
from choreai.pose.detectors.yolo import YoloDetector
from choreai.pose.detectors.yolox_network import STRIDES, Yolox, decode_yolox, infer_yolox
from choreai.pose.weights import load_strictly, read_state, read_weights

INPUT_SIZE, NANO_INPUT_SIZE = 640, 416
YOLOX_MAX_IOU = 0.6
"""AlphaPose's value."""


def load_yolox(
    checkpoint: bytes | Path | BinaryIO,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    input_size: int | None = None,
    min_score: float = 0.1,
    batch_size: int = 8,
) -> YoloDetector:
    """Return the detector of a YOLOX checkpoint (nano, tiny, s, m, l or x, recognised by its shapes).

    Canvases are squares of `input_size`; the default is 416 for nano and 640 for all others, as in AlphaPose (Megvii's
    own default for tiny is 416). Predictions below `min_score` (objectness x class score) and boxes that overlap a
    better one by more than 0.6 are discarded. Raises WeightsError for a file that is truncated, contains code or is not
    YOLOX, ValueError for a size that is not a multiple of 32.
    """
    data = read_weights(checkpoint)
    state = read_state(data)
    name, architecture = infer_yolox({key: tuple(value.shape) for key, value in state.items()})
    size = input_size or (NANO_INPUT_SIZE if name == "nano" else INPUT_SIZE)
    with torch.device("meta"):
        network = Yolox(architecture)
    load_strictly(network, state)
    network.requires_grad_(False).eval().fold_batch_norms()
    network.to(device=device, dtype=dtype)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it
    letterbox = yolox_letterbox((size, size))

    def predict(canvases: torch.Tensor) -> torch.Tensor:
        inputs = canvases.to(device).to(dtype=dtype, memory_format=torch.channels_last)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # TF32 would move boxes
            return decode_yolox(network(inputs).float(), letterbox.size_hw)

    return YoloDetector(
        predict,
        letterbox=letterbox,
        rule=yolox_rule(min_score),
        network_settings={
            "detector": f"yolox-{name}",
            "detector_sha256": hashlib.sha256(data).hexdigest(),
            "detector_dtype": str(dtype).removeprefix("torch."),
        },
        batch_size=batch_size,
    )


def yolox_letterbox(size_hw: tuple[int, int]) -> Letterbox:
    """Return the letterbox of YOLOX's input. Raises ValueError for sizes that are not multiples of its stride."""
    if any(side < 1 or side % STRIDES[-1] for side in size_hw):
        raise ValueError(f"YOLOX's input must be a multiple of {STRIDES[-1]} high and wide, got {size_hw}")
    return Letterbox(size_hw, centred=False, pad=114, interpolation="linear", channel_order="BGR")


def yolox_rule(min_score: float, *, max_iou: float = YOLOX_MAX_IOU) -> SelectionRule:
    """Return the rule that selects the people among YOLOX's predictions."""
    return SelectionRule(min_score=min_score, max_iou=max_iou, ranking="objectness x class")
