"""Read AlphaPose's `alphapose-results.json` into keypoint tables, and write it from them.

The file is one JSON list with one object per person and image: `image_id`, `category_id` 1, `keypoints`
(x, y, score, ...), `score`, `box` (x, y, width, height) and `idx`. Images without people do not appear.
It has neither times nor 3D: reading takes the frame rate from the caller, writing leaves both out.
"""

import hashlib
import json
import warnings
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from choreai.arrays import FloatArray, IntArray
from choreai.errors import ChoreaiWarning, StorageError, TableError
from choreai.formats.alphapose_results import alphapose_scores
from choreai.formats.frame_names import MAX_FRAME, frame_numbers
from choreai.formats.glimpse import Glimpse
from choreai.formats.json_stream import read_json_list
from choreai.formats.rows import ConvertedRows, all_keypoints_of, ranks_within, without_missing
from choreai.formats.values import abbreviate, join_alternatives, numbers_in
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.storage import objects
from choreai.storage.scratch import scratch_folder
from choreai.tables.schemas import from_list_column

KEYPOINT_COUNTS = (17, 26, 68, 133, 136)
"""AlphaPose's keypoint sets that begin with the 17 of COCO (COCO, Halpe-26, -68, WholeBody, Halpe-136)."""

ROWS_PER_WRITE = 10_000

HAS_PERSON_SCORES = {b"choreai.box_score": b"alphapose"}
"""Metadata of a keypoint table whose `box_score` is AlphaPose's `score` of a person, not a detector's of a box."""

_NO_IDX = -1


def is_alphapose_json(glimpse: Glimpse) -> bool:
    """Return whether it is a list of people who have an `idx` or a `box`, which COCO's results do not."""
    person = glimpse.first_element
    return (
        isinstance(person, dict) and {"image_id", "keypoints"} <= person.keys() and bool({"idx", "box"} & person.keys())
    )


def read_alphapose_json(uri: str, *, video_id: str, frames_per_second: float) -> pa.Table:
    """Read the keypoint table of one video (`KEYPOINTS` schema) from an `alphapose-results.json`.

    frame_index: the last number in `image_id`, if all names are alike around it and no two share a number
    ("12.jpg", 12, "frame_000012.png"); otherwise the rank of the name in natural order ("b2" before "b10").
    pts_seconds: frame_index / `frames_per_second`.

    track_id: `idx`, in whichever of AlphaPose's forms (3, 3.0, [3.0], [[3.0], [7.0]]: the first number), if
    each person has one and no two in a frame share it. Otherwise (AlphaPose without tracking writes 0 for
    everybody) the rank of the person within the frame, best first as AlphaPose writes them; such ids do not
    follow a person across frames, and a ChoreaiWarning says so.

    box_score: AlphaPose's person score (mean keypoint score + box score + 1.25 x best keypoint score), which
    is not a probability; the table's metadata has `HAS_PERSON_SCORES`. box_xyxy: from `box`, or around the
    keypoints if there is none. All keypoints are kept where everybody has as many; else COCO's 17, with a
    ChoreaiWarning. content_id: "sha256-" and the hash of the file.

    Raises TableError, naming the person, for anything that is not such a file, and StorageError.
    """
    if not 0 < frames_per_second < float("inf"):
        raise ValueError(f"frames_per_second must be a positive number, got {frames_per_second}")
    people = _People(uri)
    digest = hashlib.sha256()
    with objects.open_object(uri) as file:
        for number, person in enumerate(read_json_list(file, digest=digest, uri=uri), start=1):
            people.add(person, number=number)
    rows = people.to_rows(video_id, f"sha256-{digest.hexdigest()}")
    table = rows.to_table(frames_per_second=frames_per_second)
    return table.replace_schema_metadata((table.schema.metadata or {}) | HAS_PERSON_SCORES)


