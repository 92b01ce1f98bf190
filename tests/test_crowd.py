"""The crowd estimator: whom it looks at, what it says of them, and that nothing hangs on batches or on other videos."""

from pathlib import Path
from typing import Any

import numpy as np
import oks
import people_pictures
import pytest
import tiny_onnx
from painted_people import SIZE_HW, PaintedPeople, assert_equal, estimates, painted_crowd, picture

from choreai.errors import WeightsError
from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.pose import crowd
from choreai.pose.bodies import CropBodyReader
from choreai.pose.build import build_estimator, pose_fingerprint
from choreai.pose.crowd import CrowdEstimator
from choreai.pose.onnx_pose import OnnxPose
from choreai.pose.onnx_reid import OnnxReid
from choreai.pose.onnx_session import OnnxNetwork
from choreai.pose.pipeline import estimate_and_track
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.video.decode import VideoReader
from choreai.video.frame import Frame

WEIGHTS = people_pictures.SHARED / "data" / "weights"
BLAZEPOSE = WEIGHTS / "blazepose_full.onnx"
CLIP = people_pictures.SHARED / "data" / "streetdance" / "clips" / "0003_177_10.mp4"
needs_weights = pytest.mark.skipif(
    not (BLAZEPOSE.exists() and people_pictures.YOLOX_NANO.exists()), reason="no weights in ../shared"
)


def test_nobody_more_than_max_people_get_a_pose_and_the_most_salient_come_first() -> None:
    people = [(200, 70, 30, 30), (180, 5, 30, 30), (160, 120, 50, 10)]
    frames = [picture(*people, number=number) for number in range(3)]
    for poses in estimates(painted_crowd(max_people=2), frames):
        np.testing.assert_array_equal(poses.box_xyxy, [[70, 30, 100, 60], [5, 30, 35, 60]])
    assert len(estimates(painted_crowd(max_people=5), frames)[0]) == 3


def test_the_box_score_of_somebody_who_moves_exceeds_that_of_a_surer_bystander() -> None:
    frames = [picture((250, 20, 30, 30), (150, 80 + 4 * number, 30, 30), number=number) for number in range(4)]
    poses = estimates(painted_crowd(), frames)[-1]
    mover = poses.box_xyxy[:, 0].argmax()
    assert poses.box_scores[mover] > 2 * poses.box_scores[1 - mover]
    assert ((poses.box_scores > 0) & (poses.box_scores <= 1)).all()


def test_keypoints_of_a_simcc_network_are_in_the_frame() -> None:
    poses = estimates(painted_crowd(), [picture((200, 70, 30, 30))])[0]
    np.testing.assert_allclose(poses.keypoints_xy, np.full((1, NUM_KEYPOINTS, 2), [85, 45]), atol=0.01)
    np.testing.assert_allclose(poses.keypoint_scores, np.full((1, NUM_KEYPOINTS), 0.5), atol=1e-6)
    assert poses.keypoints_xyz is None


def test_no_result_depends_on_how_many_frames_come_at_once_or_on_the_video_before() -> None:
    rng = np.random.default_rng(0)
    frames = [picture((200, *rng.integers(0, 50, 2), 30), (150, 90, 40, 20), number=n) for n in range(10)]
    frames[4] = picture(number=4)  # and nobody in between
    estimator = painted_crowd()
    expected = estimates(estimator, frames)
    assert len(expected[4]) == 0
    for at_once in (1, 3, 10):
        assert_equal(estimates(estimator, frames, at_once=at_once), expected)
    assert_equal(estimates(painted_crowd(), frames, at_once=4), expected)


def test_an_estimator_for_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="max_people"):
        painted_crowd(max_people=0)


def test_a_network_that_answers_nan_is_no_pose() -> None:
    bins = np.full((1, NUM_KEYPOINTS, 128), np.nan, np.float32)
    broken = OnnxPose(tiny_onnx.constant_network(bins, bins, size_hw=(64, 64)), preprocessing="unit", num_threads=1)
    estimator = CrowdEstimator(PaintedPeople(), CropBodyReader(broken), max_people=1)
    with pytest.raises(WeightsError, match="NaN"):
        estimates(estimator, [picture((200, 70, 30, 30))])


