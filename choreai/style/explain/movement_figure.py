"""A figure of one video's movement over time: speed, height, tempo and, where there is a tag, style."""

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from choreai.motion.course import Course, measure_course
from choreai.motion.sequence import KeypointSequence
from choreai.style.tagging import TaggedVideo, VideoTag
from choreai.visualize.figures import BLUE, DOTS_PER_INCH, GREY, ORANGE, STYLE, in_page_ink, png_metadata
from choreai.visualize.style_colors import style_color

WIDTH, PANEL_HEIGHT = 5.2, 1.3
"""Inches, narrow enough that the text can be read on a phone."""


def draw_movement(sequence: KeypointSequence, tagged: TaggedVideo) -> Figure | None:
    """Draw the main dancer's movement over time, the tempo where a clear beat lasts, and the styles where there is a
    tag; None where nobody is in view."""
    main, tag = tagged.main_dancer, tagged.tag
    if main is None:
        return None
    course = measure_course(sequence.track(main.track_id))
    draw: list[Callable[[Axes], None]] = [
        lambda axes: _draw_speed(axes, course),
        lambda axes: _draw_height(axes, course),
    ]
    if np.isfinite(course.beats_per_minute).sum() > 1:
        draw.append(lambda axes: _draw_tempo(axes, course))
    if tag is not None:
        draw.append(lambda axes: _draw_style(axes, tag, main.track_id))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH, PANEL_HEIGHT * len(draw) + 0.4), layout="constrained")
        panels = figure.subplots(len(draw), 1, sharex=True)
        for axes, draw_panel in zip(panels, draw, strict=True):
            draw_panel(axes)
        panels[-1].set_xlabel("seconds")
        panels[0].set_xlim(float(sequence.pts_seconds.min()), max(float(sequence.pts_seconds.max()), 0.1))
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure as PNG on white, or as SVG in the ink of the page around it, light or dark; by the suffix.

    The same figure gives the same bytes.
    """
    if path.suffix != ".svg":
        figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white", metadata=png_metadata({}))
        return
    text = io.StringIO()
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "movement"}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    path.write_text(in_page_ink(text.getvalue()), encoding="utf-8")


def _legend(axes: Axes) -> None:
    """Put the legend above the panel, where no data is."""
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 0.98), ncols=6, borderaxespad=0.0)


def _draw_speed(axes: Axes, course: Course) -> None:
    axes.plot(course.seconds, course.hands_speed, color=BLUE, linewidth=1.3, label="hands")
    axes.plot(course.seconds, course.feet_speed, color=ORANGE, linewidth=1.3, label="feet")
    axes.set_ylabel("speed\n(torsos/s)")
    axes.set_ylim(bottom=0)
    _legend(axes)


def _draw_height(axes: Axes, course: Course) -> None:
    axes.plot(course.seconds, course.head_rise, color=BLUE, linewidth=1.3, label="head")
    axes.plot(course.seconds, course.hips_rise, color=ORANGE, linewidth=1.3, label="hips")
    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_ylabel("height\n(torsos)")
    _legend(axes)


def _draw_tempo(axes: Axes, course: Course) -> None:
    axes.plot(course.tempo_seconds, course.beats_per_minute, "o-", color=BLUE, markersize=3, linewidth=1.0)
    axes.set_ylim(75, 165)
    axes.set_ylabel("tempo\n(beats/min)")


def _draw_style(axes: Axes, tag: VideoTag, track_id: int) -> None:
    """Draw the windows' scores of their best style as dots, over the segments as bands."""
    for segment in tag.segments:
        if segment.track_id == track_id:
            is_known = segment.prediction.doubt is None
            axes.axvspan(
                segment.start_seconds,
                segment.stop_seconds,
                color=style_color(segment.prediction.best_style if is_known else None),
                alpha=0.25,
                linewidth=0,
            )
    shown = dict.fromkeys(w.prediction.best_style for w in tag.windows if w.track_id == track_id)
    for style in shown:
        windows = [w for w in tag.windows if w.track_id == track_id and w.prediction.best_style == style]
        middles = [(w.start_seconds + w.stop_seconds) / 2 for w in windows]
        scores = [w.prediction.score for w in windows]
        axes.plot(middles, scores, "o", color=style_color(style), markersize=4, label=style)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("style\n(score)")
    if shown:
        _legend(axes)
