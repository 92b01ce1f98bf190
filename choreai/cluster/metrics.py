"""Figures of a run in progress for Prometheus, exported by Ray from the driver's process.

Ray adds `ray_` before each name and `_total` after a counter's. deploy/grafana.json draws them, deploy/alerts.yml
watches them. What a finished run did is in its manifest and report; these are for looking on.
"""

import re
import time
from typing import Literal

from choreai.tables.reports import ShardReport

Step = Literal["extract_poses", "tag_catalog"]

COUNTERS: dict[str, tuple[str, ...]] = {
    "choreai_videos": ("step", "status"),
    "choreai_frames": ("step",),
    "choreai_person_frames": ("step",),
    "choreai_bytes": ("step",),
    "choreai_failures": ("step", "reason"),
    "choreai_busy_seconds": ("step", "device"),
    "choreai_worker_deaths": ("step",),
}
"""Name -> labels. Not `job`: that label is Prometheus's own."""
GAUGES: dict[str, tuple[str, ...]] = {
    "choreai_videos_left": ("step",),
    "choreai_workers": ("step",),
    "choreai_run_failed": ("step",),
    "choreai_run_finished_timestamp_seconds": ("step",),
}
_HELP = {
    "choreai_videos": "Videos done, by what became of them.",
    "choreai_frames": "Frames sampled and posed.",
    "choreai_person_frames": "People found, counted anew in each frame.",
    "choreai_bytes": "Bytes of the videos done.",
    "choreai_failures": "Videos that failed, by reason.",
    "choreai_busy_seconds": "Seconds that workers spent on shards, by what they compute on.",
    "choreai_worker_deaths": "Worker processes that died.",
    "choreai_videos_left": "Videos of this run still to be done.",
    "choreai_workers": "Workers that have finished a shard in this run.",
    "choreai_run_failed": "Whether the step ended badly (1) or well (0).",
    "choreai_run_finished_timestamp_seconds": "When the step ended.",
}
MAX_REASONS = 20
"""Each is a time series for ever; what comes after them is counted as "other"."""


class RunMetrics:
    """The figures of one step of a run. Ray must be connected."""

    def __init__(self, step: Step, *, num_videos: int) -> None:
        from ray.util.metrics import Counter, Gauge

        self._counters = {
            name: Counter(name, description=_HELP[name], tag_keys=labels) for name, labels in COUNTERS.items()
        }
        self._gauges = {name: Gauge(name, description=_HELP[name], tag_keys=labels) for name, labels in GAUGES.items()}
        self._step = step
        self._num_left = num_videos
        self._workers: set[str] = set()
        self._reasons: set[str] = set()
        self._num_deaths = 0
        self._set("choreai_videos_left", num_videos)

    def shard_done(self, report: ShardReport, *, num_bytes: int) -> None:
        """Count a shard; `num_bytes` are its videos'."""
        for status, count in report.statuses.items():
            self._add("choreai_videos", count, status=status)
        for _, reason in report.problems:
            self._add("choreai_failures", 1, reason=self._reason(reason))
        self._add("choreai_frames", report.num_frames)
        self._add("choreai_person_frames", report.num_rows)
        self._add("choreai_bytes", num_bytes)
        self._add("choreai_busy_seconds", report.process_seconds, device="gpu" if report.gpu_ids else "cpu")
        self._workers.add(report.worker)
        self._set("choreai_workers", len(self._workers))
        self._leave(sum(report.statuses.values()))

    def shard_failed(self, num_videos: int, *, reason: str) -> None:
        """Count the videos of a shard that could not be finished."""
        self._add("choreai_failures", num_videos, reason=self._reason(reason))
        self._leave(num_videos)

    def workers_died(self, num_so_far: int) -> None:
        """Take note of how many workers have died in this run."""
        self._add("choreai_worker_deaths", num_so_far - self._num_deaths)
        self._num_deaths = num_so_far

    def finished(self, *, failed: bool) -> None:
        """Say how the step ended."""
        self._set("choreai_run_failed", int(failed))
        self._set("choreai_run_finished_timestamp_seconds", time.time())

    def _leave(self, num_videos: int) -> None:
        self._num_left -= num_videos
        self._set("choreai_videos_left", max(0, self._num_left))

    def _reason(self, text: str) -> str:
        """A reason as a label: without what differs from video to video, and of at most MAX_REASONS kinds."""
        name = re.sub(r"\S*[/\\]\S*|'[^']*'|\"[^\"]*\"", "…", text)
        name = re.sub(r"\d+(\.\d+)?", "N", name)[:80].strip()
        if name not in self._reasons and len(self._reasons) >= MAX_REASONS:
            return "other"
        self._reasons.add(name)
        return name

    def _add(self, name: str, count: float, **labels: str) -> None:
        if count > 0:  # Ray refuses to count nothing
            self._counters[name].inc(count, {"step": self._step, **labels})

    def _set(self, name: str, value: float) -> None:
        self._gauges[name].set(value, {"step": self._step})
