"""People: everybody seen in a video, measured so that a reviewer can tell who is meant, and who was taken to dance."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from choreai.motion.named_dancers import person_boxes
from choreai.motion.prominence import choose_dancers, moment_prominence, track_speeds
from choreai.motion.sequence import KeypointSequence

MIN_SECONDS = 1.0
"""People seen for less are left out of lists, unless they were taken to dance."""


@dataclass(frozen=True)
class Person:
    """One track of a video."""

    track_id: int
    seconds: float
    """In view."""
    height_pixels: float
    """Median height of the box."""
    movement: float
    """Upper quartile of the keypoints' speed relative to the hips, in box sizes a second."""
    prominence: float
    """Summed over time, as a share of the highest of the video: in [0, 1]."""
    dancing_share: float
    """Of the video's time with anybody in view: for how much of it this person is taken to dance."""
    clearest_seconds: float
    """When the person is most prominent: for a picture."""


def describe_people(sequence: KeypointSequence, named: Collection[int] | None = None) -> list[Person]:
    """Return everybody in the video: first who is taken to dance for longest, then the most prominent.

    `named`: the ids of those who dance, by a review; None: as `choose_dancers` finds.
    """
    choice = choose_dancers(sequence, named)
    prominence = moment_prominence(sequence)
    num_frames = len(np.unique(sequence.frame_index))
    people = []
    for track_id in sequence.track_ids:
        rows = np.flatnonzero(sequence.track_id == track_id)
        track, boxes = sequence.take(rows), person_boxes(sequence.take(rows))
        sides = boxes[:, 2:] - boxes[:, :2]
        size = float(np.nanmedian(sides.max(axis=1))) if np.isfinite(sides).any() else 0.0
        people.append(
            Person(
                track_id=track_id,
                seconds=len(rows) * _sample_seconds(sequence),
                height_pixels=float(np.nanmedian(sides[:, 1])) if np.isfinite(sides).any() else 0.0,
                movement=float(np.percentile(track_speeds(track), 75)) / size if size > 0 else 0.0,
                prominence=float(prominence[rows].sum()),
                dancing_share=int(choice.is_main[rows].sum()) / num_frames,
                clearest_seconds=float(track.pts_seconds[int(prominence[rows].argmax())]),
            )
        )
    return _ranked(people)


def listed(people: list[Person], *, num: int) -> list[Person]:
    """Return up to `num` of the people, in their order, without those who are hardly seen."""
    return [each for each in people if each.seconds >= MIN_SECONDS or each.dancing_share > 0][:num]


def _ranked(people: list[Person]) -> list[Person]:
    highest = max((each.prominence for each in people), default=0.0) or 1.0
    relative = [replace(each, prominence=each.prominence / highest) for each in people]
    return sorted(relative, key=lambda each: (-each.dancing_share, -each.prominence, each.track_id))


def _sample_seconds(sequence: KeypointSequence) -> float:
    """Return the time between samples: the median over the video's frames."""
    times = np.unique(sequence.pts_seconds)
    return float(np.median(np.diff(times))) if len(times) > 1 else 0.0
