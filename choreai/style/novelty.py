"""Novelty: whether a video moves like anything the model was trained on, whatever its scores say.

A classifier is as sure of someone walking past as of a dancer. Here a video's mean kinematics are compared with
those of the training videos by a Mahalanobis distance, robust in each feature and with a shrunk covariance
(Ledoit and Wolf, "A well-conditioned estimator for large-dimensional covariance matrices", 2004). Speeds and ranges
are compared as ratios, so that standing still is as far away as it should be, and a feature that is known of every
dancer but not of this video counts as strange.

Where outliers are given in training, videos of no dance or of dances outside of the taxonomy, a logistic regression on
the same features tells them from the known ones, and what is like them is novel too. The two limits together refuse as
many known videos as the distance would alone.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from choreai.arrays import AnyFloatArray, BoolArray, Float64Array, IntArray
from choreai.style.predictions import Predictions

REFUSED_SHARE = 0.05
"""Of true dancers, out of fold."""
MIN_VIDEOS = 20
"""With fewer there is no telling what is ordinary."""
MAX_DEVIATIONS = 6.0
"""A feature further off than this counts as this: one stray value must not decide."""
SMALLEST_RATIO = 0.01
"""Of a training video's median: what is smaller counts as this."""
MIN_KNOWN_SHARE = 0.5
"""Features known of fewer training videos are left out."""
DIGITS = 6
MIN_OUTLIERS = 10
"""With fewer they are not learnt from: a direction drawn by three videos is an accident."""
OUTLIER_STRENGTH = 0.001
"""scikit-learn's C, with features of a third of their deviations: chosen so that outliers of other kinds than those
given are refused more often too (docs/experiments.md)."""
NUM_OUTLIER_PARTS = 5
MAX_LOG_RATIO = 5.0
"""Odds further above the limit count as this."""


@dataclass(frozen=True)
class Novelty:
    """The limits of ordinary movement: plain numbers, for model.json."""

    centers: tuple[float, ...]
    """(K,) medians of the training videos, after the logarithm where `is_log`."""
    weights: tuple[float, ...]
    """(K,) one over the spread; 0 where the feature is left out."""
    is_log: tuple[bool, ...]
    """(K,) whether a feature, never 0 or less in training, is compared as a ratio."""
    missing_costs: tuple[float, ...]
    """(K,) added to the squared distance where the feature is missing: -2 ln of how rare that is in training."""
    mean: tuple[float, ...]
    """(K,) of the standardised training videos."""
    precision: tuple[tuple[float, ...], ...]
    """(K, K) inverse of their shrunk covariance."""
    limit: float
    """Videos further away than this are novel."""
    outlier_weights: tuple[float, ...] = ()
    """(K,) of the log odds that a video is like the outliers given in training; empty where none were."""
    outlier_limit: float = 0.0
    """Videos of higher log odds are novel, too."""

    def distances(self, features: AnyFloatArray) -> Float64Array:
        """Return (V,) root mean squared deviations per feature of mean kinematics (V, K); about 1 is ordinary.

        Raises ValueError for another number of features.
        """
        if features.ndim != 2 or features.shape[1] != len(self.centers):
            raise ValueError(f"kinematic_features must be (V, {len(self.centers)}), got {features.shape}")
        off = _standardise(features, self) - np.array(self.mean)
        squared = np.einsum("vk,kl,vl->v", off, np.array(self.precision), off)
        squared += np.isnan(features).astype(np.float64) @ np.array(self.missing_costs)
        return np.sqrt(np.maximum(squared, 0) / len(self.centers))

    def outlier_odds(self, features: AnyFloatArray) -> Float64Array:
        """Return (V,) log odds that videos are like the outliers given in training; -inf where none were."""
        if not self.outlier_weights:
            return np.full(len(features), -np.inf)
        return _standardise(features, self) @ np.array(self.outlier_weights)

    def ratios(self, features: AnyFloatArray) -> Float64Array:
        """Return (V,) distances, or odds of being like an outlier, over their limits, whichever is more."""
        return _ratios(self.distances(features), self.outlier_odds(features), (self.limit, self.outlier_limit))

    def is_novel(self, features: AnyFloatArray) -> BoolArray:
        """Return (V,) whether the videos are too far from all training videos, or too near to outliers, to be given a
        tag."""
        return (self.distances(features) > self.limit) | (self.outlier_odds(features) > self.outlier_limit)

    def to_dict(self) -> dict[str, Any]:
        """Return lists and finite numbers, for JSON; as it was before there were outliers where none were given."""
        values = asdict(self)
        if not self.outlier_weights:
            del values["outlier_weights"], values["outlier_limit"]
        return values

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Self:
        """Return what `to_dict` was called on. Raises ValueError, TypeError or KeyError for anything else."""
        vectors = {name: tuple(raw[name]) for name in ("centers", "weights", "is_log", "missing_costs", "mean")}
        precision = tuple(tuple(row) for row in raw["precision"])
        weights = tuple(raw.get("outlier_weights", ()))
        sizes = (
            {len(v) for v in (*vectors.values(), *([weights] if weights else []))}
            | {len(precision)}
            | {len(row) for row in precision}
        )
        if len(sizes) != 1 or not np.isfinite(np.array(precision, np.float64)).all():
            raise ValueError(
                f"the arrays of a novelty measure must be finite and of one size, got sizes {sorted(sizes)}"
            )
        return cls(
            precision=precision,
            limit=float(raw["limit"]),
            outlier_weights=weights,
            outlier_limit=float(raw.get("outlier_limit", 0.0)),
            **vectors,
        )


