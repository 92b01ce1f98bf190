"""The rows of a run report's tables."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StyleCount:
    """Number of videos of one style, in this run and in the reference run."""

    style: str
    num: int
    mean_score: float | None
    num_reference: int


@dataclass(frozen=True)
class Cause:
    """Number of videos tagged for one reason, and of those whose style changed."""

    name: str
    num: int
    num_changed: int


@dataclass(frozen=True)
class Change:
    """Number of videos that changed from one style to another."""

    cause: str
    before: str
    now: str
    num: int


@dataclass(frozen=True)
class Quarantined:
    """Videos that failed for the same reason."""

    stage: str
    error_class: str
    reason: str
    """Of one of them."""
    num: int
    example: str
    """Its video_id."""


@dataclass(frozen=True)
class QuarantinedVideo:
    """A video that could not be processed."""

    video_id: str
    uri: str
    stage: str
    reason: str


@dataclass(frozen=True)
class SlowVideo:
    """A video and the time its poses took."""

    video_id: str
    process_seconds: float
    duration_seconds: float | None
    num_frames: int


@dataclass(frozen=True)
class TaggedVideo:
    """A video that was tagged."""

    video_id: str
    uri: str
    style: str
    before: str | None
    """The style it had, if that was another."""
    score: float | None
    start_seconds: float | None
    """Where the model is surest of a style; None where there is no segment."""


@dataclass(frozen=True)
class InputRemark:
    """Videos with the same remark on their input quality."""

    remark: str
    num: int
    example: str
    """The video_id of one of them."""
