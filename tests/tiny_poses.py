"""A real pose worker on real clips whose estimator costs next to nothing, for tests of what is around it.

What a clip's frames show (`clips.numbered`) decides what happens: most numbers give one person, a few give trouble.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from clips import Image, number_of, numbered, write_clip

from choreai.cluster.pose_worker import PoseWorker
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.pose.settings import PoseSettings
from choreai.video.frame import Frame

FINGERPRINT = "tiny"
HANGS, ALLOCATES, KEEPS_THE_LOCK, STOPS = 250, 251, 252, 253
FRAMES_PER_CLIP = 8
LEDGER = "TINY_POSES_LEDGER"
"""Environment: a folder in which each worker process leaves one byte per estimated frame."""
SLOWNESS = "TINY_POSES_SECONDS"
"""Environment: seconds that each frame takes."""


class TinyEstimator:
    batch_size = 2

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"name": "tiny"}

    def start_video(self) -> None:
        pass

    def estimate(self, frames: Sequence[Frame]) -> list[Poses]:
        if LEDGER in os.environ:
            with (Path(os.environ[LEDGER]) / str(os.getpid())).open("ab") as ledger:
                ledger.write(b"." * len(frames))
        time.sleep(len(frames) * float(os.environ.get(SLOWNESS, "0")))
        return [self._poses(number_of(frame.image), frame.frame_index) for frame in frames]

    def _poses(self, number: int, frame_index: int) -> Poses:
        if number == HANGS:
            time.sleep(120)  # as a decoder or a network does it: without Python's lock
        if number == ALLOCATES:
            _allocate()
        if number == KEEPS_THE_LOCK:
            ctypes.PyDLL(None).sleep(120)
        if number == STOPS:
            time.sleep(0.5)  # until the driver has heard that the video began
            os.kill(os.getpid(), signal.SIGSTOP)  # no thread of this process runs any more
        return Poses(
            box_xyxy=np.array([[1, 2, 30 + number % 7, 40]], np.float32),
            box_scores=np.array([0.9], np.float32),
            keypoints_xy=np.full((1, NUM_KEYPOINTS, 2), number + frame_index / 8, np.float32),
            keypoint_scores=np.full((1, NUM_KEYPOINTS), 0.5, np.float32),
            keypoints_xyz=None,
        )


def _allocate() -> None:
    """Takes memory as fast as an exploding decoder, to 1.5 GB at most."""
    held = []
    for _ in range(48):
        held.append(np.ones(32 << 20, np.uint8))
        time.sleep(0.02)
    time.sleep(120)


class TinyWorker(PoseWorker):
    @classmethod
    def build_estimator(cls, settings: PoseSettings, *, num_threads: int = 1) -> PoseEstimator:
        return TinyEstimator()

    @classmethod
    def fingerprint(cls, settings: PoseSettings) -> str:
        return FINGERPRINT


class EachWorker(TinyWorker):
    """The same poses for every estimator, but each has a fingerprint of its own; the plain one is MediaPipe's."""

    @classmethod
    def fingerprint(cls, settings: PoseSettings) -> str:
        return FINGERPRINT if settings.estimator == "mediapipe" else f"{settings.estimator}-poses"


def always(number: int) -> Callable[[int], Image]:
    """Paints every frame with one number."""
    return lambda _: numbered(number)


def write_clips(folder: Path, numbers: Sequence[int]) -> Path:
    """A catalog of one clip per number, each as long as the others; its content ids are its own."""
    rows = ["video_id,uri,content_id"]
    for index, number in enumerate(numbers):
        path = folder / f"{index}.mp4"
        write_clip(path, num_frames=FRAMES_PER_CLIP, frames_per_second=8, paint=always(number))
        rows.append(f"clip-{index:03d},{index}.mp4,bytes-{number}")
    (folder / "catalog.csv").write_text("\n".join(rows))
    return folder / "catalog.csv"
