"""The tracker, on stick people who dance, cross, leave and come back, and on real clips where at hand."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from choreai.motion.skeleton import MIRROR
from choreai.pose.estimator import Poses
from choreai.pose.tracking import FORGET_SECONDS, MAX_REACH, MAX_SIZE_RATIO, Tracker

STEP_SECONDS = 1 / 8
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

# A standing person of height 1 around the hips, x right, y down, COCO-17 order; 0.3 wide.
STANDING = np.array(
    [
        *[(0.0, -0.43), (0.02, -0.45), (-0.02, -0.45), (0.04, -0.44), (-0.04, -0.44)],  # face
        *[(0.11, -0.3), (-0.11, -0.3), (0.14, -0.13), (-0.14, -0.13), (0.15, 0.03), (-0.15, 0.03)],  # arms
        *[(0.07, 0.0), (-0.07, 0.0), (0.08, 0.25), (-0.08, 0.25), (0.08, 0.5), (-0.08, 0.5)],  # legs
    ]
)


@dataclass(frozen=True)
class Person:
    """Where somebody is, in pixels, and how they stand."""

    x: float = 500.0
    y: float = 500.0
    height: float = 400.0
    facing: float = 1.0
    """1 towards the camera, 0 sideways, -1 away."""
    turned: float = 0.0
    """Radians from upright, pi upside down."""
    score: float = 0.9

    def keypoints(self) -> npt.NDArray[np.float64]:
        shape = STANDING * (self.facing, 1)
        cos, sin = np.cos(self.turned), np.sin(self.turned)
        return shape @ np.array([[cos, sin], [-sin, cos]]) * self.height + (self.x, self.y)


def poses_of(*people: Person, noise: npt.NDArray[np.float64] | float = 0.0) -> Poses:
    if not people:
        return Poses.empty()
    keypoints = np.stack([person.keypoints() for person in people]) + noise
    boxes = np.concatenate([keypoints.min(axis=1), keypoints.max(axis=1)], axis=1)
    scores = np.array([person.score for person in people])
    return Poses(
        box_xyxy=boxes.astype(np.float32),
        box_scores=scores.astype(np.float32),
        keypoints_xy=keypoints.astype(np.float32),
        keypoint_scores=np.repeat(scores[:, None], 17, axis=1).astype(np.float32),
    )


def ids_of(frames: list[Poses], *, start_seconds: float = 0.0, tracker: Tracker | None = None) -> list[list[int]]:
    """The ids of each frame, frames an eighth of a second apart."""
    tracker = tracker or Tracker()
    times = start_seconds + STEP_SECONDS * np.arange(len(frames))
    return [tracker.update(p, pts_seconds=float(t)).tolist() for p, t in zip(frames, times, strict=True)]


def test_one_wild_dancer_keeps_one_id() -> None:
    """Ten seconds of half body widths to and fro at random, spins, jumps of a foot, crouches and noise."""
    rng = np.random.default_rng(0)
    x, frames = 500.0, []
    for i in range(80):
        x += rng.choice([-1, 1]) * 0.5 * 0.3 * 400
        jump = 70 * max(0.0, np.sin(i * 1.3))
        height = 400 * (0.8 + 0.2 * np.cos(i * 0.9))
        person = Person(x=x, y=500 - jump, height=height, facing=np.cos(i * 1.1))
        frames.append(poses_of(person, noise=rng.normal(0, 6, (1, 17, 2))))
    assert ids_of(frames) == [[0]] * 80


def test_a_cartwheel_keeps_one_id() -> None:
    frames = [poses_of(Person(x=300 + 40 * i, turned=np.pi / 4 * i)) for i in range(17)]
    assert ids_of(frames) == [[0]] * 17


def test_left_and_right_swapped_for_a_frame_keep_the_id() -> None:
    frames = [poses_of(Person()) for _ in range(3)]
    mirrored = frames[1].keypoints_xy[:, list(MIRROR)]
    frames[1] = replace(frames[1], keypoints_xy=mirrored)
    assert ids_of(frames) == [[0]] * 3


@pytest.mark.parametrize("pixels_per_step", [15, 30, 60])
@pytest.mark.parametrize("offset", [0.0, 0.3, 0.5])
def test_two_who_cross_keep_their_ids(pixels_per_step: int, offset: float) -> None:
    num_frames = 1000 // pixels_per_step
    frames = [
        poses_of(Person(x=(i + offset) * pixels_per_step), Person(x=1000 - i * pixels_per_step))
        for i in range(num_frames)
    ]
    assert ids_of(frames) == [[0, 1]] * num_frames


def test_two_who_cross_keep_their_ids_when_one_is_hidden_meanwhile() -> None:
    frames, present = [], []
    for i in range(25):
        front, behind = Person(x=40 * i), Person(x=1000 - 40 * i, height=380)
        hidden = abs(front.x - behind.x) < 60
        frames.append(poses_of(front) if hidden else poses_of(front, behind))
        present.append([0] if hidden else [0, 1])
    assert [0] in present
    assert ids_of(frames) == present


def test_the_order_of_people_in_a_frame_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    orders = [rng.permutation(4) for _ in range(40)]
    orders[0] = np.arange(4)
    frames = []
    for i, order in enumerate(orders):
        people = [Person(x=200 + 160 * k + 25 * np.sin(i + k), y=500 + 10 * np.cos(i * k)) for k in range(4)]
        frames.append(poses_of(*(people[k] for k in order)))
    assert ids_of(frames) == [order.tolist() for order in orders]


def test_a_dense_line_of_dancers_keeps_its_ids_under_noise() -> None:
    rng = np.random.default_rng(2)
    frames = [
        poses_of(
            *(Person(x=100 + 130 * k + 40 * np.sin(0.9 * i), facing=np.cos(i + k)) for k in range(6)),
            noise=rng.normal(0, 5, (6, 17, 2)),
        )
        for i in range(60)
    ]
    assert ids_of(frames) == [[0, 1, 2, 3, 4, 5]] * 60


def test_a_dancer_boxed_to_the_hips_for_a_frame_keeps_the_id() -> None:
    """As a detector did to a dancer in a real clip, who then had three ids in twenty seconds."""
    whole = poses_of(Person())
    left, top, right, bottom = whole.box_xyxy[0]
    to_the_hips = replace(whole, box_xyxy=np.array([[left, top, right, top + 0.45 * (bottom - top)]], np.float32))
    sizes = [float(np.hypot(*(poses.box_xyxy[0, 2:] - poses.box_xyxy[0, :2]))) for poses in (whole, to_the_hips)]
    assert sizes[0] / sizes[1] > MAX_SIZE_RATIO
    # The box shrinks in steps that are small enough to be the same person's, and grows back in one that is not.
    half_way = replace(whole, box_xyxy=np.array([[left, top, right, top + 0.7 * (bottom - top)]], np.float32))
    assert ids_of([whole, half_way, to_the_hips, whole, whole]) == [[0]] * 5


def test_who_is_twice_as_large_from_one_frame_to_the_next_is_somebody_else() -> None:
    assert ids_of([poses_of(Person()), poses_of(Person(height=800))]) == [[0], [1]]


def test_a_missed_frame_does_not_end_a_track() -> None:
    frames = [poses_of(Person(x=300 + 30 * i)) for i in range(12)]
    frames[4] = frames[8] = frames[9] = poses_of()
    assert ids_of(frames) == [[] if i in (4, 8, 9) else [0] for i in range(12)]


def test_who_comes_back_soon_and_near_is_the_same_person() -> None:
    tracker = Tracker()
    assert ids_of([poses_of(Person(x=900))] * 4, tracker=tracker) == [[0]] * 4
    back = poses_of(Person(x=900 - 250))
    seconds = 3 * STEP_SECONDS + FORGET_SECONDS
    assert tracker.update(back, pts_seconds=seconds).tolist() == [0]


def test_who_comes_back_later_or_elsewhere_is_somebody_new() -> None:
    for x, away_seconds in ((900, FORGET_SECONDS + 0.01), (900 - 1.1 * MAX_REACH * 430, FORGET_SECONDS)):
        tracker = Tracker()
        tracker.update(poses_of(Person(x=900)), pts_seconds=0.0)
        assert tracker.update(poses_of(Person(x=x)), pts_seconds=away_seconds).tolist() == [1]


@pytest.mark.parametrize(
    "other_camera", [Person(x=800), Person(y=800), Person(height=200), Person(height=800)], ids=str
)
def test_a_cut_to_another_camera_starts_a_new_track_and_cutting_back_finds_the_old(
    other_camera: Person,
) -> None:
    frames = [poses_of(Person())] * 4 + [poses_of(other_camera)] * 4 + [poses_of(Person())] * 4
    assert ids_of(frames) == [[0]] * 4 + [[1]] * 4 + [[0]] * 4


def test_a_newcomer_near_somebody_gets_a_new_id() -> None:
    frames = [poses_of(Person())] * 3 + [poses_of(Person(x=620), Person())] * 3
    assert ids_of(frames) == [[0]] * 3 + [[1, 0]] * 3


def test_ids_start_at_zero_for_every_video() -> None:
    frames = [poses_of(Person(), Person(x=1500))] * 2
    assert ids_of(frames) == ids_of(frames) == [[0, 1]] * 2


def test_no_two_people_of_a_frame_share_an_id() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        frames = [
            poses_of(
                *(
                    Person(x=rng.uniform(0, 900), y=rng.uniform(300, 600), height=rng.uniform(200, 500))
                    for _ in range(rng.integers(0, 9))
                )
            )
            for _ in range(12)
        ]
        for ids in ids_of(frames):
            assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("score", [0.0, 3.5])
def test_scores_of_any_scale_are_taken(score: float) -> None:
    """AlphaPose's are raw heatmap maxima."""
    frames = [poses_of(Person(x=500 + 20 * i, score=score), Person(x=900, score=score)) for i in range(5)]
    assert ids_of(frames) == [[0, 1]] * 5


