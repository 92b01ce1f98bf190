"""Keypoint sequences: what is taken in, and what of it comes back by person, by time and at another rate."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keypoint_sequences import sequence_from

from choreai.motion.sequence import FramePeople, KeypointSequence


def frame(index: int, tracks: list[int], *, rate: float = 10.0, with_xyz: bool = False) -> FramePeople:
    """One frame in which each track stands at x = 100 * track + index."""
    xy = np.zeros((len(tracks), 17, 2), np.float32)
    xy[..., 0] = np.array(tracks, np.float32)[:, None] * 100 + index
    scores = np.full((len(tracks), 17), 0.5, np.float32)
    xyz = np.zeros((len(tracks), 17, 3), np.float32) if with_xyz else None
    return FramePeople(index, index / rate, np.array(tracks, np.int32), xy, scores, xyz)


videos = st.lists(st.sets(st.integers(0, 4)), max_size=12).map(
    lambda people: [frame(index, sorted(tracks)) for index, tracks in enumerate(people)]
)


def test_arrays_that_do_not_fit_are_refused() -> None:
    good = KeypointSequence.from_frames([frame(0, [0])])
    with pytest.raises(ValueError, match=r"keypoints_xy must be \(1, 17, 2\) float32, got \(1, 17, 3\) float32"):
        KeypointSequence(
            good.frame_index, good.pts_seconds, good.track_id, np.zeros((1, 17, 3), np.float32), good.keypoint_scores
        )
    with pytest.raises(ValueError, match=r"pts_seconds must be \(1,\) float32, got \(1,\) float64"):
        KeypointSequence(
            good.frame_index, np.zeros(1), good.track_id, good.keypoints_xy, good.keypoint_scores  # type: ignore[arg-type]
        )  # fmt: skip


@pytest.mark.parametrize(("tracks", "frames"), [([1, 0], [0, 0]), ([0, 0], [1, 0]), ([0, 0], [1, 1])])
def test_rows_out_of_order_or_there_twice_are_refused(tracks: list[int], frames: list[int]) -> None:
    with pytest.raises(ValueError, match="sorted by track_id and frame_index"):
        KeypointSequence(
            np.array(frames, np.int32),
            np.zeros(2, np.float32),
            np.array(tracks, np.int32),
            np.zeros((2, 17, 2), np.float32),
            np.zeros((2, 17), np.float32),
        )


def test_a_video_with_nobody_is_empty() -> None:
    assert len(KeypointSequence.empty()) == 0
    assert KeypointSequence.empty().track_ids == []
    assert list(KeypointSequence.empty().tracks()) == []
    assert len(KeypointSequence.empty().resampled(25)) == 0


@given(videos)
def test_every_pose_belongs_to_one_track(frames: list[FramePeople]) -> None:
    sequence = KeypointSequence.from_frames(frames)
    tracks = dict(sequence.tracks())
    assert sum(len(track) for track in tracks.values()) == len(sequence) == sum(len(f[2]) for f in frames)
    for track_id, track in tracks.items():
        assert set(track.track_id) == {track_id}
        assert np.all(track.keypoints_xy[..., 0] == 100 * track_id + track.frame_index[:, None])


@given(videos, st.randoms(use_true_random=False))
def test_the_order_in_which_frames_come_does_not_matter(frames: list[FramePeople], random: Random) -> None:
    shuffled = list(frames)
    random.shuffle(shuffled)
    one, other = KeypointSequence.from_frames(frames), KeypointSequence.from_frames(shuffled)
    assert np.array_equal(one.keypoints_xy, other.keypoints_xy)
    assert np.array_equal(one.pts_seconds, other.pts_seconds)


@given(videos, st.floats(0, 2), st.floats(0, 2))
def test_time_is_cut_into_halves_without_loss(frames: list[FramePeople], cut: float, other: float) -> None:
    sequence = KeypointSequence.from_frames(frames)
    parts = [sequence.between(0, cut), sequence.between(cut, 9)]
    assert sum(map(len, parts)) == len(sequence)
    assert all(part.pts_seconds.max() < cut for part in parts[:1] if len(part))


def test_a_start_is_within_and_a_stop_is_not() -> None:
    sequence = KeypointSequence.from_frames([frame(index, [0]) for index in range(5)])
    assert sequence.between(0.1, 0.3).frame_index.tolist() == [1, 2]


def test_a_track_that_is_not_there_is_empty() -> None:
    assert len(KeypointSequence.from_frames([frame(0, [0, 2])]).track(1)) == 0


def test_3d_is_there_where_every_frame_with_people_has_it() -> None:
    whole = [frame(0, [0], with_xyz=True), frame(1, []), frame(2, [0], with_xyz=True)]
    assert KeypointSequence.from_frames(whole).keypoints_xyz is not None
    assert KeypointSequence.from_frames([*whole, frame(3, [0])]).keypoints_xyz is None


@given(st.lists(st.integers(0, 3), min_size=2, max_size=8, unique=True))
def test_at_its_own_rate_a_sequence_stays_as_it_is(tracks: list[int]) -> None:
    sequence = KeypointSequence.from_frames([frame(index, sorted(tracks), with_xyz=True) for index in range(7)])
    again = sequence.resampled(10)
    assert np.array_equal(again.frame_index, sequence.frame_index)
    assert np.array_equal(again.track_id, sequence.track_id)
    np.testing.assert_allclose(again.keypoints_xy, sequence.keypoints_xy, atol=1e-3)


def test_between_samples_a_movement_is_straight() -> None:
    twice = KeypointSequence.from_frames([frame(index, [0]) for index in range(5)]).resampled(20)
    np.testing.assert_allclose(twice.pts_seconds, np.arange(9) / 20, atol=1e-6)
    np.testing.assert_allclose(twice.keypoints_xy[:, 0, 0], np.arange(9) / 2, atol=1e-3)


def test_a_long_absence_stays_open() -> None:
    sequence = KeypointSequence.from_frames([frame(index, [0]) for index in (0, 1, 12, 13)])
    assert sequence.resampled(10).frame_index.tolist() == [0, 1, 12, 13]
    assert len(sequence.resampled(10, max_gap_seconds=2.0)) == 14


def test_an_unseen_keypoint_stays_unseen() -> None:
    middle = frame(1, [0])
    hidden = middle.keypoints_xy.copy()
    hidden[:, 3] = np.nan
    sequence = KeypointSequence.from_frames([frame(0, [0]), middle._replace(keypoints_xy=hidden), frame(2, [0])])
    again = sequence.resampled(20)
    assert np.isnan(again.keypoints_xy[1:4, 3]).all()
    assert np.isfinite(again.keypoints_xy[:, 4]).all()


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_must_be_positive(rate: float) -> None:
    with pytest.raises(ValueError, match="frames_per_second must be positive"):
        KeypointSequence.empty().resampled(rate)


def test_after_an_hour_times_still_fall_on_their_samples() -> None:
    frames = [frame(index, [0], rate=15.0) for index in (54_000, 54_001, 54_020, 54_021)]
    again = KeypointSequence.from_frames(frames).resampled(15)
    assert again.frame_index.tolist() == [54_000, 54_001, 54_020, 54_021]


def test_a_moment_has_each_person_once_and_nobody_from_further_away() -> None:
    seconds, tracks = np.array([0.0, 0.1, 0.2, 0.1, 0.9]), np.array([0, 0, 0, 1, 1])
    sequence = sequence_from(seconds, np.zeros((5, 17, 2)), track_id=tracks)
    people = sequence.at(0.15, tolerance_seconds=0.06)
    assert people.track_ids == [0, 1]
    assert people.pts_seconds.tolist() == pytest.approx([0.1, 0.1])
    assert len(sequence.at(0.5, tolerance_seconds=0.06)) == 0
