"""MOT Challenge text: one box per line, `frame,id,x,y,width,height,confidence,class,visibility`.

The format of gt/gt.txt in MOT17 and DanceTrack, and of the results that their servers accept. Frames count from 1; x
and y are the upper left corner of the box in pixels, as written in the file.
"""

import configparser
import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from choreai.arrays import BoolArray, Float64Array, IntArray
from choreai.errors import ConfigError, StorageError, TableError
from choreai.pose.tracking_scores import MATCH_IOU, BoxTracks, overlaps
from choreai.storage import objects
from choreai.storage.uris import shorten

COLUMNS = ("frame", "id", "x", "y", "width", "height", "confidence", "class", "visibility")
NUM_NEEDED = 6
"""The first columns are required; results often end before the class, or have -1 from there on."""

PEDESTRIAN = 1
DISTRACTORS = (2, 7, 8, 12)
"""Classes that look like people but are not to be tracked: on a vehicle, static, distractor, reflection. Finding
them counts neither as an error nor as a success."""


@dataclass(frozen=True, eq=False)
class MotBoxes:
    """The N lines of one file, in order."""

    frame: IntArray
    """(N,), from 1."""
    track_id: IntArray
    """(N,)."""
    box_xywh: Float64Array
    """(N, 4)."""
    confidence: Float64Array
    """(N,) confidence of the detector; in a ground truth 0 means that the box is not scored."""
    class_id: IntArray
    """(N,); -1 where missing."""
    visibility: Float64Array
    """(N,) in [0, 1]; -1 where missing."""

    def __post_init__(self) -> None:
        num_boxes = len(self.frame)
        for name in ("track_id", "confidence", "class_id", "visibility"):
            if getattr(self, name).shape != (num_boxes,):
                raise ValueError(f"{name} must be ({num_boxes},), got {getattr(self, name).shape}")
        if self.box_xywh.shape != (num_boxes, 4):
            raise ValueError(f"box_xywh must be ({num_boxes}, 4), got {self.box_xywh.shape}")

    def __len__(self) -> int:
        return len(self.frame)

    @classmethod
    def from_tracks(cls, tracks: BoxTracks, confidence: Float64Array) -> "MotBoxes":
        """Return a result as the servers expect it: ids and boxes, without class and visibility."""
        low, high = tracks.box_xyxy[:, :2], tracks.box_xyxy[:, 2:]
        unknown = np.full(len(tracks), -1)
        return cls(
            tracks.frame, tracks.track_id, np.concatenate((low, high - low), axis=1), confidence, unknown,
            unknown.astype(np.float64),
        )  # fmt: skip

    def tracks(self) -> BoxTracks:
        """Return all boxes, of any class and confidence."""
        corners = np.concatenate((self.box_xywh[:, :2], self.box_xywh[:, :2] + self.box_xywh[:, 2:]), axis=1)
        return BoxTracks(self.frame, self.track_id, corners)


def read_mot(uri: str, *, num_frames: int | None = None) -> MotBoxes:
    """Read a ground truth or a result; columns may be separated by commas or blanks.

    `num_frames` is the length of the sequence if known. Raises TableError, which names line and value, and
    StorageError.
    """
    rows: list[list[float]] = []
    line_of: dict[tuple[float, float], int] = {}
    for number, line in _lines(uri):
        row = _parse(line, where=f"{uri}: line {number}", num_frames=num_frames)
        first = line_of.setdefault((row[0], row[1]), number)
        if first != number:
            raise TableError(
                f"{uri}: line {number}: track {row[1]:g} has a box in frame {row[0]:g} already, in line {first}; "
                "remove one of them"
            )
        rows.append(row)
    values = np.array(rows, np.float64).reshape(-1, len(COLUMNS))
    return MotBoxes(
        frame=values[:, 0].astype(np.int64),
        track_id=values[:, 1].astype(np.int64),
        box_xywh=values[:, 2:6],
        confidence=values[:, 6],
        class_id=values[:, 7].astype(np.int64),
        visibility=values[:, 8],
    )


def write_mot(boxes: MotBoxes, uri: str) -> None:
    """Write a file that reads back as the same boxes. Raises StorageError, also if it exists already."""
    columns = (boxes.frame, boxes.track_id, *boxes.box_xywh.T, boxes.confidence, boxes.class_id, boxes.visibility)
    lines = zip(*([_number(value) for value in column.tolist()] for column in columns), strict=True)
    text = "".join(",".join(line) + "\n" for line in lines)
    if not objects.put_if_absent(uri, text.encode()):
        raise StorageError(uri, "exists already; delete it or choose another name")


