"""Kinematics: known movements give their known numbers, whatever the camera, the frame rate and the noise."""

from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from keypoint_sequences import sequence_from
from measured_dancers import CLIPS, TORSO, Array, clip, measure, numbers, plain, standing, times

from choreai.demo.dancers import STYLES, Dancer
from choreai.motion.kinematics import Kinematics, measure_kinematics
from choreai.motion.skeleton import MIRROR

LEFT_WRIST, RIGHT_WRIST = 9, 10
HIPS_AND_ABOVE = slice(0, 13)
FLOAT32 = 1e-4
"""Sequences hold float32 pixels: what rounding at another place in the picture does to a feature."""


# --- known movements ---


@pytest.mark.parametrize("frames_per_second", [8, 12.5, 29.97])
@pytest.mark.parametrize("frequency", [0.5, 1.0, 1.5])
def test_a_hand_on_a_circle_has_the_speed_and_acceleration_of_its_circle(
    frequency: float, frames_per_second: float
) -> None:
    t, radius = times(10, frames_per_second), 0.4
    xy = standing(len(t))
    phase = 2 * np.pi * frequency * t
    xy[:, LEFT_WRIST] += radius * TORSO * np.stack([np.cos(phase), np.sin(phase)], axis=1)
    found = measure(xy, frames_per_second)
    omega = 2 * np.pi * frequency
    assert found.left_hand_speed_mean == pytest.approx(omega * radius, rel=0.04)
    assert found.hands_speed_mean == pytest.approx(omega * radius / 2, rel=0.04)
    assert found.hands_acceleration_mean == pytest.approx(omega**2 * radius / 2, rel=0.05)
    assert found.left_hand_range == pytest.approx(2 * np.sqrt(2) * radius, rel=0.05)
    assert found.right_hand_speed_mean < 1e-6
    assert found.right_hand_range < 1e-6
    assert found.hands_still_share == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("frames_per_second", [8, 30])
@pytest.mark.parametrize("beats_per_minute", [82, 95, 110, 128])
def test_a_bounce_has_its_height_and_its_tempo(beats_per_minute: float, frames_per_second: float) -> None:
    t, height = times(10, frames_per_second), 0.2
    xy = standing(len(t))
    bounce = height * TORSO / 2 * np.sin(2 * np.pi * beats_per_minute / 60 * t)
    xy[:, HIPS_AND_ABOVE, 1] += bounce[:, None]
    found = measure(xy, frames_per_second)
    assert found.beats_per_minute == pytest.approx(beats_per_minute, rel=0.01)
    # The trajectory's response to this frequency, for a cutoff of 3 Hz.
    left = height / (1 + (beats_per_minute / 60 / 3) ** 6)
    assert found.bounce_height == pytest.approx(left, rel=0.05)
    assert found.hips_vertical_range == pytest.approx(left, rel=0.05)
    assert found.bounce_beat_strength > 0.95
    assert found.hips_horizontal_range < 1e-6


def test_half_and_double_tempo_are_the_same_tempo() -> None:
    t = times(10, 30)
    for frequency in (1.0, 2.0):
        xy = standing(len(t))
        xy[:, HIPS_AND_ABOVE, 1] += 10 * np.sin(2 * np.pi * frequency * t)[:, None]
        assert measure(xy, 30).beats_per_minute == pytest.approx(120, rel=0.01)


def test_random_fidgeting_has_a_weak_beat() -> None:
    rng = np.random.default_rng(0)
    strengths = [measure(standing(80) + rng.normal(0, 2, (80, 17, 2)), 8).beat_strength for _ in range(20)]
    assert np.max(strengths) < 0.15


def test_the_tempo_of_generated_dancers_is_found_for_nearly_all() -> None:
    right = []
    for style in STYLES:
        for seed in range(200, 212):
            truth = Dancer(style, seed).beats_per_minute
            right.append(abs(measure(clip(style, seed, 8), 8).beats_per_minute / truth - 1) < 0.08)
    assert np.mean(right) >= 0.9, right


