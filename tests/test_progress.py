"""Progress: by the frames of what is in the works, with a time left that settles, and never silent for long."""

import logging
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from choreai.cluster.steps import Step
from choreai.pipeline import progress as progress_module
from choreai.pipeline.pace import SETTLED_SECONDS, WINDOW_SECONDS, Pace, in_words
from choreai.pipeline.progress import State, progress, show_progress
from choreai.pipeline.train import EpochCount
from choreai.pipeline.video_progress import VideoInWork, VideoProgress
from choreai.style.training.distributed import Progress


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_pace_says_nothing_until_it_has_settled_and_forgets_a_slow_start(clock: Clock) -> None:
    pace = Pace(clock)
    pace.note(0)
    rates = [pace.rate]
    for second in (SETTLED_SECONDS - 1, SETTLED_SECONDS):
        clock.now = 100 + second
        pace.note(second)
        rates.append(pace.rate)
    assert rates == [None, None, 1.0]
    for second in range(1, 2 * int(WINDOW_SECONDS)):
        clock.now += 1
        pace.note(5 + 10 * second)
    assert pace.rate == pytest.approx(10.0)


def test_a_pace_slows_down_while_nothing_is_done(clock: Clock) -> None:
    pace = Pace(clock)
    pace.note(0)
    clock.now += 10
    pace.note(100)
    clock.now += 10
    assert pace.rate == 5.0


def test_what_was_done_before_the_first_note_does_not_count(clock: Clock) -> None:
    pace = Pace(clock)
    pace.note(500)
    clock.now += 10
    pace.note(510)
    assert pace.rate == 1.0


def test_durations_are_said_as_one_says_them() -> None:
    assert [in_words(seconds) for seconds in (42, 119.6, 600, 7 * 3600)] == ["42 s", "120 s", "10 min", "7.0 h"]


def test_videos_in_the_works_count_by_their_frames(clock: Clock) -> None:
    count = VideoProgress(5, pace=Pace(clock))
    assert count.state([]) is None
    assert count.state([VideoInWork("a", Step(0)), VideoInWork("b", Step(0))]) is not None
    clock.now += 10
    in_work = [VideoInWork("a", Step(0, 50, 100)), VideoInWork("b", Step(0, 30, 100))]
    state = count.state(in_work)
    assert state is not None
    assert state.done == pytest.approx(0.8)
    assert (state.count, state.amount, state.rate) == ("0 of 5 videos", "80 frames", "8.0 frames/s")
    assert state.seconds_left == pytest.approx((5 * 100 - 80) / 8)  # three videos that nobody has opened yet
    assert state.parts == (("a", 0.5), ("b", 0.3))
    assert state.text == "0 of 5 videos, 80 frames, 8.0 frames/s, about 52 s left (a 50 %, b 30 %)"


def test_the_videos_of_a_shard_that_is_not_committed_yet_count_too(clock: Clock) -> None:
    count = VideoProgress(4, pace=Pace(clock))
    count.state([VideoInWork("a", Step(0))])
    clock.now += 10
    count.add(1, 100)
    state = count.state([VideoInWork("c", Step(1, 20, 100, num_frames_before=100))])
    assert state is not None
    assert (state.count, state.amount) == ("2 of 4 videos", "220 frames")
    assert state.done == pytest.approx(2.2)
    assert state.seconds_left == pytest.approx((80 + 100) / 22)


def test_at_the_end_the_time_left_is_that_of_the_longest_video(clock: Clock) -> None:
    count = VideoProgress(2, pace=Pace(clock))
    count.state([VideoInWork("a", Step(0)), VideoInWork("b", Step(0))])
    clock.now += 10
    state = count.state([VideoInWork("a", Step(0, 100, 100)), VideoInWork("b", Step(0, 100, 1100))])
    assert state is not None
    assert state.seconds_left == pytest.approx(1000 / 10)  # one worker does 10 of the 20 frames a second


def test_without_frames_videos_are_counted(clock: Clock) -> None:
    count = VideoProgress(40, pace=Pace(clock))
    count.state([VideoInWork("a", Step(0))])
    clock.now += 10
    count.add(20)
    state = count.state([])
    assert state is not None
    assert (state.count, state.rate, state.seconds_left) == ("20 of 40 videos", "120.0 videos/min", 10.0)


def epoch(member: int, number: int, *, each: int = 100, members: int = 4) -> Progress:
    result: Any = SimpleNamespace(member=member, epoch=number)
    return Progress(result, member * each + number, members * each, each, None)


def test_trainings_time_left_is_a_bound_until_a_network_is_done_and_then_a_guess(clock: Clock) -> None:
    states: list[State] = []
    count = EpochCount(400, states.append, pace=Pace(clock))
    for number in range(1, 21):  # the first network stops early, at epoch 20
        count.show(epoch(0, number))
        clock.now += 1.0
    assert states[-1].seconds_left == pytest.approx(380, rel=0.1)
    assert states[-1].left.startswith("at most")
    count.show(epoch(1, 1))
    assert states[-1].seconds_left == pytest.approx(19 + 2 * 20, rel=0.1)
    assert states[-1].left.startswith("about")


def test_a_second_training_goes_on_counting(clock: Clock) -> None:
    states: list[State] = []
    count = EpochCount(20, states.append, pace=Pace(clock))
    for _ in range(2):
        for member in (0, 1):
            count.show(epoch(member, 5, each=5, members=2))
    assert [state.done for state in states] == [5, 10, 15, 20]


def test_a_log_is_not_silent_while_nothing_is_done(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(progress_module, "LOG_EVERY_SECONDS", 0.5)
    caplog.set_level(logging.INFO)
    with show_progress("estimating poses", 5) as show:
        wait_for_line(caplog, "estimating poses: starting, ")
        show(State(1.4, "1 of 5 videos, 40 frames"))
        wait_for_line(caplog, "estimating poses: 1 of 5 videos, 40 frames")
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def wait_for_line(caplog: pytest.LogCaptureFixture, words: str) -> None:
    deadline = time.monotonic() + 20
    while words not in caplog.text:
        assert time.monotonic() < deadline, words
        time.sleep(0.05)


def test_on_a_terminal_a_bar_moves_and_each_video_in_the_works_has_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    console = Console(force_terminal=True, width=80, stderr=True)
    monkeypatch.setattr(progress_module, "console", console)
    name = "a-name-that-is-far-too-long-for-a-terminal.mp4"
    with show_progress("estimating poses", 5) as show:
        show(State(1.4, "1 of 5 videos", "400 frames", "33.0 frames/s", 50.0, parts=((name, 0.4),)))
    shown = capsys.readouterr().err
    assert "1 of 5 videos, about 50 s left, 33.0 frames/s" in shown
    assert "a-name-th…rminal.mp4" in shown
    assert "40 %" in shown


def test_plain_items_are_counted(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(progress_module, "LOG_EVERY_SECONDS", 0.0)
    caplog.set_level(logging.INFO)
    with progress("reading", 3) as steps:
        steps.advance(2)
    assert steps.done == 2
    assert "reading: 2 of 3" in caplog.text
