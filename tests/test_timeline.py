"""The time bar under an annotated picture."""

import numpy as np
import pytest

from choreai.visualize.draw import track_color
from choreai.visualize.timeline import Bar, Timeline

WIDTH, TEXT_HEIGHT = 400, 12
RED, BLUE = (120, 0, 0), (0, 0, 120)


def picture(height: int = 100) -> np.ndarray:
    return np.full((height, WIDTH, 3), 7, np.uint8)


def timeline(*bars: Bar, duration_seconds: float = 10.0) -> Timeline:
    return Timeline(bars, width=WIDTH, text_height=TEXT_HEIGHT, duration_seconds=duration_seconds)


def most_common_color(pixels: np.ndarray) -> tuple[int, ...]:
    colors, counts = np.unique(pixels.reshape(-1, 3), axis=0, return_counts=True)
    return tuple(colors[counts.argmax()].tolist())


def test_each_segment_stands_where_its_time_is() -> None:
    drawn = timeline(Bar(0, 4, 0, "", RED), Bar(4, 10, 0, "", BLUE)).under(picture(), seconds=0.0)[102:]
    assert most_common_color(drawn[:, 20:150]) == RED
    assert most_common_color(drawn[:, 180:390]) == BLUE


def test_the_picture_above_stays_as_it_was_and_the_bar_s_height_is_the_same_in_every_frame() -> None:
    bar = timeline(Bar(0, 10, 0, "waacking 0.93", RED))
    shapes = set()
    for seconds in (0.0, 5.0, 10.0, 99.0):
        joined = bar.under(picture(), seconds=seconds)
        shapes.add(joined.shape)
        np.testing.assert_array_equal(joined[:100], picture())
    assert len(shapes) == 1
    assert shapes.pop()[0] > 100 + TEXT_HEIGHT


def test_a_white_line_is_where_the_film_is() -> None:
    bar = timeline(Bar(0, 10, 0, "", RED))
    for seconds, x in ((0.0, 0), (2.5, 100), (10.0, WIDTH - 1), (99.0, WIDTH - 1)):
        strip = bar.under(picture(), seconds=seconds)[100:]
        white = np.flatnonzero((strip == 255).all(axis=(0, 2)))
        assert len(white)
        assert abs(white - x).max() <= 2


def test_each_track_has_a_row_marked_with_the_colour_of_its_skeleton() -> None:
    one = timeline(Bar(0, 10, 3, "", RED)).under(picture(), seconds=9)
    two = timeline(Bar(0, 10, 5, "", BLUE), Bar(0, 10, 3, "", RED)).under(picture(), seconds=9)
    row = one.shape[0] - 102
    assert two.shape[0] - one.shape[0] == row
    upper, lower = two[102 : 102 + row], two[102 + row :]
    assert most_common_color(upper[:, 20:300]) == RED
    assert most_common_color(lower[:, 20:300]) == BLUE
    assert (upper[:, :3] == track_color(3)).all(axis=2).any()
    assert (lower[:, :3] == track_color(5)).all(axis=2).any()


def test_a_bar_has_its_word_where_there_is_room_for_it() -> None:
    def ink(stop: float) -> int:
        word = timeline(Bar(0, stop, 0, "locking", RED)).under(picture(), seconds=9)
        plain = timeline(Bar(0, stop, 0, "", RED)).under(picture(), seconds=9)
        return int((word.max(axis=2) > 150).sum() - (plain.max(axis=2) > 150).sum())

    assert ink(8.0) > 50
    assert ink(0.3) == 0


def test_a_timeline_of_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="needs width and duration"):
        timeline(Bar(0, 1, 0, "", RED), duration_seconds=0.0)
