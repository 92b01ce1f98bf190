"""The [pose] section of a job file: which estimator runs, and with which weights and thresholds."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

ReadFile = Callable[[str], bytes]
"""Return all bytes of a path or URI, or raise StorageError; passed in, so that `pose` need not know any storage."""

Preprocessing = Literal["imagenet", "imagenet-bgr", "unit", "alphapose"]

FILES = ("checkpoint", "config", "detector_checkpoint", "reid_checkpoint")


@dataclass(frozen=True)
class PoseSettings:
    """The [pose] section.

    The pose fingerprint covers every setting that changes keypoints: all except those that only affect how they are
    computed (batch sizes, compile, device) and where the weights are stored.
    """

    estimator: Literal["mediapipe", "blazepose", "alphapose", "crowd", "auto"] = "auto"
    """mediapipe: one person per frame, no weights needed. blazepose: the same networks without MediaPipe, for the
    `max_people` most salient people, those who move looked for first. crowd: the `max_people` most salient people, with
    a detector and a pose network in .onnx files. alphapose: everybody. auto: crowd if its files are at hand, else
    blazepose if its files were fetched, else mediapipe; to tag, whichever made the poses of the model's training."""
    frames_per_second: float = 15.0
    """Sampling rate; every frame is used of a video with a lower frame rate. On real street dance `choreai train`
    classifies 0.92 of the clips correctly at 15 and 0.90 at 8 (contiguous blocks): hits and stops last a tenth of a
    second."""
    max_people: int = 4
    """Most people per frame whose pose crowd and blazepose read, the most salient first."""
    detect_every: int = 1
    """Crowd looks for people in every so many sampled frames, and follows them in between. With 2, 55 of 70 breaking
    frames were on the dancer, with 1 62."""
    split_shots: bool = False
    """Find the cuts: tracks, windows and features never cross one, and the shots table lists the shots."""

    # The settings below apply to alphapose and crowd only, those of files and `min_box_score` also to blazepose. Files
    # are paths, s3:// URIs, or `weights:` and the name of weights that `choreai weights` knows.
    checkpoint: str = ""
    """The pose network: an AlphaPose checkpoint, or an .onnx file; for crowd any .onnx, BlazePose included;
    for blazepose pose_landmark_full.tflite, by default the fetched one, else that of an installed mediapipe."""
    config: str = ""
    """AlphaPose's YAML file for the checkpoint; needed only by networks of 133 and 136 keypoints."""
    preprocessing: Preprocessing = "imagenet"
    """How an .onnx pose network expects its crops to be normalised, which the file does not record."""
    detector_checkpoint: str = ""
    """The person detector: YOLOv3-SPP (.weights), YOLOX as .onnx, or a YOLOX checkpoint; for blazepose
    pose_detection.tflite, found as `checkpoint` is."""
    reid_checkpoint: str = ""
    """OSNet-AIN x1.0, or for crowd any .onnx: tracks are matched by appearance as well as by movement. As in AlphaPose,
    pose NMS is then skipped, because the tracker expects to see duplicate poses."""
    auto_fetch: bool = False
    """Fetch the weights named here that are missing, and for auto those of crowd-cpu; otherwise nothing is fetched."""
    min_box_score: float = 0.0
    """Detections below this score are discarded. 0: AlphaPose's value, which is 0.1, or 0.3 for YOLOv3 with a
    `reid_checkpoint`; 0.05 for crowd, 0.5 for blazepose."""
    min_box_area: float = 0.0
    """People smaller than this are discarded: square pixels, compared with 2.25 times the area of the keypoints'
    bounding box."""
    flip: bool = False
    """Average the heatmaps of each crop and its mirror image: slightly more accurate, twice the time."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Precision of a checkpoint's network; bf16 and fp16 are checked against fp32 on the first people found."""
    compile: bool = False
    """Compile a checkpoint's network, which takes a minute or more at the start of every worker; checked against the
    uncompiled network on the first people found."""
    detect_batch: int = 0
    """Frames per batch; 0: 8 on the CPU, 32 on a GPU."""
    pose_batch: int = 0
    """Crops per batch; 0: 8 on the CPU, 64 on a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU assigned to the worker, if any, else the CPU."""

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
        if self.max_people < 1:
            raise ValueError(f"max_people must be at least 1, got {self.max_people}")
        if not 1 <= self.detect_every <= 30:
            raise ValueError(f"detect_every must be in [1, 30], got {self.detect_every}")
        if self.estimator == "mediapipe":
            self._refuse_for_mediapipe()
        elif self.estimator == "blazepose":
            self._refuse_for_blazepose()
        elif self.estimator != "auto" and not self.checkpoint:
            raise ValueError(
                f'estimator = "{self.estimator}" needs a checkpoint; give the path or s3:// URI of the file'
            )
        elif self.estimator == "crowd" or (self.estimator == "auto" and self._names_files):
            self._refuse_for_crowd()
        elif _is_onnx(self.checkpoint):
            self._refuse_for_onnx()

    def with_files(self, files: Mapping[str, str]) -> "PoseSettings":
        """Return the settings with these values of `checkpoint`, `detector_checkpoint` and `reid_checkpoint`."""
        return replace(
            self,
            checkpoint=files.get("checkpoint", self.checkpoint),
            detector_checkpoint=files.get("detector_checkpoint", self.detector_checkpoint),
            reid_checkpoint=files.get("reid_checkpoint", self.reid_checkpoint),
        )

    @property
    def _names_files(self) -> bool:
        return any(getattr(self, name) for name in FILES)

    def _refuse_for_mediapipe(self) -> None:
        given = [name for name in FILES if getattr(self, name)]
        if given:
            raise ValueError(f'{given[0]} does not apply to MediaPipe; set estimator = "alphapose"')

    def _refuse_for_blazepose(self) -> None:
        for name in ("detect_every", "config", "reid_checkpoint", "min_box_area", "flip", "precision", "compile"):
            if getattr(self, name) != getattr(PoseSettings, name):
                raise ValueError(f'{name} does not apply to estimator = "blazepose"; leave it out')
        if self.device == "cuda":
            raise ValueError('estimator = "blazepose" computes on the CPU; leave device out')
        for name in ("checkpoint", "detector_checkpoint"):
            file = getattr(self, name)
            if file and not file.lower().endswith(".tflite") and not file.startswith("weights:"):
                raise ValueError(f'estimator = "blazepose" takes .tflite files, and {name} is {file}')

    def _refuse_for_crowd(self) -> None:
        if self.estimator == "crowd" and not self.detector_checkpoint:
            raise ValueError('estimator = "crowd" needs a detector_checkpoint; give the path or s3:// URI of the file')
        if self.checkpoint and not _is_onnx(self.checkpoint):
            raise ValueError(
                f'estimator = "{self.estimator}" takes pose networks as .onnx files, and {self.checkpoint} is none; '
                'give one, or set estimator = "alphapose"'
            )
        if self.reid_checkpoint and self.estimator == "auto":
            raise ValueError('reid_checkpoint does not apply to estimator = "auto"; leave it out, or set "crowd"')
        if self.reid_checkpoint and not _is_onnx(self.reid_checkpoint):
            raise ValueError(f'estimator = "crowd" takes re-ID networks as .onnx files, not {self.reid_checkpoint}')
        if self.min_box_area:
            raise ValueError(f'min_box_area does not apply to estimator = "{self.estimator}"; leave it out')
        self._refuse_for_onnx()

    def _refuse_for_onnx(self) -> None:
        for name in ("config", "flip", "precision", "compile"):
            if getattr(self, name) != getattr(PoseSettings, name):
                what = self.checkpoint or f'estimator = "{self.estimator}"'
                raise ValueError(f"{name} applies to AlphaPose checkpoints, not to {what}; leave it out")


def _is_onnx(file: str) -> bool:
    """All weights that have a name are .onnx files."""
    return file.startswith("weights:") or file.lower().endswith(".onnx")
