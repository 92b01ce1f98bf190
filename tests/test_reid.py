"""Tracking by looks and movement: who keeps an id, and the bookkeeping."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from reid_people import STEP_SECONDS, Person, ids_of, poses_of, show

from choreai.arrays import FloatArray
from choreai.pose.estimator import Poses
from choreai.pose.reid import ReidSettings, ReidTracker

TEN_SECONDS = 80
"""Frames."""

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "alphapose" / "golden" / "reid_track.npz"


@pytest.mark.shared
@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is absent")
def test_ids_are_alphaposes_up_to_their_numbers() -> None:
    golden = np.load(GOLDEN)
    frames = sorted({name.split("/")[0] for name in golden.files})
    tracker = ReidTracker()
    ours_of_theirs: dict[int, int] = {}
    for i, frame in enumerate(frames):
        poses, features = poses_of(golden[f"{frame}/boxes"]), golden[f"{frame}/feats"]
        ids = tracker.update(replace(poses, features=features), pts_seconds=i * STEP_SECONDS)
        theirs = golden[f"{frame}/out_ids"][np.argsort(golden[f"{frame}/out_src"])]
        for our_id, their_id in zip(ids.tolist(), theirs.tolist(), strict=True):
            assert ours_of_theirs.setdefault(their_id, our_id) == our_id, f"frame {frame}"
    assert sorted(ours_of_theirs.values()) == list(range(len(ours_of_theirs)))


@pytest.mark.parametrize("pixels_per_frame", [15, 30])
def test_two_who_cross_keep_their_ids(pixels_per_frame: int) -> None:
    num_frames = 1000 // pixels_per_frame
    frames = [
        [
            Person(x=i * pixels_per_frame, looks=1, noise=i),
            Person(x=1000 - i * pixels_per_frame, looks=2, noise=i),
        ]
        for i in range(num_frames)
    ]
    assert ids_of(frames) == [[0, 1]] * num_frames


def test_two_who_meet_and_turn_back_keep_their_ids() -> None:
    """Movement alone would let them pass through each other."""
    frames = [
        [
            Person(x=500 - 20 * abs(i - 20), looks=1, noise=i),
            Person(x=520 + 20 * abs(i - 20), looks=2, noise=i),
        ]
        for i in range(40)
    ]
    assert ids_of(frames) == [[0, 1]] * 40


def test_two_who_cross_keep_their_ids_when_one_is_hidden_meanwhile() -> None:
    frames, present = [], []
    for i in range(40):
        front = Person(x=25 * i, looks=1, noise=i)
        behind = Person(x=1000 - 25 * i, height=350, width=140, looks=2, noise=i)
        hidden = abs(front.x - behind.x) < 120
        frames.append([front] if hidden else [front, behind])
        present.append([0] if hidden else [0, 1])
    assert [0] in present
    assert ids_of(frames) == present


def test_a_lost_one_whose_way_crosses_another_of_the_same_size_is_forgotten_unless_that_is_turned_off() -> None:
    """AlphaPose's rule against doubles does not look at the features."""
    frames, settings = [], ReidSettings(double_overlap=1.0)
    for i in range(40):
        front, behind = Person(x=25 * i, looks=1, noise=i), Person(x=1000 - 25 * i, looks=2, noise=i)
        frames.append([front] if 17 <= i <= 22 else [front, behind] if i else [front])
    assert [ids_of(frames)[-1], ids_of(frames, settings=settings)[-1]] == [[0, 2], [0, 1]]


@pytest.mark.parametrize(
    "others", [[], [Person(x=1500, height=500, looks=7)]], ids=["an empty stage", "others on stage"]
)
def test_who_leaves_and_returns_after_ten_seconds_is_the_same_person(others: list[Person]) -> None:
    """Out to the right and, by another way behind the stage, in from the left."""
    leaves = [[Person(x=600 + 20 * i, noise=i), *others] for i in range(15)]
    returns = [[Person(x=100 + 20 * i, noise=100 + i), *others] for i in range(10)]
    frames = leaves + [others] * TEN_SECONDS + returns
    ids = ids_of(frames)
    other_ids = [1] * len(others)
    assert ids == [[0, *other_ids]] * 15 + [other_ids] * TEN_SECONDS + [[0, *other_ids]] * 10


def test_a_short_absence_from_an_empty_stage_is_an_absence() -> None:
    """Somebody else who appears at the same place right after is not taken for who was there."""
    settings = ReidSettings(double_overlap=1.0)
    frames = [[Person(looks=1, noise=i)] for i in range(5)] + [[]] + [[Person(looks=2, noise=i)] for i in range(5)]
    assert ids_of(frames, settings=settings) == [[0]] * 5 + [[]] + [[1]] * 5


