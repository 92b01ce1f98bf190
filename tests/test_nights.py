"""All nights on one page: the figures are those of the run reports, and each night is there once."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from tag_rows import tag_row, video_row, write_rows, write_tags
from test_run_report import EXTRACT, FIRST, SECOND, two_nights, write_run

from choreai.cli.main import main
from choreai.config import ReportSettings
from choreai.errors import ChoreaiWarning, ConfigError
from choreai.operations.nights import Night, read_nights
from choreai.operations.nights_page import nights_page, write_nights_page
from choreai.operations.run_report import make_run_report
from choreai.storage import objects
from choreai.tables.runs import new_run_id
from choreai.visualize.trends import Chart, Column, Series, draw_chart

__all__ = ["two_nights"]  # a fixture


def night_of(root: str, run_id: str, **settings: Any) -> Night:
    (night,) = [night for night in read_nights(root, **settings).nights if night.run_id == run_id]
    return night


def test_a_night_has_the_figures_of_its_run_report(two_nights) -> None:
    nights = read_nights(two_nights, price_per_hour=2.0, currency="EUR")
    assert [(night.run_id, night.runs) for night in nights.nights] == [(SECOND, (EXTRACT, SECOND)), (FIRST, (FIRST,))]
    assert (nights.num_runs, nights.currency) == (3, "EUR")
    for night in nights.nights:
        report = make_run_report(two_nights, ReportSettings(price_per_hour=2.0), run_id=night.run_id)
        assert dict(night.styles) == {each.style: each.num for each in report.styles if each.num}
        assert night.num_quarantined == report.num_quarantined
        assert night.cost == pytest.approx(report.cost)
        assert night.state == ("failed" if report.failed else "done")
        assert set(night.drifts) == {each for each in report.drifts if each.name in ("style", "score")}
    second = nights.nights[0]
    assert (dict(second.poses), dict(second.tags)) == (
        {"ok": 1, "quarantined": 3},
        {"tagged": 3, "nothing to judge": 1},
    )
    assert dict(second.quarantined_by) == {"MediaError (decode)": 3}
    assert second.mean_score == pytest.approx((0.9 + 0.9 + 0.3) / 3)
    assert second.elapsed_seconds == 7200.0
    assert second.videos_per_minute == pytest.approx(4 / 60)
    assert second.frames_per_second == pytest.approx(80 / 3600)


def test_a_stopped_and_resumed_night_is_one_and_counts_what_both_parts_did(tmp_path: Path) -> None:
    root, first = str(tmp_path), "20261102T010000Z-aaaaaa"
    rows = [
        video_row("a", run_id=first),
        video_row("broken", status="quarantined", stage="open", error_class="MediaError", reason="x", run_id=first),
        video_row("b", run_id=EXTRACT),
    ]
    write_rows(root, "videos", "fp1", "0", rows)
    write_tags(root, [tag_row("a", run_id=SECOND), tag_row("b", None, None, run_id=SECOND)])
    write_run(root, first, job="extract_poses", wall_seconds=0.0, seconds_so_far=60.0)
    write_run(root, EXTRACT, job="extract_poses", statuses={"ok": 1}, wall_seconds=120.0, num_frames=80)
    write_run(root, SECOND, statuses={"tagged": 1, "nothing to judge": 1}, wall_seconds=20.0)
    (night,) = read_nights(root, price_per_hour=3.6).nights
    assert night.runs == (first, EXTRACT, SECOND)
    assert (night.num_stopped, night.state) == (1, "done")
    assert dict(night.poses) == {"ok": 2, "quarantined": 1}
    assert night.elapsed_seconds == 200.0
    assert night.videos_per_minute == pytest.approx(3 / 3)  # in three minutes
    assert night.num_frames == 80 + sum(row["num_frames_sampled"] for row in rows[:2])
    assert night.cost == pytest.approx(200 / 1000)
    assert "stopped and resumed" in nights_page(read_nights(root))


def test_a_quiet_night_a_running_one_and_another_catalogs_are_nights_of_their_own(two_nights) -> None:
    quiet, other, running = "20261103T030000Z-dddddd", "20261103T040000Z-eeeeee", "20261104T030000Z-ffffff"
    write_run(two_nights, quiet, workers=(), num_done_before=4, wall_seconds=1.0)
    write_run(two_nights, other, job="extract_poses", catalog="s3://others/", statuses={"ok": 2})
    write_run(two_nights, running, job="extract_poses", wall_seconds=0.0)
    nights = read_nights(two_nights).nights
    assert [night.run_id for night in nights] == [running, other, quiet, SECOND, FIRST]
    assert [night.state for night in nights] == ["not finished", "done", "done", "failed", "done"]
    assert [night.is_quiet for night in nights] == [True, False, True, False, False]
    assert "nothing new, 4 done before" in nights_page(read_nights(two_nights))


def test_the_price_is_the_one_that_each_run_was_set_to_unless_another_is_given(two_nights) -> None:
    manifest = f"{two_nights}/runs/{FIRST}/manifest.json"
    record = json.loads(objects.read_object(manifest))
    record["config"]["report"] = {"price_per_hour": 5.0, "currency": "CHF"}
    objects.put_object(manifest, json.dumps(record).encode())
    assert night_of(two_nights, FIRST).cost == pytest.approx(5.0)
    assert night_of(two_nights, SECOND).cost is None
    assert night_of(two_nights, FIRST, price_per_hour=1.0).cost == pytest.approx(1.0)


def test_the_page_leads_to_the_run_reports_that_are_there_and_needs_nothing_else(two_nights) -> None:
    objects.put_object(f"{two_nights}/runs/{SECOND}/report.html", b"<html>")
    page = objects.read_object(write_nights_page(read_nights(two_nights))).decode()
    links = set(re.findall(r"href=['\"]([^'\"]+)", page))
    assert links == {f"{SECOND}/report.html"}
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")
    assert "style=" not in page  # so that a server's policy may forbid it
    for title in ("Videos", "Tags by style", "Quarantined by cause", "Mean score", "Drift", "Videos per minute"):
        assert f"<figcaption>{title}" in page
    assert "Cost of the worker nodes" not in page  # no empty panel, but a sentence
    assert "No cost: give price_per_hour" in page


def test_nothing_from_a_catalog_becomes_markup_on_the_page(tmp_path: Path) -> None:
    hostile = "<script>alert('1')</script>"
    write_tags(str(tmp_path), [tag_row("a", hostile, run_id=SECOND)])
    bad = video_row("b", status="quarantined", stage=hostile, error_class=hostile, reason="x", run_id=EXTRACT)
    write_rows(str(tmp_path), "videos", "fp1", "0", [bad])
    write_run(str(tmp_path), EXTRACT, job="extract_poses", catalog=hostile, statuses={"quarantined": 1})
    write_run(str(tmp_path), SECOND, catalog=hostile, statuses={"tagged": 1})
    page = nights_page(read_nights(str(tmp_path)))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_command_prints_the_nights_and_json_has_everything(two_nights, capsys) -> None:
    assert main(["report", "--all", "--output", two_nights]) == 0
    out = capsys.readouterr().out
    assert f"all nights: {two_nights}/runs/nights.html" in out
    assert main(["report", "--all", "--output", two_nights, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [night["run_id"] for night in found["nights"]] == [SECOND, FIRST]
    assert found["nights"][0]["quarantined_by"] == {"MediaError (decode)": 3}


def test_all_and_one_run_exclude_each_other(two_nights, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", FIRST, "--all", "--output", two_nights]) == 2
    assert "--all is of all runs" in capsys.readouterr().err


def test_no_runs_and_damaged_ones_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no runs"):
        read_nights(str(tmp_path))
    write_run(str(tmp_path), SECOND)
    objects.put_object(f"{tmp_path}/runs/{FIRST}/manifest.json", b"{}")
    objects.put_object(f"{tmp_path}/tags/lstm-a/0.parquet", b"no Parquet")
    with pytest.warns(ChoreaiWarning, match="left out"):
        (night,) = read_nights(str(tmp_path)).nights
    assert night.run_id == SECOND


def test_ids_of_runs_sort_by_time_within_a_second_too() -> None:
    ids = []
    for _ in range(20):
        ids.append(new_run_id())
        time.sleep(0.001)
    assert ids == sorted(ids)
    assert all(re.fullmatch(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{6}", run_id) for run_id in ids)


# --- charts ---

COLUMNS = [Column(f"Nov {day}", f"{day}/report.html") for day in (1, 2, 3)]


def test_bars_stack_to_the_sum_and_each_column_tells_and_links() -> None:
    chart = Chart("Videos", COLUMNS, [Series("a", [6, 2, 0], "#111111"), Series("b", [4, None, 0], "#222222")], "bars")
    svg = draw_chart(chart)
    heights = {
        color: sum(float(h) for h in re.findall(rf'height="([\d.]+)" fill="{color}"', svg.split("<ul")[0]))
        for color in ("#111111", "#222222")
    }
    assert heights["#111111"] / heights["#222222"] == pytest.approx(8 / 4, rel=0.01)
    assert "<title>Nov 1: a 6, b 4</title>" in svg
    assert 'href="2/report.html"' in svg
    assert ">10<" in svg  # the axis ends at the greatest sum


def test_a_line_is_broken_where_a_value_is_missing() -> None:
    svg = draw_chart(Chart("Score", COLUMNS, [Series("score", [0.5, None, 0.7], "#111111")], digits=2, top=1.0))
    (path,) = re.findall(r' d="([^"]+)"', svg)
    assert path.count("M") == 2
    assert "<title>Nov 2: nothing</title>" in svg


def test_a_chart_of_one_night_or_without_values_is_drawn_or_known_to_be_empty() -> None:
    assert "Nov 1" in draw_chart(Chart("Videos", COLUMNS[:1], [Series("a", [3], "#111111")], "bars"))
    assert Chart("Cost", COLUMNS, [Series("cost", [None, None, 0], "#111111")], "bars").is_empty
