"""Between two detections: boxes that move with the people in them, and who is detected out of turn."""

import numpy as np
import pytest
from painted_people import PaintedPeople, assert_equal, estimates, painted_crowd, picture

from choreai.pose.bodies import Bodies
from choreai.pose.crowd import CrowdEstimator
from choreai.pose.detectors.detector import Boxes
from choreai.pose.following import BoxFollower
from choreai.pose.pipeline import estimate
from choreai.pose.settings import PoseSettings
from choreai.video.frame import Frame

TWO = np.array([[0, 0, 40, 80], [100, 0, 140, 80]], np.float32)


def people_at(boxes: np.ndarray) -> Boxes:
    return Boxes(boxes.astype(np.float32), np.ones(len(boxes), np.float32))


def body(x: float, *, num_keypoints: int = 17) -> np.ndarray:
    """Keypoints (1, 17, 2) all at one place."""
    return np.full((1, num_keypoints, 2), x, np.float32)


def followed(*xs: float, score: float = 1.0) -> np.ndarray:
    """Where both are expected when the first one's keypoints were at these places, frame by frame."""
    follower = BoxFollower()
    for x in xs:
        follower.update(people_at(TWO), np.array([0]), body(x), np.full((1, 17), score, np.float32))
    return follower.people().box_xyxy


def test_a_box_moves_as_the_keypoints_in_it_moved_and_who_is_not_read_stays() -> None:
    np.testing.assert_allclose(followed(20, 26), TWO + np.array([[6], [0]], np.float32))


def test_a_box_stays_where_nothing_can_be_learnt() -> None:
    for case in (followed(20), followed(20, 60), followed(20, 26, score=0.2)):  # alone, too far, too unsure
        np.testing.assert_array_equal(case, TWO)


class SpotReader:
    """A `BodyReader` whose keypoints are all at the middle of the brightness in and around a box."""

    has_xyz = False

    def settings(self) -> dict[str, str | int | float | bool]:
        return {"pose_network": "spots"}

    def start_video(self) -> None:
        """Nothing to forget."""

    def read(self, image: np.ndarray, box_xyxy: np.ndarray) -> Bodies:
        xy = np.array([_middle_of_brightness(image[..., 0], box) for box in box_xyxy], np.float32).reshape(-1, 1, 2)
        num = len(box_xyxy)
        return Bodies(np.repeat(xy, 17, axis=1), np.ones((num, 17), np.float32), np.ones(num, np.float32))


def _middle_of_brightness(grey: np.ndarray, box: np.ndarray) -> np.ndarray:
    left, top, right, bottom = (box + np.array([-5, -5, 5, 5], np.float32)).clip(0).astype(int)
    return np.argwhere(grey[top:bottom, left:right] > 0).mean(axis=0)[::-1] + np.array([left, top])


def walk(number: int) -> Frame:
    """Two people: one walks right by 2 pixels a frame."""
    return picture((200, 20 + 2 * number, 30, 30), (150, 110, 30, 30), number=number)


def test_every_kth_frame_is_searched_and_the_walker_is_followed_between() -> None:
    detector = PaintedPeople()
    crowd = CrowdEstimator(detector, SpotReader(), max_people=2, detect_every=3)
    found = estimates(crowd, [walk(number) for number in range(9)])
    assert detector.num_calls == 3
    lefts = np.array([sorted(poses.box_xyxy[:, 0].tolist()) for poses in found])
    np.testing.assert_allclose(lefts[[0, 3, 6]], [[20 + 2 * number, 110] for number in (0, 3, 6)])
    # Nothing is known of a newcomer's speed in the first frame after they are found.
    assert np.abs(lefts[:, 0] - (20 + 2 * np.arange(9))).max() <= 2
    np.testing.assert_array_equal(lefts[:, 1], 110)


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_nothing_hangs_on_how_many_frames_come_at_once(at_once: int) -> None:
    frames = [walk(number) for number in range(11)]
    frames[6] = picture(number=6)
    expected = estimates(painted_crowd(detect_every=3), frames, at_once=4)
    assert_equal(estimates(painted_crowd(detect_every=3), frames, at_once=at_once), expected)


def test_where_nobody_was_found_the_next_frame_is_searched() -> None:
    frames = [picture(number=0), picture(number=1), walk(2), walk(3)]
    assert [len(poses) for poses in estimates(painted_crowd(detect_every=3), frames)] == [0, 0, 2, 2]


def test_a_cut_is_searched_out_of_turn() -> None:
    other = [(170, 5, 0, 85), (160, 92, 0, 66)]
    frames = [walk(0), picture(*other, number=1), picture(*other, number=2)]
    found = estimates(painted_crowd(detect_every=3), frames)
    assert sorted(found[1].box_xyxy[:, 0].tolist()) == [5, 92]


def test_a_shot_begins_with_a_detection() -> None:
    frames = [walk(0), walk(1), Frame(walk(8).image, 2, 2 / 15, shot_index=1)]
    found = [poses for _, poses in estimate(frames, painted_crowd(detect_every=3))]
    assert found[2].box_xyxy[:, 0].min() == 36


def test_a_newcomer_is_found_with_the_next_detection() -> None:
    frames = [picture((200, 20, 30, 30), number=0)] + [walk(number) for number in range(1, 4)]
    assert [len(poses) for poses in estimates(painted_crowd(detect_every=3), frames)] == [1, 1, 1, 2]


def test_detecting_in_every_frame_leaves_the_fingerprint_as_it_was() -> None:
    assert "detect_every" not in painted_crowd().settings()
    assert painted_crowd(detect_every=2).settings()["detect_every"] == 2
    for wrong in (0, 31):
        with pytest.raises(ValueError, match="detect_every"):
            PoseSettings(detect_every=wrong)
