"""Charts of a value over many runs, as SVG inside a page: bars that stack and lines, a title, a legend, and a link for
each run. No script and no inline style: a page's content security policy may forbid both.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

WIDTH, HEIGHT = 400, 180
LEFT, RIGHT, TOP, BOTTOM = 44, 6, 10, 24
MAX_BAR = 26.0
STYLE = """
.trends { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1rem;
  margin: 1rem 0; }
.trend { margin: 0; padding: .7rem .8rem; background: var(--card); border-radius: .5rem; min-width: 0; }
.trend figcaption { font-weight: 600; margin-bottom: .3rem; } .trend figcaption span { font-weight: 400; }
.trend svg.chart { display: block; width: 100%; height: auto; overflow: visible; }
.trend svg text { fill: var(--soft); font-size: 11px; } .trend svg .grid { stroke: var(--line); }
.trend svg .bound { stroke: var(--soft); stroke-dasharray: 3 3; }
.trend svg .hit { fill: transparent; } .trend svg a:hover .hit, .trend svg a:focus .hit { fill: var(--ink);
  fill-opacity: .12; } .trend svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
.facts { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1rem 0; }
.fact { background: var(--card); border-radius: .5rem; padding: .5rem .9rem; min-width: 8rem; }
.fact b { display: block; font-size: 1.3rem; font-variant-numeric: tabular-nums; }
td.style { white-space: nowrap; }
svg.share { display: block; width: 9rem; height: .7rem; border-radius: .2rem; } svg.share .rest { fill: var(--line); }
svg.parts { display: block; width: 100%; max-width: 40rem; height: 1.4rem; border-radius: .3rem; margin: .6rem 0; }
svg.parts .rest { fill: var(--line); }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .9rem; margin: .4rem 0 0; padding: 0; list-style: none;
  font-size: .85em; } .legend svg, svg.dot { width: .75em; height: .75em; vertical-align: -.05em; margin-right: .3em; }
"""


@dataclass(frozen=True)
class Column:
    """One run on the horizontal axis."""

    label: str
    """Its date."""
    link: str
    """Where a click leads; empty: nowhere."""


@dataclass(frozen=True)
class Series:
    """One value over the runs."""

    name: str
    values: Sequence[float | None]
    """One for each column; None where there is none."""
    color: str


@dataclass(frozen=True)
class Chart:
    """A chart with its title."""

    title: str
    columns: Sequence[Column]
    series: Sequence[Series]
    kind: Literal["bars", "lines"] = "lines"
    unit: str = ""
    digits: int = 0
    bounds: Sequence[tuple[float, str]] = ()
    """Values to compare with, and their names."""
    has_legend: bool = True
    """Whether the names of the series say more than the title."""
    top: float | None = None
    """The axis ends here; None: above the greatest value."""

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for series in self.series for value in series.values)

    def say(self, value: float) -> str:
        """Return the value in words."""
        return f"{value:,.{self.digits}f}{self.unit}"


def draw_chart(chart: Chart) -> Markup:
    """Return the chart as an HTML figure."""
    top = chart.top or _nice(_greatest(chart))
    marks = _bars(chart, top) if chart.kind == "bars" else _lines(chart, top)
    unit = _element("span", f" ({chart.unit.strip()})", class_="soft") if chart.unit.strip() else ""
    svg = _element(
        "svg",
        *(*_axes(chart, top), *marks, *_links(chart)),
        class_="chart",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="group",
        aria_label=chart.title,
    )
    return _element("figure", _element("figcaption", chart.title, unit), svg, _legend(chart), class_="trend")


def _legend(chart: Chart) -> Markup:
    entries = [_element("li", color_dot(each.color), each.name) for each in chart.series if chart.has_legend]
    entries += [_element("li", f"dashed: {name} {chart.say(value)}") for value, name in chart.bounds]
    return _element("ul", *entries, class_="legend") if entries else Markup("")


def color_dot(color: str) -> Markup:
    """Return a small square of this colour."""
    square = _element("rect", width=10, height=10, rx=3, fill=color)
    return _element("svg", square, class_="dot", viewBox="0 0 10 10", aria_hidden="true")


def share_bar(share: float, color: str) -> Markup:
    """Return a bar of which `share`, 0 to 1, is filled."""
    rest = _element("rect", class_="rest", width=100, height=8)
    part = _element("rect", width=f"{100 * min(1.0, max(0.0, share)):.1f}", height=8, fill=color)
    return _element(
        "svg", rest, part, class_="share", viewBox="0 0 100 8", preserveAspectRatio="none", aria_hidden="true"
    )


def parts_bar(parts: Sequence[tuple[str, float]], title: str) -> Markup:
    """Return a bar of `parts`, each a colour and its share of the whole, 0 to 1, side by side."""
    pieces, left = [_element("rect", class_="rest", width=100, height=8)], 0.0
    for color, share in parts:
        pieces.append(_element("rect", x=f"{100 * left:.2f}", width=f"{100 * share:.2f}", height=8, fill=color))
        left += share
    return _element(
        "svg", *pieces, class_="parts", viewBox="0 0 100 8", preserveAspectRatio="none", role="img", aria_label=title
    )


def _element(name: str, *content: str, **attributes: object) -> Markup:
    """Return an element; text and values are escaped, and `_` in the name of an attribute stands for `-`."""
    words = [Markup(' {}="{}"').format(each.rstrip("_").replace("_", "-"), value) for each, value in attributes.items()]
    return Markup("<{}{}>{}</{}>").format(name, Markup("").join(words), Markup("").join(content), name)


def _greatest(chart: Chart) -> float:
    """Return the greatest value to be drawn, of bars the greatest sum."""
    if chart.kind == "bars":
        return max((sum(_known(row)) for row in zip(*(each.values for each in chart.series), strict=True)), default=0)
    values = [value for each in chart.series for value in _known(each.values)]
    return max([*values, *(bound for bound, _ in chart.bounds)], default=0)


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _nice(value: float) -> float:
    """Return the next of 1, 2, 4, 6, 8, 10 times a power of ten: their halves are short numbers too."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value * (1 - 1e-9))


