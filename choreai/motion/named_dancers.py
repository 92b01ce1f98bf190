"""Named dancers: the people of a video who dance, as a reviewer says, found again in any poses of the same video.

Track ids belong to one version of the keypoint tables. So a review keeps boxes too: where each of these people was,
once a second, as shares of the picture.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from choreai.arrays import Float64Array
from choreai.motion.sequence import KeypointSequence

MAX_BOXES = 60
"""Of each person, one a second, or spread over the time in which they are seen."""
MIN_OVERLAP = 0.3
"""Intersection over union of a review's box and a person's: one detector's box reaches to the fingertips, another's
encloses the keypoints only, and two people who dance side by side overlap by less. Of dancers named in the crowd
estimator's tables of 183 clips, 0.93 of MediaPipe's rows on them were found, and 0.98 of what was found was on them."""
MIN_SHARE = 0.5
"""Of the boxes while a track is in view: so many must be its own. Somebody who is passed by matches one or two."""
TOLERANCE_SECONDS = 0.15
"""Between a box and a pose: other tables may be sampled at other moments."""


@dataclass(frozen=True)
class PersonBox:
    """Where one person was at a moment; left, top, width and height are shares of the picture's width and height."""

    track_id: int
    """In the tables that the review was made on."""
    seconds: float
    left: float
    top: float
    width: float
    height: float

    def __post_init__(self) -> None:
        numbers = (self.seconds, self.left, self.top, self.width, self.height)
        if self.track_id < 0 or not np.isfinite(numbers).all() or self.seconds < 0:
            raise ValueError(f"a person's box needs a track id and a time from 0, and finite shares, got {self}")
        if not (self.width > 0 and self.height > 0):
            raise ValueError(f"a person's box needs a width and a height above 0, got {self.width} x {self.height}")


@dataclass(frozen=True)
class NamedDancers:
    """Who dances in a video, by one review."""

    boxes: tuple[PersonBox, ...]
    """Of all dancers; empty: the choice is left to choreai again."""
    pose_fingerprint: str | None
    """Of the tables whose track ids the boxes name; None: only the boxes count."""
    reviewer: str
    reviewed_at: datetime
    size_wh: tuple[int, int] | None = None
    """Pixels of the upright picture, to compare boxes with; None where not known."""

    @property
    def track_ids(self) -> list[int]:
        """The ids in the tables that the review was made on, rising."""
        return sorted({box.track_id for box in self.boxes})

    def find(self, sequence: KeypointSequence, *, pose_fingerprint: str) -> list[int] | None:
        """Return the ids of these people in `sequence`, rising: none where nobody of them is found.

        None where the review leaves the choice to choreai.
        """
        if not self.boxes:
            return None
        if self.pose_fingerprint == pose_fingerprint:
            return sorted(set(self.track_ids) & set(sequence.track_ids))
        return [] if self.size_wh is None else find_people(sequence, self.boxes, size_wh=self.size_wh)


def boxes_of(
    sequence: KeypointSequence, track_ids: Iterable[int], *, size_wh: tuple[int, int]
) -> tuple[PersonBox, ...]:
    """Return where these people are, about once a second, by id and time; a track of which nothing is seen has none."""
    return tuple(box for track_id in track_ids for box in _track_boxes(sequence.track(track_id), size_wh))


def _track_boxes(track: KeypointSequence, size_wh: tuple[int, int]) -> list[PersonBox]:
    boxes = person_boxes(track)
    seen = np.flatnonzero(np.isfinite(boxes).all(axis=1))
    if not len(seen):
        return []
    seconds = track.pts_seconds[seen]
    num = int(np.clip(round(float(seconds[-1] - seconds[0])) + 1, 1, MAX_BOXES))
    wanted = np.linspace(seconds[0], seconds[-1], num)
    chosen = seen[np.unique(np.searchsorted(seconds, wanted - 1e-3).clip(0, len(seen) - 1))]
    shares = boxes[chosen] / np.tile(size_wh, 2)
    return [
        PersonBox(
            int(track.track_id[row]), round(float(track.pts_seconds[row]), 3),
            *(round(float(number), 4) for number in (left, top, max(right - left, 1e-4), max(bottom - top, 1e-4))),
        )
        for row, (left, top, right, bottom) in zip(chosen.tolist(), shares.tolist(), strict=True)
    ]  # fmt: skip


def find_people(sequence: KeypointSequence, boxes: Iterable[PersonBox], *, size_wh: tuple[int, int]) -> list[int]:
    """Return the ids, rising, of the tracks that lie in these boxes for most of the boxes' moments."""
    visible: dict[int, int] = {}
    matched: dict[int, int] = {}
    by_moment: dict[float, list[PersonBox]] = {}
    for box in boxes:
        by_moment.setdefault(box.seconds, []).append(box)
    for seconds, here in by_moment.items():
        people = sequence.at(seconds, tolerance_seconds=TOLERANCE_SECONDS)
        if not len(people):
            continue
        overlaps = _overlaps(np.array([_pixels(box, size_wh) for box in here]), person_boxes(people))
        best = overlaps.argmax(axis=1)
        found = {people.track_ids[b] for b, row in zip(best.tolist(), overlaps, strict=True) if row[b] >= MIN_OVERLAP}
        for track_id in people.track_ids:
            visible[track_id] = visible.get(track_id, 0) + 1
            matched[track_id] = matched.get(track_id, 0) + (track_id in found)
    return sorted(track for track, num in visible.items() if matched[track] >= MIN_SHARE * num)


def person_boxes(sequence: KeypointSequence) -> Float64Array:
    """Return (N, 4) the box of each row, or of its keypoints where it has none: left, top, right, bottom in pixels; NaN
    where nothing is seen."""
    xy = sequence.keypoints_xy.astype(np.float64)
    seen = np.isfinite(xy).all(axis=2, keepdims=True)
    lowest, highest = np.where(seen, xy, np.inf).min(axis=1), np.where(seen, xy, -np.inf).max(axis=1)
    extents = np.concatenate([lowest, highest], axis=1)
    extents[~np.isfinite(extents).all(axis=1)] = np.nan
    if sequence.box_xyxy is None:
        return extents
    boxes = sequence.box_xyxy.astype(np.float64)
    has_box = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return np.where(has_box[:, None], boxes, extents)


def _pixels(box: PersonBox, size_wh: tuple[int, int]) -> list[float]:
    width, height = size_wh
    return [box.left * width, box.top * height, (box.left + box.width) * width, (box.top + box.height) * height]


def _overlaps(first: Float64Array, second: Float64Array) -> Float64Array:
    """Return (A, B) intersection over union of (A, 4) and (B, 4) boxes; 0 where a box is not known."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    common = (high - low).clip(0, None).prod(axis=2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - common
    return np.nan_to_num(np.divide(common, union, out=np.zeros_like(common), where=union > 0))
