"""Batches worked on by several threads: the same results in the same order, and errors where they belong."""

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from choreai.errors import MediaError
from choreai.pose import concurrency
from choreai.pose.concurrency import concurrently, share_threads
from choreai.video.frame import Frame


def batch(number: int) -> list[Frame]:
    return [Frame(np.zeros((8, 8, 3), np.uint8), number, float(number))]


def note_numbers(yielded, found: list[int]) -> None:
    found += (frames[0].frame_index for frames, _ in yielded)


@pytest.mark.parametrize("num_concurrent", [1, 2, 3])
def test_results_come_in_order_whoever_is_done_first(num_concurrent: int) -> None:
    later_is_done = threading.Event()

    def work(frames) -> int:
        number = frames[0].frame_index
        if number == 0 and num_concurrent > 1:
            assert later_is_done.wait(10)
        if number == 1:
            later_is_done.set()
        return 2 * number

    found = list(concurrently(work, map(batch, range(20)), num_concurrent=num_concurrent))
    assert [(frames[0].frame_index, doubled) for frames, doubled in found] == [(n, 2 * n) for n in range(20)]


def test_an_error_of_the_source_comes_after_all_that_was_before_it() -> None:
    def batches() -> Iterator[list[Frame]]:
        yield from map(batch, range(5))
        raise MediaError("a.mp4", "cut short")

    found: list[int] = []
    with pytest.raises(MediaError, match="cut short"):
        note_numbers(concurrently(len, batches(), num_concurrent=2), found)
    assert found == list(range(5))


def test_an_error_of_the_work_comes_at_its_batch() -> None:
    def work(frames) -> None:
        if frames[0].frame_index == 3:
            raise ValueError("the fourth")

    found: list[int] = []
    with pytest.raises(ValueError, match="the fourth"):
        note_numbers(concurrently(work, map(batch, range(9)), num_concurrent=3), found)
    assert found == [0, 1, 2]


def test_no_more_pixels_are_in_work_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "MAX_BYTES_IN_FLIGHT", 2 * 8 * 8 * 3)
    taken: list[int] = []

    def batches() -> Iterator[list[Frame]]:
        for number in range(6):
            taken.append(number)
            yield batch(number)

    ahead = [len(taken) - number for number, _ in enumerate(concurrently(len, batches(), num_concurrent=4))]
    assert max(ahead) == 3  # two in work, and one in this thread's hand
    assert len(ahead) == 6


def test_closing_early_ends_the_threads() -> None:
    found = concurrently(len, map(batch, range(10**9)), num_concurrent=2)
    next(found)
    found.close()
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("estimate")]


def test_cores_beyond_the_batches_are_divided_among_them() -> None:
    assert [share_threads(number) for number in (1, 2, 7, 8, 9, 12, 16)] == [
        (1, 1), (2, 1), (7, 1), (8, 1), (4, 2), (6, 2), (8, 2),
    ]  # fmt: skip
