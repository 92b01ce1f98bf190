"""The plan: hand-made sums, and rates measured from earlier runs."""

import json
import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from drivers import ROOT
from tag_rows import video_row, write_lines, write_rows

from choreai.cli.main import main
from choreai.errors import ConfigError
from choreai.operations.capacity import Node, need_for_catalog, need_for_stream
from choreai.operations.rates import Rates, assumed_rates, for_estimator, measured_rates
from choreai.operations.speeds import DECODING_MILLISECONDS, LINES, PEOPLE, POSE_MILLISECONDS, VideoKind, rate_of_crops
from choreai.storage import objects
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest

GPU_WORKER = Rates(40.0, 0.5, 4.0, 1.0, None, "hand")
NODE = Node(1, 1.0, 0.4)


def write_extraction(root: str, run_id: str, *, gpus: float = 0.0, workers: int = 2, **totals: Any) -> None:
    config = {"workers": {"num_workers": 0, "num_cpus": 1.0, "num_gpus": gpus}}
    summary = RunManifest(job="extract_poses", run_id=run_id, config=config, pose_fingerprint="fp1")
    for worker in range(workers):
        summary.add(ShardReport(f"s{worker}", True, {"ok": 1}, (), 100, 10, 0.0, 1, f"host:{worker}"))
    for name, value in {"wall_seconds": 100.0, "busy_seconds": 150.0, **totals}.items():
        setattr(summary, name, value)
    summary.write(root)


def test_a_catalog_is_done_within_the_hours_it_is_given() -> None:
    # 7.2 million seconds at 40 x 0.5 a second: 100 worker hours.
    need = need_for_catalog(7_200_000.0, GPU_WORKER, NODE, within_hours=8.0)
    assert (need.num_workers, need.num_nodes, need.num_gpus, need.num_cpus) == (13, 13, 13.0, 52.0)
    assert need.hours == pytest.approx(100 / 13)
    assert need.cost(0.4) == pytest.approx(40.0)
    exactly = need_for_catalog(7_200_000.0, GPU_WORKER, NODE, within_hours=10.0)
    assert exactly.num_nodes == 10
    assert exactly.hours == pytest.approx(10.0)


def test_nodes_are_whole_however_many_workers_they_hold() -> None:
    need = need_for_catalog(7_200_000.0, GPU_WORKER, Node(4, 1.0, 0.0), within_hours=8.0)
    assert (need.num_nodes, need.num_workers) == (4, 16)
    assert need.cost(1.0) == pytest.approx(25.0)  # 100 worker hours on four workers a node
    assert need_for_catalog(1.0, GPU_WORKER, Node(4, 1.0, 0.0), within_hours=8.0).num_nodes == 1


def test_a_stream_is_kept_up_with() -> None:
    # 500 hours a minute are 30,000 seconds of video a second; a worker does 20.
    need = need_for_stream(500.0, GPU_WORKER, NODE)
    assert (need.num_workers, need.num_gpus, need.hours) == (1500, 1500.0, 730.0)
    assert need.cost(0.4) == pytest.approx(1500 * 730 * 0.4)


def test_rates_are_measured_from_the_newest_kind_of_run(store_uri: str) -> None:
    root = f"{store_uri}/out"
    rows = [video_row("a", duration=60.0, run_id="2"), video_row("b", duration=240.0, run_id="2")]
    rows += [video_row("c", duration=300.0, run_id="3"), video_row("d", status="quarantined", run_id="3")]
    rows += [video_row("other", duration=9999.0, run_id="1")]
    write_rows(root, "videos", "fp1", "0", rows)
    write_extraction(root, "1", gpus=1.0)  # other workers
    write_extraction(root, "2")
    write_extraction(root, "3")
    write_extraction(root, "4", wall_seconds=0.0)  # never finished
    rates = measured_rates(root)
    assert rates.video_seconds_per_second == pytest.approx(600.0 / 300.0)
    assert rates.utilisation == pytest.approx(300.0 / 400.0)
    assert rates.mean_seconds == pytest.approx(200.0)
    assert (rates.num_cpus, rates.num_gpus) == (1.0, 0.0)
    assert rates.source == "3 videos of 2 runs, the last 3"


