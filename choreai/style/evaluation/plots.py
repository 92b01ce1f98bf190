"""Figures of a training: confusion, calibration, baselines, clip lengths, losses.

Each is drawn once, narrow enough for a phone, and saved as PNG or as SVG whose text and lines take the page's colour.
"""

import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from choreai.style.evaluation.bootstrap import Estimate
from choreai.style.evaluation.calibrate import share_interval
from choreai.style.evaluation.evaluate import Metrics
from choreai.style.evaluation.scorecard import Scorecard
from choreai.style.history import EpochResult
from choreai.visualize.figures import BLUE, DOTS_PER_INCH, GREY, INK, STYLE, png_metadata

WIDTH, HEIGHT = 4.6, 3.4


def draw_figures(metrics: Metrics, history: Sequence[EpochResult]) -> dict[str, Figure]:
    """Return the figures by name; those without data are left out."""
    with matplotlib.rc_context(STYLE):
        figures = {
            "confusion_matrix": draw_confusion(metrics.videos),
            "rivals": draw_baselines(metrics),
            "reliability": draw_reliability(metrics),
            "risk_coverage": draw_risk_coverage(metrics),
            "clip_lengths": draw_clip_lengths(metrics),
        }
        if history:
            figures["learning_curves"] = draw_learning_curves(history)
        return figures


def as_png(figure: Figure, *, about: Mapping[str, str] | None = None) -> bytes:
    """Return the figure as PNG, on white; `about` is what its metadata say of it."""
    return _save(figure, "png", dpi=DOTS_PER_INCH, facecolor="white", metadata=png_metadata(about or {}))


def as_svg(figure: Figure, *, name: str) -> str:
    """Return an <svg> element for a page; `name` keeps its ids apart from those of other figures."""
    with matplotlib.rc_context(STYLE | {"svg.hashsalt": name}):
        text = _save(figure, "svg", transparent=True, metadata={"Date": None}).decode()
    element = text[text.index("<svg") :]
    element = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', element, count=1)
    element = re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)
    element = re.sub(r'<g id="[^"]*"', "<g", element)  # nothing refers to these, and every figure has them
    return element.replace(INK, "currentColor")


def draw_confusion(card: Scorecard) -> Figure:
    """Draw a row per label, a column per tag, shaded by share of the row."""
    return draw_counts(card.confusion, [c.label for c in card.classes])


def draw_counts(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> Figure:
    """Draw how often each label (a row) got each tag (a column)."""
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    side = max(WIDTH, 1.6 + 0.45 * len(labels))
    figure, axes = _figure(side, side * 0.9)
    colors = np.zeros((*shares.shape, 4))
    colors[...] = to_rgba(BLUE)
    colors[..., 3] = 0.85 * shares
    edges = np.arange(len(labels) + 1) - 0.5
    axes.pcolormesh(edges, edges, colors, edgecolor=to_rgba(GREY, 0.35), linewidth=0.5)
    for row, column in np.ndindex(counts.shape):
        axes.text(column, row, str(counts[row, column]), ha="center", va="center")
    axes.set_xticks(range(len(labels)), labels, rotation=30, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="tag (the model said)", ylabel="label (a person said)", aspect="equal")
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return figure


def draw_baselines(metrics: Metrics) -> Figure:
    """Draw bars of macro F1 with intervals, the model last."""
    entries = [(display_name(baseline.name), baseline.videos.macro_f1) for baseline in metrics.baselines]
    entries.append(("this model", metrics.videos.macro_f1))
    figure, axes = _figure(WIDTH, 0.8 + 0.55 * len(entries))
    places = np.arange(len(entries))
    values = np.array([e.value for _, e in entries])
    colors = [GREY] * len(metrics.baselines) + [BLUE]
    axes.barh(places, values, color=colors, height=0.4)
    axes.errorbar(values, places, xerr=_whiskers([e for _, e in entries]), fmt="none", ecolor=INK, capsize=3)
    for place, (name, estimate) in zip(places, entries, strict=True):
        axes.text(0, place + 0.25, f"{name}: {estimate.value:.2f}", va="bottom", fontsize=8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, 1.02), ylim=(-0.4, len(entries) - 0.3), xlabel="macro F1 of videos, 95 % intervals")
    return figure


