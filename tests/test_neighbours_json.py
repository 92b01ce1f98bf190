"""JSON of other pose programs, read and written: OpenPose, COCO, MMPose."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from keypoint_files import random_table
from neighbour_files import (
    FRAMES_PER_SECOND,
    OPENPOSE_18,
    OPENPOSE_25,
    coco,
    coco_annotations,
    coco_results,
    flat,
    mmpose_instance,
    mmpose_video,
    openpose_folder,
    openpose_person,
)

from choreai.errors import ChoreaiWarning, ConfigError, StorageError, TableError
from choreai.formats.convert import ConvertSettings, convert, read_keypoints
from choreai.formats.rows import all_keypoints_of, keypoints_of
from choreai.motion.keypoint_sets import HALPE_26
from choreai.motion.skeleton import KEYPOINT_NAMES
from choreai.tables.schemas import KEYPOINTS, list_column

SETTINGS = ConvertSettings(frames_per_second=FRAMES_PER_SECOND)


def places(table: pa.Table) -> list[tuple[int, int]]:
    """Track and frame of each row."""
    return list(zip(table["track_id"].to_pylist(), table["frame_index"].to_pylist(), strict=True))


# ---- OpenPose ----


@pytest.mark.parametrize("names", [OPENPOSE_25, OPENPOSE_18, KEYPOINT_NAMES], ids=["BODY_25", "COCO-18", "COCO-17"])
def test_openpose_s_keypoints_become_coco_s(tmp_path: Path, names: tuple[str, ...]) -> None:
    table = read_keypoints(openpose_folder(tmp_path / "dance", names), SETTINGS)
    assert places(table) == [(0, frame) for frame in (0, 1, 3, 4)], "nobody in frame 2"
    np.testing.assert_array_equal(keypoints_of(table), [coco(frame) for frame in (0, 1, 3, 4)])
    assert table["pts_seconds"].to_pylist() == pytest.approx([0, 0.04, 0.12, 0.16])
    assert table["video_id"].unique().to_pylist() == ["dance"]
    assert table["box_xyxy"][0].as_py() == [240, 90, 360, 500], "drawn around the keypoints"


def halpe_26(frame: int) -> list[float]:
    """What Pose2Sim writes of RTMLib's body with feet: Halpe's 26, COCO's 17 first."""
    return flat(HALPE_26.keypoints, frame)


def test_pose2sim_s_halpe_26_keeps_its_feet(tmp_path: Path) -> None:
    folder = tmp_path / "dance"
    folder.mkdir()
    for frame in (0, 1):
        content = {"version": 1.3, "people": [openpose_person(halpe_26(frame))]}
        (folder / f"dance_{frame:06d}.json").write_text(json.dumps(content))
    table = read_keypoints(str(folder), SETTINGS)
    np.testing.assert_array_equal(keypoints_of(table), [coco(0), coco(1)])
    everything = np.array(all_keypoints_of(table))
    np.testing.assert_array_equal(everything.reshape(2, -1), np.array([halpe_26(0), halpe_26(1)], np.float32))
    pq.write_table(table, tmp_path / "dance.parquet")
    convert(str(tmp_path / "dance.parquet"), str(tmp_path / "again"), ConvertSettings(), target_format="openpose")
    (first, _) = sorted((tmp_path / "again").iterdir())
    written = np.array(json.loads(first.read_text())["people"][0]["pose_keypoints_2d"]).reshape(25, 3)
    for k, name in enumerate(OPENPOSE_25):
        if name not in ("neck", "mid_hip"):
            np.testing.assert_allclose(written[k], everything[0, HALPE_26.keypoints.index(name)], rtol=1e-6)


def test_openpose_without_tracking_has_ranks_for_ids_and_says_so(tmp_path: Path) -> None:
    with pytest.warns(ChoreaiWarning, match="track_id is their rank in the frame"):
        table = read_keypoints(openpose_folder(tmp_path / "dance", num_people=2), SETTINGS)
    assert places(table) == [(track, frame) for track in (0, 1) for frame in (0, 1, 3, 4)]
    np.testing.assert_array_equal(keypoints_of(table)[4], coco(0, person=1))


