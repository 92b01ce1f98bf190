"""A style tag for one video, by the code that the nightly job runs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from choreai.api.notebook import caption, picture_html, table_html
from choreai.api.poses import NUM_THREADS, VideoPoses, estimate_with
from choreai.errors import WeightsError
from choreai.motion.sequence import KeypointSequence
from choreai.pose.build import build_estimator, follow_poses, pose_fingerprint
from choreai.pose.choice import settle
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.style.explain.reasons import why_text
from choreai.style.model import StyleModel
from choreai.style.model import load_model as load_model
from choreai.style.tagging import VideoTag, tag_sequence
from choreai.tables.schemas import UNKNOWN

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class Tag:
    """A video's style, its calibrated score, and what stands behind it."""

    name: str
    poses: VideoPoses | KeypointSequence
    details: VideoTag | None
    """Distribution, tracks, segments, windows, kinematics and reasons; None where nobody is in view for long enough."""
    missing_reason: str = ""
    """Why there is no tag at all."""

    @property
    def style(self) -> str | None:
        """The tag: a style, "unknown" where the model is not sure, None where there is nothing to judge."""
        return None if self.details is None else self.details.prediction.style

    @property
    def best_style(self) -> str | None:
        """The most likely style, sure or not."""
        return None if self.details is None else self.details.prediction.best_style

    @property
    def score(self) -> float:
        """The calibrated probability of `best_style`; NaN where there is none."""
        return float("nan") if self.details is None else self.details.prediction.score

    @property
    def reason(self) -> str | None:
        """Why the tag is "unknown", missing or perhaps somebody else's; None for a sure one."""
        return self.missing_reason if self.details is None else self.details.reason

    @property
    def doubts(self) -> tuple[str, ...]:
        """What may be doubted of the tag, in fixed words (`choreai.style.tagging.DOUBTS`)."""
        return () if self.details is None else self.details.doubts

    @property
    def novelty(self) -> float | None:
        """How unlike the training videos it moves; above 1 the style is "unknown". None where the model has no
        limit."""
        return None if self.details is None else self.details.prediction.novelty

    @property
    def distribution(self) -> dict[str, float]:
        """Every style's calibrated probability; empty where there is nothing to judge."""
        return {} if self.details is None else dict(self.details.distribution)

    def __repr__(self) -> str:
        if self.details is None:
            return f"{self.name}: no tag, {self.missing_reason}"
        if self.style == UNKNOWN:
            return f"{self.name}: unknown ({self.reason}; best guess {self.best_style} {self.score:.2f})"
        return f"{self.name}: {self.style} {self.score:.2f}" + (f" ({self.reason})" if self.reason else "")

    def why(self) -> str:
        """Return the tag with what speaks for it, a line each, the strongest first."""
        return repr(self) if self.details is None else f"{self.name}: {why_text(self.details)}"

    def to_pandas(self) -> "pd.DataFrame":
        """Return a row for each segment: track_id, start_seconds, stop_seconds, style, best_style, score."""
        import pandas as pd

        segments = () if self.details is None else self.details.segments
        rows = [
            (
                s.track_id,
                s.start_seconds,
                s.stop_seconds,
                s.prediction.style,
                s.prediction.best_style,
                s.prediction.score,
            )
            for s in segments
        ]
        columns = ["track_id", "start_seconds", "stop_seconds", "style", "best_style", "score"]
        return pd.DataFrame(rows, columns=columns)

    def _repr_html_(self) -> str:
        scores = sorted(self.distribution.items(), key=lambda item: -item[1])
        table = table_html(("style", "score"), [(style, f"{score:.2f}") for style, score in scores]) if scores else ""
        stills = self.poses.stills() if isinstance(self.poses, VideoPoses) else None
        return caption(repr(self)) + table + picture_html(stills, alt=f"four frames of {self.name} with skeletons")


def tag(path_or_uri: str, *, model: str | StyleModel, settings: PoseSettings | None = None) -> Tag:
    """Return the style of one video; its poses are estimated now, in this process.

    `model` is a model or its folder, as `choreai train` prints it. `settings` must be the [pose] settings that the
    model was trained with (default: the estimator of its training, 15 frames a second). Raises WeightsError for a model
    of other poses, and as `choreai.estimate_poses` does.
    """
    style_model = load_model(model) if isinstance(model, str) else model
    asked = settings or PoseSettings()
    wanted = follow_poses(asked, style_model.config.pose_fingerprint, read_file=objects.read_object)
    wanted = settle(wanted, read_file=objects.read_object)
    estimator = build_estimator(wanted, read_file=objects.read_object, num_threads=NUM_THREADS)
    _check_fingerprint(style_model, pose_fingerprint(wanted, estimator))
    return tag_keypoints(estimate_with(estimator, path_or_uri, settings=wanted), model=style_model)


def tag_keypoints(poses: VideoPoses | KeypointSequence, *, model: str | StyleModel) -> Tag:
    """Return the style of one video whose poses are known.

    Raises WeightsError where the poses are of another kind than those the model was trained on; of a bare
    KeypointSequence that is not known and not checked.
    """
    style_model = load_model(model) if isinstance(model, str) else model
    if isinstance(poses, VideoPoses):
        _check_fingerprint(style_model, poses.pose_fingerprint)
    sequence = poses.sequence if isinstance(poses, VideoPoses) else poses
    tagged = tag_sequence(sequence, style_model)
    name = poses.name if isinstance(poses, VideoPoses) else "video"
    return Tag(name, poses, tagged.tag, tagged.why_no_tag or "")


def _check_fingerprint(model: StyleModel, found: str) -> None:
    wanted = model.config.pose_fingerprint
    if wanted != found:
        raise WeightsError(
            f"{model.model_version} was trained on poses {wanted}, these are {found}; give the [pose] settings of its "
            "training as `settings`, or train a model for these"
        )
