"""What to expect on sources never seen: dancers, places and cameras of which nothing was in the training.

Cross-validation answers this only where each source lies whole in one fold. A source that holds most of a style is cut
in blocks (`choreai.style.training.split`), so a network without all of it is trained besides. The figures here are of
networks that saw nothing of the source, with temperature, threshold and novelty limit from the videos of other sources.

A source that holds most of its style leaves little to learn the style from while it is out, and its figure is that of
a poorer model than this one. So a style's figure is a mean over its sources, each weighted by the share of the style's
videos that the others have; the overall figure counts each style the same.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from choreai.arrays import BoolArray, Float64Array, FloatArray, IntArray
from choreai.style.evaluation.bootstrap import MIN_GROUPS, NUM_DRAWS, Estimate
from choreai.style.evaluation.calibrate import NUM_BINS, choose_threshold, fit_temperature, probabilities
from choreai.style.novelty import fit_novelty
from choreai.style.predictions import Predictions

MAX_COUNTS = 4_000_000
"""Fewer than NUM_DRAWS samples where there are so many videos that their counts would take more: 30 MB, a few times."""
MIN_SOURCE_VIDEOS = 3
"""With fewer videos a group is no source to test on, unless its style has MIN_GROUPS groups: one video would stand for
half of a style."""


@dataclass(frozen=True)
class UnseenSource:
    """One group's videos of one style, by a network that saw nothing of the group."""

    label: str
    group: str
    num_videos: int
    num_left: int
    """Videos of the style in other groups: what there was to learn it from."""
    accuracy: float


@dataclass(frozen=True)
class UnseenStyle:
    """One style on sources never seen."""

    label: str
    num_sources: int
    num_videos: int
    """Of those sources."""
    accuracy: Estimate | None
    """None where there are no two sources, here and below."""
    ece: Estimate | None
    """Expected calibration error, which chance alone makes positive."""
    cross_validated: float
    """The share right of all videos of the style, out of fold: too good where a source was cut in blocks."""


@dataclass(frozen=True)
class UnseenSources:
    """All styles on sources never seen, and what that lets one expect."""

    styles: tuple[UnseenStyle, ...]
    """Each label, in order."""
    sources: tuple[UnseenSource, ...]
    accuracy: Estimate | None
    """Over the styles that have two sources; None where none has, here and below."""
    ece: Estimate | None
    tagged: Estimate | None
    """The share that gets a tag and is not called "unknown"."""
    precision: Estimate | None
    """Of the tags given; None also where none was."""

    @property
    def expectation(self) -> str:
        """What to expect, in one line."""
        tested = [style.label for style in self.styles if style.accuracy is not None]
        if self.accuracy is None:
            return "no figure for sources it never saw: no style has two groups (column `group`) to tell them apart"
        span = f"{100 * self.accuracy.low:.0f}-{100 * self.accuracy.high:.0f}"
        of = "" if len(tested) == len(self.styles) else f" ({len(tested)} of {len(self.styles)} styles)"
        return f"expect {100 * self.accuracy.value:.0f} % ({span}) on sources it never saw{of}"

    @property
    def untested(self) -> tuple[str, ...]:
        """The styles without two sources."""
        return tuple(style.label for style in self.styles if style.accuracy is None)


@dataclass(frozen=True, eq=False)
class _Tested:
    """The T videos of S sources, pairs of style and group, as a network judges them that never saw their group."""

    label_index: IntArray
    """(T,)."""
    source: IntArray
    """(T,) 0 to S - 1; every source has a video."""
    group: IntArray
    """(T,) from 0: several sources may be of one group, which dances several styles."""
    weight: Float64Array
    """(T,) of each style 1 in sum."""
    scores: Float64Array
    """(T,) calibrated, of the best style."""
    is_right: BoolArray
    is_tagged: BoolArray

    def take(self, chosen: BoolArray) -> "_Tested":
        """Return the chosen (T,) videos, their sources and groups numbered anew."""
        source, group = (np.unique(each[chosen], return_inverse=True)[1] for each in (self.source, self.group))
        return _Tested(
            self.label_index[chosen],
            source,
            group,
            self.weight[chosen],
            self.scores[chosen],
            self.is_right[chosen],
            self.is_tagged[chosen],
        )


