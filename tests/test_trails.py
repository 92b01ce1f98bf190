"""Trails behind hands and feet, the course of a movement, and how fast a frame is drawn."""

import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from keypoint_sequences import sequence_from
from moving_skeletons import dancer_xy

from choreai.motion.course import measure_course
from choreai.motion.sequence import KeypointSequence
from choreai.style.explain.movement_figure import draw_movement, save_figure
from choreai.style.tagging import tag_sequence
from choreai.visualize.draw import draw_label, draw_people, track_color
from choreai.visualize.timeline import Bar, Timeline
from choreai.visualize.trails import draw_trails

GREEN = (0, 255, 0)


def blank(*, size_wh: tuple[int, int] = (400, 400)) -> np.ndarray:
    return np.zeros((size_wh[1], size_wh[0], 3), np.uint8)


def test_a_trail_is_bright_and_thick_where_the_hand_is_and_fades_to_where_it_was() -> None:
    image = blank()
    points = np.stack([np.linspace(20, 380, 30), np.full(30, 200)], axis=1).astype(np.float32)
    draw_trails(image, [points], color=GREEN)
    old, new = image[:, 25:90], image[:, 310:375]
    assert 0 < old.max() < 0.5 * new.max()
    assert (old > 0).sum() < (new > 0).sum()
    assert not image[:150].any()


def test_a_trail_has_a_gap_where_the_hand_was_not_seen_and_none_where_there_is_nothing() -> None:
    image = blank()
    points = np.stack([np.linspace(20, 380, 31), np.full(31, 200)], axis=1).astype(np.float32)
    points[12:19] = np.nan
    draw_trails(image, [points, points[:1], points[:0], np.full((5, 2), np.nan, np.float32)], color=GREEN)
    assert not image[:, 165:230].any()
    assert image[:, 60:100].any()
    assert image[:, 320:360].any()


def test_wild_coordinates_draw_without_error() -> None:
    draw_trails(blank(), [np.array([[0, 0], [1e30, -1e30], [50, 50]], np.float32)], color=GREEN)


def test_a_full_hd_frame_with_three_dancers_is_drawn_more_than_sixty_times_a_second_on_one_core() -> None:
    size = (1920, 1080)
    image = np.random.default_rng(0).integers(0, 255, (1080, 1920, 3), np.uint8)
    people = np.concatenate([4 * dancer_xy("clockwise", seed=s, num_frames=1) for s in range(3)])
    scores = np.ones((3, 17), np.float32)
    trail = (200 + 5 * np.cumsum(np.ones((21, 2)), axis=0)).astype(np.float32)
    bars = [Bar(0.0, 10.0, track, "hiphop 0.93", (20, 60, 160)) for track in range(3)]
    timeline = Timeline(bars, width=size[0], text_height=36, duration_seconds=10.0)

    def draw() -> None:
        frame = image.copy()
        for track in range(3):
            draw_trails(frame, [trail] * 4, color=track_color(track))
        draw_people(frame, keypoints_xy=people, keypoint_scores=scores, track_ids=[0, 1, 2])
        draw_label(frame, "hiphop 0.93")
        timeline.under(frame, seconds=3.0)

    num_threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    draw()
    started = time.process_time()
    for _ in range(30):
        draw()
    per_second = 30 / (time.process_time() - started)
    cv2.setNumThreads(num_threads)
    print(f"{per_second:.0f} frames a second")
    assert per_second > 60


def _rows(xy: np.ndarray, *, frames_per_second: float = 8.0) -> KeypointSequence:
    return sequence_from(np.arange(len(xy)) / frames_per_second, xy)


def _bouncing(*, beats_per_minute: float, torsos: float, seconds: float = 12.0) -> KeypointSequence:
    """A dancer whose whole body goes up and down by `torsos`, 8 samples a second."""
    still = dancer_xy("clockwise", seed=0, num_frames=1)[0]
    times = np.arange(0, seconds, 1 / 8)
    torso = np.linalg.norm(still[[5, 6]].mean(axis=0) - still[[11, 12]].mean(axis=0))
    rise = torsos / 2 * np.sin(2 * np.pi * beats_per_minute / 60 * times)
    return _rows(still + np.stack([np.zeros_like(rise), -torso * rise], axis=1)[:, None])


def test_the_course_shows_height_and_tempo_of_a_bounce() -> None:
    rows = _bouncing(beats_per_minute=100, torsos=0.5)
    course = measure_course(rows)
    assert np.ptp(course.hips_rise) == pytest.approx(0.5, rel=0.1)
    assert np.nanmedian(course.head_rise - course.hips_rise) > 1
    assert course.beats_per_minute == pytest.approx(100, rel=0.05)
    assert course.tempo_seconds[0] == pytest.approx(3.0)
    assert len(course.seconds) == len(course.hands_speed) == len(course.feet_speed)


def test_the_course_of_somebody_standing_still_has_no_speed_and_no_beat() -> None:
    rows = _bouncing(beats_per_minute=100, torsos=0.0)
    course = measure_course(rows)
    assert np.nanmax(course.hands_speed) < 0.01
    assert np.isnan(course.beats_per_minute).all()


def test_the_figure_is_written_as_png_and_as_the_same_svg_every_time(tmp_path: Path) -> None:
    rows = _bouncing(beats_per_minute=100, torsos=0.5)
    for name in ("a.svg", "b.svg", "a.png"):
        figure = draw_movement(rows, tag_sequence(rows, None))
        assert figure is not None
        save_figure(figure, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert "beats/min" in (tmp_path / "a.svg").read_text()
    picture = cv2.imread(str(tmp_path / "a.png"))
    assert picture.shape[1] > 600
    assert picture.min() < 100


def test_there_is_no_figure_of_nobody() -> None:
    nobody = KeypointSequence.empty()
    assert draw_movement(nobody, tag_sequence(nobody, None)) is None
