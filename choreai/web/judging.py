"""What a style model says of keypoint rows, as JSON values, by the code that the batch job runs."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from choreai.arrays import FloatArray
from choreai.motion.kinematics import Kinematics
from choreai.motion.sequence import KeypointSequence
from choreai.motion.windows import cut_windows
from choreai.style.dancers import Dancer, measure_dancers
from choreai.style.examples import Inputs
from choreai.style.model import StyleModel
from choreai.style.tagging import Moment, VideoTag, tag_video


def judge_rows(rows: KeypointSequence, model: StyleModel | None) -> dict[str, Any] | None:
    """The tag of one video's or viewer's rows; None where nobody has been in view for long enough.

    Without a model the style is None, and only the kinematics are told.
    """
    return judge_all([rows], model)[0]


def judge_all(videos: Sequence[KeypointSequence], model: StyleModel | None) -> list[dict[str, Any] | None]:
    """`judge_rows` of each; the networks see the windows of all of them at once."""
    dancers = [measure_dancers(rows) for rows in videos]
    if model is None:
        return [_untagged(people) for people in dancers]
    windows = [cut_windows(rows, model.config.windows) for rows in videos]
    log_scores = model.window_log_scores(Inputs.concat([Inputs.of(each) for each in windows]))
    shares = np.split(log_scores, np.cumsum([len(each) for each in windows])[:-1])
    tags = [
        tag_video(_Asked(model.networks, model.config, log_scores=share), each, people)
        for share, each, people in zip(shares, windows, dancers, strict=True)
    ]
    return [None if tag is None else tag_json(tag) for tag in tags]


@dataclass(frozen=True, eq=False)
class _Asked(StyleModel):
    """A model that has been asked about the windows in question already."""

    log_scores: FloatArray = field(default_factory=lambda: np.zeros((0, 0), np.float32))
    """(W, labels)."""

    def window_log_scores(self, inputs: Inputs) -> FloatArray:
        assert len(inputs) == len(self.log_scores)
        return self.log_scores


def tag_json(tag: VideoTag) -> dict[str, Any]:
    """A tag as JSON values, named as the columns of the tags table are."""
    return {
        "style": tag.verdict.style,
        "best_style": tag.verdict.best_style,
        "score": _rounded(tag.verdict.score),
        "unknown": tag.verdict.doubt is not None,
        "reason": tag.verdict.doubt,
        "distribution": [{"style": style, "score": _rounded(score)} for style, score in tag.distribution.items()],
        "tracks": [_moment_json(moment) for moment in tag.tracks],
        "segments": [_moment_json(moment) for moment in tag.segments],
        "kinematics": kinematics_json(tag.kinematics),
        "reasons": [
            {name: _rounded(value) if isinstance(value, float) else value for name, value in asdict(reason).items()}
            for reason in tag.reasons
        ],
    }


def kinematics_json(kinematics: Kinematics) -> dict[str, float | None]:
    """By field, None for what is not known."""
    return {name: _rounded(value) for name, value in asdict(kinematics).items()}


def _untagged(dancers: Sequence[Dancer]) -> dict[str, Any] | None:
    """What a server without a model says."""
    main = next((dancer for dancer in dancers if dancer.is_main), None)
    if main is None:
        return None
    return {
        "style": None,
        "best_style": None,
        "score": None,
        "unknown": False,
        "reason": "the server has no style model",
        "distribution": [],
        "tracks": [],
        "segments": [],
        "kinematics": kinematics_json(main.kinematics),
        "reasons": [],
    }


def _moment_json(moment: Moment) -> dict[str, Any]:
    return {
        "start_seconds": _rounded(moment.start_seconds),
        "stop_seconds": _rounded(moment.stop_seconds),
        "track_id": moment.track_id,
        "style": moment.verdict.style,
        "best_style": moment.verdict.best_style,
        "score": _rounded(moment.verdict.score),
        "unknown": moment.verdict.doubt is not None,
    }


def _rounded(value: float) -> float | None:
    """JSON knows no NaN and no infinity."""
    return round(float(value), 4) if math.isfinite(value) else None
