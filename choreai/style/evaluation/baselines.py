"""Simple baselines that any model must beat.

Each is scored on the same videos, windows and folds as the network, so it starts from the network's predictions and
puts its own log scores in their place.
"""

import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from choreai.arrays import FloatArray, IntArray
from choreai.style.predictions import Predictions

REGULARISATION = 0.1
"""scikit-learn's C. Strong: there are often fewer videos than features."""
SMALLEST_LOG_SCORE = -30.0


def majority(like: Predictions) -> Predictions:
    """Return the class shares of the other folds' videos as the prediction for every window."""
    num_labels = len(like.labels)
    log_scores = np.zeros_like(like.window_log_scores)
    window_fold = like.fold[like.window_video]
    for fold in np.unique(like.fold):
        counts = np.bincount(like.label_index[like.fold != fold], minlength=num_labels) + 0.5
        log_scores[window_fold == fold] = np.log(counts / counts.sum())
    return replace(like, window_log_scores=log_scores)


def kinematic_regression(like: Predictions, features: FloatArray) -> Predictions:
    """Return a logistic regression on each window's kinematics, (W, K) with NaN where missing."""
    return _regression(like, features, like.fold[like.window_video])


def mean_pose_regression(like: Predictions, steps: FloatArray) -> Predictions:
    """Return a logistic regression on each window's mean pose: as good as the network, the style shows in a still
    picture.

    `steps` (W, T, 51) are `choreai.motion.windows.Windows.steps`, here and below.
    """
    poses = _coordinates(steps).mean(axis=1).reshape(len(steps), -1)
    return _regression(like, poses, like.fold[like.window_video])


def mean_speed_regression(like: Predictions, steps: FloatArray) -> Predictions:
    """Return a logistic regression on each keypoint's mean speed alone: as good as the network, only tempo matters."""
    speeds = np.linalg.norm(np.diff(_coordinates(steps), axis=1), axis=3).mean(axis=1)
    return _regression(like, speeds, like.fold[like.window_video])


def mean_score_regression(like: Predictions, steps: FloatArray) -> Predictions:
    """Return a logistic regression on how well each keypoint was seen, which is the recording and not the dance: what
    it knows comes from camera, place and clothes, and new ones take it away."""
    scores = _by_keypoint(steps)[..., 2]
    return _regression(like, np.hstack([scores.mean(axis=1), scores.std(axis=1)]), like.fold[like.window_video])


def leaky_regression(like: Predictions, features: FloatArray, *, seed: int) -> Predictions:
    """Return `kinematic_regression` with windows divided at random: most have neighbours in its training set.

    Not a baseline but a warning: this is how good a split looks that tears videos apart.
    """
    num_folds = len(np.unique(like.fold))
    window_fold = np.random.default_rng([seed, 0]).permutation(len(features)) % num_folds
    return _regression(like, features, window_fold)


def _regression(like: Predictions, features: FloatArray, window_fold: IntArray) -> Predictions:
    """Return log scores of windows by a regression on the other folds' windows, each video counting the same."""
    from sklearn.exceptions import ConvergenceWarning  # scikit-learn takes a second to import

    if len(features) != len(like.window_video):
        raise ValueError(f"there must be features for each of {len(like.window_video)} windows, got {len(features)}")
    window_label = like.label_index[like.window_video]
    weights = 1.0 / np.bincount(like.window_video)[like.window_video]
    log_scores = np.full_like(like.window_log_scores, SMALLEST_LOG_SCORE)
    for fold in np.unique(window_fold):
        train, own = window_fold != fold, window_fold == fold
        model = _pipeline()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a baseline slightly short of its optimum will do
            scale = train.sum() / weights[train].sum()
            model.fit(features[train], window_label[train], logisticregression__sample_weight=weights[train] * scale)
        known = model.named_steps["logisticregression"].classes_
        scores = np.maximum(model.predict_log_proba(features[own]), SMALLEST_LOG_SCORE)
        log_scores[np.ix_(own, known)] = scores
    return replace(like, window_log_scores=log_scores)


def _pipeline() -> Any:
    """Return imputation, scaling and regression; untyped in scikit-learn."""
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(C=REGULARISATION, max_iter=1000),
    )


def _coordinates(steps: FloatArray) -> FloatArray:
    return _by_keypoint(steps)[..., :2]


def _by_keypoint(steps: FloatArray) -> FloatArray:
    """Return (W, T, J, 3)."""
    return steps.reshape(*steps.shape[:2], steps.shape[2] // 3, 3)
