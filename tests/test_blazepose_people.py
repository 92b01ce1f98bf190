"""BlazePose for several people: MediaPipe's keypoints, more people, and a breaker whom its detector does not see."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import people_pictures
import pytest
from blazepose_files import BLAZEPOSE, blazepose_settings

from choreai.errors import WeightsError
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, NUM_KEYPOINTS, RIGHT_HIP, RIGHT_SHOULDER
from choreai.pose.blazepose_people import BlazePoseEstimator, Followed
from choreai.pose.build import build_estimator, pose_fingerprint
from choreai.pose.build_blazepose import build_blazepose
from choreai.pose.choice import settle, with_blazepose_files
from choreai.pose.estimator import PoseEstimator, Poses
from choreai.pose.pipeline import estimate_and_track
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame
from choreai.weights.cache import Cache
from choreai.weights.resolve import shipped_catalogue

DATA = people_pictures.SHARED / "data"
ONE_DANCER = ["videos/salsa_front.mp4", "streetdance/clips/2001_102_10.mp4", "streetdance/clips/2001_112_10.mp4"]
BATTLE = DATA / "streetdance" / "clips" / "0003_177_10.mp4"
needs_clips = pytest.mark.skipif(not BATTLE.exists(), reason="needs the clips of ../shared")


def build(**settings: object) -> PoseEstimator:
    chosen = replace(blazepose_settings(), **settings)  # type: ignore[arg-type]
    return build_estimator(chosen, read_file=objects.read_object)


@pytest.fixture(scope="module")
def estimator() -> PoseEstimator:
    return build()


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(600, 512, 3) RGB: Grace Hopper from the waist up, facing the camera."""
    from matplotlib.cbook import get_sample_data

    sample = get_sample_data("grace_hopper.jpg")
    assert not isinstance(sample, np.ndarray)
    with sample as file:
        encoded = np.frombuffer(file.read(), np.uint8)
    return np.asarray(cv2.cvtColor(cv2.imdecode(encoded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB), np.uint8)


def read_frames(path: Path, num_frames: int) -> list[Frame]:
    with path.open("rb") as file, VideoReader(file, uri=str(path)) as reader:
        frames = reader.sample(frames_per_second=15)
        return [next(frames) for _ in range(num_frames)]


def estimates(estimator: PoseEstimator, frames: Sequence[Frame], *, at_once: int = 1) -> list[Poses]:
    estimator.start_video()
    batches = [frames[first : first + at_once] for first in range(0, len(frames), at_once)]
    return [poses for batch in batches for poses in estimator.estimate(batch)]


def two_of(picture: np.ndarray, num_frames: int) -> list[Frame]:
    """The picture and its mirror image side by side, drifting a little."""
    both = np.concatenate([picture, picture[:, ::-1]], axis=1)
    return [Frame(np.roll(both, 2 * n, axis=1), n, n / 15) for n in range(num_frames)]


def test_two_people_are_found_and_keep_their_ids(estimator: PoseEstimator, portrait: np.ndarray) -> None:
    halves = []
    for people in estimate_and_track(two_of(portrait, 5), estimator):
        boxes = people.poses.box_xyxy[np.argsort(people.track_ids)]
        halves.append((boxes[:, ::2].mean(axis=1) // portrait.shape[1]).tolist())
        assert people.poses.keypoints_xyz is not None
    assert sorted(halves[0]) == [0, 1]
    assert halves == halves[:1] * 5


def test_nobody_more_than_max_people_is_read(portrait: np.ndarray) -> None:
    assert [len(poses) for poses in estimates(build(max_people=1), two_of(portrait, 2))] == [1, 1]


def test_nobody_is_an_empty_pose_and_whoever_comes_is_found(estimator: PoseEstimator, portrait: np.ndarray) -> None:
    frames = [Frame(image, n, n / 15) for n, image in enumerate([np.zeros_like(portrait), portrait])]
    nobody, somebody = estimates(estimator, frames)
    assert len(nobody) == 0
    assert nobody.keypoints_xyz is not None
    assert nobody.keypoints_xyz.shape == (0, NUM_KEYPOINTS, 3)
    assert len(somebody) == 1


@pytest.mark.parametrize("shape_hw", [(1, 1), (2, 2), (1, 3000), (3000, 1)])
def test_frames_of_any_size_and_shape_are_looked_at(estimator: PoseEstimator, shape_hw: tuple[int, int]) -> None:
    frames = [Frame(np.full((*shape_hw, 3), 60 * n, np.uint8), n, n / 15) for n in range(3)]
    assert [len(poses) for poses in estimates(estimator, frames)] == [0, 0, 0]


def test_no_result_depends_on_batches_or_on_the_video_before(estimator: PoseEstimator, portrait: np.ndarray) -> None:
    frames = two_of(portrait, 7)
    expected = estimates(build(), frames)
    for at_once in (1, 3, 7):
        for found, wanted in zip(estimates(estimator, frames, at_once=at_once), expected, strict=True):
            np.testing.assert_array_equal(found.keypoints_xy, wanted.keypoints_xy)
            np.testing.assert_array_equal(found.box_scores, wanted.box_scores)


def test_the_fingerprint_is_that_of_the_files_wherever_they_lie(tmp_path: Path) -> None:
    settings = blazepose_settings()
    copies = {"detector_checkpoint": tmp_path / "d.tflite", "checkpoint": tmp_path / "p.tflite"}
    for setting, copy in copies.items():
        copy.write_bytes(Path(getattr(settings, setting)).read_bytes())
    named = BLAZEPOSE.with_files({name: str(copy) for name, copy in copies.items()})
    ids = [pose_fingerprint(each, build_estimator(each, read_file=objects.read_object)) for each in (settings, named)]
    assert ids[0] == ids[1]
    other = replace(named, max_people=2)
    assert pose_fingerprint(other, build_estimator(other, read_file=objects.read_object)) != ids[0]


def test_fetched_files_are_taken_before_those_of_a_mediapipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOREAI_WEIGHTS", str(tmp_path))
    entry = shipped_catalogue().find("blazepose-det")
    cached = Cache(tmp_path).path_of(entry)
    with cached.open("wb") as file:
        file.truncate(entry.num_bytes)
    named = with_blazepose_files(BLAZEPOSE)
    assert named.detector_checkpoint == "weights:blazepose-det"
    assert with_blazepose_files(replace(BLAZEPOSE, checkpoint="mine.tflite")).checkpoint == "mine.tflite"


def test_where_there_are_no_files_the_command_that_fetches_them_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHOREAI_WEIGHTS", str(tmp_path))
    monkeypatch.setattr("choreai.pose.choice._mediapipe_folder", lambda: None)
    with pytest.raises(WeightsError, match="`choreai weights fetch blazepose-full blazepose-det`"):
        settle(BLAZEPOSE, read_file=objects.read_object)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"reid_checkpoint": "a.onnx"}, "reid_checkpoint does not apply"),
        ({"flip": True}, "flip does not apply"),
        ({"checkpoint": "a.onnx"}, r"takes \.tflite files, and checkpoint is a\.onnx"),
        ({"device": "cuda"}, "computes on the CPU"),
    ],
)
def test_settings_of_other_estimators_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        PoseSettings(estimator="blazepose", **settings)  # type: ignore[arg-type]


