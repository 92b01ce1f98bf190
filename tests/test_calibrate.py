"""Calibration: temperature, threshold, calibration error; and novelty, what a model does not know."""

import json
from dataclasses import replace

import numpy as np
import pytest
from everyday_skeletons import everyday_xy
from keypoint_sequences import sequence_from
from made_predictions import calibrated_predictions, predictions_of

from choreai.demo.dancers import STYLES, clip_keypoints
from choreai.motion.kinematics import FEATURES, measure_kinematics
from choreai.style.evaluation.calibrate import (
    MIN_SCORE,
    calibrate,
    calibration_error_by_chance,
    choose_threshold,
    cross_fitted_probabilities,
    cross_fitted_tagged,
    equal_mass_calibration_error,
    expected_calibration_error,
    fit_temperature,
    probabilities,
    reliability,
    risk_coverage,
    share_interval,
)
from choreai.style.novelty import Novelty, cross_fitted_novel, fit_novelty, leave_styles_out, rank_area
from choreai.style.predictions import Predictions


def tops(predictions: Predictions) -> np.ndarray:
    return cross_fitted_probabilities(predictions).max(axis=1)


# ---- temperature and error ----


@pytest.mark.parametrize(("sharpness", "temperature"), [(1.0, 1.0), (2.5, 2.5), (0.5, 0.5)])
def test_the_temperature_undoes_confidence_that_is_too_high_or_too_low(sharpness: float, temperature: float) -> None:
    predictions = calibrated_predictions(4000, seed=1, sharpness=sharpness)
    found = fit_temperature(predictions.video_log_scores, predictions.label_index)
    assert found == pytest.approx(temperature, rel=0.08)
    assert expected_calibration_error(tops(predictions), predictions.is_right) < 0.02
    assert equal_mass_calibration_error(tops(predictions), predictions.is_right) < 0.025


def test_scores_that_are_too_high_have_a_calibration_error() -> None:
    predictions = calibrated_predictions(4000, seed=1, sharpness=2.5)
    raw = probabilities(predictions.video_log_scores, temperature=1.0).max(axis=1)
    assert expected_calibration_error(raw, predictions.is_right) > 0.08
    assert equal_mass_calibration_error(raw, predictions.is_right) > 0.08


def test_the_calibration_error_of_a_hand_made_case() -> None:
    scores = np.array([0.95, 0.95, 0.95, 0.95, 0.65, 0.65])
    is_right = np.array([True, True, True, False, True, False])
    # (4 |3/4 - 0.95| + 2 |1/2 - 0.65|) / 6
    assert expected_calibration_error(scores, is_right) == pytest.approx(1.1 / 6)


def test_a_dozen_videos_without_a_mistake_do_not_make_the_model_certain() -> None:
    predictions = predictions_of(np.full((12, 3), 0.2) + 0.4 * np.eye(3)[[0, 1, 2] * 4], [0, 1, 2] * 4)
    assert tops(predictions).max() < 0.999
    assert tops(predictions).min() > 0.6


def test_a_perfect_model_shows_by_chance_what_it_is_said_to_show() -> None:
    draws = [calibrated_predictions(150, seed=seed) for seed in range(40)]
    raw = [probabilities(p.video_log_scores, temperature=1.0).max(axis=1) for p in draws]
    shown = np.mean([expected_calibration_error(s, p.is_right) for s, p in zip(raw, draws, strict=True)])
    expected = np.mean([calibration_error_by_chance(s, seed=0, num_draws=50) for s in raw])
    assert shown == pytest.approx(expected, rel=0.1)
    assert expected > 0.04  # far from nothing, with 150 videos


def test_reliability_bins_hold_equally_many_and_equal_scores_stay_together() -> None:
    scores = np.linspace(0.4, 1, 200)
    bins = reliability(scores, scores > 0.5)
    assert [b.num for b in bins] == pytest.approx([200 / 15] * 15, abs=1)
    assert [bins[0].accuracy, bins[-1].accuracy] == [0, 1]
    assert bins[0].mean_score == pytest.approx(0.4 + 0.6 * 6 / 199, abs=0.002)
    same = reliability(np.full(200, 0.8), np.arange(200) < 100)
    assert [(b.num, b.accuracy) for b in same] == [(200, 0.5)]


# ---- cross-fitting ----


