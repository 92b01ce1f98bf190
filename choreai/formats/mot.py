"""MOT Challenge text: a box a line, `frame,id,x,y,width,height,confidence,class,visibility`.

The form of MOT17's and DanceTrack's gt/gt.txt and of the results that their servers take. Frames count from 1; x and y
are the box's upper left corner in pixels, as they stand in the file.
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

COLUMNS = ("frame", "id", "x", "y", "width", "height", "confidence", "class", "visibility")
NUM_NEEDED = 6
"""Of these columns; results often end before the class, or have -1 there and beyond."""

PEDESTRIAN = 1
DISTRACTORS = (2, 7, 8, 12)
"""Classes that look like people and are none to be tracked: on a vehicle, static, distractor, reflection. To find
them is no mistake and no merit."""


@dataclass(frozen=True, eq=False)
class MotBoxes:
    """The N lines of one file, in its order."""

    frame: IntArray
    """(N,), from 1."""
    track_id: IntArray
    """(N,)."""
    box_xywh: Float64Array
    """(N, 4)."""
    confidence: Float64Array
    """(N,) of the detector; in a ground truth 0 means that the box is not to be scored."""
    class_id: IntArray
    """(N,); -1 where the file tells none."""
    visibility: Float64Array
    """(N,) in [0, 1]; -1 where the file tells none."""

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
        """A result as the servers want it: ids and boxes, without class and visibility."""
        low, high = tracks.box_xyxy[:, :2], tracks.box_xyxy[:, 2:]
        unknown = np.full(len(tracks), -1)
        return cls(
            tracks.frame, tracks.track_id, np.concatenate((low, high - low), axis=1), confidence, unknown,
            unknown.astype(np.float64),
        )  # fmt: skip

    def tracks(self) -> BoxTracks:
        """All boxes, whatever their class and confidence."""
        corners = np.concatenate((self.box_xywh[:, :2], self.box_xywh[:, :2] + self.box_xywh[:, 2:]), axis=1)
        return BoxTracks(self.frame, self.track_id, corners)


def read_mot(uri: str, *, num_frames: int | None = None) -> MotBoxes:
    """Read a ground truth or a result; columns may be separated by commas or blanks.

    `num_frames` is the length of the sequence, where it is known. Raises TableError, naming the line and the value,
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
    """Write a file that reads back as the same boxes. Raises StorageError, also where it exists already."""
    columns = (boxes.frame, boxes.track_id, *boxes.box_xywh.T, boxes.confidence, boxes.class_id, boxes.visibility)
    lines = zip(*([_number(value) for value in column.tolist()] for column in columns), strict=True)
    text = "".join(",".join(line) + "\n" for line in lines)
    if not objects.put_if_absent(uri, text.encode()):
        raise StorageError(uri, "exists already; delete it or choose another name")


def score_pedestrians_only(truth: MotBoxes, result: BoxTracks) -> tuple[BoxTracks, BoxTracks]:
    """The boxes of truth and result that MOT Challenge scores.

    Found boxes that match a distractor are left out, and then of the truth all that is no pedestrian or has the
    confidence 0. A truth without classes (MOT15, class -1) has pedestrians only.
    """
    boxes = truth.tracks()
    is_distractor = np.isin(truth.class_id, DISTRACTORS)
    is_scored = (truth.confidence != 0) & ((truth.class_id == PEDESTRIAN) | (truth.class_id == -1))
    return boxes.where(is_scored), result.where(~_matches_distractor(boxes, is_distractor, result))


def read_num_frames(seqinfo_uri: str) -> int | None:
    """The length that a sequence's seqinfo.ini states; None without such a file. Raises ConfigError."""
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
    """(N,) for each found box. All true boxes take part in the matching, so that who stands before a reflection is not
    taken for it."""
    matched = np.zeros(len(result), bool)
    for frame in np.unique(boxes.frame[is_distractor]):
        true, found = np.flatnonzero(boxes.frame == frame), np.flatnonzero(result.frame == frame)
        iou = overlaps(boxes.box_xyxy[true], result.box_xyxy[found])
        iou[iou < MATCH_IOU - np.finfo(np.float64).eps] = 0
        rows, columns = linear_sum_assignment(-iou)
        matched[found[columns]] = (iou[rows, columns] > 0) & is_distractor[true[rows]]
    return matched


def _lines(uri: str) -> Iterator[tuple[int, str]]:
    """(number from 1, text) of the lines that are not empty."""
    with objects.open_object(uri) as file:
        for number, line in enumerate(file, start=1):
            text = line.decode("utf-8-sig", errors="replace").strip()
            if text:
                yield number, text


def _parse(line: str, *, where: str, num_frames: int | None) -> list[float]:
    """The columns of a line, those that are missing filled in."""
    texts = line.split(",") if "," in line else line.split()
    if len(texts) < NUM_NEEDED:
        raise TableError(
            f"{where}: {line!r} has {len(texts)} columns; it needs {NUM_NEEDED} or more: {','.join(COLUMNS)}"
        )
    row = [_value(text, where=f"{where}, {name}") for text, name in zip(texts, COLUMNS, strict=False)]
    row += [1.0, -1.0, -1.0][len(row) - NUM_NEEDED :]
    last_frame = num_frames or math.inf
    if not 1 <= row[0] <= last_frame:
        frames = "frames count from 1" if num_frames is None else f"the sequence has frames 1 to {num_frames}"
        raise TableError(f"{where}, frame: {texts[0].strip()!r}; {frames}")
    for index in (0, 1, 7):
        if not row[index].is_integer():
            raise TableError(f"{where}, {COLUMNS[index]}: {texts[index].strip()!r} is no whole number")
    for index in (4, 5):
        if row[index] < 0:
            raise TableError(f"{where}, {COLUMNS[index]}: {texts[index].strip()!r} is negative; correct or remove it")
    return row


def _value(text: str, *, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) < 2.0**53:  # whole numbers beyond are not told apart
        raise TableError(f"{where}: {text.strip()!r} is no number to calculate with; correct it or remove the line")
    return value


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
