"""Metrics: what Ray really exports of a run, and that dashboard and alerts name nothing else."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from choreai.cluster.metrics import COUNTERS, GAUGES, HISTOGRAMS, MAX_REASONS, RunMetrics
from choreai.tables.reports import ShardReport

DEPLOY = Path(__file__).parent.parent / "deploy"
OURS = {
    **{f"ray_{name}_total": labels for name, labels in COUNTERS.items()},
    **{f"ray_{name}": labels for name, labels in GAUGES.items()},
    **{f"ray_{name}_bucket": (*labels, "le") for name, labels in HISTOGRAMS.items()},
}
RAYS_OWN = {"ray_node_gpus_utilization", "ray_node_cpu_utilization", "ray_node_mem_used", "ray_node_mem_total"}
OPERATORS = {"kuberay_job_deployment_status"}  # KubeRay 1.4 and later
METRIC = re.compile(r"\b(?:ray|kuberay)_[a-z0-9_]+")


def report(**others: Any) -> ShardReport:
    fields = {
        "shard_id": "s1",
        "written": True,
        "statuses": {"ok": 3, "quarantined": 1},
        "problems": (("v1", "cannot decode frame 12"),),
        "num_frames": 240,
        "num_rows": 300,
        "process_seconds": 5.0,
        "peak_memory_bytes": 1,
        "worker": "host:1",
        "gpu_ids": ("0",),
    }
    return ShardReport(**{**fields, **others})


class Recorded:
    """In place of a metric of Ray's: keeps what it was told, by labels."""

    def __init__(
        self, name: str, *, description: str, tag_keys: tuple[str, ...], boundaries: tuple[float, ...] = ()
    ) -> None:
        assert description
        assert sorted(boundaries) == list(boundaries)
        self.labels = tag_keys
        self.values: dict[tuple[str, ...], float] = {}

    def _key(self, labels: dict[str, str]) -> tuple[str, ...]:
        assert set(labels) == set(self.labels)  # as Ray demands
        return tuple(labels[name] for name in self.labels)

    def inc(self, count: float, labels: dict[str, str]) -> None:
        assert count > 0  # as Ray demands
        self.values[self._key(labels)] = self.values.get(self._key(labels), 0) + count

    def observe(self, value: float, labels: dict[str, str]) -> None:
        self.inc(value, labels)

    def set(self, value: float, labels: dict[str, str]) -> None:
        self.values[self._key(labels)] = value


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> dict[str, Recorded]:
    made: dict[str, Recorded] = {}

    def make(name: str, **settings) -> Recorded:
        made[name] = Recorded(name, **settings)
        return made[name]

    import ray.util.metrics

    monkeypatch.setattr(ray.util.metrics, "Counter", make)
    monkeypatch.setattr(ray.util.metrics, "Gauge", make)
    monkeypatch.setattr(ray.util.metrics, "Histogram", make)
    return made


def test_a_runs_figures_add_up(recorded) -> None:
    run = RunMetrics("extract_poses", num_videos=10)
    run.shard_done(report(num_bytes=1000))
    run.shard_done(report(worker="host:2", gpu_ids=(), problems=(), statuses={"ok": 4}, num_bytes=500))
    run.shard_failed(2, reason="StorageError: s3://bucket/key: 503")
    run.workers_died(1)
    run.workers_died(3)
    step = "extract_poses"
    assert recorded["choreai_videos"].values == {(step, "ok"): 7, (step, "quarantined"): 1}
    assert recorded["choreai_frames"].values == {(step,): 480}
    assert recorded["choreai_person_frames"].values == {(step,): 600}
    assert recorded["choreai_bytes"].values == {(step,): 1500}
    assert recorded["choreai_busy_seconds"].values == {(step, "gpu"): 5.0, (step, "cpu"): 5.0}
    assert recorded["choreai_worker_deaths"].values == {(step,): 3}
    assert recorded["choreai_videos_left"].values == {(step,): 0}
    assert recorded["choreai_workers"].values == {(step,): 2}
    assert recorded["choreai_failures"].values == {
        (step, "cannot decode frame N"): 1,
        (step, "StorageError: ... N"): 2,
    }
    run.finished(failed=True)
    assert recorded["choreai_run_failed"].values == {(step,): 1}


def test_a_runs_cost_is_that_of_the_nodes_that_have_worked(recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunMetrics("tag_catalog", num_videos=10, price_per_hour=2.0, currency="EUR")
    began = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: began + 1800)
    for worker in ("a:1", "a:2", "b:1"):
        run.shard_done(report(worker=worker))
    (cost,) = recorded["choreai_run_cost"].values.items()
    assert cost == (("tag_catalog", "EUR"), pytest.approx(2 * 0.5 * 2.0, rel=1e-3))
    assert recorded["choreai_video_seconds"].values == {("tag_catalog",): 15.0}