def test_a_frame_without_people_gives_an_empty_array() -> None:
    ids = Tracker().update(poses_of(), pts_seconds=0.0)
    assert ids.shape == (0,)
    assert ids.dtype == np.int32


def test_two_frames_at_one_time_are_taken_and_a_step_back_is_not() -> None:
    tracker = Tracker()
    for seconds in (1.0, 1.0):
        assert tracker.update(poses_of(Person()), pts_seconds=seconds).tolist() == [0]
    with pytest.raises(ValueError, match="in order"):
        tracker.update(poses_of(Person()), pts_seconds=0.9)


def test_a_pose_that_is_not_finite_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        Tracker().update(poses_of(Person(x=np.nan)), pts_seconds=0.0)


@pytest.mark.shared
@pytest.mark.parametrize(
    "clip",
    [
        "videos/choreai_afro8.mp4",
        "streetdance/clips/3001_503_10.mp4",
    ],
)
@pytest.mark.usefixtures("mediapipe")
def test_a_real_dancer_alone_is_one_track(clip: str) -> None:
    path = SHARED / clip
    if not path.is_file():
        pytest.skip(f"needs {path}, which does not travel with the project")
    from choreai.pose.mediapipe import MediaPipeEstimator
    from choreai.video.decode import VideoReader

    estimator, tracker = MediaPipeEstimator(), Tracker()
    estimator.start_video()
    ids: list[int] = []
    num_frames = 0
    with path.open("rb") as file, VideoReader(file, uri=str(path)) as video:
        for frame in video.sample(frames_per_second=8.0):
            (poses,) = estimator.estimate([frame])
            ids += tracker.update(poses, pts_seconds=frame.pts_seconds).tolist()
            num_frames += 1
    estimator.close()
    assert len(ids) >= 0.95 * num_frames
    assert Counter(ids)[0] >= 0.95 * len(ids)
