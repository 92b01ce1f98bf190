"""Read another program's detections from a JSON file, in place of a detector (AlphaPose's `--detfile`)."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch

from choreai.errors import TableError
from choreai.pose.detectors.detector import Boxes

PERSON_CATEGORY = 1
"""COCO's category_id of people; their index in a network's class scores is 0."""
ImageId = str | int
LARGEST = 1e9
"""Largest absolute value in a box; the precision of float32, in which boxes are held, ends far below it."""


@dataclass(frozen=True)
class Detection:
    """One entry of the file."""

    number: int
    """Position in the file, starting at 1, for error messages."""
    box_xyxy: tuple[float, float, float, float]
    score: float


@dataclass(frozen=True)
class Detections:
    """The people in every image that the file mentions."""

    by_image: dict[ImageId, list[Detection]]
    """Images in order of first appearance."""
    source: str
    sha256: str

    def find(self, image_id: ImageId, *, size_wh: tuple[int, int]) -> Boxes:
        """Return the people in an image of this size by decreasing score; none if the file does not mention it.

        Boxes are unchanged and may extend beyond the image. Raises TableError for one that lies completely outside,
        in which case the file was made for other images, or for another size.
        """
        width, height = size_wh
        found = sorted(self.by_image.get(image_id, []), key=lambda detection: -detection.score)
        for detection in found:
            left, top, right, bottom = detection.box_xyxy
            if left >= width or top >= height or right <= 0 or bottom <= 0:
                raise TableError(
                    f"{self.source}: entry {detection.number}: the box {list(detection.box_xyxy)} (x1, y1, x2, y2) "
                    f"lies outside of image {image_id!r}, which is {width} x {height}; was it made for other images?"
                )
        if not found:
            return Boxes.empty()
        boxes = np.array([detection.box_xyxy for detection in found], np.float32)
        return Boxes(boxes, np.array([detection.score for detection in found], np.float32))


def read_detfile(file: bytes | Path | BinaryIO, *, source: str = "the detection file") -> Detections:
    """Read a JSON list of {image_id, bbox: [x, y, width, height], score}, which may be empty.

    Entries with a `category_id` other than COCO's person are left out; `idx` is ignored, because people are tracked
    anew. Raises TableError for anything else, with the entry's number, starting at 1.
    """
    data = _read_bytes(file, source)
    try:
        entries: object = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise TableError(f"{source}: not valid JSON ({exc}); it may be truncated: make it again") from exc
    if not isinstance(entries, list):
        raise TableError(f"{source}: a list of detections was expected, got {type(entries).__name__}")
    by_image: dict[ImageId, list[Detection]] = {}
    for number, entry in enumerate(entries, start=1):
        where = f"{source}: entry {number}"
        if not isinstance(entry, dict):
            raise TableError(f"{where}: an object was expected, got {_shortly(entry)}")
        image_id = _read_image_id(entry, where)
        detection = _read_detection(entry, number, where)
        people = by_image.setdefault(image_id, [])
        if entry.get("category_id", PERSON_CATEGORY) == PERSON_CATEGORY:
            people.append(detection)
    return Detections(by_image, source, hashlib.sha256(data).hexdigest())


class DetfileDetector:
    """A `PersonDetector` for one run over known images; `image_ids` are the ids of the images to come, in order."""

    batch_size = 64
    """Limited by memory only."""

    def __init__(self, detections: Detections, *, image_ids: Iterable[ImageId]) -> None:
        self._detections = detections
        self._image_ids = iter(image_ids)

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"detector": "detfile", "detector_sha256": self._detections.sha256}

    def detect(self, images: Sequence[torch.Tensor]) -> list[Boxes]:
        """Return the file's boxes. Raises TableError for boxes outside their image, ValueError if ids run out."""
        people = []
        for image in images:
            image_id = next(self._image_ids, None)
            if image_id is None:
                raise ValueError("there are more images than image_ids were given")
            people.append(self._detections.find(image_id, size_wh=(image.shape[1], image.shape[0])))
        return people


def _read_bytes(file: bytes | Path | BinaryIO, source: str) -> bytes:
    if isinstance(file, bytes):
        return file
    if not isinstance(file, Path):
        return file.read()
    try:
        return file.read_bytes()
    except OSError as exc:
        raise TableError(f"{source}: cannot be read: {exc.strerror or exc}") from exc


def _read_image_id(entry: dict[str, object], where: str) -> ImageId:
    image_id = entry.get("image_id")
    if isinstance(image_id, bool) or not isinstance(image_id, str | int) or image_id == "":
        raise TableError(f"{where}: image_id must be a name or a number, got {_shortly(image_id)}")
    return image_id


def _read_detection(entry: dict[str, object], number: int, where: str) -> Detection:
    bbox, score = entry.get("bbox"), entry.get("score")
    if not isinstance(bbox, list) or len(bbox) != 4 or not all(_is_number(value) for value in bbox):
        raise TableError(f"{where}: bbox must be four numbers, x, y, width, height; got {_shortly(bbox)}")
    x, y, width, height = (float(value) for value in bbox)
    if width <= 0 or height <= 0:
        raise TableError(f"{where}: bbox must have a width and a height above 0, got {bbox}")
    if not isinstance(score, int | float) or not _is_number(score):
        raise TableError(f"{where}: score must be a number, got {_shortly(score)}")
    return Detection(number, (x, y, x + width, y + height), float(score))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= LARGEST  # NaN is not


def _shortly(value: object) -> str:
    return "nothing" if value is None else repr(value)[:80]
