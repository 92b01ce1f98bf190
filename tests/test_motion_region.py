"""Where a frame moves most, on painted frames."""

from collections.abc import Sequence

import numpy as np

from choreai.pose.motion_region import MotionRegion
from choreai.video.pixel_motion import PixelMotion

TEXTURE = np.random.default_rng(0).integers(0, 80, (180, 320, 1)).astype(np.uint8)


def frames_with(*squares: tuple[int, int, int, int], num_frames: int = 6, pan: int = 0) -> list[np.ndarray]:
    """Frames of squares (left, top, side, pixels a frame to the right), seen by a camera that pans."""
    frames = []
    for number in range(num_frames):
        image = np.roll(np.repeat(TEXTURE, 3, axis=2), pan * number, axis=1).copy()
        for left, top, side, speed in squares:
            image[top : top + side, left + speed * number : left + speed * number + side] = 250
        frames.append(image)
    return frames


def last_region(frames: Sequence[np.ndarray]) -> np.ndarray:
    motion, region = PixelMotion(), MotionRegion()
    boxes = [region.update(motion.update(frame), pts_seconds=n / 15) for n, frame in enumerate(frames)]
    assert len(boxes[0]) == 0, "the first frame has none before it"
    return boxes[-1]


def test_it_is_around_what_moves_and_not_around_what_is_large_or_bright() -> None:
    ((x0, y0, x1, y1),) = last_region(frames_with((200, 40, 100, 0), (20, 60, 40, 4)))
    assert 10 <= x0 < x1 <= 100
    assert 50 <= y0 < y1 <= 110


def test_of_two_that_move_it_is_around_the_one_that_changes_more() -> None:
    ((x0, _, x1, _),) = last_region(frames_with((30, 20, 30, 1), (150, 60, 70, 6)))
    assert x0 >= 140
    assert x1 <= 280


def test_a_pan_is_no_movement_of_its_own() -> None:
    ((x0, _, x1, _),) = last_region(frames_with((120, 60, 60, 8), pan=3))
    assert 100 <= x0 < x1 <= 240


def test_what_is_small_or_still_is_nothing_to_look_at() -> None:
    assert len(last_region(frames_with((100, 60, 60, 0)))) == 0
    assert len(last_region(frames_with((100, 60, 6, 1)))) == 0
