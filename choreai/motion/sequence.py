"""Keypoint sequences: the keypoints of one video or one track over time, as one object that checks itself.

Windows, kinematics, prominence, drawing and tagging take it; `choreai.tables.keypoints` reads it from Parquet.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from choreai.arrays import BoolArray, FloatArray, Int32Array
from choreai.motion.keypoint_sets import KeypointSet, keypoint_set
from choreai.motion.skeleton import NUM_KEYPOINTS

_OPTIONAL = ("keypoints_xyz", "box_xyxy", "box_scores", "other_keypoints_xy", "other_keypoint_scores")
KEYPOINTS_VERSION = 1
"""Of what the arrays mean: part of the pose fingerprint and of the tables, so a new version means new tables."""

SNAP_SHARE = 0.01
"""Of a step: a sample so near is taken as it is. Times are float32, a quarter of a millisecond apart after an hour."""


class FramePeople(NamedTuple):
    """One frame's P people, in any order; the arrays as in `KeypointSequence`."""

    frame_index: int
    pts_seconds: float
    track_id: Int32Array
    keypoints_xy: FloatArray
    keypoint_scores: FloatArray
    keypoints_xyz: FloatArray | None = None
    box_xyxy: FloatArray | None = None
    box_scores: FloatArray | None = None
    other_keypoints_xy: FloatArray | None = None
    other_keypoint_scores: FloatArray | None = None