@dataclass(frozen=True)
class LeftOutStyle:
    """One style in the leave-one-style-out test of the novelty score."""

    label: str
    auroc: float
    """Chance that one of its videos is further away than one of the others, out of fold."""
    refused_share: float
    """Of its videos; of the others about REFUSED_SHARE are."""


@dataclass(frozen=True)
class OutlierTest:
    """What the outliers that were given do: each fifth of them against limits that had not seen it."""

    num_videos: int
    refused_share: float
    refused_before: float
    """By the distance alone, without any of them."""


def fit_novelty(predictions: Predictions) -> Novelty | None:
    """Return the limits of these videos, such that at most about REFUSED_SHARE of them are novel; None for too few
    videos."""
    if len(predictions) < MIN_VIDEOS:
        return None
    return _fit(predictions.kinematic_features, predictions.fold, predictions.outliers)


def cross_fitted_novel(predictions: Predictions) -> BoolArray:
    """Return (V,) whether a video is novel by the other folds' limits; never where those have too few videos."""
    novel = np.zeros(len(predictions), np.bool_)
    for fold in np.unique(predictions.fold):
        own = predictions.fold == fold
        others = predictions.videos_where(~own) if not own.all() else predictions
        if (novelty := fit_novelty(others)) is not None:
            novel[own] = novelty.is_novel(predictions.kinematic_features[own])
    return novel


def leave_styles_out(predictions: Predictions) -> tuple[LeftOutStyle, ...]:
    """Return the leave-one-style-out test: each label's videos against the limits of all others; none where those are
    too few."""
    found = []
    for index, label in enumerate(predictions.labels):
        own = predictions.label_index == index
        if not own.any() or (~own).sum() < MIN_VIDEOS:
            continue
        features, fold = predictions.kinematic_features[~own], predictions.fold[~own]
        unknown = predictions.kinematic_features[own]
        held_out = _hold_out(features, fold, predictions.outliers)
        novelty = _fit(features, fold, predictions.outliers)
        auroc = rank_area(novelty.ratios(unknown), _ratios(*held_out, _limits(*held_out)))
        found.append(LeftOutStyle(label, auroc, float(novelty.is_novel(unknown).mean())))
    return tuple(found)


def try_outliers(predictions: Predictions) -> OutlierTest | None:
    """Return the test of the outliers given; None where there are none, or too few to learn from the others."""
    outliers = predictions.outliers
    if not _are_enough(outliers, share=1 - 1 / NUM_OUTLIER_PARTS) or len(predictions) < MIN_VIDEOS:
        return None
    features, fold = predictions.kinematic_features, predictions.fold
    refused: list[bool] = []
    for part in np.array_split(np.arange(len(outliers)), NUM_OUTLIER_PARTS):
        novelty = _fit(features, fold, np.delete(outliers, part, axis=0))
        refused += novelty.is_novel(outliers[part]).tolist()
    before = _fit(features, fold, outliers[:0]).is_novel(outliers)
    return OutlierTest(len(outliers), float(np.mean(refused)), float(before.mean()))


def rank_area(positives: AnyFloatArray, negatives: AnyFloatArray) -> float:
    """Return the area under the ROC curve: how often a positive is above a negative, ties counted half."""
    ordered = np.sort(negatives)
    below, not_above = np.searchsorted(ordered, positives, "left"), np.searchsorted(ordered, positives, "right")
    return float((below + not_above).mean() / 2 / len(ordered))


def _fit(features: AnyFloatArray, fold: IntArray, outliers: AnyFloatArray) -> Novelty:
    limit, outlier_limit = _limits(*_hold_out(features, fold, outliers))
    novelty = _measure(features, limit=round(limit, DIGITS))
    if not _are_enough(outliers):
        return novelty
    weights, offset = _tell_apart(novelty, features, outliers)
    return replace(novelty, outlier_weights=_round_values(weights), outlier_limit=round(outlier_limit - offset, DIGITS))


def _hold_out(features: AnyFloatArray, fold: IntArray, outliers: AnyFloatArray) -> tuple[Float64Array, Float64Array]:
    """Return the (V,) distances and log odds of known videos, each by the others and the outliers; the odds are -inf
    where there are too few outliers."""
    distances, odds = np.zeros(len(features)), np.full(len(features), -np.inf)
    for which in np.unique(fold):
        own = fold == which
        others = features if own.all() else features[~own]
        novelty = _measure(others, limit=0.0)
        distances[own] = novelty.distances(features[own])
        if _are_enough(outliers):
            weights, offset = _tell_apart(novelty, others, outliers)
            odds[own] = _standardise(features[own], novelty) @ weights + offset
    return distances, odds


