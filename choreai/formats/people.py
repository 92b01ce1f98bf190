"""People as the files of other programs have them, collected into a keypoint table.

A reader adds person after person; what programs disagree on (ids, boxes, scores, keypoints that they lack) is decided
here, once, and what a user should know of it is said.
"""

import hashlib
import warnings
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from choreai.arrays import AnyFloatArray, BoolArray, Float64Array, FloatArray, IntArray
from choreai.errors import ChoreaiWarning, TableError
from choreai.formats.frame_names import MAX_FRAME
from choreai.formats.rows import ConvertedRows, ranks_within
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import abbreviate, join_alternatives
from choreai.motion.skeleton import KEYPOINT_NAMES, LEFT_HIP, NUM_KEYPOINTS, RIGHT_HIP
from choreai.natural_order import natural_key
from choreai.storage import objects

MAX_SHARE = 2.0
"""Nearly all coordinates within this: shares of the picture, of which some may lie outside of it, not pixels."""

_NO_TRACK = -1
_STACKLEVEL = 4


@dataclass(eq=False)
class PeopleBuffer:
    """The people read so far, in flat buffers: about 250 bytes each, 450 with 3D."""

    uri: str
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)
    """Of all bytes read, in order: the table's content_id."""
    frames: "array[int]" = field(default_factory=lambda: array("q"))
    tracks: "array[int]" = field(default_factory=lambda: array("q"))
    scores: "array[float]" = field(default_factory=lambda: array("d"))
    boxes: "array[float]" = field(default_factory=lambda: array("d"))
    keypoints: "array[float]" = field(default_factory=lambda: array("f"))
    xyz: "array[float]" = field(default_factory=lambda: array("f"))
    others: "array[float]" = field(default_factory=lambda: array("f"))
    num_others: set[int] = field(default_factory=set)
    num_unseen: int = 0

    def add(
        self,
        frame: int,
        keypoints: AnyFloatArray,
        *,
        track_id: int | None = None,
        box_xyxy: Sequence[float] | None = None,
        box_score: float | None = None,
        xyz: AnyFloatArray | None = None,
        others: AnyFloatArray | None = None,
    ) -> None:
        """Add a person: (17, 3) x, y, score, of which missing ones are NaN or have score 0; (17, 3) metres in `xyz`;
        (K, 3) keypoints that the set has after COCO's.

        Without a box it is drawn around the keypoints that are seen, and without its score that is their mean. A
        person of whom nothing is seen is left out and counted.
        """
        points = keypoints.astype(np.float32)
        points[~np.isfinite(points).all(axis=1)] = 0
        seen = points[:, 2] > 0
        if not seen.any() and box_xyxy is None:
            self.num_unseen += 1
            return
        self.frames.append(frame)
        self.tracks.append(_NO_TRACK if track_id is None or track_id < 0 else track_id)
        self.boxes.extend(_box_around(points, seen) if box_xyxy is None else box_xyxy)
        self.scores.append(float(points[:, 2].mean()) if box_score is None else box_score)
        self.keypoints.frombytes(points.tobytes())
        self.num_others.add(0 if others is None else len(others))
        if others is not None:
            self.others.frombytes(np.nan_to_num(others).astype(np.float32).tobytes())
        if xyz is not None:
            self.xyz.frombytes(xyz.astype(np.float32).tobytes())

    def to_table(
        self, settings: ConvertSettings, *, frames_per_second: float, frame_index: IntArray | None = None
    ) -> pa.Table:
        """Return the keypoint table. `frame_index` has the frame of each number that was given as `frame`."""
        frames = np.array(self.frames, np.int64)
        if frame_index is not None:
            frames = frame_index[frames] if len(frames) else frames
        if len(frames) and not 0 <= frames.min() <= frames.max() <= MAX_FRAME:
            raise TableError(f"{self.uri}: frames {frames.min()} to {frames.max()}; they must be 0 to {MAX_FRAME}")
        keypoints = np.array(self.keypoints, np.float32).reshape(-1, NUM_KEYPOINTS, 3)
        self._tell_what_is_missing(keypoints)
        rows = ConvertedRows(
            video_ids=[settings.video_of(self.uri)],
            content_ids=[f"sha256-{self.digest.hexdigest()}"],
            video=np.zeros(len(frames), np.int64),
            track_id=self._track_ids(frames),
            frame_index=frames,
            box_xyxy=np.array(self.boxes, np.float32).reshape(-1, 4),
            box_score=np.array(self.scores, np.float32),
            keypoints=keypoints,
            xyz=np.array(self.xyz, np.float32).reshape(-1, NUM_KEYPOINTS, 3) if self.xyz else None,
            others=self._others(len(frames)),
        )
        return rows.to_table(frames_per_second=frames_per_second)

    def _others(self, num_rows: int) -> FloatArray | None:
        """Return (N, K, 3) keypoints after COCO's, None if there are none or not as many of everybody."""
        if len(self.num_others) > 1:
            counts = join_alternatives(sorted(NUM_KEYPOINTS + count for count in self.num_others))
            self._warn(f"people have {counts} keypoints; the {NUM_KEYPOINTS} of COCO are kept")
            return None
        return np.array(self.others, np.float32).reshape(num_rows, -1, 3) if self.others else None

    def are_shares(self) -> bool:
        """Return whether coordinates are shares of the picture instead of pixels."""
        keypoints = np.array(self.keypoints, np.float32).reshape(-1, 3)
        seen = keypoints[keypoints[:, 2] > 0, :2]
        return bool(len(seen)) and float(np.quantile(np.abs(seen), 0.95)) <= MAX_SHARE

    def scale(self, size_wh: tuple[int, int], *, shift: float = 0.0) -> None:
        """Make pixels of shares of a picture of this size. `shift` (-0.5) leads from pixel edges to centres."""
        keypoints = np.array(self.keypoints, np.float32).reshape(-1, 3)
        seen = keypoints[:, 2:] > 0
        keypoints[:, :2] = np.where(seen, keypoints[:, :2] * size_wh + shift, 0)
        others = np.array(self.others, np.float32).reshape(-1, 3)
        others[:, :2] = np.where(others[:, 2:] > 0, others[:, :2] * size_wh + shift, 0)
        self.others = array("f", others.tobytes())
        boxes = np.array(self.boxes, np.float64).reshape(-1, 2) * size_wh + shift
        self.keypoints, self.boxes = array("f", keypoints.tobytes()), array("d", boxes.tobytes())

    def _track_ids(self, frames: IntArray) -> IntArray:
        tracks = np.array(self.tracks, np.int64)
        has_none = tracks == _NO_TRACK
        taken = np.unique(np.stack([frames, tracks], axis=1)[~has_none], axis=0)
        if has_none.all() or len(taken) < (~has_none).sum():
            ranks = ranks_within(frames)
            if ranks.any():
                self._warn("nothing tells the people of a frame apart: track_id is their rank in the frame and does "
                           "not follow a person")  # fmt: skip
            return ranks
        if has_none.any():
            self._warn(f"{has_none.sum()} people have no id; theirs follow after {tracks.max()} and follow nobody")
            tracks[has_none] = tracks.max() + 1 + ranks_within(frames[has_none])
        return tracks

    def _tell_what_is_missing(self, keypoints: FloatArray) -> None:
        if self.num_unseen:
            self._warn(f"{self.num_unseen} people without any keypoint are left out")
        ever = (keypoints[..., 2] > 0).any(axis=0)
        if len(keypoints) and not ever.all():
            names = ", ".join(name for name, is_there in zip(KEYPOINT_NAMES, ever, strict=True) if not is_there)
            self._warn(f"it never has {names}: missing in the table, with score 0")

    def _warn(self, message: str) -> None:
        warnings.warn(f"{self.uri}: {message}", ChoreaiWarning, stacklevel=_STACKLEVEL)