def test_somebody_who_stands_still_is_looked_for_in_a_square_that_does_not_tremble() -> None:
    from choreai.pose.blazepose import NUM_USED, Landmarks

    rng = np.random.default_rng(0)
    followed, rows, raw = Followed.nobody(), np.array([-1]), []
    for _ in range(60):
        xy = np.zeros((1, NUM_USED, 2), np.float32)
        xy[0, 33], xy[0, 34] = rng.normal([100, 100], 1), rng.normal([100, 0], 1)
        ones = np.ones((1, NUM_USED), np.float32)
        landmarks = Landmarks(ones[:, 0], xy, ones, np.zeros((1, 17, 3), np.float32))
        followed = followed.then(landmarks, rows, np.zeros((1, 4), np.float32))
        raw.append(followed.points[0, 0])
        rows = np.array([0])
    assert np.std(raw[30:], axis=0).max() < 0.5


# ---- On real clips ----


@needs_clips
@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("clip", ONE_DANCER)
def test_one_dancers_keypoints_are_mediapipes(clip: str) -> None:
    """Median within 0.5 % of the torso's length and 95 % within 3 %; measured 0.04 to 0.15 % and 0.15 to 0.8 %."""
    pytest.importorskip("mediapipe", reason="the mediapipe extra is not installed")
    frames = read_frames(DATA / clip, 60)
    theirs = estimates(build_estimator(PoseSettings(estimator="mediapipe"), read_file=objects.read_object), frames)
    ours = estimates(build(max_people=1), frames)
    errors = []
    for one, other in zip(ours, theirs, strict=True):
        assert len(one) == len(other) == 1
        body = other.keypoints_xy[0]
        torso = np.linalg.norm(body[[LEFT_SHOULDER, RIGHT_SHOULDER]].mean(0) - body[[LEFT_HIP, RIGHT_HIP]].mean(0))
        errors.append(np.linalg.norm(one.keypoints_xy[0] - body, axis=1) / torso)
        np.testing.assert_allclose(one.box_xyxy, other.box_xyxy, atol=0.1 * float(torso))
        assert one.keypoints_xyz is not None
        assert other.keypoints_xyz is not None
        assert np.median(np.linalg.norm(one.keypoints_xyz - other.keypoints_xyz, axis=2)) < 0.02
    assert np.median(errors) < 0.005
    assert np.quantile(errors, 0.95) < 0.03


@needs_clips
@pytest.mark.shared
@pytest.mark.slow
def test_what_moves_is_looked_at_where_the_detector_sees_nobody() -> None:
    settings = blazepose_settings()
    read = {"read_file": objects.read_object, "num_threads": 1}
    frames = read_frames(BATTLE, 45)
    found = {}
    for searches in (False, True):
        estimator: BlazePoseEstimator = build_blazepose(settings, searches_motion=searches, **read)  # type: ignore[arg-type]
        found[searches] = sum(len(poses) for poses in estimates(estimator, frames))
    assert found[True] > found[False]