def test_openpose_s_folder_may_be_in_a_store(tmp_path: Path, store_uri: str) -> None:
    pq.write_table(random_table(), tmp_path / "dance.parquet")
    convert(str(tmp_path / "dance.parquet"), f"{store_uri}/op", ConvertSettings(), target_format="openpose")
    convert(f"{store_uri}/op", f"{store_uri}/back.parquet", SETTINGS)
    found = read_keypoints(f"{store_uri}/back.parquet")
    assert found["frame_index"].equals(random_table()["frame_index"])
    with pytest.raises(StorageError, match="exists already"):
        convert(str(tmp_path / "dance.parquet"), f"{store_uri}/op", ConvertSettings(), target_format="openpose")


def test_openpose_s_own_ids_are_kept(tmp_path: Path) -> None:
    folder = Path(openpose_folder(tmp_path / "dance"))
    people = [openpose_person(flat(OPENPOSE_25, 5, person)) | {"person_id": [7 - person]} for person in (0, 1)]
    (folder / "dance_000000000005_keypoints.json").write_text(json.dumps({"version": 1.3, "people": people}))
    with pytest.warns(ChoreaiWarning, match="4 people have no id; theirs follow after 7 and follow nobody"):
        table = read_keypoints(str(folder), SETTINGS)
    assert places(table) == [(6, 5), (7, 5), *((8, frame) for frame in (0, 1, 3, 4))]


def test_what_openpose_did_not_see_is_missing_and_never_seen_is_said(tmp_path: Path) -> None:
    folder = Path(openpose_folder(tmp_path / "dance"))
    for path in folder.iterdir():
        content = json.loads(path.read_text())
        for person in content["people"]:
            person["pose_keypoints_2d"][3 * 18 : 3 * 19] = [0, 0, 0]  # the left ear
        path.write_text(json.dumps(content))
    with pytest.warns(ChoreaiWarning, match="never has left_ear: missing in the table, with score 0"):
        table = read_keypoints(str(folder), SETTINGS)
    assert (keypoints_of(table)[:, KEYPOINT_NAMES.index("left_ear")] == 0).all()


