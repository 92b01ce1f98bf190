"""The re-ID tracker's limits, worked out apart from the tracker."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from reid_people import STEP_SECONDS, Person, ids_of, poses_of

from choreai.arrays import FloatArray
from choreai.pose.estimator import Poses
from choreai.pose.reid import ReidSettings, ReidTracker

# ---------------------------------------------------------------- limits, worked out apart from the tracker


def looks_at(radians: float) -> FloatArray:
    """(1, 512); the cosine distance of two is 1 - the cosine of their angles' difference."""
    feature = np.zeros((1, 512), np.float32)
    feature[0, :2] = 3 * np.cos(radians), 3 * np.sin(radians)
    return feature


def ids_by_looks(sightings: Sequence[tuple[Person, float] | None]) -> list[int | None]:
    """The id of one person per frame, or None, from where they are and the angle of their looks."""
    tracker, ids = ReidTracker(ReidSettings(double_overlap=1.0)), []
    for i, sighting in enumerate(sightings):
        poses = Poses.empty() if sighting is None else poses_of([sighting[0].box()])
        features = looks_at(0)[:0] if sighting is None else looks_at(sighting[1])
        found = tracker.update(replace(poses, features=features), pts_seconds=i * STEP_SECONDS).tolist()
        ids.append(found[0] if found else None)
    return ids


def uncertainty(position: float, velocity: float, measured: float, *, at_start: tuple[float, float]) -> float:
    """The standard deviation at which one number of a box is expected after five sightings and a miss.

    A Kalman filter of that number and its change per frame; the second sighting is taken without a step.
    """
    step, noise = np.array([[1, 1], [0, 1]]), np.diag([position**2, velocity**2])
    covariance = np.diag(np.square(at_start))
    for frame in range(1, 7):
        if frame > 1:
            covariance = step @ covariance @ step.T + noise
        if frame < 5:
            gain = covariance[:, 0] / (covariance[0, 0] + measured**2)
            covariance = covariance - np.outer(gain, covariance[0])
    return float(np.sqrt(covariance[0, 0] + measured**2))


PIXELS = uncertainty(20, 2.5, 20, at_start=(40, 25))  # of a height of 400
SHAPE = uncertainty(1e-2, 1e-5, 1e-1, at_start=(1e-2, 1e-5))


@pytest.mark.parametrize("within", [True, False])
@pytest.mark.parametrize(
    "moved",
    [
        lambda sigmas: Person(x=500 + sigmas * PIXELS),
        lambda sigmas: Person(y=500 - sigmas * PIXELS),
        lambda sigmas: Person(height=400 + sigmas * PIXELS, width=0.4 * (400 + sigmas * PIXELS)),
        lambda sigmas: Person(width=400 * (0.4 + sigmas * SHAPE)),
        lambda sigmas: Person(x=500 + sigmas * PIXELS / 2**0.5, y=500 + sigmas * PIXELS / 2**0.5),
    ],
    ids=["across", "up", "growing", "wider", "aslant"],
)
def test_the_lost_are_found_within_the_gate(moved: Callable[[float], Person], within: bool) -> None:
    back = moved(9.4877**0.5 * (0.995 if within else 1.005))
    ids = ids_by_looks([(Person(), 0.0)] * 5 + [None, (back, 0.0)])
    assert ids == [0] * 5 + [None, 0 if within else 1]


@pytest.mark.parametrize("sigmas", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("alike", [True, False])
def test_looks_and_place_together_decide_about_the_lost(sigmas: float, alike: bool) -> None:
    distance = (0.7 - 0.02 * sigmas**2) / 0.98 + (-0.002 if alike else 0.002)
    back = (Person(x=500 + sigmas * PIXELS), float(np.arccos(1 - distance)))
    ids = ids_by_looks([(Person(), 0.0)] * 5 + [None, back])
    assert ids == [0] * 5 + [None, 0 if alike else 1]


@pytest.mark.parametrize(
    ("sightings", "shift", "expected"),
    [(2, 53.5, 0), (2, 53.9, 1), (1, 86.4, 0), (1, 87.0, 1)],
    ids=["in sight", "out of sight", "newcomer", "not the newcomer"],
)
def test_the_place_decides_where_looks_do_not(sightings: int, shift: float, expected: int) -> None:
    """Boxes of 161 by 401 pixels, both ends counted: an IoU of 0.5 at a shift of 53.7, of 0.3 at 86.7."""
    ids = ids_by_looks([(Person(), 0.0)] * sightings + [(Person(x=500 + shift), np.pi / 2)])
    assert ids == [0] * sightings + [expected]


@pytest.mark.parametrize(("shift", "expected"), [(13.0, 0), (13.1, 1)])
def test_a_double_is_at_the_same_place(shift: float, expected: int) -> None:
    """An IoU of 0.85 is reached at a shift of 13.05."""
    frames = [[Person(looks=1)], [Person(looks=1)], [], [Person(x=500 + shift, looks=2)]]
    assert ids_of(frames) == [[0], [0], [], [expected]]


@pytest.mark.parametrize(("sightings", "expected"), [(2, 0), (3, 1)])
def test_of_doubles_with_equal_histories_the_lost_one_stays(sightings: int, expected: int) -> None:
    beside = [[Person(x=520, looks=2)]] * (sightings - 1)
    ids = ids_of([[Person(looks=1)], [Person(looks=1)], [], *beside, [Person(looks=2)]])
    assert ids == [[0], [0], [], *[[1]] * (sightings - 1), [expected]]


def test_a_tracks_looks_follow_slowly() -> None:
    """A tenth of the way at each sighting: how often others' looks may be seen before one's own are forgotten."""
    angle, changed = 0.0, 0
    while 1 - np.cos(angle) <= 0.7 / 0.98:
        angle = np.arctan2(0.9 * np.sin(angle) + 0.1, 0.9 * np.cos(angle))
        changed += 1
    for times, expected in ((changed - 1, 0), (changed, 1)):
        ids = ids_by_looks([(Person(), 0.0)] * 3 + [(Person(), np.pi / 2)] * times + [None, (Person(), 0.0)])
        assert ids == [0] * (3 + times) + [None, expected]


def test_two_doubles_of_one_lost_keep_two_ids() -> None:
    both = [Person(x=497, looks=2), Person(x=503, looks=3)]
    assert ids_of([[Person(looks=1)], [Person(looks=1)], [], *[both] * 3]) == [[0], [0], [], *[[0, 1]] * 3]


def test_the_lost_do_not_shrink_on() -> None:
    sizes = [0.9**i for i in range(8)]
    walks_away = [(Person(height=400 * size, width=160 * size), 0.0) for size in sizes]
    ids = ids_by_looks([*walks_away, *[None] * 20, walks_away[-1]])
    assert ids == [0] * 8 + [None] * 20 + [0]
