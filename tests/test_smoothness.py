"""Smoothness: the values of theory and of the measures' authors, and what makes a movement less smooth."""

import numpy as np
import numpy.typing as npt
import pytest

from choreai.motion.smoothness import log_dimensionless_jerk, spectral_arc_length

Array = npt.NDArray[np.float64]


STEP = 0.005


def minimum_jerk(seconds: Array, *, start: float = 0.0, duration: float = 1.0) -> Array:
    """Speed of a minimum-jerk movement of length 1 (Flash & Hogan 1985)."""
    t = np.clip((seconds - start) / duration, 0, 1)
    return 30 * t**2 * (1 - t) ** 2 / duration


def smoothness(speed: Array) -> Array:
    return np.array([spectral_arc_length(speed, step_seconds=STEP), log_dimensionless_jerk(speed, step_seconds=STEP)])


def test_both_measures_give_the_values_their_authors_print_for_a_bell_of_speed() -> None:
    t = np.arange(-1, 1, 0.01)
    speed = np.exp(-5 * t**2)
    assert spectral_arc_length(speed, step_seconds=0.01) == pytest.approx(-1.41403, abs=1e-5)
    assert log_dimensionless_jerk(speed, step_seconds=0.01) == pytest.approx(-5.81636, abs=1e-5)


def test_a_minimum_jerk_movement_has_the_dimensionless_jerk_of_theory() -> None:
    # Integral of squared jerk 720 A^2 / T^5, peak speed 1.875 A / T.
    found = log_dimensionless_jerk(minimum_jerk(np.arange(0, 1, 0.0005)), step_seconds=0.0005)
    assert found == pytest.approx(-np.log(720 / 1.875**2), abs=0.01)


@pytest.mark.parametrize("duration", [0.5, 1.0, 3.0])
def test_smoothness_knows_neither_the_size_nor_the_duration_of_a_movement(duration: float) -> None:
    speed = minimum_jerk(np.arange(0, duration, STEP), duration=duration)
    np.testing.assert_allclose(smoothness(speed), smoothness(minimum_jerk(np.arange(0, 1, STEP))), rtol=0.03)
    np.testing.assert_allclose(smoothness(7 * speed), smoothness(speed), rtol=1e-9)


def test_more_tremor_is_less_smooth() -> None:
    t = np.arange(0, 1, STEP)
    found = [smoothness(minimum_jerk(t) * (1 + a * np.sin(2 * np.pi * 6 * t))) for a in (0, 0.1, 0.2, 0.4, 0.8)]
    assert (np.diff(found, axis=0) < 0).all(), found


def test_more_submovements_are_less_smooth() -> None:
    found = []
    for num in (1, 2, 3, 4, 6):
        t = np.arange(0, 0.6 * (num - 1) + 1, STEP)
        found.append(smoothness(sum((minimum_jerk(t, start=0.6 * i) for i in range(num)), np.zeros_like(t))))
    assert (np.diff(found, axis=0) < 0).all(), found


def test_what_does_not_move_has_no_smoothness() -> None:
    assert np.isnan(smoothness(np.zeros(100))).all()
    with pytest.raises(ValueError, match="three values"):
        log_dimensionless_jerk(np.zeros(2), step_seconds=1)
    with pytest.raises(ValueError, match="two values"):
        spectral_arc_length(np.zeros(1), step_seconds=1)
