"""How good a style model is on videos it has not seen, next to rivals that hardly watch the dance."""

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from choreai.motion.skeleton import NUM_KEYPOINTS
from choreai.style.examples import Examples
from choreai.style.model import StyleModel

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassMetrics:
    """One label's share in the result; a ratio without cases is 0."""

    label: str
    num: int
    """Cases that have this label."""
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Scorecard:
    """Predictions against labels, of videos or of windows."""

    num: int
    accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    """Means over the classes, each counting the same."""
    classes: tuple[ClassMetrics, ...]
    confusion: tuple[tuple[int, ...], ...]
    """[label][style]: how often what a person called `label` got the tag `style`."""


@dataclass(frozen=True)
class Metrics:
    """The content of metrics.json. All but the train accuracy is of held-out videos."""

    labels: tuple[str, ...]
    videos: Scorecard
    """A video's score is the mean of its windows' probabilities."""
    windows: Scorecard
    train_video_accuracy: float
    majority_class: str
    """The most frequent label among the training videos."""
    majority_class_accuracy: float
    """Of always answering that."""
    mean_pose_accuracy: float
    """Of a logistic regression on the mean pose alone: near the model's, style shows in a still picture."""
    mean_speed_accuracy: float
    """Of one on each keypoint's mean speed alone: near the model's, it is only a matter of tempo."""

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, dicts, strings and finite numbers, for JSON."""
        return asdict(self)


def evaluate(model: StyleModel, examples: Examples) -> Metrics:
    """The model's metrics on the test videos of `examples`, and those of the simple rivals."""
    train, test = examples.part(test=False), examples.part(test=True)
    labels = model.config.labels
    scores = model.window_scores(test.steps)
    video_labels = labels_by_video(test)
    majority = int(np.bincount(labels_by_video(train), minlength=len(labels)).argmax())
    train_styles = mean_by_video(model.window_scores(train.steps), train).argmax(axis=1)
    return Metrics(
        labels=labels,
        videos=score_predictions(video_labels, mean_by_video(scores, test).argmax(axis=1), labels),
        windows=score_predictions(test.label_index, scores.argmax(axis=1), labels),
        train_video_accuracy=float((train_styles == labels_by_video(train)).mean()),
        majority_class=labels[majority],
        majority_class_accuracy=float((video_labels == majority).mean()),
        mean_pose_accuracy=_rival_accuracy(mean_pose(train.steps), mean_pose(test.steps), train, test),
        mean_speed_accuracy=_rival_accuracy(mean_speed(train.steps), mean_speed(test.steps), train, test),
    )


def score_predictions(labels_of: IntArray, styles_of: IntArray, labels: tuple[str, ...]) -> Scorecard:
    """The scorecard of predictions (N,) for labels (N,), both indices into `labels`."""
    indices = list(range(len(labels)))
    precision, recall, f1, num = precision_recall_fscore_support(labels_of, styles_of, labels=indices, zero_division=0)
    return Scorecard(
        num=len(labels_of),
        accuracy=float(accuracy_score(labels_of, styles_of)),
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1=float(f1.mean()),
        classes=tuple(
            ClassMetrics(label, int(num[i]), float(precision[i]), float(recall[i]), float(f1[i]))
            for i, label in enumerate(labels)
        ),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion_matrix(labels_of, styles_of, labels=indices)),
    )


def mean_by_video(scores: FloatArray, examples: Examples) -> FloatArray:
    """(V, labels) mean window scores, of the videos that occur in `examples`, in order."""
    videos, video_of_window = np.unique(examples.video_index, return_inverse=True)
    sums = np.zeros((len(videos), scores.shape[1]), np.float64)
    np.add.at(sums, video_of_window, scores)
    return (sums / np.bincount(video_of_window)[:, None]).astype(np.float32)


def labels_by_video(examples: Examples) -> IntArray:
    """(V,) label indices, of the same videos in the same order."""
    _, first = np.unique(examples.video_index, return_index=True)
    return examples.label_index[first]


def mean_pose(steps: FloatArray) -> FloatArray:
    """(W, 34) mean coordinates of each window."""
    return _coordinates(steps).mean(axis=1).reshape(len(steps), -1)


def mean_speed(steps: FloatArray) -> FloatArray:
    """(W, 17) mean distance that each keypoint covers per step, in torso lengths."""
    return np.linalg.norm(np.diff(_coordinates(steps), axis=1), axis=3).mean(axis=1)


def _coordinates(steps: FloatArray) -> FloatArray:
    return steps.reshape(len(steps), steps.shape[1], NUM_KEYPOINTS, 3)[..., :2]


def _rival_accuracy(train_features: FloatArray, test_features: FloatArray, train: Examples, test: Examples) -> float:
    rival = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a rival short of its best by a hair will do
        rival.fit(train_features, train.label_index)
    styles = mean_by_video(rival.predict_proba(test_features), test).argmax(axis=1)
    return float((rival.classes_[styles] == labels_by_video(test)).mean())
