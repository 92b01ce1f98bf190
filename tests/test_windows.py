"""Windows: from keypoint rows to what a style model reads."""

import numpy as np
import numpy.typing as npt
import pytest
from keypoint_sequences import sequence_from

from choreai.motion.kinematics import FEATURES
from choreai.motion.skeleton import LEFT_HIP, LEFT_SHOULDER, NUM_KEYPOINTS, RIGHT_HIP, RIGHT_SHOULDER
from choreai.motion.windows import Windows, WindowSettings, cut_windows

Array = npt.NDArray[np.float64]
SETTINGS = WindowSettings(num_steps=100, window_seconds=6.0, stride_seconds=2.0, min_seconds=2.0)
LEFT_WRIST = 9


def standing(num_rows: int, *, height: float = 200.0) -> Array:
    """(N, 17, 2) a person who does not move: torso 0.3 of the height, hips at (320, 180)."""
    pose = np.zeros((NUM_KEYPOINTS, 2))
    pose[:5] = (0, -0.45)
    pose[[LEFT_SHOULDER, RIGHT_SHOULDER]] = (0.1, -0.3), (-0.1, -0.3)
    pose[7:11] = (0.2, -0.2), (-0.2, -0.2), (0.25, -0.1), (-0.25, -0.1)
    pose[[LEFT_HIP, RIGHT_HIP]] = (0.07, 0), (-0.07, 0)
    pose[13:] = (0.07, 0.25), (-0.07, 0.25), (0.07, 0.5), (-0.07, 0.5)
    return np.tile(pose * height + (320, 180), (num_rows, 1, 1))


def cut(
    seconds: Array,
    xy: Array,
    *,
    scores: Array | float = 0.9,
    track_id: npt.NDArray[np.int32] | None = None,
    xyz: Array | None = None,
    settings: WindowSettings = SETTINGS,
) -> Windows:
    rows = sequence_from(seconds, xy, scores=scores, xyz=xyz, track_id=0 if track_id is None else track_id)
    return cut_windows(rows, settings)


def xy_of(windows: Windows) -> npt.NDArray[np.float32]:
    """(W, T, 17, 2)."""
    return windows.steps.reshape(*windows.steps.shape[:2], NUM_KEYPOINTS, 3)[..., :2]


@pytest.mark.parametrize("frames_per_second", [5, 7.5, 10, 29.97])
def test_ten_seconds_give_three_windows_at_any_sampling_rate(frames_per_second: float) -> None:
    seconds = np.arange(round(10 * frames_per_second)) / frames_per_second
    windows = cut(seconds, standing(len(seconds)))
    assert windows.steps.shape == (3, 100, 51)
    np.testing.assert_allclose(windows.start_seconds, [0, 2, 4])
    np.testing.assert_allclose(windows.stop_seconds, [6, 8, 10])


def test_a_moving_keypoint_is_where_it_was_at_each_step_whatever_the_frame_times() -> None:
    rng = np.random.default_rng(0)
    seconds = np.sort(rng.uniform(0, 9, 200))
    seconds[0], seconds[-1] = 0, 9
    xy = standing(len(seconds))
    xy[:, LEFT_WRIST, 0] = 320 + 10 * seconds  # pixels; the torso is 60
    windows = cut(seconds, xy)
    steps = np.arange(100) * 0.06
    for window, start in zip(xy_of(windows), windows.start_seconds, strict=True):
        np.testing.assert_allclose(window[:, LEFT_WRIST, 0], 10 * (start + steps) / 60, atol=1e-4)


def test_place_and_size_in_the_picture_do_not_matter() -> None:
    seconds = np.arange(60) / 10
    near, far = standing(60, height=400), standing(60, height=50)
    near += (200, -30)
    np.testing.assert_allclose(cut(seconds, near).steps, cut(seconds, far).steps, atol=1e-4)


