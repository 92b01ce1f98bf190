"""`choreai export`: who dances in a video, as CSV, TRC and NumPy arrays that say what they hold."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import previous_output
import pytest

from choreai import __version__
from choreai.cli.main import main
from choreai.errors import TableError
from choreai.formats.convert import read_keypoints
from choreai.motion.sequence import KeypointSequence
from choreai.tables.posed_video import find_in_tables

VIDEO = "hiphop-10000"


def export(folder: Path, *words: str, videos: tuple[str, ...] = (VIDEO,)) -> int:
    return main(["export", *videos, "--output", str(previous_output.WRITTEN), "--folder", str(folder), *words])


def posed() -> KeypointSequence:
    found = find_in_tables(VIDEO, str(previous_output.WRITTEN), previous_output.FINGERPRINT)
    assert found is not None
    return found.rows


def test_a_csv_says_what_it_holds_and_is_read_by_pandas_and_by_convert(tmp_path: Path) -> None:
    assert export(tmp_path, "--to", "csv") == 0
    (path,) = tmp_path.iterdir()
    head = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    assert head[0] == f"# written by: choreai {__version__}"
    assert {f"# video_id: {VIDEO}", f"# pose_fingerprint: {previous_output.FINGERPRINT}"} <= set(head)
    assert any("pixels; seconds from the first frame" in line for line in head)
    rows = posed().track(0)
    table = pd.read_csv(path, comment="#")
    np.testing.assert_allclose(table["left_wrist_x"], rows.keypoints_xy[:, 9, 0], rtol=1e-6)
    np.testing.assert_allclose(table["pts_seconds"], rows.pts_seconds, rtol=1e-6)
    assert len(read_keypoints(str(path))) == len(rows)


def test_a_damaged_line_below_the_comments_is_told_by_its_number_in_the_file(tmp_path: Path) -> None:
    export(tmp_path, "--to", "csv")
    (path,) = tmp_path.iterdir()
    lines = path.read_text().splitlines()
    lines[20] = "1,2,3"
    path.write_text("\n".join(lines))
    with pytest.raises(TableError, match="line 21 has 3 columns"):
        read_keypoints(str(path))


def test_arrays_are_loaded_without_pickle_and_say_what_they_are(tmp_path: Path) -> None:
    assert export(tmp_path, "--to", "npz") == 0
    (path,) = tmp_path.iterdir()
    loaded = np.load(path, allow_pickle=False)
    rows = posed().track(0)
    np.testing.assert_array_equal(loaded["keypoints_xy"], rows.keypoints_xy)
    assert loaded["keypoint_names"][9] == "left_wrist"
    assert json.loads(str(loaded["about"]))["video_id"] == VIDEO


def test_markers_in_metres_are_as_tall_as_the_dancer(tmp_path: Path) -> None:
    assert export(tmp_path, "--to", "trc", "--person-height", "1.7") == 0
    (path,) = tmp_path.iterdir()
    lines = path.read_text().splitlines()
    assert VIDEO in lines[0]
    assert f"choreai {__version__}" in lines[0]
    assert len(lines[0].split("\t")) == 4
    heights = np.array([float(line.split("\t")[3]) for line in lines[6:] if line.split("\t")[3]])  # of the nose
    assert 1.2 < np.median(heights) < 1.9
    assert len(read_keypoints(str(path))) == len(posed().track(0))


def test_several_videos_are_written_at_once_and_nothing_is_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(tmp_path, "--to", "csv", "--json", videos=("hiphop-*", "afrobeat-10000", VIDEO)) == 0
    told = json.loads(capsys.readouterr().out)
    assert [each["video_id"] for each in told] == ["hiphop-10000", "hiphop-10001", "afrobeat-10000"]
    assert {Path(each["file"]) for each in told} == set(tmp_path.iterdir())
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert export(tmp_path, "--to", "csv", videos=("classical-10000", VIDEO)) == 1
    assert "exists already" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--person", "7"), "nobody in hiphop-10000 has this id; there are 0"),
        (("--poses", "0123"), "the tables have 3cec098405ea40cd"),
    ],
)
def test_who_is_not_there_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    assert export(tmp_path, "--to", "csv", *words) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(("video", "told"), [("nobody*", "no id of a video"), ("hipop", "no video of that id or URI")])
def test_a_video_that_is_nowhere_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], video: str, told: str
) -> None:
    assert export(tmp_path, "--to", "csv", videos=(video,)) == 2
    assert told in capsys.readouterr().err
