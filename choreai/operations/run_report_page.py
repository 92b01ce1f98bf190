"""The run report as one HTML page, `runs/<run id>/report.html`."""

import shlex

from choreai.operations.drift import SHIFTED_ABOVE, STABLE_BELOW
from choreai.operations.run_report import RunReport
from choreai.storage import objects
from choreai.visualize.html import browser_link, render_page
from choreai.visualize.style_colors import style_color

_BODY = """
<h1>Run {{ r.run_id }}</h1>
<p class="{{ 'bad' if r.failed else 'good' }}">
{{- 'Failed: see the videos that were not processed' if r.failed else 'Done' }}</p>
<p class="soft">{{ r.group.main.started_at.strftime('%Y-%m-%d %H:%M') }} UTC · {{ r.group.main.config.catalog }}
{{ '· model ' + r.group.main.model_version if r.group.main.model_version }}
· poses {{ r.group.main.pose_fingerprint }}</p>
<div class="tiles">
{% for name, value in tiles %}<div class="tile"><b>{{ value }}</b>{{ name }}</div>
{% endfor %}
</div>

<h2>What was done</h2>
<div class="scroll"><table>
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

{% if r.styles %}
<h2>Styles</h2>
<div class="scroll"><table>
<tr><th>style</th><th class="number">this run</th><th>share</th><th class="number">mean score</th>
{% if r.reference_run %}<th class="number">{{ r.reference_run }}</th><th>share</th>{% endif %}</tr>
{% for each in r.styles %}
<tr><td><i class="dot" style="background: {{ color(each.style) }}"></i> {{ each.style }}</td>
<td class="number">{{ each.num }}</td>
<td>{{ '%.0f %%' % share(each.num, num_now) }}
<div class="bar"><i style="width: {{ '%.1f' % share(each.num, num_now) }}%;
  background: {{ color(each.style) }}"></i></div></td>
<td class="number">{{ '%.2f' % each.mean_score if each.mean_score is not none else '' }}</td>
{% if r.reference_run %}<td class="number">{{ each.num_reference }}</td>
<td>{{ '%.0f %%' % share(each.num_reference, num_reference) }}<div class="bar before">
<i style="width: {{ '%.1f' % share(each.num_reference, num_reference) }}%"></i></div></td>{% endif %}</tr>
{% endfor %}
</table></div>
{% endif %}

{% if r.causes %}
<h2>Why videos were tagged, and which styles changed</h2>
<div class="scroll"><table>
<tr><th>cause</th><th class="number">videos</th><th class="number">changed style</th></tr>
{% for each in r.causes %}
<tr><td>{{ each.name }}</td><td class="number">{{ each.num }}</td><td class="number">{{ each.num_changed }}</td></tr>
{% endfor %}
</table></div>
{% if r.changes %}
<div class="scroll"><table><caption>The most frequent changes</caption>
<tr><th>cause</th><th>before</th><th>now</th><th class="number">videos</th></tr>
{% for each in r.changes %}
<tr><td>{{ each.cause }}</td><td>{{ each.before }}</td><td>{{ each.now }}</td>
<td class="number">{{ each.num }}</td></tr>
{% endfor %}
</table></div>
{% endif %}
{% endif %}

{% if r.drifts %}
<h2>Drift against {{ r.reference_run }}</h2>
<p class="soft">Population stability index: below {{ stable }} stable, up to {{ shifted }} shifting, above it shifted.
A value that so few videos reach by chance alone is marked as chance.</p>
<div class="scroll"><table>
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
<div class="scroll"><table>
<tr><th class="number">videos</th><th>stage</th><th>error</th><th>reason</th><th>example</th></tr>
{% for each in r.quarantined %}
<tr><td class="number">{{ each.num }}</td><td>{{ each.stage }}</td><td>{{ each.error_class }}</td>
<td class="text">{{ each.reason }}</td><td class="text">{{ each.example }}</td></tr>
{% endfor %}
</table></div>
{% if r.quarantined_videos | length < r.num_quarantined %}<p class="soft">The first {{ r.quarantined_videos | length }}
of {{ r.num_quarantined }} by name; the videos table has all.</p>{% endif %}
<div class="scroll"><table>
<tr><th>video</th><th>stage</th><th>reason</th><th>file</th></tr>
{% for each in r.quarantined_videos %}
<tr><td class="text">{{ each.video_id }}</td><td>{{ each.stage }}</td><td class="text">{{ each.reason }}</td>
<td class="text">{% if link(each.uri) %}<a href="{{ link(each.uri) }}">{{ each.uri }}</a>
{%- else %}{{ each.uri }}{% endif %}</td></tr>
{% endfor %}
</table></div>
<p>Once they are repaired: <code>{{ retry }}</code></p>
{% else %}<p class="soft">None in this run{% if r.num_quarantined_before %},
{{ r.num_quarantined_before }} by earlier runs: <code>{{ retry }}</code> tries them again{% endif %}.</p>
{% endif %}

{% if r.input_quality %}
<h2>Input quality</h2>
<div class="scroll"><table>
<tr><th class="number">videos</th><th>remark</th><th>example</th></tr>
{% for each in r.input_quality %}
<tr><td class="number">{{ each.num }}</td><td>{{ each.remark }}</td><td class="text">{{ each.example }}</td></tr>
{% endfor %}
</table></div>
{% endif %}

{% if r.slowest %}
<h2>Slowest videos</h2>
<div class="scroll"><table>
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

_BAND_CLASSES = {"stable": "good", "chance": "soft", "shifting": "warn", "shifted": "bad"}


def run_report_page(report: RunReport) -> str:
    """Return the report as an HTML page."""
    data = {
        "r": report,
        "tiles": _tiles(report),
        "num_now": sum(each.num for each in report.styles),
        "num_reference": sum(each.num_reference for each in report.styles),
        "share": lambda part, whole: 100 * part / whole if whole else 0.0,
        "stable": STABLE_BELOW,
        "shifted": SHIFTED_ABOVE,
        "band_classes": _BAND_CLASSES,
        "link": browser_link,
        "color": style_color,
        "retry": _retry_command(report),
    }
    return render_page(f"choreai run {report.run_id}", _BODY, data)


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
    if report.cost is not None:
        tiles.append(("worker nodes", f"{report.cost:.2f} {report.settings.currency}"))
    return tiles


def write_run_report(root: str, report: RunReport) -> str:
    """Write the report's page under `root`, replacing an older one of the same run, and return its URI."""
    uri = objects.join_uri(root, "runs", report.run_id, "report.html")
    objects.put_object(uri, run_report_page(report).encode())
    return uri
