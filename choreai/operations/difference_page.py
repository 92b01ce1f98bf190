"""A comparison of two runs, models or pose fingerprints as one HTML page."""

from statistics import median

from choreai.operations.difference import Difference, Side
from choreai.visualize.html import render_page
from choreai.visualize.style_colors import style_color

MAX_ON_PAGE = 1000

_BODY = """
<h1>{{ d.before.name }} → {{ d.now.name }}</h1>
<p class="soft">{{ described(d.before) }} → {{ described(d.now) }}</p>
<div class="tiles">
{% for name, value in tiles %}<div class="tile"><b>{{ '{:,}'.format(value) }}</b>{{ name }}</div>
{% endfor %}
</div>

{% if d.causes %}
<h2>What changed, and why</h2>
<div class="scroll"><table>
<tr><th>change</th><th>because of</th><th class="number">videos</th></tr>
{% for each in d.causes %}
<tr><td>{{ each.change }}</td><td>{{ each.cause }}</td><td class="number">{{ '{:,}'.format(each.num) }}</td></tr>
{% endfor %}
</table></div>
{% else %}
<p class="good">Nothing changed.</p>
{% endif %}

{% if d.settings %}
<h2>Settings that differ</h2>
<div class="scroll"><table>
<tr><th>setting</th><th>{{ d.before.name }}</th><th>{{ d.now.name }}</th></tr>
{% for each in d.settings %}
<tr><td>{{ each.name }}</td><td class="text">{{ each.before }}</td><td class="text">{{ each.now }}</td></tr>
{% endfor %}
</table></div>
{% endif %}

{% if d.moves %}
<h2>Tags</h2>
<div class="scroll"><table>
<tr><th>was</th><th>is</th><th class="number">videos</th></tr>
{% for each in d.moves %}
<tr><td>{{ dot(each.before) }}</td><td>{{ dot(each.now) }}</td>
<td class="number">{{ '{:,}'.format(each.num) }}</td></tr>
{% endfor %}
</table></div>
{% endif %}

{% if d.keypoints %}
<h2>Keypoints</h2>
<p>Of {{ d.keypoints | length }} videos compared, half moved by more than
{{ '%.1f' % (100 * median_share) }} % of the person's height ({{ '%.1f' % median_pixels }} px).</p>
<div class="scroll"><table>
<tr><th>video</th><th class="number">median</th><th class="number">of the height</th>
<th class="number">people found again</th></tr>
{% for each in d.keypoints[:50] %}
<tr><td class="text">{{ each.video_id }}</td><td class="number">{{ '%.1f px' % each.distance.median_pixels }}</td>
<td class="number">{{ '%.1f %%' % (100 * each.distance.median_share) }}</td>
<td class="number">{{ '%.0f %%' % (100 * each.distance.matched_share) }}</td></tr>
{% endfor %}
</table></div>
{% endif %}

{% if d.videos %}
<h2>Videos</h2>
{% if d.num_changed > shown %}
<p class="soft">The first {{ shown }} of {{ '{:,}'.format(d.num_changed) }}; --json lists more.</p>
{% endif %}
<div class="scroll"><table>
<tr><th>video</th><th>change</th><th>because of</th><th>was</th><th>is</th></tr>
{% for each in d.videos[:shown] %}
<tr><td class="text">{{ each.video_id }}</td><td>{{ each.change }}</td><td>{{ each.cause }}</td>
{% for side in ('before', 'now') %}
<td>{{ state(each, side) }}
{%- if each.reason and state(each, side) == 'quarantined' %}<br><span class="soft">{{ each.reason }}</span>{% endif %}
</td>
{% endfor %}
</tr>
{% endfor %}
</table></div>
{% endif %}
"""


def state(video: object, side: str) -> str:
    """Return what a changed video is on one side (`before` or `now`): its style and score, or its status."""
    style, score, status = (getattr(video, f"{name}_{side}") for name in ("style", "score", "status"))
    if status == "quarantined":
        return "quarantined"
    if style is not None:
        return style if score is None else f"{style} {score:.2f}"
    return status or "-"


def difference_page(difference: Difference) -> str:
    """Return the page."""
    from markupsafe import Markup

    def dot(style: str) -> Markup:
        return Markup('<i class="dot" style="background: {}"></i> {}').format(style_color(style), style)

    shares = [each.distance.median_share for each in difference.keypoints]
    pixels = [each.distance.median_pixels for each in difference.keypoints]
    tiles = [("videos before", difference.num_before), ("videos now", difference.num_now),
             ("changed", difference.num_changed)]  # fmt: skip
    tiles += [(name, num) for name, num in counts(difference).items()]
    data = {
        "d": difference,
        "tiles": tiles,
        "dot": dot,
        "state": state,
        "described": described,
        "shown": MAX_ON_PAGE,
        "median_share": median(shares) if shares else 0.0,
        "median_pixels": median(pixels) if pixels else 0.0,
    }
    return render_page(f"{difference.before.name} and {difference.now.name}", _BODY, data)


def counts(difference: Difference) -> dict[str, int]:
    """Return the number of videos by kind of change, the most frequent first."""
    found: dict[str, int] = {}
    for each in difference.causes:
        found[each.change] = found.get(each.change, 0) + each.num
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def described(side: Side) -> str:
    """Return what a side is made of, in words."""
    parts = [f"model {side.model_version}" if side.model_version and side.kind != "model" else ""]
    parts += [f"poses {side.pose_fingerprint}" if side.pose_fingerprint and side.kind != "poses" else ""]
    return ", ".join([side.kind, *filter(None, parts)])
