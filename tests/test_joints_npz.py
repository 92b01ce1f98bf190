"""Archives of joints read as keypoints: COCO's, SMPL's, named ones, and what is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from motion_capture_files import AXES, body, in_world, joints_npz
from test_motion_capture import BODY, RATED, from_the_front, space

from choreai.errors import ChoreaiWarning, TableError
from choreai.formats.convert import read_keypoints
from choreai.formats.joints_npz import SMPL
from choreai.formats.rows import keypoints_of
from choreai.motion.skeleton import KEYPOINT_NAMES


def test_joints_in_a_numpy_archive_are_seen_from_the_front(tmp_path: Path) -> None:
    table = read_keypoints(joints_npz(tmp_path / "dance.npz", axes=AXES["vicon"]))
    np.testing.assert_allclose(space(table), [from_the_front(body(frame)) for frame in range(3)], atol=1e-6)
    assert table["pts_seconds"].to_pylist() == pytest.approx([0, 0.02, 0.04])


def test_smpl_s_joints_are_known_and_others_by_their_names(tmp_path: Path) -> None:
    smpl = np.zeros((3, 24, 3), np.float32)
    names = [f"extra{k}" for k in range(20)]
    places = np.zeros((3, 20, 3), np.float32)
    for k in BODY:
        points = np.stack([in_world(body(frame), AXES["bvh"])[k] for frame in range(3)])
        smpl[:, SMPL.index(KEYPOINT_NAMES[k])] = points
        names[k], places[:, k] = f"{KEYPOINT_NAMES[k]}_joint", points
    np.savez(tmp_path / "smpl.npz", joints=smpl)
    np.savez(tmp_path / "named.npz", joints_3d=places, joint_names=np.array(names))
    with pytest.warns(ChoreaiWarning, match="it never has"):
        found = [read_keypoints(str(tmp_path / f"{name}.npz"), RATED) for name in ("smpl", "named")]
    for table in found:
        expected = np.stack([from_the_front(body(frame)) for frame in range(3)])
        np.testing.assert_allclose(space(table)[:, BODY], expected[:, BODY], atol=1e-6)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"xyz": np.zeros((3, 17))}, "places must be"),
        ({"poses": np.zeros((3, 72))}, "no array of places; name it xyz"),
        ({"xyz": np.zeros((3, 40, 3))}, "40 joints of which none are named"),
        ({"xyz": np.zeros((3, 2, 3)), "joint_names": np.array(["a", "b"])}, "none of the joints a, b is a keypoint"),
        ({"xyz": np.array([{}], dtype=object)}, "no array of places"),
    ],
)
def test_archives_without_joints_are_refused_in_words(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "other.npz", **arrays)
    with pytest.raises(TableError, match=said):
        read_keypoints(str(tmp_path / "other.npz"), RATED)


def test_a_damaged_archive_is_refused_and_joints_that_are_nan_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "cut.npz"
    path.write_bytes(Path(joints_npz(tmp_path / "whole.npz")).read_bytes()[:200])
    with pytest.raises(TableError, match="no NumPy archive that can be read"):
        read_keypoints(str(path))
    xyz = np.stack([in_world(body(frame), AXES["bvh"]) for frame in range(3)])
    xyz[1, 9] = np.nan
    table = read_keypoints(joints_npz(tmp_path / "gap.npz", xyz=xyz))
    assert keypoints_of(table)[:, 9, 2].tolist() == [1, 0, 1]
