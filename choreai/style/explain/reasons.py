"""The reasons for a tag, as a few lines of text and as a small picture."""

import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from choreai.motion.reasons import Reason
from choreai.style.tagging import VideoTag
from choreai.visualize.style_colors import style_color

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW_INCHES = 0.62
_WIDTH_INCHES = 7.0
_LEFT, _RIGHT = -0.6, 2.2
"""What the picture shows, in distances from the other styles to the style."""
_VIDEO, _OTHERS = "#101214", "#636363"


def why_text(tag: VideoTag) -> str:
    """Return the tag with its reasons, a line each, the strongest first."""
    prediction = tag.prediction
    if prediction.doubt is None:
        head = f"{prediction.style}, {prediction.score:.0%} sure"
    else:
        head = f"unknown: {prediction.doubt}; most like {prediction.best_style}, score {prediction.score:.2f}"
    if not tag.reasons:
        return f"{head}\n  nothing that can be measured sets it apart from other styles"
    lines = [f"  {_line(reason, prediction.best_style)}" for reason in tag.reasons]
    best = max(
        (w for w in tag.windows if w.prediction.best_style == prediction.best_style), key=lambda w: w.prediction.score
    )
    lines.append(f"  clearest from {best.start_seconds:.1f} to {best.stop_seconds:.1f} s")
    return "\n".join([head, *lines])


def reasons_png(reasons: Sequence[Reason], *, style: str) -> bytes:
    """Return a PNG with a row for each reason: a dot for the video, a band for the style's usual range, a line for the
    other styles' middle.

    Rows have different units, so each is scaled until style and others line up. Raises ValueError without a reason.
    """
    if not reasons:
        raise ValueError("there are no reasons to draw; ask for tag.reasons first")
    from matplotlib.figure import Figure  # without pyplot: no window, no state left behind

    figure = Figure(figsize=(_WIDTH_INCHES, _ROW_INCHES * len(reasons) + 1.0), dpi=150, layout="constrained")
    axes = figure.subplots()
    for row, reason in enumerate(reasons):
        _draw_reason(axes, len(reasons) - 1 - row, reason, style)
    axes.axvline(0, color=_OTHERS, linestyle=(0, (4, 3)), label="other styles")
    axes.set_yticks(range(len(reasons)), [textwrap.fill(r.sentence, 26) for r in reversed(reasons)])
    axes.set_xlim(_LEFT, _RIGHT)
    axes.set_ylim(-0.6, len(reasons) - 0.4)
    axes.set_xticks([0, 1], ["other styles", style])
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    first = dict(zip(labels, handles, strict=True))  # one entry for all rows
    figure.legend(first.values(), first.keys(), loc="outside lower center", ncols=3, frameon=False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _draw_reason(axes: "Axes", row: int, reason: Reason, style: str) -> None:
    distance = reason.style_median - reason.others_median
    half = abs(reason.style_spread / distance)
    value = min((reason.value - reason.others_median) / distance, _RIGHT - 0.2)
    axes.barh(row, 2 * half, left=1 - half, height=0.42, color=style_color(style), alpha=0.55,
              label="the style, two thirds of its videos")  # fmt: skip
    axes.plot(value, row, "o", color=_VIDEO, markersize=9, label="this video")
    axes.annotate(_describe_value(reason), (value, row), (0, 11), textcoords="offset points", ha="center", fontsize=8)


def _line(reason: Reason, style: str) -> str:
    """Return a reason as a sentence, with the measured value where its unit means something to a person."""
    usual, others = (_number(reason.feature, value) for value in (reason.style_median, reason.others_median))
    measured = _describe_value(reason)
    return f"{reason.sentence} ({measured}; {style} {usual}, others {others})" if measured else reason.sentence


def _describe_value(reason: Reason) -> str:
    """Return the measured value with its name, such as "bent knees 75%"; empty where there is no plain unit."""
    number = _number(reason.feature, reason.value)
    if not number or reason.feature == "beats_per_minute":
        return number
    name = reason.feature.replace("_degrees", "").removesuffix("_mean").removesuffix("_share").replace("_p95", "_peak")
    return f"{name.replace('_', ' ')} {number}"


def _number(feature: str, value: float) -> str:
    """Return the value in a unit that needs no explanation (torso lengths are the dancer's own); else an empty text."""
    if feature.endswith("_share"):
        return f"{value:.0%}"
    if "degrees" in feature:
        return f"{value:.0f}°"
    if feature == "beats_per_minute":
        return f"{value:.0f} bpm"
    if "speed" in feature:
        return f"{value:.2f} torsos/s"
    if any(word in feature for word in ("range", "reach", "height", "width", "expansion")) and "ratio" not in feature:
        return f"{value:.2f} torsos"
    return ""
