"""All nights on one HTML page, `runs/nights.html`: trends, and a row for each night that leads to its run report."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from choreai.operations.drift import SHIFTED_ABOVE, STABLE_BELOW
from choreai.operations.nights import Night, Nights
from choreai.storage import objects
from choreai.visualize.figures import BLUE, GREY, ORANGE
from choreai.visualize.html import render_page
from choreai.visualize.style_colors import PALETTE, style_color
from choreai.visualize.trends import STYLE as TREND_STYLE
from choreai.visualize.trends import Chart, Column, Series, draw_chart

MAX_DRAWN = 90
"""Nights in a chart: more would be narrower than a finger or a pixel. The table has all of them."""
MAX_SERIES = 8
OTHERS, OTHERS_COLOR = "others", "#4a5058"
RED = "#c4314b"
STYLE = (
    TREND_STYLE
    + """
body { max-width: 80rem; } a { color: var(--accent); }
table.nights th[scope=row] { font-weight: 400; } table.nights td { white-space: nowrap; }
table.nights td.text { white-space: normal; min-width: 10rem; }
"""
)

BODY = """
<h1>Nights</h1>
<p class="soft">{{ n.nights | length }} {{ 'night' if n.nights | length == 1 else 'nights' }} in {{ n.num_runs }}
{{ 'run' if n.num_runs == 1 else 'runs' }}, {{ day(n.nights[-1]) }} to {{ day(n.nights[0]) }} (UTC)
{{- " · " + n.root if shows_paths }}</p>
<div class="facts">
{% for name, value in tiles %}<div class="fact"><b>{{ value }}</b>{{ name }}</div>
{% endfor %}
</div>

<h2>Trends{% if num_drawn < n.nights | length %} of the last {{ num_drawn }} nights{% endif %}</h2>
<div class="trends">
{% for figure in figures %}{{ figure }}
{% endfor %}
</div>
{% for sentence in left_out %}<p class="soft">{{ sentence }}</p>
{% endfor %}

<h2 id="all-nights">All nights</h2>
<div class="scroll" tabindex="0" role="region" aria-labelledby="all-nights"><table class="nights">
<thead><tr><th scope="col">night (UTC)</th><th scope="col">state</th><th scope="col" class="number">poses</th>
<th scope="col" class="number">tags</th><th scope="col" class="number">quarantined</th>
<th scope="col" class="number">unknown</th><th scope="col" class="number">mean score</th>
<th scope="col" class="number">drift</th><th scope="col" class="number">videos/min</th>
<th scope="col" class="number">time</th>
{% if has_cost %}<th scope="col" class="number">{{ n.currency }}</th>{% endif %}
<th scope="col">remarks</th></tr></thead>
<tbody>
{% for night in n.nights %}
<tr><th scope="row">{% if link(night) %}<a href="{{ link(night) }}">{{ minute(night) }}</a>
{%- else %}{{ minute(night) }}{% endif %}</th>
<td class="{{ {'done': 'good', 'failed': 'bad'}.get(night.state, 'warn') }}">{{ night.state }}</td>
<td class="number">{{ number(night.num_videos) }}</td><td class="number">{{ number(night.num_tagged) }}</td>
<td class="number">{{ number(night.num_quarantined) }}</td>
<td class="number">{{ percent(night.styles.get('unknown', 0), night.num_tagged) }}</td>
<td class="number">{{ '%.2f' % night.mean_score if night.mean_score is not none }}</td>
<td class="number {{ drift(night)[1] }}">{{ drift(night)[0] }}</td>
<td class="number">{{ '%.1f' % night.videos_per_minute if night.videos_per_minute }}</td>
<td class="number">{{ duration(night.elapsed_seconds) }}</td>
{% if has_cost %}<td class="number">{{ '%.2f' % night.cost if night.cost is not none }}</td>{% endif %}
<td class="text">{{ remarks(loop.index0) }}</td></tr>
{% endfor %}
</tbody></table></div>
<p class="soft">Drift: population stability index of the styles against the tagging run before; below {{ stable }}
stable, above {{ shifted }} shifted. Time is that of all parts of a night, as far as is known of those that were
stopped. A night's run report has more.</p>
"""

Link = Callable[[Night], str]


def report_link(night: Night) -> str:
    """Return where a page in `runs/` finds the night's run report; empty where it has none."""
    return f"{night.run_id}/report.html" if night.has_report else ""