def _x(chart: Chart, number: int) -> float:
    """Return where the middle of a column is."""
    return LEFT + (number + 0.5) * _step(chart)


def _step(chart: Chart) -> float:
    return (WIDTH - LEFT - RIGHT) / max(1, len(chart.columns))


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * min(value, top) / top


def _axes(chart: Chart, top: float) -> Iterator[Markup]:
    for value in (0.0, top / 2, top):
        yield _level("grid", _y(value, top))
        text = f"{value:,.{_digits(top)}f}"
        yield _element("text", text, x=LEFT - 6, y=f"{_y(value, top) + 4:.1f}", text_anchor="end")
    for value, _ in chart.bounds:
        yield _level("bound", _y(value, top))
    for number in sorted({0, len(chart.columns) - 1}):
        anchor = "middle" if len(chart.columns) == 1 else "start" if number == 0 else "end"
        x = _x(chart, number) + {"start": -0.5, "end": 0.5, "middle": 0.0}[anchor] * _step(chart)
        yield _element("text", chart.columns[number].label, x=f"{x:.1f}", y=HEIGHT - 6, text_anchor=anchor)


def _level(kind: str, y: float) -> Markup:
    return _element("line", class_=kind, x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}")


def _digits(top: float) -> int:
    """Return the decimals that half of the axis needs, which is one figure long or a whole number."""
    return 0 if top >= 4 and float(top / 2).is_integer() else max(1, math.ceil(-math.log10(top / 2) - 1e-9))


def _bars(chart: Chart, top: float) -> Iterator[Markup]:
    width = min(MAX_BAR, 0.8 * _step(chart))
    for number in range(len(chart.columns)):
        below, x = 0.0, f"{_x(chart, number) - width / 2:.1f}"
        for series in chart.series:
            value = series.values[number]
            if not value or not math.isfinite(value):
                continue
            y = _y(below + value, top)
            height = f"{_y(below, top) - y:.1f}"
            yield _element("rect", x=x, y=f"{y:.1f}", width=f"{width:.1f}", height=height, fill=series.color)
            below += value


def _lines(chart: Chart, top: float) -> Iterator[Markup]:
    """Draw a line through neighbouring values, broken where one is missing, and a dot at each."""
    radius = 2.5 if len(chart.columns) <= 40 else 1.5
    for series in chart.series:
        points = [
            None if value is None or not math.isfinite(value) else (f"{_x(chart, number):.1f}", f"{_y(value, top):.1f}")
            for number, value in enumerate(series.values)
        ]
        path = " ".join(
            f"{'M' if number == 0 or points[number - 1] is None else 'L'}{point[0]} {point[1]}"
            for number, point in enumerate(points)
            if point is not None
        )
        yield _element("path", class_="line", stroke=series.color, d=path)
        yield from (_element("circle", cx=x, cy=y, r=radius, fill=series.color) for x, y in filter(None, points))


def _links(chart: Chart) -> Iterator[Markup]:
    """Make each column lead to its run, and tell its values."""
    for number, column in enumerate(chart.columns):
        values = [
            f"{each.name} {chart.say(value)}"
            for each in chart.series
            if (value := each.values[number]) is not None and (value or chart.kind == "lines")
        ]
        words = f"{column.label}: {', '.join(values) or 'nothing'}"
        box = _element(
            "rect",
            _element("title", words),
            class_="hit",
            x=f"{_x(chart, number) - _step(chart) / 2:.1f}",
            y=TOP,
            width=f"{_step(chart):.1f}",
            height=HEIGHT - TOP - BOTTOM,
        )
        # Not in the order of tabs: a page has the same links in its table.
        yield _element("a", box, href=column.link, tabindex=-1, aria_label=words) if column.link else box
