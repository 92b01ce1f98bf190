"""Two dances side by side: moments that belong together are found, and what is danced otherwise is named."""

from dataclasses import replace

import numpy as np
import pytest
from keypoint_sequences import sequence_from

from choreai.arrays import FloatArray
from choreai.motion.comparison import Comparison, compare_dances
from choreai.motion.sequence import KeypointSequence
from choreai.motion.skeleton import KEYPOINT_NAMES, MIRROR

SECONDS = 12.0
LEFT_HAND = KEYPOINT_NAMES.index("left_wrist")


def dance(seconds: FloatArray, *, seed: int = 0) -> FloatArray:
    """(T, 17, 2) pixels of a dance at some of its times: each hand and foot on a way of its own."""
    rng = np.random.default_rng(seed)
    pose = np.zeros((17, 2))
    pose[:5] = (0, -90)
    pose[5:11] = (20, -60), (-20, -60), (40, -40), (-40, -40), (60, -50), (-60, -50)
    pose[11:] = (14, 0), (-14, 0), (14, 50), (-14, 50), (14, 100), (-14, 100)
    xy = np.tile(pose, (len(seconds), 1, 1))
    for joint, size in ((7, 8), (8, 8), (9, 30), (10, 30), (13, 8), (14, 8), (15, 20), (16, 20)):
        for axis in (0, 1):
            rates, phases = rng.uniform(0.1, 0.9, 4), rng.uniform(0, 2 * np.pi, 4)
            xy[:, joint, axis] += size / 2 * np.sin(2 * np.pi * rates * seconds[:, None] + phases).sum(axis=1)
    return (xy + 200).astype(np.float32)


def filmed(*, start: float = 0.0, stop: float = SECONDS, speed: float = 1.0, seed: int = 0) -> KeypointSequence:
    """A video of the dance from `start` to `stop`, 15 frames a second, danced `speed` times as fast."""
    times = np.arange(0, (stop - start) / speed, 1 / 15).astype(np.float32)
    rng = np.random.default_rng(9)
    xy = dance(start + speed * times, seed=seed)
    return sequence_from(times, xy + rng.normal(0, 1, xy.shape))


def in_mirror(sequence: KeypointSequence) -> KeypointSequence:
    xy = sequence.keypoints_xy[:, list(MIRROR)] * np.array([-1, 1], np.float32)
    return replace(sequence, keypoints_xy=xy + np.array([400, 0], np.float32))


def compared(one: KeypointSequence, other: KeypointSequence, *, mirrored: bool | None = None) -> Comparison:
    found = compare_dances(one, other, mirrored=mirrored)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("start", "speed", "mirrored"), [(0.0, 1.0, False), (1.7, 1.0, True), (2.0, 0.75, False), (0.0, 0.6, True)]
)
def test_moments_that_belong_together_are_found_at_any_speed_and_side(start, speed, mirrored) -> None:
    reference = filmed()
    take = filmed(start=start, speed=speed)
    found = compared(in_mirror(take) if mirrored else take, reference)
    assert found.mirrored == mirrored
    assert found.speed == pytest.approx(speed, rel=0.05)
    assert np.abs(found.other_seconds - (start + speed * found.seconds)).max() < 0.15
    assert (np.diff(found.other_seconds) >= 0).all()
    assert found.distance < 0.1
    assert not found.is_unlike
    assert found.worst() == []


def test_where_one_dances_otherwise_the_moment_and_the_part_are_named() -> None:
    take = filmed(start=1.0)
    wrong = (take.pts_seconds > 5) & (take.pts_seconds < 6)
    xy = take.keypoints_xy.copy()
    xy[wrong, LEFT_HAND, 1] += 120  # two torso lengths down
    worst = compared(replace(take, keypoints_xy=xy), filmed()).worst()
    assert len(worst) == 1
    assert worst[0].seconds == pytest.approx(5.5, abs=0.6)
    assert worst[0].other_seconds == pytest.approx(6.5, abs=0.6)
    assert (worst[0].part, worst[0].way) == ("left arm", "lower")
    assert worst[0].part_distance > 0.8


def test_who_comes_a_little_late_is_with_the_reference_all_the_same() -> None:
    times = np.arange(0, SECONDS, 1 / 15).astype(np.float32)
    late = times - 0.5 * np.sin(np.pi * times / SECONDS).astype(np.float32)
    found = compared(sequence_from(times, dance(late)), filmed())
    assert np.abs(found.other_seconds - np.interp(found.seconds, times, late)).max() < 0.2
    assert found.distance < 0.1


def test_another_dance_is_said_to_be_unlike() -> None:
    found = compared(filmed(seed=1), filmed())
    assert found.is_unlike
    assert found.distance > 0.15


def test_a_side_that_is_asked_for_is_kept_to() -> None:
    assert compared(filmed(), filmed(), mirrored=True).mirrored


@pytest.mark.parametrize("other", [KeypointSequence.empty(), filmed(stop=1.5)], ids=["nobody", "too short"])
def test_what_is_too_short_is_not_compared(other) -> None:
    assert compare_dances(filmed(), other) is None
    assert compare_dances(other, filmed()) is None


def test_a_dancer_of_whom_too_little_is_seen_is_not_compared() -> None:
    take = filmed()
    scores = np.zeros_like(take.keypoint_scores)
    scores[:, [5, 6, 11, 12]] = 0.9
    scores[:, [5, 6]] = 0.0
    assert compare_dances(replace(take, keypoint_scores=scores), filmed()) is None
