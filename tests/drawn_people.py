"""Dancers in real clips whose boxes and ids were drawn by eye, and what trackers score on them.

`golden/drawn_people.json` has, by clip of ../shared and frame, the boxes (x0, y0, x1, y1 in pixels) of its dancers, one
dancer after the other and always in the same order. Frames are half a second apart; the clips are those in which
people pass before one another. Onlookers are not drawn, so found boxes that overlap none of the dancers are not scored.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import people_pictures

from choreai.pose.build import build_estimator
from choreai.pose.estimator import Poses
from choreai.pose.pipeline import estimate
from choreai.pose.settings import PoseSettings
from choreai.pose.trackers import PersonTracker
from choreai.pose.tracking_scores import BoxTracks, TrackingScores, overlaps, score_tracks
from choreai.storage import objects
from choreai.video.decode import VideoReader

DRAWN = Path(__file__).parent / "golden" / "drawn_people.json"
CLIPS = people_pictures.SHARED / "data" / "streetdance" / "clips"
WEIGHTS = people_pictures.SHARED / "data" / "weights"
CROWD = PoseSettings(
    estimator="crowd",
    checkpoint=str(WEIGHTS / "blazepose_full.onnx"),
    detector_checkpoint=str(WEIGHTS / "yolox_nano_416.onnx"),
    reid_checkpoint=str(WEIGHTS / "osnet_x0_25_msmt17.onnx"),
)
MIN_OVERLAP = 0.3


@dataclass(frozen=True, eq=False)
class DrawnClip:
    """What the crowd estimator finds in a clip, and who was drawn in it."""

    name: str
    poses: list[tuple[float, Poses]]
    """(seconds, people) of every sampled frame."""
    drawn: dict[int, np.ndarray]
    """(D, 4) boxes of the dancers by place among `poses`: the sampled frame nearest to the drawn one, 1/30 s off at
    most."""


def read_drawn() -> dict[str, dict[int, np.ndarray]]:
    """Return (D, 4) boxes by clip and frame index."""
    clips = json.loads(DRAWN.read_text())
    return {name: {int(at): np.array(boxes, float) for at, boxes in frames.items()} for name, frames in clips.items()}


def estimate_clips() -> Iterator[DrawnClip]:
    """Yield the clips, as the crowd estimator sees them with appearance features."""
    estimator = build_estimator(CROWD, read_file=objects.read_object)
    for name, drawn in read_drawn().items():
        path = CLIPS / f"{name}.mp4"
        with path.open("rb") as file, VideoReader(file, uri=str(path)) as reader:
            frames = reader.sample(frames_per_second=CROWD.frames_per_second)
            found = [(frame.frame_index, frame.pts_seconds, poses) for frame, poses in estimate(frames, estimator)]
        indices = np.array([index for index, _, _ in found])
        places = {int(np.abs(indices - at).argmin()): boxes for at, boxes in drawn.items()}
        yield DrawnClip(name, [(seconds, poses) for _, seconds, poses in found[: max(places) + 1]], places)


def score_drawn(clip: DrawnClip, make_tracker: Callable[[], PersonTracker], *, looks: bool) -> TrackingScores:
    """Return the scores of a tracker that sees every sampled frame, in those that are drawn."""
    tracker, found = make_tracker(), []
    for place, (seconds, poses) in enumerate(clip.poses):
        ids = tracker.update(poses if looks else replace(poses, features=None), pts_seconds=seconds)
        if place in clip.drawn:
            boxes = poses.box_xyxy.astype(np.float64)
            is_dancer = np.array([overlaps(box[None], clip.drawn[place]).max() > MIN_OVERLAP for box in boxes], bool)
            found.append(_tracks(place, ids[is_dancer], boxes[is_dancer]))
    truth = [_tracks(place, np.arange(len(boxes)), boxes) for place, boxes in clip.drawn.items()]
    return score_tracks(_joined(truth), _joined(found))


def _tracks(frame: int, ids: np.ndarray, boxes: np.ndarray) -> BoxTracks:
    return BoxTracks(np.full(len(ids), frame), ids.astype(np.int64), boxes)


def _joined(frames: list[BoxTracks]) -> BoxTracks:
    return BoxTracks(
        *(np.concatenate([getattr(f, name) for f in frames]) for name in ("frame", "track_id", "box_xyxy"))
    )