def test_somebody_with_other_looks_is_somebody_new() -> None:
    stays = [[Person(x=400, noise=i)] for i in range(4)]
    joined = [[Person(x=900, looks=2, noise=i), Person(x=400, noise=i)] for i in range(4, 10)]
    assert ids_of(stays + joined) == [[0]] * 4 + [[1, 0]] * 6


def test_somebody_with_other_looks_after_ten_seconds_is_somebody_new() -> None:
    before = [[Person(x=400, noise=i)] for i in range(6)]
    after = [[Person(x=520, looks=2, noise=i)] for i in range(6)]
    assert ids_of(before + [[]] * TEN_SECONDS + after) == [[0]] * 6 + [[]] * TEN_SECONDS + [[1]] * 6


def test_a_cut_starts_new_tracks_and_cutting_back_finds_the_old() -> None:
    stage = [[Person(x=400, looks=1, noise=i), Person(x=800, looks=2, noise=i)] for i in range(6)]
    close = [[Person(x=600, height=900, width=400, looks=3, noise=i)] for i in range(6)]
    back = [[Person(x=400, looks=1, noise=9 + i), Person(x=800, looks=2, noise=9 + i)] for i in range(6)]
    assert ids_of(stage + close + back) == [[0, 1]] * 6 + [[2]] * 6 + [[0, 1]] * 6


def test_the_same_looks_far_away_are_somebody_else() -> None:
    """Corps de ballet: the box decides between people who are dressed alike."""
    frames = [[Person(x=300, noise=i)] for i in range(6)] + [[Person(x=1500, noise=6)]]
    assert ids_of(frames) == [[0]] * 6 + [[1]]


def test_a_dancer_in_strange_light_keeps_the_id_by_overlap() -> None:
    """The spot turns red for three frames: the features are somebody else's, the place is not."""
    frames = [[Person(x=400 + 5 * i, looks=5 if i in (6, 7, 8) else 0, noise=i)] for i in range(14)]
    assert ids_of(frames) == [[0]] * 14


# ---------------------------------------------------------------- bookkeeping


def test_who_was_seen_once_and_then_missed_is_forgotten() -> None:
    """A detector's ghost: AlphaPose confirms nobody before the second frame."""
    stays = [Person(x=1500, looks=7)]
    assert ids_of([stays, [Person(), *stays], stays, [Person(), *stays]]) == [[0], [1, 0], [0], [2, 0]]


@pytest.mark.parametrize(("missed", "expected"), [(6, 0), (7, 1)])
def test_the_lost_are_remembered_for_as_long_as_the_settings_say(missed: int, expected: int) -> None:
    """And for the one frame more in which AlphaPose still finds them."""
    frames = [[Person(noise=i)] for i in range(5)] + [[]] * missed + [[Person(noise=9)]]
    assert ids_of(frames, settings=ReidSettings(max_lost_frames=5))[-1] == [expected]


def test_by_default_the_lost_are_remembered_for_240_frames() -> None:
    for missed, expected in ((241, 0), (242, 1)):
        frames = [[Person(noise=i)] for i in range(5)] + [[]] * missed + [[Person(noise=9)]]
        assert ids_of(frames)[-1] == [expected]


def test_somebody_at_the_place_of_somebody_lost_gets_their_id() -> None:
    """A detector's dropout and then a strange light: AlphaPose shows nobody there until the lost one expires."""
    frames = [[Person(looks=1, noise=i)] for i in range(5)] + [[]] + [[Person(looks=2, noise=i)] for i in range(5)]
    assert ids_of(frames) == [[0]] * 5 + [[]] + [[0]] * 5


def test_of_two_at_one_place_the_longer_history_stays() -> None:
    """A short track is lost where a long one arrives: its looks are forgotten with it."""
    long = [Person(x=600 - 20 * min(i, 15), looks=1, noise=i) for i in range(30)]
    short = Person(x=300, looks=2)
    frames = [[person, short] if 3 <= i <= 9 else [person] for i, person in enumerate(long)]
    back = [[long[-1], Person(x=460, looks=2)]] * 2
    assert ids_of(frames + back)[-1] == [0, 2]
    apart = [[replace(person, y=1200), *frame[1:]] for person, frame in zip(long, frames, strict=True)]
    assert ids_of([*apart, [replace(long[-1], y=1200), back[0][1]]])[-1] == [0, 1]


def test_the_order_of_people_in_a_frame_does_not_matter() -> None:
    rng = np.random.default_rng(1)
    orders = [np.arange(4), *(rng.permutation(4) for _ in range(39))]
    frames = []
    for i, order in enumerate(orders):
        people = [Person(x=200 + 160 * k + 25 * np.sin(i + k), looks=k, noise=i) for k in range(4)]
        frames.append([people[k] for k in order])
    assert ids_of(frames) == [order.tolist() for order in orders]