def test_a_network_of_more_keypoints_than_coco_s_keeps_them_all() -> None:
    bins = np.random.default_rng(0).random((1, 26, 128), np.float32)
    network = OnnxPose(tiny_onnx.constant_network(bins, bins, size_hw=(64, 64)), preprocessing="unit", num_threads=1)
    estimator = CrowdEstimator(PaintedPeople(), CropBodyReader(network), max_people=1)
    (poses,) = estimates(estimator, [picture((200, 70, 30, 30))])
    assert poses.all_keypoints_xy is not None
    assert poses.all_keypoints_xy.shape == (1, 26, 2)
    np.testing.assert_array_equal(poses.all_keypoints_xy[:, :17], poses.keypoints_xy)


def test_a_network_of_three_keypoints_is_refused() -> None:
    with pytest.raises(WeightsError, match="3 keypoints"):
        CropBodyReader(OnnxPose(tiny_onnx.simcc_network(), preprocessing="unit", num_threads=1))


# Looks


def mean_colour_network() -> bytes:
    """Features of a crop: the mean of each colour."""
    node = tiny_onnx.helper.make_node("ReduceMean", ["images"], ["features"], axes=[2, 3], keepdims=0)
    return tiny_onnx.serialize([node], {"images": ["N", 3, 16, 8]}, {"features": ["N", 3]}, {})


def test_features_are_of_each_persons_box_and_the_tracker_gets_them() -> None:
    reid = OnnxReid(OnnxNetwork(mean_colour_network(), num_threads=1))
    frames = [picture((200, 70, 30, 30), (150, 5, 30, 30), number=0), picture(number=1)]
    people, nobody = estimates(painted_crowd(reid=reid), frames)
    assert people.features is not None
    grey = np.array([[200], [150]], np.float32) / 255
    expected = (grey - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
    np.testing.assert_allclose(people.features, expected, atol=1e-5)
    assert nobody.features is not None
    assert nobody.features.shape == (0, 3)
    assert painted_crowd(reid=reid).settings().keys() - painted_crowd().settings().keys() == {"reid_sha256"}


def test_a_box_at_the_frames_edge_has_features_too() -> None:
    reid = OnnxReid(OnnxNetwork(mean_colour_network(), num_threads=1))
    boxes = np.array([[159.9, 89.9, 160, 90], [0, 0, 0.1, 0.1]], np.float32)
    assert np.isfinite(reid.compute_features(np.zeros((*SIZE_HW, 3), np.uint8), boxes)).all()


def test_a_network_of_heatmaps_is_no_reid_network() -> None:
    with pytest.raises(WeightsError, match="features"):
        OnnxReid(OnnxNetwork(tiny_onnx.heatmap_network(), num_threads=1))


# Settings


def real_settings(**changes: Any) -> PoseSettings:
    files = {"checkpoint": str(BLAZEPOSE), "detector_checkpoint": str(people_pictures.YOLOX_NANO)}
    return PoseSettings(**{"estimator": "crowd", **files, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"checkpoint": ""}, "needs a checkpoint"),
        ({"detector_checkpoint": ""}, "needs a detector_checkpoint"),
        ({"checkpoint": "fastpose.pth"}, "takes pose networks as .onnx files"),
        ({"max_people": 0}, "max_people"),
        ({"min_box_area": 10.0}, "min_box_area"),
        ({"reid_checkpoint": "osnet.pth"}, "re-ID networks as .onnx"),
        ({"estimator": "auto", "reid_checkpoint": "osnet.onnx"}, "reid_checkpoint"),
        ({"flip": True}, "flip"),
    ],
)
def test_settings_that_a_crowd_cannot_keep_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        real_settings(**changes)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    settings = real_settings(detector_checkpoint=str(tmp_path / "none.onnx"))
    with pytest.raises(WeightsError, match=r"none\.onnx"):
        build_estimator(settings, read_file=objects.read_object)


# Real weights


