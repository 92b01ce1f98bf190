"""Tagging: what a style model predicts for a video, its dancers and its spans of time, and why."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from choreai.arrays import FloatArray
from choreai.motion.kinematics import FEATURES, Kinematics
from choreai.motion.reasons import Reason, describe
from choreai.motion.sequence import KeypointSequence
from choreai.motion.windows import Windows, cut_windows
from choreai.style.dancers import Dancer, measure_dancers
from choreai.style.examples import Inputs
from choreai.style.model import StyleModel
from choreai.style.novelty import Novelty
from choreai.style.predictions import mean_by_video
from choreai.style.segments import Run, style_runs
from choreai.tables.schemas import UNKNOWN

Row = dict[str, object]

MIN_DANCER_CONFIDENCE = 0.75
"""Below, somebody else is nearly as prominent for a quarter of the time. On 140 frames with hand-drawn boxes the choice
was right in 0.97 of those with nobody so near, and in 0.82 of the others."""
DANCER_UNCERTAIN = "several people, dancer uncertain"
SECONDS_TOLERANCE = 0.1
MIN_SEEN_SHARE = 0.6
"""Of the keypoints: each of 183 training clips shows 0.59 or more, so nobody knows how good a tag of less is."""
LOW_SCORE, UNLIKE_TRAINING, SHORT, HALF_SEEN, SEVERAL_PEOPLE, DANCER_NOT_FOUND = DOUBTS = (
    "low score", "unlike training", "short", "half seen", "several people", "dancer not found",
)  # fmt: skip
"""What may be doubted of a tag, in fixed words; the first two make it "unknown"."""


@dataclass(frozen=True)
class Prediction:
    """What the model predicts from some windows together."""

    best_style: str
    """The most likely style, however unsure."""
    score: float
    """Its calibrated probability."""
    doubt: str | None = None
    """Why the tag is "unknown"; None where it is not."""
    doubts: tuple[str, ...] = ()
    """The same in fixed words, of `DOUBTS`."""
    novelty: float | None = None
    """How unlike the training videos the movement is, whatever the score: 1 is the limit above which the tag is
    "unknown". None where the model has no limit."""

    @property
    def style(self) -> str:
        """The tag: the best style, or "unknown"."""
        return self.best_style if self.doubt is None else UNKNOWN


@dataclass(frozen=True)
class TaggedSpan:
    """The prediction for one track in [start_seconds, stop_seconds)."""

    start_seconds: float
    stop_seconds: float
    track_id: int
    prediction: Prediction

    def row(self) -> Row:
        """Return the span as a table holds it."""
        return {
            "start_seconds": self.start_seconds,
            "stop_seconds": self.stop_seconds,
            "track_id": self.track_id,
            "style": self.prediction.style,
            "best_style": self.prediction.best_style,
            "score": self.prediction.score,
            "unknown": self.prediction.doubt is not None,
        }


@dataclass(frozen=True, eq=False)
class VideoTag:
    """One video's tag with everything it rests on."""

    prediction: Prediction
    """From all windows of the video's main dancers."""
    distribution: dict[str, float]
    """Every style's calibrated probability, in the model's order."""
    tracks: tuple[TaggedSpan, ...]
    """One for each dancer, by track id."""
    segments: tuple[TaggedSpan, ...]
    """By track and time, without gaps where there are windows; a new one begins where the style changes. The last
    samples of a track, too few for another window, belong to none."""
    windows: tuple[TaggedSpan, ...]
    """Never "unknown": a single window is seldom sure."""
    kinematics: Kinematics
    """Of the most prominent dancer, over the whole video."""
    reasons: tuple[Reason, ...]
    """For the best style, the strongest first."""
    dancer_confidence: float = 1.0
    """How clearly the main dancers stood out from other people (`choreai.motion.prominence.DancerChoice`)."""
    remark: str | None = None
    """On who was taken for the dancer, e.g. that a person whom a reviewer named was not found."""
    judged_seconds: float = float("inf")
    """Of main dancers, in all windows together."""
    window_seconds: float = 0.0
    """Of one whole window of the model: less than that was judged by a window filled up."""
    seen_share: float = 1.0
    """Of the keypoints in the windows."""

    @property
    def _remarks(self) -> dict[str, str | None]:
        """What may be doubted without making the tag "unknown", by its fixed words."""
        is_short = self.judged_seconds < self.window_seconds - SECONDS_TOLERANCE
        return {
            SHORT: f"short: {self.judged_seconds:.1f} s of dance" if is_short else None,
            HALF_SEEN: f"half seen: {self.seen_share:.0%} of the body" if self.seen_share < MIN_SEEN_SHARE else None,
            SEVERAL_PEOPLE: DANCER_UNCERTAIN if self.dancer_confidence < MIN_DANCER_CONFIDENCE else None,
            DANCER_NOT_FOUND: self.remark,
        }

    @property
    def reason(self) -> str | None:
        """Why the tag is "unknown", and what else may be doubted; None where there is nothing to say."""
        remarks = [self.prediction.doubt, *self._remarks.values()]
        return "; ".join(remark for remark in remarks if remark) or None

    @property
    def doubts(self) -> tuple[str, ...]:
        """The same in fixed words, of `DOUBTS`."""
        return (*self.prediction.doubts, *(name for name, remark in self._remarks.items() if remark))


