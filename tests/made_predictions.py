"""Predictions made by hand or by chance, whose right answers are known."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from choreai.style.predictions import Predictions

LABELS = ("breaking", "locking", "popping")


def predictions_of(
    probabilities: npt.ArrayLike,
    label_index: Sequence[int] | npt.NDArray[np.int64],
    *,
    groups: Sequence[str] | None = None,
    num_folds: int = 5,
    labels: tuple[str, ...] = LABELS,
    kinematic_features: npt.NDArray[np.float32] | None = None,
) -> Predictions:
    """One window of three seconds a video; folds in turn, every video its own group unless told otherwise."""
    log_scores = np.log(np.asarray(probabilities)).astype(np.float32)
    num = len(log_scores)
    video_ids = tuple(f"video_{i}" for i in range(num))
    return Predictions(
        labels=labels,
        video_ids=video_ids,
        groups=video_ids if groups is None else tuple(groups),
        label_index=np.array(label_index, np.int64),
        fold=np.arange(num) % num_folds,
        window_log_scores=log_scores,
        window_video=np.arange(num),
        window_start_seconds=np.zeros(num, np.float32),
        window_stop_seconds=np.full(num, 3, np.float32),
        kinematic_features=np.zeros((num, 2), np.float32) if kinematic_features is None else kinematic_features,
    )


def calibrated_predictions(num: int, *, seed: int, sharpness: float = 1.0, num_folds: int = 5) -> Predictions:
    """Labels are drawn from the probabilities, which then are raised to `sharpness`: above 1 they are overconfident."""
    rng = np.random.default_rng(seed)
    logits = 2.0 * rng.normal(size=(num, len(LABELS)))
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    label_index = (true.cumsum(axis=1) < rng.random((num, 1))).sum(axis=1)
    said = true**sharpness
    return predictions_of(said / said.sum(axis=1, keepdims=True), label_index, num_folds=num_folds)
