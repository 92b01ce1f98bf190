"""A figure of one video's movement over time: speed, height, tempo and, where there is a tag, style."""

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from choreai.motion.course import Course, measure_course
from choreai.motion.sequence import KeypointSequence
from choreai.style.tagging import TaggedVideo, VideoTag
from choreai.visualize.figures import BLUE, DOTS_PER_INCH, GREY, ORANGE, STYLE
from choreai.visualize.timeline import style_color

WIDTH, PANEL_HEIGHT = 7.2, 1.35


def draw_movement(sequence: KeypointSequence, tagged: TaggedVideo) -> Figure | None:
    """Draw the main dancer's movement over time, and the styles where there is a tag; None where nobody is in view."""
    main, tag = tagged.main_dancer, tagged.tag
    if main is None:
        return None
    course = measure_course(sequence.track(main.track_id))
    with matplotlib.rc_context(STYLE):
        num_panels = 3 if tag is None else 4
        figure = Figure(figsize=(WIDTH, PANEL_HEIGHT * num_panels + 0.4), layout="constrained")
        panels = figure.subplots(num_panels, 1, sharex=True)
        _draw_speed(panels[0], course)
        _draw_height(panels[1], course)
        _draw_tempo(panels[2], course)
        if tag is not None:
            _draw_style(panels[3], tag, main.track_id)
        panels[-1].set_xlabel("seconds")
        panels[0].set_xlim(float(sequence.pts_seconds.min()), max(float(sequence.pts_seconds.max()), 0.1))
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure on white as PNG or SVG, by the suffix of `path`; the same figure gives the same bytes."""
    svg = path.suffix == ".svg"
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": "movement"}):
        figure.savefig(path, dpi=DOTS_PER_INCH, facecolor="white", metadata={"Date": None} if svg else None)


def _draw_speed(axes: Axes, course: Course) -> None:
    axes.plot(course.seconds, course.hands_speed, color=BLUE, linewidth=1.3, label="hands")
    axes.plot(course.seconds, course.feet_speed, color=ORANGE, linewidth=1.3, label="feet")
    axes.set_ylabel("speed\n(torsos/s)")
    axes.set_ylim(bottom=0)
    axes.legend(loc="upper right", ncols=2)


def _draw_height(axes: Axes, course: Course) -> None:
    axes.plot(course.seconds, course.head_rise, color=BLUE, linewidth=1.3, label="head")
    axes.plot(course.seconds, course.hips_rise, color=ORANGE, linewidth=1.3, label="hips")
    axes.axhline(0, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.set_ylabel("height\n(torsos)")
    axes.legend(loc="center right", ncols=2)


def _draw_tempo(axes: Axes, course: Course) -> None:
    axes.plot(course.tempo_seconds, course.beats_per_minute, "o-", color=BLUE, markersize=3, linewidth=1.0)
    axes.set_ylim(75, 165)
    axes.set_ylabel("tempo\n(beats/min)")
    if not np.isfinite(course.beats_per_minute).any():
        axes.text(0.5, 0.5, "no clear beat", transform=axes.transAxes, ha="center", va="center", color=GREY)


def _draw_style(axes: Axes, tag: VideoTag, track_id: int) -> None:
    """Draw the windows' scores of their best style as dots, over the segments as bands."""
    styles = list(tag.distribution)

    def color(style: str, *, unsure: bool = False) -> tuple[float, ...]:
        return tuple(part / 255 for part in style_color(None if unsure else styles.index(style)))

    for segment in tag.segments:
        if segment.track_id == track_id:
            unsure = segment.prediction.doubt is not None
            axes.axvspan(
                segment.start_seconds,
                segment.stop_seconds,
                color=color(segment.prediction.best_style, unsure=unsure),
                alpha=0.25,
                linewidth=0,
            )
    shown = dict.fromkeys(w.prediction.best_style for w in tag.windows if w.track_id == track_id)
    for style in shown:
        windows = [w for w in tag.windows if w.track_id == track_id and w.prediction.best_style == style]
        middles = [(w.start_seconds + w.stop_seconds) / 2 for w in windows]
        axes.plot(middles, [w.prediction.score for w in windows], "o", color=color(style), markersize=4, label=style)
    axes.set_ylim(0, 1.05)
    axes.set_ylabel("style\n(score)")
    if shown:
        axes.legend(loc="lower right", ncols=4)
