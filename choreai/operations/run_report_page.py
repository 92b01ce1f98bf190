"""The run report as one HTML page, `runs/<run id>/report.html`."""

import shlex
from collections.abc import Callable

from choreai.operations.drift import SHIFTED_ABOVE, STABLE_BELOW
from choreai.operations.report_rows import TaggedVideo
from choreai.operations.run_report import RunReport
from choreai.operations.speed_view import SPEED, speed_views
from choreai.storage import objects
from choreai.visualize.html import browser_link, render_page
from choreai.visualize.style_colors import style_color
from choreai.visualize.trends import STYLE as TREND_STYLE
from choreai.visualize.trends import color_dot, parts_bar, share_bar

STYLE = f"{TREND_STYLE} a {{ color: var(--accent); }}"
BODY = (
    """
<h1>Run {{ r.run_id }}</h1>
<p class="{{ 'bad' if r.failed else 'good' }}">
{{- 'Failed: see the videos that were not processed' if r.failed else 'Done' }}</p>
<p class="soft">{{ r.group.main.started_at.strftime('%Y-%m-%d %H:%M') }} UTC
{{ '· ' ~ r.group.main.config.catalog if shows_paths }}
{{ '· model ' + r.group.main.model_version if r.group.main.model_version }}
· poses {{ r.group.main.pose_fingerprint }}</p>
<div class="facts">
{% for name, value in tiles %}<div class="fact"><b>{{ value }}</b>{{ name }}</div>
{% endfor %}
</div>

<h2>What was done</h2>
<div class="scroll" tabindex="0" role="region" aria-label="What was done"><table>
<tr><th>job</th><th>videos</th><th class="number">done before</th><th class="number">frames</th>
<th class="number">wall time</th><th class="number">videos/min</th><th class="number">workers</th>
<th class="number">busy</th><th class="number">worker deaths</th></tr>
{% for run in r.runs %}
<tr><td>{{ run.job }}{% if not run.finished %} <span class="bad">
{{- '(did not finish)' if run is sameas r.group.main else '(stopped, then resumed)' }}</span>{% endif %}</td>
<td class="text">{% for status, count in run.statuses | dictsort %}
{{ count }} {{ status }}{{ ', ' if not loop.last }}{% endfor %}
{% if run.num_failed %}<span class="bad">{{ run.num_failed }} could not be finished</span>{% endif %}</td>
<td class="number">{{ run.num_done_before }}</td><td class="number">{{ '{:,}'.format(run.num_frames) }}</td>
<td class="number">{% if run.elapsed_seconds %}{{ 'over ' if not run.finished }}
{{- '%.0f s' % run.elapsed_seconds }}{% endif %}</td>
<td class="number">
{{- '%.1f' % (run.statuses.values() | sum * 60 / run.elapsed_seconds) if run.elapsed_seconds else '' }}</td>
<td class="number">{% if run.workers %}{{ run.workers | length }} on {{ run.num_hosts }}
{{- ' nodes' if run.num_hosts != 1 else ' node' }}{% endif %}</td>
<td class="number">{{ '%.0f %%' % (100 * run.utilisation) if run.utilisation is not none else '' }}</td>
<td class="number">{{ run.num_worker_deaths }}</td></tr>
{% endfor %}
</table></div>
"""
    + SPEED
    + """
{% if r.styles %}
<h2>Styles</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Styles"><table>
<tr><th>style</th><th class="number">this run</th><th>share</th><th class="number">mean score</th>
{% if r.reference_run %}<th class="number">{{ r.reference_run }}</th><th>share</th>{% endif %}</tr>
{% for each in r.styles %}
<tr><td class="style">{{ dot(color(each.style)) }}{{ each.style }}</td>
<td class="number">{{ each.num }}</td>
<td>{{ '%.0f %%' % share(each.num, num_now) }}{{ bar(share(each.num, num_now) / 100, color(each.style)) }}</td>
<td class="number">{{ '%.2f' % each.mean_score if each.mean_score is not none else '' }}</td>
{% if r.reference_run %}<td class="number">{{ each.num_reference }}</td>
<td>{{ '%.0f %%' % share(each.num_reference, num_reference) }}
{{- bar(share(each.num_reference, num_reference) / 100, color('unknown')) }}</td>{% endif %}</tr>
{% endfor %}
</table></div>
{% endif %}

{% if r.causes %}
<h2>Why videos were tagged, and which styles changed</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Why videos were tagged"><table>
<tr><th>cause</th><th class="number">videos</th><th class="number">changed style</th></tr>
{% for each in r.causes %}
<tr><td>{{ each.name }}</td><td class="number">{{ each.num }}</td><td class="number">{{ each.num_changed }}</td></tr>
{% endfor %}
</table></div>
{% if r.changes %}
<div class="scroll" tabindex="0" role="region" aria-label="The most frequent changes"><table>
<caption>The most frequent changes</caption>
<tr><th>cause</th><th>before</th><th>now</th><th class="number">videos</th></tr>
{% for each in r.changes %}
<tr><td>{{ each.cause }}</td><td>{{ each.before }}</td><td>{{ each.now }}</td>
<td class="number">{{ each.num }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% endif %}

{% if r.videos %}
<h2>Videos to look at first</h2>
<p class="soft">Those that changed style, then those with the lowest scores
{{- '; ' ~ r.videos | length ~ ' of ' ~ num_now if r.videos | length < num_now }}. The moment is where
the model is surest of a style.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Videos to look at first"><table>
<tr><th>video</th><th>style</th>{% if num_changed %}<th>before</th>{% endif %}<th class="number">score</th>
<th>moment</th></tr>
{% for each in r.videos %}
<tr><td class="text">{% if video_link(each, 0) %}<a href="{{ video_link(each, 0) }}">{{ each.video_id }}</a>
{%- else %}{{ each.video_id }}{% endif %}</td>
<td class="style">{{ dot(color(each.style)) }}{{ each.style }}</td>
{% if num_changed %}<td>{{ each.before or '' }}</td>{% endif %}
<td class="number">{{ '%.2f' % each.score if each.score is not none else '' }}</td>
<td>{% if each.start_seconds is not none %}
{% if video_link(each, each.start_seconds) %}<a href="{{ video_link(each, each.start_seconds) }}"
  aria-label="{{ each.video_id }} at {{ clock(each.start_seconds) }}">{{ clock(each.start_seconds) }}</a>
{%- else %}{{ clock(each.start_seconds) }}{% endif %}{% endif %}</td></tr>
{% endfor %}
</table></div>
{% endif %}

{% if r.drifts %}
<h2>Drift against {{ r.reference_run }}</h2>
<p class="soft">Population stability index: below {{ stable }} stable, up to {{ shifted }} shifting, above it shifted.
A value that so few videos reach by chance alone is marked as chance.</p>
<div class="scroll" tabindex="0" role="region" aria-label="Drift"><table>
<tr><th>quantity</th><th class="number">PSI</th><th>assessment</th><th class="number">by chance, up to</th>
<th class="number">reference videos</th><th class="number">videos now</th></tr>
{% for each in r.drifts %}
<tr><td>{{ each.name | replace('_', ' ') }}</td><td class="number">{{ '%.3f' % each.psi }}</td>
<td class="{{ band_classes[each.band] }}">{{ each.band }}</td><td class="number">{{ '%.3f' % each.by_chance }}</td>
<td class="number">{{ each.num_reference }}</td><td class="number">{{ each.num_now }}</td></tr>
{% endfor %}
</table></div>
{% elif r.group.tagging %}<h2>Drift</h2><p class="soft">No earlier run to compare with.</p>
{% endif %}

<h2>Quarantined</h2>
{% if r.quarantined %}
<div class="scroll" tabindex="0" role="region" aria-label="Quarantined, by reason"><table>
<tr><th class="number">videos</th><th>stage</th><th>error</th><th>reason</th><th>example</th></tr>
{% for each in r.quarantined %}
<tr><td class="number">{{ each.num }}</td><td>{{ each.stage }}</td><td>{{ each.error_class }}</td>
<td class="text">{{ each.reason }}</td><td class="text">{{ each.example }}</td></tr>
{% endfor %}
</table></div>
{% if r.quarantined_videos | length < r.num_quarantined %}<p class="soft">The first {{ r.quarantined_videos | length }}
of {{ r.num_quarantined }} by name; the videos table has all.</p>{% endif %}
<div class="scroll" tabindex="0" role="region" aria-label="Quarantined videos"><table>
<tr><th>video</th><th>stage</th><th>reason</th>{% if shows_paths %}<th>file</th>{% endif %}</tr>
{% for each in r.quarantined_videos %}
<tr><td class="text">{{ each.video_id }}</td><td>{{ each.stage }}</td><td class="text">{{ each.reason }}</td>
{% if shows_paths %}<td class="text">{% if link(each.uri) %}<a href="{{ link(each.uri) }}">{{ each.uri }}</a>
{%- else %}{{ each.uri }}{% endif %}</td>{% endif %}</tr>
{% endfor %}
</table></div>
<p>Once they are repaired:
<code>{{ retry if shows_paths else 'choreai tag ... --retry-quarantined' }}</code></p>
{% else %}<p class="soft">None in this run{% if r.num_quarantined_before %},
{{ r.num_quarantined_before }} by earlier runs: <code>
{{- retry if shows_paths else '--retry-quarantined' }}</code> tries them again{% endif %}.</p>
{% endif %}

{% if r.input_quality %}
<h2>Input quality</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Input quality"><table>
<tr><th class="number">videos</th><th>remark</th><th>example</th></tr>
{% for each in r.input_quality %}
<tr><td class="number">{{ each.num }}</td><td>{{ each.remark }}</td><td class="text">{{ each.example }}</td></tr>
{% endfor %}
</table></div>
{% endif %}

{% if r.slowest %}
<h2>Slowest videos</h2>
<div class="scroll" tabindex="0" role="region" aria-label="Slowest videos"><table>
<tr><th>video</th><th class="number">processing time</th><th class="number">length</th>
<th class="number">frames</th></tr>
{% for each in r.slowest %}
<tr><td class="text">{{ each.video_id }}</td><td class="number">{{ '%.1f s' % each.process_seconds }}</td>
<td class="number">{{ '%.1f s' % each.duration_seconds if each.duration_seconds is not none else '' }}</td>
<td class="number">{{ each.num_frames }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
"""
)