@needs_weights
@pytest.mark.shared
def test_the_people_of_real_pictures_are_read_well_and_in_metres() -> None:
    estimator = build_estimator(real_settings(max_people=12), read_file=objects.read_object)
    similarities, heights = [], []
    for picture_ in people_pictures.read_pictures():
        estimator.start_video()
        (poses,) = estimator.estimate([Frame(picture_.image.numpy(), 0, 0.0)])
        assert poses.keypoints_xyz is not None
        for annotated, area in zip(picture_.keypoints, picture_.areas, strict=True):
            found = [
                oks.similarity(xy.astype(np.float64), annotated.astype(np.float64), area) for xy in poses.keypoints_xy
            ]
            similarities.append(max(found))
            heights.append(np.ptp(poses.keypoints_xyz[int(np.argmax(found)), :, 1]))
    assert np.mean(similarities) > 0.7  # 0.75 with the prototype; MediaPipe, one person a picture, 0.25
    assert 0.5 < np.median(heights) < 2


@needs_weights
@pytest.mark.shared
def test_another_detector_and_another_pose_network_find_the_same_people() -> None:
    picture_ = people_pictures.read_pictures()[0]
    for changes in (
        {"detector_checkpoint": str(WEIGHTS / "rtmdet_nano.onnx")},
        {"checkpoint": str(people_pictures.SIMPLE_POSE)},
    ):
        estimator = build_estimator(real_settings(max_people=12, **changes), read_file=objects.read_object)
        estimator.start_video()
        (poses,) = estimator.estimate([Frame(picture_.image.numpy(), 0, 0.0)])
        assert people_pictures.best_ious(picture_.box_xyxy, poses.box_xyxy).min() > 0.5


@needs_weights
@pytest.mark.shared
def test_a_small_osnet_tells_real_people_apart() -> None:
    reid = OnnxReid(OnnxNetwork(WEIGHTS / "osnet_x0_25_msmt17.onnx", num_threads=1))
    picture_ = next(each for each in people_pictures.read_pictures() if len(each.box_xyxy) > 1)
    boxes = picture_.box_xyxy[:2]
    nudged: np.ndarray = boxes + np.array([2, 2, 2, 2], np.float32)
    features = np.concatenate([reid.compute_features(picture_.image.numpy(), each) for each in (boxes, nudged)])
    unit = features / np.linalg.norm(features, axis=1, keepdims=True)
    alike = unit @ unit.T
    assert min(alike[0, 2], alike[1, 3]) > alike[0, 1]


@needs_weights
@pytest.mark.shared
@pytest.mark.parametrize("reid", ["", str(WEIGHTS / "osnet_x0_25_msmt17.onnx")], ids=["by movement", "by looks"])
def test_a_battle_is_the_same_however_its_frames_come_and_whatever_came_before(reid: str) -> None:
    settings = real_settings(reid_checkpoint=reid)
    estimator = build_estimator(settings, read_file=objects.read_object)
    with CLIP.open("rb") as file, VideoReader(file, uri=str(CLIP)) as reader:
        frames = list(reader.sample(frames_per_second=15.0))[:12]
    estimator.batch_size = 1
    expected = list(estimate_and_track(frames, estimator))
    assert all(len(people.track_ids) == 4 for people in expected)
    other = build_estimator(settings, read_file=objects.read_object, num_threads=2)
    other.batch_size = 5
    list(estimate_and_track(frames[::-1][:1], other))  # another video
    found = list(estimate_and_track(frames, other))
    assert_equal([people.poses for people in found], [people.poses for people in expected])
    for one, also in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.track_ids, also.track_ids)


@needs_weights
@pytest.mark.shared
def test_what_changes_keypoints_changes_the_fingerprint() -> None:
    def name_of(**changes: Any) -> str:
        settings = real_settings(**changes)
        return pose_fingerprint(settings, build_estimator(settings, read_file=objects.read_object))

    same = name_of()
    assert name_of(detect_batch=4, device="cpu") == same
    others = [name_of(max_people=3), name_of(min_box_score=0.2), name_of(frames_per_second=8.0)]
    others.append(name_of(checkpoint=str(people_pictures.SIMPLE_POSE)))
    assert len({same, *others}) == 5
    assert crowd.CROWD_VERSION == 1