def write_alphapose_json(table: pa.Table, uri: str) -> None:
    """Write the keypoint table of one video as AlphaPose would: frame by frame, people by falling score.

    `score` is AlphaPose's: mean keypoint score + box score + 1.25 x best keypoint score, over all keypoints.
    `image_id` is "<frame_index>.jpg" and `idx` the track id, an integer. Reading it back gives the same
    float32 values (times only if they are frame_index / rate; 3D is not kept); a keypoint that is missing (NaN) is
    written with x, y and score 0, as AlphaPose has it. Raises TableError if the table holds more than one video,
    StorageError if `uri` exists.
    """
    videos = pc.unique(table["video_id"]).to_pylist()
    if len(videos) > 1:
        raise TableError(
            f"{uri}: an AlphaPose file holds one video, the table {len(videos)} "
            f"({', '.join(videos[:3])}, ...); choose one by its video_id"
        )
    order = [("frame_index", "ascending"), ("box_score", "descending"), ("track_id", "ascending")]
    table = with_person_scores(table).sort_by(order)
    with scratch_folder() as folder:
        path = folder / "alphapose-results.json"
        with path.open("w", encoding="ascii") as file:
            separator = "["
            for start in range(0, len(table), ROWS_PER_WRITE):
                for person in _to_people(table.slice(start, ROWS_PER_WRITE)):
                    file.write(separator + _to_json(person, uri))
                    separator = ", "
            file.write("[]" if separator == "[" else "]")
        if not objects.put_if_absent(uri, path):
            raise StorageError(uri, "exists already; delete it or choose another name")


def with_person_scores(table: pa.Table) -> pa.Table:
    """Return the keypoint table with AlphaPose's score of a person as its `box_score`.

    A table read from AlphaPose's JSON has them already, which its metadata says; where metadata were lost (parts
    that were merged, or of an earlier release), a score above 1 does: no detector gives one.
    """
    box_scores = table["box_score"].to_numpy()
    if HAS_PERSON_SCORES.items() <= (table.schema.metadata or {}).items() or (box_scores > 1).any():
        return table
    found = [without_missing(keypoints)[:, 2] for keypoints in all_keypoints_of(table)]
    pairs = zip(found, box_scores, strict=True)
    scores = np.array([alphapose_scores(own[None], box[None])[0] for own, box in pairs], np.float32)
    return table.set_column(table.schema.get_field_index("box_score"), "box_score", pa.array(scores, pa.float32()))


def _to_json(person: dict[str, Any], uri: str) -> str:
    try:
        return json.dumps(person, allow_nan=False)
    except ValueError as exc:
        raise TableError(
            f"{uri}: the box or score of track {person['idx']} in frame {person['image_id']} is NaN or infinite, which "
            "JSON cannot hold; extract the video again or leave it out"
        ) from exc


def _to_people(table: pa.Table) -> Iterator[dict[str, Any]]:
    boxes = from_list_column(table["box_xyxy"]).astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    columns = (
        table["frame_index"].to_pylist(),
        table["track_id"].to_pylist(),
        table["box_score"].to_pylist(),
        boxes.tolist(),
        [without_missing(keypoints).reshape(-1).tolist() for keypoints in all_keypoints_of(table)],
    )
    for frame_index, track_id, score, box, keypoints in zip(*columns, strict=True):
        yield {
            "image_id": f"{frame_index}.jpg",
            "category_id": 1,
            "keypoints": keypoints,
            "score": score,
            "box": box,
            "idx": track_id,
        }