@dataclass(frozen=True, eq=False)
class TaggedVideo:
    """One video's dancers, measured, and its tag where there is one."""

    dancers: tuple[Dancer, ...]
    tag: VideoTag | None
    why_no_tag: str | None = None
    named: tuple[int, ...] | None = None
    """The ids of the dancers where a person named them; None: chosen by prominence."""

    @property
    def main_dancer(self) -> Dancer | None:
        """The most prominent person; None where nobody is in view."""
        return next((dancer for dancer in self.dancers if dancer.is_main), None)

    @property
    def text(self) -> str:
        """The tag and its score in a few words, or why there is none."""
        if self.tag is None:
            return str(self.why_no_tag)
        prediction = self.tag.prediction
        if prediction.doubt is None:
            remark = f" ({self.tag.reason})" if self.tag.reason else ""
            return f"{prediction.style} {prediction.score:.2f}{remark}"
        return (
            f"{prediction.style} ({self.tag.reason}; most like {prediction.best_style}, score {prediction.score:.2f})"
        )


def tag_sequence(
    sequence: KeypointSequence,
    model: StyleModel | None,
    *,
    dancers: tuple[Dancer, ...] | None = None,
    named: Collection[int] | None = None,
) -> TaggedVideo:
    """Measure and tag one video. `dancers`: what `measure_dancers` returned for it, if that is known already; `named`:
    the ids of the people whom the tag is about, if a person has named them."""
    return tag_sequences([sequence], model, dancers=None if dancers is None else [dancers], named=[named])[0]


def tag_sequences(
    sequences: Sequence[KeypointSequence],
    model: StyleModel | None,
    *,
    dancers: Sequence[tuple[Dancer, ...]] | None = None,
    named: Sequence[Collection[int] | None] | None = None,
) -> list[TaggedVideo]:
    """Measure and tag several videos; the networks process the windows of all of them in one pass."""
    people_named = [None] * len(sequences) if named is None else list(named)
    measured = list(map(measure_dancers, sequences, people_named)) if dancers is None else list(dancers)
    ids_named = [None if ids is None else tuple(sorted(ids)) for ids in people_named]
    if model is None or not sequences:
        return [
            TaggedVideo(people, None, "no style model", ids) for people, ids in zip(measured, ids_named, strict=True)
        ]
    windows = [
        cut_windows(sequence, model.config.windows, named=ids)
        for sequence, ids in zip(sequences, people_named, strict=True)
    ]
    log_scores = model.window_log_scores(Inputs.concat([Inputs.from_windows(each) for each in windows]))
    parts = np.split(log_scores, np.cumsum([len(each) for each in windows])[:-1])
    tags = [tag_windows(model, *each) for each in zip(windows, parts, measured, strict=True)]
    why_not = f"nobody in view for {model.config.windows.min_seconds:g} s on end"
    return [
        TaggedVideo(people, tag, why_not if tag is None else None, ids)
        for people, tag, ids in zip(measured, tags, ids_named, strict=True)
    ]


