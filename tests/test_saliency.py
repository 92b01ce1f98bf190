"""Who stands out: what moves in a picture, and whom a crowd's onlooker would watch."""

import numpy as np
import pytest

from choreai.pose.detectors.detector import Boxes
from choreai.pose.saliency import MEMORY_SECONDS, SaliencyFilter
from choreai.video.pixel_motion import PixelMotion

SIZE_HW = (90, 160)


def noise(seed: int) -> np.ndarray:
    """A picture with edges everywhere."""
    small = np.random.default_rng(seed).integers(0, 256, (30, 54, 3), np.uint8)
    return np.kron(small, np.ones((10, 10, 1), np.uint8))


def test_a_still_picture_has_no_pixel_motion_and_the_first_has_none_either() -> None:
    motion, image = PixelMotion(), noise(0)
    assert motion.update(image).levels.max() == 0
    assert motion.update(image).levels.max() < 1e-3


def test_what_moves_stands_out_even_when_the_camera_moves_too() -> None:
    motion, image = PixelMotion(), noise(1)
    before = image.copy()
    before[100:200, 200:260] = 255
    after = np.roll(image, 20, axis=1)
    after[120:220, 250:310] = 255
    motion.update(before)
    mover, bystander = motion.update(after).in_boxes(np.array([[200, 100, 310, 220], [380, 100, 490, 220]], np.float32))
    assert mover > 2 > 1 > bystander


def test_a_box_outside_the_frame_has_the_motion_of_its_edge() -> None:
    motion = PixelMotion()
    motion.update(noise(0))
    found = motion.update(noise(2)).in_boxes(np.array([[-50, -50, -10, -10], [600, 400, 700, 500]], np.float32))
    assert np.isfinite(found).all()
    assert (found > 0).all()


@pytest.mark.parametrize("size_hw", [(1, 1), (2, 640), (640, 2), (3, 3), (40, 640)])
def test_slivers_have_pixel_motion_too(size_hw: tuple[int, int]) -> None:
    motion = PixelMotion()
    motion.update(np.zeros((*size_hw, 3), np.uint8))
    changed = motion.update(np.full((*size_hw, 3), 200, np.uint8))
    assert changed.in_boxes(np.array([[0, 0, 1, 1]], np.float32))[0] == pytest.approx(200 / 200.3)


def test_the_larger_the_more_central_and_the_moving_are_more_salient() -> None:
    still = PixelMotion().update(np.zeros((*SIZE_HW, 3), np.uint8))
    boxes = np.array([[70, 20, 90, 80], [70, 20, 90, 50], [0, 20, 20, 80]], np.float32)
    people = Boxes(boxes, np.full(3, 0.8, np.float32))
    large, small, aside = SaliencyFilter().update(people, still, size_hw=SIZE_HW, pts_seconds=0.0).saliency
    assert large > max(small, aside)


def test_saliency_is_remembered_and_a_newcomer_has_to_earn_it() -> None:
    still = PixelMotion().update(np.zeros((*SIZE_HW, 3), np.uint8))
    salient = SaliencyFilter()
    box = np.array([[70, 20, 90, 80]], np.float32)
    first = salient.update(Boxes(box, np.ones(1, np.float32)), still, size_hw=SIZE_HW, pts_seconds=0.0).saliency[0]
    boxes = np.array([[70, 20, 90, 80], [100, 20, 120, 80]], np.float32)
    people = Boxes(boxes, np.array([0.25, 1], np.float32))
    dancer, newcomer = salient.update(people, still, size_hw=SIZE_HW, pts_seconds=MEMORY_SECONDS).saliency
    keep = np.exp(-1.0)
    assert dancer == pytest.approx(keep * first + (1 - keep) * first / 2, rel=1e-5)  # the square root of its score
    assert newcomer < dancer
