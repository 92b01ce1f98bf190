"""COCO's JSON of keypoints: annotation files (images, annotations, categories) and results (a list).

The formats of https://cocodataset.org/#format-data and #format-results. Beside what COCO defines, annotations are
written with `score`, `track_id` and `keypoint_scores`, which other readers pass over and ours reads back.
"""

import json
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TextIO

import numpy as np
import pyarrow as pa

from choreai.arrays import Float64Array
from choreai.errors import TableError
from choreai.formats.frame_names import frame_numbers
from choreai.formats.glimpse import Glimpse
from choreai.formats.json_stream import read_json_members
from choreai.formats.keypoint_sets import names_of_set, pick_coco
from choreai.formats.people import PeopleBuffer, box_in, track_id_in
from choreai.formats.rows import keypoints_of, one_video, without_missing
from choreai.formats.settings import ConvertSettings
from choreai.formats.values import abbreviate, numbers_in
from choreai.formats.written import write_file
from choreai.motion.skeleton import EDGES, KEYPOINT_NAMES
from choreai.storage import objects
from choreai.tables.schemas import from_list_column

_SCORE_OF_VISIBILITY = np.array([0.0, 0.5, 1.0])
"""Not labelled, labelled but not visible, labelled and visible."""
_KEYS = ("info", "licenses", "images", "annotations", "categories")


def is_coco_json(glimpse: Glimpse) -> bool:
    """Return whether it begins as an annotation file."""
    return glimpse.has_key(*_KEYS) and not glimpse.has_key("instance_info", "people")


def is_coco_results(glimpse: Glimpse) -> bool:
    """Return whether it is a list of people without AlphaPose's `idx` and `box`."""
    person = glimpse.first_element
    return (
        isinstance(person, dict)
        and {"image_id", "keypoints"} <= person.keys()
        and isinstance(person["keypoints"], list)
        and not {"idx", "box"} & person.keys()
    )


