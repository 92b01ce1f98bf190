"""Where the time goes: seconds by stage, none of them counted twice, from all threads that work for a clock."""

import threading
import time

import pytest

from choreai.pose.stages import StageClock, StageSeconds, each_counted_as, running_clock, stage


def test_a_stage_inside_another_is_taken_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter([0.0, 1.0, 4.0, 10.0])  # pose begins, heatmaps begin, heatmaps end, pose ends
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    clock = StageClock()
    with clock.running(), stage("pose"), stage("heatmaps"):
        pass
    assert clock.seconds == StageSeconds(pose=7.0, heatmaps=3.0)


def test_without_a_clock_nothing_is_measured() -> None:
    with stage("pose"):
        assert running_clock() is None


def test_the_clock_of_before_goes_on_after_one_inside_it() -> None:
    outer, inner = StageClock(), StageClock()
    with outer.running():
        with inner.running(), stage("track"):
            pass
        assert running_clock() is outer
    assert inner.seconds.track > 0 == outer.seconds.track


def test_a_thread_that_works_for_a_clock_is_counted_and_its_error_passes() -> None:
    clock, caught = StageClock(), []

    def items():
        time.sleep(0.01)
        yield 1
        raise OSError("the disk is gone")

    def work() -> None:
        try:
            list(each_counted_as("decode", items(), clock))
        except OSError as exc:
            caught.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert caught
    assert clock.seconds.decode >= 0.01


def test_shares_are_of_wall_time_and_seconds_add_up() -> None:
    one, two = StageSeconds(decode=1.0, pose=2.0), StageSeconds(pose=3.0)
    assert (one + two) - two == one
    shares = (one + two).shares(4.0)
    assert shares["decode"] == 0.25
    assert shares["pose"] == 1.25  # two threads
    assert not any(one.shares(0.0).values())