def test_travel_within_a_window_is_kept() -> None:
    seconds = np.arange(60) / 10
    xy = standing(60)
    xy[:, :, 0] += 30 * seconds[:, None]  # half a torso a second
    hips = xy_of(cut(seconds, xy))[0, :, [LEFT_HIP, RIGHT_HIP], 0].mean(axis=0)
    assert hips[-1] - hips[0] == pytest.approx(0.5 * 5.9, abs=0.01)
    assert np.median(hips) == pytest.approx(0, abs=0.05)


def test_scores_are_the_third_channel_and_stay_between_0_and_1() -> None:
    seconds = np.arange(60) / 10
    scores = np.full((60, NUM_KEYPOINTS), 0.5)
    scores[:, 0], scores[:, 1] = 1.3, -0.1  # a raw heatmap maximum may exceed 1
    channel = cut(seconds, standing(60), scores=scores).steps.reshape(100, NUM_KEYPOINTS, 3)[..., 2]
    assert (channel[:, 0] == 1).all()
    assert (channel[:, 1] == 0).all()
    np.testing.assert_allclose(channel[:, 2:], 0.5)


def test_a_keypoint_scored_low_is_interpolated_from_its_neighbours_in_time() -> None:
    seconds = np.arange(60) / 10
    clean = standing(60)
    clean[:, LEFT_WRIST, 1] = 180 + 5 * seconds
    astray, scores = clean.copy(), np.full((60, NUM_KEYPOINTS), 0.9)
    astray[20:24, LEFT_WRIST] = 5000
    scores[20:24, LEFT_WRIST] = 0.05
    np.testing.assert_allclose(xy_of(cut(seconds, astray, scores=scores)), xy_of(cut(seconds, clean)), atol=1e-4)


def test_values_that_are_not_finite_never_come_out() -> None:
    seconds = np.arange(60) / 10
    xy, scores = standing(60), np.full((60, NUM_KEYPOINTS), 0.9)
    xy[3] = np.nan
    xy[10:20, LEFT_HIP, 1] = np.inf
    xy[:, 16] = np.nan
    scores[30, 4] = np.nan
    windows = cut(seconds, xy, scores=scores)
    assert len(windows) == 1
    assert np.isfinite(windows.steps).all()
    assert (xy_of(windows)[0, :, 16] == 0).all()


def test_nothing_seen_gives_no_window_and_is_counted() -> None:
    seconds = np.arange(100) / 10
    windows = cut(seconds, np.full((100, NUM_KEYPOINTS, 2), np.nan))
    assert (len(windows), windows.num_unseen) == (0, 3)
    assert cut(seconds, standing(100), scores=0.01).num_unseen == 3
    assert cut(seconds, np.full((100, NUM_KEYPOINTS, 2), 7.0)).num_unseen == 3


def test_no_rows_give_no_windows() -> None:
    windows = cut(np.zeros(0), np.zeros((0, NUM_KEYPOINTS, 2)))
    assert windows.steps.shape == (0, 100, 51)
    assert (windows.num_short, windows.num_unseen) == (0, 0)


def test_a_short_track_is_padded_in_front_with_its_first_pose() -> None:
    seconds = 1.0 + np.arange(30) / 10
    xy = standing(30)
    xy[:, LEFT_WRIST, 0] += np.arange(30)
    windows = cut(seconds, xy)
    assert len(windows) == 1
    wrist = xy_of(windows)[0, :, LEFT_WRIST, 0]
    assert np.ptp(wrist[:50]) == 0  # 3 s of dance behind 3 s of waiting
    assert (np.diff(wrist[51:98]) > 0).all()
    np.testing.assert_allclose([windows.start_seconds[0], windows.stop_seconds[0]], [1, 4], atol=1e-5)


def test_a_track_below_the_minimum_gives_no_window_and_is_counted() -> None:
    windows = cut(np.arange(19) / 10, standing(19))
    assert (len(windows), windows.num_short) == (0, 1)


