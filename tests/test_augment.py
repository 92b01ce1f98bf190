"""Variations leave a window a dance of the same style, and are the same for the same seed."""

import numpy as np
import pytest

from choreai.motion.kinematics import FEATURES
from choreai.motion.skeleton import MIRROR, NUM_KEYPOINTS
from choreai.style.examples import Inputs
from choreai.style.training import augment


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch):
    """No variation at all; a test turns on the one it is about."""
    for name in ("MAX_STRETCH", "MAX_SCALE"):
        monkeypatch.setattr(augment, name, 1.0)
    for name in (
        "MAX_ROLL_DEGREES",
        "MAX_TILT_DEGREES",
        "MAX_TURN_DEGREES",
        "NOISE",
        "MIRROR_SHARE",
        "NOISY_SHARE",
        "HIDDEN_SHARE",
    ):
        monkeypatch.setattr(augment, name, 0.0)
    return monkeypatch


def windows(num=6, num_steps=40) -> Inputs:
    """Windows in which keypoint k moves right with speed k + 1 and never down; scores are 0.5."""
    keypoints = np.full((num, num_steps, NUM_KEYPOINTS, 3), 0.5, np.float32)
    keypoints[..., 0] = np.arange(num_steps)[:, None] * (1 + np.arange(NUM_KEYPOINTS))
    steps = keypoints.reshape(num, num_steps, -1)
    kinematic_features = np.tile(np.arange(len(FEATURES), dtype=np.float32), (num, 1))
    return Inputs(steps, xyz=2 * steps, kinematic_features=kinematic_features)


def varied(inputs: Inputs, seed: int = 0) -> Inputs:
    return augment.vary(inputs, np.random.default_rng(seed))


def as_keypoints(array: np.ndarray) -> np.ndarray:
    return array.reshape(*array.shape[:2], NUM_KEYPOINTS, 3)


def test_without_variations_windows_come_back_as_they_were(plain) -> None:
    out, before = varied(windows()), windows()
    for name in ("steps", "xyz", "kinematic_features"):
        np.testing.assert_allclose(getattr(out, name), getattr(before, name), rtol=1e-6)


def test_mirroring_swaps_left_and_right_and_turns_x(plain) -> None:
    plain.setattr(augment, "MIRROR_SHARE", 1.0)
    out, before = varied(windows()), windows()
    for name in ("steps", "xyz"):
        expected = as_keypoints(getattr(before, name))[:, :, list(MIRROR)] * [-1, 1, 1]
        np.testing.assert_allclose(as_keypoints(getattr(out, name)), expected, rtol=1e-6)
    left, right = FEATURES.index("left_hand_range"), FEATURES.index("right_hand_range")
    assert (out.kinematic_features[:, left] == right).all()
    assert (out.kinematic_features[:, right] == left).all()
    unsided = [i for i, name in enumerate(FEATURES) if "left" not in name and "right" not in name]
    np.testing.assert_array_equal(out.kinematic_features[:, unsided], before.kinematic_features[:, unsided])


def test_some_windows_are_mirrored_and_others_not() -> None:
    hands = [FEATURES.index("left_hand_range"), FEATURES.index("right_hand_range")]
    found = varied(windows(num=200)).kinematic_features[:, hands]
    assert 70 < (found[:, 0] > found[:, 1]).sum() < 130


def test_a_stretch_changes_the_speed_within_its_bounds_and_keeps_the_end(plain) -> None:
    plain.setattr(augment, "MAX_STRETCH", 1.25)
    out, before = varied(windows(num=50)), windows(num=50)
    for name in ("steps", "xyz"):
        x = as_keypoints(getattr(out, name))[:, :, 0, 0]
        speed = (x[:, -1] - x[:, -2]) / as_keypoints(getattr(before, name))[:, 1, 0, 0]
        assert 0.79 < speed.min() < 0.9
        assert 1.1 < speed.max() < 1.26
        np.testing.assert_allclose(getattr(out, name)[:, -1], getattr(before, name)[:, -1], rtol=1e-6)


def test_a_pose_held_before_a_faster_window_counts_as_unseen(plain) -> None:
    plain.setattr(augment, "MAX_STRETCH", 1.25)
    steps = as_keypoints(varied(windows(num=50)).steps)
    unseen = ~steps[..., 2].any(axis=2)
    first_pose = steps[:, :, 0, 0] == 0
    assert 3 < unseen.sum(axis=1).max() <= 8  # of 40 steps, played 1.25 times as fast
    assert not (unseen & ~first_pose).any()
    assert (first_pose & ~unseen).sum(axis=1).max() == 1