def counted_sources(labels: Sequence[str], groups: Sequence[str]) -> dict[tuple[str, str], int]:
    """Return the number of videos by (label, group), for the styles that have two sources or more.

    `labels` and `groups` are of the videos. Nothing is returned where each video is its own group: nobody said which
    are of one source.
    """
    if len(set(groups)) == len(groups):
        return {}
    sizes = Counter(zip(labels, groups, strict=True))
    found: dict[tuple[str, str], int] = {}
    for label in sorted(set(labels)):
        own = {pair: size for pair, size in sizes.items() if pair[0] == label}
        if len(own) < MIN_GROUPS:
            own = {pair: size for pair, size in own.items() if size >= MIN_SOURCE_VIDEOS}
        if len(own) >= 2:
            found |= own
    return found


def divided_groups(groups: Sequence[str], fold: IntArray) -> list[str]:
    """Return the groups whose videos lie in several folds, sorted; `groups` and `fold` are (V,) of the videos."""
    folds_of: dict[str, set[int]] = {}
    for group, own in zip(groups, fold.tolist(), strict=True):
        folds_of.setdefault(group, set()).add(own)
    return sorted(group for group, folds in folds_of.items() if len(folds) > 1)


def evaluate_unseen(
    predictions: Predictions, unseen: Mapping[str, FloatArray], *, target_precision: float, seed: int
) -> UnseenSources:
    """Return the figures on sources never seen.

    `predictions` are out of fold. `unseen` has, by group, the (W', C) log scores that a network without the group gives
    its windows, in the order of the predictions: of each group that was divided over folds and is a source.
    """
    labels = [predictions.labels[i] for i in predictions.label_index]
    sources = counted_sources(labels, predictions.groups)
    tested = _test(predictions, unseen, sources, target_precision=target_precision) if sources else None
    return UnseenSources(
        styles=tuple(_style(i, predictions, tested, seed=seed) for i in range(len(predictions.labels))),
        sources=tuple(_source(i, pair, labels, tested) for i, pair in enumerate(sources)) if tested else (),
        accuracy=_estimate(_accuracy, tested, seed=seed) if tested else None,
        ece=_estimate(_calibration_error, tested, seed=seed) if tested else None,
        tagged=_estimate(_tagged, tested, seed=seed) if tested else None,
        precision=_estimate(_precision, tested, seed=seed) if tested and tested.is_tagged.any() else None,
    )


def _test(
    predictions: Predictions,
    unseen: Mapping[str, FloatArray],
    sources: Mapping[tuple[str, str], int],
    *,
    target_precision: float,
) -> _Tested:
    groups = np.array(predictions.groups)
    log_scores, judge = predictions.window_log_scores.copy(), predictions.fold.copy()
    for place, (group, own) in enumerate(sorted(unseen.items())):
        log_scores[(groups == group)[predictions.window_video]] = own
        judge[groups == group] = predictions.fold.max() + 1 + place
    outer = replace(predictions, window_log_scores=log_scores)
    scores, is_tagged = np.zeros(len(groups)), np.zeros(len(groups), np.bool_)
    for which in np.unique(judge):
        own = judge == which
        # The fold's other videos were judged by the same network: they say nothing that is not known of these.
        others = ~np.isin(groups, groups[own]) & (predictions.fold != which)
        scores[own], is_tagged[own] = _judge(
            outer.videos_where(own), predictions.videos_where(others), target_precision=target_precision
        )
    place_of = {pair: place for place, pair in enumerate(sources)}
    labels = [predictions.labels[i] for i in predictions.label_index]
    source = np.array([place_of.get(pair, -1) for pair in zip(labels, predictions.groups, strict=True)])
    weights = _weights(labels, sources)
    _, group = np.unique(groups, return_inverse=True)
    every = _Tested(predictions.label_index, source, group, weights[source], scores, outer.is_right, is_tagged)
    return every.take(source >= 0)


def _judge(own: Predictions, others: Predictions, *, target_precision: float) -> tuple[Float64Array, BoolArray]:
    """Return the (V,) scores of a source's videos and whether they get a tag, by what other sources' videos give."""
    temperature = fit_temperature(others.video_log_scores, others.label_index)
    scores, known = (
        probabilities(each.video_log_scores, temperature=temperature).max(axis=1) for each in (own, others)
    )
    is_tagged = scores >= choose_threshold(known, others.is_right, target_precision=target_precision)
    if (novelty := fit_novelty(others)) is not None:
        is_tagged &= ~novelty.is_novel(own.kinematic_features)
    return scores, is_tagged


