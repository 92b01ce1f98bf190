"""Scorecard: predictions against labels, of videos or of windows, each figure with its interval."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from choreai.arrays import AnyFloatArray, Float64Array, IntArray
from choreai.style.evaluation.bootstrap import Estimate, Resamples
from choreai.style.evaluation.calibrate import (
    calibration_error_by_chance,
    equal_mass_calibration_error,
    expected_calibration_error,
)

SMALLEST_PROBABILITY = 1e-12


@dataclass(frozen=True)
class ClassMetrics:
    """The figures of one label; a ratio without cases is 0."""

    label: str
    num: int
    """Cases that have this label."""
    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True)
class Scorecard:
    """Cases are videos or windows; intervals are over groups or blocks of videos (see `Resamples`)."""

    num: int
    accuracy: Estimate
    macro_precision: Estimate
    macro_recall: Estimate
    macro_f1: Estimate
    """Means over the classes, each counting the same."""
    nll: Estimate
    """Mean negative natural logarithm of the label's probability."""
    brier: Estimate
    """Mean squared distance of the probabilities from the label's 1 and the others' 0, summed over the classes."""
    ece: float
    """Expected calibration error in equally wide bins."""
    ece_equal_mass: float
    ece_by_chance: float
    """What `ece` would be on average for a perfectly calibrated model with these scores and as many cases."""
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """[label][style]: how often what a person called `label` got the tag `style`."""


def score_windows(
    probabilities: AnyFloatArray,
    label_index: IntArray,
    window_video: IntArray,
    labels: tuple[str, ...],
    *,
    resamples: Resamples,
    seed: int,
) -> Scorecard:
    """Return the scorecard of W windows' probabilities (W, C), or of videos': one window each.

    `label_index` (W,) into `labels`, `window_video` (W,) into the V videos of `resamples`.
    """
    styles, rows = probabilities.argmax(axis=1), np.arange(len(label_index))

    def by_video(values: npt.NDArray[Any]) -> Float64Array:
        return _by_video(values, window_video, num_videos=len(resamples.unit))

    cell = window_video * len(labels) ** 2 + label_index * len(labels) + styles
    cells = np.bincount(cell, minlength=len(resamples.unit) * len(labels) ** 2).reshape(len(resamples.unit), -1)
    confusion = cells.sum(axis=0).reshape(len(labels), len(labels))
    drawn = resamples.sums(cells).reshape(-1, *confusion.shape)
    of_label = [by_video((label_index == i)[:, None])[:, 0] > 0 for i in range(len(labels))]
    everything = np.ones(len(resamples.unit), np.bool_)

    def ratio(name: str, index: int) -> Estimate:
        value = float(_RATIOS[name](confusion)[index])
        return resamples.estimate_share(value, _RATIOS[name](drawn)[:, index], of_videos=of_label[index])

    def macro(name: str) -> Estimate:
        value, draws = float(_RATIOS[name](confusion).mean()), _RATIOS[name](drawn).mean(axis=1)
        return resamples.estimate_share(value, draws, of_videos=everything)

    def mean(values: AnyFloatArray) -> Estimate:
        sums = resamples.sums(by_video(np.stack([values, np.ones(len(values))], axis=1)))
        return resamples.estimate(float(values.mean()), sums[:, 0] / sums[:, 1])

    scores, is_right = probabilities.max(axis=1), styles == label_index
    return Scorecard(
        num=len(label_index),
        accuracy=resamples.estimate_share(float(accuracies(confusion)), accuracies(drawn), of_videos=everything),
        macro_precision=macro("precision"),
        macro_recall=macro("recall"),
        macro_f1=macro("f1"),
        nll=mean(-np.log(np.maximum(probabilities[rows, label_index], SMALLEST_PROBABILITY))),
        brier=mean(((probabilities - np.eye(len(labels))[label_index]) ** 2).sum(axis=1)),
        ece=expected_calibration_error(scores, is_right),
        ece_equal_mass=equal_mass_calibration_error(scores, is_right),
        ece_by_chance=calibration_error_by_chance(scores, seed=seed),
        classes=tuple(
            ClassMetrics(label, int(confusion[i].sum()), ratio("precision", i), ratio("recall", i), ratio("f1", i))
            for i, label in enumerate(labels)
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion),
    )


def accuracies(confusion: AnyFloatArray) -> Float64Array:
    """Return (...) accuracies of confusion matrices (..., C, C)."""
    return _share(np.trace(confusion, axis1=-2, axis2=-1), confusion.sum(axis=(-2, -1)))


def precisions(confusion: AnyFloatArray) -> Float64Array:
    """Return (..., C) precisions of confusion matrices (..., C, C)."""
    return _share(_right(confusion), confusion.sum(axis=-2))


def recalls(confusion: AnyFloatArray) -> Float64Array:
    """Return (..., C) recalls of confusion matrices (..., C, C)."""
    return _share(_right(confusion), confusion.sum(axis=-1))


def f1_scores(confusion: AnyFloatArray) -> Float64Array:
    """Return (..., C) F1 scores of confusion matrices (..., C, C)."""
    return _share(2 * _right(confusion), confusion.sum(axis=-2) + confusion.sum(axis=-1))


_RATIOS = {"precision": precisions, "recall": recalls, "f1": f1_scores}


def _right(confusion: AnyFloatArray) -> AnyFloatArray:
    return np.diagonal(confusion, axis1=-2, axis2=-1)


def _share(part: AnyFloatArray, whole: AnyFloatArray) -> Float64Array:
    return np.divide(part, whole, out=np.zeros(np.shape(whole)), where=np.asarray(whole) > 0)


def _by_video(values: npt.NDArray[Any], window_video: IntArray, *, num_videos: int) -> Float64Array:
    """Return (V, S) sums over each video's windows of (W, S) values."""
    sums = np.zeros((num_videos, values.shape[1]))
    np.add.at(sums, window_video, values)
    return sums
