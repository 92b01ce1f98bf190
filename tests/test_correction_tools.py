"""Keypoints in the files of tools for correcting them: CVAT, Label Studio, FiftyOne; and COCO's own evaluation."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drivers import ROOT
from neighbour_files import coco

from choreai.errors import ConfigError
from choreai.formats.convert import ConvertSettings, convert
from choreai.formats.cvat_xml import labels
from choreai.formats.label_studio import INTERFACE
from choreai.formats.rows import ConvertedRows
from choreai.motion.skeleton import EDGES, KEYPOINT_NAMES

SIZE = (1600, 800)
FRAMES = ((0, 4, 8, 20, 24), (0, 4))
"""Of two people: the first is away between frames 8 and 20, the second leaves early."""


def table() -> pa.Table:
    """Two people; the nose of the first is missing in frame 4."""
    rows = [(person, frame) for person, frames in enumerate(FRAMES) for frame in frames]
    keypoints = np.array([coco(frame, person) for person, frame in rows], np.float32)
    keypoints[1, 0] = 0
    return ConvertedRows(
        video_ids=["dance & <more>"],
        content_ids=["sha256-dance"],
        video=np.zeros(len(rows), np.int64),
        track_id=np.array([person for person, _ in rows], np.int64),
        frame_index=np.array([frame for _, frame in rows], np.int64),
        box_xyxy=np.array([[200 + 400 * p, 80, 420 + 400 * p, 520] for p, _ in rows], np.float32),
        box_score=np.full(len(rows), 0.875, np.float32),
        keypoints=keypoints,
    ).to_table(frames_per_second=30.0)


def written(folder: Path, name: str, **more: Any) -> str:
    pq.write_table(table(), folder / "dance.parquet")
    target = folder / f"dance.{name}"
    convert(str(folder / "dance.parquet"), str(target), ConvertSettings(size_wh=SIZE, **more), target_format=name)
    return target.read_text()


def xy_of(points: ElementTree.Element) -> list[float]:
    return [float(value) for value in points.attrib["points"].split(",")]


def test_cvat_images_have_a_skeleton_for_each_person(tmp_path: Path) -> None:
    root = ElementTree.fromstring(written(tmp_path, "cvat-images", image_names="frames/%04d.png"))
    assert [image.attrib["name"] for image in root.iter("image")] == [
        f"frames/{frame:04d}.png" for frame in (0, 4, 8, 20, 24)
    ]
    first, second, *_ = root.iter("image")
    assert first.attrib["width"] == "1600"
    assert [len(list(image.iter("skeleton"))) for image in (first, second)] == [2, 2]
    for person, skeleton in enumerate(first.iter("skeleton")):
        assert skeleton.attrib["label"] == "person"
        assert [points.attrib["label"] for points in skeleton] == list(KEYPOINT_NAMES)
        np.testing.assert_allclose([xy_of(points) for points in skeleton], coco(0, person)[:, :2], atol=0.005)
    nose = next(iter(next(second.iter("skeleton"))))
    assert (nose.attrib["outside"], xy_of(nose)) == ("1", [310, 300]), "missing: outside, in the middle of the box"


def test_cvat_video_has_a_track_for_each_person_that_ends_where_they_are_away(tmp_path: Path) -> None:
    root = ElementTree.fromstring(written(tmp_path, "cvat-video"))
    first, second = root.iter("track")
    keyframes = [(int(skeleton.attrib["frame"]), {p.attrib["outside"] for p in skeleton}) for skeleton in first]
    assert keyframes == [(0, {"0"}), (4, {"0", "1"}), (8, {"0"}), (9, {"1"}), (20, {"0"}), (24, {"0"})]
    assert [int(skeleton.attrib["frame"]) for skeleton in second] == [0, 4, 5]
    attributes = {"label", "keyframe", "outside", "occluded", "points"}
    assert all(set(points.attrib) == attributes for points in root.iter("points"))


def test_cvat_s_labels_are_a_skeleton_of_coco_s_keypoints() -> None:
    """The file that is pasted into CVAT is what the exports go with."""
    shipped = json.loads((ROOT / "examples/cvat-labels.json").read_text())
    assert shipped == labels()
    (person,) = shipped
    assert [point["name"] for point in person["sublabels"]] == list(KEYPOINT_NAMES)
    drawing = ElementTree.fromstring(f"<svg>{person['svg']}</svg>")
    assert [circle.attrib["data-label-name"] for circle in drawing.iter("circle")] == list(KEYPOINT_NAMES)
    edges = [(int(e.attrib["data-node-from"]) - 1, int(e.attrib["data-node-to"]) - 1) for e in drawing.iter("line")]
    assert edges == list(EDGES)
    x = {circle.attrib["data-label-name"]: float(circle.attrib["cx"]) for circle in drawing.iter("circle")}
    assert all(x[f"left_{part}"] > x[f"right_{part}"] for part in ("eye", "ear", "shoulder", "wrist", "hip", "ankle"))


def test_label_studio_s_tasks_have_places_in_percent(tmp_path: Path) -> None:
    tasks = json.loads(written(tmp_path, "label-studio", image_names="/data/local-files/?d=frames/%06d.jpg"))
    assert [task["data"]["frame_index"] for task in tasks] == [0, 4, 8, 20, 24]
    assert tasks[1]["data"]["image"] == "/data/local-files/?d=frames/000004.jpg"
    (prediction,) = tasks[0]["predictions"]
    regions = prediction["result"]
    boxes = [region for region in regions if region["type"] == "rectanglelabels"]
    assert [box["value"]["x"] for box in boxes] == [12.5, 37.5]
    points = [region for region in regions if region.get("parentID") == boxes[1]["id"]]
    assert [point["value"]["keypointlabels"] for point in points] == [[name] for name in KEYPOINT_NAMES]
    places = np.array([[point["value"]["x"], point["value"]["y"]] for point in points]) * SIZE / 100
    np.testing.assert_allclose(places, coco(0, 1)[:, :2], atol=1e-4)
    assert len([region for region in tasks[1]["predictions"][0]["result"] if "nose" in region["id"]]) == 1
    assert len({region["id"] for task in tasks for region in task["predictions"][0]["result"]}) == 2 + 18 * 7 - 3


def test_label_studio_s_interface_has_the_tags_of_the_tasks(tmp_path: Path) -> None:
    shipped = (ROOT / "examples/label-studio.xml").read_text()
    assert shipped == INTERFACE
    view = ElementTree.fromstring(shipped)
    tags = {tag.attrib["name"]: tag for tag in view if "name" in tag.attrib}
    assert [label.attrib["value"] for label in tags["keypoint"]] == list(KEYPOINT_NAMES)
    for task in json.loads(written(tmp_path, "label-studio")):
        assert tags["image"].attrib["value"] == "$image"
        assert "image" in task["data"]
        for region in task["predictions"][0]["result"]:
            assert tags[region["from_name"]].attrib["toName"] == region["to_name"]


def test_fiftyone_s_samples_have_shares_and_track_ids(tmp_path: Path) -> None:
    dataset = json.loads(written(tmp_path, "fiftyone-json"))
    assert dataset["default_skeleton"]["labels"] == list(KEYPOINT_NAMES)
    assert [sample["filepath"] for sample in dataset["samples"]] == [f"{f:06d}.jpg" for f in (0, 4, 8, 20, 24)]
    first, second, *_ = dataset["samples"]
    assert [person["index"] for person in first["people"]["keypoints"]] == [0, 1]
    points = np.array(first["people"]["keypoints"][1]["points"]) * SIZE
    np.testing.assert_allclose(points, coco(0, 1)[:, :2], rtol=1e-6)
    assert np.isnan(second["people"]["keypoints"][0]["points"][0]).all(), "missing"
    assert dataset["sample_fields"].keys() <= first.keys()


@pytest.mark.parametrize("name", ["cvat-images", "cvat-video", "label-studio", "fiftyone-json", "coco-json"])
def test_the_size_of_the_pictures_must_be_said(tmp_path: Path, name: str) -> None:
    pq.write_table(table(), tmp_path / "dance.parquet")
    with pytest.raises(ConfigError, match=f"from parquet to {name} needs size_wh; give --size"):
        convert(str(tmp_path / "dance.parquet"), str(tmp_path / "x"), ConvertSettings(), target_format=name)


def test_pycocotools_finds_our_results_perfect_against_our_annotations(tmp_path: Path) -> None:
    coco_api = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    pq.write_table(table(), tmp_path / "dance.parquet")
    for name, settings in (("coco-json", ConvertSettings(size_wh=SIZE)), ("coco-results", ConvertSettings())):
        convert(str(tmp_path / "dance.parquet"), str(tmp_path / f"{name}.json"), settings, target_format=name)
    truth = coco_api.COCO(str(tmp_path / "coco-json.json"))
    assert len(truth.getImgIds()) == 5
    judged = evaluation.COCOeval(truth, truth.loadRes(str(tmp_path / "coco-results.json")), "keypoints")
    judged.evaluate()
    judged.accumulate()
    judged.summarize()
    assert judged.stats[0] == pytest.approx(1.0), "average precision"
    assert judged.stats[5] == pytest.approx(1.0), "average recall"
