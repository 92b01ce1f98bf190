"""Selecting people among predictions: NMS by hand."""

import numpy as np
import pytest
import torch
from detector_files import predictions

from choreai.errors import WeightsError
from choreai.pose.detectors.detector import Boxes
from choreai.pose.detectors.selection import SelectionRule, box_nms, select_people
from choreai.pose.detectors.yolox import yolox_rule

DARKNET_RULE = SelectionRule(min_score=0.1, max_iou=0.6, ranking="objectness", inclusive_pixels=True)


def test_of_overlapping_boxes_the_surest_stays() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [4, 0, 14, 10], [50, 50, 60, 60]], np.float32)
    ranks = np.array([0.5, 0.9, 0.6, 0.1], np.float32)
    # 1 and 0 overlap by 9/11, 1 and 2 by 7/13.
    assert box_nms(boxes, ranks, max_iou=0.6).tolist() == [1, 2, 3]
    assert box_nms(boxes, ranks, max_iou=0.5).tolist() == [1, 3]
    assert box_nms(boxes[:0], ranks[:0], max_iou=0.5).tolist() == []


def test_darknets_boxes_are_a_pixel_larger_and_end_at_the_limit() -> None:
    boxes = np.array([[0, 0, 9, 9], [0, 0, 9, 5], [20, 20, 20, 20], [20, 20, 20, 20]], np.float32)
    ranks = np.array([0.9, 0.8, 0.7, 0.6], np.float32)
    # 6 of 10 lines in Darknet's counting, 5 of 9 in the plain one; a box without area is one pixel or none.
    assert box_nms(boxes, ranks, max_iou=0.6, inclusive_pixels=True).tolist() == [0, 2]
    assert box_nms(boxes, ranks, max_iou=0.6).tolist() == [0, 1, 2, 3]


def test_equal_boxes_of_equal_rank_leave_one() -> None:
    boxes = np.tile(np.array([0, 0, 10, 10], np.float32), (5, 1))
    assert box_nms(boxes, np.full(5, 0.5, np.float32), max_iou=0.6).tolist() == [0]


def test_only_sure_people_are_selected_and_scored_by_objectness() -> None:
    answer = predictions([([10, 10, 4, 4], 0.8, 0), ([30, 10, 4, 4], 0.9, 1), ([50, 10, 4, 4], 0.05, 0)])
    answer[0, 0, 5] = 0.5
    boxes = select_people(answer, yolox_rule(0.1))[0]
    np.testing.assert_allclose(boxes.box_xyxy, [[8, 8, 12, 12]])
    np.testing.assert_allclose(boxes.scores, [0.8])
    assert len(select_people(answer, yolox_rule(0.45))[0]) == 0  # 0.8 x 0.5
    assert len(select_people(answer, DARKNET_RULE)[0]) == 1
    by_objectness = SelectionRule(min_score=0.45, max_iou=0.6, ranking="objectness")
    assert len(select_people(answer, by_objectness)[0]) == 1


def test_sixty_people_are_sixty() -> None:
    people: list[tuple[list[float], float, int]] = [
        ([20 + 40 * (i % 10), 40 + 90 * (i // 10), 30, 80], 0.5 + i / 200, 0) for i in range(60)
    ]
    doubles: list[tuple[list[float], float, int]] = [
        ([x + 1, y + 1, w, h], score / 2, 0) for (x, y, w, h), score, _ in people
    ]
    boxes = select_people(predictions(people + doubles), yolox_rule(0.1))[0]
    assert len(boxes) == 60
    assert (np.diff(boxes.scores) < 0).all()


def test_more_than_a_hundred_people_are_suppressed_harder_each_image_for_itself() -> None:
    """Pairs that overlap by 23/40 = 0.575, between the two limits."""

    def pairs(number: int) -> list[tuple[list[float], float, int]]:
        return [([100 * (i // 2) + 17 * (i % 2) * 40 / 63, 10, 40, 40], 0.9 - i / 1000, 0) for i in range(number)]

    few, many = pairs(100), pairs(102)
    gone = [([5e4, 10, 40, 40], 0.0, 0)] * 2
    both = torch.cat((predictions(few + gone), predictions(many)))
    assert [len(boxes) for boxes in select_people(both, yolox_rule(0.1))] == [100, 51]


def test_nobody_is_an_answer() -> None:
    boxes = select_people(predictions([([10, 10, 4, 4], 0.9, 2)]), yolox_rule(0.1))[0]
    assert len(boxes) == 0
    assert boxes.box_xyxy.shape == (0, 4)


@pytest.mark.parametrize("column", [0, 3, 4])
def test_answers_that_are_not_finite_are_no_empty_images(column: int) -> None:
    answer = predictions([([10, 10, 4, 4], 0.9, 0)])
    answer[0, 0, column] = torch.nan
    with pytest.raises(WeightsError, match="NaN"):
        select_people(answer, yolox_rule(0.1))


def test_boxes_check_their_shapes() -> None:
    with pytest.raises(ValueError, match="scores must be"):
        Boxes(np.zeros((2, 4), np.float32), np.zeros(1, np.float32))
