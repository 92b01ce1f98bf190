"""Calibration: temperature scaling of the log scores, and the abstention threshold.

One temperature (Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", 2017) and one threshold,
both from out-of-fold predictions. Their figures are cross-fitted: fold k is scored with what the other folds alone
would have given.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax
from scipy.stats import beta, rankdata

from choreai.arrays import AnyFloatArray, BoolArray, Float64Array, IntArray
from choreai.style.predictions import Predictions

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.05, 20.0
TEMPERATURE_SPREAD = 1.0
"""Standard deviation of the normal prior on log temperature, counted as one more video would be: a dozen videos
without a mistake must not make every score a 1."""
MIN_SCORE = 0.5
"""A tag below this is more likely wrong than right, whatever precision is asked for: it is always unknown."""
NUM_BINS = 15
"""As in Guo et al.; no more than one for each MIN_VIDEOS_PER_BIN videos."""
MIN_VIDEOS_PER_BIN = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Predictions whose scores lie in one range."""

    num: int
    mean_score: float
    accuracy: float
    """The share that is right: in a calibrated model the mean score."""


@dataclass(frozen=True)
class RiskCoverage:
    """The share of wrong tags when only the surest are given."""

    coverage: tuple[float, ...]
    """Share of the videos tagged, rising to 1: the surest first, and videos of one score together."""
    risk: tuple[float, ...]
    """Share of those that is wrong."""
    area: float
    """Under the curve, the mean risk over all coverages: 0 is perfect, and the error rate where scores say nothing."""


@dataclass(frozen=True)
class Calibration:
    """A style model's temperature and threshold, and how well they did out of fold."""

    temperature: float
    unknown_below: float
    """Scores below this are called unknown; 1 where no lower threshold reaches the precision."""
    target_precision: float
    precision: float | None
    """Of the tags given, cross-fitted; None where none was given."""
    precision_interval: tuple[float, float] | None
    """95 %, Clopper and Pearson's, taking the videos as independent."""
    coverage: float
    """Share of videos tagged, cross-fitted."""


def probabilities(log_scores: AnyFloatArray, *, temperature: float) -> Float64Array:
    """Return (N, C) probabilities of log scores (N, C): softmax of `log_scores / temperature`."""
    return softmax(np.asarray(log_scores, np.float64) / temperature, axis=1)


def calibrate(predictions: Predictions, *, target_precision: float) -> Calibration:
    """Return temperature and threshold from all videos together. Raises ValueError unless the target is in (0, 1)."""
    if not 0 < target_precision < 1:
        raise ValueError(f"target_precision must be between 0 and 1, got {target_precision}")
    log_scores, label_index = predictions.video_log_scores, predictions.label_index
    temperature = fit_temperature(log_scores, label_index)
    scores = probabilities(log_scores, temperature=temperature).max(axis=1)
    is_right, is_tagged = predictions.is_right, cross_fitted_tagged(predictions, target_precision=target_precision)
    num_tagged, num_right = int(is_tagged.sum()), int((is_right & is_tagged).sum())
    return Calibration(
        temperature=temperature,
        unknown_below=choose_threshold(scores, is_right, target_precision=target_precision),
        target_precision=target_precision,
        precision=num_right / num_tagged if num_tagged else None,
        precision_interval=share_interval(num_right, num_tagged) if num_tagged else None,
        coverage=num_tagged / len(predictions),
    )


def fit_temperature(log_scores: AnyFloatArray, label_index: IntArray) -> float:
    """Return the temperature under which the labels (N,) are likeliest, given log scores (N, C)."""
    scores, rows = np.asarray(log_scores, np.float64), np.arange(len(label_index))

    def loss(log_temperature: float) -> float:
        scaled = scores / np.exp(log_temperature)
        surprise = logsumexp(scaled, axis=1) - scaled[rows, label_index]
        return float(surprise.sum() + 0.5 * (log_temperature / TEMPERATURE_SPREAD) ** 2)

    found = minimize_scalar(loss, bounds=(np.log(MIN_TEMPERATURE), np.log(MAX_TEMPERATURE)), method="bounded")
    return float(np.exp(found.x))


def choose_threshold(scores: AnyFloatArray, is_right: BoolArray, *, target_precision: float) -> float:
    """Return the lowest score, MIN_SCORE at least, from which tags reach the precision; 1 where none does.

    This is selective classification by the largest score (Geifman and El-Yaniv, "Selective classification for deep
    neural networks", 2017), with the posterior mean under Jeffreys' prior, (right + 1/2) / (given + 1), in place of
    their bound, which for a few hundred videos would refuse most of them. It is no guarantee: look at the cross-fitted
    precision.
    """
    order = np.argsort(-scores, kind="stable")
    ends = _last_of_equals(scores[order])
    precision = (np.cumsum(is_right[order])[ends] + 0.5) / (ends + 2.0)
    reached = np.flatnonzero((precision >= target_precision) & (scores[order][ends] >= MIN_SCORE))
    if not len(reached):
        return 1.0
    lowest = float(scores[order][ends[reached[-1]]])
    below = scores[scores < lowest]
    if not len(below):
        return MIN_SCORE
    return max(MIN_SCORE, (lowest + float(below.max())) / 2)


