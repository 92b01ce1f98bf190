"""The run report: what changed and why, what failed, drifted and cost; and who is told."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from local_server import LocalServer, body_of, reply
from tag_rows import tag_row, video_row, write_rows, write_tags

from choreai.cli.main import main
from choreai.config import ReportSettings
from choreai.errors import ChoreaiWarning, ConfigError
from choreai.operations.notify import build_message, post_webhook, publish_sns
from choreai.operations.run_report import RunReport, make_run_report
from choreai.operations.run_report_page import run_report_page, write_run_report
from choreai.storage import objects
from choreai.tables.reports import ShardReport
from choreai.tables.runs import RunManifest

FIRST, EXTRACT, SECOND = "20261101T030000Z-aaaaaa", "20261102T020000Z-bbbbbb", "20261102T030000Z-cccccc"


def write_run(
    root: str,
    run_id: str,
    *,
    job: str = "tag_catalog",
    catalog: str = "s3://videos/",
    workers=("host-1:10",),
    **totals: Any,
) -> None:
    """A manifest as the jobs write it."""
    summary = RunManifest(
        job=job,
        run_id=run_id,
        config={"catalog": catalog, "max_failed_fraction": 0.2},
        pose_fingerprint="fp1",
        model_version="lstm-a" if job == "tag_catalog" else "",
    )
    for worker in workers:
        summary.add(ShardReport(f"s-{worker}", True, {}, (), 0, 0, 0.0, 1, worker))
    for name, value in {"wall_seconds": 3600.0, **totals}.items():
        current = getattr(summary, name)
        current.update(value) if isinstance(current, dict) else setattr(summary, name, value)
    summary.write(root)


@pytest.fixture
def two_nights(store_uri: str) -> str:
    """A first night; then a second one with a new video, new bytes, another model, and a broken video."""
    root = f"{store_uri}/out"
    old = [tag_row(name, run_id=FIRST, night=0) for name in ("retagged-1", "retagged-2", "new-bytes", "untouched")]
    write_tags(root, old)
    now = [
        tag_row("retagged-1", "house", run_id=SECOND, night=1, model="lstm-b"),
        tag_row("retagged-2", "hiphop", run_id=SECOND, night=1, model="lstm-b"),
        tag_row("new-bytes", "unknown", 0.3, run_id=SECOND, night=1, model="lstm-b", content_id="c2"),
        tag_row("new", None, None, run_id=SECOND, night=1, model="lstm-b"),
    ]
    write_tags(root, now)
    reasons = ["cannot decode frame 12", "cannot decode frame 7", "no video stream"]
    failed = [
        video_row(f"bad{n}", status="quarantined", stage="decode", error_class="MediaError", reason=reason,
                  run_id=EXTRACT)
        for n, reason in enumerate(reasons)
    ]  # fmt: skip
    slow = video_row("slow", process_seconds=99.0, duration=50.0, run_id=EXTRACT)
    write_rows(root, "videos", "fp1", "0", [*failed, slow, video_row("earlier", process_seconds=500.0)])
    write_run(root, FIRST, statuses={"tagged": 4})
    write_run(
        root,
        EXTRACT,
        job="extract_poses",
        workers=("host-1:10", "host-1:11", "host-2:10", "driver"),
        statuses={"ok": 1, "quarantined": 3},
        busy_seconds=3 * 2700.0,
        num_frames=80,
    )
    write_run(root, SECOND, statuses={"tagged": 3, "nothing to judge": 1}, busy_seconds=1800.0)
    return root


def report_of(root: str, **settings: Any) -> RunReport:
    return make_run_report(root, ReportSettings(**settings))


def test_it_tells_what_changed_and_whether_data_or_model_caused_it(two_nights) -> None:
    report = report_of(two_nights)
    causes = {each.name: (each.num, each.num_changed) for each in report.causes}
    assert causes == {"model": (2, 1), "new bytes": (1, 1), "new video": (1, 0)}
    changes = {(each.cause, each.before, each.now, each.num) for each in report.changes}
    assert changes == {("model", "hiphop", "house", 1), ("new bytes", "hiphop", "unknown", 1)}
    styles = {each.style: (each.num, each.num_reference) for each in report.styles}
    assert styles == {"hiphop": (1, 4), "house": (1, 0), "unknown": (1, 0), "nothing to judge": (1, 0)}


@pytest.mark.parametrize(
    ("others", "cause"),
    [
        ({"pose_fingerprint": "fp2"}, "pose settings"),
        ({"pose_fingerprint": "fp2", "model": "lstm-b"}, "pose settings and model"),
        ({"pose_fingerprint": "fp2", "model": "lstm-b", "content_id": "c2"}, "new bytes"),
        ({}, "tagged again"),
    ],
)
def test_data_comes_before_settings_and_settings_are_told_from_the_model(tmp_path: Path, others, cause) -> None:
    write_tags(str(tmp_path), [tag_row("a", run_id=FIRST)])
    write_tags(str(tmp_path), [tag_row("a", "house", run_id=SECOND, night=1, **others)], part_id="1")
    write_run(str(tmp_path), FIRST, statuses={"tagged": 1})
    write_run(str(tmp_path), SECOND, statuses={"tagged": 1})
    (found,) = report_of(str(tmp_path)).causes
    assert (found.name, found.num_changed) == (cause, 1)


def test_the_night_is_the_tagging_and_its_extraction_and_drift_is_against_the_night_before(two_nights) -> None:
    report = report_of(two_nights)
    assert [run.run_id for run in report.runs] == [EXTRACT, SECOND]
    assert report.reference_run == FIRST
    drifts = {each.name: each for each in report.drifts}
    assert len(drifts) == 8  # styles, scores and six kinematics
    assert (drifts["style"].num_reference, drifts["style"].num_now) == (4, 4)
    assert drifts["style"].psi > 0.25


def test_failures_are_counted_by_reason_whatever_their_numbers(two_nights) -> None:
    quarantined = report_of(two_nights).quarantined
    assert [(each.num, each.stage, each.error_class) for each in quarantined] == [
        (2, "decode", "MediaError"),
        (1, "decode", "MediaError"),
    ]
    assert quarantined[0].reason == "cannot decode frame 12"
    assert quarantined[0].example == "bad0"


def test_time_use_and_cost_are_those_of_this_nights_workers(two_nights) -> None:
    report = report_of(two_nights, price_per_hour=2.0, currency="EUR")
    assert [run.utilisation for run in report.runs] == [pytest.approx(0.75), pytest.approx(0.5)]
    assert report.cost == pytest.approx(2 * 2.0 + 1 * 2.0)  # two nodes for an hour, then one; the driver is none
    assert report.slowest[0].video_id == "slow"
    assert all(each.video_id != "earlier" for each in report.slowest)
    assert "cost of the worker nodes: 6.00 EUR" in report.summary
    assert report_of(two_nights).cost is None


def test_a_night_in_which_too_much_failed_is_bad(two_nights) -> None:
    report = report_of(two_nights)
    assert report.failed  # 3 of 4 videos, 20 % allowed
    assert not make_run_report(two_nights, ReportSettings(), run_id=FIRST).failed
    assert any("3" in line and "quarantined" in line for line in report.summary)


def test_a_run_that_never_finished_is_bad(tmp_path: Path) -> None:
    write_run(str(tmp_path), SECOND, job="extract_poses", wall_seconds=0.0)
    assert report_of(str(tmp_path)).failed


def test_an_extraction_that_was_killed_and_resumed_does_not_make_the_night_bad(tmp_path: Path) -> None:
    write_run(str(tmp_path), "20261102T010000Z-aaaaaa", job="extract_poses", wall_seconds=0.0)
    write_run(str(tmp_path), EXTRACT, job="extract_poses")
    write_run(str(tmp_path), SECOND)
    report = report_of(str(tmp_path))
    assert len(report.runs) == 3
    assert not report.failed


def test_the_extraction_of_another_catalog_is_not_of_this_night(tmp_path: Path) -> None:
    write_run(str(tmp_path), EXTRACT, job="extract_poses", catalog="s3://labelled.csv", num_failed=3)
    write_run(str(tmp_path), SECOND)
    report = report_of(str(tmp_path))
    assert [run.run_id for run in report.runs] == [SECOND]
    assert not report.failed


def test_the_page_is_written_beside_the_manifest_and_can_be_made_again(two_nights) -> None:
    report = report_of(two_nights, price_per_hour=1.0)
    for _ in range(2):
        uri = write_run_report(two_nights, report)
    assert uri == f"{two_nights}/runs/{SECOND}/report.html"
    page = objects.read_object(uri).decode()
    for expected in ("Failed", "hiphop", "new bytes", "MediaError", "3.00 USD", FIRST, "slow"):
        assert expected in page
    assert "http" not in page.replace("http-equiv", "")


def test_nothing_from_a_catalog_becomes_markup(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    write_tags(str(tmp_path), [tag_row(hostile, hostile, run_id=SECOND)])
    bad = video_row(hostile, status="quarantined", stage="decode", error_class="E", reason=hostile, run_id=SECOND)
    write_rows(str(tmp_path), "videos", "fp1", "0", [bad])
    write_run(str(tmp_path), SECOND, statuses={"tagged": 1, hostile: 1})
    page = run_report_page(report_of(str(tmp_path)))
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 4


def test_a_night_that_was_stopped_and_resumed_counts_what_both_parts_did(tmp_path: Path) -> None:
    root, first, part = str(tmp_path), "20261102T010000Z-aaaaaa", "20261102T013000Z-dddddd"
    reason: dict[str, Any] = {"stage": "decode", "error_class": "MediaError", "reason": "no video stream"}
    videos = [
        video_row("a", run_id=first),
        video_row("broken", status="quarantined", run_id=first, uri=f"{root}/a broken.mp4", **reason),
        video_row("b", run_id=EXTRACT),
    ]
    write_rows(root, "videos", "fp1", "0", videos)
    write_tags(root, [tag_row("a", run_id=part), tag_row("b", "house", run_id=SECOND)])
    write_run(root, first, job="extract_poses", wall_seconds=0.0, workers=())
    write_run(root, part, wall_seconds=0.0, workers=())
    write_run(root, EXTRACT, job="extract_poses", statuses={"ok": 1})
    write_run(root, SECOND, statuses={"tagged": 1})
    report = report_of(root)
    assert [(run.run_id, dict(run.statuses)) for run in report.runs] == [
        (first, {"ok": 1, "quarantined": 1}),
        (part, {"tagged": 1}),
        (EXTRACT, {"ok": 1}),
        (SECOND, {"tagged": 1}),
    ]
    assert report.runs[0].num_frames > 0
    assert (report.failed, report.num_quarantined) == (False, 1)
    assert {each.style: each.num for each in report.styles} == {"hiphop": 1, "house": 1}
    page = run_report_page(report)
    assert "(stopped, then resumed)" in page
    assert f'<a href="file://{root}/a%20broken.mp4">' in page
    assert "--retry-quarantined" in page
    assert "50 %" in page


def test_a_quiet_night_has_a_report_and_is_nothing_to_compare_the_next_one_with(two_nights) -> None:
    quiet, third = "20261103T030000Z-dddddd", "20261104T030000Z-eeeeee"
    write_run(two_nights, quiet, workers=(), num_done_before=4, num_quarantined_before=3)
    report = report_of(two_nights)
    assert ([run.run_id for run in report.runs], report.failed) == ([quiet], False)
    assert "3 by earlier runs" in run_report_page(report)
    write_run(two_nights, third, statuses={"tagged": 1})
    assert report_of(two_nights).reference_run == SECOND


def test_what_was_stopped_belongs_to_the_run_that_resumed_it_and_to_no_later_one(tmp_path: Path) -> None:
    stopped, later = "20261102T010000Z-aaaaaa", "20261103T020000Z-dddddd"
    rows = [video_row("a", run_id=stopped), video_row("b", run_id=EXTRACT)]
    write_rows(str(tmp_path), "videos", "fp1", "0", rows)
    write_run(str(tmp_path), stopped, job="extract_poses", wall_seconds=0.0, seconds_so_far=40.0, workers=())
    write_run(str(tmp_path), EXTRACT, job="extract_poses", statuses={"ok": 1})
    assert [run.run_id for run in report_of(str(tmp_path)).runs] == [stopped, EXTRACT]
    assert report_of(str(tmp_path)).run_lines[0] == "extract_poses: 1 ok in over 40 s before it was stopped"
    write_run(str(tmp_path), later, job="extract_poses", workers=(), num_done_before=2)
    assert [run.run_id for run in report_of(str(tmp_path)).runs] == [later]


def test_only_the_five_slowest_videos_are_listed(tmp_path: Path) -> None:
    rows = [video_row(f"v{n}", process_seconds=float(n), run_id=EXTRACT) for n in range(9)]
    write_rows(str(tmp_path), "videos", "fp1", "0", rows)
    write_run(str(tmp_path), EXTRACT, job="extract_poses", statuses={"ok": 9})
    assert [each.video_id for each in report_of(str(tmp_path)).slowest] == ["v8", "v7", "v6", "v5", "v4"]


def test_a_first_night_has_nothing_to_compare_with_and_says_so(tmp_path: Path) -> None:
    write_tags(str(tmp_path), [tag_row("a", run_id=SECOND)])
    write_run(str(tmp_path), SECOND, statuses={"tagged": 1})
    report = report_of(str(tmp_path))
    assert report.drifts == ()
    assert "No earlier run to compare with" in run_report_page(report)


def test_an_extraction_alone_has_a_report_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(str(tmp_path), "videos", "fp1", "0", [video_row("a", run_id=EXTRACT)])
    write_run(str(tmp_path), EXTRACT, job="extract_poses", statuses={"ok": 1}, busy_seconds=1800.0)
    assert main(["report", "--output", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "extract_poses: 1 ok in 3600 s, workers 50 % busy" in out
    assert f"run report: {tmp_path}/runs/{EXTRACT}/report.html" in out


def test_the_reference_run_can_be_chosen_and_must_exist(two_nights) -> None:
    assert report_of(two_nights, reference_run=FIRST).reference_run == FIRST
    with pytest.raises(ConfigError, match="no run nights-ago"):
        report_of(two_nights, reference_run="nights-ago")
    with pytest.raises(ConfigError, match="no run"):
        make_run_report(two_nights, ReportSettings(), run_id="nights-ago")


def test_no_runs_and_a_broken_manifest_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no runs"):
        report_of(str(tmp_path))
    objects.put_object(f"{tmp_path}/runs/{FIRST}/manifest.json", b"{}")
    with pytest.warns(ChoreaiWarning, match="left out: .*manifest"), pytest.raises(ConfigError, match="no runs"):
        report_of(str(tmp_path))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="price_per_hour"):
        ReportSettings(price_per_hour=-1.0)
    with pytest.raises(ValueError, match="ARN"):
        ReportSettings(sns_topic_arn="topic")


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict], list[int]]]:
    """A server's URL, the messages it was sent, and the statuses that it answers, in turn."""
    received: list[dict] = []
    answers: list[int] = []

    def answer(request: BaseHTTPRequestHandler) -> None:
        received.append(json.loads(body_of(request)))
        reply(request, answers.pop(0) if answers else 200)

    with LocalServer(answer) as server:
        yield f"{server.address}/hooks/SECRET", received, answers


