"""The crowd estimator's tracker, on stick people who hide each other, and on generated crossings."""

from dataclasses import replace

import drawn_people
import numpy as np
import pytest
from crossings import make_scene, score_tracker
from test_crossings import without_looks
from test_tracking import Person, poses_of

from choreai.pose.estimator import Poses
from choreai.pose.occlusion_tracking import OcclusionTracker
from choreai.pose.reid import ReidTracker
from choreai.pose.trackers import choose_tracker, tracker_settings
from choreai.pose.tracking import Tracker

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
FRONT_HEIGHT = 460.0
"""Of somebody nearer to the camera than the others, whose feet are lower."""


def looking(poses: Poses, *looks: tuple[float, ...]) -> Poses:
    return replace(poses, features=np.array(looks, np.float32).reshape(-1, 3))


def ids_of(
    frames: list[Poses], *, start_seconds: float = 0.0, tracker: OcclusionTracker | None = None
) -> list[list[int]]:
    tracker = tracker or OcclusionTracker()
    return [tracker.update(poses, pts_seconds=start_seconds + n / 15).tolist() for n, poses in enumerate(frames)]


def pass_behind(*, frames: range, stop_at: int | None = None) -> list[Poses]:
    """Somebody stands in front, and another walks past behind, unseen where half of the box is covered. The one in
    front comes first."""
    found = []
    for n in frames:
        there = min(n, stop_at) if stop_at is not None else n
        front, walker = Person(x=500, height=FRONT_HEIGHT), Person(x=300 + 10 * there)
        is_hidden = abs(walker.x - front.x) < 60
        found.append(poses_of(front) if is_hidden else poses_of(front, walker))
    return found


def test_somebody_who_walks_past_behind_another_keeps_the_id() -> None:
    ids = ids_of(pass_behind(frames=range(40)))
    assert [0] in ids
    assert all(frame in ([0], [0, 1]) for frame in ids)


def test_people_who_cross_at_a_steady_pace_keep_their_ids() -> None:
    frames = [poses_of(Person(x=300 + 12 * n), Person(x=700 - 12 * n, height=FRONT_HEIGHT)) for n in range(35)]
    assert ids_of(frames) == [[0, 1]] * 35


def test_somebody_unseen_in_the_open_is_expected_where_they_were() -> None:
    walk = [poses_of(Person(x=300 + 12 * n)) for n in range(10)]
    ids = ids_of([*walk, *[poses_of()] * 10, poses_of(Person(x=410))])
    assert ids[-1] == [0]


def test_a_detection_that_is_not_sure_takes_no_track_from_one_that_is() -> None:
    tracker = OcclusionTracker()
    one = poses_of(Person(x=500))
    assert ids_of([one] * 5, tracker=tracker)[-1] == [0]
    both = replace(poses_of(Person(x=500), Person(x=506)), certainty=np.array([0.1, 0.9], np.float32))
    assert tracker.update(both, pts_seconds=5 / 15).tolist()[1] == 0


def test_certainty_counts_where_box_scores_say_something_else() -> None:
    dancer = replace(poses_of(Person()), box_scores=np.array([0.02], np.float32), certainty=np.array([0.9], np.float32))
    ghost = replace(dancer, certainty=np.array([0.1], np.float32))
    gone = [replace(poses_of(), certainty=np.zeros(0, np.float32))] * 20
    assert ids_of([dancer, *gone, dancer])[-1] == [0]
    assert ids_of([ghost, *gone, ghost])[-1] == [1]


def test_somebody_who_comes_back_elsewhere_is_found_again_by_appearance_only() -> None:
    here, there = poses_of(Person(x=300)), poses_of(Person(x=900))
    frames = [looking(here, RED)] * 10 + [looking(poses_of())] * 75
    assert ids_of([*frames, looking(there, RED)])[-1] == [0]
    assert ids_of([*frames, looking(there, BLUE)])[-1] == [1]
    assert ids_of([here] * 10 + [poses_of()] * 75 + [there])[-1] == [1]


def test_appearance_tells_two_apart_who_trade_places_unseen() -> None:
    frames = [looking(poses_of(Person(x=480), Person(x=560)), RED, BLUE)] * 10
    nobody = [looking(poses_of())] * 15
    traded = looking(poses_of(Person(x=480), Person(x=560)), BLUE, RED)
    assert ids_of([*frames, *nobody, traded])[-1] == [1, 0]


