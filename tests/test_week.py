"""A week of nights on one Ray: new, quiet, new bytes, broken, stopped and resumed, a spot node lost, another model.

Every night leaves its record, does only what is new, and the page of all nights is right to the number.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import ray
from arms_tagging import ArmsTagWorker, arms_named
from dancing_poses import CLOCKWISE, COUNTER, MIRRORED, NUM_FRAMES, STILL, DancingWorker, write_dance
from moving_skeletons import STYLES
from nights import everything
from ray.cluster_utils import Cluster
from tiny_poses import LEDGER, SLOWNESS

from choreai.cli import tag as tag_command
from choreai.cli.flags import tag_parser
from choreai.config import ReportSettings
from choreai.operations.nights import Night, Nights, read_nights
from choreai.operations.nights_page import nights_page
from choreai.operations.run_report import make_run_report
from choreai.pipeline import execution

PRICE = 3600.0
"""A second of a node costs 1."""

pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


class Week:
    """A folder of videos, the output of its nights, and a cluster of one node that works."""

    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.videos, self.output, self.ledger = folder / "videos", folder / "out", folder / "ledger"
        self.videos.mkdir()
        self._cluster = cluster
        self._node = None
        self.bring_node()

    def bring_node(self) -> None:
        self._node = self._cluster.add_node(num_cpus=1, object_store_memory=80_000_000)

    def lose_node(self) -> None:
        """Take the node away, without a notice, and bring another one."""
        self._cluster.remove_node(self._node, allow_graceful=False)
        self.bring_node()

    def write(self, name: str, number: int) -> None:
        write_dance(self.videos / f"{name}.mp4", number)

    def tag(self, *, model: str = "m") -> int:
        arguments = [str(self.videos), "--output", str(self.output), "--num-workers", "1", "--model", model]
        parsed = tag_parser(None).parse_args(arguments)
        return tag_command.run(parsed, pose_worker=DancingWorker, tag_worker=ArmsTagWorker)

    def num_videos_estimated(self) -> float:
        return sum(path.stat().st_size for path in self.ledger.iterdir()) / NUM_FRAMES

    def nights(self) -> Nights:
        return read_nights(str(self.output), price_per_hour=PRICE)


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Week]:
    folder = tmp_path_factory.mktemp("week")
    (folder / "ledger").mkdir()
    environment = pytest.MonkeyPatch()
    variables = {
        "PYTHONPATH": str(Path(__file__).parent),  # for the worker classes
        LEDGER: str(folder / "ledger"),
        SLOWNESS: "0.005",
        "RAY_health_check_initial_delay_ms": "1000",
        "RAY_health_check_period_ms": "500",
        "RAY_health_check_timeout_ms": "500",
        "RAY_health_check_failure_threshold": "4",
    }
    for name, value in variables.items():
        environment.setenv(name, value)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        started = Week(folder, cluster)
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        yield started
    finally:
        ray.shutdown()
        cluster.shutdown()
        environment.undo()


@contextmanager
def at_shard(number: int, happens: Callable[[], None]) -> Iterator[None]:
    """Have something happen when the log tells of the `number`-th shard that is done."""
    seen = 0

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            nonlocal seen
            seen += record.msg.startswith("shard ")
            if seen == number and record.msg.startswith("shard "):
                happens()

    handler = Handler()
    execution.logger.addHandler(handler)
    try:
        yield
    finally:
        execution.logger.removeHandler(handler)


def interrupt() -> None:
    raise KeyboardInterrupt  # as Ctrl-C does


def test_a_week(week: Week, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(execution, "FIRST_RECORD_SECONDS", 0.0)
    before: set[tuple[str, str]] = set()

    def night_is(code: int, *, num_estimated: int, model: str = "m") -> Night:
        """Run a night; nothing that was there is touched."""
        nonlocal before
        estimated = week.num_videos_estimated()
        assert week.tag(model=model) == code
        assert week.num_videos_estimated() - estimated == num_estimated
        now = set(everything(str(week.output)))
        assert before <= now
        before = {(uri, content) for uri, content in now if uri.endswith((".parquet", "manifest.json"))}
        return week.nights().nights[0]

    # 1: four new videos
    for name, number in (("a", CLOCKWISE), ("b", CLOCKWISE + 4), ("c", COUNTER), ("d", STILL)):
        week.write(name, number)
    new = night_is(0, num_estimated=4)
    assert (dict(new.poses), dict(new.tags)) == ({"ok": 4}, {"tagged": 3, "unknown": 1})
    assert dict(new.styles) == {STYLES[0]: 2, STYLES[1]: 1, "unknown": 1}
    assert (new.state, new.drifts, new.num_frames) == ("done", (), 4 * NUM_FRAMES)

    # 2: nothing new
    quiet = night_is(0, num_estimated=0)
    assert (quiet.is_quiet, quiet.state, quiet.num_done_before) == (True, "done", 4)
    assert "tag_catalog: nothing new, 4 done before" in caplog.text

    # 3: one video has new bytes, and somebody else in it
    week.write("a", MIRRORED)
    bytes_ = night_is(0, num_estimated=1)
    assert (dict(bytes_.poses), dict(bytes_.styles)) == ({"ok": 1}, {STYLES[2]: 1})
    report = make_run_report(str(week.output), ReportSettings(), run_id=bytes_.run_id)
    assert [(each.name, each.num, each.num_changed) for each in report.causes] == [("new bytes", 1, 1)]
    assert [(each.video_id, each.before, each.style) for each in report.videos] == [("a.mp4", STYLES[0], STYLES[2])]
    assert report.reference_run == new.run_id  # the quiet night is nothing to compare with

    # 4: the only new one is broken: too many for a green night
    (week.videos / "f.mp4").write_bytes(b"no video")
    caplog.clear()
    broken = night_is(1, num_estimated=0)
    assert (broken.state, dict(broken.poses), dict(broken.tags)) == ("failed", {"quarantined": 1}, {})
    assert dict(broken.quarantined_by) == {"MediaError (open)": 1}
    assert "quarantined: f.mp4: " in caplog.text

    # 5: stopped after two of four, and started again
    for number, name in enumerate("ghij"):
        week.write(name, 8 + number)
    with at_shard(2, interrupt), pytest.raises(KeyboardInterrupt):
        week.tag()
    stopped = week.nights().nights[0]
    assert (stopped.state, stopped.num_videos in (2, 3)) == ("not finished", True)
    assert week.tag() == 0
    resumed = week.nights().nights[0]
    assert (resumed.state, resumed.num_stopped, len(resumed.runs)) == ("done", 1, 3)
    assert (dict(resumed.poses), dict(resumed.tags)) == ({"ok": 4}, {"tagged": 3, "unknown": 1})
    assert dict(resumed.styles) == {STYLES[0]: 1, STYLES[1]: 1, STYLES[2]: 1, "unknown": 1}
    assert resumed.num_frames == 4 * NUM_FRAMES
    assert resumed.elapsed_seconds > stopped.elapsed_seconds > 0
    before = set()

    # 6: the only node is lost in mid-run, and another one comes
    for number, name in enumerate("klmn"):
        week.write(name, 16 + number)
    with at_shard(1, week.lose_node):
        assert week.tag() == 0
    lost = week.nights().nights[0]
    assert (lost.state, lost.num_worker_deaths, lost.num_stopped) == ("done", 1, 0)
    assert (dict(lost.poses), dict(lost.tags)) == ({"ok": 4}, {"tagged": 3, "unknown": 1})

    # 7: another model tags everything again, from the keypoints alone
    monkeypatch.undo()
    changed = night_is(0, num_estimated=0, model="three")
    assert changed.model_version == arms_named("three").model_version != lost.model_version
    _check_the_record(week.nights(), [new, quiet, bytes_, broken, resumed, lost, changed])


def _check_the_record(nights: Nights, week: list[Night]) -> None:
    assert [night.run_id for night in nights.nights] == [night.run_id for night in reversed(week)]
    assert list(nights.nights) == list(reversed(week))  # a night's figures do not change with the nights after it
    total: Counter[str] = Counter()
    for night in week:
        total.update(night.poses)
    assert total == {"ok": 4 + 1 + 4 + 4, "quarantined": 1}
    for night in nights.nights:
        report = make_run_report(nights.root, ReportSettings(price_per_hour=PRICE), run_id=night.run_id)
        assert dict(night.styles) == {each.style: each.num for each in report.styles if each.num}
        assert night.num_quarantined == report.num_quarantined
        assert night.cost == pytest.approx(report.cost)
        assert {each for each in report.drifts if each.name in ("style", "score")} == set(night.drifts)
        assert night.has_report
    page = nights_page(nights)
    for words in ("stopped and resumed", "1 worker lost", f"new model {week[-1].model_version}", "nothing new, 4 done"):
        assert words in page
    assert page.count("<tr><th scope=") == 1 + len(week)
