"""Who dances: moment by moment, alone or together, and how sure that is."""

import numpy as np
import pytest

from choreai.motion.prominence import choose_dancers, main_tracks, moment_prominence
from choreai.motion.sequence import FramePeople, KeypointSequence
from choreai.motion.windows import WindowSettings, cut_windows
from choreai.style.dancers import measure_dancers

RATE = 15.0


class Person:
    """Somebody who stands at `x`, `size` pixels high, with arms that swing `speed` sizes a second while `moves`."""

    def __init__(self, x: float, *, size: float = 100, speed: float = 1.0, box_score: float = 0.5) -> None:
        self.x, self.size, self.speed, self.box_score = x, size, speed, box_score

    def keypoints(self, seconds: float, *, moves: bool) -> np.ndarray:
        body = np.random.default_rng(0).uniform(0, 1, (17, 2)) * [0.4, 1]
        swing = np.zeros((17, 2))
        swing[7:11, 0] = 0.3 * np.sin(2 * np.pi * seconds) * self.speed * moves
        return ((body + swing) * self.size + [self.x, 0]).astype(np.float32)

    @property
    def box(self) -> list[float]:
        return [self.x, 0, self.x + 0.4 * self.size, self.size]


def sequence_of(
    *people: Person, seconds: float = 6.0, turns: tuple[tuple[float, float], ...] = (), with_boxes: bool = True
) -> KeypointSequence:
    """Everybody is in view all the time, and moves in [start, stop) of `turns`, or always."""
    spans = turns or ((0.0, np.inf),) * len(people)

    def frame(index: int) -> FramePeople:
        now = index / RATE
        moving = [start <= now < stop for start, stop in spans]
        keypoints = [p.keypoints(now, moves=m) for p, m in zip(people, moving, strict=True)]
        boxes = np.array([p.box for p in people], np.float32)
        scores = np.array(
            [p.box_score if m else p.box_score / 4 for p, m in zip(people, moving, strict=True)], np.float32
        )
        return FramePeople(
            index,
            now,
            np.arange(len(people), dtype=np.int32),
            np.stack(keypoints),
            np.full((len(people), 17), 0.9, np.float32),
            box_xyxy=boxes if with_boxes else None,
            box_scores=scores if with_boxes else None,
        )

    return KeypointSequence.from_frames(frame(index) for index in range(round(seconds * RATE)))


def main_at(sequence: KeypointSequence, seconds: float) -> list[int]:
    """Who is a main dancer at this time."""
    here = np.isclose(sequence.pts_seconds, seconds, atol=0.01)
    return sequence.track_id[here & choose_dancers(sequence).is_main].tolist()


def test_of_a_dancer_and_an_onlooker_as_large_the_dancer_is_the_main_one_throughout() -> None:
    sequence = sequence_of(Person(0, speed=0.05, box_score=0.1), Person(200))
    choice = choose_dancers(sequence)
    np.testing.assert_array_equal(choice.is_main, sequence.track_id == 1)
    assert choice.confidence == 1


def test_in_a_battle_the_main_dancer_changes_with_the_turn() -> None:
    sequence = sequence_of(Person(0), Person(200), seconds=12.0, turns=((0.0, 6.0), (6.0, 12.0)))
    assert main_at(sequence, 2.0) == [0]
    assert main_at(sequence, 10.0) == [1]
    assert choose_dancers(sequence).confidence > 0.8


def test_two_who_dance_together_are_two_main_dancers_and_that_is_no_doubt() -> None:
    sequence = sequence_of(Person(0), Person(200, size=90), Person(400, speed=0.05, box_score=0.1))
    choice = choose_dancers(sequence)
    np.testing.assert_array_equal(choice.is_main, sequence.track_id < 2)
    assert choice.confidence == 1


def test_a_rival_for_less_than_half_of_the_time_makes_the_choice_less_sure() -> None:
    sequence = sequence_of(Person(0), Person(200, size=90), seconds=20.0, turns=((0.0, 20.0), (9.0, 11.0)))
    choice = choose_dancers(sequence)
    np.testing.assert_array_equal(choice.is_main, sequence.track_id == 0)
    assert 0.6 < choice.confidence < 0.95


def test_where_one_person_at_a_time_is_in_view_everybody_is_the_main_dancer() -> None:
    sequence = sequence_of(Person(0, speed=0.0))
    assert choose_dancers(sequence).is_main.all()
    assert choose_dancers(KeypointSequence.empty()).confidence == 1


def test_without_boxes_the_keypoints_tell_who_is_larger_and_moves() -> None:
    sequence = sequence_of(Person(0, speed=0.05), Person(200), with_boxes=False)
    np.testing.assert_array_equal(choose_dancers(sequence).is_main, sequence.track_id == 1)


def test_pixel_motion_in_the_box_score_decides_between_people_whose_limbs_look_alike() -> None:
    sequence = sequence_of(Person(0, box_score=0.1), Person(200, box_score=0.6))
    np.testing.assert_array_equal(choose_dancers(sequence).is_main, sequence.track_id == 1)


def test_prominence_of_a_moment_is_what_its_definition_says() -> None:
    sequence = sequence_of(Person(0), Person(200, size=60), seconds=4.0)
    found = moment_prominence(sequence)
    track, row = sequence.track(1), 20
    near = np.abs(track.pts_seconds - track.pts_seconds[row]) <= 1.5 + 1e-3
    relative = track.keypoints_xy - track.keypoints_xy[:, 11:13].mean(axis=1, keepdims=True)
    speed = np.linalg.norm(np.diff(relative, axis=0), axis=2).mean(axis=1) * RATE
    speeds = np.concatenate([speed[:1], speed])
    expected = near.sum() * 60 * (0.1 + min(np.percentile(speeds[near], 75) / 60, 3)) * 0.9 * 0.5
    assert found[sequence.track_id == 1][row] == pytest.approx(expected, rel=1e-4)


def test_keypoints_that_are_not_finite_do_not_spoil_the_choice() -> None:
    sequence = sequence_of(Person(0, speed=0.05, box_score=0.1), Person(200))
    sequence.keypoints_xy[sequence.frame_index % 3 == 0, :5] = np.nan
    sequence.keypoint_scores[sequence.frame_index == 7] = np.nan
    assert np.isfinite(moment_prominence(sequence)).all()
    np.testing.assert_array_equal(choose_dancers(sequence).is_main, sequence.track_id == 1)


def test_windows_and_the_main_dancer_come_from_who_dances_not_from_who_is_in_view() -> None:
    sequence = sequence_of(Person(0, size=120), Person(200), seconds=16.0, turns=((0.0, 6.0), (6.0, 16.0)))
    windows = cut_windows(sequence, WindowSettings())
    middles = (windows.start_seconds + windows.stop_seconds) / 2
    assert set(windows.track_id.tolist()) == {0, 1}
    assert middles[windows.track_id == 0].max() < 7
    assert middles[windows.track_id == 1].min() > 5
    assert windows.dancer_confidence > 0.8
    main = [dancer.track_id for dancer in measure_dancers(sequence) if dancer.is_main]
    assert main == [1]
    assert main_tracks(sequence) == [0, 1]


def test_a_long_video_is_judged_in_bounded_memory_and_time() -> None:
    sequence = sequence_of(Person(0), Person(200, speed=0.05, box_score=0.1), seconds=600.0)
    assert choose_dancers(sequence).is_main.sum() == len(sequence) // 2
