"""How fast a run was and where its time went, as a part of the run report."""

from collections.abc import Sequence
from dataclasses import dataclass

from choreai.tables.runs import RunManifest
from choreai.tables.speed import Speed
from choreai.visualize.style_colors import PALETTE, UNKNOWN_COLOR

NAMES = {
    "decode": "decoding", "detect": "detector", "crop": "crops", "pose": "pose network", "heatmaps": "heatmaps",
    "track": "tracker", "write": "writing", "wait": "waiting for frames",
}  # fmt: skip
COLORS = {
    **dict(zip(NAMES, (PALETTE[i] for i in (0, 1, 7, 2, 10, 3, 8)), strict=False)), "wait": UNKNOWN_COLOR,
}  # fmt: skip
CEILING_SHOWN_AT = {"decode": "decode", "detector": "detect", "pose": "pose", "tracker": "track"}
"""Ceiling -> the stage in whose row it stands; the pose network's counts crops and heatmaps too."""
LEAST_SHARE = 0.0005
"""What takes less of the time has no row."""

SPEED = """
{% for speed in speeds %}
<h2>Speed</h2>
<p>{{ speed.sentence }}</p>
{{ parts_bar(speed.parts, 'Where the time of the workers went') }}
<div class="scroll" tabindex="0" role="region" aria-label="Where the time went"><table>
<tr><th>stage</th><th class="number">share of the workers' time</th><th class="number">it alone would reach</th></tr>
{% for each in speed.rows %}
<tr><td class="style">{{ dot(each.color) }}{{ each.name }}</td><td class="number">{{ each.share }}</td>
<td class="number">{{ each.ceiling }}</td></tr>
{% endfor %}
</table></div>
<p class="soft">Stages work at the same time where a worker has threads for them, and then their shares can add up to
more than 100 %. What is missing was start-up, waiting for shards, and checks.
{%- if speed.gpu %} {{ speed.gpu }}{% endif %}</p>
{% endfor %}
"""


@dataclass(frozen=True)
class StageRow:
    """One stage, as the page shows it."""

    name: str
    color: str
    share: str
    ceiling: str
    """Seconds of video per second; empty for what no plain loop has to do."""


@dataclass(frozen=True)
class SpeedView:
    """What the page shows of one extraction."""

    sentence: str
    rows: tuple[StageRow, ...]
    parts: tuple[tuple[str, float], ...]
    """(colour, share of the bar) of each stage."""
    gpu: str


def speed_views(runs: Sequence[RunManifest]) -> list[SpeedView]:
    """Return what is to be shown of those runs whose stages were timed."""
    return [_view(run, run.speed) for run in runs if run.speed is not None]


def speed_line(run: RunManifest) -> str:
    """Return the speed of a run in a line; empty where nothing was timed."""
    speed = run.speed
    return "" if speed is None else f"speed: {_sentence(speed)}"


def _view(run: RunManifest, speed: Speed) -> SpeedView:
    shares = {name: share for name, share in speed.stages.shares(speed.worker_seconds).items() if share > LEAST_SHARE}
    full = max(1.0, sum(shares.values()))
    ceiling_of = {CEILING_SHOWN_AT[name]: value for name, value in speed.ceilings.items()}
    rows = tuple(
        StageRow(NAMES[name], COLORS[name], f"{100 * share:.1f} %", _rate(ceiling_of.get(name)))
        for name, share in shares.items()
    )
    parts = tuple((COLORS[name], share / full) for name, share in shares.items())
    return SpeedView(f"{_sentence(speed)}.", rows, parts, _gpu_sentence(run, speed))


def _gpu_sentence(run: RunManifest, speed: Speed) -> str:
    if run.gpu_seconds is None:
        return ""
    return f"Their GPUs had something to do {100 * run.gpu_seconds / speed.worker_seconds:.0f} % of the time (NVML)."


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:,.1f} s/s"


def _sentence(speed: Speed) -> str:
    return (
        f"{speed.video_seconds_per_second:.2f} s of video a second and worker, {100 * speed.of_light:.0f} % of the "
        f"{speed.engine:.2f} that its engine alone would reach ({100 * speed.of_light_while_busy:.0f} % while busy)"
    )