def test_what_a_fold_gets_does_not_depend_on_its_own_labels() -> None:
    predictions = calibrated_predictions(100, seed=3, sharpness=2.0)
    own = predictions.fold == 2
    flipped = np.where(own, (predictions.label_index + 1) % 3, predictions.label_index)
    other = replace(predictions, label_index=flipped)
    before, after = cross_fitted_probabilities(predictions), cross_fitted_probabilities(other)
    np.testing.assert_array_equal(before[own], after[own])
    assert np.abs(before[~own] - after[~own]).max() > 1e-3
    tagged = [cross_fitted_tagged(p, target_precision=0.8) for p in (predictions, other)]
    np.testing.assert_array_equal(tagged[0][own], tagged[1][own])
    assert (tagged[0] != tagged[1]).any()


def test_predictions_of_one_fold_cannot_be_cross_fitted() -> None:
    with pytest.raises(ValueError, match="two folds"):
        cross_fitted_probabilities(calibrated_predictions(20, seed=0, num_folds=1))


# ---- threshold ----


def test_the_threshold_lies_where_the_precision_is_reached() -> None:
    scores = np.linspace(0.99, 0.6, 40)
    is_right = np.arange(40) < 30
    threshold = choose_threshold(scores, is_right, target_precision=0.9)
    # (30 + 1/2) / (n + 1) >= 0.9 up to n = 32
    assert (scores >= threshold).sum() == 32


@pytest.mark.parametrize("target", [0.8, 0.85, 0.9])
def test_tags_on_new_videos_reach_about_the_precision_that_was_asked_for(target: float) -> None:
    known, new = calibrated_predictions(1500, seed=5), calibrated_predictions(4000, seed=6)
    found = calibrate(known, target_precision=target)
    tagged = probabilities(new.video_log_scores, temperature=found.temperature).max(axis=1) >= found.unknown_below
    assert new.is_right[tagged].mean() == pytest.approx(target, abs=0.025)
    assert tagged.mean() == pytest.approx(found.coverage, abs=0.06)
    assert found.precision_interval is not None
    assert found.precision_interval[0] < target < found.precision_interval[1]


def test_a_tag_that_is_likelier_wrong_than_right_is_never_given() -> None:
    predictions = calibrated_predictions(500, seed=2)
    assert calibrate(predictions, target_precision=0.01).unknown_below == pytest.approx(MIN_SCORE, abs=0.02)


def test_where_no_threshold_reaches_the_precision_everything_is_unknown() -> None:
    coin = predictions_of(np.full((60, 3), 1 / 3) + [[0.3, -0.15, -0.15]] * 60, [0, 1, 2] * 20)
    found = calibrate(coin, target_precision=0.9)
    assert (found.unknown_below, found.coverage, found.precision) == (1.0, 0.0, None)


@pytest.mark.parametrize("target", [0.0, 1.0, 90.0])
def test_a_precision_that_is_no_share_is_refused(target: float) -> None:
    with pytest.raises(ValueError, match="target_precision"):
        calibrate(calibrated_predictions(20, seed=0), target_precision=target)


def test_risk_against_coverage_of_a_hand_made_case() -> None:
    curve = risk_coverage(np.array([0.5, 0.9, 0.7, 0.7]), np.array([False, True, True, False]))
    assert curve.coverage == (0.25, 0.75, 1.0)  # two videos of one score come together
    assert curve.risk == pytest.approx((0, 1 / 3, 1 / 2))
    assert curve.area == pytest.approx(0.5 * (1 / 3) + 0.25 * 0.5)


def test_an_interval_of_a_share_is_clopper_and_pearsons() -> None:
    assert share_interval(9, 10) == pytest.approx((0.5550, 0.9975), abs=1e-4)
    assert share_interval(10, 10) == pytest.approx((0.6915, 1.0), abs=1e-4)
    assert share_interval(0, 10) == pytest.approx((0.0, 0.3085), abs=1e-4)


# ---- novelty ----


def kinematics(xy: np.ndarray, frames_per_second: float) -> list[float]:
    measured = measure_kinematics(sequence_from(np.arange(len(xy)) / frames_per_second, xy))
    return [getattr(measured, name) for name in FEATURES]


@pytest.fixture(scope="module")
def dancers() -> Predictions:
    """Generated dancers, eight of each style."""
    contexts = [
        kinematics(clip_keypoints(style=style, seed=seed, duration_seconds=6.0, frames_per_second=10), 10)
        for seed in range(10)
        for style in STYLES
    ]
    labels = [i % len(STYLES) for i in range(len(contexts))]
    scores = np.full((len(contexts), len(STYLES)), 0.1) + 0.7 * np.eye(len(STYLES))[labels]
    return predictions_of(scores, labels, labels=STYLES, kinematic_features=np.array(contexts, np.float32))


