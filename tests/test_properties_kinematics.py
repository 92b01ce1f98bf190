"""Kinematics are of the dancer and not of the camera: place and size in the picture do not matter."""

from dataclasses import asdict

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from keypoint_sequences import sequence_from
from moving_skeletons import STYLES, dancer_xy

from choreai.motion.kinematics import Kinematics, measure_kinematics


def kinematics_of(xy: np.ndarray, *, scale: float = 1.0, shift: tuple[float, float] = (0.0, 0.0)) -> Kinematics:
    moved = (xy.astype(np.float64) * scale + shift).astype(np.float32)
    return measure_kinematics(sequence_from(np.arange(len(xy)) / 10, moved))


@given(
    st.sampled_from(STYLES),
    st.integers(0, 20),
    st.floats(0.25, 8.0),
    st.tuples(st.floats(-500, 3000), st.floats(-500, 3000)),
)
def test_kinematics_do_not_change_with_place_and_size(
    style: str, seed: int, scale: float, shift: tuple[float, float]
) -> None:
    xy = dancer_xy(style, seed=seed)
    here, there = asdict(kinematics_of(xy)), asdict(kinematics_of(xy, scale=scale, shift=shift))
    for name, value in here.items():
        np.testing.assert_allclose(there[name], value, rtol=0.02, atol=0.02, err_msg=name)


@given(st.sampled_from(STYLES), st.integers(0, 20))
def test_a_mirrored_dancer_has_left_and_right_exchanged(style: str, seed: int) -> None:
    xy = dancer_xy(style, seed=seed)
    swapped = xy[:, [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]] * np.array([-1, 1], np.float32)
    here, there = kinematics_of(xy), kinematics_of(swapped)
    np.testing.assert_allclose(there.left_hand_range, here.right_hand_range, rtol=1e-3)
    np.testing.assert_allclose(there.body_speed_mean, here.body_speed_mean, rtol=1e-3)
