"""TRC and MOT as OpenSim's users take them: a person in the plane, and joint angles."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from motion_capture_files import body

from choreai.errors import ConfigError, TableError
from choreai.formats.convert import ConvertSettings, convert, read_keypoints
from choreai.formats.opensim_mot import joint_angles
from choreai.formats.rows import ConvertedRows, keypoints_of
from choreai.motion.skeleton import KEYPOINT_NAMES


def dancers(num_people: int = 1, *, step: int = 4) -> pa.Table:
    """Who stand facing the camera, 200 pixels to the metre, sampled every fourth frame; the nose is missing once."""
    frames = np.arange(0, 40, step)
    points = np.array([body(0) * (200, -200, 0) + np.array([500, 600, 1]) for _ in frames])
    points[1, 0] = 0
    return ConvertedRows(
        video_ids=["dance"],
        content_ids=["sha256-dance"],
        video=np.zeros(len(frames) * num_people, np.int64),
        track_id=np.repeat(np.arange(num_people), len(frames)),
        frame_index=np.tile(frames, num_people),
        box_xyxy=np.tile(np.array([[400, 200, 600, 600]], np.float32), (len(frames) * num_people, 1)),
        box_score=np.full(len(frames) * num_people, 0.5, np.float32),
        keypoints=np.tile(points, (num_people, 1, 1)).astype(np.float32),
    ).to_table(frames_per_second=30.0)


def written(folder: Path, table: pa.Table, name: str, settings: ConvertSettings | None = None) -> Path:
    pq.write_table(table, folder / "dance.parquet")
    target = folder / f"dance.{name}"
    convert(str(folder / "dance.parquet"), str(target), settings or ConvertSettings(), target_format=name)
    return target


def test_trc_in_pixels_is_read_back(tmp_path: Path) -> None:
    table = dancers()
    path = written(tmp_path, table, "trc")
    found = read_keypoints(str(path))
    same = ["video_id", "frame_index", "track_id"]
    assert found.select(same).equals(table.select(same))
    np.testing.assert_allclose(keypoints_of(found), keypoints_of(table), rtol=1e-5)
    np.testing.assert_allclose(found["pts_seconds"].to_numpy(), table["pts_seconds"].to_numpy(), atol=1e-5)
    assert found["keypoints_xyz"].null_count == len(found), "a plane is no space"


def test_trc_has_sports2d_s_head_and_markers(tmp_path: Path) -> None:
    lines = written(tmp_path, dancers(), "trc").read_text().splitlines()
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\tdance.trc"
    about = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert about["DataRate"] == "7.5"
    assert (about["NumFrames"], about["NumMarkers"], about["Units"]) == ("10", "17", "px")
    assert lines[3].split("\t")[2::3] == [
        "Nose", "LEye", "REye", "LEar", "REar", "LShoulder", "RShoulder", "LElbow", "RElbow", "LWrist", "RWrist",
        "LHip", "RHip", "LKnee", "RKnee", "LAnkle", "RAnkle",
    ]  # fmt: skip
    cells = lines[6].split("\t")
    assert cells[:2] == ["0", "0.000000"]
    left_hip = 2 + 3 * KEYPOINT_NAMES.index("left_hip")
    assert [float(cell) for cell in cells[left_hip : left_hip + 3]] == [520, -410, 0], "y points upwards"
    assert lines[7].split("\t")[2:5] == ["", "", ""], "the nose is missing"


def test_trc_in_metres_stands_on_the_floor(tmp_path: Path) -> None:
    """The body is 1.66 m up to the eyes: (1.66 - 0.07) / 0.897 tall."""
    height = (1.66 - 0.07) / 0.897
    path = written(tmp_path, dancers(), "trc", ConvertSettings(person_height_metres=height))
    values = np.array([float(cell or "nan") for cell in path.read_text().splitlines()[6].split("\t")[2:]]).reshape(
        17, 3
    )
    expected = body(0)[:, 1] - 0.07
    np.testing.assert_allclose(values[:, 1], expected, rtol=0.01, atol=0.005)
    hips = [KEYPOINT_NAMES.index("left_hip"), KEYPOINT_NAMES.index("right_hip")]
    assert values[hips, 0] @ (1, -1) == pytest.approx(0.2, rel=0.01)


@pytest.mark.parametrize("name", ["trc", "opensim-mot"])
def test_one_of_several_people_is_chosen(tmp_path: Path, name: str) -> None:
    with pytest.raises(TableError, match=r"holds one person, the table 3 \(tracks 0, 1, 2\); choose one with --track"):
        written(tmp_path, dancers(3), name)
    with pytest.raises(TableError, match="the table has no track 7; it has 0, 1, 2"):
        written(tmp_path, dancers(3), name, ConvertSettings(track_id=7))
    assert written(tmp_path, dancers(3), name, ConvertSettings(track_id=1)).is_file()


@pytest.mark.parametrize("height", [0.0, 170.0, float("nan")])
def test_a_height_that_is_nobody_s_is_refused(height: float) -> None:
    with pytest.raises(ConfigError, match=r"must be 0\.3 to 3"):
        ConvertSettings(person_height_metres=height)


def test_mot_has_sports2d_s_head_and_angles_in_degrees(tmp_path: Path) -> None:
    lines = written(tmp_path, dancers(), "opensim-mot").read_text().splitlines()
    assert lines[0] == "Coordinates"
    end = lines.index("endheader")
    assert {"version=1", "nRows=10", "nColumns=10", "inDegrees=yes"} <= set(lines[:end])
    names = lines[end + 1].split("\t")
    values = dict(zip(names, map(float, lines[end + 2].split("\t")), strict=True))
    assert values["time"] == 0
    assert values["trunk"] == pytest.approx(0, abs=1e-3)
    assert values["left_shoulder"] < 30, "arms hang"
    assert values["left_knee"] < 3, "legs are straight"
    assert len(lines) == end + 2 + 10


def test_a_right_angle_is_ninety_degrees(tmp_path: Path) -> None:
    table = dancers()
    points = keypoints_of(table).copy()
    knee = KEYPOINT_NAMES.index("right_knee")
    points[:, knee + 2, :2] = points[:, knee, :2] + (80, 8)
    points[:, KEYPOINT_NAMES.index("right_hip"), :2] = points[:, knee, :2] + (8, -80)
    angles = joint_angles(points[..., :2].astype(np.float64) * (1, -1))
    np.testing.assert_allclose(angles["right_knee"], 90, atol=1e-3)
    points[0, knee] = np.nan
    assert np.isnan(joint_angles(points[..., :2].astype(np.float64))["right_knee"][0])