def write_nights_page(nights: Nights) -> str:
    """Write the page, replacing an older one, and return its URI."""
    uri = objects.join_uri(nights.root, "runs", "nights.html")
    objects.put_object(uri, nights_page(nights).encode())
    return uri


def nights_page(nights: Nights) -> str:
    """Return all nights as a self-contained HTML page."""
    return render_page("choreai nights", f"<main>{BODY}</main>", nights_data(nights, link=report_link), style=STYLE)


def night_row(night: Night) -> tuple[str, ...]:
    """Return the night for a table in a terminal."""
    numbers = (night.num_videos, night.num_tagged, night.num_quarantined)
    return (
        f"{night.started_at:%Y-%m-%d %H:%M}",
        night.state,
        *(f"{number:,}" if number else "" for number in numbers),
        "" if night.mean_score is None else f"{night.mean_score:.2f}",
        _drift(night)[0],
    )


def nights_data(nights: Nights, *, link: Link, shows_paths: bool = True) -> dict[str, object]:
    """Return what fills `BODY`; `shows_paths`: also where things are stored."""
    drawn = nights.nights[:MAX_DRAWN][::-1]
    charts = [chart for chart in _charts(drawn, nights.currency, link) if not chart.is_empty]
    return {
        "n": nights,
        "tiles": _tiles(nights),
        "num_drawn": len(drawn),
        "figures": [draw_chart(chart) for chart in charts],
        "left_out": _left_out(nights, {chart.title for chart in charts}),
        "has_cost": any(night.cost is not None for night in nights.nights),
        "link": link,
        "shows_paths": shows_paths,
        "day": lambda night: f"{night.started_at:%Y-%m-%d}",
        "minute": lambda night: f"{night.started_at:%Y-%m-%d %H:%M}",
        "number": lambda value: f"{value:,}" if value else "",
        "percent": lambda part, whole: f"{100 * part / whole:.0f} %" if whole else "",
        "drift": _drift,
        "duration": _duration,
        "remarks": lambda place: _remarks(nights.nights, place),
        "stable": STABLE_BELOW,
        "shifted": SHIFTED_ABOVE,
    }


def _tiles(nights: Nights) -> list[tuple[str, str]]:
    every = nights.nights
    tiles = [
        ("nights", f"{len(every):,}"),
        ("failed", f"{sum(night.state == 'failed' for night in every):,}"),
        ("poses", f"{sum(night.num_videos - night.num_quarantined for night in every):,}"),
        ("tags", f"{sum(night.num_tagged for night in every):,}"),
        ("quarantined", f"{sum(night.num_quarantined for night in every):,}"),
        ("time", _duration(sum(night.elapsed_seconds for night in every))),
    ]
    costs = [night.cost for night in every if night.cost is not None]
    return [*tiles, ("worker nodes", f"{sum(costs):,.2f} {nights.currency}")] if costs else tiles