_BAND_CLASSES = {"stable": "good", "chance": "soft", "shifting": "warn", "shifted": "bad"}


VideoLink = Callable[[TaggedVideo, float], str]
"""Where a page finds a video at a second; empty: nowhere."""


def run_report_page(report: RunReport) -> str:
    """Return the report as an HTML page."""
    body = f"<main>{BODY}</main>"
    return render_page(f"choreai run {report.run_id}", body, report_data(report), style=STYLE)


def file_link(video: TaggedVideo, seconds: float) -> str:
    """Return where a browser finds a video's file, at a second of it; empty where only a store's client can read it."""
    link = browser_link(video.uri)
    return f"{link}#t={seconds:.1f}" if link and seconds else link


def report_data(report: RunReport, *, video_link: VideoLink = file_link, shows_paths: bool = True) -> dict[str, object]:
    """Return what fills `BODY`; `shows_paths`: also where things are stored."""
    return {
        "r": report,
        "tiles": _tiles(report),
        "num_now": sum(each.num for each in report.styles),
        "num_reference": sum(each.num_reference for each in report.styles),
        "share": lambda part, whole: 100 * part / whole if whole else 0.0,
        "stable": STABLE_BELOW,
        "shifted": SHIFTED_ABOVE,
        "band_classes": _BAND_CLASSES,
        "num_changed": sum(each.before is not None for each in report.videos),
        "link": browser_link,
        "video_link": video_link,
        "shows_paths": shows_paths,
        "clock": lambda seconds: f"{int(seconds) // 60}:{seconds % 60:04.1f}",
        "dot": color_dot,
        "bar": share_bar,
        "parts_bar": parts_bar,
        "speeds": speed_views(report.runs),
        "color": style_color,
        "retry": _retry_command(report),
    }