def test_hands_that_mirror_each_other_differ_from_hands_that_do_the_opposite() -> None:
    t = times(6, 15)
    swing = 0.4 * TORSO * np.stack([np.sin(5 * t), np.cos(5 * t)], axis=1)
    together, opposite, one = standing(len(t)), standing(len(t)), standing(len(t))
    together[:, LEFT_WRIST] += swing
    together[:, RIGHT_WRIST] += swing * (-1, 1)
    opposite[:, LEFT_WRIST] += swing
    opposite[:, RIGHT_WRIST] -= swing * (-1, 1)
    one[:, LEFT_WRIST] += swing
    one[:, RIGHT_WRIST] += 0.25 * swing
    assert measure(together, 15).hands_mirror_correlation == pytest.approx(1)
    assert measure(opposite, 15).hands_mirror_correlation == pytest.approx(-1)
    assert measure(together, 15).hands_range_ratio == pytest.approx(1)
    assert measure(one, 15).hands_range_ratio == pytest.approx(0.25)


def test_angles_are_those_of_the_pose_in_the_picture_and_in_space() -> None:
    flat = standing(20)
    flat[:, 7], flat[:, LEFT_WRIST] = flat[:, 5] + (50, 0), flat[:, 5] + (50, -50)
    found = measure(flat, 8)
    assert found.left_elbow_degrees_mean == pytest.approx(90)
    assert found.right_elbow_degrees_mean == pytest.approx(180)
    assert found.left_knee_degrees_mean == pytest.approx(180)
    assert found.torso_lean_degrees_mean == pytest.approx(0, abs=1e-5)
    assert found.bent_elbows_share == 0.5
    assert found.bent_knees_share == 0
    xyz = np.concatenate([flat, np.zeros((20, 17, 1))], axis=2)
    xyz[:, LEFT_WRIST] = xyz[:, 7] + (0, 0, 50)  # towards the camera: bent too, which the picture cannot show
    xyz[:, 5:7, 2] += 100  # as far back as up
    deep = measure(standing(20), 8, xyz=xyz)
    assert deep.torso_lean_degrees_mean == pytest.approx(45)
    assert deep.left_elbow_degrees_mean != pytest.approx(found.left_elbow_degrees_mean)
    assert deep.reach_mean == measure(standing(20), 8).reach_mean


def test_crouching_lying_and_standing_on_the_hands_are_told_apart() -> None:
    stand, crouch, flip = standing(40), standing(40), standing(40)
    crouch[:, HIPS_AND_ABOVE, 1] += 0.9 * TORSO
    flip[..., 1] *= -1
    assert measure(stand, 8).hips_height_mean == pytest.approx(1.6)
    assert measure(crouch, 8).hips_height_mean == pytest.approx(0.7)
    assert (measure(stand, 8).low_hips_share, measure(crouch, 8).low_hips_share) == (0, 1)
    assert (measure(stand, 8).upside_down_share, measure(flip, 8).upside_down_share) == (0, 1)
    assert (measure(stand, 8).feet_contact_share, measure(stand, 8).hands_down_share) == (1, 0)
    assert measure(flip, 8).hands_down_share == 1


def test_heights_are_above_the_lower_foot() -> None:
    xy = standing(40)
    xy[:, 15, 1] -= 0.7 * TORSO  # a lifted foot
    found = measure(xy, 8)
    assert found.hips_height_mean == pytest.approx(1.6)
    assert found.head_height_mean == pytest.approx(2.95)
    assert found.feet_contact_share == 0.5


def test_travel_and_turns_are_counted() -> None:
    t = times(8, 15)
    walk, spin = standing(len(t)), standing(len(t))
    walk[..., 0] += 0.5 * TORSO * t[:, None]
    spin[..., 0] = 320 + (spin[..., 0] - 320) * np.cos(2 * np.pi * 0.5 * t)[:, None]  # a turn in two seconds
    assert measure(walk, 15).travel_speed_mean == pytest.approx(0.5, rel=0.01)
    assert measure(walk, 15).hips_speed_mean == pytest.approx(0.5, rel=0.01)
    assert measure(walk, 15).hands_speed_mean < 1e-6
    assert measure(walk, 15).half_turns_per_second == 0
    assert measure(spin, 15).half_turns_per_second == pytest.approx(1, rel=0.1)
    assert measure(spin, 15).back_turned_share == pytest.approx(0.5, abs=0.05)


