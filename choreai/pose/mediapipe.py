"""The built-in pose estimator: MediaPipe's BlazePose, one person per frame, on the CPU, with weights in the wheel.

It needs no download and no GPU, and adds 3D. MediaPipe finds only the most prominent person; use a top-down estimator
for groups. One estimator uses about one core; to use more cores, run more processes rather than threads.
"""

import hashlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from choreai.arrays import FloatArray
from choreai.errors import ConfigError, MediaError, WeightsError
from choreai.pose.chatter import without_chatter
from choreai.pose.estimator import Poses
from choreai.video.frame import Frame

MEDIAPIPE_VERSION = "0.10.21"
"""The last release whose wheel contains its models; later ones download them at run time."""

MODEL_COMPLEXITY = 1
"""The "full" landmark model, the only one in the wheel."""

MIN_DETECTION_CONFIDENCE = 0.5
MIN_TRACKING_CONFIDENCE = 0.5

SMOOTH = False
"""MediaPipe's smoothing filter assumes 33 ms between frames. With samples 125 ms apart (8 per second) it makes limbs
lag: on generated dancers the median keypoint error was 0.051 torso lengths with it and 0.040 without, and jitter was
higher too (0.031 against 0.018 per sample)."""

BOX_MARGIN = 0.07
"""Margin of the box around the outermost landmarks, relative to its longer side. The highest landmarks are the eyes,
at 0.936 of body height (Drillis and Contini 1966), so the top of the head is 0.064 of it above them."""