def test_however_many_reasons_there_are_the_time_series_stay_few(recorded) -> None:
    run = RunMetrics("extract_poses", num_videos=1000)
    for number in range(200):
        run.shard_failed(1, reason=f"reason {chr(97 + number % 26)}{chr(97 + number // 26)} of '{number}.mp4'")
    values = recorded["choreai_failures"].values
    assert len(values) == MAX_REASONS + 1
    assert sum(values.values()) == 200
    assert values[("extract_poses", "other")] == 200 - MAX_REASONS


def test_a_reason_in_any_script_becomes_a_label_that_ray_takes(recorded) -> None:
    run = RunMetrics("extract_poses", num_videos=2)
    run.shard_failed(1, reason="MediaError: 'tänzer.mp4' 不存在")
    assert all(reason.isascii() for _, reason in recorded["choreai_failures"].values)


def expressions() -> list[str]:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    queries += [each["query"]["query"] for each in dashboard["templating"]["list"] if each["type"] == "query"]
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())
    return queries + [rule["expr"] for group in rules["groups"] for rule in group["rules"]]


def test_dashboard_and_alerts_name_only_what_is_exported_and_all_of_it() -> None:
    named = {name for expression in expressions() for name in METRIC.findall(expression)}
    assert named - RAYS_OWN - OPERATORS == set(OURS)


def test_dashboard_and_alerts_use_only_labels_that_there_are() -> None:
    for expression in expressions():
        for name, selector in re.findall(r"\b(ray_choreai_[a-z_]+)\{([^}]*)\}", expression):
            assert set(re.findall(r"(\w+)\s*=", selector)) <= set(OURS[name]), expression


def test_the_dashboard_is_one_that_grafana_takes() -> None:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    assert dashboard["uid"]
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        mine = {(x, y) for x in range(place["x"], place["x"] + place["w"])
                for y in range(place["y"], place["y"] + place["h"])}  # fmt: skip
        assert not mine & cells, f"{panel['title']} lies over another panel"
        cells |= mine
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-kuberay.yml"])
def test_prometheus_scrapes_ray_and_loads_the_alerts(name) -> None:
    config = yaml.safe_load((DEPLOY / name).read_text())
    assert config["rule_files"] == ["alerts.yml"]
    assert "ray" in {scrape["job_name"] for scrape in config["scrape_configs"]}
    rules = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]
    assert {"ChoreaiNightFailed", "ChoreaiNoNight"} <= {rule["alert"] for rule in rules}
    assert all(rule["annotations"]["summary"] and rule["labels"]["severity"] for rule in rules)


RECORD = """
import socket, time, urllib.request
import ray
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    port = probe.getsockname()[1]
ray.init(address="local", include_dashboard=False, object_store_memory=100_000_000, num_cpus=1, log_to_driver=False,
         _metrics_export_port=port)
import test_metrics
from choreai.pose.stages import StageSeconds
run = test_metrics.RunMetrics("extract_poses", num_videos=10, price_per_hour=0.5, currency="USD")
stages = StageSeconds(decode=1.0, pose=4.0)
run.shard_done(test_metrics.report(num_bytes=1000, video_seconds=20.0, gpu_seconds=2.0, stages=stages))
run.speed_is(0.9)
run.workers_died(1)
run.finished(failed=False)
deadline = time.monotonic() + 90
while time.monotonic() < deadline:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            text = reply.read().decode()
    except OSError:
        text = ""
    if "ray_choreai_run_finished" in text and "ray_node_mem_used" in text:
        print(text)
        break
    time.sleep(0.5)
ray.shutdown()
"""


@pytest.mark.ray
def test_ray_exports_every_metric_under_the_name_and_labels_that_the_dashboard_uses(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", RECORD], capture_output=True, text=True, timeout=200)
    exported = {
        match[1]: set(re.findall(r'(\w+)="', match[2]))
        for match in re.finditer(r"^([a-z_]+)\{(.*?)\} ", done.stdout, re.MULTILINE)
    }
    for name, labels in OURS.items():
        assert name in exported, done.stderr[-2000:]
        assert set(labels) <= exported[name]
    assert RAYS_OWN - {"ray_node_gpus_utilization"} <= set(exported)  # there is no GPU on every machine
    assert re.search(r'^ray_choreai_videos_total\{.*status="ok".*\} 3\.0$', done.stdout, re.MULTILINE)
