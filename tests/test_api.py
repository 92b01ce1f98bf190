"""The Python face: poses, measurements and tags of one video, as values that print themselves and go to pandas."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import previous_output
import pytest

import choreai
from choreai.demo.dancers import write_catalog
from choreai.errors import CatalogError, MediaError, ObjectMissingError, TableError, WeightsError


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A generated hip-hop dancer, five seconds."""
    folder = tmp_path_factory.mktemp("clip")
    write_catalog(folder, num_per_style=1, first_seed=31_000)
    return str(folder / "videos" / "hiphop-31000.mp4")


@pytest.fixture(scope="module")
def poses(mediapipe: None, clip: str) -> choreai.VideoPoses:
    return choreai.estimate_poses(clip)


@pytest.fixture
def known() -> choreai.VideoPoses:
    return choreai.read_keypoints(str(previous_output.WRITTEN), video_id="hiphop-10000")


def test_every_public_name_is_there_and_listed() -> None:
    assert {name for name in choreai.__all__ if getattr(choreai, name) is None} == set()
    assert set(choreai.__all__) <= set(dir(choreai))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'estimate'"):
        _ = choreai.estimate


def test_importing_it_is_quick_to_the_eye() -> None:
    code = "import sys, choreai; assert not {'torch', 'ray', 'cv2', 'pyarrow', 'numpy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_video_s_poses_are_estimated(poses: choreai.VideoPoses) -> None:
    assert poses.name == "hiphop-31000"
    assert poses.sequence.track_ids == [0]
    assert poses.pose_fingerprint == previous_output.FINGERPRINT
    assert repr(poses) == f"hiphop-31000: 1 person, {len(poses)} poses, 0.0 to 4.9 s"


@pytest.mark.usefixtures("mediapipe")
def test_a_video_is_tagged_in_one_line(clip: str) -> None:
    tag = choreai.tag(clip, model=str(previous_output.MODEL))
    assert (tag.style, tag.best_style) == ("hiphop", "hiphop")
    assert repr(tag) == f"hiphop-31000: hiphop {tag.score:.2f}"
    assert sum(tag.distribution.values()) == pytest.approx(1, abs=1e-3)
    assert "clearest from" in tag.why()


def test_poses_go_to_pandas_with_a_column_for_each_coordinate(known: choreai.VideoPoses) -> None:
    frame = known.to_pandas()
    assert len(frame) == len(known)
    assert list(frame.columns[:4]) == ["track_id", "frame_index", "pts_seconds", "nose_x"]
    assert frame.shape[1] == 3 + 3 * 17
    assert np.array_equal(frame["left_wrist_y"], known.sequence.keypoints_xy[:, 9, 1])


def test_measurements_name_the_main_dancer_and_go_to_pandas(known: choreai.VideoPoses) -> None:
    measured = choreai.measure(known)
    assert measured.main is not None
    assert repr(measured).startswith("person 0 (main), 0.0 to ")
    frame = measured.to_pandas()
    assert frame["is_main"].tolist() == [True]
    assert frame["body_speed_mean"].tolist() == [measured.main.kinematics.body_speed_mean]


def test_a_bare_sequence_is_measured_and_tagged_too(known: choreai.VideoPoses) -> None:
    assert len(choreai.measure(known.sequence)) == 1
    assert choreai.tag_keypoints(known.sequence, model=str(previous_output.MODEL)).style == "hiphop"


def test_too_little_to_judge_is_said(known: choreai.VideoPoses) -> None:
    tag = choreai.tag_keypoints(known.sequence.between(0.0, 0.5), model=str(previous_output.MODEL))
    assert tag.style is None
    seconds = choreai.load_model(str(previous_output.MODEL)).config.windows.min_seconds
    assert repr(tag) == f"video: no tag, nobody in view for {seconds:g} s on end"
    assert tag.to_pandas().empty
    assert np.isnan(tag.score)


def test_a_tag_s_segments_go_to_pandas(known: choreai.VideoPoses) -> None:
    frame = choreai.tag_keypoints(known, model=str(previous_output.MODEL)).to_pandas()
    assert list(frame.columns) == ["track_id", "start_seconds", "stop_seconds", "style", "best_style", "score"]
    assert frame["style"].tolist() == ["hiphop"]


def test_a_notebook_shows_a_picture(poses: choreai.VideoPoses) -> None:
    tag = choreai.tag_keypoints(poses, model=str(previous_output.MODEL))
    for shown in (poses._repr_html_(), tag._repr_html_()):
        assert "data:image/jpeg;base64," in shown
    assert "<table>" in choreai.measure(poses)._repr_html_()


def test_what_a_notebook_shows_is_escaped(known: choreai.VideoPoses) -> None:
    hostile = choreai.VideoPoses("<script>", "/nowhere.mp4", known.sequence, "f" * 16)
    assert "<script>" not in hostile._repr_html_()


def test_a_model_of_other_poses_is_refused(known: choreai.VideoPoses) -> None:
    other = choreai.VideoPoses(known.name, known.uri, known.sequence, "0" * 16)
    with pytest.raises(WeightsError, match="was trained on poses 3cec098405ea40cd, these are 0000000000000000"):
        choreai.tag_keypoints(other, model=str(previous_output.MODEL))


@pytest.mark.usefixtures("mediapipe")
def test_a_file_that_is_no_video_or_is_not_there_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    with pytest.raises(MediaError, match=r"text\.mp4"):
        choreai.estimate_poses(str(tmp_path / "text.mp4"))
    with pytest.raises(ObjectMissingError, match=r"gone\.mp4"):
        choreai.estimate_poses(str(tmp_path / "gone.mp4"))


def test_an_unknown_video_or_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="no video of id or URI 'nope'"):
        choreai.read_keypoints(str(previous_output.WRITTEN), video_id="nope")
    with pytest.raises(TableError, match="run `choreai extract`"):
        choreai.read_keypoints(str(tmp_path), video_id="nope")


@pytest.mark.usefixtures("mediapipe")
def test_every_example_of_the_page_runs(
    clip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "api.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    previous_output.copy_output(tmp_path)
    shutil.copy(clip, tmp_path / "dance.mp4")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/api.md", "exec"), names)
    printed = capsys.readouterr().out
    shown = re.findall(r"```text\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 9
    assert [line for text in shown for line in text.splitlines() if line not in printed.splitlines()] == []
