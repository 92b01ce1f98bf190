"""Motion capture read as keypoints: TRC, C3D and BVH, and DeepLabCut's tables."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from motion_capture_files import (
    AXES,
    body,
    bvh,
    c3d,
    deeplabcut_csv,
    deeplabcut_h5,
    deeplabcut_labels,
    joint_name,
    trc,
)
from neighbour_files import coco

from choreai.arrays import Float64Array
from choreai.errors import ChoreaiWarning, ConfigError, TableError
from choreai.formats.convert import ConvertSettings, read_keypoints
from choreai.formats.marker_names import coco_sources
from choreai.formats.rows import keypoints_of
from choreai.motion.skeleton import KEYPOINT_NAMES, LEFT_HIP, RIGHT_HIP

RATED = ConvertSettings(frames_per_second=25)
HEAD = [KEYPOINT_NAMES.index(name) for name in ("nose", "left_eye", "right_eye", "left_ear", "right_ear")]
BODY = list(range(5, 17))
needs_ezc3d = pytest.mark.skipif(not find_spec("ezc3d"), reason="ezc3d is not installed")
needs_h5py = pytest.mark.skipif(not find_spec("h5py"), reason="h5py is not installed")


def from_the_front(points: Float64Array) -> Float64Array:
    """(..., 3): x to the right of the picture, which is the body's left, y down, z away; from between the hips."""
    seen = points * (1, -1, -1)
    return seen - seen[..., [LEFT_HIP, RIGHT_HIP], :].mean(axis=-2, keepdims=True)


def space(table: pa.Table) -> Float64Array:
    return np.array(table["keypoints_xyz"].to_pylist(), np.float64).reshape(len(table), 17, 3)


def centred(table: pa.Table) -> Float64Array:
    """(N, 17, 2) pixels from between the hips."""
    xy = keypoints_of(table)[..., :2].astype(np.float64)
    return xy - xy[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1, keepdims=True)


# ---- names ----


@pytest.mark.parametrize(
    "spelling",
    [
        lambda side, part: f"{side}_{part}",
        lambda side, part: f"{side.capitalize()}{part.capitalize()}",
        lambda side, part: f"{side[0].upper()}{part.capitalize()}",
        lambda side, part: f"{side[0]}_{part}_study",
        lambda side, part: f"{part}_{side}",
        lambda side, part: f"{part.capitalize()}.{side[0].upper()}",
        lambda side, part: f"{side} {part}",
        lambda side, part: f"{side[0]}{part}" if part != "ear" else f"{side[0]}_ear",  # rear is a word
        lambda side, part: f"Anna:{side[0].upper()}_{part.upper()}",
        lambda side, part: f"{part}{side.capitalize()}",
    ],
)
def test_left_and_right_are_told_in_every_spelling(spelling: Any) -> None:
    names = [spelling(*name.split("_")) for name in KEYPOINT_NAMES[1:]]
    assert coco_sources(names) == [(), *((k,) for k in range(16))]


def test_animators_joints_are_named_after_the_bone_that_begins_there() -> None:
    names = [
        "Hips",
        "LeftShoulder",
        "LeftArm",
        "LeftForeArm",
        "LeftHand",
        "LHipJoint",
        "LeftUpLeg",
        "LeftLeg",
        "LeftFoot",
    ]
    found = {name: names[source[0]] for name, source in zip(KEYPOINT_NAMES, coco_sources(names), strict=True) if source}
    assert found == {
        "left_shoulder": "LeftArm", "left_elbow": "LeftForeArm", "left_wrist": "LeftHand", "left_hip": "LeftUpLeg",
        "left_knee": "LeftLeg", "left_ankle": "LeftFoot",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["left_eye_inner", "ball", "LTHI", "Spine2", "left_heel", "learn", "rear", "*12", ""])
def test_a_marker_of_something_else_is_no_keypoint(name: str) -> None:
    assert not any(coco_sources([name]))


