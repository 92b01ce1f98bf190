"""The speed of a run beside its engine alone, and where its time went: in the manifest, the metric and the report."""

import time
from typing import Any

import pytest

from choreai.cluster.gpu_busy import GpuBusy
from choreai.config import ReportSettings
from choreai.operations.run_report import RunReport
from choreai.operations.run_report_page import run_report_page
from choreai.operations.speed_view import speed_line
from choreai.pose.stages import StageSeconds
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunGroup, RunManifest
from choreai.tables.speed import Speed, speed_of

STAGES = StageSeconds(decode=10.0, detect=20.0, crop=1.0, pose=28.0, heatmaps=1.0, track=4.0, write=6.0, wait=5.0)


def shard(name: str, worker: str, **facts: Any) -> ShardReport:
    facts = {"video_seconds": 100.0, "stages": STAGES, **facts}
    return ShardReport(name, True, {"ok": 4}, (), 1500, 3000, 70.0, 1, worker, **facts)


def extraction(*reports: ShardReport, num_cpus: float = 1.0, num_gpus: float = 0.0) -> RunManifest:
    """A run of 100 s."""
    workers = {"num_workers": 0, "num_cpus": num_cpus, "num_gpus": num_gpus}
    run = RunManifest("extract_poses", "20260101T000000Z-000000", {"catalog": "c", "workers": workers}, "fp")
    for report in reports:
        run.add(report)
    run.wall_seconds = 100.0
    return run


def speed(*, takes_turns: bool) -> Speed:
    found = speed_of(
        video_seconds=100.0, worker_seconds=100.0, busy_seconds=80.0, stages=STAGES, takes_turns=takes_turns
    )
    assert found is not None
    return found


def test_a_ceiling_is_what_its_stage_alone_would_reach() -> None:
    assert speed(takes_turns=True).ceilings == pytest.approx(
        {"decode": 10.0, "detector": 5.0, "pose": 100 / 30, "tracker": 25.0}
    )


def test_on_one_core_the_engine_needs_the_sum_of_its_stages() -> None:
    one = speed(takes_turns=True)
    assert one.engine == pytest.approx(100 / 64)
    assert one.of_light == pytest.approx(0.64)
    assert one.of_light_while_busy == pytest.approx(0.8)


def test_with_cores_or_a_gpu_for_each_the_slowest_stage_is_the_engine() -> None:
    assert speed(takes_turns=False).engine == pytest.approx(100 / 30)
    assert speed(takes_turns=False).of_light == pytest.approx(0.3)


def test_nothing_is_faster_than_light_whatever_the_threads_counted_twice() -> None:
    stages = StageSeconds(decode=60.0, pose=90.0)  # of 80 s on one core
    found = speed_of(video_seconds=10.0, worker_seconds=80.0, busy_seconds=80.0, stages=stages, takes_turns=True)
    assert found is not None
    assert found.of_light == 1.0


def test_a_run_sums_up_its_shards_and_its_manifest_has_the_figures() -> None:
    run = extraction(shard("a", "h:1", gpu_seconds=30.0), shard("b", "h:2", gpu_seconds=20.0))
    assert run.speed is not None
    assert run.speed.video_seconds_per_second == pytest.approx(1.0)  # of each of two workers
    record = run.to_json()
    assert record["stages"] == {name: 2 * value for name, value in vars(STAGES).items()}
    assert record["gpu_seconds"] == 50.0
    written = record["speed"]
    assert isinstance(written, dict)
    assert written["of_speed_of_light"] == pytest.approx(0.64)
    assert RunManifest.from_json(record) == run


def test_a_manifest_of_before_has_no_speed() -> None:
    record = extraction(shard("a", "h:1")).to_json()
    for name in ("stages", "video_seconds", "gpu_seconds", "speed"):
        del record[name]
    before = RunManifest.from_json(record)
    assert before.speed is None
    assert before.to_json()["speed"] is None
    assert speed_line(before) == ""


def test_a_manifest_with_strange_stages_is_refused() -> None:
    record = extraction(shard("a", "h:1")).to_json()
    for stages in ({"decode": "long"}, {"fly": 1.0}, {"decode": float("nan")}):
        with pytest.raises(TypeError):
            RunManifest.from_json({**record, "stages": stages})


def test_the_page_shows_the_figure_a_bar_and_each_stage() -> None:
    run = extraction(shard("a", "h:1", gpu_seconds=25.0), num_gpus=1.0)
    page = run_report_page(RunReport(RunGroup((run,), None), ReportSettings(), None, (), (), (), (), (), (), ()))
    assert "1.00 s of video a second and worker, 30 % of the 3.33 that its engine alone would reach" in page
    assert "GPUs had something to do 25 % of the time" in page
    assert page.count("<rect") >= 8
    assert "pose network" in page
    assert "3.3 s/s" in page


def test_a_gpu_is_busy_for_the_share_of_the_time_that_its_driver_says() -> None:
    def read_share() -> float:
        return 0.5

    started = time.monotonic()
    busy = GpuBusy(read_share, sample_seconds=0.01)
    while not (seconds := busy.take()):
        time.sleep(0.01)
    assert 0 < seconds <= 0.5 * (time.monotonic() - started)


def test_a_driver_that_goes_away_ends_the_count_and_nothing_else() -> None:
    def read_share() -> float:
        raise OSError("NVML: driver not loaded")

    busy = GpuBusy(read_share, sample_seconds=0.001)
    time.sleep(0.01)
    assert busy.take() == 0.0
