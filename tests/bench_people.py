"""Is the right person followed, and what does it cost? Estimators and rules on real clips with hand-drawn boxes.

    python tests/bench_people.py

Needs ../shared: 140 frames of 14 clips in which the dancer's box was drawn by eye. A frame counts as right where the
chosen person's box overlaps one of them by IoU > 0.2 (several boxes where several dance). Times are process time on one
thread, which other jobs on the machine disturb little.
"""

import json
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import people_pictures

from choreai.motion.prominence import choose_dancers, moment_prominence, prominence_by_track
from choreai.motion.sequence import KeypointSequence
from choreai.pose.build import build_estimator
from choreai.pose.build_blazepose import build_blazepose
from choreai.pose.choice import with_blazepose_files
from choreai.pose.estimator import PoseEstimator
from choreai.pose.pipeline import estimate_and_track, to_sequence
from choreai.pose.saliency import iou_matrix
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame

DATA = people_pictures.SHARED / "data"
BOXES = DATA / "dancer_boxes.json"
WEIGHTS = DATA / "weights"
MIN_IOU = 0.2
FRAMES_PER_SECOND = 15.0
GROUPS = {"0003": "breaking", "1002": "locking"}
WANTED = {"breaking": 62, "locking": 49, "other": 19}
CROWD = PoseSettings(
    estimator="crowd",
    checkpoint=str(WEIGHTS / "blazepose_full.onnx"),
    detector_checkpoint=str(WEIGHTS / "yolox_nano_416.onnx"),
)
MEDIAPIPE = PoseSettings(estimator="mediapipe")
BLAZEPOSE = PoseSettings(estimator="blazepose")

Rule = Callable[[KeypointSequence], np.ndarray]
"""(N,) how much each row's person is taken for the dancer, to compare within a frame."""


def whole_video(sequence: KeypointSequence) -> np.ndarray:
    found = prominence_by_track(sequence)
    return np.array([found[int(track_id)] for track_id in sequence.track_id])


RULES: dict[str, Rule] = {"whole video": whole_video, "moment by moment": moment_prominence}


@dataclass(frozen=True, eq=False)
class Clip:
    name: str
    frames: list[Frame]
    dancers: dict[int, np.ndarray]
    """(D, 4) boxes in pixels by position among `frames`."""

    @property
    def group(self) -> str:
        return GROUPS.get(self.name.split("_")[0], "other")


def read_clips() -> Iterator[Clip]:
    for name, drawn in json.loads(BOXES.read_text()).items():
        street = DATA / "streetdance" / "clips" / f"{name}.mp4"
        path = street if street.exists() else next((DATA / "videos").glob(f"{name}.*"))
        with path.open("rb") as file, VideoReader(file, uri=str(path)) as reader:
            frames = list(reader.sample(frames_per_second=FRAMES_PER_SECOND))
        height, width = frames[0].image.shape[:2]
        scale = np.array([width, height, width, height], np.float32)
        yield Clip(name, frames, {int(at): np.float32(boxes) * scale for at, boxes in drawn.items()})


def num_right(clip: Clip, sequence: KeypointSequence, prominence: np.ndarray) -> int:
    """In how many of the clip's drawn frames the most prominent person is a dancer."""
    right = 0
    for at, dancers in clip.dancers.items():
        rows = np.flatnonzero(sequence.frame_index == clip.frames[at].frame_index)
        if len(rows) and sequence.box_xyxy is not None:
            chosen = rows[prominence[rows].argmax()]
            right += bool(iou_matrix(sequence.box_xyxy[[chosen]], dancers).max() > MIN_IOU)
    return right


def describe_choice(sequence: KeypointSequence) -> str:
    choice = choose_dancers(sequence)
    counts = np.bincount(sequence.frame_index[choice.is_main])
    together = counts[counts > 0].mean() if len(sequence) else 0.0
    return f"main dancers at a time {together:.1f}, confidence {choice.confidence:.2f}"


def build(settings: PoseSettings) -> PoseEstimator:
    return build_estimator(settings, read_file=objects.read_object)


def build_without_motion(settings: PoseSettings = BLAZEPOSE) -> PoseEstimator:
    named = with_blazepose_files(settings)
    return build_blazepose(named, read_file=objects.read_object, num_threads=1, searches_motion=False)


