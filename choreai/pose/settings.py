"""What decides which keypoints come out: the [pose] section of a job file, and the estimator it names."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

ReadFile = Callable[[str], bytes]
"""All bytes of a path or URI; raises StorageError. Who builds an estimator knows where files are."""


@dataclass(frozen=True)
class PoseSettings:
    """The [pose] section. How keypoints are computed is not part of the pose fingerprint (batches, compile,
    device), nor is where weights lie; all else is."""

    estimator: Literal["mediapipe", "alphapose"] = "mediapipe"
    frames_per_second: float = 15.0
    """Sampling rate; a video with fewer frames per second is used whole. On real street dance `choreai train` tells
    0.92 of the clips at 15 and 0.90 at 8 (contiguous blocks): hits and stops are over in a tenth of a second."""

    # Of alphapose only, from here on. Files are paths or s3:// URIs.
    checkpoint: str = ""
    """The pose network: an AlphaPose checkpoint, or an .onnx file."""
    config: str = ""
    """AlphaPose's YAML file for the checkpoint; only networks of 133 and 136 keypoints need it."""
    preprocessing: Literal["imagenet", "imagenet-bgr", "unit", "alphapose"] = "imagenet"
    """How an .onnx pose network wants its crops normalised; the file does not say."""
    detector_checkpoint: str = ""
    """The person detector: YOLOv3-SPP (.weights), YOLOX as .onnx, or else a checkpoint of YOLOX."""
    reid_checkpoint: str = ""
    """OSNet-AIN x1.0: people are told by their looks too, not by movement alone. As in AlphaPose duplicate people
    are then left to the tracker, which expects to see them."""
    min_box_score: float = 0.0
    """Boxes that the detector is less sure of are nobody. 0: as AlphaPose has it, 0.1, and 0.3 with YOLOv3 and a
    `reid_checkpoint`."""
    min_box_area: float = 0.0
    """Who is smaller, in square pixels (by 2.25 times the area their keypoints span), is left out."""
    flip: bool = False
    """The flip test: a little more accurate, twice the time."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Of a checkpoint's network. Lower ones are checked against fp32 on the first people found."""
    compile: bool = False
    """Compile a checkpoint's network: a minute or more at the start of every worker. Checked likewise."""
    detect_batch: int = 0
    """Frames at once; 0: 8 on the CPU, 32 on a GPU."""
    pose_batch: int = 0
    """Crops at once; 0: 8 on the CPU, 64 on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU that the worker has been given, else the CPU."""

    def __post_init__(self) -> None:
        if not 0 < self.frames_per_second <= 240:
            raise ValueError(f"frames_per_second must be in (0, 240], got {self.frames_per_second:g}")
        if not 0 <= self.min_box_score < 1:
            raise ValueError(f"min_box_score must be in [0, 1) (0: automatic), got {self.min_box_score:g}")
        if not 0 <= self.min_box_area < float("inf"):
            raise ValueError(f"min_box_area must be 0 or more, got {self.min_box_area:g}")
        for name in ("detect_batch", "pose_batch"):
            if not 0 <= getattr(self, name) <= 4096:
                raise ValueError(f"{name} must be in [0, 4096] (0: automatic), got {getattr(self, name)}")
        if self.estimator == "mediapipe":
            self._refuse_for_mediapipe()
        elif not self.checkpoint:
            raise ValueError('estimator = "alphapose" needs a checkpoint; give the path or s3:// URI of the file')
        elif self.checkpoint.lower().endswith(".onnx"):
            self._refuse_for_onnx()

    def _refuse_for_mediapipe(self) -> None:
        files = ("checkpoint", "config", "detector_checkpoint", "reid_checkpoint")
        given = [name for name in files if getattr(self, name)]
        if given:
            raise ValueError(f'{given[0]} is of no use to MediaPipe; set estimator = "alphapose"')

    def _refuse_for_onnx(self) -> None:
        default = {"config": "", "flip": False, "precision": "fp32", "compile": False}
        for name, value in default.items():
            if getattr(self, name) != value:
                raise ValueError(f"{name} is for AlphaPose checkpoints, and {self.checkpoint} is none; leave it out")