# --- what must not matter ---


def test_size_and_place_in_the_picture_change_nothing() -> None:
    xy = clip("hiphop", 5, 8)
    moved = 2.5 * xy + (-300, 77)
    np.testing.assert_allclose(numbers(measure(moved, 8)), numbers(measure(xy, 8)), rtol=FLOAT32, atol=FLOAT32)


def test_the_mirror_image_swaps_left_and_right_and_changes_nothing_else() -> None:
    xy = clip("afrobeat", 5, 8)
    mirrored = (xy * (-1, 1) + (640, 0))[:, MIRROR]
    found, expected = asdict(measure(mirrored, 8)), asdict(measure(xy, 8))
    swapped = {"left": "right", "right": "left"}
    for name, value in found.items():
        side, _, rest = name.partition("_")
        other = f"{swapped[side]}_{rest}" if side in swapped else name
        assert value == pytest.approx(expected[other], rel=FLOAT32, abs=FLOAT32), name
    assert expected["left_hand_range"] != pytest.approx(expected["right_hand_range"], rel=1e-3)


def test_frames_out_of_time_order_are_put_in_order() -> None:
    xy, t = clip("hiphop", 6, 8), times(10, 8)
    order = np.random.default_rng(0).permutation(len(t))
    assert measure_kinematics(sequence_from(t[order], xy[order])) == measure(xy, 8)


def test_one_dancer_is_measured_at_a_time() -> None:
    both = sequence_from(times(2, 8), standing(16), track_id=np.repeat([3, 5], 8))
    with pytest.raises(ValueError, match=r"expected one track, got tracks \[3, 5\]"):
        measure_kinematics(both)
    assert measure_kinematics(both.track(5)).seconds == pytest.approx(7 / 8)


RELATIVE = (
    "body_speed_p95", "hands_speed_mean", "hands_speed_p95", "left_hand_range", "right_hand_range", "reach_mean",
    "expansion_mean", "width_mean", "hips_height_mean", "hands_spectral_arc_length", "hands_log_dimensionless_jerk",
    "beats_per_minute",
)  # fmt: skip
"""Headline features whose change is given as a fraction of the value."""
ABSOLUTE = ("hands_mirror_correlation", "hands_still_share", "hands_up_share", "bent_knees_share", "feet_contact_share")
"""And those, in [0, 1] or [-1, 1], whose change is given as it is."""


def assert_stable(
    changed: Callable[[str, int], Kinematics], plain: Callable[[str, int], Kinematics], limit: float
) -> None:
    """Each headline feature is within `limit` for nine in ten clips."""
    pairs = [(changed(*c), plain(*c)) for c in CLIPS]
    for feature in RELATIVE + ABSOLUTE:
        found, expected = np.array([[getattr(k, feature) for k in pair] for pair in pairs]).T
        change = np.abs(found - expected) / (np.abs(expected) if feature in RELATIVE else 1)
        change[np.isnan(found) & np.isnan(expected)] = 0  # no beat in either
        change[np.isnan(found) != np.isnan(expected)] = np.inf
        assert np.quantile(change, 0.9) < limit, (feature, change)


def test_8_frames_a_second_tell_what_30_do_within_18_percent() -> None:
    assert_stable(lambda s, k: plain(s, k, 8), lambda s, k: plain(s, k, 30), 0.18)


def test_15_frames_a_second_tell_what_30_do_within_8_percent() -> None:
    assert_stable(lambda s, k: plain(s, k, 15), lambda s, k: plain(s, k, 30), 0.08)


def test_4_frames_a_second_still_tell_what_30_do_within_45_percent() -> None:
    assert_stable(lambda s, k: plain(s, k, 4), lambda s, k: plain(s, k, 30), 0.45)