# ---- TRC ----


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize("unit", ["mm", "m"])
def test_trc_is_seen_from_the_front_whatever_its_axes(tmp_path: Path, axes: str, unit: str) -> None:
    table = read_keypoints(trc(tmp_path / "dance.trc", axes, unit=unit))
    expected = from_the_front(np.array([body(frame) for frame in range(3)]))
    np.testing.assert_allclose(space(table), expected, atol=1e-4)
    np.testing.assert_allclose(centred(table), 250 * expected[..., :2], atol=0.02)
    assert keypoints_of(table)[..., :2].min() == pytest.approx(50, abs=0.01)
    assert table["frame_index"].to_pylist() == [0, 1, 2]
    np.testing.assert_allclose(table["pts_seconds"].to_numpy(), [0, 0.02, 0.04], atol=1e-6)


def test_an_empty_cell_of_trc_is_a_missing_keypoint(tmp_path: Path) -> None:
    path = Path(trc(tmp_path / "dance.trc"))
    lines = path.read_text().split("\n")
    cells = lines[7].split("\t")
    cells[2:5] = ["", "", ""]
    lines[7] = "\t".join(cells)
    path.write_text("\n".join(lines))
    table = read_keypoints(str(path))
    assert keypoints_of(table)[:, 0, 2].tolist() == [1, 0, 1]
    assert np.isnan(space(table)[1, 0]).all()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("50\t50", "0\t50", None),
        ("\tmm\t", "\tfurlong\t", "unit of length is 'furlong'; it must be one of m, cm, mm"),
        ("\n2\t", "\ntwo\t", r"dance\.trc: line 8, column 1: 'two' is not a usable number"),
        ("\n2\t", "\n\t", "line 8: frame '' has no usable number or time"),
        ("LShoulder", "Ball", None),
        ("PathFileType", "PathFile", "does not begin with the five lines of a TRC file"),
    ],
)
def test_a_malformed_trc_is_named(tmp_path: Path, old: str, new: str, message: str | None) -> None:
    path = Path(trc(tmp_path / "dance.trc"))
    path.write_text(path.read_text().replace(old, new, 1))
    if message is None:  # frames and times tell the rate; one marker less is said
        with pytest.warns(ChoreaiWarning) if new == "Ball" else pytest.MonkeyPatch.context():
            assert len(read_keypoints(str(path))) == 3
    else:
        with pytest.raises(TableError, match=message):
            read_keypoints(str(path), source_format="trc")


def test_markers_that_are_no_keypoints_are_named(tmp_path: Path) -> None:
    path = Path(trc(tmp_path / "dance.trc"))
    lines = path.read_text().split("\n")
    lines[3] = "Frame#\tTime\t" + "\t\t\t".join(f"M{n}" for n in range(17))
    path.write_text("\n".join(lines))
    with pytest.raises(TableError, match=r"none of the markers M0, M1, .* is a keypoint; name them LKnee"):
        read_keypoints(str(path))


# ---- C3D ----


@needs_ezc3d
def test_c3d_of_plug_in_gait_becomes_a_table(tmp_path: Path) -> None:
    with pytest.warns(ChoreaiWarning, match="never has left_eye, right_eye: missing"):
        table = read_keypoints(c3d(tmp_path / "dance.c3d"))
    expected = np.array([body(frame) for frame in range(3)])
    expected[:, 0] = expected[:, 3:5].mean(axis=1) + np.array([0, 0, 0.08])  # the front of the head
    known = [0, 3, 4, *BODY]
    np.testing.assert_allclose(space(table)[:2, known], from_the_front(expected)[:2, known], atol=1e-4)
    assert keypoints_of(table)[2, KEYPOINT_NAMES.index("left_knee")].tolist() == [0, 0, 0], "it was lost"
    np.testing.assert_allclose(table["pts_seconds"].to_numpy(), [0, 0.01, 0.02], atol=1e-6)


@needs_ezc3d
def test_each_subject_of_c3d_is_a_track(tmp_path: Path) -> None:
    with pytest.warns(ChoreaiWarning):
        table = read_keypoints(c3d(tmp_path / "dance.c3d", subjects=("Anna:", "Ben:")))
    assert table["track_id"].to_pylist() == [0] * 3 + [1] * 3