@dataclass(frozen=True, eq=False)
class KeypointSequence:
    """The keypoints of one video's people over time: N person-frames, sorted by (track_id, frame_index).

    Raises ValueError for arrays that do not fit each other or are not in that order.
    """

    frame_index: Int32Array
    """(N,) index of the frame in the video, from 0."""
    pts_seconds: FloatArray
    """(N,) presentation time, from the video's first frame."""
    track_id: Int32Array
    """(N,) who it is, from 0."""
    keypoints_xy: FloatArray
    """(N, 17, 2) pixels of the upright original frame, x right, y down; COCO-17 order."""
    keypoint_scores: FloatArray
    """(N, 17)."""
    keypoints_xyz: FloatArray | None = None
    """(N, 17, 3) metres from between the hips, y down, NaN in rows without; None where no row has any."""
    box_xyxy: FloatArray | None = None
    """(N, 4) the person's box in the frame; None where not known."""
    box_scores: FloatArray | None = None
    """(N,) see `choreai.pose.estimator.Poses`; None where not known."""
    other_keypoints_xy: FloatArray | None = None
    """(N, J - 17, 2) the keypoints that a set of J has after COCO's 17 (`choreai.motion.keypoint_sets`), NaN in rows
    without; None where no row has any, or they were not asked for."""
    other_keypoint_scores: FloatArray | None = None
    """(N, J - 17) beside `other_keypoints_xy`, 0 in rows without."""

    def __post_init__(self) -> None:
        num_rows = len(self.frame_index)
        expected: dict[str, tuple[tuple[int, ...], type[np.generic]]] = {
            "frame_index": ((num_rows,), np.int32),
            "pts_seconds": ((num_rows,), np.float32),
            "track_id": ((num_rows,), np.int32),
            "keypoints_xy": ((num_rows, NUM_KEYPOINTS, 2), np.float32),
            "keypoint_scores": ((num_rows, NUM_KEYPOINTS), np.float32),
            "keypoints_xyz": ((num_rows, NUM_KEYPOINTS, 3), np.float32),
            "box_xyxy": ((num_rows, 4), np.float32),
            "box_scores": ((num_rows,), np.float32),
            "other_keypoints_xy": ((num_rows, self._num_others, 2), np.float32),
            "other_keypoint_scores": ((num_rows, self._num_others), np.float32),
        }
        for name, (shape, dtype) in expected.items():
            array = getattr(self, name)
            if array is not None and (array.shape != shape or array.dtype != dtype):
                raise ValueError(f"{name} must be {shape} {dtype.__name__}, got {array.shape} {array.dtype}")
        if (self.other_keypoints_xy is None) != (self.other_keypoint_scores is None):
            raise ValueError("other_keypoints_xy and other_keypoint_scores belong together; give both or neither")
        steps = np.diff(self.track_id), np.diff(self.frame_index)
        if not np.all((steps[0] > 0) | ((steps[0] == 0) & (steps[1] > 0))):
            raise ValueError("rows must be sorted by track_id and frame_index, and a track be in each frame once")

    @classmethod
    def empty(cls) -> "KeypointSequence":
        """Return the sequence of a video with nobody in view."""
        return cls.from_frames([])

    @classmethod
    def from_frames(cls, frames: Iterable[FramePeople]) -> "KeypointSequence":
        """Return the sequence of a video's people, given frame by frame.

        It has 3D, boxes, box scores and keypoints beside COCO's where every frame with people has.
        """
        rows = [people for people in (FramePeople(*frame) for frame in frames) if len(people.track_id)]
        counts = [len(people.track_id) for people in rows]
        track_id = np.concatenate([np.zeros(0, np.int32), *(people.track_id for people in rows)])
        frame_index = np.repeat(np.array([people.frame_index for people in rows], np.int32), counts)
        seconds = np.repeat(np.array([people.pts_seconds for people in rows], np.float32), counts)
        optional = {name: _join([getattr(people, name) for people in rows]) for name in _OPTIONAL}
        order = np.lexsort((frame_index, track_id))
        return cls(
            frame_index=frame_index[order],
            pts_seconds=seconds[order],
            track_id=track_id[order],
            keypoints_xy=_stack([people.keypoints_xy for people in rows], (NUM_KEYPOINTS, 2))[order],
            keypoint_scores=_stack([people.keypoint_scores for people in rows], (NUM_KEYPOINTS,))[order],
            **{name: None if array is None else array[order] for name, array in optional.items()},
        )

    def __len__(self) -> int:
        return len(self.frame_index)

    @property
    def _num_others(self) -> int:
        scores = self.other_keypoint_scores
        return 0 if scores is None else scores.shape[-1]

    @property
    def keypoint_set(self) -> KeypointSet:
        """The set that the keypoints are of: COCO's 17 where there are no others."""
        return keypoint_set(NUM_KEYPOINTS + self._num_others)

    @property
    def all_keypoints_xy(self) -> FloatArray:
        """(N, J, 2) the keypoints of the set, COCO's 17 first."""
        others = self.other_keypoints_xy
        return self.keypoints_xy if others is None else np.concatenate((self.keypoints_xy, others), axis=1)

    @property
    def all_keypoint_scores(self) -> FloatArray:
        """(N, J) beside `all_keypoints_xy`."""
        others = self.other_keypoint_scores
        return self.keypoint_scores if others is None else np.concatenate((self.keypoint_scores, others), axis=1)

    @property
    def track_ids(self) -> list[int]:
        """The ids of everybody in view at any time, rising."""
        return [int(track) for track in np.unique(self.track_id)]

    def track(self, track_id: int) -> "KeypointSequence":
        """Return one person's rows; none if nobody has this id."""
        start, stop = np.searchsorted(self.track_id, [track_id, track_id + 1])
        return self.take(slice(int(start), int(stop)))

    def tracks(self) -> Iterator[tuple[int, "KeypointSequence"]]:
        """Yield (track_id, that person's rows), ids rising."""
        for track_id in self.track_ids:
            yield track_id, self.track(track_id)

    def between(self, start_seconds: float, stop_seconds: float) -> "KeypointSequence":
        """Return the rows with presentation times in [start_seconds, stop_seconds)."""
        return self.take((self.pts_seconds >= start_seconds) & (self.pts_seconds < stop_seconds))

    def at(self, seconds: float, *, tolerance_seconds: float) -> "KeypointSequence":
        """Return everybody at `seconds`: of each track the first row that is no further away than the tolerance."""
        near = np.flatnonzero(np.abs(self.pts_seconds - seconds) <= tolerance_seconds)
        _, first = np.unique(self.track_id[near], return_index=True)
        return self.take(near[first])

    def resampled(self, frames_per_second: float, *, max_gap_seconds: float = 0.5) -> "KeypointSequence":
        """Return every track at a steady rate: linear between neighbouring samples, nothing across longer gaps.

        Times are multiples of 1 / frames_per_second, and `frame_index` counts them. Keypoints with a NaN neighbour are
        NaN; scores are the lower of both neighbours'. Raises ValueError for a rate that is not positive.
        """
        if not 0 < frames_per_second < float("inf"):
            raise ValueError(f"frames_per_second must be positive, got {frames_per_second:g}")
        parts = [_resample(rows, frames_per_second, max_gap_seconds) for _, rows in self.tracks()]
        return _concatenate(parts) if parts else self

    def num_not_finite(self) -> int:
        """Return how many rows have NaN or infinite coordinates or scores."""
        finite = np.isfinite(self.keypoints_xy).all(axis=(1, 2)) & np.isfinite(self.keypoint_scores).all(axis=1)
        return int((~finite).sum())

    def take(self, rows: slice | BoolArray | npt.NDArray[np.intp]) -> "KeypointSequence":
        """Return some of the rows: a slice, a mask (N,) or rising row numbers."""
        return KeypointSequence(
            self.frame_index[rows],
            self.pts_seconds[rows],
            self.track_id[rows],
            self.keypoints_xy[rows],
            self.keypoint_scores[rows],
            *(None if array is None else array[rows] for array in self._optional()),
        )

    def _optional(self) -> list[FloatArray | None]:
        return [getattr(self, name) for name in _OPTIONAL]


