"""Goldens of our own for what AlphaPose's own lack: more than 17 keypoints, negative scores, and who comes first."""

import json

import pytest
from alphapose_people import BODIES, GOLDEN, WHOLE_BODIES, Scene, by_plain_loops, by_the_code, summary

EXPECTED = json.loads(GOLDEN.read_text())


@pytest.mark.parametrize("num_keypoints", [*BODIES, *WHOLE_BODIES])
def test_people_have_the_scores_keypoints_and_order_that_they_had(num_keypoints: int) -> None:
    found = summary(by_the_code(Scene.of(num_keypoints)))
    assert [person["person"] for person in found] == [1, 2, 0]  # by mean keypoint score; 3 is nobody, 4 is 1 again
    for person, expected in zip(found, EXPECTED[str(num_keypoints)], strict=True):
        assert person["person"] == expected["person"]
        assert person["num_numbers"] == expected["num_numbers"] == 3 * num_keypoints
        assert person["score"] == pytest.approx(expected["score"], abs=2e-4)
        assert person["sums"] == pytest.approx(expected["sums"], abs=0.05)


@pytest.mark.parametrize("num_keypoints", BODIES)
def test_bodies_are_as_the_rule_in_plain_loops_has_them(num_keypoints: int) -> None:
    scene = Scene.of(num_keypoints)
    for person, expected in zip(by_the_code(scene), by_plain_loops(scene), strict=True):
        assert person["person"] == expected["person"]
        assert person["score"] == pytest.approx(expected["score"], abs=1e-5)
        assert person["keypoints"] == pytest.approx(expected["keypoints"], abs=1e-3)
    scores = {person["person"]: person["score"] for person in by_plain_loops(scene)}
    assert scores[0] > scores[1] > scores[2]  # the order of the people is not that of their scores