def test_without_a_finished_extraction_or_lengths_there_is_no_rate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no finished extraction"):
        measured_rates(str(tmp_path))
    write_extraction(str(tmp_path), "1")
    uri = f"{tmp_path}/runs/1/manifest.json"
    manifest = json.loads(objects.read_object(uri))
    assert manifest["finished"]
    with pytest.raises(ConfigError, match="have no length"):
        measured_rates(str(tmp_path))


def test_the_command_says_what_it_counted_and_from_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = str(tmp_path / "out")
    write_rows(root, "videos", "fp1", "0", [video_row("a", duration=300.0, run_id="1")])
    write_extraction(root, "1")
    rows = [f"v{number},v{number}.mp4" for number in range(480)]
    catalog = write_lines(tmp_path / "catalog.csv", "video_id,uri", *rows)
    command = ["plan", catalog, "--output", root, "--hours", "10", "--spot-price-per-hour", "0.5"]
    assert main(command) == 0
    out = capsys.readouterr().out
    # 480 videos of 300 s at 2 x 0.75 a second: 26.7 worker hours.
    assert "480 videos of 300.0 s: 40.0 hours of video" in out
    assert "1 videos of 1 runs, the last 1" in out
    assert "8.89" in out
    assert "13.33 USD" in out


def test_the_command_plans_the_reports_stream_from_flags(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["plan", "--stream-hours-per-minute", "500", "--video-seconds-per-second", "40", "--num-gpus", "1"]
    assert main([*command, "--utilisation", "0.5", "--price-per-hour", "1"]) == 0
    out = capsys.readouterr().out
    assert "1,500" in out
    assert "1,095,000.00 USD a month" in out
    assert "assumed: num cpus 1" in out


def test_rates_are_told_by_kind_of_video_and_can_be_those_of_one(tmp_path: Path, capsys) -> None:
    root = str(tmp_path / "out")
    phone: dict[str, Any] = {"codec": "hevc", "width": 1080, "height": 1920, "num_frames_sampled": 100, "num_rows": 100}
    stage: dict[str, Any] = {"codec": "h264", "width": 1900, "height": 1070, "num_frames_sampled": 100, "num_rows": 390}
    rows = [video_row("a", duration=60.0, run_id="1", process_seconds=20.0, **phone)]
    rows += [video_row("b", duration=30.0, run_id="1", process_seconds=30.0, **stage)]
    rows += [video_row("c", duration=60.0, run_id="1", process_seconds=50.0, **stage)]
    write_rows(root, "videos", "fp1", "0", rows)
    write_extraction(root, "1", busy_seconds=125.0)  # a quarter more than the videos took
    rates = measured_rates(root)
    assert [(str(each.kind), each.num_videos) for each in rates.kinds] == [
        ("h264, 1080 lines, 4 people", 2), ("hevc, 1080 lines, 1 person", 1)
    ]  # fmt: skip
    assert rates.video_seconds_per_second == pytest.approx(150 / 125)
    phones = measured_rates(root, kind=VideoKind("hevc"))
    assert phones.video_seconds_per_second == pytest.approx(60 / 25)
    assert phones.mean_seconds == pytest.approx(60.0)
    assert "1 videos (hevc, any size, any people)" in phones.source
    with pytest.raises(ConfigError, match=r"no videos of av1.*; it has h264, 1080 lines, 4 people; hevc"):
        measured_rates(root, kind=VideoKind("av1"))
    assert main(["plan", "--num-videos", "10", "--output", root]) == 0
    assert re.search(r"hevc +1080 +1 +1 +60 +3.00", capsys.readouterr().out)


def test_rates_of_another_estimator_are_scaled_and_said_to_be_assumed(tmp_path: Path) -> None:
    measured = replace(GPU_WORKER, estimator="mediapipe")
    scaled = for_estimator(measured, "crowd")
    assert scaled.video_seconds_per_second == pytest.approx(40.0 * 23 / 69)
    assert "assumed: crowd takes 3 times as long" in scaled.source
    assert for_estimator(measured, "mediapipe") == measured


def test_without_any_run_the_benchmarks_are_assumed_and_that_is_said() -> None:
    alone = assumed_rates("mediapipe", VideoKind())
    crowd = assumed_rates("crowd", VideoKind("h264", 1080, 4))
    assert alone.video_seconds_per_second > crowd.video_seconds_per_second
    seconds = DECODING_MILLISECONDS["h264"][1080] * 30 / 1000 + POSE_MILLISECONDS["crowd"][4] * 15 / 1000
    assert crowd.video_seconds_per_second == pytest.approx(1 / seconds)
    assert "assumed: crowd, h264, 1080 lines, 4 people" in crowd.source
    with pytest.raises(ConfigError, match="codec 'theora', but of h264, hevc, vp9, av1"):
        assumed_rates("crowd", VideoKind("theora"))


def test_crops_a_second_are_seconds_of_video_by_how_many_people_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert rate_of_crops(15_000.0, people=4) == 250.0
    command = ["plan", "--stream-hours-per-minute", "500", "--crops-per-second", "15000", "--people", "4"]
    assert main([*command, "--utilisation", "0.9", "--num-gpus", "1"]) == 0
    out = capsys.readouterr().out
    assert "134" in out
    assert "cores that decode h264 of 1080 lines" in out
    assert main([*command, "--video-seconds-per-second", "40"]) == 2
    assert main(command[:-2]) == 2  # how many people?


def test_the_plans_on_the_page_are_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    blocks = re.findall(r"```console\n\$ choreai (plan .*?)```", text, flags=re.DOTALL)
    assert blocks
    for block in blocks:
        command, _, shown = block.replace("\\\n", " ").partition("\n")
        assert main(shlex.split(command)) == 0
        assert trimmed(capsys.readouterr().out) == trimmed(shown), command


def test_the_tables_on_the_page_are_those_that_are_assumed() -> None:
    text = (ROOT / "docs" / "performance.md").read_text()
    for codec, by_lines in DECODING_MILLISECONDS.items():
        assert f"| {codec} | " + " | ".join(f"{by_lines[lines]:.1f}" for lines in LINES) + " |" in text
    for estimator, by_people in POSE_MILLISECONDS.items():
        cells = [f"{by_people[people]:.0f}" if people in by_people else "" for people in PEOPLE]
        assert re.sub(r" +", " ", f"| {estimator} | " + " | ".join(cells) + " |") in re.sub(r" +", " ", text)


def trimmed(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize(
    "flags",
    [
        ["--num-videos", "10", "--mean-seconds", "5"],
        ["--num-videos", "10", "--video-seconds-per-second", "5"],
        ["--num-videos", "0", "--mean-seconds", "5", "--video-seconds-per-second", "5"],
        ["--num-videos", "10", "--mean-seconds", "-5", "--video-seconds-per-second", "5"],
        ["--num-videos", "10", "--mean-seconds", "5", "--video-seconds-per-second", "0"],
        ["--num-videos", "10", "--mean-seconds", "5", "--video-seconds-per-second", "5", "--utilisation", "85"],
        ["--num-videos", "10", "--mean-seconds", "5", "--video-seconds-per-second", "5", "--hours", "0"],
        ["--num-videos", "10", "--mean-seconds", "5", "--video-seconds-per-second", "5", "--workers-per-node", "0"],
        ["--stream-hours-per-minute", "-1", "--video-seconds-per-second", "5"],
        ["--num-videos", "10", "--mean-seconds", "5", "--estimator", "crowd", "--people", "0"],
        ["--num-videos", "10", "--mean-seconds", "5", "--estimator", "crowd", "--codec", "theora"],
        ["--num-videos", "10", "--mean-seconds", "5", "--crops-per-second", "0", "--people", "1"],
    ],
)
def test_what_cannot_be_planned_with_is_refused(flags) -> None:
    assert main(["plan", *flags]) == 2
