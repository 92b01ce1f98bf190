"""Reasons: which kinematic features speak for a style, in words a dancer understands.

A style's reference is what its labelled videos measure; a reason is a feature in which the style differs from the
others and this video sides with the style.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

import numpy as np

from choreai.motion.kinematics import FEATURES, MIN_BEAT_STRENGTH, Kinematics

MIN_VIDEOS = 3
"""Fewer values of a feature give no reliable median and spread."""
MIN_STRENGTH = 0.5
"""Half a spread: less is not worth a sentence."""
MIN_SPREAD_SHARE = 0.02
"""Of the median: no feature is measured better than that (see the tests), however alike a style's videos."""
MIN_SPREAD = 0.01
MAD_TO_DEVIATION = 1.4826
"""Standard deviation over median absolute deviation of a normal distribution."""


@dataclass(frozen=True)
class StyleReference:
    """What the videos of one style measure; JSON values."""

    median: Mapping[str, float]
    """By feature; those known of fewer than MIN_VIDEOS videos are missing."""
    spread: Mapping[str, float]
    """By feature, over the same: 1.4826 of the median absolute deviation."""
    num_videos: int

    def __post_init__(self) -> None:
        if self.median.keys() != self.spread.keys():
            raise ValueError(
                f"median and spread must be of the same features, got {sorted(self.median.keys() ^ self.spread.keys())}"
            )
        if unknown := self.median.keys() - set(FEATURES):
            raise ValueError(f"unknown features {sorted(unknown)}; measure the reference again with this release")

    @classmethod
    def from_videos(cls, videos: Iterable[Kinematics]) -> "StyleReference":
        """Return the reference of a style's videos."""
        measured = list(videos)
        median, spread = {}, {}
        for feature in FEATURES:
            values = np.array([getattr(video, feature) for video in measured], np.float64)
            values = values[np.isfinite(values)]
            if len(values) >= MIN_VIDEOS:
                median[feature] = float(np.median(values))
                spread[feature] = float(MAD_TO_DEVIATION * np.median(np.abs(values - median[feature])))
        return cls(median=median, spread=spread, num_videos=len(measured))


@dataclass(frozen=True)
class Wording:
    """The words for a high and a low value of a feature, compared with the other styles."""

    theme: str
    """Of features that say nearly the same, only the strongest is given."""
    high: str
    low: str


@dataclass(frozen=True)
class Reason:
    """One feature that speaks for the style, with the values that a small plot of it needs."""

    feature: str
    sentence: str
    strength: float
    """Distance from the other styles in spreads: the smaller of the video's and the style's."""
    value: float
    style_median: float
    style_spread: float
    others_median: float


