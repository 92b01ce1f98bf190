"""Evaluation: predictions and their table, bootstrap, scorecards, baselines, and all of it together."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_predictions import LABELS, calibrated_predictions, predictions_of

from choreai.errors import TableError
from choreai.natural_order import natural_key
from choreai.style.evaluation.baselines import (
    kinematic_regression,
    leaky_regression,
    majority,
    mean_pose_regression,
    mean_score_regression,
    mean_speed_regression,
)
from choreai.style.evaluation.bootstrap import Resamples
from choreai.style.evaluation.calibrate import probabilities
from choreai.style.evaluation.evaluate import evaluate
from choreai.style.evaluation.scorecard import Scorecard, f1_scores, score_windows
from choreai.style.predictions import Predictions, mean_by_video, read_predictions, write_predictions

SURE = {"a": [0.8, 0.1, 0.1], "b": [0.1, 0.8, 0.1], "c": [0.1, 0.1, 0.8]}


def said(styles: str) -> list[list[float]]:
    """Probabilities that favour the style named by each letter."""
    return [SURE[style] for style in styles]


def windowed(num_videos: int, *, windows: int = 3, seed: int = 0) -> Predictions:
    """Videos of three classes with several windows, about 70 % right."""
    rng = np.random.default_rng(seed)
    video = np.repeat(np.arange(num_videos), windows)
    label_index = np.arange(num_videos) % 3
    logits = rng.normal(size=(len(video), 3)) + 1.2 * np.eye(3)[label_index[video]]
    log_scores = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    starts = np.tile(np.arange(windows), num_videos).astype(np.float32) + 10
    return Predictions(
        labels=LABELS,
        video_ids=tuple(f"clip_{i}" for i in range(num_videos)),
        groups=tuple(f"dancer_{i // 2}" for i in range(num_videos)),
        label_index=label_index,
        fold=np.arange(num_videos) // 2 % 5,
        window_log_scores=log_scores.astype(np.float32),
        window_video=video,
        window_start_seconds=starts,
        window_stop_seconds=starts + 3,
        kinematic_features=rng.normal(size=(num_videos, 4)).astype(np.float32),
    )


def scorecard(predictions: Predictions) -> Scorecard:
    """Of videos, whatever their folds, at temperature 1."""
    return score_windows(
        probabilities(predictions.video_log_scores, temperature=1.0),
        predictions.label_index,
        np.arange(len(predictions)),
        predictions.labels,
        resamples=Resamples.draw(predictions, seed=0),
        seed=0,
    )


# ---- predictions ----


def test_a_videos_log_scores_are_the_mean_of_its_windows() -> None:
    predictions = windowed(4)
    expected = [predictions.window_log_scores[predictions.window_video == v].mean(axis=0) for v in range(4)]
    np.testing.assert_allclose(predictions.video_log_scores, expected, rtol=1e-5)


def test_means_leave_out_what_is_unknown() -> None:
    values = np.array([[1, np.nan], [3, np.nan], [5, 6]], np.float32)
    means = mean_by_video(values, np.array([0, 0, 1]), num_videos=2)
    np.testing.assert_array_equal(means, [[2, np.nan], [5.0, 6]])


def test_predictions_come_back_from_their_table_and_anybody_can_read_it(store_uri: str) -> None:
    predictions = windowed(6)
    uri = f"{store_uri}/predictions.parquet"
    write_predictions(uri, predictions)
    back = read_predictions(uri)
    for name in ("labels", "video_ids", "groups"):
        assert getattr(back, name) == getattr(predictions, name)
    for name in (
        "label_index",
        "fold",
        "window_log_scores",
        "window_video",
        "window_stop_seconds",
        "kinematic_features",
    ):
        np.testing.assert_array_equal(getattr(back, name), getattr(predictions, name))


def test_other_tables_are_no_predictions(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    for content in (b"no parquet", _parquet_of({"video_id": ["a"]})):
        path.write_bytes(content)
        with pytest.raises(TableError, match="not the predictions"):
            read_predictions(str(path))


def _parquet_of(columns: dict[str, list[str]]) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ("a",)}, "two or more different"),
        ({"label_index": np.array([0, 1, 3, 0])}, "label_index must be 0 to 2"),
        ({"fold": np.array([0, 1])}, r"fold must be \(4,\)"),
        ({"window_video": np.zeros(12, np.int64)}, "each of the 4 videos"),
        ({"window_log_scores": np.ones((12, 3), np.float32)}, "logarithms of probabilities"),
        ({"window_log_scores": np.full((12, 3), -np.inf, np.float32)}, "logarithms of probabilities"),
        ({"groups": ("a", "b")}, "groups"),
        ({"video_ids": ("a", "a", "b", "c")}, "different"),
    ],
)
def test_predictions_that_do_not_fit_together_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(windowed(4), **change)  # type: ignore[arg-type]


def test_videos_without_a_chosen_window_are_gone() -> None:
    predictions = windowed(5)
    part = predictions.windows_where(np.isin(predictions.window_video, [1, 4]) & (predictions.window_stop_seconds < 15))
    assert part.video_ids == ("clip_1", "clip_4")
    assert part.groups == ("dancer_0", "dancer_2")
    assert part.window_video.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(part.label_index, predictions.label_index[[1, 4]])


# ---- scorecards ----


def test_a_scorecard_of_a_hand_made_case() -> None:
    card = scorecard(predictions_of(said("aabba"), [0, 0, 0, 1, 1]))
    assert card.confusion == ((2, 1, 0), (1, 1, 0), (0, 0, 0))
    assert (card.num, card.accuracy.value) == (5, 0.6)
    a, b, never = card.classes
    assert [e.value for e in (a.precision, a.recall, a.f1)] == pytest.approx([2 / 3, 2 / 3, 2 / 3])
    assert [e.value for e in (b.precision, b.recall, b.f1)] == pytest.approx([1 / 2, 1 / 2, 1 / 2])
    assert [e.value for e in (never.precision, never.recall, never.f1)] == [0, 0, 0]
    assert (a.num, b.num, never.num) == (3, 2, 0)
    assert card.macro_f1.value == pytest.approx((2 / 3 + 1 / 2) / 3)
    assert card.nll.value == pytest.approx(-(3 * np.log(0.8) + 2 * np.log(0.1)) / 5, rel=1e-5)
    right, wrong = 0.2**2 + 2 * 0.1**2, 0.9**2 + 0.8**2 + 0.1**2
    assert card.brier.value == pytest.approx((3 * right + 2 * wrong) / 5, rel=1e-5)


def test_windows_count_one_by_one_but_are_drawn_with_their_video() -> None:
    predictions = windowed(60)
    resamples = Resamples.draw(predictions, seed=0)
    of_window = predictions.window_video
    probabilities = np.exp(predictions.window_log_scores)
    card = score_windows(
        probabilities, predictions.label_index[of_window], of_window, LABELS, resamples=resamples, seed=0
    )
    is_right = probabilities.argmax(axis=1) == predictions.label_index[of_window]
    assert card.num == 180
    assert card.accuracy.value == pytest.approx(is_right.mean())
    counts = resamples.counts[7, resamples.unit]
    expected = (counts[of_window] * is_right).sum() / counts[of_window].sum()
    sums = resamples.sums(np.stack([np.bincount(of_window, is_right), np.full(60, 3)], axis=1))
    assert sums[7, 0] / sums[7, 1] == pytest.approx(expected, rel=1e-5)
    assert card.accuracy.low < is_right.mean() < card.accuracy.high


def test_f1_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import confusion_matrix, f1_score

    rng = np.random.default_rng(0)
    labels, styles = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    ours = f1_scores(confusion_matrix(labels, styles).astype(np.float64))
    np.testing.assert_allclose(ours, f1_score(labels, styles, average=None))


# ---- bootstrap ----


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = []
    for seed in range(80):
        rng = np.random.default_rng([seed, 7])
        right = rng.random(90) < 0.8
        predictions = predictions_of(said("".join("a" if r else "b" for r in right)), [0] * 90)
        accuracy = Resamples.draw(predictions, seed=seed).estimate_mean(right.astype(np.float64))
        covered.append(accuracy.low <= 0.8 <= accuracy.high)
    assert 0.88 <= np.mean(covered) <= 0.99


def test_drawing_groups_gives_wider_intervals_than_drawing_videos() -> None:
    # Ten groups of ten videos; in each all are right, or all are wrong.
    right = np.repeat([True, True, True, True, False, True, True, False, True, True], 10)
    styles = "".join("a" if r else "b" for r in right)
    widths = {}
    for name, groups in {"groups": np.repeat(np.arange(10), 10), "videos": np.arange(100)}.items():
        predictions = predictions_of(said(styles), [0] * 100, groups=[f"g{g}" for g in groups])
        resamples = Resamples.draw(predictions, seed=0)
        assert resamples.description == name
        estimate = resamples.estimate_mean(right.astype(np.float64))
        widths[name] = estimate.high - estimate.low
    assert widths["groups"] > 2.5 * widths["videos"]


def test_groups_are_drawn_whole_and_classes_keep_their_number_of_groups() -> None:
    label_index = np.repeat([0, 1], 30)
    groups = [f"g{i // 5}" for i in range(60)]  # six of each class
    resamples = Resamples.draw(predictions_of(said("a" * 60), label_index, groups=groups), seed=1)
    units = resamples.unit.reshape(12, 5)
    assert (units == units[:, :1]).all()
    by_group = resamples.counts[:, units[:, 0]]
    assert (by_group[:, :6].sum(axis=1) == 6).all()
    assert (by_group[:, 6:].sum(axis=1) == 6).all()
    assert len({tuple(row) for row in by_group.tolist()}) > 1000


def test_a_class_of_few_groups_is_drawn_in_blocks_and_named() -> None:
    label_index = np.repeat([0, 1], [30, 30])
    groups = [f"g{i // 5}" for i in range(30)] + ["one source"] * 30
    resamples = Resamples.draw(predictions_of(said("a" * 60), label_index, groups=groups), seed=1)
    assert resamples.description == "groups; locking (fewer than 5 groups) by blocks of 5 consecutive videos"
    blocks = resamples.unit[30:].reshape(6, 5)
    assert (blocks == blocks[:, :1]).all()
    assert len(np.unique(blocks)) == 6


def test_blocks_follow_the_natural_order_of_ids() -> None:
    names = [f"1002_{start}_10" for start in (5, 1000, 20, 300, 115, 99)]
    assert sorted(names, key=natural_key) == [f"1002_{start}_10" for start in (5, 20, 99, 115, 300, 1000)]
    predictions = replace(predictions_of(said("a" * 6), [0] * 6, groups=["1002"] * 6), video_ids=tuple(names))
    unit = Resamples.draw(predictions, seed=0).unit
    assert unit[1] not in unit[[0, 2, 3, 4, 5]]  # the sixth in time starts a new block
    assert len(set(unit[[0, 2, 3, 4, 5]])) == 1


def test_without_a_mistake_the_interval_still_has_a_width() -> None:
    card = scorecard(predictions_of(said("abc" * 10), [0, 1, 2] * 10))
    assert card.accuracy.value == card.accuracy.high == 1
    assert card.accuracy.low == pytest.approx(0.025 ** (1 / 30))
    assert card.classes[0].recall.low == pytest.approx(0.025 ** (1 / 10))


# ---- baselines ----


def test_the_majority_baseline_answers_with_the_commonest_class_of_the_other_folds() -> None:
    like = predictions_of(said("a" * 10), [1, 1, 1, 1, 1, 1, 0, 0, 2, 2])
    baseline = majority(like)
    assert (baseline.video_log_scores.argmax(axis=1) == 1).all()
    first_fold = np.exp(baseline.window_log_scores[0])  # videos 0 and 5, both of class 1, are not counted
    np.testing.assert_allclose(first_fold, np.array([2.5, 4.5, 2.5]) / 9.5, rtol=1e-5)


def _steps(poses: np.ndarray, speeds: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """(W, 20, 51) windows with the first keypoint at x = pose, shaking with the speed, seen with the score."""
    steps = np.zeros((len(poses), 20, 17, 3), np.float32)
    steps[:, :, 0, 0] = poses[:, None]
    steps[:, :, 0, 2] = scores[:, None]
    steps[:, ::2, 0, 1], steps[:, 1::2, 0, 1] = speeds[:, None], -speeds[:, None]
    return steps.reshape(len(poses), 20, 51)


@pytest.mark.parametrize("told_by", ["pose", "speed", "score", "kinematics"])
def test_each_regression_finds_what_it_can_see_and_nothing_else(told_by: str) -> None:
    like = windowed(60)
    rng = np.random.default_rng(0)
    told, *noise = rng.normal(size=(4, len(like.window_video)))
    told = like.label_index[like.window_video] + 0.1 * told
    shown = dict(zip(("pose", "speed", "score"), noise, strict=True)) | {told_by: told}
    steps = _steps(shown["pose"], np.abs(shown["speed"]), shown["score"])
    features = rng.normal(size=(len(told), 3)).astype(np.float32)
    if told_by == "kinematics":
        features[:, 1] = told
    features[::7, 0] = np.nan
    found = {
        "pose": mean_pose_regression(like, steps),
        "speed": mean_speed_regression(like, steps),
        "score": mean_score_regression(like, steps),
        "kinematics": kinematic_regression(like, features),
    }
    assert found[told_by].is_right.mean() > 0.95
    assert all(found[name].is_right.mean() < 0.6 for name in found.keys() - {told_by})


def test_a_regression_never_sees_the_fold_that_it_predicts() -> None:
    like = windowed(60)
    marks = np.eye(60, dtype=np.float32)[like.window_video]  # only a look at the video itself tells its label
    assert kinematic_regression(like, marks).is_right.mean() < 0.5
    # Windows divided at random know their video again.
    assert leaky_regression(like, marks, seed=0).is_right.mean() > 0.9


def test_a_class_that_only_the_tested_fold_has_gets_a_low_score() -> None:
    like = predictions_of(said("abc" * 4), [0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 2])
    baseline = kinematic_regression(like, np.random.default_rng(0).normal(size=(12, 2)).astype(np.float32))
    assert np.isfinite(baseline.window_log_scores).all()
    assert baseline.window_log_scores[11, 2] < -10


def test_features_of_other_windows_are_refused() -> None:
    with pytest.raises(ValueError, match="each of 12 windows"):
        kinematic_regression(windowed(4), np.zeros((5, 2), np.float32))


# ---- all together ----


def test_metrics_hold_what_was_asked_for_and_go_into_json() -> None:
    ours = windowed(90)
    metrics = evaluate(
        ours, baselines={"majority": majority(ours)}, leaky=windowed(90, seed=1), target_precision=0.8, seed=0
    )
    written = json.loads(json.dumps(metrics.to_dict(), allow_nan=False))
    assert written["num_groups"] == 45
    assert [baseline["name"] for baseline in written["rivals"]] == ["majority"]  # the key that readers know
    assert written["num_folds"] == 5
    assert written["intervals_over"] == "groups"
    assert metrics.videos.num == 90
    assert metrics.windows.num == 270
    refusals = metrics.refusals
    assert refusals.num_novel + refusals.num_unsure + refusals.num_tagged == 90
    assert metrics.videos.accuracy.value > metrics.windows.accuracy.value  # several windows know more than one
    assert len(metrics.groups) == 45
    assert metrics.groups[0].accuracy <= metrics.groups[-1].accuracy
    assert [w.label_score for w in metrics.worst_videos] == sorted(w.label_score for w in metrics.worst_videos)
    assert metrics.worst_videos[0].label != metrics.worst_videos[0].style


def test_the_same_seed_gives_the_same_metrics() -> None:
    ours = windowed(30)
    first, again, other = (
        evaluate(ours, baselines={}, leaky=None, target_precision=0.9, seed=seed) for seed in (0, 0, 1)
    )
    assert first == again
    assert first.videos.nll.value == other.videos.nll.value
    assert first.videos.nll.low != other.videos.nll.low


def test_the_difference_to_a_baseline_is_taken_video_by_video() -> None:
    ours = windowed(120)
    # The baseline is wrong wherever we are, and on fifteen videos more.
    missed = np.flatnonzero(ours.is_right)[:15]
    spoilt = np.isin(ours.window_video, missed)
    wrong_class = (ours.label_index[ours.window_video] + 1) % 3
    scores = np.where(spoilt[:, None], np.log(0.05 + 0.85 * np.eye(3)[wrong_class]), ours.window_log_scores)
    baseline = replace(ours, window_log_scores=scores.astype(np.float32))
    metrics = evaluate(ours, baselines={"spoilt": baseline, "twin": ours}, leaky=None, target_precision=0.9, seed=0)
    gain = metrics.baselines[0].accuracy_gain
    assert gain.value == pytest.approx(15 / 120)
    assert 0 < gain.low < gain.value < gain.high
    widths = [a.high - a.low for a in (metrics.videos.accuracy, metrics.baselines[0].videos.accuracy)]
    assert gain.high - gain.low < 0.9 * np.hypot(widths[0], widths[1])  # what two independent figures would have
    twin = metrics.baselines[1]
    assert (twin.accuracy_gain.low, twin.accuracy_gain.high, twin.macro_f1_gain.high) == (0, 0, 0)


def test_a_baseline_of_other_videos_is_refused() -> None:
    with pytest.raises(ValueError, match="baseline 'other'"):
        evaluate(windowed(30), baselines={"other": windowed(33)}, leaky=None, target_precision=0.9, seed=0)


def test_accuracy_against_clip_length_uses_only_the_first_windows() -> None:
    # Of each video the first window is right and the two later ones are wrong, and surer.
    ours = windowed(30)
    is_first = ours.window_start_seconds == 10
    right, wrong = (
        np.eye(3)[ours.label_index[ours.window_video]],
        np.eye(3)[(ours.label_index[ours.window_video] + 1) % 3],
    )
    probabilities = np.where(is_first[:, None], 0.2 + 0.4 * right, 0.05 + 0.85 * wrong)
    ours = replace(ours, window_log_scores=np.log(probabilities).astype(np.float32))
    lengths = evaluate(ours, baselines={}, leaky=None, target_precision=0.9, seed=0).clip_lengths
    assert [(c.seconds, c.num_videos, c.accuracy.value) for c in lengths] == [(3, 30, 1.0), (4, 30, 0.0), (5, 30, 0.0)]


def test_a_short_video_is_left_out_where_it_has_no_window_yet() -> None:
    lengths = evaluate(
        _with_stops([3, 3, 6, 6, 3, 3] * 5), baselines={}, leaky=None, target_precision=0.9, seed=0
    ).clip_lengths
    assert [(c.seconds, c.num_videos) for c in lengths] == [(3, 20), (4, 20), (5, 20), (6, 30)]


def _with_stops(stops: Sequence[float]) -> Predictions:
    predictions = calibrated_predictions(len(stops), seed=0)
    return replace(predictions, window_stop_seconds=np.array(stops, np.float32))