def test_openpose_s_shares_of_the_picture_need_its_size(tmp_path: Path) -> None:
    (tmp_path / "dance").mkdir()
    shares = [v for k in range(25) for v in (0.5, k / 50, 0.9)]
    (tmp_path / "dance" / "a_0_keypoints.json").write_text(json.dumps({"people": [openpose_person(shares)]}))
    with pytest.raises(ConfigError, match="shares of the picture; give the size of the pictures, such as --size"):
        read_keypoints(str(tmp_path / "dance"), SETTINGS)
    sized = ConvertSettings(frames_per_second=25, size_wh=(1000, 500))
    table = read_keypoints(str(tmp_path / "dance"), sized)
    assert keypoints_of(table)[0, KEYPOINT_NAMES.index("right_wrist"), :2].tolist() == [500, 40]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"a_1_keypoints\.json is not valid JSON"),
        ({"version": 1.3}, r"a_1_keypoints\.json: no list of people"),
        ({"people": [3]}, r"a_1_keypoints\.json: person 1 is 3, not an object"),
        (
            {"people": [openpose_person([1.0] * 45)]},
            "person 1 has 45 keypoint numbers; it needs 3 x 17, 18, 25, 26, 68",
        ),
        ({"people": [openpose_person([1.0] * 50)]}, "person 1 has 50 keypoint numbers"),
        ({"people": [{"person_id": [-1]}]}, "person 1: pose_keypoints_2d: expected numbers, got None"),
        ({"people": [openpose_person([math.nan] * 75)]}, "pose_keypoints_2d: NaN, infinity"),
        ({"people": [openpose_person([1.0] * 75) | {"person_id": [0.5]}]}, "person_id is 0.5"),
    ],
)
def test_a_malformed_frame_of_openpose_is_named(tmp_path: Path, content: Any, message: str) -> None:
    folder = tmp_path / "dance"
    folder.mkdir()
    (folder / "a_0_keypoints.json").write_text('{"people": []}')
    (folder / "a_1_keypoints.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(TableError, match=message):
        read_keypoints(str(folder), SETTINGS)


# ---- COCO ----


def test_coco_annotations_become_a_table(tmp_path: Path) -> None:
    """The right ankle is missing, the left one labelled but not visible."""
    with pytest.warns(ChoreaiWarning):
        table = read_keypoints(coco_annotations(tmp_path / "person_keypoints.json"), SETTINGS)
    assert places(table) == [(0, 7), (0, 8), (1, 7), (1, 8)]
    points = keypoints_of(table)
    np.testing.assert_array_equal(points[2, :16, :2], coco(7, 1)[:16, :2])
    assert points[2, :, 2].tolist() == [1] * 15 + [0.5, 0]
    assert table["box_xyxy"][2].as_py() == [600, 80, 820, 520]


def test_coco_s_parts_may_come_in_any_order(tmp_path: Path) -> None:
    path = Path(coco_annotations(tmp_path / "a.json"))
    content = json.loads(path.read_text())
    (tmp_path / "b.json").write_text(json.dumps(dict(reversed(content.items()))))
    with pytest.warns(ChoreaiWarning):
        first, second = (read_keypoints(str(tmp_path / name), SETTINGS) for name in ("a.json", "b.json"))
    assert first.drop_columns(["video_id", "content_id"]).equals(second.drop_columns(["video_id", "content_id"]))


def test_coco_keypoints_are_found_by_the_category_s_names(tmp_path: Path) -> None:
    """A tool's own order: CVAT exports that of the skeleton as it was drawn."""
    order = [3, 1, 2, 0, *range(16, 3, -1)]
    category = {"id": 1, "name": "dancer", "keypoints": [KEYPOINT_NAMES[k] for k in order]}
    points = coco(0)
    points[:, 2] = 2
    annotation = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": points[order].ravel().tolist()}
    path = coco_annotations(tmp_path / "a.json", annotations=[annotation], categories=[category], images=[])
    np.testing.assert_array_equal(keypoints_of(read_keypoints(path, SETTINGS))[0, :, :2], coco(0)[:, :2])


def test_ids_of_cvat_s_tracks_are_kept(tmp_path: Path) -> None:
    """Its "COCO Keypoints 1.0" has them among the attributes: so corrections come back."""
    points = coco(7)
    points[:, 2] = 2
    annotation = {
        "id": 1, "image_id": 107, "category_id": 1, "segmentation": [], "area": 1.0, "bbox": [1, 2, 3, 4], "iscrowd": 0,
        "attributes": {"occluded": False, "track_id": 5, "keyframe": True}, "keypoints": points.ravel().tolist(),
        "num_keypoints": 17,
    }  # fmt: skip
    table = read_keypoints(coco_annotations(tmp_path / "a.json", annotations=[annotation]), SETTINGS)
    assert places(table) == [(5, 7)]


def test_coco_results_become_a_table(tmp_path: Path) -> None:
    with pytest.warns(ChoreaiWarning, match="rank in the frame"):
        table = read_keypoints(coco_results(tmp_path / "results.json"), SETTINGS)
    assert places(table) == [(0, 7), (0, 8), (1, 7), (1, 8)]
    np.testing.assert_array_equal(keypoints_of(table)[3], coco(8, 1))
    assert table["box_score"].to_pylist() == [0.75] * 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"annotations": [3]}, "annotations 1 is 3, not an object"),
        ({"annotations": [{"keypoints": [1, 2]}]}, "has 2 keypoint numbers"),
        ({"annotations": [{"keypoints": [1, 2, 3] * 17, "image_id": 1}]}, "a visibility is not 0, 1 or 2"),
        ({"annotations": [{"keypoints": [1, 2, 2] * 17}]}, "image_id is None"),
        ({"annotations": [{"keypoints": [1, 2, 2] * 5, "image_id": 1}]}, "5 keypoints, and nothing names COCO's"),
        ({"annotations": [{"keypoints": [1, 2, 2] * 17, "image_id": 1, "bbox": [1, 2]}]}, r"bbox is \[1.0, 2.0\]"),
    ],
)
def test_a_malformed_annotation_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(TableError, match=message):
        read_keypoints(coco_annotations(tmp_path / "a.json", **changes), SETTINGS)


