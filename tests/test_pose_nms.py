"""Pose NMS: AlphaPose's answers for bodies, and what must hold for whole bodies."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from choreai.pose.nms import (
    HEATMAP_CONSTANTS,
    REGRESSION_CONSTANTS,
    NmsConstants,
    Survivors,
    constants_for,
    pose_nms,
)

GOLDEN = Path(__file__).resolve().parents[2] / "shared" / "alphapose" / "golden" / "pose_nms.npz"
CASES = sorted({name.split("/")[0] for name in np.load(GOLDEN).files}) if GOLDEN.exists() else ["absent"]
BOX = np.array([0, 0, 200, 400], np.float32)


def person(num_keypoints: int = 17, *, at: float = 0.0, seed: int = 0) -> np.ndarray:
    """Keypoints spread over BOX, moved by `at` pixels in x."""
    keypoints = np.random.default_rng(seed).uniform(0, 1, (num_keypoints, 2)) * [200, 400]
    return (keypoints + np.array([at, 0])).astype(np.float32)


def suppress(
    people: list[np.ndarray],
    scores: list[float],
    *,
    constants: NmsConstants = HEATMAP_CONSTANTS,
    min_box_area: float = 0.0,
) -> Survivors:
    return pose_nms(
        np.tile(BOX, (len(people), 1)),
        np.stack(people),
        np.stack([np.full(len(people[0]), score, np.float32) for score in scores]),
        constants=constants,
        min_box_area=min_box_area,
    )


@pytest.mark.shared
@pytest.mark.skipif(not GOLDEN.exists(), reason=f"{GOLDEN} is absent")
@pytest.mark.parametrize("case", CASES)
def test_survivors_equal_those_of_alphapose(case: str) -> None:
    golden = np.load(GOLDEN)
    given = {name: golden[f"{case}/in/{name}"] for name in ("boxes", "box_scores", "poses", "scores")}
    expected = {name: golden[f"{case}/out/{name}"] for name in ("boxes", "box_scores", "poses", "scores")}
    survivors = pose_nms(
        given["boxes"],
        given["poses"],
        given["scores"][..., 0],
        constants=HEATMAP_CONSTANTS,
        min_box_area=float(golden[f"{case}/min_box_area"]),
    )
    assert survivors.picks.tolist() == golden[f"{case}/out/picks"].tolist()
    ids = json.loads(str(golden[f"{case}/out/ids"]))
    assert [len(group) for group in survivors.merged] == [len(group) for group in ids]
    if len(survivors):
        np.testing.assert_allclose(survivors.keypoints_xy, expected["poses"], atol=0.01)
        np.testing.assert_allclose(survivors.keypoint_scores, expected["scores"][..., 0], atol=1e-4)
        np.testing.assert_allclose(given["boxes"][survivors.picks], expected["boxes"], atol=1e-4)
        picked_scores = given["box_scores"][survivors.picks, 0]
        np.testing.assert_allclose(picked_scores, expected["box_scores"], atol=1e-6)


@pytest.mark.parametrize("num_keypoints", [17, 21, 26, 68])
@pytest.mark.parametrize("constants", [HEATMAP_CONSTANTS, REGRESSION_CONSTANTS])
def test_one_person_seen_twice_is_merged_and_another_is_not(num_keypoints: int, constants: NmsConstants) -> None:
    people = [person(num_keypoints), person(num_keypoints, at=2), person(num_keypoints, at=300)]
    survivors = suppress(people, [0.6, 0.9, 0.7], constants=constants)
    assert survivors.picks.tolist() == [1, 2]
    assert survivors.merged == ((0, 1), (2,))
    np.testing.assert_allclose(survivors.keypoint_scores[0], (0.6**2 + 0.9**2) / 1.5, rtol=1e-5)
    moved = survivors.keypoints_xy[0] - people[0]
    np.testing.assert_allclose(moved, np.tile([2 * 0.9 / 1.5, 0], (num_keypoints, 1)), atol=1e-3)


@pytest.mark.parametrize("num_keypoints", [133, 136])
def test_whole_bodies_seen_twice_are_merged_and_others_are_not(num_keypoints: int) -> None:
    people = [person(num_keypoints), person(num_keypoints, at=1), person(num_keypoints, at=300)]
    survivors = suppress(people, [0.6, 0.9, 0.7], constants=REGRESSION_CONSTANTS)
    assert survivors.merged == ((0, 1), (2,))


def test_whole_body_matches_count_less_the_more_people_there_are() -> None:
    """AlphaPose's oddity: with means in place of sums only matches can merge heatmap whole bodies, and these are
    divided by the number of people."""
    two = [person(136), person(136, at=1)]
    crowd = [person(136, at=1000.0 * k) for k in range(1, 10)]
    scores = [0.9, 0.8]
    assert suppress(two, scores).merged == ((0, 1),)
    assert (0, 1) not in suppress(two + crowd, scores + [0.5] * len(crowd)).merged


def test_keypoints_far_from_the_picked_ones_are_not_merged_in() -> None:
    stray = person()
    stray[3] += 100
    survivors = suppress([person(), stray], [0.9, 0.8])
    assert survivors.merged == ((0, 1),)
    np.testing.assert_allclose(survivors.keypoints_xy[0], person(), atol=1e-3)
    assert survivors.keypoint_scores[0, 3] == pytest.approx(0.9)


def test_a_person_with_no_sure_keypoint_is_nobody_and_takes_duplicates_along() -> None:
    survivors = suppress([person(), person(at=1)], [0.2, 0.29])
    assert len(survivors) == 0
    assert survivors.keypoints_xy.shape == (0, 17, 2)
    assert survivors.person_scores(np.ones(2, np.float32)).shape == (0,)


def test_people_smaller_than_asked_for_are_dropped() -> None:
    width, height = np.ptp(person(), axis=0)
    area = 2.25 * float(width * height)
    assert len(suppress([person()], [0.9], min_box_area=area * 0.999)) == 1
    assert len(suppress([person()], [0.9], min_box_area=area * 1.001)) == 0


def test_a_persons_score_counts_keypoints_and_box() -> None:
    scores = np.linspace(0.1, 0.9, 17, dtype=np.float32)[None]
    survivors = pose_nms(BOX[None], person()[None], scores, constants=HEATMAP_CONSTANTS)
    expected = 0.5 + 0.75 + 1.25 * 0.9
    assert survivors.person_scores(np.array([0.75], np.float32)).tolist() == pytest.approx([expected])


def test_scores_of_zero_are_a_little_and_negative_ones_stay_negative() -> None:
    scores = np.full((1, 17), 0.9, np.float32)
    scores[0, :2] = [0, -0.2]
    survivors = pose_nms(BOX[None], person()[None], scores, constants=HEATMAP_CONSTANTS)
    np.testing.assert_allclose(survivors.keypoints_xy[0], person(), atol=1e-3)
    np.testing.assert_allclose(survivors.keypoint_scores[0, :3], [1e-5, -0.2, 0.9], rtol=1e-6)


def test_one_negative_score_counts_in_the_person_s_score_as_in_alphapose() -> None:
    scores = np.array([[0.9] * 16 + [-0.2]], np.float32)
    survivors = pose_nms(BOX[None], person()[None], scores, constants=HEATMAP_CONSTANTS)
    assert survivors.person_scores(np.array([0.8], np.float32)).tolist() == pytest.approx([2.7603], abs=5e-5)


def test_scores_that_cancel_out_give_finite_keypoints() -> None:
    scores = np.full((2, 17), 0.9, np.float32)
    scores[:, 0] = [0.2, -0.2]
    survivors = pose_nms(np.stack([BOX, BOX]), np.stack([person(), person()]), scores, constants=HEATMAP_CONSTANTS)
    assert survivors.merged == ((0, 1),)
    assert np.isfinite(survivors.keypoints_xy).all()
    assert np.isfinite(survivors.keypoint_scores).all()


def test_people_come_by_falling_mean_keypoint_score() -> None:
    scores = np.array([[0.5] * 16 + [0.9], [0.6] * 17], np.float32)
    people = np.stack([person(), person(at=300)])
    survivors = pose_nms(np.stack([BOX, BOX]), people, scores, constants=HEATMAP_CONSTANTS)
    assert survivors.picks.tolist() == [1, 0]


def test_nobody_stays_nobody() -> None:
    survivors = pose_nms(
        np.zeros((0, 4), np.float32),
        np.zeros((0, 17, 2), np.float32),
        np.zeros((0, 17), np.float32),
        constants=HEATMAP_CONSTANTS,
    )
    assert (len(survivors), survivors.keypoints_xy.shape, survivors.merged) == (0, (0, 17, 2), ())


def test_constants_follow_the_loss_and_stay_as_given() -> None:
    assert constants_for("MSELoss") is HEATMAP_CONSTANTS
    assert constants_for("Combined") is constants_for("L1JointRegression") is REGRESSION_CONSTANTS
    strict = replace(HEATMAP_CONSTANTS, gamma=1e9, num_matches=18)
    assert suppress([person(), person(at=2)], [0.9, 0.8], constants=strict).merged == ((0,), (1,))


def test_inputs_that_do_not_fit_or_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        pose_nms(BOX[None], person()[None], np.ones((1, 26), np.float32), constants=HEATMAP_CONSTANTS)
    with pytest.raises(ValueError, match="finite"):
        suppress([person() * np.float32(np.nan)], [0.9])


def test_in_whole_bodies_weak_keypoints_count_for_scores_and_strong_ones_for_distances() -> None:
    """Looks the wrong way round, and is how AlphaPose's rule was described."""
    by_similarity = replace(HEATMAP_CONSTANTS, num_matches=10**9, gamma=0.2)
    by_distances, by_scores = replace(by_similarity, delta1=1e9), replace(by_similarity, mu=0.0)
    twice = [person(136), person(136)]
    strong, weak = [0.9, 0.8], [0.9, 0.2]  # the second person; the threshold is 0.3
    assert suppress(twice, strong, constants=by_distances).merged == ((0, 1),)
    assert suppress(twice, weak, constants=by_distances).merged == ((0,),)
    assert suppress(twice, strong, constants=by_scores).merged == ((0,), (1,))
    assert suppress(twice, weak, constants=by_scores).merged == ((0, 1),)