def _retry_command(report: RunReport) -> str:
    """Return the command that tries the quarantined videos again."""
    command = {"extract_poses": "extract", "tag_catalog": "tag"}.get(report.group.main.job, "tag")
    catalog, output = (str(report.group.main.config.get(name, "")) for name in ("catalog", "output"))
    return shlex.join(["choreai", command, catalog, "--output", output, "--retry-quarantined"])


def _tiles(report: RunReport) -> list[tuple[str, str]]:
    tiles = [("videos tagged", f"{sum(each.num for each in report.styles):,}")] if report.styles else []
    unknown = sum(each.num for each in report.styles if each.style == "unknown")
    if report.styles:
        tiles.append(("unknown", f"{100 * unknown / max(1, sum(each.num for each in report.styles)):.0f} %"))
        tiles.append(("changed style", f"{sum(each.num_changed for each in report.causes):,}"))
    tiles.append(("quarantined", f"{report.num_quarantined:,}"))
    tiles.append(("wall time", f"{sum(run.elapsed_seconds for run in report.runs) / 60:.1f} min"))
    speeds = [run.speed for run in report.runs if run.speed is not None]
    if speeds:
        tiles.append(("of the speed of light", f"{100 * speeds[-1].of_light:.0f} %"))
    if report.cost is not None:
        tiles.append(("worker nodes", f"{report.cost:.2f} {report.settings.currency}"))
    return tiles


def write_run_report(root: str, report: RunReport) -> str:
    """Write the report's page under `root`, replacing an older one of the same run, and return its URI."""
    uri = objects.join_uri(root, "runs", report.run_id, "report.html")
    objects.put_object(uri, run_report_page(report).encode())
    return uri