def test_windows_never_cross_a_gap_or_a_track() -> None:
    seconds = np.concatenate([np.arange(60) / 10, 6.6 + np.arange(60) / 10])
    xy = standing(120)
    xy[60:, LEFT_WRIST, 0] += 100
    across_gap = cut(seconds, xy)
    assert len(across_gap) == 2
    other_track = cut(np.arange(120) / 10, xy, track_id=np.repeat([0, 1], 60).astype(np.int32))
    assert other_track.track_id.tolist() == [0, 1]
    for windows in (across_gap, other_track):
        assert np.ptp(xy_of(windows)[:, :, LEFT_WRIST, 0], axis=1).max() < 1e-5


def test_a_blink_shorter_than_the_largest_gap_does_not_split_a_track() -> None:
    seconds = np.delete(np.arange(60) / 10, slice(20, 23))
    assert len(cut(seconds, standing(57))) == 1


def moving(num_rows: int, *, torsos_per_second: float, height: float = 200.0) -> Array:
    """(N, 17, 2) at 10 rows a second, somebody whose wrists go up and down."""
    xy = standing(num_rows, height=height)
    xy[:, 9:11, 1] += 0.3 * height * torsos_per_second * 0.1 * (np.arange(num_rows) % 2)[:, None]
    return xy


def test_all_dancers_give_windows_and_passers_by_none() -> None:
    seconds = np.concatenate([np.arange(100), np.arange(100), np.arange(30)]) / 10
    tracks = np.repeat([4, 7, 9], [100, 100, 30]).astype(np.int32)
    assert cut(seconds, standing(230), track_id=tracks).track_id.tolist() == [4, 4, 4, 7, 7, 7]


def test_who_dances_gives_windows_and_not_who_stands_there_as_long_and_as_large() -> None:
    seconds, tracks = np.tile(np.arange(100) / 10, 2), np.repeat([0, 1], 100).astype(np.int32)
    xy = np.concatenate([standing(100), moving(100, torsos_per_second=20)])
    assert set(cut(seconds, xy, track_id=tracks).track_id.tolist()) == {1}


def test_a_dancer_far_behind_is_no_dancer_and_one_half_as_large_is() -> None:
    seconds, tracks = np.tile(np.arange(100) / 10, 3), np.repeat([0, 1, 2], 100).astype(np.int32)
    people = [moving(100, torsos_per_second=20, height=height) for height in (400, 200, 80)]
    assert set(cut(seconds, np.concatenate(people), track_id=tracks).track_id.tolist()) == {0, 1}


def in_space(num_rows: int, *, turn_degrees: float = 0.0, scale: float = 0.5) -> Array:
    """(N, 17, 3) the standing person, left wrist forward (-z), turned about the vertical, in other units."""
    pose = np.concatenate([standing(1)[0] - (320, 180), np.zeros((NUM_KEYPOINTS, 1))], axis=1) / 60
    pose[LEFT_WRIST, 2] = -1.0
    angle = np.radians(turn_degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.tile(scale * pose @ np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]]), (num_rows, 1, 1))


def test_coordinates_in_space_tell_neither_the_heading_nor_the_unit() -> None:
    seconds = np.arange(60) / 10
    expected = cut(seconds, standing(60), xyz=in_space(60)).xyz.reshape(-1, NUM_KEYPOINTS, 3)
    np.testing.assert_allclose(expected[0, LEFT_WRIST, 2], -1.0, atol=1e-5)
    assert expected[0, LEFT_SHOULDER, 0] > 0.1
    np.testing.assert_allclose(expected[0, RIGHT_HIP] + expected[0, LEFT_HIP], 0, atol=1e-5)
    for turn in (40, 170, 280):
        turned = cut(seconds, standing(60), xyz=in_space(60, turn_degrees=turn, scale=2.0)).xyz
        np.testing.assert_allclose(turned.reshape(-1, NUM_KEYPOINTS, 3), expected, atol=1e-5)


def test_a_turn_within_a_window_is_kept() -> None:
    xyz = np.concatenate([in_space(35), in_space(25, turn_degrees=90)])
    found = cut(np.arange(60) / 10, standing(60), xyz=xyz).xyz.reshape(100, NUM_KEYPOINTS, 3)
    to_left = found[:, LEFT_SHOULDER] - found[:, RIGHT_SHOULDER]
    np.testing.assert_allclose(to_left[10, [0, 2]], [to_left[10, 0], 0], atol=1e-5)
    assert abs(to_left[-10, 0]) < 1e-5 < abs(to_left[-10, 2])