def test_newcomers_are_numbered_in_the_order_of_the_boxes() -> None:
    crowd = [Person(x=100 * k, y=300 + 50 * (k % 7), looks=k) for k in range(60)]
    ids = ids_of([crowd[:20], crowd, crowd[::-1]])
    assert ids == [list(range(20)), list(range(60)), list(range(60))[::-1]]


def test_ids_start_at_zero_for_every_video() -> None:
    frames = [[Person(), Person(x=1500, looks=1)]] * 2
    assert ids_of(frames) == ids_of(frames) == [[0, 1]] * 2


def test_nobody_shares_an_id_and_no_number_is_left_out_however_wild_the_frames() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        frames = [
            [
                Person(
                    x=rng.choice([300, 310, 700]) + rng.uniform(0, 30),
                    height=rng.uniform(350, 420),
                    looks=rng.integers(5),
                    noise=i,
                )
                for _ in range(rng.integers(0, 7))
            ]
            for i in range(25)
        ]
        ids = ids_of(frames)
        assert all(len(set(frame)) == len(frame) for frame in ids)
        every_id = {track_id for frame in ids for track_id in frame}
        assert every_id == set(range(len(every_id)))


def test_boxes_of_a_pixel_of_nothing_and_outside_the_frame_are_tracked() -> None:
    people = [
        Person(x=3, y=3, height=1, width=1, looks=1),
        Person(x=90, y=3, height=0, width=0, looks=2),
        Person(x=-700, y=-700, looks=3),
        Person(x=300, y=3, height=0, width=80, looks=4),
        Person(x=4000, y=2000, height=8000, width=3000, looks=5),
    ]
    assert ids_of([people] * 50) == [[0, 1, 2, 3, 4]] * 50


def test_a_box_that_shrinks_to_nothing_stays_a_track() -> None:
    heights = [400 * 0.5**i for i in range(12)]
    ids = ids_of([[Person(height=height, width=height / 2, noise=i)] for i, height in enumerate(heights)])
    assert all(len(frame) == 1 for frame in ids)


@pytest.mark.parametrize("looks_return", [True, False])
def test_a_feature_of_zeros_is_like_nobodys_and_does_no_harm(looks_return: bool) -> None:
    tracker, nothing = ReidTracker(), np.zeros((1, 512), np.float32)
    for _ in range(2):  # the place still says who it is
        assert tracker.update(replace(poses_of([Person().box()]), features=nothing), pts_seconds=0).tolist() == [0]
    for _ in range(2):
        features = Person().feature()[None] if looks_return else nothing
        assert tracker.update(replace(poses_of([Person().box()]), features=features), pts_seconds=0).tolist() == [0]
    assert show(tracker, [], frame=1) == []
    assert show(tracker, [Person(x=540)], frame=2) == [0 if looks_return else 1]


def test_a_frame_without_people_gives_an_empty_array() -> None:
    ids = ReidTracker().update(replace(Poses.empty(), features=np.zeros((0, 512), np.float32)), pts_seconds=0.0)
    assert ids.shape == (0,)
    assert ids.dtype == np.int32


def test_poses_without_features_are_refused() -> None:
    with pytest.raises(ValueError, match="without features"):
        ReidTracker().update(Poses.empty(), pts_seconds=0.0)


def test_two_frames_at_one_time_are_taken_and_a_step_back_is_not() -> None:
    tracker = ReidTracker()
    for frame in (8, 8):
        assert show(tracker, [Person()], frame=frame) == [0]
    with pytest.raises(ValueError, match="in order"):
        show(tracker, [Person()], frame=7)


@pytest.mark.parametrize(
    ("box", "features", "message"),
    [
        ((0, 0, 9, np.nan), np.ones((1, 512), np.float32), "finite"),
        ((0, 0, 9, 9), np.full((1, 512), np.inf, np.float32), "finite"),
        ((0, 0, 9, 9), np.ones((2, 512), np.float32), r"features must be \(1, F\) float32, got \(2, 512\)"),
        ((0, 0, 9, 9), np.ones((1, 512)), "float64"),
        ((0, 0, 9, 9), np.ones((1, 8), np.float32), "as long as before, 512, got 8"),
    ],
)
def test_what_cannot_be_tracked_is_refused(
    box: tuple[float, float, float, float], features: FloatArray, message: str
) -> None:
    tracker = ReidTracker()
    for frame in range(2):
        show(tracker, [Person()], frame=frame)
    with pytest.raises(ValueError, match=message):
        tracker.update(replace(poses_of([box]), features=features), pts_seconds=1.0)
    assert show(tracker, [Person()], frame=2) == [0]


@pytest.mark.parametrize(
    "settings", [{"appearance_share": 1.1}, {"gate": 0.0}, {"max_lost_frames": -1}, {"feature_memory": -0.1}]
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be in"):
        ReidSettings(**settings)  # type: ignore[arg-type]