def score_pedestrians_only(truth: MotBoxes, result: BoxTracks) -> tuple[BoxTracks, BoxTracks]:
    """Return the boxes of `truth` and `result` that MOT Challenge scores.

    Result boxes that match a distractor are discarded, and then all true boxes that are not pedestrians or have
    confidence 0. A truth without classes (MOT15, class -1) has pedestrians only.
    """
    boxes = truth.tracks()
    is_distractor = np.isin(truth.class_id, DISTRACTORS)
    is_scored = (truth.confidence != 0) & ((truth.class_id == PEDESTRIAN) | (truth.class_id == -1))
    return boxes.where(is_scored), result.where(~_matches_distractor(boxes, is_distractor, result))


def read_num_frames(seqinfo_uri: str) -> int | None:
    """Read the length of a sequence from its seqinfo.ini; None if there is no such file. Raises ConfigError."""
    if objects.stat_object(seqinfo_uri) is None:
        return None
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(objects.read_object(seqinfo_uri).decode("utf-8-sig"))
        length = parser.getint("Sequence", "seqLength")
    except (configparser.Error, UnicodeDecodeError, ValueError) as exc:
        raise ConfigError(
            f"{seqinfo_uri}: needs a whole number seqLength under [Sequence] ({exc}); without the file the length of "
            "the sequence is not checked"
        ) from exc
    if length < 1:
        raise ConfigError(f"{seqinfo_uri}: seqLength must be 1 or more, got {length}")
    return length


def _matches_distractor(boxes: BoxTracks, is_distractor: BoolArray, result: BoxTracks) -> BoolArray:
    """Return (N,) whether each box of `result` matches a distractor.

    All true boxes take part in the matching, so that a person in front of a reflection is not taken for it.
    """
    matched = np.zeros(len(result), bool)
    for frame in np.unique(boxes.frame[is_distractor]):
        true, found = np.flatnonzero(boxes.frame == frame), np.flatnonzero(result.frame == frame)
        iou = overlaps(boxes.box_xyxy[true], result.box_xyxy[found])
        iou[iou < MATCH_IOU - np.finfo(np.float64).eps] = 0
        rows, columns = linear_sum_assignment(-iou)
        matched[found[columns]] = (iou[rows, columns] > 0) & is_distractor[true[rows]]
    return matched


def _lines(uri: str) -> Iterator[tuple[int, str]]:
    """Yield (number from 1, text) of each line that is not empty."""
    with objects.open_object(uri) as file:
        for number, line in enumerate(file, start=1):
            text = line.decode("utf-8-sig", errors="replace").strip()
            if text:
                yield number, text


def _parse(line: str, *, where: str, num_frames: int | None) -> list[float]:
    """Return the columns of a line, with missing ones filled in."""
    texts = line.split(",") if "," in line else line.split()
    if len(texts) < NUM_NEEDED:
        raise TableError(
            f"{where}: {shorten(line)!r} has {len(texts)} columns; it needs {NUM_NEEDED} or more: {','.join(COLUMNS)}"
        )
    row = [_value(text, where=f"{where}, {name}") for text, name in zip(texts, COLUMNS, strict=False)]
    row += [1.0, -1.0, -1.0][len(row) - NUM_NEEDED :]
    last_frame = num_frames or math.inf
    if not 1 <= row[0] <= last_frame:
        frames = "frames count from 1" if num_frames is None else f"the sequence has frames 1 to {num_frames}"
        raise TableError(f"{where}, frame: {shorten(texts[0].strip())!r}; {frames}")
    for index in (0, 1, 7):
        if not row[index].is_integer():
            raise TableError(f"{where}, {COLUMNS[index]}: {shorten(texts[index].strip())!r} is not a whole number")
    for index in (4, 5):
        if row[index] < 0:
            raise TableError(
                f"{where}, {COLUMNS[index]}: {shorten(texts[index].strip())!r} is negative; correct or remove it"
            )
    return row


def _value(text: str, *, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < 2.0**53:  # float64 has gaps between larger whole numbers
        raise TableError(f"{where}: {shorten(text.strip())!r} is not a usable number; correct it or remove the line")
    return value


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
