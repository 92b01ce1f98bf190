"""MediaPipe's estimator: on a photo that comes with matplotlib, and on a stand-in graph for the geometry."""

import hashlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from choreai.errors import ConfigError, MediaError, WeightsError
from choreai.motion.skeleton import KEYPOINT_NAMES
from choreai.pose.mediapipe import BOX_MARGIN, MEDIAPIPE_VERSION, MediaPipeEstimator
from choreai.video.frame import Frame

Image = npt.NDArray[np.uint8]

pytestmark = pytest.mark.usefixtures("mediapipe")

NOSE, LEFT_EYE, RIGHT_EYE, LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP = 0, 1, 2, 5, 6, 11, 12


@pytest.fixture(scope="module")
def portrait() -> Image:
    """(600, 512, 3) RGB: Grace Hopper from the waist up, facing the camera."""
    from matplotlib.cbook import get_sample_data

    sample = get_sample_data("grace_hopper.jpg")
    assert not isinstance(sample, np.ndarray)
    with sample as file:
        encoded = np.frombuffer(file.read(), np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


@pytest.fixture(scope="module")
def estimator() -> Iterator[MediaPipeEstimator]:
    estimator = MediaPipeEstimator()
    yield estimator
    estimator.close()


def frames_of(*images: Image) -> list[Frame]:
    return [Frame(image, i, i / 8) for i, image in enumerate(images)]


def test_a_person_is_found_where_the_photo_shows_her(estimator: MediaPipeEstimator, portrait: Image) -> None:
    estimator.start_video()
    (poses,) = estimator.estimate(frames_of(portrait))
    assert len(poses) == 1
    xy, scores = poses.keypoints_xy[0], poses.keypoint_scores[0]
    assert np.linalg.norm(xy[NOSE] - (265, 230)) < 25
    assert xy[RIGHT_EYE, 0] < xy[NOSE, 0] < xy[LEFT_EYE, 0], "her left is on the right of the picture"
    assert xy[RIGHT_SHOULDER, 0] < xy[NOSE, 0] < xy[LEFT_SHOULDER, 0]
    assert scores[NOSE] > 0.9 > 0.1 > scores[KEYPOINT_NAMES.index("left_ankle")], "her feet are not in the picture"
    assert (poses.keypoint_scores >= 0).all()
    assert (poses.keypoint_scores <= 1).all()
    assert poses.box_scores[0] == pytest.approx(scores.mean())
    x1, y1, x2, y2 = poses.box_xyxy[0]
    assert 0 <= x1 < 150
    assert 0 <= y1 < 150
    assert 450 < x2 <= 511
    assert 550 < y2 <= 599


def test_3d_keypoints_are_metres_between_the_hips(estimator: MediaPipeEstimator, portrait: Image) -> None:
    estimator.start_video()
    (poses,) = estimator.estimate(frames_of(portrait))
    assert poses.keypoints_xyz is not None
    xyz = poses.keypoints_xyz[0]
    np.testing.assert_allclose((xyz[LEFT_HIP] + xyz[RIGHT_HIP]) / 2, 0, atol=0.02)
    assert 0.2 < np.linalg.norm(xyz[LEFT_SHOULDER] - xyz[RIGHT_SHOULDER]) < 0.6
    assert xyz[NOSE, 1] < xyz[LEFT_SHOULDER, 1] < xyz[LEFT_HIP, 1], "y points down"


def test_a_video_s_poses_do_not_depend_on_the_video_before(estimator: MediaPipeEstimator, portrait: Image) -> None:
    estimator.start_video()
    fresh = estimator.estimate(frames_of(portrait, portrait))
    estimator.start_video()
    estimator.estimate(frames_of(np.roll(portrait, 90, axis=1), portrait[:, ::-1]))
    estimator.start_video()
    again = estimator.estimate(frames_of(portrait, portrait))
    for first, second in zip(fresh, again, strict=True):
        np.testing.assert_array_equal(first.keypoints_xy, second.keypoints_xy)
        np.testing.assert_array_equal(first.keypoint_scores, second.keypoint_scores)


def test_nobody_is_an_empty_pose_and_the_next_frame_is_looked_at_afresh(
    estimator: MediaPipeEstimator, portrait: Image
) -> None:
    estimator.start_video()
    nobody, somebody = estimator.estimate(frames_of(np.zeros_like(portrait), portrait))
    assert len(nobody) == 0
    assert nobody.keypoints_xyz is not None
    assert nobody.keypoints_xyz.shape == (0, 17, 3)
    assert len(somebody) == 1


@pytest.mark.parametrize("shape_hw", [(1, 1), (2, 2), (1, 3000), (3000, 1), (4320, 7680)])
def test_frames_of_any_size_and_shape_are_looked_at(estimator: MediaPipeEstimator, shape_hw: tuple[int, int]) -> None:
    estimator.start_video()
    (poses,) = estimator.estimate(frames_of(np.full((*shape_hw, 3), 127, np.uint8)))
    assert len(poses) == 0


def test_a_frame_mediapipe_refuses_is_a_media_error_and_the_next_video_works(
    estimator: MediaPipeEstimator, portrait: Image
) -> None:
    estimator.start_video()
    with pytest.raises(MediaError, match=r"frame 7 at 0\.875 s.*MediaPipe failed"):
        estimator.estimate([Frame(np.zeros((0, 5, 3), np.uint8), 7, 0.875)])
    with pytest.raises(ValueError, match="start_video"):
        estimator.estimate(frames_of(portrait))
    estimator.start_video()
    assert len(estimator.estimate(frames_of(portrait))[0]) == 1


QUIET_SCRIPT = """
import sys
import numpy as np
from choreai.pose.mediapipe import MediaPipeEstimator
from choreai.video.frame import Frame

portrait = np.load(sys.argv[1])
estimator = MediaPipeEstimator()
for video in range(2):
    estimator.start_video()
    poses = estimator.estimate([Frame(portrait, i, i / 8) for i in range(2)])
    print([len(p) for p in poses])
estimator.close()
"""


def test_a_whole_run_writes_nothing_to_stderr(tmp_path: Path, portrait: Image) -> None:
    np.save(tmp_path / "portrait.npy", portrait)
    command = [sys.executable, "-c", QUIET_SCRIPT, str(tmp_path / "portrait.npy")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.split("\n")[:2] == ["[1, 1]", "[1, 1]"]
    assert run.stderr == ""


def test_settings_name_the_very_weights(estimator: MediaPipeEstimator) -> None:
    import mediapipe

    modules = Path(mediapipe.__file__).parent / "modules"
    settings = estimator.settings()
    for name, file in {
        "detector_sha256": modules / "pose_detection" / "pose_detection.tflite",
        "landmarks_sha256": modules / "pose_landmark" / "pose_landmark_full.tflite",
    }.items():
        assert settings[name] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert settings["mediapipe_version"] == MEDIAPIPE_VERSION
    assert settings["smooth"] is False


def test_an_estimator_is_made_without_importing_mediapipe() -> None:
    script = (
        "import sys; from choreai.pose.mediapipe import MediaPipeEstimator; MediaPipeEstimator().settings(); "
        "print('mediapipe' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout == "False\n"


def test_a_missing_mediapipe_is_a_config_error_that_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r'pip install "choreai\[mediapipe\]"'):
        MediaPipeEstimator()


def test_another_mediapipe_is_a_config_error_that_names_both_versions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.10.31")
    with pytest.raises(ConfigError, match=r"0\.10\.21.*0\.10\.31.*choreai\[mediapipe\]"):
        MediaPipeEstimator()


def test_python_3_13_is_a_config_error_that_names_the_python_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    version = type("version_info", (tuple,), {"major": 3, "minor": 13})((3, 13, 0))
    monkeypatch.setattr(sys, "version_info", version)
    with pytest.raises(ConfigError, match=r"this is 3\.13.*Python 3\.12.*choreai\[mediapipe\]"):
        MediaPipeEstimator()


def test_a_missing_model_file_is_a_weights_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(WeightsError, match=r"pose_detection\.tflite.*reinstall"):
        MediaPipeEstimator()


class StandInPose:
    """MediaPipe's graph with a person of our making: point i lies at (0.1 + 0.02 i, 0.5) of the frame."""

    points = np.stack([0.1 + 0.02 * np.arange(33), np.full(33, 0.5)], axis=1)
    num_open = 0

    def __init__(self, **settings: Any) -> None:
        type(self).num_open += 1

    def process(self, image: Image) -> SimpleNamespace:
        os.write(2, b"W0000 inference_feedback_manager.cc:114] the usual\nE0000 something is really wrong\n")
        landmarks = [SimpleNamespace(x=x, y=y, z=i / 100, visibility=i / 33) for i, (x, y) in enumerate(self.points)]
        person = SimpleNamespace(landmark=landmarks)
        return SimpleNamespace(pose_landmarks=person, pose_world_landmarks=person)

    def close(self) -> None:
        type(self).num_open -= 1


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> type[StandInPose]:
    from mediapipe.python.solutions import pose

    made = type("Made", (StandInPose,), {})
    monkeypatch.setattr(pose, "Pose", made)
    return made


def test_keypoints_are_coco_s_in_pixels_with_centres_at_integers(stand_in: type[StandInPose]) -> None:
    estimator = MediaPipeEstimator()
    estimator.start_video()
    (poses,) = estimator.estimate(frames_of(np.zeros((100, 200, 3), np.uint8)))
    x, y = poses.keypoints_xy[0, KEYPOINT_NAMES.index("left_shoulder")]
    assert x == pytest.approx((0.1 + 0.02 * 11) * 200 - 0.5)  # BlazePose calls the left shoulder 11
    assert y == pytest.approx(49.5)
    assert poses.keypoint_scores[0, KEYPOINT_NAMES.index("right_ankle")] == pytest.approx(28 / 33)
    assert poses.keypoints_xyz is not None
    assert poses.keypoints_xyz[0, KEYPOINT_NAMES.index("left_hip"), 2] == pytest.approx(0.23)


def test_the_box_goes_round_all_points_with_a_margin_inside_the_frame(stand_in: type[StandInPose]) -> None:
    stand_in.points = np.array([(0.25, 0.2), (0.75, 0.8)] + [(0.5, 0.5)] * 31)
    estimator = MediaPipeEstimator()
    estimator.start_video()
    (poses,) = estimator.estimate(frames_of(np.zeros((100, 100, 3), np.uint8)))
    margin = BOX_MARGIN * 60
    expected = [24.5 - margin, 19.5 - margin, 74.5 + margin, 79.5 + margin]
    np.testing.assert_allclose(poses.box_xyxy[0], expected, rtol=1e-5)

    stand_in.points = np.array([(-0.25, -0.2), (1.75, 1.8)] + [(0.5, 0.5)] * 31)
    (poses,) = estimator.estimate(frames_of(np.zeros((100, 200, 3), np.uint8)))
    np.testing.assert_array_equal(poses.box_xyxy[0], [0, 0, 199, 99])


def test_one_graph_is_open_at_a_time_and_none_after_closing(stand_in: type[StandInPose]) -> None:
    estimator = MediaPipeEstimator()
    for _ in range(3):
        estimator.start_video()
        assert stand_in.num_open == 1
    estimator.close()
    assert stand_in.num_open == 0
    estimator.close()
    assert stand_in.num_open == 0


def test_messages_other_than_the_usual_reach_stderr(
    stand_in: type[StandInPose], capfd: pytest.CaptureFixture[str]
) -> None:
    MediaPipeEstimator().start_video()
    assert capfd.readouterr().err == "E0000 something is really wrong\n"