ESTIMATORS: dict[str, Callable[[], PoseEstimator]] = {
    "mediapipe": lambda: build(MEDIAPIPE),
    "blazepose, detector alone": build_without_motion,
    "blazepose": lambda: build(BLAZEPOSE),
    "crowd": lambda: build(CROWD),
    "crowd, detect_every 2": lambda: build(replace(CROWD, detect_every=2)),
    "crowd, detect_every 3": lambda: build(replace(CROWD, detect_every=3)),
}


def bench_choice() -> None:
    clips = list(read_clips())
    groups = list(WANTED)
    totals = {group: sum(len(clip.dancers) for clip in clips if clip.group == group) for group in groups}
    print(f"{'the chosen person is the dancer':44}" + "".join(f"{f'{g} of {totals[g]}':>16}" for g in groups))
    for name, build_named in ESTIMATORS.items():
        estimator = build_named()
        sequences = [to_sequence(estimate_and_track(clip.frames, estimator)) for clip in clips]
        for rule, prominence in RULES.items():
            right = dict.fromkeys(groups, 0)
            for clip, sequence in zip(clips, sequences, strict=True):
                right[clip.group] += num_right(clip, sequence, prominence(sequence))
            print(f"  {name + ', ' + rule:42}" + "".join(f"{right[group]:16}" for group in groups))
        for clip, sequence in zip(clips, sequences, strict=True):
            right_here = num_right(clip, sequence, moment_prominence(sequence))
            print(f"    {clip.name:14} {right_here:2} of {len(clip.dancers)}, {describe_choice(sequence)}")
    print(f"  {'wanted':42}" + "".join(f"{WANTED[group]:16}" for group in groups))


def bench_cost() -> None:
    print("CPU ms a frame, one thread, by the most people that get a pose")
    clip = next(read_clips())
    crowded = [Frame(_tiled(frame.image), frame.frame_index, frame.pts_seconds) for frame in clip.frames[:30]]
    for what, frames in (("a battle, some 25 detections a frame", clip.frames[:90]), ("nine of it in one", crowded)):
        for every in (1, 2, 3):
            settings = replace(CROWD, detect_every=every)
            costs = [_milliseconds(settings, frames, max_people=people) for people in (1, 2, 4, 8)]
            name = f"crowd, {what}" if every == 1 else f"  the same, detect_every {every}"
            print(f"  {name:44}" + "".join(f"{cost:8.0f}" for cost in costs) + "  for 1, 2, 4, 8")
    costs = [_milliseconds(BLAZEPOSE, clip.frames[:90], max_people=people) for people in (1, 2, 4, 8)]
    print(f"  {'blazepose, a battle':44}" + "".join(f"{cost:8.0f}" for cost in costs) + "  for 1, 2, 4, 8")
    print(f"  mediapipe, a battle {_milliseconds(MEDIAPIPE, clip.frames[:90]):31.0f}")


def bench_memory() -> None:
    """Does a longer video of a crowd take more memory? Peak of the process after one pass, and after four more."""
    clip = next(read_clips())
    frames = [Frame(_tiled(frame.image), frame.frame_index, frame.pts_seconds) for frame in clip.frames[:30]]
    estimator, peaks = build(CROWD), []
    for _ in range(5):
        for _ in estimate_and_track(frames, estimator):
            pass
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(
        f"peak memory with nine battles in one picture: {peaks[0]:.0f} MiB after 30 frames, {peaks[-1]:.0f} after 150"
    )


def _tiled(image: np.ndarray) -> np.ndarray:
    """The picture nine times in the size of one."""
    return np.ascontiguousarray(np.tile(image[::3, ::3], (3, 3, 1))[: image.shape[0], : image.shape[1]])


def _milliseconds(settings: PoseSettings, frames: list[Frame], *, max_people: int = 4) -> float:
    estimator = build(replace(settings, max_people=max_people))
    list(estimate_and_track(frames[:3], estimator))
    started = time.process_time()
    for _ in estimate_and_track(frames, estimator):
        pass
    return 1e3 * (time.process_time() - started) / len(frames)


def main() -> None:
    if not BOXES.exists():
        raise SystemExit(f"{BOXES} is missing: this bench needs the clips and boxes of ../shared")
    import cv2

    cv2.setNumThreads(1)
    bench_cost()
    bench_memory()
    bench_choice()


if __name__ == "__main__":
    main()