def test_a_roll_keeps_distances(plain) -> None:
    plain.setattr(augment, "MAX_ROLL_DEGREES", 10.0)
    out, before = (as_keypoints(inputs.steps)[..., :2] for inputs in (varied(windows()), windows()))
    np.testing.assert_allclose(np.linalg.norm(out, axis=-1), np.linalg.norm(before, axis=-1), rtol=1e-5)
    assert np.abs(out - before).max() > 0.1


@pytest.mark.parametrize("name", ["MAX_TILT_DEGREES", "MAX_TURN_DEGREES"])
def test_turns_in_space_keep_distances_and_leave_the_picture(plain, name) -> None:
    plain.setattr(augment, name, 20.0)
    out, before = varied(windows()), windows()
    lengths = [np.linalg.norm(as_keypoints(inputs.xyz), axis=-1) for inputs in (out, before)]
    np.testing.assert_allclose(lengths[0], lengths[1], rtol=1e-5)
    assert np.abs(out.xyz - before.xyz).max() > 0.1
    np.testing.assert_allclose(out.steps, before.steps, rtol=1e-6)


def test_an_estimator_without_a_third_dimension_gets_none() -> None:
    inputs = Inputs(windows().steps, np.zeros_like(windows().steps), windows().kinematic_features)
    assert not varied(inputs).xyz.any()


def test_scores_of_what_is_shown_are_never_changed() -> None:
    scores = as_keypoints(varied(windows()).steps)[..., 2]
    assert set(np.unique(scores)) <= {0.0, 0.5}
    end = scores[:, 20:]  # a pose held in front is over by then
    assert (end == end[:, :1]).all()
    assert (end > 0).mean() > 0.8


def test_a_hidden_limb_lies_at_the_origin_unseen_all_the_time_in_the_share_of_windows(plain) -> None:
    plain.setattr(augment, "HIDDEN_SHARE", 0.2)
    out, before = varied(windows(num=1000)), windows(num=1000)
    hidden = as_keypoints(out.steps)[:, 0, :, 2] == 0
    for name in ("steps", "xyz"):
        expected = np.where(hidden[:, None, :, None], 0, as_keypoints(getattr(before, name)))
        np.testing.assert_allclose(as_keypoints(getattr(out, name)), expected, rtol=1e-6)
    assert 150 < hidden.any(axis=1).sum() < 250
    assert not hidden[:, [5, 6, 11, 12]].any()
    limbs = np.stack([hidden[:, limb].any(axis=1) for limb in augment.LIMB_KEYPOINTS], axis=1)
    assert set(limbs.sum(axis=1)) == {0, 1, 2}
    assert limbs.any(axis=0).all()
    for limb in augment.LIMB_KEYPOINTS:
        assert (hidden[:, limb].all(axis=1) == hidden[:, limb].any(axis=1)).all()


def test_some_windows_are_much_noisier_than_the_rest(plain) -> None:
    plain.setattr(augment, "NOISE", 0.02)
    plain.setattr(augment, "NOISY_SHARE", 0.3)
    out, before = varied(windows(num=200)), windows(num=200)
    for name in ("steps", "xyz"):
        x = as_keypoints(getattr(out, name) - getattr(before, name))[..., 0]
        spread = x.std(axis=(1, 2))
        assert 0.1 < spread.max() < 0.13
        assert spread.min() > 0.018
        assert 40 < (spread > 0.025).sum() < 75


def test_missing_kinematics_stay_missing() -> None:
    inputs = windows()
    inputs.kinematic_features[:, 3] = np.nan
    assert np.isnan(varied(inputs).kinematic_features[:, 3]).all()


def test_the_same_seed_varies_alike_and_the_input_stays() -> None:
    inputs = windows()
    first, again, other = varied(inputs), varied(inputs), varied(inputs, seed=1)
    for name in ("steps", "xyz", "kinematic_features"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        np.testing.assert_array_equal(getattr(inputs, name), getattr(windows(), name))
    assert not np.array_equal(first.steps, other.steps)
    assert not np.array_equal(first.xyz, other.xyz)


def test_types_stay_single_precision() -> None:
    out = varied(windows())
    assert {out.steps.dtype, out.xyz.dtype, out.kinematic_features.dtype} == {np.dtype(np.float32)}