def test_a_webhook_is_told(two_nights, webhook) -> None:
    url, received, _ = webhook
    report = report_of(two_nights)
    assert post_webhook(url, build_message(report, "s3://out/report.html"))
    (message,) = received
    assert message["failed"] is True
    assert message["statuses"]["extract_poses"] == {"ok": 1, "quarantined": 3}
    assert "FAILED" in message["text"]
    assert "s3://out/report.html" in message["text"]


@pytest.mark.parametrize("status", [404, 500])
def test_a_webhook_that_refuses_is_a_warning_without_its_secret(
    webhook, caplog: pytest.LogCaptureFixture, status
) -> None:
    url, _, answers = webhook
    answers.append(status)
    assert not post_webhook(url, {"text": "x"})
    assert str(status) in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/SECRET", "file:///etc/SECRET", "nonsense SECRET"])
def test_a_webhook_that_is_not_there_is_a_warning(caplog: pytest.LogCaptureFixture, url) -> None:
    assert not post_webhook(url, {"text": "x"})
    assert "no notification was sent" in caplog.text
    assert "SECRET" not in caplog.text


@pytest.mark.s3
def test_an_sns_topic_is_told(s3_server: str, caplog: pytest.LogCaptureFixture) -> None:
    import boto3

    sns, sqs = (boto3.session.Session().client(name) for name in ("sns", "sqs"))
    topic = sns.create_topic(Name="nights")["TopicArn"]
    queue = sqs.create_queue(QueueName="nights")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    message = {"text": "styles: 3 hiphop", "failed": True, "run_id": SECOND}
    assert publish_sns(topic, message)
    body = json.loads(sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"])
    assert body["Message"] == "styles: 3 hiphop"
    assert body["Subject"] == f"choreai FAILED: {SECOND}"
    assert not publish_sns("arn:aws:sns:us-east-1:123456789012:gone", message)
    assert "no notification was sent" in caplog.text


def test_a_clock_that_is_set_back_does_not_make_a_good_run_fail() -> None:
    run = RunManifest(
        "extract_poses", FIRST, {}, "fp1", started_at=datetime(2126, 1, 1, tzinfo=UTC), statuses=Counter(ok=3)
    )
    run.finish()
    assert not run.failed
    assert 0 < run.wall_seconds < 60