def tag_windows(
    model: StyleModel, windows: Windows, log_scores: FloatArray, dancers: Sequence[Dancer]
) -> VideoTag | None:
    """Return the tag of one video from its windows' log scores (W, labels); None where it has no windows."""
    if not len(windows):
        return None
    features = windows.kinematic_features
    prediction = predict(model, log_scores, features)
    tracks, segments = [], []
    for track_id in np.unique(windows.track_id).tolist():
        rows = np.flatnonzero(windows.track_id == track_id)
        starts, stops = windows.start_seconds[rows], windows.stop_seconds[rows]
        of_track = predict(model, log_scores[rows], features[rows])
        tracks.append(TaggedSpan(float(starts[0]), float(stops[-1]), track_id, of_track))
        runs = style_runs(model.calibrated(log_scores[rows]), start_seconds=starts, stop_seconds=stops)
        segments += _segments(model, runs, log_scores[rows], features[rows], track_id)
    return VideoTag(
        prediction=prediction,
        distribution=dict(zip(model.config.labels, _probabilities(model, log_scores).tolist(), strict=True)),
        tracks=tuple(tracks),
        segments=tuple(segments),
        windows=_window_spans(model, windows, log_scores),
        kinematics=next(dancer.kinematics for dancer in dancers if dancer.is_main),
        reasons=tuple(_reasons(model, prediction.best_style, features)),
        dancer_confidence=windows.dancer_confidence,
        judged_seconds=_judged_seconds(windows),
        window_seconds=model.config.windows.window_seconds,
        seen_share=_seen_share(windows, min_score=model.config.windows.min_score),
    )


def _judged_seconds(windows: Windows) -> float:
    """Return the time that windows cover, of each track once."""
    total = 0.0
    for track_id in np.unique(windows.track_id):
        own = windows.track_id == track_id
        stops = np.minimum(windows.stop_seconds[own], np.append(windows.start_seconds[own][1:], np.inf))
        total += float((stops - windows.start_seconds[own]).sum())
    return total


def _seen_share(windows: Windows, *, min_score: float) -> float:
    """Return the share of the keypoints that are seen in the steps in which the dancer is in view."""
    scores = windows.steps[..., 2::3]
    in_view = scores.any(axis=2)
    return float((scores[in_view] >= min_score).mean()) if in_view.any() else 0.0


def predict(model: StyleModel, log_scores: FloatArray, kinematic_features: FloatArray) -> Prediction:
    """Return the prediction from W windows together: log scores (W, labels), kinematic features (W, K)."""
    probabilities = _probabilities(model, log_scores)
    best = int(probabilities.argmax())
    score = float(probabilities[best])
    novelty = _novelty(model, kinematic_features)
    if best >= model.config.num_trained:  # a taught style has a limit of its own, and is new to the rest
        return Prediction(model.config.labels[best], score, novelty=novelty)
    doubts = {
        LOW_SCORE: f"score {score:.2f} below {model.config.unknown_below:.2f}"
        if score < model.config.unknown_below
        else None,
        UNLIKE_TRAINING: "moves unlike anything in training" if novelty is not None and novelty > 1 else None,
    }
    return Prediction(
        best_style=model.config.labels[best],
        score=score,
        doubt="; ".join(doubt for doubt in doubts.values() if doubt) or None,
        doubts=tuple(name for name, doubt in doubts.items() if doubt),
        novelty=novelty,
    )


def _novelty(model: StyleModel, kinematic_features: FloatArray) -> float | None:
    """Return how unlike the training videos' movement it is, or how like that of outliers, over the limit."""
    if model.config.novelty is None:
        return None
    return float(Novelty.from_dict(model.config.novelty).ratios(_mean_features(kinematic_features))[0])