def is_seen(points: AnyFloatArray) -> bool:
    """Return whether any of (17, C) points is there: not NaN, and with a score above 0 if C is 3."""
    is_there = np.isfinite(points).all(axis=1)
    return bool((is_there & (points[:, 2] > 0) if points.shape[1] > 2 else is_there).any())


def hip_centred(xyz: AnyFloatArray) -> Float64Array:
    """Return (17, 3) points from between the hips; NaN throughout if a hip is missing."""
    return np.asarray(xyz - xyz[[LEFT_HIP, RIGHT_HIP]].mean(axis=0), np.float64)


def files_in(uri: str, *suffixes: str) -> list[str]:
    """Return the files of a folder with one of these suffixes, in natural order; a file itself stands alone."""
    if not objects.is_folder(uri):
        return [uri]
    listed = objects.list_objects(uri.rstrip("/") + "/", sub_folders=False)
    found = [info.uri for info in listed if info.uri.lower().endswith(suffixes)]
    if not found:
        raise TableError(f"{uri}: no {' or '.join(suffixes)} files in this folder; check the name")
    return sorted(found, key=natural_key)


def read_files(buffer: PeopleBuffer, uris: Sequence[str]) -> Iterator[tuple[int, str, bytes]]:
    """Yield number, URI and bytes of each file, and add the bytes to the digest."""
    for number, uri in enumerate(uris):
        data = objects.read_object(uri)
        buffer.digest.update(data)
        yield number, uri, data


def track_id_in(value: object, where: str) -> int | None:
    """Return a track id that a file has, None where it says that there is none. Raises TableError."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1 or value > MAX_FRAME:
        raise TableError(f"{where} is {abbreviate(value)}; it must be a whole number that fits in 32 bits")
    return int(value)


def box_in(xywh: Float64Array, where: str) -> list[float]:
    """Return the corners of a box given as x, y, width and height. Raises TableError."""
    if len(xywh) != 4 or (xywh[2:] < 0).any():
        raise TableError(f"{where} is {abbreviate(xywh.tolist())}; it must be [x, y, width, height]")
    x, y, width, height = xywh.tolist()
    return [x, y, x + width, y + height]


def _box_around(points: FloatArray, seen: BoolArray) -> list[float]:
    return [*points[seen, :2].min(axis=0).tolist(), *points[seen, :2].max(axis=0).tolist()]