@needs_ezc3d
def test_a_c3d_that_ends_ezc3d_s_process_is_an_error_in_ours(tmp_path: Path) -> None:
    """A parameter of 248 dimensions: ezc3d 1.7.2 reads past its end, which is a segmentation fault."""
    path = Path(c3d(tmp_path / "dance.c3d"))
    data = bytearray(path.read_bytes())
    data[data.index(b"ZERO") + 7] = 248
    path.write_bytes(data)
    with pytest.raises(TableError, match=r"dance\.c3d: ezc3d cannot read it \(.+\); the file is damaged"):
        read_keypoints(str(path))


@needs_ezc3d
@pytest.mark.parametrize("keep", [2, 512, 600, 1500])
def test_a_c3d_that_is_cut_off_is_named(tmp_path: Path, keep: int) -> None:
    path = Path(c3d(tmp_path / "dance.c3d"))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(TableError, match=r"dance\.c3d: (ezc3d cannot read it|none of the markers)"):
        read_keypoints(str(path))


# ---- BVH ----


@pytest.mark.parametrize("style", ["mixamo", "biped", "plain"])
@pytest.mark.parametrize("scale", [100.0, 17.0])
def test_bvh_becomes_a_table_of_the_joints_places(tmp_path: Path, style: str, scale: float) -> None:
    """Whatever the unit: legs are taken for 0.83 m. Theirs here are 0.88 m."""
    with pytest.warns(ChoreaiWarning, match="never has left_eye, right_eye, left_ear, right_ear"):
        table = read_keypoints(bvh(tmp_path / "dance.bvh", style, scale=scale))
    expected = from_the_front(body(0))
    shrink = 0.83 / np.linalg.norm(np.diff(body(0)[[11, 13, 15]], axis=0), axis=1).sum()
    np.testing.assert_allclose(space(table)[0, BODY], shrink * expected[BODY], atol=1e-5)
    np.testing.assert_allclose(space(table)[0, 0], shrink * np.array([0, -0.65, 0]), atol=1e-5)
    np.testing.assert_allclose(table["pts_seconds"].to_numpy(), [0, 1 / 30], atol=1e-6)


def test_a_joint_of_bvh_turns_what_hangs_on_it(tmp_path: Path) -> None:
    """The left leg is lifted to the front: knee and ankle are as high as the hip, and nearer."""
    with pytest.warns(ChoreaiWarning):
        table = read_keypoints(bvh(tmp_path / "dance.bvh"))
    standing, lifted = space(table)
    left, right = (
        [KEYPOINT_NAMES.index(f"{side}_{part}") for part in ("hip", "knee", "ankle")] for side in ("left", "right")
    )
    np.testing.assert_allclose(lifted[right], standing[right], atol=1e-5)
    np.testing.assert_allclose(lifted[left, 1], standing[left[0], 1], atol=1e-5)
    down = standing[left, 1] - standing[left[0], 1]
    np.testing.assert_allclose(lifted[left, 2] - lifted[left[0], 2], -down, atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Zrotation", "Wrotation", "line 5: channel 'Wrotation' is none of Xposition"),
        ("OFFSET 0 0 0", "OFFSET 0 zero 0", "line 4: '0 zero 0' are not 3 numbers"),
        ("MOTION", "NOTION", r"'NOTION' is no part of a skeleton"),
        ("\n}\nMOTION", "\nMOTION", "the motion begins before the skeleton ends"),
        ("Frame Time: 0.0333333\n", "Frame Time: 0.0333333\n1 2 3\n", "'1 2 3' are not 45 numbers"),
        ("LeftUpLeg", "LeftThing", "no hip, knee and ankle among the joints Hips, mixamorig:LeftThing"),
    ],
)
def test_a_malformed_bvh_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = Path(bvh(tmp_path / "dance.bvh"))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=message):
        read_keypoints(str(path))
    assert joint_name("mixamo", "left", "hip") == "mixamorig:LeftUpLeg"


def test_a_bvh_without_motion_is_cut_off(tmp_path: Path) -> None:
    path = Path(bvh(tmp_path / "dance.bvh"))
    path.write_text(path.read_text().partition("MOTION")[0])
    with pytest.raises(TableError, match="no MOTION after its skeleton; the file is cut off"):
        read_keypoints(str(path))


# ---- DeepLabCut ----


