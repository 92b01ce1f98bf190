"""Prometheus metrics of a run in progress, exported by Ray from the driver's process.

Ray prefixes each name with `ray_` and appends `_total` to counters. deploy/grafana.json plots them, deploy/alerts.yml
alerts on them. What a finished run did is in its manifest and run report.
"""

import re
import time
from dataclasses import asdict

from choreai.tables.reports import ShardReport

COUNTERS: dict[str, tuple[str, ...]] = {
    "choreai_videos": ("step", "status"),
    "choreai_frames": ("step",),
    "choreai_person_frames": ("step",),
    "choreai_bytes": ("step",),
    "choreai_failures": ("step", "reason"),
    "choreai_busy_seconds": ("step", "device"),
    "choreai_worker_deaths": ("step",),
    "choreai_seconds_of_video": ("step",),
    "choreai_stage_seconds": ("step", "stage"),
    "choreai_gpu_seconds": ("step",),
}
"""Name -> labels. Not `job`: that label is Prometheus's own."""
GAUGES: dict[str, tuple[str, ...]] = {
    "choreai_videos_left": ("step",),
    "choreai_workers": ("step",),
    "choreai_run_failed": ("step",),
    "choreai_run_cost": ("step", "currency"),
    "choreai_speed_of_light": ("step",),
    "choreai_run_started_timestamp_seconds": ("step",),
    "choreai_run_finished_timestamp_seconds": ("step",),
}
HISTOGRAMS: dict[str, tuple[str, ...]] = {"choreai_video_seconds": ("step",)}
_SECONDS = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0]
_HELP = {
    "choreai_videos": "Videos processed, by status.",
    "choreai_frames": "Frames sampled and processed.",
    "choreai_person_frames": "People found, summed over frames.",
    "choreai_bytes": "Bytes of the videos processed.",
    "choreai_failures": "Videos that failed, by reason.",
    "choreai_busy_seconds": "Seconds that workers spent on shards, by device.",
    "choreai_worker_deaths": "Worker processes that died.",
    "choreai_seconds_of_video": "Length of the videos that were extracted.",
    "choreai_stage_seconds": "Seconds that workers' threads spent in each stage of an extraction.",
    "choreai_gpu_seconds": "Seconds in which workers' GPUs had something to do, by NVML.",
    "choreai_videos_left": "Videos of this run not processed yet.",
    "choreai_workers": "Workers that have finished a shard in this run.",
    "choreai_run_failed": "Whether the step failed (1) or not (0).",
    "choreai_run_cost": "Cost of the worker nodes so far, where price_per_hour is set.",
    "choreai_speed_of_light": "Speed of the run so far, as a share of what its engine alone would reach.",
    "choreai_run_started_timestamp_seconds": "When the step began.",
    "choreai_run_finished_timestamp_seconds": "When the step ended.",
    "choreai_video_seconds": "Seconds that a worker took for a video, the mean of its shard.",
}
MAX_REASONS = 20
"""Each reason becomes a time series that Prometheus keeps; later ones are counted as "other"."""


class RunMetrics:
    """The metrics of one step of a run, `extract_poses` or `tag_catalog`. Ray must be connected."""

    def __init__(self, step: str, *, num_videos: int, price_per_hour: float = 0.0, currency: str = "") -> None:
        from ray.util.metrics import Counter, Gauge, Histogram

        self._counters = {
            name: Counter(name, description=_HELP[name], tag_keys=labels) for name, labels in COUNTERS.items()
        }
        self._gauges = {name: Gauge(name, description=_HELP[name], tag_keys=labels) for name, labels in GAUGES.items()}
        self._histograms = {
            name: Histogram(name, description=_HELP[name], boundaries=_SECONDS, tag_keys=labels)
            for name, labels in HISTOGRAMS.items()
        }
        self._step = step
        self._price_per_hour, self._currency = price_per_hour, currency
        self._began = time.monotonic()
        self._num_left = num_videos
        self._workers: set[str] = set()
        self._reasons: set[str] = set()
        self._num_deaths = 0
        self._set("choreai_videos_left", num_videos)
        if num_videos:
            self._set("choreai_run_started_timestamp_seconds", time.time())

    def shard_done(self, report: ShardReport) -> None:
        """Count a shard that was finished."""
        for status, count in report.statuses.items():
            self._add("choreai_videos", count, status=status)
        for _, reason in report.problems:
            self._add("choreai_failures", 1, reason=self._reason(reason))
        self._add("choreai_frames", report.num_frames)
        self._add("choreai_person_frames", report.num_rows)
        self._add("choreai_bytes", report.num_bytes)
        self._add("choreai_busy_seconds", report.process_seconds, device="gpu" if report.gpu_ids else "cpu")
        self._add("choreai_seconds_of_video", report.video_seconds)
        for stage, seconds in asdict(report.stages).items():
            self._add("choreai_stage_seconds", seconds, stage=stage)
        self._add("choreai_gpu_seconds", report.gpu_seconds or 0.0)
        for _ in range(num_videos := sum(report.statuses.values())):
            self._observe("choreai_video_seconds", report.process_seconds / num_videos)
        self._workers.add(report.worker)
        self._note_cost()
        self._set("choreai_workers", len(self._workers))
        self._leave(num_videos)

    def speed_is(self, of_light: float) -> None:
        """Record how fast the run is so far, as a share of what its engine alone would reach."""
        self._set("choreai_speed_of_light", of_light)

    def shard_failed(self, num_videos: int, *, reason: str) -> None:
        """Count the videos of a shard that could not be finished."""
        self._add("choreai_failures", num_videos, reason=self._reason(reason))
        self._leave(num_videos)

    def workers_died(self, num_so_far: int) -> None:
        """Record how many workers have died in this run so far."""
        self._add("choreai_worker_deaths", num_so_far - self._num_deaths)
        self._num_deaths = num_so_far

    def finished(self, *, failed: bool) -> None:
        """Record that the step ended, and whether it failed."""
        self._set("choreai_run_failed", int(failed))
        self._set("choreai_run_finished_timestamp_seconds", time.time())

    def _note_cost(self) -> None:
        """Set what the nodes of the workers that have answered have cost so far, as the run report counts it."""
        if self._price_per_hour:
            num_nodes = len({worker.rpartition(":")[0] for worker in self._workers})
            hours = num_nodes * (time.monotonic() - self._began) / 3600
            self._set("choreai_run_cost", hours * self._price_per_hour, currency=self._currency)

    def _leave(self, num_videos: int) -> None:
        self._num_left -= num_videos
        self._set("choreai_videos_left", max(0, self._num_left))

    def _reason(self, text: str) -> str:
        """Return the reason as a label: without what differs between videos, at most MAX_REASONS different ones."""
        name = re.sub(r"\S*[/\\]\S*|'[^']*'|\"[^\"]*\"", "...", text)
        name = re.sub(r"\d+(\.\d+)?", "N", name).encode("ascii", "replace").decode()[:80].strip()  # Ray takes ASCII
        if name not in self._reasons and len(self._reasons) >= MAX_REASONS:
            return "other"
        self._reasons.add(name)
        return name

    def _add(self, name: str, count: float, **labels: str) -> None:
        if count > 0:  # Ray refuses to count nothing
            self._counters[name].inc(count, {"step": self._step, **labels})

    def _set(self, name: str, value: float, **labels: str) -> None:
        self._gauges[name].set(value, {"step": self._step, **labels})

    def _observe(self, name: str, value: float) -> None:
        if value > 0:  # Ray refuses to observe nothing
            self._histograms[name].observe(value, {"step": self._step})
