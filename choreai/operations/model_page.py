"""The models of an output as one HTML page: what each should reach, and how it stands beside the newest."""

from collections.abc import Sequence

from choreai.operations.model_comparison import ComparedModel
from choreai.operations.model_list import ListedModel
from choreai.storage.uris import shorten
from choreai.style.evaluation.bootstrap import Estimate
from choreai.visualize.html import browser_link, render_page
from choreai.visualize.style_colors import style_color

WIDTH, HEIGHT = 240, 18
"""Pixels of a picture of one difference."""
LEAST_POINTS = 5.0
"""The pictures reach at least so far from zero: differences of a point shall not look like gulfs."""

_STYLE = """
svg.difference { width: 15rem; height: 1.1rem; } svg.difference line { stroke: var(--soft); }
svg.difference .range { stroke: var(--accent); stroke-width: 3; } svg.difference circle { fill: var(--accent); }
svg.difference .none { stroke-dasharray: 2 2; }
"""
_BODY = """
<h1>Models</h1>
<p class="soft">The newest first: jobs take it where none is named.</p>
<div class="scroll"><table>
<tr><th>model</th><th>trained</th><th class="number">right</th><th class="number">on sources never seen</th>
<th>styles</th></tr>
{% for each in models %}
<tr><td class="text">{% if link(each.uri) %}<a href="{{ link(each.uri) }}/report.html">{{ each.model_version }}</a>
{% else %}{{ each.model_version }}{% endif %}</td>
<td>{{ each.created_at[:10] }}</td><td class="number">{{ share(each.accuracy) }}</td>
<td class="number">{{ share(each.unseen_accuracy) }}</td>
<td>{% for label in each.labels %}<i class="dot" style="background: {{ color(label) }}"></i> {{ label }} {% endfor %}
</td></tr>
{% endfor %}
</table></div>
<p class="soft">right: share of videos, cross-validated.</p>
{% if compared %}
<h2>Beside {{ compared[0].beside }}</h2>
<p>What each is above the newest, in points, on the videos that both were tested on, with the 95 % interval of the
paired difference. Where it reaches over zero, neither is better.</p>
<div class="scroll"><table>
<tr><th>model</th><th class="number">videos</th><th>folds</th><th>right</th><th></th></tr>
{% for each in compared %}
<tr><td class="text">{{ each.model_version }}</td>
{% if each.difference %}
<td class="number">{{ '{:,}'.format(each.difference.num_videos) }}</td>
<td>{{ 'the same' if each.difference.same_folds else 'others' }}</td>
<td>{{ picture(each.difference.accuracy) }}</td><td>{{ points(each.difference.accuracy) }}</td>
{% else %}
<td colspan="4" class="soft">{{ each.why_none }}</td>
{% endif %}
</tr>
{% endfor %}
</table></div>
<p class="soft">Other folds: each was trained on other videos, so that a part of the difference is luck.</p>
{% endif %}
"""


def model_page(output: str, models: Sequence[ListedModel], compared: Sequence[ComparedModel]) -> str:
    """Return the page."""
    from markupsafe import Markup

    ends = [abs(100 * end) for each in compared if each.difference for end in _ends(each.difference.accuracy)]
    reach = max([LEAST_POINTS, *ends])

    def picture(estimate: Estimate) -> Markup:
        low, value, high = (
            WIDTH / 2 * (1 + 100 * each / reach) for each in (estimate.low, estimate.value, estimate.high)
        )
        return Markup(
            '<svg class="difference" viewBox="0 0 {} {}" role="img" aria-label="{}"><line class="none" x1="{}" x2="{}" '
            'y1="0" y2="{}"/><line class="range" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/><circle cx="{:.1f}" cy="{}" '
            'r="4"/></svg>'
        ).format(
            WIDTH, HEIGHT, points(estimate), WIDTH / 2, WIDTH / 2, HEIGHT, low, high, HEIGHT / 2, HEIGHT / 2, value,
            HEIGHT / 2,
        )  # fmt: skip

    data = {
        "models": models,
        "compared": compared,
        "share": share,
        "points": points,
        "picture": picture,
        "color": style_color,
        "link": browser_link,
    }
    return render_page(f"Models of {shorten(output)}", _BODY, data, style=_STYLE)


def share(value: float | None) -> str:
    """Return a share in percent."""
    return "-" if value is None else f"{value:.0%}"


def points(estimate: Estimate) -> str:
    """Return a difference in points, and its interval."""
    value, low, high = (100 * each for each in (estimate.value, *_ends(estimate)))
    return f"{value:+.1f} ({low:.1f}, {high:.1f})"


def _ends(estimate: Estimate) -> tuple[float, float]:
    return estimate.low, estimate.high