# ---- MMPose ----


@pytest.mark.parametrize("demo", [False, True])
def test_mmpose_s_frames_become_a_table(tmp_path: Path, demo: bool) -> None:
    """The demos count frames from 1."""
    table = read_keypoints(mmpose_video(tmp_path / "dance.json", demo=demo), SETTINGS)
    assert places(table) == [(0, 0), (0, 2)]
    np.testing.assert_array_equal(keypoints_of(table), [coco(0), coco(2)])
    assert table["box_xyxy"][0].as_py() == [200, 80, 420, 520]
    assert table["box_score"].to_pylist() == [0.875] * 2


def test_mmpose_s_pictures_are_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "predictions"
    folder.mkdir()
    for frame in (9, 10):
        (folder / f"{frame}.json").write_text(json.dumps([mmpose_instance(frame)]))
    assert places(read_keypoints(str(folder), SETTINGS)) == [(0, 9), (0, 10)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"instances": []}], "element 1 has no frame_id"),
        ([{"frame_id": 0, "instances": 3}], "instances is 3"),
        (
            [{"frame_id": 0, "instances": [mmpose_instance(0) | {"keypoints": [[1, 2, 3]] * 17}]}],
            "frame_id 0, person 1",
        ),
        ([{"frame_id": 4, "instances": [mmpose_instance(0) | {"keypoint_scores": [1]}]}], "for 1 keypoint_scores"),
        ([mmpose_instance(0) | {"keypoints": [[1, 2]] * 5, "keypoint_scores": [1] * 5}], "has 5 keypoints"),
    ],
)
def test_a_malformed_prediction_of_mmpose_is_named(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(TableError, match=message):
        read_keypoints(str(tmp_path / "a.json"), SETTINGS, source_format="mmpose-json")


# ---- there and back ----


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("openpose", ConvertSettings()),
        ("coco-json", ConvertSettings(size_wh=(1920, 1080))),
        ("coco-results", ConvertSettings()),
    ],
)
def test_what_is_written_is_read_back(tmp_path: Path, name: str, settings: ConvertSettings) -> None:
    """Keypoints, frames and ids to the bit; boxes and their scores where the format has them."""
    source, target = str(tmp_path / "dance.parquet"), str(tmp_path / "dance.x")
    table = random_table()
    scores = np.random.default_rng(1).uniform(0.1, 1, (len(table), 17)).astype(np.float32)
    at = table.schema.get_field_index("keypoint_scores")
    table = table.set_column(at, KEYPOINTS.field("keypoint_scores"), list_column(scores))
    pq.write_table(table, source)
    convert(source, target, settings, target_format=name)
    found = read_keypoints(target, ConvertSettings(video_id="dance", frames_per_second=30))
    assert places(found) == places(table)
    np.testing.assert_array_equal(keypoints_of(found), keypoints_of(table))
    if name != "openpose":
        assert found["box_score"].equals(table["box_score"])
    if name == "coco-json":
        np.testing.assert_allclose(found["box_xyxy"].to_pylist(), table["box_xyxy"].to_pylist(), rtol=1e-6)


# ---- one for another ----


def test_a_file_of_another_kind_is_named_for_what_it_is(tmp_path: Path) -> None:
    path = coco_annotations(tmp_path / "a.json")
    with pytest.raises(
        ConfigError, match="this is a COCO annotation file, not AlphaPose's results; give --from coco-json"
    ):
        read_keypoints(path, SETTINGS, source_format="alphapose-json")