def test_deeplabcut_s_csv_becomes_a_table(tmp_path: Path) -> None:
    table = read_keypoints(deeplabcut_csv(tmp_path / "dance.csv"), RATED)
    assert table["frame_index"].to_pylist() == [0, 1, 2]
    expected = np.array([coco(frame) for frame in range(3)])
    expected[1, 0] = 0
    np.testing.assert_array_equal(keypoints_of(table), expected)


def test_deeplabcut_s_individuals_are_tracks(tmp_path: Path) -> None:
    table = read_keypoints(deeplabcut_csv(tmp_path / "dance.csv", individuals=("anna", "ben")), RATED)
    assert table["track_id"].to_pylist() == [0] * 3 + [1] * 3
    np.testing.assert_array_equal(keypoints_of(table)[3:], [coco(frame, 1) for frame in range(3)])


def test_deeplabcut_s_human_model_numbers_right_and_left(tmp_path: Path) -> None:
    """1 is right, as in MPII."""

    def numbered(name: str) -> str:
        side, _, part = name.rpartition("_")
        return part + {"right": "1", "left": "2", "": ""}[side] if part not in ("eye", "ear") else f"{name}_thing"

    with pytest.warns(ChoreaiWarning, match="never has left_eye"):
        table = read_keypoints(deeplabcut_csv(tmp_path / "dance.csv", part_of=numbered), RATED)
    np.testing.assert_array_equal(keypoints_of(table)[0, BODY], coco(0)[BODY])


def test_deeplabcut_s_labels_become_a_table(tmp_path: Path) -> None:
    table = read_keypoints(deeplabcut_labels(tmp_path / "CollectedData_me.csv"), RATED)
    assert table["frame_index"].to_pylist() == [5, 9]
    np.testing.assert_array_equal(keypoints_of(table)[..., :2], [coco(frame)[:, :2] for frame in (5, 9)])
    assert (keypoints_of(table)[..., 2] == 1).all()


@needs_h5py
def test_deeplabcut_s_hdf5_becomes_the_same_table(tmp_path: Path) -> None:
    table = read_keypoints(deeplabcut_h5(tmp_path / "dance.h5"), RATED)
    np.testing.assert_array_equal(keypoints_of(table), [coco(frame) for frame in range(3)])


class _Harmful:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("harmed",)


@needs_h5py
def test_a_pickle_in_hdf5_that_would_run_something_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = deeplabcut_h5(tmp_path / "dance.h5", columns=[_Harmful()])
    with pytest.raises(TableError, match=r"it holds \w+\.mkdir, not only names"):
        read_keypoints(path, RATED)
    assert not (tmp_path / "harmed").exists()


@needs_h5py
def test_hdf5_of_something_else_is_named(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = [1]
    with pytest.raises(TableError, match=r"no table of pandas in it, so it is not DeepLabCut's; export it .* as CSV"):
        read_keypoints(str(tmp_path / "a.h5"), RATED)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\n2,", "\n2,7,", r"dance\.csv: line 6 has 53 columns, the head 52"),
        ("bodyparts,", "parts,", "line 2 begins with 'parts', not with one of scorer"),
        ("304.0", "many", "line 6, nose x: 'many' is not a usable number"),
    ],
)
def test_a_malformed_line_of_deeplabcut_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = Path(deeplabcut_csv(tmp_path / "dance.csv"))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableError, match=message):
        read_keypoints(str(path), RATED, source_format="deeplabcut")


def test_body_parts_that_are_no_keypoints_are_named(tmp_path: Path) -> None:
    path = deeplabcut_csv(tmp_path / "mouse.csv", part_of=lambda name: f"tail{KEYPOINT_NAMES.index(name)}")
    with pytest.raises(TableError, match="none of the body parts tail0, tail1"):
        read_keypoints(path, RATED)


def test_without_the_extra_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """None in sys.modules makes an import fail, as where the package is not installed."""
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setattr("choreai.formats.c3d.find_spec", lambda name: None)
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(64))
    (tmp_path / "a.c3d").write_bytes(b"\x02\x50" + bytes(64))
    for name, package in (("a.h5", "h5py"), ("a.c3d", "ezc3d")):
        with pytest.raises(ConfigError, match=rf'needs {package}; install it with `pip install "choreai\[formats\]"`'):
            read_keypoints(str(tmp_path / name), RATED)
