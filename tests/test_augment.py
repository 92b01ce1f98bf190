"""Variations leave a window a dance of the same style, and are the same for the same seed."""

import numpy as np
import pytest

from choreai.motion.skeleton import MIRROR, NUM_KEYPOINTS
from choreai.style import augment


@pytest.fixture
def plain(monkeypatch):
    """No variation at all; a test turns on the one it is about."""
    for name, value in {"MAX_STRETCH": 1.0, "MAX_SCALE": 1.0, "MAX_ROLL_DEGREES": 0.0, "NOISE": 0.0}.items():
        monkeypatch.setattr(augment, name, value)
    monkeypatch.setattr(augment, "MIRROR_SHARE", 0.0)
    return monkeypatch


def windows(num=6, num_steps=40) -> np.ndarray:
    """Windows in which keypoint k moves right with speed k + 1 and never down; scores are 0.5."""
    keypoints = np.full((num, num_steps, NUM_KEYPOINTS, 3), 0.5, np.float32)
    keypoints[..., 0] = np.arange(num_steps)[:, None] * (1 + np.arange(NUM_KEYPOINTS))
    return keypoints.reshape(num, num_steps, -1)


def varied(steps: np.ndarray, seed: int = 0) -> np.ndarray:
    return augment.vary(steps, np.random.default_rng(seed)).reshape(*steps.shape[:2], NUM_KEYPOINTS, 3)


def as_keypoints(steps: np.ndarray) -> np.ndarray:
    return steps.reshape(*steps.shape[:2], NUM_KEYPOINTS, 3)


def test_without_variations_windows_come_back_as_they_were(plain):
    np.testing.assert_allclose(varied(windows()), as_keypoints(windows()), rtol=1e-6)


def test_mirroring_swaps_left_and_right_and_turns_x(plain):
    plain.setattr(augment, "MIRROR_SHARE", 1.0)
    expected = as_keypoints(windows())[:, :, list(MIRROR)] * [-1, 1, 1]
    np.testing.assert_allclose(varied(windows()), expected, rtol=1e-6)


def test_a_stretch_changes_the_speed_within_its_bounds_and_keeps_the_end(plain):
    plain.setattr(augment, "MAX_STRETCH", 1.25)
    out = varied(windows(num=50))
    speed = out[:, -1, 0, 0] - out[:, -2, 0, 0]
    assert 0.79 < speed.min() < 0.9
    assert 1.1 < speed.max() < 1.26
    np.testing.assert_allclose(out[:, -1], as_keypoints(windows(num=50))[:, -1], rtol=1e-6)


def test_a_roll_keeps_distances(plain):
    plain.setattr(augment, "MAX_ROLL_DEGREES", 10.0)
    steps = windows()
    out, before = varied(steps)[..., :2], as_keypoints(steps)[..., :2]
    np.testing.assert_allclose(np.linalg.norm(out, axis=-1), np.linalg.norm(before, axis=-1), rtol=1e-5)
    assert np.abs(out - before).max() > 0.1


def test_scores_are_never_changed():
    assert (varied(windows())[..., 2] == 0.5).all()


def test_the_same_seed_varies_alike_and_the_input_stays():
    steps = windows()
    np.testing.assert_array_equal(varied(steps), varied(steps))
    assert not np.array_equal(varied(steps), varied(steps, seed=1))
    np.testing.assert_array_equal(steps, windows())
