"""Boxes from a JSON file in the place of a detector: what is read, in which order, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from people_pictures import FOLDER, best_ious, read_pictures

from choreai.errors import TableError
from choreai.pose.detectors.detfile import DetfileDetector, read_detfile

ENTRY = {"image_id": "a.jpg", "bbox": [10, 20, 30, 40], "score": 0.9}


def detections_of(*entries: object) -> bytes:
    return json.dumps(entries).encode()


def image(height: int, width: int) -> torch.Tensor:
    return torch.zeros((height, width, 3), dtype=torch.uint8)


def test_people_come_by_image_the_surest_first() -> None:
    found = read_detfile(
        detections_of(
            {**ENTRY, "image_id": "b.jpg", "score": 0.2, "idx": 7},
            {**ENTRY, "score": 0.3},
            {**ENTRY, "bbox": [0.5, 1.5, 1, 1], "category_id": 1},
            {**ENTRY, "category_id": 18},
            {**ENTRY, "image_id": "c.jpg", "category_id": 18},
        )
    )
    assert list(found.by_image) == ["b.jpg", "a.jpg", "c.jpg"]
    boxes = found.find("a.jpg", size_wh=(100, 100))
    np.testing.assert_allclose(boxes.box_xyxy, [[0.5, 1.5, 1.5, 2.5], [10.0, 20, 40, 60]])
    np.testing.assert_allclose(boxes.scores, [0.9, 0.3])
    assert len(found.find("c.jpg", size_wh=(100, 100))) == 0
    assert len(found.find("not named.jpg", size_wh=(100, 100))) == 0


def test_an_empty_list_means_nobody_anywhere() -> None:
    detector = DetfileDetector(read_detfile(b"[]"), image_ids=["a.jpg"])
    assert len(detector.detect([image(50, 50)])[0]) == 0


def test_images_are_matched_to_their_ids_in_order_over_all_calls() -> None:
    detections = read_detfile(detections_of(ENTRY, {**ENTRY, "image_id": 3, "bbox": [0, 0, 5, 5]}))
    detector = DetfileDetector(detections, image_ids=[3, "nobody.jpg", "a.jpg"])
    found = [*detector.detect([image(90, 90), image(50, 90)]), *detector.detect([image(90, 90)])]
    assert [boxes.box_xyxy.tolist() for boxes in found] == [[[0, 0, 5, 5]], [], [[10, 20, 40, 60]]]
    with pytest.raises(ValueError, match="more images"):
        detector.detect([image(90, 90)])
    assert detector.settings() == {"detector": "detfile", "detector_sha256": detections.sha256}


def test_a_box_may_stick_out_of_its_image_but_not_lie_outside() -> None:
    found = read_detfile(
        detections_of(ENTRY, {**ENTRY, "image_id": "b.jpg", "bbox": [-5, -5, 10, 10]}), source="d.json"
    )
    np.testing.assert_allclose(found.find("a.jpg", size_wh=(11, 21)).box_xyxy, [[10.0, 20, 40, 60]])
    np.testing.assert_allclose(found.find("b.jpg", size_wh=(11, 21)).box_xyxy, [[-5, -5, 5, 5]])
    for size_wh in ((10, 100), (100, 20)):
        with pytest.raises(TableError, match=r"d\.json: entry 1: .*outside of image 'a\.jpg'"):
            found.find("a.jpg", size_wh=size_wh)


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        (b"", "not valid JSON"),
        (detections_of(ENTRY)[:-3], "not valid JSON"),
        (b"\xff\xfe\x00", "not valid JSON"),
        (b"[" * 100_000, "not valid JSON"),
        (b'{"image_id": 3}', "a list of detections"),
        (detections_of(ENTRY, [1]), r"entry 2: an object"),
        (detections_of(ENTRY, {"bbox": [1, 2, 3, 4], "score": 1}), "entry 2: image_id .* got nothing"),
        (detections_of({**ENTRY, "image_id": True}), "entry 1: image_id"),
        (detections_of({**ENTRY, "image_id": 1.5}), "entry 1: image_id"),
        (detections_of({**ENTRY, "bbox": [1, 2, 3]}), "entry 1: bbox must be four numbers"),
        (detections_of({**ENTRY, "bbox": [1, 2, "3", 4]}), "entry 1: bbox must be four numbers"),
        (detections_of({**ENTRY, "bbox": [1, 2, float("nan"), 4]}), "entry 1: bbox must be four numbers"),
        (detections_of({**ENTRY, "bbox": [1, 2, 1e300, 4]}), "entry 1: bbox must be four numbers"),
        (detections_of({**ENTRY, "bbox": [1, 2, 10**400, 4]}), "entry 1: bbox must be four numbers|not valid JSON"),
        (detections_of({**ENTRY, "bbox": [1, 2, 0, 4]}), "entry 1: bbox must have a width"),
        (detections_of({**ENTRY, "score": None}), "entry 1: score must be a number, got nothing"),
        (detections_of({**ENTRY, "score": float("inf")}), "entry 1: score must be a number"),
    ],
)
def test_malformed_files_name_the_entry(file: bytes, reason: str) -> None:
    with pytest.raises(TableError, match=reason):
        read_detfile(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r"boxes\.json: cannot be read"):
        read_detfile(tmp_path / "boxes.json", source="boxes.json")


@pytest.mark.shared
@pytest.mark.skipif(not FOLDER.exists(), reason=f"{FOLDER} is absent")
def test_cocos_own_detection_files_are_read() -> None:
    pictures = read_pictures()
    detections = read_detfile(FOLDER / "test_coco_det_AP_H_56.json")
    detector = DetfileDetector(detections, image_ids=[picture.image_id for picture in pictures])
    found = detector.detect([picture.image for picture in pictures])
    ious = [best_ious(one.box_xyxy, boxes.box_xyxy) for one, boxes in zip(pictures, found, strict=True)]
    assert (np.concatenate(ious) > 0.5).sum() == 12
