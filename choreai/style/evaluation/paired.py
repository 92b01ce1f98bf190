"""Two models on the videos that both were tested on: the difference in the same bootstrap samples.

Each video counts as the network said that had not seen its fold. The two need not be divided into the same folds for
that; whether they are is told, as a model that was tested on smaller folds learnt from more.
"""

from dataclasses import dataclass

import numpy as np

from choreai.arrays import Float64Array, IntArray
from choreai.style.evaluation.bootstrap import Estimate, Resamples
from choreai.style.evaluation.scorecard import f1_scores
from choreai.style.predictions import Predictions


@dataclass(frozen=True)
class PairedDifference:
    """What the first model's figures are above the second's, with 95 % intervals."""

    num_videos: int
    """Tested by both, with the same label."""
    num_other_labels: int
    """Tested by both, but with another label: left out."""
    same_folds: bool
    """Whether the videos are divided alike."""
    accuracy: Estimate
    macro_f1: Estimate | None
    """None where the styles differ."""
    num_better: int
    """Right by the first alone."""
    num_worse: int
    """Right by the second alone."""


def paired_difference(ours: Predictions, theirs: Predictions, *, seed: int = 0) -> PairedDifference | None:
    """Return how much better `ours` are than `theirs`; None where they have no video in common."""
    places = {video_id: place for place, video_id in enumerate(theirs.video_ids)}
    shared = [place for place, video_id in enumerate(ours.video_ids) if video_id in places]
    alike = [place for place in shared if _label(ours, place) == _label(theirs, places[ours.video_ids[place]])]
    if not alike:
        return None
    chosen = np.isin(np.arange(len(ours)), alike)
    own = ours.videos_where(chosen)
    partners = [places[video_id] for video_id in own.video_ids]
    resamples = Resamples.draw(own, seed=seed)
    own_right, their_right = own.is_right, theirs.is_right[partners]
    return PairedDifference(
        num_videos=len(own),
        num_other_labels=len(shared) - len(alike),
        same_folds=_divided_alike(own.fold, theirs.fold[partners]),
        accuracy=resamples.estimate_mean(own_right.astype(np.float64) - their_right),
        macro_f1=_f1_difference(own, theirs, partners, resamples),
        num_better=int((own_right & ~their_right).sum()),
        num_worse=int((~own_right & their_right).sum()),
    )


def _label(predictions: Predictions, place: int) -> str:
    return predictions.labels[predictions.label_index[place]]


def _divided_alike(own: IntArray, theirs: IntArray) -> bool:
    """Return whether two divisions are the same, whatever their folds are called."""
    pairs = set(zip(own.tolist(), theirs.tolist(), strict=True))
    return len(pairs) == len(set(own.tolist())) == len(set(theirs.tolist()))


def _f1_difference(own: Predictions, theirs: Predictions, partners: list[int], resamples: Resamples) -> Estimate | None:
    if set(own.labels) != set(theirs.labels):
        return None
    order = [own.labels.index(label) for label in theirs.labels]
    said = np.array(order)[theirs.video_log_scores.argmax(axis=1)[partners]]
    cells = [_cells(own, styles) for styles in (own.video_log_scores.argmax(axis=1), said)]
    size = len(own.labels)
    sums = [each.sum(axis=0).reshape(size, size) for each in cells]
    draws = [resamples.sums(each).reshape(-1, size, size) for each in cells]
    values = [float(f1_scores(each).mean()) for each in sums]
    spread = [f1_scores(each).mean(axis=1) for each in draws]
    return resamples.estimate(values[0] - values[1], spread[0] - spread[1])


def _cells(own: Predictions, styles: IntArray) -> Float64Array:
    """Return (V, C * C) the cell of the confusion matrix that each video falls into."""
    size = len(own.labels)
    return np.eye(size**2)[own.label_index * size + styles]