def _stack(arrays: Sequence[FloatArray], shape: tuple[int, ...]) -> FloatArray:
    return np.concatenate([np.zeros((0, *shape), np.float32), *arrays])


def _join(arrays: Sequence[FloatArray | None]) -> FloatArray | None:
    """Join arrays; None if there is none or one of them is missing."""
    known = [array for array in arrays if array is not None]
    return np.concatenate(known) if known and len(known) == len(arrays) else None


def _concatenate(parts: Sequence[KeypointSequence]) -> KeypointSequence:
    """Join sequences of rising track ids."""
    return KeypointSequence(
        np.concatenate([part.frame_index for part in parts]),
        np.concatenate([part.pts_seconds for part in parts]),
        np.concatenate([part.track_id for part in parts]),
        np.concatenate([part.keypoints_xy for part in parts]),
        np.concatenate([part.keypoint_scores for part in parts]),
        *(_join([getattr(part, name) for part in parts]) for name in _OPTIONAL),
    )


def _resample(rows: KeypointSequence, frames_per_second: float, max_gap_seconds: float) -> KeypointSequence:
    """Return one track at a steady rate."""
    known = rows.pts_seconds.astype(np.float64)
    slack = SNAP_SHARE / frames_per_second
    first = int(np.ceil((known[0] - slack) * frames_per_second))
    last = int(np.floor((known[-1] + slack) * frames_per_second))
    index = np.arange(first, last + 1)
    wanted = np.clip(index / frames_per_second, known[0], known[-1])
    after = np.searchsorted(known, wanted)
    before = np.maximum(after - 1, 0)
    before = np.where(known[after] - wanted < slack, after, before)
    after = np.where(wanted - known[before] < slack, before, after)
    spans = known[after] - known[before]
    inside = spans <= max_gap_seconds
    index, wanted, before, after, spans = (array[inside] for array in (index, wanted, before, after, spans))
    share = np.divide(wanted - known[before], spans, out=np.zeros_like(wanted), where=spans > 0)

    def blend(values: FloatArray) -> FloatArray:
        weight = share[:, None, None]
        return ((1 - weight) * values[before] + weight * values[after]).astype(np.float32)

    def lower(scores: FloatArray | None) -> FloatArray | None:
        return None if scores is None else np.minimum(scores[before], scores[after])

    return KeypointSequence(
        index.astype(np.int32),
        (index / frames_per_second).astype(np.float32),
        np.full(len(index), rows.track_id[0], np.int32),
        blend(rows.keypoints_xy),
        np.minimum(rows.keypoint_scores[before], rows.keypoint_scores[after]),
        None if rows.keypoints_xyz is None else blend(rows.keypoints_xyz),
        None if rows.box_xyxy is None else blend(rows.box_xyxy.reshape(-1, 2, 2)).reshape(-1, 4),
        lower(rows.box_scores),
        None if rows.other_keypoints_xy is None else blend(rows.other_keypoints_xy),
        lower(rows.other_keypoint_scores),
    )
