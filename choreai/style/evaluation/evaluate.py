"""How good a style model is on videos whose groups it has not seen, next to simple baselines.

Everything here is from out-of-fold predictions, with calibration cross-fitted: no video was scored with anything that
had seen its group, or, where a class is divided in blocks, its block.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray
from choreai.style.evaluation.bootstrap import Estimate, Resamples
from choreai.style.evaluation.calibrate import (
    Calibration,
    ReliabilityBin,
    RiskCoverage,
    calibrate,
    cross_fitted_probabilities,
    cross_fitted_tagged,
    reliability,
    risk_coverage,
)
from choreai.style.evaluation.scorecard import Scorecard, accuracies, f1_scores, score_windows
from choreai.style.evaluation.unseen import UnseenSources, evaluate_unseen
from choreai.style.novelty import LeftOutStyle, OutlierTest, cross_fitted_novel, leave_styles_out, try_outliers
from choreai.style.predictions import Predictions

CLIP_SECONDS = (1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60, 90, 120)
SECONDS_TOLERANCE = 0.05
MIN_LONGER_SHARE = 0.05
"""Share of the videos that must be longer than a clip length for it to be evaluated."""
NUM_WORST = 10


@dataclass(frozen=True)
class Baseline:
    """A simple classifier of styles on the same videos and folds, calibrated the same way."""

    name: str
    videos: Scorecard
    windows: Scorecard
    accuracy_gain: Estimate
    """The model's accuracy of videos less the baseline's, in the same bootstrap samples."""
    macro_f1_gain: Estimate


@dataclass(frozen=True)
class ClipLength:
    """The videos as if they stopped after so many seconds."""

    seconds: float
    """From the start of the first window."""
    num_videos: int
    """Those with a window as early as that."""
    accuracy: Estimate
    macro_f1: float


@dataclass(frozen=True)
class GroupResult:
    """One group's videos, most wrong first."""

    group: str
    labels: tuple[str, ...]
    num_videos: int
    accuracy: float


@dataclass(frozen=True)
class Refusals:
    """What the calibrated threshold and the novelty limit together do, out of fold, to videos of known styles."""

    num_novel: int
    """Too unlike the training videos, whatever their score."""
    num_unsure: int
    """Score below the threshold, but not novel."""
    num_tagged: int
    precision: float | None
    """Of the tags given; None where none was."""


@dataclass(frozen=True)
class WorstVideo:
    """A video whose label got a low score."""

    video_id: str
    group: str
    label: str
    style: str
    score: float
    """Calibrated, of `style`."""
    label_score: float


@dataclass(frozen=True)
class Metrics:
    """The content of metrics.json."""

    labels: tuple[str, ...]
    num_groups: int
    num_folds: int
    intervals_over: str
    """What the bootstrap drew: groups, or blocks of videos where a class has too few groups."""
    videos: Scorecard
    windows: Scorecard
    """With the videos' temperature."""
    baselines: tuple[Baseline, ...]
    leaky: Scorecard | None
    """Of videos, tested on neighbours of training windows: not a result, only for comparison."""
    calibration: Calibration
    reliability: tuple[ReliabilityBin, ...]
    risk_coverage: RiskCoverage
    refusals: Refusals
    left_out_styles: tuple[LeftOutStyle, ...]
    """Each style against the novelty limit of all the others."""
    clip_lengths: tuple[ClipLength, ...]
    groups: tuple[GroupResult, ...]
    worst_videos: tuple[WorstVideo, ...]
    unseen: UnseenSources | None
    """None where that was not asked for."""
    outliers: OutlierTest | None = None
    """None where no outliers were given."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain lists, dicts, strings and finite numbers, for JSON."""
        values = asdict(self)
        # Readers of metrics.json know the baselines by this key.
        return {"rivals" if name == "baselines" else name: value for name, value in values.items()}


def evaluate(
    predictions: Predictions,
    *,
    baselines: Mapping[str, Predictions],
    leaky: Predictions | None,
    unseen: Mapping[str, FloatArray] | None = None,
    target_precision: float,
    seed: int,
) -> Metrics:
    """Return the metrics of a model; `unseen` as `evaluate_unseen` takes it, None: without sources left out.

    Raises ValueError where baselines were scored on other videos or folds.
    """
    for name, baseline in baselines.items():
        if baseline.video_ids != predictions.video_ids or not np.array_equal(baseline.fold, predictions.fold):
            raise ValueError(f"baseline {name!r} must be scored on the same videos and folds")
    resamples = Resamples.draw(predictions, seed=seed)
    scored = cross_fitted_probabilities(predictions)
    scores, is_right = scored.max(axis=1), predictions.is_right
    return Metrics(
        labels=predictions.labels,
        num_groups=len(set(predictions.groups)),
        num_folds=len(np.unique(predictions.fold)),
        intervals_over=resamples.description,
        videos=_score_videos(predictions, resamples, seed=seed),
        windows=_score_windows(predictions, resamples, seed=seed),
        baselines=tuple(
            _score_baseline(name, baseline, predictions, resamples=resamples, seed=seed)
            for name, baseline in baselines.items()
        ),
        leaky=None if leaky is None else _score_videos(leaky, Resamples.draw(leaky, seed=seed), seed=seed),
        calibration=calibrate(predictions, target_precision=target_precision),
        reliability=reliability(scores, is_right),
        risk_coverage=risk_coverage(scores, is_right),
        refusals=_refusals(predictions, target_precision=target_precision),
        left_out_styles=leave_styles_out(predictions),
        clip_lengths=_clip_lengths(predictions, seed=seed),
        groups=_groups(predictions),
        worst_videos=_worst(predictions, scored),
        unseen=None
        if unseen is None
        else evaluate_unseen(predictions, unseen, target_precision=target_precision, seed=seed),
        outliers=try_outliers(predictions),
    )


