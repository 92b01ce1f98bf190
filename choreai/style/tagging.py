"""Tagging: what a style model says of a video, its dancers and its moments, and why. Plain arrays in and out."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from choreai.arrays import FloatArray
from choreai.motion.kinematics import FEATURES, Kinematics
from choreai.motion.reasons import Reason, describe
from choreai.motion.windows import Windows
from choreai.style.dancers import Dancer
from choreai.style.examples import Inputs
from choreai.style.model import StyleModel
from choreai.style.novelty import Novelty
from choreai.style.predictions import mean_by_video
from choreai.style.segments import Run, style_runs
from choreai.tables.schemas import UNKNOWN


@dataclass(frozen=True)
class Verdict:
    """What the model says of some windows together."""

    best_style: str
    """The most likely style, sure or not."""
    score: float
    """Its calibrated probability."""
    doubt: str | None = None
    """Why the tag is "unknown", None where it is not."""

    @property
    def style(self) -> str:
        return self.best_style if self.doubt is None else UNKNOWN


@dataclass(frozen=True)
class Moment:
    """[start_seconds, stop_seconds) of one track, and what the model says of it."""

    start_seconds: float
    stop_seconds: float
    track_id: int
    verdict: Verdict


@dataclass(frozen=True, eq=False)
class VideoTag:
    """One video's tag with all that lies behind it."""

    verdict: Verdict
    """Of all windows of the video's dancers."""
    distribution: dict[str, float]
    """Every style's calibrated probability, in the model's order."""
    tracks: tuple[Moment, ...]
    """Each dancer's own, by track id."""
    segments: tuple[Moment, ...]
    """By track and time, without gaps where windows are: a new one where the style changes. The last moments in
    view, too short for another window, belong to none."""
    windows: tuple[Moment, ...]
    """Never "unknown": one window alone is seldom sure."""
    kinematics: Kinematics
    """Of the main dancer, over the whole time."""
    reasons: tuple[Reason, ...]
    """For the verdict's best style, the strongest first."""


def tag_video(model: StyleModel, windows: Windows, dancers: Sequence[Dancer]) -> VideoTag | None:
    """The tag of one video, None where it has no windows; `dancers` are what `measure_dancers` found in it."""
    if not len(windows):
        return None
    log_scores = model.window_log_scores(Inputs.of(windows))
    verdict = judge(model, log_scores, windows.context)
    tracks, segments = [], []
    for track_id in np.unique(windows.track_id).tolist():
        rows = np.flatnonzero(windows.track_id == track_id)
        starts, stops = windows.start_seconds[rows], windows.stop_seconds[rows]
        of_track = judge(model, log_scores[rows], windows.context[rows])
        tracks.append(Moment(float(starts[0]), float(stops[-1]), track_id, of_track))
        runs = style_runs(model.calibrated(log_scores[rows]), start_seconds=starts, stop_seconds=stops)
        segments += _segments(model, runs, log_scores[rows], windows.context[rows], track_id)
    return VideoTag(
        verdict=verdict,
        distribution=dict(zip(model.config.labels, _probabilities(model, log_scores).tolist(), strict=True)),
        tracks=tuple(tracks),
        segments=tuple(segments),
        windows=_window_moments(model, windows, log_scores),
        kinematics=next(dancer.kinematics for dancer in dancers if dancer.is_main),
        reasons=tuple(_reasons(model, verdict.best_style, windows.context)),
    )


def judge(model: StyleModel, log_scores: FloatArray, context: FloatArray) -> Verdict:
    """The verdict on (W, labels) window log scores and (W, K) kinematics together."""
    probabilities = _probabilities(model, log_scores)
    best = int(probabilities.argmax())
    score = float(probabilities[best])
    doubt = None
    if score < model.config.unknown_below:
        doubt = f"score {score:.2f} below {model.config.unknown_below:.2f}"
    elif model.config.novelty is not None and Novelty.from_dict(model.config.novelty).is_novel(_mean(context))[0]:
        doubt = "moves unlike anything in training"
    return Verdict(model.config.labels[best], score, doubt)


def mean_kinematics(context: FloatArray) -> Kinematics:
    """The mean of (W, K) kinematics, of each feature over the windows in which it is told."""
    means = _mean(context)[0].tolist()
    return Kinematics(seconds=np.nan, seen_share=np.nan, **dict(zip(FEATURES, means, strict=True)))


def _mean(context: FloatArray) -> FloatArray:
    """(1, K), NaN where no window tells."""
    return mean_by_video(context, np.zeros(len(context), np.int64), num_videos=1)


def _probabilities(model: StyleModel, log_scores: FloatArray) -> FloatArray:
    """(labels,) of windows together: the mean log score, calibrated."""
    return model.calibrated(log_scores.mean(axis=0, keepdims=True))[0]


def _segments(
    model: StyleModel, runs: list[Run], log_scores: FloatArray, context: FloatArray, track_id: int
) -> list[Moment]:
    """One track's runs as segments; neighbours of one tag, which can only be "unknown", become one."""
    segments: list[Moment] = []
    first = 0
    for run in runs:
        verdict = judge(model, log_scores[run.first : run.stop], context[run.first : run.stop])
        start_seconds = run.start_seconds
        before = segments[-1] if segments else None
        if before is not None and (before.stop_seconds, before.verdict.style) == (start_seconds, verdict.style):
            del segments[-1]
            start_seconds = before.start_seconds
            verdict = judge(model, log_scores[first : run.stop], context[first : run.stop])
        else:
            first = run.first
        segments.append(Moment(start_seconds, run.stop_seconds, track_id, verdict))
    return segments


def _window_moments(model: StyleModel, windows: Windows, log_scores: FloatArray) -> tuple[Moment, ...]:
    scores = model.calibrated(log_scores)
    spans = zip(windows.start_seconds.tolist(), windows.stop_seconds.tolist(), windows.track_id.tolist(), strict=True)
    return tuple(
        Moment(start, stop, track, Verdict(model.config.labels[int(own.argmax())], float(own.max())))
        for (start, stop, track), own in zip(spans, scores, strict=True)
    )


def _reasons(model: StyleModel, style: str, context: FloatArray) -> list[Reason]:
    """None where the model has no references to compare with."""
    references = model.config.references
    if style not in references or len(references) < 2:
        return []
    return describe(mean_kinematics(context), references, style=style)
