"""Segments: a change of style is found where it happens, and nowhere else."""

import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from choreai.demo.dancers import STYLES, clip_keypoints
from choreai.style.segments import MEAN_SEGMENT_SECONDS, WILD_WINDOW_SHARE, Run, style_runs

WINDOW_SECONDS, STRIDE_SECONDS, RATE = 3.0, 1.0, 8


def scores_of(styles: list[int], *, sure: float = 0.9, num_styles: int = 3) -> np.ndarray:
    """(W, styles): each window sure of its style, the rest shared."""
    scores = np.full((len(styles), num_styles), (1 - sure) / (num_styles - 1))
    scores[np.arange(len(styles)), styles] = sure
    return scores


def runs_of(scores: np.ndarray, *, stride: float = STRIDE_SECONDS) -> list[Run]:
    starts = np.arange(len(scores)) * stride
    return style_runs(scores, start_seconds=starts, stop_seconds=starts + WINDOW_SECONDS)


def test_a_change_lies_half_way_between_the_centres_of_the_windows_around_it() -> None:
    assert runs_of(scores_of([0] * 8 + [2] * 8)) == [Run(0, 8, 0.0, 9.0), Run(8, 16, 9.0, 18.0)]


def test_a_style_that_comes_back_is_three_segments() -> None:
    runs = runs_of(scores_of([0] * 10 + [1] * 10 + [0] * 10))
    assert [(run.first, run.stop) for run in runs] == [(0, 10), (10, 20), (20, 30)]


@pytest.mark.parametrize("odd", [1, 2])
def test_a_window_or_two_that_are_sure_of_something_else_change_nothing(odd: int) -> None:
    assert runs_of(scores_of([0] * 10 + [1] * odd + [0] * 10, sure=0.9999)) == [Run(0, 20 + odd, 0.0, 22.0 + odd)]


def test_scores_that_are_noise_do_not_flicker() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        overlapping = rng.dirichlet(np.ones(4), 62)
        noise = (overlapping[2:] + overlapping[1:-1] + overlapping[:-2]) / 3  # neighbours share two thirds of a window
        assert len(runs_of(noise)) <= 2


@pytest.mark.parametrize("window_seconds", [3.0, 8.0])
def test_no_segment_is_shorter_than_a_window(window_seconds: float) -> None:
    rng = np.random.default_rng(1)
    num_changes = 0
    for _ in range(50):
        styles = np.repeat(rng.integers(0, 2, 12), rng.integers(1, 12, 12))
        scores, starts = scores_of(styles.tolist(), sure=0.999, num_styles=2), np.arange(float(len(styles)))
        runs = style_runs(scores, start_seconds=starts, stop_seconds=starts + window_seconds)
        assert all(run.stop_seconds - run.start_seconds >= window_seconds for run in runs)
        num_changes += len(runs) - 1
    assert num_changes > 50


def test_segments_follow_each_other_without_a_gap_except_where_the_dancer_is_away() -> None:
    starts = np.concatenate([np.arange(10.0), 30 + np.arange(10.0)])
    scores = scores_of([0] * 5 + [1] * 5 + [1] * 10)
    runs = style_runs(scores, start_seconds=starts, stop_seconds=starts + WINDOW_SECONDS)
    spans = [(run.start_seconds, run.stop_seconds) for run in runs]
    assert spans == [(0.0, 6.0), (6.0, 12.0), (30.0, 42.0)]
    assert [(run.first, run.stop) for run in runs] == [(0, 5), (5, 10), (10, 20)]


def test_closer_windows_are_not_more_evidence() -> None:
    """A short phrase that does not make a segment at one stride does not at a quarter of it."""
    for stride in (1.0, 0.25):
        styles = [0] * int(10 / stride) + [1] * int(4 / stride) + [0] * int(10 / stride)
        assert len(runs_of(scores_of(styles, sure=0.85), stride=stride)) == 1
        styles = [0] * int(10 / stride) + [1] * int(12 / stride) + [0] * int(10 / stride)
        assert len(runs_of(scores_of(styles, sure=0.85), stride=stride)) == 3


def test_a_video_of_one_window_or_none() -> None:
    assert runs_of(scores_of([1])) == [Run(0, 1, 0.0, 3.0)]
    assert runs_of(scores_of([])) == []
    short = style_runs(scores_of([1]), start_seconds=np.array([2.0]), stop_seconds=np.array([4.5]))
    assert short == [Run(0, 1, 2.0, 4.5)]