def cross_fitted_probabilities(predictions: Predictions, *, of_windows: bool = False) -> Float64Array:
    """Return (V, C) for the videos, or (W, C) for their windows, each fold at the temperature of the other folds'
    videos."""
    log_scores, fold = predictions.video_log_scores, predictions.fold
    rows, fold_of_row = log_scores, fold
    if of_windows:
        rows, fold_of_row = predictions.window_log_scores, fold[predictions.window_video]
    found = np.zeros(rows.shape)
    for which in _folds(predictions):
        temperature = fit_temperature(log_scores[fold != which], predictions.label_index[fold != which])
        found[fold_of_row == which] = probabilities(rows[fold_of_row == which], temperature=temperature)
    return found


def cross_fitted_tagged(predictions: Predictions, *, target_precision: float) -> BoolArray:
    """Return (V,) whether the video gets a tag, each fold by the temperature and threshold of the other folds."""
    log_scores, is_right = predictions.video_log_scores, predictions.is_right
    tagged = np.zeros(len(predictions), np.bool_)
    for which in _folds(predictions):
        own = predictions.fold == which
        temperature = fit_temperature(log_scores[~own], predictions.label_index[~own])
        scores = probabilities(log_scores, temperature=temperature).max(axis=1)
        threshold = choose_threshold(scores[~own], is_right[~own], target_precision=target_precision)
        tagged[own] = scores[own] >= threshold
    return tagged


def reliability(scores: AnyFloatArray, is_right: BoolArray) -> tuple[ReliabilityBin, ...]:
    """Return bins of equally many predictions, rising by score: NUM_BINS, fewer where there are few predictions."""
    num_bins = int(np.clip(len(scores) // MIN_VIDEOS_PER_BIN, 1, NUM_BINS))
    # Equal scores share their mean rank, and so a bin.
    which = ((rankdata(scores) - 0.5) * num_bins / len(scores)).astype(int)
    parts = [np.flatnonzero(which == i) for i in range(num_bins)]
    return tuple(ReliabilityBin(len(p), float(scores[p].mean()), float(is_right[p].mean())) for p in parts if len(p))


def expected_calibration_error(scores: AnyFloatArray, is_right: BoolArray, *, num_bins: int = NUM_BINS) -> float:
    """Return the mean gap between score and accuracy over `num_bins` equally wide ranges of scores (Guo et al. 2017).

    Chance alone makes it positive: see `calibration_error_by_chance`.
    """
    which = np.clip((np.asarray(scores) * num_bins).astype(int), 0, num_bins - 1)
    return float(np.abs(np.bincount(which, is_right - scores, num_bins)).sum() / len(scores))


def equal_mass_calibration_error(scores: AnyFloatArray, is_right: BoolArray) -> float:
    """Return the same over `reliability`'s bins: steadier, since most scores lie close to 1."""
    bins = reliability(scores, is_right)
    return sum(b.num * abs(b.accuracy - b.mean_score) for b in bins) / len(scores)


def calibration_error_by_chance(scores: AnyFloatArray, *, seed: int, num_draws: int = 200) -> float:
    """Return the mean expected calibration error of a perfect model that gave these scores.

    Each tag is right as often as its score says (consistency resampling: Bröcker and Smith, 2007).
    """
    rng = np.random.default_rng(seed)
    draws = (rng.random(len(scores)) < scores for _ in range(num_draws))
    return float(np.mean([expected_calibration_error(scores, draw) for draw in draws]))


def risk_coverage(scores: AnyFloatArray, is_right: BoolArray) -> RiskCoverage:
    """Return the curve of videos with these scores (Geifman and El-Yaniv 2017)."""
    order = np.argsort(-scores, kind="stable")
    ends = _last_of_equals(scores[order])
    risk = np.cumsum(~is_right[order])[ends] / (ends + 1)
    shares = np.diff(ends, prepend=-1) / len(scores)
    return RiskCoverage(
        coverage=tuple(float(c) for c in (ends + 1) / len(scores)),
        risk=tuple(float(r) for r in risk),
        area=float((risk * shares).sum()),
    )


def share_interval(num_right: int, num: int) -> tuple[float, float]:
    """Return Clopper and Pearson's 95 % interval of a share."""
    low = float(beta.ppf(0.025, num_right, num - num_right + 1)) if num_right else 0.0
    high = float(beta.ppf(0.975, num_right + 1, num - num_right)) if num_right < num else 1.0
    return low, high


def _last_of_equals(falling: AnyFloatArray) -> IntArray:
    """Return where runs of equal values end."""
    return np.flatnonzero(np.diff(falling, append=-np.inf) != 0)


def _folds(predictions: Predictions) -> IntArray:
    """Return the folds, two at least. Raises ValueError for one."""
    folds = np.unique(predictions.fold)
    if len(folds) < 2:
        raise ValueError("cross-fitting takes two folds at least, and all predictions are of one")
    return folds