def _weights(labels: Sequence[str], sources: Mapping[tuple[str, str], int]) -> Float64Array:
    """Return (S,) the weight of each source's videos: see above."""
    totals = Counter(labels)
    left = {pair: 1 - size / totals[pair[0]] for pair, size in sources.items()}
    of_label = {label: sum(share for pair, share in left.items() if pair[0] == label) for label in totals}
    return np.array([left[pair] / of_label[pair[0]] / size for pair, size in sources.items()])


def _style(index: int, predictions: Predictions, tested: _Tested | None, *, seed: int) -> UnseenStyle:
    own = predictions.label_index == index
    part = None
    if tested is not None and (tested.label_index == index).any():
        part = tested.take(tested.label_index == index)
    return UnseenStyle(
        label=predictions.labels[index],
        num_sources=0 if part is None else int(part.source.max()) + 1,
        num_videos=0 if part is None else len(part.source),
        accuracy=None if part is None else _estimate(_accuracy, part, seed=seed),
        ece=None if part is None else _estimate(_calibration_error, part, seed=seed),
        cross_validated=float(predictions.is_right[own].mean()) if own.any() else 0.0,
    )


def _source(index: int, pair: tuple[str, str], labels: Sequence[str], tested: _Tested) -> UnseenSource:
    own = tested.source == index
    label, group = pair
    return UnseenSource(
        label=label,
        group=group,
        num_videos=int(own.sum()),
        num_left=labels.count(label) - int(own.sum()),
        accuracy=float(tested.is_right[own].mean()),
    )


Figure = Callable[[_Tested, Float64Array], Float64Array]
"""A figure of (B, T) weights of the videos in B bootstrap samples: (B,), NaN where a sample has no case."""


def _estimate(figure: Figure, tested: _Tested, *, seed: int) -> Estimate:
    """Return the figure with its interval over the groups, and over the videos of each source.

    Without a single mistake the samples have none either; the lower end is then that of Clopper and Pearson's interval
    for as many groups.
    """
    value = float(figure(tested, tested.weight[None])[0])
    draws = figure(tested, _draw(tested, seed=seed))
    low, high = np.nanquantile(draws, [0.025, 0.975])
    if figure is not _calibration_error and min(value, float(low)) > 1 - 1e-9:
        low = 0.025 ** (1 / (int(tested.group.max()) + 1))
    return Estimate(value, min(float(low), value), max(float(high), value))


def _draw(tested: _Tested, *, seed: int) -> Float64Array:
    """Return (B, T) weights: groups drawn from all groups, then as many videos of each source as it has."""
    num_videos, num_groups = len(tested.source), int(tested.group.max()) + 1
    num_draws = min(NUM_DRAWS, max(1, MAX_COUNTS // num_videos))
    rng = np.random.default_rng([seed, num_videos])
    times = rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), num_draws)
    counts = np.zeros((num_draws, num_videos))
    for source in range(int(tested.source.max()) + 1):
        own = np.flatnonzero(tested.source == source)
        counts[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), num_draws)
    return counts * times[:, tested.group] * tested.weight


def _accuracy(tested: _Tested, weights: Float64Array) -> Float64Array:
    return _ratio(weights @ tested.is_right, weights.sum(axis=1))


def _tagged(tested: _Tested, weights: Float64Array) -> Float64Array:
    return _ratio(weights @ tested.is_tagged, weights.sum(axis=1))


def _precision(tested: _Tested, weights: Float64Array) -> Float64Array:
    return _ratio(weights @ (tested.is_tagged & tested.is_right), weights @ tested.is_tagged)


def _calibration_error(tested: _Tested, weights: Float64Array) -> Float64Array:
    """Return the expected calibration errors, in bins as `calibrate.expected_calibration_error` has them."""
    which = np.clip((tested.scores * NUM_BINS).astype(int), 0, NUM_BINS - 1)
    in_bin = np.eye(NUM_BINS)[which] * (tested.is_right - tested.scores)[:, None]
    return _ratio(np.abs(weights @ in_bin).sum(axis=1), weights.sum(axis=1))


def _ratio(part: Float64Array, whole: Float64Array) -> Float64Array:
    shares = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return np.minimum(shares, 1.0)  # rounding