def _score_videos(predictions: Predictions, resamples: Resamples, *, seed: int) -> Scorecard:
    return score_windows(
        cross_fitted_probabilities(predictions),
        predictions.label_index,
        np.arange(len(predictions)),
        predictions.labels,
        resamples=resamples,
        seed=seed,
    )


def _score_windows(predictions: Predictions, resamples: Resamples, *, seed: int) -> Scorecard:
    return score_windows(
        cross_fitted_probabilities(predictions, of_windows=True),
        predictions.label_index[predictions.window_video],
        predictions.window_video,
        predictions.labels,
        resamples=resamples,
        seed=seed,
    )


def _score_baseline(
    name: str, baseline: Predictions, ours: Predictions, *, resamples: Resamples, seed: int
) -> Baseline:
    own, other = _confusions(ours), _confusions(baseline)
    own_draws, other_draws = (resamples.sums(c).reshape(-1, *_square(ours)) for c in (own, other))
    own_sum, other_sum = (c.sum(axis=0).reshape(_square(ours)) for c in (own, other))
    return Baseline(
        name=name,
        videos=_score_videos(baseline, resamples, seed=seed),
        windows=_score_windows(baseline, resamples, seed=seed),
        accuracy_gain=resamples.estimate(
            float(accuracies(own_sum) - accuracies(other_sum)), accuracies(own_draws) - accuracies(other_draws)
        ),
        macro_f1_gain=resamples.estimate(
            float(f1_scores(own_sum).mean() - f1_scores(other_sum).mean()),
            f1_scores(own_draws).mean(axis=1) - f1_scores(other_draws).mean(axis=1),
        ),
    )


def _confusions(predictions: Predictions) -> Float64Array:
    """Return (V, C * C) the cell of the confusion matrix that each video falls into."""
    num_labels = len(predictions.labels)
    cell = predictions.label_index * num_labels + predictions.video_log_scores.argmax(axis=1)
    return np.eye(num_labels**2)[cell]


def _square(predictions: Predictions) -> tuple[int, int]:
    return len(predictions.labels), len(predictions.labels)


def _refusals(predictions: Predictions, *, target_precision: float) -> Refusals:
    is_novel = cross_fitted_novel(predictions)
    is_sure = cross_fitted_tagged(predictions, target_precision=target_precision)
    is_tagged = is_sure & ~is_novel
    return Refusals(
        num_novel=int(is_novel.sum()),
        num_unsure=int((~is_sure & ~is_novel).sum()),
        num_tagged=int(is_tagged.sum()),
        precision=float(predictions.is_right[is_tagged].mean()) if is_tagged.any() else None,
    )


def _clip_lengths(predictions: Predictions, *, seed: int) -> tuple[ClipLength, ...]:
    starts = np.full(len(predictions), np.inf)
    np.minimum.at(starts, predictions.window_video, predictions.window_start_seconds)
    stops = predictions.window_stop_seconds - starts[predictions.window_video]  # (W,) after the first start
    lengths = np.zeros(len(predictions))
    np.maximum.at(lengths, predictions.window_video, stops)
    found = []
    for seconds in (s for s in CLIP_SECONDS if (lengths > s + SECONDS_TOLERANCE).mean() >= MIN_LONGER_SHARE):
        inside = stops <= seconds + SECONDS_TOLERANCE
        if inside.any():
            found.append(_clip_length(predictions, inside, seconds=seconds, seed=seed))
    whole = np.ones(len(stops), np.bool_)
    return (*found, _clip_length(predictions, whole, seconds=round(float(stops.max()), 1), seed=seed))


def _clip_length(predictions: Predictions, inside: BoolArray, *, seconds: float, seed: int) -> ClipLength:
    part = predictions.windows_where(inside)
    confusion = _confusions(part).sum(axis=0).reshape(_square(part))
    return ClipLength(
        seconds=float(seconds),
        num_videos=len(part),
        accuracy=Resamples.draw(part, seed=seed).estimate_mean(part.is_right.astype(np.float64)),
        macro_f1=float(f1_scores(confusion).mean()),
    )


def _groups(predictions: Predictions) -> tuple[GroupResult, ...]:
    groups, labels = np.array(predictions.groups), np.array(predictions.labels)[predictions.label_index]
    found = [
        GroupResult(
            group=str(group),
            labels=tuple(sorted({str(name) for name in labels[groups == group]})),
            num_videos=int((groups == group).sum()),
            accuracy=float(predictions.is_right[groups == group].mean()),
        )
        for group in sorted(set(predictions.groups))
    ]
    return tuple(sorted(found, key=lambda g: (g.accuracy, -g.num_videos)))


def _worst(predictions: Predictions, scored: Float64Array) -> tuple[WorstVideo, ...]:
    of_label = scored[np.arange(len(predictions)), predictions.label_index]
    styles = scored.argmax(axis=1)
    return tuple(
        WorstVideo(
            video_id=predictions.video_ids[v],
            group=predictions.groups[v],
            label=predictions.labels[predictions.label_index[v]],
            style=predictions.labels[styles[v]],
            score=float(scored[v, styles[v]]),
            label_score=float(of_label[v]),
        )
        for v in np.argsort(of_label, kind="stable")[:NUM_WORST]
    )
