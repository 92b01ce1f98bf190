"""Tagging: what a style model says of a video's windows, on plain arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from choreai.motion.windows import Windows
from choreai.style.model import StyleModel

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class VideoScores:
    """One video's style and the scores behind it: the model's probabilities, not calibrated."""

    style: str
    score: float
    """Of `style`: the largest in `distribution`."""
    distribution: dict[str, float]
    """Every label's score, in the model's order; they sum to 1. The mean over the windows."""
    window_scores: FloatArray
    """(W, labels), in the order of the video's windows."""
    window_styles: tuple[str, ...]
    """(W,) the best label of each window."""


def tag_videos(model: StyleModel, videos: Sequence[Windows]) -> list[VideoScores | None]:
    """Scores for each video, None for one without windows; the network sees all windows together."""
    counts = [len(windows) for windows in videos]
    if not sum(counts):
        return [None] * len(videos)
    scores = model.window_scores(np.concatenate([windows.steps for windows in videos]))
    parts = np.split(scores, np.cumsum(counts)[:-1])
    return [_video_scores(part, model.config.labels) if len(part) else None for part in parts]


def tag_video(model: StyleModel, windows: Windows) -> VideoScores | None:
    """Scores for one video, None where it has no windows."""
    return tag_videos(model, [windows])[0]


def _video_scores(window_scores: FloatArray, labels: tuple[str, ...]) -> VideoScores:
    mean = window_scores.mean(axis=0, dtype=np.float64)
    best = int(mean.argmax())
    return VideoScores(
        style=labels[best],
        score=float(mean[best]),
        distribution={label: float(score) for label, score in zip(labels, mean, strict=True)},
        window_scores=window_scores,
        window_styles=tuple(labels[i] for i in window_scores.argmax(axis=1)),
    )