def _charts(nights: Sequence[Night], currency: str, link: Link) -> list[Chart]:
    """Return the trends, oldest night first; some may be empty."""
    columns = [Column(f"{night.started_at:%b %d}", link(night)) for night in nights]
    bounds = ((STABLE_BELOW, "stable below"), (SHIFTED_ABOVE, "shifted above"))

    def each(value: Callable[[Night], float | None]) -> list[float | None]:
        return [value(night) for night in nights]

    drifts = [
        Series(name, each(lambda night, of=name: None if (d := night.drift(of)) is None else d.psi), color)  # type: ignore[misc]
        for name, color in (("style", BLUE), ("score", ORANGE))
    ]
    return [
        Chart(
            "Videos",
            columns,
            [
                Series("with people", each(lambda night: night.poses.get("ok", 0)), BLUE),
                Series("without people", each(lambda night: night.poses.get("nobody", 0)), GREY),
                Series("quarantined", each(lambda night: night.num_quarantined), RED),
                Series("could not be finished", each(lambda night: night.num_unfinished), ORANGE),
            ],
            kind="bars",
        ),
        Chart("Tags by style", columns, _counted(nights, lambda night: night.styles, style_color), kind="bars"),
        Chart("Quarantined by cause", columns, _counted(nights, lambda night: night.quarantined_by), kind="bars"),
        Chart(
            "Mean score",
            columns,
            [Series("score", each(lambda night: night.mean_score), BLUE)],
            has_legend=False,
            digits=2,
            top=1.0,
        ),
        Chart("Drift against the tagging run before", columns, drifts, digits=2, bounds=bounds),
        Chart(
            "Videos per minute",
            columns,
            [Series("videos per minute", each(lambda night: night.videos_per_minute), BLUE)],
            has_legend=False,
            digits=1,
        ),
        Chart(
            "Frames per second",
            columns,
            [Series("frames per second", each(lambda night: night.frames_per_second), BLUE)],
            has_legend=False,
            digits=1,
        ),
        Chart(
            "Time",
            columns,
            [Series("minutes", each(lambda night: night.elapsed_seconds / 60), BLUE)],
            has_legend=False,
            kind="bars",
            unit=" min",
            digits=1,
        ),
        Chart(
            "Cost of the worker nodes",
            columns,
            [Series("cost", each(lambda night: night.cost), BLUE)],
            has_legend=False,
            kind="bars",
            unit=f" {currency}",
            digits=2,
        ),
    ]


def _counted(
    nights: Sequence[Night], counts: Callable[[Night], Mapping[str, int]], color: Callable[[str], str] | None = None
) -> list[Series]:
    """Return a series for each of the most frequent names, and one for the others together."""
    total: Counter[str] = Counter()
    for night in nights:
        total.update(counts(night))
    names = [name for name, _ in sorted(total.items(), key=lambda item: (-item[1], item[0]))]
    shown = names if len(names) <= MAX_SERIES else names[: MAX_SERIES - 1]
    series = [
        Series(name, [counts(night).get(name, 0) for night in nights], color(name) if color else PALETTE[place])
        for place, name in enumerate(shown)
    ]
    if len(shown) < len(names):
        rest = [sum(counts(night).values()) - sum(counts(night).get(name, 0) for name in shown) for night in nights]
        series.append(Series(OTHERS, rest, OTHERS_COLOR))
    return series


def _left_out(nights: Nights, drawn: Iterable[str]) -> list[str]:
    """Say of the trends that are not there why."""
    reasons = {
        "Tags by style": "Nothing was tagged yet.",
        "Quarantined by cause": "No video was quarantined.",
        "Drift against the tagging run before": "No drift: it takes two nights with tags.",
        "Cost of the worker nodes": "No cost: give price_per_hour in [report], or --price-per-hour.",
    }
    return [sentence for title, sentence in reasons.items() if title not in drawn]


def _drift(night: Night) -> tuple[str, str]:
    """Return the drift of the styles, and the class that colours it."""
    found = night.drift("style")
    if found is None:
        return "", ""
    return f"{found.psi:.3f}", {"stable": "good", "chance": "soft", "shifting": "warn", "shifted": "bad"}[found.band]


def _remarks(nights: Sequence[Night], place: int) -> str:
    """Return what is special about a night, in words."""
    night = nights[place]
    older = next((each for each in nights[place + 1 :] if each.model_version), None)
    parts = []
    if night.is_quiet:
        parts.append(f"nothing new, {night.num_done_before:,} done before")
    if night.num_stopped:
        parts.append("stopped and resumed" if night.num_stopped == 1 else f"stopped {night.num_stopped} times, resumed")
    if night.num_worker_deaths:
        parts.append(f"{night.num_worker_deaths:,} worker{'s' if night.num_worker_deaths > 1 else ''} lost")
    if night.num_unfinished:
        parts.append(f"{night.num_unfinished:,} could not be finished")
    if older is not None and night.model_version and night.model_version != older.model_version:
        parts.append(f"new model {night.model_version}")
    if older is not None and night.pose_fingerprint != older.pose_fingerprint:
        parts.append(f"new poses {night.pose_fingerprint}")
    return ", ".join(parts)


def _duration(seconds: float) -> str:
    if not seconds:
        return ""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