def test_somebody_half_hidden_is_not_remembered_by_the_other_s_appearance() -> None:
    apart = looking(poses_of(Person(x=300), Person(x=700, height=FRONT_HEIGHT)), RED, BLUE)
    walk = [looking(poses_of(Person(x=300 + 9 * n), Person(x=700, height=FRONT_HEIGHT)), RED, BLUE) for n in range(40)]
    behind = looking(poses_of(Person(x=670), Person(x=700, height=FRONT_HEIGHT)), BLUE, BLUE)
    tracker = OcclusionTracker()
    assert ids_of([*walk, *[behind] * 45], tracker=tracker)[-1] == [0, 1]
    gone = [looking(poses_of())] * 90
    assert ids_of([*gone, apart], start_seconds=6.0, tracker=tracker)[-1] == [0, 1]


def test_the_order_of_the_people_changes_no_id() -> None:
    tracker, other = OcclusionTracker(), OcclusionTracker()
    for n in range(20):
        people = [Person(x=300 + 10 * n), Person(x=620 - 5 * n), Person(x=900)]
        ids = tracker.update(poses_of(*people), pts_seconds=n / 15).tolist()
        order = [0, 1, 2] if n == 0 else [2, 0, 1]
        assert other.update(poses_of(*[people[i] for i in order]), pts_seconds=n / 15).tolist() == [
            ids[i] for i in order
        ]


def test_what_cannot_be_tracked_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        OcclusionTracker().update(poses_of(Person(x=np.nan)), pts_seconds=0.0)
    tracker = OcclusionTracker()
    tracker.update(poses_of(Person()), pts_seconds=1.0)
    with pytest.raises(ValueError, match="in order"):
        tracker.update(poses_of(Person()), pts_seconds=0.5)
    with pytest.raises(ValueError, match="features"):
        tracker.update(looking(poses_of(Person()), RED), pts_seconds=2.0)


# ---------------------------------------------------------------- who gets it


def test_only_the_crowd_estimator_s_poses_with_appearance_get_this_tracker() -> None:
    nobody = Poses.empty()
    crowd = replace(nobody, certainty=np.zeros(0, np.float32))
    assert isinstance(choose_tracker(crowd), Tracker)
    assert isinstance(choose_tracker(replace(crowd, features=np.zeros((0, 3), np.float32))), OcclusionTracker)
    assert isinstance(choose_tracker(nobody), Tracker)
    assert isinstance(choose_tracker(replace(nobody, features=np.zeros((0, 3), np.float32))), ReidTracker)


def test_the_fingerprint_holds_its_settings_where_it_is_used_and_nowhere_else() -> None:
    crowd = tracker_settings(is_crowd=True, has_reid=True)
    assert list(tracker_settings(is_crowd=True, has_reid=False)) == ["tracker_version"]
    assert {"occlusion.tracker_version", "occlusion.looks_cost"} <= set(crowd)
    assert list(tracker_settings(is_crowd=False, has_reid=False)) == ["tracker_version"]
    assert not [name for name in tracker_settings(is_crowd=False, has_reid=True) if "occlusion" in name]


# ---------------------------------------------------------------- crossings


def test_fewer_people_are_confused_in_a_battle_than_by_the_other_trackers() -> None:
    scene = make_scene("battle", 1)
    moving = without_looks(scene)
    assert score_tracker(moving, OcclusionTracker()).hota > score_tracker(moving, Tracker()).hota
    assert score_tracker(scene, OcclusionTracker()).hota > score_tracker(scene, ReidTracker()).hota + 0.05


def test_the_drawn_dancers_are_boxes_in_their_frames_always_as_many() -> None:
    clips = drawn_people.read_drawn()
    assert sum(len(frames) for frames in clips.values()) == 62
    for frames in clips.values():
        assert len({boxes.shape for boxes in frames.values()}) == 1
        assert list(frames) == list(range(0, 15 * len(frames), 15))
        boxes = np.concatenate(list(frames.values()))
        assert (boxes[:, :2] < boxes[:, 2:]).all()
        assert ((boxes >= 0) & (boxes <= (640, 360, 640, 360))).all()