@pytest.fixture(scope="module")
def novelty(dancers: Predictions) -> Novelty:
    found = fit_novelty(dancers)
    assert found is not None
    return found


@pytest.mark.parametrize("kind", ["past", "towards", "standing"])
def test_people_who_walk_or_stand_are_novel(novelty: Novelty, kind: str) -> None:
    people = np.array([kinematics(everyday_xy(kind, seed=seed), 10) for seed in range(10)])
    assert novelty.is_novel(people).mean() >= 0.9


def test_dancers_that_were_not_trained_on_are_not_novel(novelty: Novelty, dancers: Predictions) -> None:
    others = np.array(
        [
            kinematics(clip_keypoints(style=style, seed=seed, duration_seconds=6.0, frames_per_second=10), 10)
            for seed in range(100, 104)
            for style in STYLES
        ]
    )
    assert novelty.is_novel(others).mean() <= 0.2
    assert cross_fitted_novel(dancers).mean() <= 0.15


def test_a_video_of_which_nothing_is_known_is_novel(novelty: Novelty) -> None:
    assert novelty.is_novel(np.full((1, len(FEATURES)), np.nan))[0]


def test_a_distance_counts_ratios_where_features_are_never_negative() -> None:
    rng = np.random.default_rng(0)
    speeds = np.exp(rng.normal(0, 0.3, (200, 1)))
    leans = rng.normal(0, 1.0, (200, 1))
    found = fit_novelty(
        predictions_of(
            np.full((200, 3), 1 / 3), [0] * 200, kinematic_features=np.hstack([speeds, leans]).astype(np.float32)
        )
    )
    assert found is not None
    assert found.is_log == (True, False)
    half, double, far = found.distances(np.array([[0.5, 0.0], [2.0, 0.0], [0.02, 0.0]]))
    assert half == pytest.approx(double, rel=0.15)
    assert far > 2 * half
    # sqrt((ln 2 / 0.3)^2 / 2 features)
    assert half == pytest.approx(np.log(2) / 0.3 / np.sqrt(2), rel=0.2)


def test_a_feature_that_was_always_told_is_missed() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 4)).astype(np.float32)
    features[::2, 3] = np.nan
    found = fit_novelty(predictions_of(np.full((100, 3), 1 / 3), [0] * 100, kinematic_features=features))
    assert found is not None
    told, without_first, without_last = found.distances(
        np.array([[0, 0, 0, 0], [np.nan, 0, 0, 0], [0, 0, 0, np.nan]], np.float32)
    )
    assert without_first > told + 1
    assert without_last < told + 0.7


def test_novelty_survives_json(novelty: Novelty) -> None:
    back = Novelty.from_dict(json.loads(json.dumps(novelty.to_dict(), allow_nan=False)))
    assert back == novelty


@pytest.mark.parametrize("change", [{"mean": [0.0]}, {"precision": [[float("nan")]]}, {"limit": None}, {"centers": 3}])
def test_other_json_is_no_novelty(novelty: Novelty, change: dict[str, object]) -> None:
    with pytest.raises((ValueError, TypeError)):
        Novelty.from_dict(novelty.to_dict() | change)


def test_features_of_another_release_are_refused(novelty: Novelty) -> None:
    with pytest.raises(ValueError, match="kinematic_features must be"):
        novelty.distances(np.zeros((2, 3)))


def test_a_few_videos_give_no_idea_of_what_is_ordinary(dancers: Predictions) -> None:
    few = dancers.videos_where(np.arange(len(dancers)) < 10)
    assert fit_novelty(few) is None
    assert not cross_fitted_novel(few).any()
    assert leave_styles_out(few) == ()


def test_a_style_far_from_the_others_is_noticed_when_it_is_left_out() -> None:
    rng = np.random.default_rng(0)
    label_index = np.arange(150) % 3
    features = rng.normal(size=(150, 6)) + 8.0 * (label_index == 2)[:, None]
    scores = np.full((150, 3), 1 / 3)
    found = leave_styles_out(predictions_of(scores, label_index, kinematic_features=features.astype(np.float32)))
    assert [s.label for s in found] == ["breaking", "locking", "popping"]
    assert found[2].auroc > 0.99
    assert found[2].refused_share > 0.95
    assert found[0].auroc == pytest.approx(0.5, abs=0.15)


def test_the_area_under_the_roc_curve_counts_ties_half() -> None:
    assert rank_area(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0])) == pytest.approx((1 + 1.5 + 2) / 6)