@dataclass(eq=False)
class _People:
    """The people read so far, in flat buffers: about 250 bytes each."""

    uri: str
    names: dict[str, int] = field(default_factory=dict)  # image names, numbered by first appearance
    images: "array[int]" = field(default_factory=lambda: array("q"))
    idx: "array[int]" = field(default_factory=lambda: array("q"))
    scores: "array[float]" = field(default_factory=lambda: array("d"))
    boxes: "array[float]" = field(default_factory=lambda: array("d"))  # xyxy
    keypoints: "array[float]" = field(default_factory=lambda: array("f"))
    others: "array[float]" = field(default_factory=lambda: array("f"))  # the keypoints after COCO's 17
    keypoint_counts: set[int] = field(default_factory=set)

    def add(self, person: object, *, number: int) -> None:
        where = f"{self.uri}: person {number}"
        if not isinstance(person, dict):
            raise TableError(f"{where} is {abbreviate(person)}, not an object; is this AlphaPose's results file?")
        keypoints = numbers_in(person.get("keypoints"), f"{where}: keypoints")
        num_keypoints = len(keypoints) // 3
        if len(keypoints) % 3 or num_keypoints not in KEYPOINT_COUNTS:
            raise TableError(
                f"{where} has {len(keypoints)} keypoint numbers; it needs 3 x "
                f"{join_alternatives(KEYPOINT_COUNTS)} (--format coco and a COCO, Halpe or WholeBody model)"
            )
        self.keypoint_counts.add(num_keypoints)
        coco = keypoints[: 3 * NUM_KEYPOINTS].astype(np.float32)
        self.keypoints.frombytes(coco.tobytes())
        self.others.frombytes(keypoints[3 * NUM_KEYPOINTS :].astype(np.float32).tobytes())
        self.images.append(self._image_number(person.get("image_id"), where))
        self.idx.append(_idx(person.get("idx"), where))
        self.scores.append(float(numbers_in([person.get("score")], f"{where}: score")[0]))
        self.boxes.extend(_box_xyxy(person.get("box"), coco.reshape(-1, 3), where))

    def to_rows(self, video_id: str, content_id: str) -> ConvertedRows:
        frame_index = frame_numbers(list(self.names))[np.array(self.images, np.int64)]
        counts = sorted(self.keypoint_counts)
        if len(counts) > 1:
            warnings.warn(
                f"{self.uri}: people with {join_alternatives(counts)} keypoints; the first {NUM_KEYPOINTS} (COCO) are "
                "kept",
                ChoreaiWarning,
                stacklevel=3,
            )
        num_others = counts[0] - NUM_KEYPOINTS if len(counts) == 1 else 0
        return ConvertedRows(
            video_ids=[video_id],
            content_ids=[content_id],
            video=np.zeros(len(frame_index), np.int64),
            track_id=self._track_ids(frame_index),
            frame_index=frame_index,
            box_xyxy=np.array(self.boxes, np.float32).reshape(-1, 4),
            box_score=np.array(self.scores, np.float32),
            keypoints=np.array(self.keypoints, np.float32).reshape(-1, NUM_KEYPOINTS, 3),
            others=np.array(self.others, np.float32).reshape(-1, num_others, 3) if num_others else None,
        )

    def _image_number(self, image_id: object, where: str) -> int:
        if isinstance(image_id, bool) or not isinstance(image_id, str | int):
            raise TableError(f"{where}: image_id is {abbreviate(image_id)}; it must be a file name or a number")
        return self.names.setdefault(str(image_id), len(self.names))

    def _track_ids(self, frame_index: IntArray) -> IntArray:
        idx = np.array(self.idx, np.int64)
        taken = np.unique(np.stack([frame_index, idx], axis=1), axis=0)
        if len(taken) == len(idx) and not (idx == _NO_IDX).any():
            return idx
        ranks = ranks_within(frame_index)
        if ranks.any():
            warnings.warn(
                f"{self.uri}: idx does not tell the people of a frame apart; track_id is their rank in the "
                "frame and does not follow a person. Run AlphaPose with --pose_track",
                ChoreaiWarning,
                stacklevel=4,
            )
        return ranks


def _box_xyxy(box: object, keypoints: FloatArray, where: str) -> list[float]:
    if box is None:
        low, high = keypoints[:, :2].min(axis=0), keypoints[:, :2].max(axis=0)
        return [*low.tolist(), *high.tolist()]
    numbers = numbers_in(box, f"{where}: box")
    if len(numbers) != 4 or (numbers[2:] < 0).any():
        raise TableError(f"{where}: box is {abbreviate(box)}; it must be [x, y, width, height]")
    x, y, width, height = numbers.tolist()
    return [x, y, x + width, y + height]


def _idx(idx: object, where: str) -> int:
    """Return the number in any of AlphaPose's forms of idx, `_NO_IDX` if there is none."""
    while isinstance(idx, list) and idx:
        idx = idx[0]
    if idx is None or idx == []:
        return _NO_IDX
    if isinstance(idx, bool) or not isinstance(idx, int | float) or idx != idx // 1 or idx > MAX_FRAME:
        raise TableError(f"{where}: idx is {abbreviate(idx)}; it must be a whole number that fits in 32 bits")
    return int(idx) if idx >= 0 else _NO_IDX