def draw_reliability(metrics: Metrics) -> Figure:
    """Draw accuracy against mean score of bins with equally many videos."""
    figure, axes = _figure(WIDTH, HEIGHT)
    axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="scores that come true")
    bins = metrics.reliability
    scores = [b.mean_score for b in bins]
    shares = [Estimate(b.accuracy, *share_interval(round(b.num * b.accuracy), b.num)) for b in bins]
    accuracy = [share.value for share in shares]
    axes.errorbar(
        scores, accuracy, yerr=_whiskers(shares), fmt="o", color=BLUE, ecolor=GREY, capsize=2, label="this model, 95 %"
    )
    low = min(0.5, *scores)
    axes.set(xlim=(max(0.0, low - 0.05), 1.02), ylim=(0, 1.05), xlabel="mean score", ylabel="share of tags right")
    return _with_legend(figure, axes)


def draw_risk_coverage(metrics: Metrics) -> Figure:
    """Draw the share wrong among the surest tags."""
    figure, axes = _figure(WIDTH, HEIGHT)
    curve = metrics.risk_coverage
    axes.step(curve.coverage, curve.risk, where="pre", color=BLUE, label="surest first")
    wanted = 1 - metrics.calibration.target_precision
    axes.axhline(wanted, linestyle="--", color=GREY, linewidth=1, label=f"wanted: {wanted:.0%}")
    axes.set(xlim=(0, 1.02), ylim=(0, max(2 * wanted, 1.1 * max(curve.risk))))
    axes.set(xlabel="share of videos tagged", ylabel="share of tags wrong")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    return _with_legend(figure, axes)


def draw_clip_lengths(metrics: Metrics) -> Figure:
    """Draw the accuracy when only the first seconds are seen."""
    figure, axes = _figure(WIDTH, HEIGHT)
    seconds = [c.seconds for c in metrics.clip_lengths]
    accuracy = [c.accuracy for c in metrics.clip_lengths]
    values = [e.value for e in accuracy]
    axes.errorbar(seconds, values, yerr=_whiskers(accuracy), fmt="o-", color=BLUE, ecolor=GREY, capsize=3)
    axes.set(ylim=(0, 1.05), xlabel="first seconds of the dance", ylabel="accuracy of videos")
    axes.set_xticks(seconds, [f"{each:g}" for each in seconds])
    axes.grid(axis="y", alpha=0.3)
    return figure


def draw_learning_curves(history: Sequence[EpochResult]) -> Figure:
    """Draw the loss per epoch of every fold's network."""
    figure, axes = _figure(WIDTH, HEIGHT)
    for member in sorted({result.member for result in history}):
        own = [result for result in history if result.member == member]
        first = member == history[0].member
        epochs = [r.epoch for r in own]
        axes.plot(epochs, [r.train_loss for r in own], color=GREY, linewidth=1, label="training" if first else None)
        watched = [(r.epoch, r.validation_loss) for r in own if r.validation_loss is not None]
        if watched:
            label = "validation fold" if first else None
            axes.plot(*zip(*watched, strict=True), color=BLUE, linewidth=1, label=label)
    axes.set(xlabel="epoch", ylabel="cross-entropy per window", ylim=(0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(axis="y", alpha=0.3)
    return _with_legend(figure, axes)


def display_name(baseline: str) -> str:
    """Return a baseline's name as people read it."""
    return baseline.replace("_", " ")


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _with_legend(figure: Figure, axes: Axes) -> Figure:
    """Put the legend above the axes, where no data is."""
    figure.legend(*axes.get_legend_handles_labels(), fontsize=8, loc="outside upper right", ncols=2)
    return figure


def _whiskers(estimates: Sequence[Estimate]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return (2, N) distances to both ends of the intervals."""
    return np.array([[e.value - e.low for e in estimates], [e.high - e.value for e in estimates]])


def _save(figure: Figure, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=form, **options)
    return buffer.getvalue()