def whole_body_clusters(
    boxes: np.ndarray, xy: np.ndarray, scores: np.ndarray, constants: NmsConstants
) -> list[set[int]]:
    """Who is taken for the same person, best first: the rule in ../shared/alphapose/FACTS.md once more, as loops."""
    num_keypoints = scores.shape[1]
    parts = (
        (range(num_keypoints - 110), range(26), 1.0, 1.0, 1.0),
        (range(num_keypoints - 110, num_keypoints - 42), range(26, 94), 1.9, 1.0, 1.0),
        (range(num_keypoints - 42, num_keypoints), range(94, num_keypoints), 0.55, 0.1, 1.5),
    )
    pool, clusters = list(range(len(boxes))), []
    while pool:
        pick = max(pool, key=lambda one: float(scores[one].mean()))
        reach = min(constants.alpha * float((boxes[pick, 2:] - boxes[pick, :2]).max()), 7)
        num_sure = sum(score > constants.score_threshold / 2 for score in scores[pick])
        cluster = {pick}
        for other in pool:
            apart = [float(np.hypot(*(xy[pick, k] - xy[other, k]))) for k in range(num_keypoints)]
            similarity, matches = 0.0, 0.0
            for keypoints, matched, scale, score_weight, distance_weight in parts:
                alike = near = 0.0
                for k in keypoints:
                    if scores[other, k] >= constants.score_threshold:
                        near += np.exp(-apart[k] / (constants.delta2 * scale))
                    elif apart[k] <= constants.delta1:
                        alike += np.tanh(scores[pick, k] / constants.delta1) * np.tanh(
                            scores[other, k] / constants.delta1
                        )
                similarity += score_weight * alike / len(keypoints)
                similarity += constants.mu * distance_weight * near / len(keypoints)
                matches += sum(apart[k] <= reach * scale for k in matched)
            matches = matches * num_keypoints / (4 * len(pool) * num_sure) if 2 * len(pool) * num_sure >= 2 else 0.0
            if similarity > constants.gamma or matches >= constants.num_matches:
                cluster.add(other)
        clusters.append(cluster)
        pool = [one for one in pool if one not in cluster]
    return clusters


@pytest.mark.parametrize("num_keypoints", [133, 136])
@pytest.mark.parametrize("constants", [HEATMAP_CONSTANTS, REGRESSION_CONSTANTS], ids=["heatmaps", "regression"])
def test_whole_bodies_are_compared_as_the_rule_says(num_keypoints: int, constants: NmsConstants) -> None:
    rng = np.random.default_rng(num_keypoints)
    sizes = []
    for spread in (0.3, 1.0, 3.0, 5.0, 9.0, 20.0):
        originals = rng.uniform(0, 300, (3, 1, 2)) + rng.uniform(0, 200, (3, num_keypoints, 2))
        xy = np.concatenate((originals, originals + rng.normal(0, spread, originals.shape))).astype(np.float32)
        boxes = np.concatenate((xy.min(axis=1), xy.max(axis=1)), axis=1)
        scores = rng.uniform(0.01, 1, (6, num_keypoints)).astype(np.float32)
        found = pose_nms(boxes, xy, scores, constants=constants)
        expected = whole_body_clusters(boxes, xy, scores, constants)
        assert [set(merged) for merged in found.merged] == expected
        sizes.append(len(expected))
    assert sizes[0] == 3  # three people, each seen twice
    assert sizes[-1] == 6