def _limits(distances: Float64Array, odds: Float64Array) -> tuple[float, float]:
    """Return limits of both, as many videos beyond one as beyond the other, such that at most REFUSED_SHARE of them are
    beyond any."""
    if not np.isfinite(odds).any():
        # The next higher distance, not a value between two: with few videos, none of them is refused.
        return float(np.quantile(distances, 1 - REFUSED_SHARE, method="higher")), 0.0
    most = int(REFUSED_SHARE * len(distances))
    both = (np.sort(distances), np.sort(odds))
    limits = [(float(both[0][-1 - num]), float(both[1][-1 - num])) for num in range(most, -1, -1)]
    return next(each for each in limits if ((distances > each[0]) | (odds > each[1])).sum() <= most)


def _ratios(distances: Float64Array, odds: Float64Array, limits: tuple[float, float]) -> Float64Array:
    """Return (V,) distances or odds over their limits, whichever is more."""
    return np.maximum(distances / max(limits[0], 10**-DIGITS), np.exp(np.minimum(odds - limits[1], MAX_LOG_RATIO)))


def _are_enough(outliers: AnyFloatArray, *, share: float = 1.0) -> bool:
    return int(share * len(outliers)) >= MIN_OUTLIERS


def _tell_apart(novelty: Novelty, features: AnyFloatArray, outliers: AnyFloatArray) -> tuple[Float64Array, float]:
    """Return the weights, on standardised features, and the offset of the log odds that a video is an outlier."""
    from sklearn.linear_model import LogisticRegression  # slow to import, and tagging does without

    standard = np.concatenate([_standardise(features, novelty), _standardise(outliers, novelty)]) / 3
    is_outlier = np.repeat([0, 1], [len(features), len(outliers)])
    model = LogisticRegression(C=OUTLIER_STRENGTH, max_iter=1000, class_weight="balanced").fit(standard, is_outlier)
    return model.coef_[0] / 3, float(model.intercept_[0])


def _measure(features: AnyFloatArray, *, limit: float) -> Novelty:
    """Return the measure of distance from these videos."""
    from sklearn.covariance import LedoitWolf  # slow to import, and tagging does without

    known = np.isfinite(features)
    num_known = known.sum(axis=0)
    is_used = num_known >= MIN_KNOWN_SHARE * len(features)
    is_log = is_used & (np.where(known, features, 1.0) > 0).all(axis=0)
    plain = np.where(known, features, np.nan)
    ratios = np.log(np.where(is_log, plain, 1.0))
    values = np.where(is_used, np.where(is_log, ratios, plain), 0.0)
    centers = np.nanmedian(values, axis=0)
    missing = (len(features) - num_known + 0.5) / (len(features) + 1)
    novelty = Novelty(
        centers=_round_values(centers),
        weights=_round_values(np.where(is_used, 1 / _spread(values), 0.0)),
        is_log=tuple(bool(b) for b in is_log),
        missing_costs=_round_values(np.where(is_used, -2 * np.log(missing), 0.0)),
        mean=(),
        precision=(),
        limit=limit,
    )
    standard = _standardise(features, novelty)
    shrunk = LedoitWolf().fit(standard)
    return replace(
        novelty,
        mean=_round_values(shrunk.location_),
        precision=tuple(_round_values(row) for row in shrunk.precision_),
    )


def _standardise(features: AnyFloatArray, novelty: Novelty) -> Float64Array:
    """Return (V, K) deviations from the centers in units of the spread; 0 where missing."""
    is_log, centers = np.array(novelty.is_log), np.array(novelty.centers)
    smallest = np.where(is_log, SMALLEST_RATIO * np.exp(np.where(is_log, centers, 0.0)), 1.0)
    ratios = np.log(np.maximum(np.where(is_log, features, 1.0), smallest))
    off = (np.where(is_log, ratios, features) - centers) * np.array(novelty.weights)
    return np.clip(np.nan_to_num(off, nan=0.0, posinf=0.0, neginf=0.0), -MAX_DEVIATIONS, MAX_DEVIATIONS)


def _spread(values: AnyFloatArray) -> Float64Array:
    """Return (K,) half the range of the middle two thirds; the standard deviation where nearly all are equal; 1 for all
    equal."""
    low, high = np.nanpercentile(values, [16, 84], axis=0)
    deviation = np.nanstd(values, axis=0)
    spread = np.where((high - low) / 2 > 0.1 * deviation, (high - low) / 2, deviation)
    return np.where(spread > 1e-9, spread, 1.0)


def _round_values(values: AnyFloatArray) -> tuple[float, ...]:
    return tuple(round(float(v), DIGITS) for v in values)