WORDINGS: Mapping[str, Wording] = MappingProxyType(
    {
        "body_speed_mean": Wording("pace", "the whole body moves fast", "the whole body moves slowly"),
        "hands_speed_mean": Wording("hands", "hands are busy and fast", "hands move slowly"),
        "hands_speed_p95": Wording("hands", "hands shoot out at high speed", "hands never hurry"),
        "hands_acceleration_p95": Wording(
            "hands stop", "hands start and stop sharply", "hands speed up and slow down gently"
        ),
        "hands_still_share": Wording("holds", "hands freeze between moves", "hands hardly ever rest"),
        "hands_spectral_arc_length": Wording(
            "hands flow", "hands flow in one smooth line", "hands move in many small strokes"
        ),
        "hands_log_dimensionless_jerk": Wording("hands flow", "arms move fluidly", "arms move in quick, jerky bursts"),
        "hands_beat_strength": Wording("hands beat", "hands keep an even pulse", "hands play freely around the beat"),
        "hands_mirror_correlation": Wording(
            "hands together", "both arms mirror each other", "the arms do different things"
        ),
        "hands_range_ratio": Wording("hands even", "both arms are used alike", "one arm leads, the other follows"),
        "hands_up_share": Wording("hands level", "hands are often above the shoulders", "hands stay low"),
        "hands_down_share": Wording("floor", "hands are down on the floor", "hands stay off the floor"),
        "reach_mean": Wording("arms", "long arms, reaching out", "arms close to the body"),
        "reach_p95": Wording("arms", "arms stretch out to full length", "arms never stretch out fully"),
        "bent_elbows_share": Wording("elbows", "bent elbows", "long, straight arms"),
        "feet_speed_mean": Wording("feet", "fast, busy feet", "quiet feet"),
        "feet_speed_p95": Wording("feet", "sudden fast steps or kicks", "no hurried steps"),
        "feet_still_share": Wording("feet", "feet stand still for long", "feet never stop"),
        "feet_contact_share": Wording("feet", "feet planted on the floor", "feet slide, hop or leave the floor"),
        "feet_spectral_arc_length": Wording("feet flow", "smooth, gliding steps", "choppy, many-part steps"),
        "feet_log_dimensionless_jerk": Wording("feet flow", "steps flow evenly", "quick, snappy footwork"),
        "feet_mirror_correlation": Wording("feet together", "legs mirror each other, in and out", "legs take turns"),
        "feet_range_ratio": Wording("feet even", "both legs are used alike", "one leg does most of the work"),
        "stance_width_mean": Wording("stance", "a wide stance", "feet close together"),
        "bent_knees_share": Wording("knees", "deeply bent knees", "straight legs"),
        "hips_height_mean": Wording("level", "upright, with high hips", "low, grounded hips"),
        "low_hips_share": Wording("level", "often down low, near the floor", "stays up on the feet"),
        "head_height_mean": Wording("level", "stands tall", "keeps the head low"),
        "upside_down_share": Wording("floor", "goes upside down", "stays right side up"),
        "hips_speed_mean": Wording("hips", "hips are always on the move", "calm, steady hips"),
        "hips_vertical_range": Wording("levels", "large changes of level", "stays on one level"),
        "bounce_height": Wording("bounce", "a big bounce", "no bounce, a level body"),
        "bounce_beat_strength": Wording("bounce beat", "a steady bounce in time", "no steady bounce"),
        "beat_strength": Wording("beat", "the whole body keeps time", "moves freely, without an even beat"),
        "beats_per_minute": Wording("tempo", "a fast beat", "a slow beat"),
        "head_speed_mean": Wording("head", "a lively head", "a quiet head"),
        "head_range": Wording("head", "the head goes far from side to side or up and down", "the head stays in place"),
        "torso_lean_degrees_mean": Wording("torso", "the upper body leans far over", "an upright back"),
        "torso_lean_degrees_range": Wording("torso", "the upper body tips and rises", "the upper body keeps its angle"),
        "expansion_mean": Wording("size", "takes up much space", "tucked in, compact shapes"),
        "width_mean": Wording("size", "opens out wide", "stays narrow"),
        "expansion_range": Wording("opening", "opens out and closes in again", "keeps one shape"),
        "travel_speed_mean": Wording("travel", "travels across the floor", "dances on the spot"),
        "hips_horizontal_range": Wording("travel", "covers ground from side to side", "stays in one place"),
        "back_turned_share": Wording("turns", "often shows the back", "faces the front"),
        "half_turns_per_second": Wording("turns", "many turns", "few turns"),
    }
)
"""By feature. The left and right features have no words: a dancer and the mirror image dance the same style."""


def describe(
    values: Kinematics, references: Mapping[str, StyleReference], *, style: str, max_reasons: int = 3
) -> list[Reason]:
    """Return up to `max_reasons` reasons for `style`, the strongest first; none where the movement does not speak for
    it.

    `references` is by style, two styles or more. A feature counts by how far the style's median and this video lie, to
    the same side, from the median of the other styles, in units of the spread within styles. Raises ValueError for an
    unknown style or no other to compare with.
    """
    if style not in references:
        raise ValueError(f"style must be one of {', '.join(sorted(references))}, got {style!r}")
    if len(references) < 2:
        raise ValueError(f"references must be of two styles or more, got only {style!r}")
    if values.beat_strength < MIN_BEAT_STRENGTH:
        values = replace(values, beats_per_minute=float("nan"))
    found = [r for feature in WORDINGS if (r := _reason(feature, getattr(values, feature), references, style))]
    reasons: list[Reason] = []
    themes: set[str] = set()
    for reason in sorted(found, key=lambda r: (-r.strength, r.feature)):
        theme = WORDINGS[reason.feature].theme
        if theme not in themes and len(reasons) < max_reasons:
            themes.add(theme)
            reasons.append(reason)
    return reasons


def _reason(feature: str, value: float, references: Mapping[str, StyleReference], style: str) -> Reason | None:
    own = references[style]
    others = [r for name, r in sorted(references.items()) if name != style and feature in r.median]
    if feature not in own.median or not others or not np.isfinite(value):
        return None
    others_median = float(np.median([r.median[feature] for r in others]))
    spreads = [own.spread[feature], *(r.spread[feature] for r in others)]
    scale = max(float(np.sqrt(np.mean(np.square(spreads)))), MIN_SPREAD_SHARE * abs(others_median), MIN_SPREAD)
    of_style, of_video = (own.median[feature] - others_median) / scale, (value - others_median) / scale
    strength = min(abs(of_style), abs(of_video))
    if of_style * of_video <= 0 or strength < MIN_STRENGTH:
        return None
    wording = WORDINGS[feature]
    return Reason(
        feature=feature,
        sentence=wording.high if of_video > 0 else wording.low,
        strength=strength,
        value=value,
        style_median=own.median[feature],
        style_spread=own.spread[feature],
        others_median=others_median,
    )