def read_coco_json(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of an annotation file.

    frame_index: the number in the image's name, otherwise the rank of the name. Keypoints are found by the category's
    names. Scores: `keypoint_scores`, otherwise 1 for a visible keypoint, 0.5 for one that was labelled but is not
    visible, 0 for a missing one. track_id: `track_id`, as CVAT and others write it. People without keypoints are left
    out. Raises TableError, which names the annotation.
    """
    rate = settings.rate_of(uri)
    people, read = PeopleBuffer(uri), _Annotations()
    with objects.open_object(uri) as file:
        for key, number, value in read_json_members(file, digest=people.digest, uri=uri):
            read.add(key, value, f"{uri}: {key} {number}")
    if not read.has_annotations:
        raise TableError(f"{uri}: it has no annotations, so it is not a COCO annotation file")
    for person in read.people:
        _add_annotation(people, person, read.names)
    names = [read.file_names.get(image, image) for image in read.images]
    return people.to_table(settings, frames_per_second=rate, frame_index=frame_numbers(names))


def read_coco_results(uri: str, settings: ConvertSettings) -> pa.Table:
    """Read the keypoint table of results. frame_index: the image id. Raises TableError, which names the person."""
    rate = settings.rate_of(uri)
    people, images = PeopleBuffer(uri), dict[str, int]()
    with objects.open_object(uri) as file:
        for _, number, value in read_json_members(file, digest=people.digest, uri=uri):
            where = f"{uri}: person {number}"
            person = _as_object(value, where)
            keypoints = _keypoints(person, where)
            people.add(
                images.setdefault(_image_id(person, where), len(images)),
                pick_coco(keypoints, _names_for(len(keypoints), None, where)),
                track_id=track_id_in(person.get("track_id"), f"{where}: track_id"),
                box_xyxy=_box(person, where),
                box_score=_score(person, where),
            )
    return people.to_table(settings, frames_per_second=rate, frame_index=frame_numbers(list(images)))


def write_coco_json(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write an annotation file whose images are the frames with people in them.

    A missing keypoint has visibility 0, any other 2; `area` is the box's. Raises TableError if the table holds more
    than one video.
    """
    one_video(table, uri)
    width, height = settings.size_of(uri, why="COCO's images have a size")
    table = table.sort_by([("frame_index", "ascending"), ("track_id", "ascending")])
    frames = np.unique(table["frame_index"].to_numpy()).tolist()
    images = (
        {"id": frame, "width": width, "height": height, "file_name": settings.image_name(frame)} for frame in frames
    )
    with write_file(uri) as path, path.open("w", encoding="utf-8") as file:
        file.write('{"info": {"description": "choreai"}, "licenses": [], "categories": ')
        json.dump([CATEGORY], file)
        file.write(', "images": ')
        _write_list(file, images)
        file.write(', "annotations": ')
        _write_list(file, _annotations(table))
        file.write("}")


def write_coco_results(table: pa.Table, uri: str, settings: ConvertSettings) -> None:
    """Write results, ready for pycocotools: `image_id` is the frame, `score` the table's `box_score`."""
    one_video(table, uri)
    table = table.sort_by([("frame_index", "ascending"), ("track_id", "ascending")])
    columns = (table[name].to_pylist() for name in ("frame_index", "track_id", "box_score"))
    keypoints = without_missing(keypoints_of(table)).astype(np.float64)
    people = (
        {"image_id": frame, "category_id": 1, "keypoints": points.ravel().tolist(), "score": score, "track_id": track}
        for frame, track, score, points in zip(*columns, keypoints, strict=True)
    )
    with write_file(uri) as path, path.open("w", encoding="utf-8") as file:
        _write_list(file, people)


CATEGORY = {
    "id": 1,
    "name": "person",
    "supercategory": "person",
    "keypoints": list(KEYPOINT_NAMES),
    "skeleton": [[a + 1, b + 1] for a, b in EDGES],
}


@dataclass(frozen=True, eq=False)
class _Annotation:
    image: int
    keypoints: "array[float]"
    track_id: int | None
    box_xyxy: list[float] | None
    score: float | None
    where: str


@dataclass(eq=False)
class _Annotations:
    """What was read of an annotation file, whose parts come in any order."""

    people: list[_Annotation] = field(default_factory=list)
    images: dict[str, int] = field(default_factory=dict)
    file_names: dict[str, str] = field(default_factory=dict)
    names: Sequence[str] | None = None
    has_annotations: bool = False

    def add(self, key: str, value: object, where: str) -> None:
        if key == "images":
            image = _as_object(value, where)
            self.file_names[str(image.get("id"))] = str(image.get("file_name", image.get("id")))
        elif key == "categories":
            names = _as_object(value, where).get("keypoints")
            self.names = [_plain(name) for name in names] if isinstance(names, list) and names else self.names
        elif key == "annotations":
            self.has_annotations = True
            annotation = _as_object(value, where)
            if annotation.get("keypoints"):
                self._add_person(annotation, where)

    def _add_person(self, annotation: dict[str, object], where: str) -> None:
        points, image = _with_scores(annotation, where), _image_id(annotation, where)
        self.people.append(
            _Annotation(
                self.images.setdefault(image, len(self.images)),
                array("f", points.astype(np.float32).tobytes()),
                track_id_in(_track(annotation), f"{where}: track_id"),
                _box(annotation, where),
                _score(annotation, where) if "score" in annotation else None,
                where,
            )
        )


def _add_annotation(people: PeopleBuffer, person: _Annotation, names: Sequence[str] | None) -> None:
    points = np.array(person.keypoints, np.float32).reshape(-1, 3)
    picked = pick_coco(points, _names_for(len(points), names, person.where))
    people.add(
        person.image,
        picked,
        track_id=person.track_id,
        box_xyxy=person.box_xyxy if np.nansum(picked[:, 2]) > 0 else None,
        box_score=person.score,
    )


def _with_scores(annotation: dict[str, object], where: str) -> Float64Array:
    """Return (J, 3): x, y, score."""
    points = _keypoints(annotation, where)
    if (scores := annotation.get("keypoint_scores")) is not None:
        numbers = numbers_in(scores, f"{where}: keypoint_scores")
        if len(numbers) != len(points):
            raise TableError(f"{where}: {len(numbers)} keypoint_scores of {len(points)} keypoints; make them as many")
        points[:, 2] = numbers
        return points
    if not np.isin(points[:, 2], (0, 1, 2)).all():
        raise TableError(f"{where}: a visibility is not 0, 1 or 2 in {abbreviate(annotation['keypoints'])}; correct it")
    points[:, 2] = _SCORE_OF_VISIBILITY[points[:, 2].astype(np.int64)]
    return points


def _keypoints(person: dict[str, object], where: str) -> Float64Array:
    numbers = numbers_in(person.get("keypoints"), f"{where}: keypoints")
    if len(numbers) % 3 or not len(numbers):
        raise TableError(f"{where} has {len(numbers)} keypoint numbers; it needs three for each keypoint: x, y, v")
    return numbers.reshape(-1, 3)


def _names_for(num_keypoints: int, names: Sequence[str] | None, where: str) -> Sequence[str]:
    """Return the names of a person's keypoints, COCO's own if the categories name none."""
    known = names if names is not None and len(names) == num_keypoints else names_of_set(num_keypoints)
    if known is None or not set(known) & set(KEYPOINT_NAMES):
        raise TableError(
            f"{where} has {num_keypoints} keypoints, and nothing names COCO's among them; name them in the category "
            f"({KEYPOINT_NAMES[0]}, {KEYPOINT_NAMES[1]}, ...)"
        )
    return known


def _image_id(person: dict[str, object], where: str) -> str:
    image_id = person.get("image_id")
    if isinstance(image_id, bool) or not isinstance(image_id, str | int):
        raise TableError(f"{where}: image_id is {abbreviate(image_id)}; it must be a number or a name")
    return str(image_id)


def _track(annotation: dict[str, object]) -> object:
    attributes = annotation.get("attributes")
    inner = attributes.get("track_id") if isinstance(attributes, dict) else None
    return annotation.get("track_id", inner)


def _box(person: dict[str, object], where: str) -> list[float] | None:
    box = person.get("bbox")
    return None if box is None or box == [] else box_in(numbers_in(box, f"{where}: bbox"), f"{where}: bbox")


def _score(person: dict[str, object], where: str) -> float:
    return float(numbers_in([person.get("score")], f"{where}: score")[0])


def _as_object(value: object, where: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TableError(f"{where} is {abbreviate(value)}, not an object; is this COCO's?")
    return value


def _plain(name: object) -> str:
    return str(name).strip().lower().replace(" ", "_").replace("-", "_")


def _annotations(table: pa.Table) -> Iterator[dict[str, object]]:
    columns = (table[name].to_pylist() for name in ("frame_index", "track_id", "box_score"))
    boxes = from_list_column(table["box_xyxy"]).astype(np.float64)
    boxes[:, 2:] -= boxes[:, :2]
    keypoints = without_missing(keypoints_of(table)).astype(np.float64)
    for number, (frame, track, score, box, points) in enumerate(zip(*columns, boxes, keypoints, strict=True), start=1):
        seen = points[:, 2] > 0
        flat = np.column_stack([np.where(seen[:, None], points[:, :2], 0), np.where(seen, 2, 0)])
        yield {
            "id": number,
            "image_id": frame,
            "category_id": 1,
            "iscrowd": 0,
            "segmentation": [],
            "bbox": box.tolist(),
            "area": float(box[2] * box[3]),
            "num_keypoints": int(seen.sum()),
            "keypoints": flat.ravel().tolist(),
            "keypoint_scores": points[:, 2].tolist(),
            "score": score,
            "track_id": track,
        }


def _write_list(file: TextIO, values: Iterator[dict[str, object]]) -> None:
    separator = "["
    for value in values:
        file.write(separator + json.dumps(value, allow_nan=False))
        separator = ",\n"
    file.write("[]" if separator == "[" else "]")
