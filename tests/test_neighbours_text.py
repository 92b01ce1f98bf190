"""Text of other programs: ultralytics, MediaPipe's landmarks, Kinovea, and CSV with named columns."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from keypoint_files import random_table
from neighbour_files import (
    BLAZEPOSE,
    KINOVEA_TRACKS,
    coco,
    keypoint_csv,
    kinovea,
    mediapipe_long,
    mediapipe_wide,
    yolo_csv,
    yolo_labels,
    yolo_line,
    yolo_result,
    yolo_results,
)

from choreai.errors import ChoreaiWarning, ConfigError, TableError
from choreai.formats.convert import ConvertSettings, convert, read_keypoints
from choreai.formats.keypoint_sets import BLAZEPOSE_33
from choreai.formats.rows import keypoints_of
from choreai.motion.skeleton import KEYPOINT_NAMES
from choreai.pose.blazepose import COCO_FROM_BLAZEPOSE

SIZED = ConvertSettings(frames_per_second=25, size_wh=(1000, 800))
RATED = ConvertSettings(frames_per_second=25)


def places(table: pa.Table) -> list[tuple[int, int]]:
    """Track and frame of each row."""
    return list(zip(table["track_id"].to_pylist(), table["frame_index"].to_pylist(), strict=True))


# ---- ultralytics ----


@pytest.mark.parametrize(
    ("dims", "behind", "track", "score"),
    [(3, "", 0, None), (3, " 0.875", 0, 0.875), (3, " 7", 7, None), (3, " 0.875 7", 7, 0.875), (2, " 1", 0, 1.0)],
)
def test_ultralytics_labels_become_a_table(
    tmp_path: Path, dims: int, behind: str, track: int, score: float | None
) -> None:
    table = read_keypoints(yolo_labels(tmp_path / "labels", dims=dims, behind=behind), SIZED)
    assert places(table) == [(track, 1), (track, 3)]
    np.testing.assert_allclose(keypoints_of(table)[..., :2], [coco(f)[:, :2] for f in (1, 3)], atol=2e-3)
    np.testing.assert_allclose(keypoints_of(table)[0, :, 2], coco(1)[:, 2] if dims == 3 else 1, atol=1e-5)
    np.testing.assert_allclose(table["box_xyxy"][0].as_py(), [200, 80, 420, 520], atol=0.1)
    assert score is None or table["box_score"][0].as_py() == pytest.approx(score)


def test_labels_made_by_hand_have_visibilities(tmp_path: Path) -> None:
    words = yolo_line(0).split()
    words[7::3] = ["2"] * 15 + ["1", "0"]
    (tmp_path / "a.txt").write_text(" ".join(words))
    with pytest.warns(ChoreaiWarning, match="never has right_ankle"):
        table = read_keypoints(str(tmp_path / "a.txt"), SIZED)
    assert keypoints_of(table)[0, :, 2].tolist() == [1] * 15 + [0.5, 0]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "0 0.5 0.5 0.1 0.1",
            r"dance_1\.txt: line 1 has 5 columns; a person of 17 keypoints has 39 or 56, and up to 2",
        ),
        (yolo_line(0).replace("0.31", "left", 1), r"line 1, column 2: 'left' is not a usable number"),
        (yolo_line(0).replace("0.31", "nan", 1), "line 1: 'nan' is not a number"),
        (yolo_line(0, behind=" 0.5 0.5"), "line 1: id is 0.5; it must be a whole number"),
    ],
)
def test_a_malformed_label_is_named(tmp_path: Path, line: str, message: str) -> None:
    folder = Path(yolo_labels(tmp_path / "labels"))
    (folder / "dance_1.txt").write_text(line)
    with pytest.raises(TableError, match=message):
        read_keypoints(str(folder), SIZED, source_format="ultralytics-labels")


def test_ultralytics_results_of_a_video_become_a_table(tmp_path: Path) -> None:
    table = read_keypoints(yolo_results(tmp_path / "results.json"), RATED)
    assert places(table) == [(4, 0), (4, 1)]
    np.testing.assert_array_equal(keypoints_of(table), [coco(0), coco(1)])
    assert table["box_xyxy"][1].as_py() == [200, 80, 420, 520]
    assert table["box_score"].to_pylist() == [0.875] * 2


def test_ultralytics_results_are_a_file_for_each_picture_too(tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    for frame in (9, 10):
        (folder / f"{frame}.json").write_text(json.dumps([yolo_result(frame)]))
    table = read_keypoints(str(folder), RATED)
    assert places(table) == [(0, 9), (0, 10)]
    np.testing.assert_array_equal(keypoints_of(table), [coco(9), coco(10)])


def test_ultralytics_csv_becomes_a_table(tmp_path: Path) -> None:
    table = read_keypoints(yolo_csv(tmp_path / "a.csv"), RATED)
    assert places(table) == [(3, 0), (4, 0)]
    np.testing.assert_array_equal(keypoints_of(table), [coco(0, 0), coco(0, 1)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"keypoints": {"x": [1.0], "y": [1.0]}}, "person 1 has 1 x, 1 y and 1 scores"),
        ({"keypoints": {"x": ["a"] * 17, "y": [1.0] * 17}}, "keypoints x: expected numbers"),
        ({"confidence": "high"}, "confidence: expected numbers"),
    ],
)
def test_a_malformed_result_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    (tmp_path / "a.json").write_text(json.dumps([yolo_result(0) | change]))
    with pytest.raises(TableError, match=message):
        read_keypoints(str(tmp_path / "a.json"), RATED)


def test_a_cell_of_a_csv_is_read_and_never_run(tmp_path: Path) -> None:
    path = Path(yolo_csv(tmp_path / "a.csv"))
    path.write_text(path.read_text().replace("0.875", "__import__('os').getcwd()"))
    with pytest.raises(TableError, match=r"line 2, confidence: .* is neither a number nor keypoints"):
        read_keypoints(str(path), RATED)


# ---- CSV with named columns ----


def test_csv_with_named_columns_becomes_a_table(tmp_path: Path) -> None:
    table = read_keypoints(keypoint_csv(tmp_path / "a.csv"), RATED)
    assert places(table) == [(0, 0), (0, 1)]
    np.testing.assert_array_equal(keypoints_of(table), [coco(0), coco(1)])


def test_csv_is_read_back_to_the_bit_with_its_rate(tmp_path: Path) -> None:
    table = random_table()
    pq.write_table(table, tmp_path / "dance.parquet")
    convert(str(tmp_path / "dance.parquet"), str(tmp_path / "dance.csv"), ConvertSettings(), target_format="csv")
    found = read_keypoints(str(tmp_path / "dance.csv"))
    points = keypoints_of(table)
    points[points[..., 2] <= 0] = 0
    np.testing.assert_array_equal(keypoints_of(found), points)
    same = ["video_id", "frame_index", "track_id", "box_xyxy", "box_score"]
    assert found.select(same).equals(table.select(same))
    np.testing.assert_allclose(found["pts_seconds"].to_numpy(), table["pts_seconds"].to_numpy(), atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0,300.0", "0,3oo", r"a\.csv: line 2, nose_x: '3oo' is not a usable number; correct it"),
        ("\n1,", "\n1.5,", r"a\.csv: line 3, frame is 1.5; it must be a whole number"),
        ("nose_y", "nose_x", "has the column 'nose_x' twice"),
        ("\n1,", "\n1,2,", "line 3 has 53 columns, the head 52"),
    ],
)
def test_a_malformed_line_of_csv_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = Path(keypoint_csv(tmp_path / "a.csv"))
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TableError, match=message):
        read_keypoints(str(path), RATED)


def test_csv_without_times_needs_the_rate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not say how many frames a second it has; give --frames-per-second"):
        read_keypoints(keypoint_csv(tmp_path / "a.csv"))


# ---- MediaPipe ----

MEDIAPIPE = ConvertSettings(frames_per_second=25, size_wh=(1024, 512))


@pytest.mark.parametrize(
    "head",
    [
        lambda k: f"x{k},y{k},z{k},v{k}",
        lambda k: f"x{k + 1},y{k + 1},z{k + 1},v{k + 1}",
        lambda k: ",".join(f"landmark_{k}_{part}" for part in ("x", "y", "z", "visibility")),
        lambda k: ",".join(f"{BLAZEPOSE[k].upper()}_{part}" for part in ("x", "y", "z", "visibility")),
    ],
    ids=["from 0", "from 1", "landmark_0_x", "NOSE_x"],
)
def test_mediapipe_s_landmarks_become_coco_s_keypoints(tmp_path: Path, head: Callable[[int], str]) -> None:
    table = read_keypoints(mediapipe_wide(tmp_path / "a.csv", head), MEDIAPIPE)
    assert places(table) == [(0, 0), (0, 2)], "nobody in frame 1"
    np.testing.assert_allclose(keypoints_of(table), [coco(0), coco(2)], rtol=1e-6)


def test_blazepose_s_points_are_those_that_the_estimator_picks() -> None:
    assert tuple(BLAZEPOSE_33.index(name) for name in KEYPOINT_NAMES) == COCO_FROM_BLAZEPOSE


@pytest.mark.parametrize("by_name", [False, True])
def test_mediapipe_s_landmarks_may_stand_below_each_other(tmp_path: Path, by_name: bool) -> None:
    table = read_keypoints(mediapipe_long(tmp_path / "a.csv", by_name=by_name), MEDIAPIPE)
    assert places(table) == [(0, 0), (0, 2)]
    np.testing.assert_allclose(keypoints_of(table), [coco(0), coco(2)], rtol=1e-6)


def test_mediapipe_s_landmarks_need_the_size_of_the_picture(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="landmarks are shares of the picture; give the size"):
        read_keypoints(mediapipe_wide(tmp_path / "a.csv"), RATED)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n0,", "\nnow,", "line 2: 'now' is not a usable number"),
        ("\n2,", "\n0,", "line 4: frame 0 is there already; such a file holds one person"),
        ("x32", "q32", "the head does not name MediaPipe's 33 landmarks"),
    ],
)
def test_malformed_landmarks_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = Path(mediapipe_wide(tmp_path / "a.csv"))
    path.write_text(path.read_text().replace(old, new).replace(",y32", ",q2" if new == "q32" else ",y32"))
    with pytest.raises(TableError, match=message):
        read_keypoints(str(path), MEDIAPIPE, source_format="mediapipe-csv")


# ---- Kinovea ----


@pytest.mark.parametrize("decimal_comma", [False, True])
@pytest.mark.parametrize("step", [40.0, 0.04])
def test_kinovea_s_tracks_become_keypoints(tmp_path: Path, decimal_comma: bool, step: float) -> None:
    """Times in milliseconds or seconds; the picture is turned upside down, as Kinovea's y points upwards."""
    path = kinovea(tmp_path / "a.csv", decimal_comma=decimal_comma, step=step)
    with pytest.warns(ChoreaiWarning, match="never has nose, left_eye, right_eye, left_ear, right_ear"):
        table = read_keypoints(path)
    assert places(table) == [(0, 0), (0, 1), (0, 2)]
    expected = np.stack([coco(frame)[5:, :2] for frame in range(3)]) - (0, 720)
    found = keypoints_of(table)[:, 5:]
    np.testing.assert_allclose(found[:2, :, :2], expected[:2], atol=1e-3)
    assert found[2, 1].tolist() == [0, 0, 0], "the right shoulder was lost"
    np.testing.assert_allclose(table["pts_seconds"].to_numpy(), [0, 0.04, 0.08], atol=1e-6)


def test_kinovea_s_frames_need_the_rate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="give --frames-per-second"):
        read_keypoints(kinovea(tmp_path / "a.csv", step=1))
    with pytest.warns(ChoreaiWarning):
        assert places(read_keypoints(kinovea(tmp_path / "b.csv", step=1), RATED)) == [(0, 0), (0, 1), (0, 2)]


def test_tracks_that_are_no_keypoints_are_named(tmp_path: Path) -> None:
    path = kinovea(tmp_path / "a.csv", tracks=("Trajectory 1", "ball"))
    with pytest.raises(TableError, match="none of the tracks Trajectory 1/0, ball/0 is named as a keypoint; name them"):
        read_keypoints(path)
    assert len(KINOVEA_TRACKS) == len(KEYPOINT_NAMES) - 5
