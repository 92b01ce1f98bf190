"""The population stability index against hand-made cases and against chance."""

import numpy as np
import pytest

from choreai.operations.drift import drift_of_counts, drift_of_values


def test_a_hand_made_case_has_its_known_index() -> None:
    # (0.5 - 0.4) ln(0.5 / 0.4) + (0.5 - 0.6) ln(0.5 / 0.6)
    drift = drift_of_counts("style", {"a": 400, "b": 600}, {"a": 50, "b": 50})
    assert drift is not None
    assert drift.psi == pytest.approx(0.1 * np.log(1.25) - 0.1 * np.log(0.5 / 0.6))
    assert (drift.num_reference, drift.num_now) == (1000, 100)
    assert drift.band == "stable"


def test_the_same_values_do_not_drift() -> None:
    values = np.random.default_rng(0).normal(size=3000).astype(np.float32)
    drift = drift_of_values("score", values, values)
    assert drift is not None
    assert drift.psi == 0
    assert drift.band == "stable"


@pytest.mark.parametrize(("shift", "band"), [(0.05, "stable"), (0.4, "shifting"), (1.0, "shifted")])
def test_the_usual_bands_hold_for_many_videos(shift, band) -> None:
    random = np.random.default_rng(1)
    before, now = random.normal(size=(2, 20_000)).astype(np.float32)
    drift = drift_of_values("score", before, now + np.float32(shift))
    assert drift is not None
    assert drift.band == band


def test_what_few_videos_show_by_chance_is_called_chance_about_19_times_of_20() -> None:
    random = np.random.default_rng(2)
    bands = []
    for _ in range(400):
        before, now = random.normal(size=(2, 60)).astype(np.float32)
        drift = drift_of_values("tempo", before, now)
        assert drift is not None
        bands.append(drift.band)
    assert bands.count("chance") > 200  # sixty videos a night look like drift most nights
    assert 0.01 < sum(band in ("shifting", "shifted") for band in bands) / len(bands) < 0.12


def test_values_that_are_not_known_are_a_bin_of_their_own() -> None:
    before = np.ones(1000, np.float32)
    now = np.where(np.arange(1000) < 500, np.nan, 1).astype(np.float32)
    drift = drift_of_values("tempo", before, now)
    assert drift is not None
    assert drift.band == "shifted"
    unknown = np.full(10, np.nan, np.float32)
    same = drift_of_values("tempo", unknown, unknown)
    assert same is not None
    assert same.psi == 0


def test_a_style_that_is_new_or_gone_has_a_finite_index() -> None:
    drift = drift_of_counts("style", {"a": 500, "gone": 500}, {"a": 500, "new": 500})
    assert drift is not None
    assert np.isfinite(drift.psi)
    assert drift.band == "shifted"


def test_nothing_to_compare_is_none() -> None:
    assert drift_of_counts("style", {}, {"a": 1}) is None
    assert drift_of_values("score", np.ones(3, np.float32), np.zeros(0, np.float32)) is None
