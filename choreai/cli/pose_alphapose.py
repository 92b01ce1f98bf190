"""What becomes of the flags of AlphaPose's `demo_inference.py` that have no counterpart here, or another form."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from choreai.errors import ConfigError

WITHOUT_EFFECT = {
    "sp": "no processes hand frames to each other here; there is one for each GPU, which does all of the work",
    "qsize": "frames are handed on as they are needed, in flat memory; there are no queues to size",
    "vis_fast": "drawing is fast as it is",
    "vis": "no window is opened; --save_video and --save_img write what it would show",
    "profile": "the rate is logged every 15 seconds and at the end",
    "debug": "there is no debugging output to turn on",
}
"""Flags that are taken, and the reason why they change nothing."""
REFUSED = {
    "webcam": "a camera is not read here; `choreai serve` has a live page, and --video takes a recording",
    "pose_flow": "PoseFlow is not here; --pose_track tracks, with --reid-checkpoint by appearance too",
}
"""Flags that are refused, and what to do instead."""
REFUSED_DETECTORS = {
    "tracker": "JDE, which detects and tracks at once, is not here; give a YOLOX or YOLOv3 file and --pose_track",
    "efficientdet": "EfficientDet is not here; give a YOLOX or YOLOv3 file as --detector-checkpoint",
}
DETECTORS = ("yolo", "yolox", *(f"yolox-{size}" for size in ("nano", "tiny", "s", "m", "l", "x")))
_FILES = {
    "yolo": "detector/yolo/data/yolov3-spp.weights",
    "yolox": "detector/yolox/data/yolox_x.pth",
    **{name: f"detector/yolox/data/{name.replace('-', '_')}.pth" for name in DETECTORS[2:]},
}
"""Where AlphaPose keeps each detector's file, below its own folder."""


class Refuse(argparse.Action):
    """A flag that is refused with advice."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        parser.error(f"{option_string}: {REFUSED[self.dest]}")


def detector_name(text: str) -> str:
    """Return the name of a detector. Raises ArgumentTypeError, with what to use instead, for one that is not here."""
    if text in DETECTORS:
        return text
    advice = next((advice for name, advice in REFUSED_DETECTORS.items() if text.startswith(name)), None)
    raise argparse.ArgumentTypeError(advice or f"invalid choice: {text!r} (choose from {', '.join(DETECTORS)})")


def gpu_ids(text: str) -> tuple[int, ...]:
    """Return the GPUs of AlphaPose's `--gpus`, e.g. "0,1,2,3"; none for "-1", the CPU. Raises ArgumentTypeError."""
    if text.strip() == "-1":
        return ()
    try:
        ids = tuple(int(part) for part in text.split(","))
    except ValueError:
        ids = (-1,)
    if min(ids) < 0 or len(set(ids)) != len(ids):
        raise argparse.ArgumentTypeError(f"{text!r}: give the numbers of GPUs, such as 0 or 0,1, or -1 for the CPU")
    return ids


def show_only(gpus: Sequence[int]) -> None:
    """Let this process see these GPUs only, counted among those that it may see now; before torch is imported.

    Of several, those that are there are enough. Raises ConfigError where others are and none of these.
    """
    stated = os.environ.get("CUDA_VISIBLE_DEVICES")
    if stated is None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))
        return
    visible = [name.strip() for name in stated.split(",") if name.strip() not in ("", "-1")]
    wanted = [visible[gpu] for gpu in gpus if gpu < len(visible)]
    if visible and not wanted:
        named = ",".join(map(str, gpus))
        raise ConfigError(f"--gpus {named}: CUDA_VISIBLE_DEVICES shows {len(visible)} GPUs, numbered from 0")
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(wanted)


def find_detector(name: str, *, config: str) -> str:
    """Return the file of the detector where AlphaPose keeps it: below the folder of its `configs/`, or this folder.

    An .onnx beside does too, and weights of that name that `choreai weights` has fetched. `name` empty: AlphaPose's
    default, YOLOv3. "" where there is none.
    """
    folders = [Path(), *(Path(config).parents if config and "://" not in config else ())]
    found = (folder / _FILES[name or "yolo"] for folder in folders)
    kept = (str(file) for path in found for file in (path, path.with_suffix(".onnx")) if file.is_file())
    return next(kept, "") or _fetched(name)


def _fetched(detector: str) -> str:
    """Return the setting of the detector's weights if `choreai weights` has fetched them, "" otherwise."""
    from choreai.weights.resolve import PREFIX, shipped_catalogue, weights_path

    name = detector.replace("-", "_")
    return PREFIX + name if name in shipped_catalogue().weights and weights_path(name) else ""


def check_detector(named: str | None, *, found: str) -> None:
    """Raise ConfigError if the file is a YOLOX checkpoint of another size than --detector named."""
    if named and named.startswith("yolox-") and found.startswith("yolox-") and found != named:
        raise ConfigError(
            f"--detector {named}, but the file of the detector is {found}; give --detector {found}, or leave it out"
        )


def coco_image_id(image_id: str) -> int:
    """Return the number at the end of an image's name, its id in COCO: 785 for `000000000785.jpg`.

    Raises ConfigError for a name that does not end in a number.
    """
    number = image_id.rpartition("/")[2].split(".")[0].rpartition("_")[2]
    if not (number.isascii() and number.isdigit()):
        raise ConfigError(
            f"--eval: {image_id!r} has no number for an image id, as 000000000785.jpg has; leave --eval out"
        )
    return int(number)