@pytest.mark.parametrize(("frames_per_second", "limit"), [(8, 0.25), (30, 0.06)])
def test_a_fifth_of_the_keypoints_may_be_missing(frames_per_second: int, limit: float) -> None:
    def holed(style: str, seed: int) -> Kinematics:
        xy = clip(style, seed, frames_per_second)
        missing = np.random.default_rng(seed).random(xy.shape[:2]) < 0.2
        # What a low score comes with must not matter: some are far off, some are not even numbers.
        xy = np.where(missing[:, :, None], [1e4, np.nan], xy)
        return measure(xy, frames_per_second, scores=np.where(missing, 0.05, 0.9))

    assert_stable(holed, lambda s, k: plain(s, k, frames_per_second), limit)


@pytest.mark.parametrize(("frames_per_second", "limit"), [(8, 0.15), (30, 0.07)])
def test_noise_of_two_percent_of_the_torso_is_smoothed_away(frames_per_second: int, limit: float) -> None:
    def noisy(style: str, seed: int) -> Kinematics:
        xy = clip(style, seed, frames_per_second)
        torso = np.median(np.linalg.norm((xy[:, 5] + xy[:, 6] - xy[:, 11] - xy[:, 12]) / 2, axis=1))
        return measure(xy + np.random.default_rng(seed).normal(0, 0.02 * torso, xy.shape), frames_per_second)

    assert_stable(noisy, lambda s, k: plain(s, k, frames_per_second), limit)


def test_irregular_times_tell_what_regular_ones_do() -> None:
    def irregular(style: str, seed: int) -> Kinematics:
        xy = clip(style, seed, 30)
        kept = np.sort(np.random.default_rng(seed).choice(len(xy), len(xy) // 2, replace=False))
        return measure_kinematics(sequence_from(times(10, 30)[kept], xy[kept]))

    assert_stable(irregular, lambda s, k: plain(s, k, 30), 0.18)


def test_a_misplaced_keypoint_is_no_movement() -> None:
    xy = standing(80)
    xy[[20, 50], LEFT_WRIST] += 8 * TORSO
    assert measure(xy, 8).left_hand_speed_mean < 1e-6


def test_nobody_moves_while_out_of_sight() -> None:
    t = np.concatenate([times(4, 10), 7 + times(4, 10)])
    xy = standing(80)
    xy[40:] += 500  # came back elsewhere
    found = measure_kinematics(sequence_from(t, xy))
    assert found.hips_speed_p95 < 1e-6
    assert found.seconds == pytest.approx(10.9)


# --- what cannot be told ---


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "xy",
    [np.zeros((0, 17, 2)), standing(1), np.full((50, 17, 2), np.nan), np.full((50, 17, 2), 7.0)],
    ids=["no rows", "one row", "nothing seen", "all in one point"],
)
def test_what_cannot_be_told_is_nan_and_null_in_a_table(xy: Array) -> None:
    found = measure(xy, 8)
    assert np.isnan(numbers(found)).all()
    assert [name for name, value in found.row().items() if value is not None] == ["seconds", "seen_share"]


@pytest.mark.filterwarnings("error")
def test_a_hidden_hand_leaves_the_other_features_alone() -> None:
    xy = clip("hiphop", 7, 8)
    scores = np.full(xy.shape[:2], 0.9)
    scores[:, LEFT_WRIST] = 0
    found, whole = measure(xy, 8, scores=scores), measure(xy, 8)
    assert np.isnan([found.left_hand_range, found.hands_mirror_correlation, found.left_elbow_degrees_mean]).all()
    assert found.hands_speed_mean == whole.right_hand_speed_mean
    assert found.bounce_height == whole.bounce_height
    assert found.seen_share == pytest.approx(16 / 17)


def test_a_row_goes_through_a_parquet_table(tmp_path: Path) -> None:
    found = [measure(clip("classical", 8, 8), 8), measure(standing(1), 8)]
    schema = pa.schema([(field.name, pa.float32()) for field in fields(Kinematics)])
    pq.write_table(pa.Table.from_pylist([k.row() for k in found], schema=schema), tmp_path / "kinematics.parquet")
    back = pq.read_table(tmp_path / "kinematics.parquet").to_pylist()
    assert back[0] == pytest.approx(found[0].row())
    assert back[1]["reach_mean"] is None
