"""The clock of a video: timestamps that are wild, reset, missing or far apart."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from choreai.video.clock import Clock


@pytest.mark.parametrize("stamp", [5 * 3600 * 25, -3600 * 25, 25 * 25])
@pytest.mark.parametrize("num_wild", [1, 2])
def test_wild_timestamps_move_no_other_frame(stamp: int, num_wild: int) -> None:
    wild = range(50, 50 + num_wild)
    clock = Clock[int](Fraction(1, 25), Fraction(25))
    placed = [p for n in range(100) for p in clock.place(n, stamp + n if n in wild else n)]
    placed += clock.finish()
    assert [(p.picture, p.ticks) for p in placed] == [(n, n) for n in range(100)]
    assert clock.num_jumps == 1


@pytest.mark.parametrize("first_stamp", [7 * 3600 * 25, -9 * 3600 * 25])
def test_a_wild_first_timestamp_moves_no_other_frame(first_stamp: int) -> None:
    clock = Clock[int](Fraction(1, 25), Fraction(25))
    placed = [p for n in range(100) for p in clock.place(n, n or first_stamp)]
    assert [p.ticks for p in placed] == list(range(100))
    assert clock.num_jumps == 1


@pytest.mark.parametrize(("is_stream", "gap_seconds", "kept"), [(True, 8, True), (True, 60, False), (False, 60, True),
                                                              (False, 7200, False)])  # fmt: skip
def test_a_gap_is_kept_unless_no_video_has_one_so_long(is_stream: bool, gap_seconds: int, kept: bool) -> None:
    clock = Clock[int](Fraction(1, 25), Fraction(25), is_stream=is_stream)
    stamps = [n if n < 50 else n + 25 * gap_seconds for n in range(100)]
    placed = [p for n, stamp in enumerate(stamps) for p in clock.place(n, stamp)]
    assert [p.ticks for p in placed] == (stamps if kept else list(range(100)))
    assert (clock.num_jumps, clock.removed_ticks) == ((0, 0) if kept else (1, 25 * gap_seconds))


def test_frames_that_are_held_at_the_end_are_not_lost() -> None:
    clock = Clock[int](Fraction(1, 25), Fraction(25))
    placed = [p for n in range(50) for p in clock.place(n, n if n < 48 else 10**9 + n)]
    placed += clock.finish()
    assert [p.ticks for p in placed] == list(range(50))


@pytest.mark.parametrize("rate", [25, 10, 2])
def test_no_stamps_however_wild_lose_a_frame_or_turn_back(rate: int) -> None:
    rng = np.random.default_rng(rate)
    for _ in range(50):
        clock = Clock[int](Fraction(1, 90_000), Fraction(rate))
        stamps = (rng.integers(-(10**9), 10**9, 60) * rng.integers(0, 2, 60) + 3600 * np.arange(60)).tolist()
        placed = [p for n, stamp in enumerate(stamps) for p in clock.place(n, stamp)]
        placed += clock.finish()
        assert all(a.ticks < b.ticks and a.picture < b.picture for a, b in pairwise(placed))
        assert len(placed) + clock.num_skipped == 60