COCO_FROM_BLAZEPOSE = (0, 2, 5, 7, 8, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
"""Index of each COCO-17 keypoint among BlazePose's 33 points."""

_MODEL_FILES = {
    "detector_sha256": "modules/pose_detection/pose_detection.tflite",
    "landmarks_sha256": "modules/pose_landmark/pose_landmark_full.tflite",
}


class MediaPipeEstimator:
    """BlazePose "full" as a `PoseEstimator`: at most one person per frame, with 3D keypoints.

    `keypoint_scores` are MediaPipe's visibilities in [0, 1] and `box_scores` their mean. Keypoints may lie outside
    the frame, where MediaPipe guesses them; the box does not. Close the estimator, or let the process end.

    Raises ConfigError if MediaPipe cannot be used, WeightsError if its model files are missing, and MediaError (naming
    the frame) if it fails on a frame.
    """

    batch_size = 1
    """MediaPipe takes frames one by one; larger batches would only use more memory."""

    def __init__(self) -> None:
        self._weights = _hash_models(_find_package())
        self._pose: Any = None  # mediapipe has no types
        self._has_seen_somebody = False

    def settings(self) -> dict[str, str | int | float | bool]:
        return {
            "estimator": "mediapipe",
            "mediapipe_version": MEDIAPIPE_VERSION,
            "model_complexity": MODEL_COMPLEXITY,
            "min_detection_confidence": MIN_DETECTION_CONFIDENCE,
            "min_tracking_confidence": MIN_TRACKING_CONFIDENCE,
            "smooth": SMOOTH,
            "box_margin": BOX_MARGIN,
            **self._weights,
        }

    def start_video(self) -> None:
        """Open a new graph: the old one would search for the person where the previous video had them."""
        self.close()
        with without_chatter():
            self._pose = _build_pose()

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        if self._pose is None:
            raise ValueError("call start_video() before the first frame of a video")
        return [self._estimate_one(frame) for frame in frames]

    def close(self) -> None:
        """Free the graph and its threads; `start_video` opens a new one."""
        pose, self._pose = self._pose, None
        if pose is None:
            return
        try:
            pose.close()
        except RuntimeError:
            # A graph that failed reports its failure again on closing; the first report was the MediaError.
            return

    def _estimate_one(self, frame: Frame) -> Poses:
        # The first person found in a process causes one more start-up message.
        with nullcontext() if self._has_seen_somebody else without_chatter():
            try:
                result = self._pose.process(np.ascontiguousarray(frame.image))
            except (RuntimeError, ValueError) as exc:
                self.close()
                place = f"frame {frame.frame_index} at {frame.pts_seconds:.3f} s"
                raise MediaError(place, f"MediaPipe failed on it ({exc})") from exc
        if result.pose_landmarks is None:
            return Poses.empty(with_xyz=True)
        self._has_seen_somebody = True
        height, width = frame.image.shape[:2]
        return _to_poses(result, width=width, height=height)


def _to_poses(result: Any, *, width: int, height: int) -> Poses:
    """Return the person in MediaPipe's result, converted from pixel-edge to pixel-centre coordinates.

    The remaining offset is below its accuracy: mirrored images showed half a pixel of MediaPipe's 256-pixel crop,
    0.0025 of a person's height (0.25 px at 88 px, 0.44 at 175, 1.4 at 524).
    """
    landmarks = result.pose_landmarks.landmark
    points = np.array([(p.x * width - 0.5, p.y * height - 0.5) for p in landmarks], np.float32)
    visibility = np.array([p.visibility for p in landmarks], np.float32)
    xyz = np.array([(p.x, p.y, p.z) for p in result.pose_world_landmarks.landmark], np.float32)
    picked = list(COCO_FROM_BLAZEPOSE)
    return Poses(
        box_xyxy=box_around(points, width=width, height=height)[None],
        box_scores=visibility[picked].mean(keepdims=True),
        keypoints_xy=points[None, picked],
        keypoint_scores=visibility[None, picked],
        keypoints_xyz=xyz[None, picked],
    )


def box_around(points: FloatArray, *, width: int, height: int) -> FloatArray:
    """Return the box (4,) of (33, 2) points, widened by `BOX_MARGIN` and clipped to the frame's pixel centres."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = BOX_MARGIN * (high - low).max()
    last = np.array([width - 1, height - 1], np.float32)
    return np.concatenate([(low - margin).clip(0, last), (high + margin).clip(0, last)]).astype(np.float32)


def _find_package() -> Path:
    """Return the folder of the installed mediapipe, without importing it. Raises ConfigError."""
    advice = 'install it with `pip install "choreai[mediapipe]"`, or choose another estimator'
    if sys.version_info >= (3, 13):
        running = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise ConfigError(
            f"the mediapipe estimator needs Python 3.11 or 3.12, this is {running}, for which MediaPipe has "
            f"no wheels; make an environment with Python 3.12, then {advice}"
        )
    spec = importlib.util.find_spec("mediapipe")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError(f"the mediapipe estimator needs MediaPipe, which is not installed; {advice}")
    version = importlib.metadata.version("mediapipe")
    if version != MEDIAPIPE_VERSION:
        raise ConfigError(
            f"the mediapipe estimator needs mediapipe {MEDIAPIPE_VERSION}, whose wheel contains the models, "
            f"but {version} is installed; {advice}"
        )
    return Path(spec.submodule_search_locations[0])


def _hash_models(package: Path) -> dict[str, str]:
    """Return the SHA-256 of both model files, by their names in `settings`. Raises WeightsError."""
    hashes = {}
    for name, relative in _MODEL_FILES.items():
        try:
            hashes[name] = hashlib.sha256((package / relative).read_bytes()).hexdigest()
        except OSError as exc:
            raise WeightsError(
                f"{package / relative}: not readable ({exc}); reinstall mediapipe=={MEDIAPIPE_VERSION}"
            ) from exc
    return hashes


def _build_pose() -> Any:
    """Return a running MediaPipe graph, with both models loaded."""
    from mediapipe.python.solutions.pose import Pose

    try:
        pose = Pose(
            static_image_mode=False,
            model_complexity=MODEL_COMPLEXITY,
            smooth_landmarks=SMOOTH,
            min_detection_confidence=MIN_DETECTION_CONFIDENCE,
            min_tracking_confidence=MIN_TRACKING_CONFIDENCE,
        )
        # The graph loads its models in its own threads. Processing one black pixel waits for them, so that their
        # messages appear now; no one is found in it, so it leaves no state.
        pose.process(np.zeros((1, 1, 3), np.uint8))
    except (RuntimeError, ValueError, FileNotFoundError) as exc:
        raise WeightsError(
            f"MediaPipe could not load its models ({exc}); reinstall mediapipe=={MEDIAPIPE_VERSION}"
        ) from exc
    return pose