@pytest.mark.parametrize("seed", range(8))
def test_the_recursion_finds_what_trying_everything_finds(seed: int) -> None:
    scores = np.random.default_rng(seed).dirichlet(np.full(2, 0.15), 12)
    edges = np.concatenate([[0.0], np.arange(2.0, 13.0), [14.0]])
    weights = np.diff(edges) / WINDOW_SECONDS
    evidence = np.log((1 - WILD_WINDOW_SHARE) * scores + WILD_WINDOW_SHARE / 2) * weights[:, None]
    cost = np.log(MEAN_SEGMENT_SECONDS / WINDOW_SECONDS)

    def value(styles: tuple[int, ...]) -> float:
        changes = [i for i in range(1, 12) if styles[i] != styles[i - 1]]
        lengths = np.diff([0.0, *edges[changes], 14.0])
        if (lengths < WINDOW_SECONDS - 1e-6).any():
            return -np.inf
        return float(evidence[np.arange(12), list(styles)].sum() - cost * len(changes))

    best = max(itertools.product(range(2), repeat=12), key=value)
    changes = [0, *(i for i in range(1, 12) if best[i] != best[i - 1]), 12]
    assert [(run.first, run.stop) for run in runs_of(scores)] == list(itertools.pairwise(changes))


def test_windows_out_of_order_or_of_other_lengths_are_refused() -> None:
    scores, starts = scores_of([0, 0, 1]), np.array([0.0, 2.0, 1.0])
    with pytest.raises(ValueError, match="in time order"):
        style_runs(scores, start_seconds=starts, stop_seconds=starts + 3.0)
    with pytest.raises(ValueError, match=r"got \(3, 3\), \(2,\)"):
        style_runs(scores, start_seconds=starts[:2], stop_seconds=starts + 3.0)


# ---- generated dancers, classified by a small model trained on others ----


def window_statistics(keypoints_xy: np.ndarray) -> np.ndarray:
    """(W, F) of a clip's windows: where each keypoint is, how far it goes and how fast."""
    hips = keypoints_xy[:, [11, 12]].mean(axis=1, keepdims=True)
    size = np.median(np.linalg.norm(keypoints_xy[:, 5:7].mean(axis=1) - hips[:, 0], axis=1))
    length, stride = int(WINDOW_SECONDS * RATE), int(STRIDE_SECONDS * RATE)
    rows = []
    for start in range(0, len(keypoints_xy) - length + 1, stride):
        body = ((keypoints_xy - hips)[start : start + length] / size).reshape(length, -1)
        speed = np.abs(np.diff(body, axis=0))
        rows.append(np.concatenate([body.mean(axis=0), body.std(axis=0), speed.mean(axis=0), speed.max(axis=0)]))
    return np.array(rows)


def dance(style: str, *, seed: int, seconds: float) -> np.ndarray:
    return clip_keypoints(style=style, seed=seed, duration_seconds=seconds, frames_per_second=RATE)


@pytest.fixture(scope="module")
def classifier() -> LogisticRegression:
    clips = [(style, window_statistics(dance(style, seed=seed, seconds=8))) for seed in range(24) for style in STYLES]
    labels = np.repeat([style for style, _ in clips], [len(rows) for _, rows in clips])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    return model.fit(np.concatenate([rows for _, rows in clips]), labels)


def test_two_dances_after_one_another_are_cut_within_about_a_stride(classifier: LogisticRegression) -> None:
    rng = np.random.default_rng(0)
    errors = []
    for seed in range(500, 512):
        first, second = rng.permutation(STYLES)[:2]
        parts = [dance(str(s), seed=seed, seconds=float(rng.uniform(8, 14))) for s in (first, second)]
        scores = classifier.predict_proba(window_statistics(np.concatenate(parts)))
        runs = runs_of(scores)
        assert len(runs) == 2
        said = [classifier.classes_[scores[run.first : run.stop].mean(axis=0).argmax()] for run in runs]
        assert said == [first, second]
        errors.append(abs(runs[0].stop_seconds - len(parts[0]) / RATE))
    assert np.median(errors) <= STRIDE_SECONDS
    assert max(errors) <= 2 * STRIDE_SECONDS


def test_one_dance_is_one_segment(classifier: LogisticRegression) -> None:
    for seed in range(500, 512):
        scores = classifier.predict_proba(window_statistics(dance(STYLES[seed % 3], seed=seed, seconds=14)))
        assert len(runs_of(scores)) == 1