def test_without_coordinates_in_space_they_are_zeros() -> None:
    windows = cut(np.arange(60) / 10, standing(60))
    assert windows.xyz.shape == windows.steps.shape
    assert not windows.xyz.any()


def test_steps_before_a_short_track_have_no_scores() -> None:
    windows = cut(1.0 + np.arange(30) / 10, standing(30))
    scores = windows.steps.reshape(100, NUM_KEYPOINTS, 3)[..., 2]
    assert not scores[:49].any()
    assert (scores[51:] > 0).all()


def test_the_context_is_of_the_track_around_the_window_and_not_of_others() -> None:
    seconds = np.arange(300) / 10
    xy = standing(300)
    xy[150:] = moving(150, torsos_per_second=8)
    settings = WindowSettings(num_steps=45, window_seconds=3, stride_seconds=3, min_seconds=2, context_seconds=6)
    windows = cut(seconds, xy, settings=settings)
    speed = windows.kinematic_features[:, FEATURES.index("hands_speed_mean")]
    assert len(windows) == 10
    assert speed[:4].max() < 0.01 < 0.5 < speed[6:].min()
    beside = np.concatenate([xy, moving(150, torsos_per_second=8), standing(150)])
    both = cut(np.tile(seconds, 2), beside, track_id=np.repeat([0, 1], 300).astype(np.int32), settings=settings)
    np.testing.assert_array_equal(both.kinematic_features[both.track_id == 0], windows.kinematic_features)


def test_the_context_of_the_last_window_is_as_long_as_that_of_the_middle_one() -> None:
    seconds = np.arange(300) / 10
    settings = WindowSettings(num_steps=45, window_seconds=3, stride_seconds=3, min_seconds=2, context_seconds=9)
    xy = standing(300)
    xy[210:230] = moving(20, torsos_per_second=8)  # from second 21 to 23: within the last 9 seconds
    speed = cut(seconds, xy, settings=settings).kinematic_features[:, FEATURES.index("hands_speed_mean")]
    assert speed[-1] == pytest.approx(speed[-2], rel=0.3)
    assert speed[-1] > 0.1


def test_frames_out_of_time_order_are_put_in_order() -> None:
    seconds = np.arange(60) / 10
    xy = standing(60) + np.sin(seconds)[:, None, None] * 20
    shuffled = np.random.default_rng(1).permutation(60)
    np.testing.assert_array_equal(cut(seconds, xy).steps, cut(seconds[shuffled], xy[shuffled]).steps)


def test_a_torso_seen_end_on_does_not_blow_up_the_scale() -> None:
    seconds = np.arange(60) / 10
    xy = standing(60)
    xy[:, [LEFT_SHOULDER, RIGHT_SHOULDER]] = xy[:, [LEFT_HIP, RIGHT_HIP]] + 1
    assert np.abs(xy_of(cut(seconds, xy))).max() < 3


def test_a_keypoint_gone_astray_is_clipped() -> None:
    xy = standing(60)
    xy[30, LEFT_WRIST] = 1e6
    assert np.abs(xy_of(cut(np.arange(60) / 10, xy))).max() == 6


def test_rows_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="keypoints_xy must be"):
        cut(np.arange(5.0), np.zeros((5, 16, 2)))
    with pytest.raises(ValueError, match="keypoints_xyz must be"):
        cut(np.arange(5.0), standing(5), xyz=np.zeros((5, 17, 2)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": 1}, "num_steps"),
        ({"window_seconds": 0.0}, "window_seconds"),
        ({"stride_seconds": float("nan")}, "stride_seconds"),
        ({"min_seconds": 7.0}, "must not exceed"),
        ({"min_score": 1.5}, "min_score"),
        ({"context_seconds": 0.0}, "context_seconds"),
    ],
)
def test_impossible_settings_are_refused(changes: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowSettings(**changes)  # type: ignore[arg-type]