def with_remark(tagged: TaggedVideo, remark: str | None) -> TaggedVideo:
    """Return the tag with a remark on who was taken for the dancer; a video without a tag stays as it is."""
    return tagged if tagged.tag is None or remark is None else replace(tagged, tag=replace(tagged.tag, remark=remark))


def tag_row(tag: VideoTag) -> Row:
    """Return the tag as values by column, the same for the tags table, the web and the command line."""
    return {
        "style": tag.prediction.style,
        "best_style": tag.prediction.best_style,
        "score": tag.prediction.score,
        "unknown": tag.prediction.doubt is not None,
        "reason": tag.reason,
        "distribution": [{"style": style, "score": score} for style, score in tag.distribution.items()],
        "tracks": [track.row() for track in tag.tracks],
        "segments": [segment.row() for segment in tag.segments],
        "windows": [window.row() for window in tag.windows],
        "kinematics": tag.kinematics.row(),
        "reasons": [asdict(reason) for reason in tag.reasons],
        "doubts": ", ".join(tag.doubts) or None,
        "novelty": tag.prediction.novelty,
    }


def untagged_row(reason: str, *, kinematics: Kinematics | None = None) -> Row:
    """Return `tag_row`'s columns for a video without a tag."""
    return {
        "style": None,
        "best_style": None,
        "score": None,
        "unknown": False,
        "reason": reason,
        "distribution": [],
        "tracks": [],
        "segments": [],
        "windows": [],
        "kinematics": None if kinematics is None else kinematics.row(),
        "reasons": [],
        "doubts": None,
        "novelty": None,
    }


def mean_kinematics(kinematic_features: FloatArray) -> Kinematics:
    """Return the mean of (W, K) kinematic features, each over the windows in which it is known."""
    means = _mean_features(kinematic_features)[0].tolist()
    return Kinematics(seconds=np.nan, seen_share=np.nan, **dict(zip(FEATURES, means, strict=True)))


def _mean_features(kinematic_features: FloatArray) -> FloatArray:
    """Return (1, K) means; NaN where missing in every window."""
    return mean_by_video(kinematic_features, np.zeros(len(kinematic_features), np.int64), num_videos=1)


def _probabilities(model: StyleModel, log_scores: FloatArray) -> FloatArray:
    """Return (labels,) from windows together: the mean log score, calibrated."""
    return model.calibrated(log_scores.mean(axis=0, keepdims=True))[0]


def _segments(
    model: StyleModel, runs: list[Run], log_scores: FloatArray, kinematic_features: FloatArray, track_id: int
) -> list[TaggedSpan]:
    """Return one track's runs as segments; neighbours with the same tag, which can only be "unknown", are merged."""
    segments: list[TaggedSpan] = []
    first = 0
    for run in runs:
        prediction = predict(model, log_scores[run.first : run.stop], kinematic_features[run.first : run.stop])
        start_seconds = run.start_seconds
        before = segments[-1] if segments else None
        if before is not None and (before.stop_seconds, before.prediction.style) == (start_seconds, prediction.style):
            del segments[-1]
            start_seconds = before.start_seconds
            prediction = predict(model, log_scores[first : run.stop], kinematic_features[first : run.stop])
        else:
            first = run.first
        segments.append(TaggedSpan(start_seconds, run.stop_seconds, track_id, prediction))
    return segments


def _window_spans(model: StyleModel, windows: Windows, log_scores: FloatArray) -> tuple[TaggedSpan, ...]:
    scores = model.calibrated(log_scores)
    spans = zip(windows.start_seconds.tolist(), windows.stop_seconds.tolist(), windows.track_id.tolist(), strict=True)
    return tuple(
        TaggedSpan(start, stop, track, Prediction(model.config.labels[int(own.argmax())], float(own.max())))
        for (start, stop, track), own in zip(spans, scores, strict=True)
    )


def _reasons(model: StyleModel, style: str, kinematic_features: FloatArray) -> list[Reason]:
    """Return the strongest reasons for the style; none where the model has no references to compare with."""
    references = model.config.references
    if style not in references or len(references) < 2:
        return []
    return describe(mean_kinematics(kinematic_features), references, style=style)
