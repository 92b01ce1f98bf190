"""HOTA, IDF1, switches and MOTA: by hand, and as TrackEval has them."""

import json

import numpy as np
import pytest
import random_tracks
from random_tracks import GOLDEN, Row, Tracks

from choreai.pose.tracking_scores import ALPHAS, BoxTracks, TrackingScores, combine_scores, overlaps, score_tracks

TOLERANCE = 1e-9
"""Both add up the same float64 numbers, in another order."""


def boxes_of(rows: list[Row]) -> BoxTracks:
    values = np.array(rows, np.float64).reshape(-1, 6)
    corners = np.concatenate((values[:, 2:4], values[:, 2:4] + values[:, 4:]), axis=1)
    return BoxTracks(values[:, 0].astype(np.int64), values[:, 1].astype(np.int64), corners)


def score(tracks: Tracks) -> TrackingScores:
    return score_tracks(boxes_of(tracks.truth), boxes_of(tracks.result))


def fields_of(scores: TrackingScores) -> dict[str, float]:
    """Under TrackEval's names."""
    return {
        "HOTA": scores.hota,
        "DetA": scores.det_a,
        "AssA": scores.ass_a,
        "IDF1": scores.idf1,
        "IDSW": scores.switches,
        "MOTA": scores.mota,
    }


def walk(track_id: int, frames: range, *, x: float = 0.0) -> list[Row]:
    """Somebody who stands still."""
    return [(frame, track_id, x, 0.0, 40.0, 80.0) for frame in frames]


# ---------------------------------------------------------------- TrackEval


@pytest.mark.parametrize("number", range(len(random_tracks.GOLDEN_SEEDS)))
def test_scores_are_trackevals(number: int) -> None:
    case = json.loads(GOLDEN.read_text())["cases"][number]
    assert fields_of(score(Tracks(case["truth"], case["result"]))) == pytest.approx(case["scores"], abs=TOLERANCE)


def test_combined_scores_are_trackevals() -> None:
    golden = json.loads(GOLDEN.read_text())
    scores = [score(Tracks(case["truth"], case["result"])) for case in golden["cases"]]
    assert fields_of(combine_scores(scores)) == pytest.approx(golden["combined"], abs=TOLERANCE)


def test_hundreds_of_random_sequences_score_as_with_trackeval() -> None:
    pytest.importorskip("trackeval", reason="trackeval is not installed; the golden cases stand in for it")
    cases = [random_tracks.random_tracks(seed, num_frames=5 + seed % 40) for seed in range(300)]
    for case in cases:
        assert fields_of(score(case)) == pytest.approx(random_tracks.score_with_trackeval(case), abs=TOLERANCE)
    combined = fields_of(combine_scores([score(case) for case in cases]))
    assert combined == pytest.approx(random_tracks.combine_with_trackeval(cases), abs=TOLERANCE)


def test_the_golden_cases_have_misses_false_boxes_and_switches() -> None:
    scores = [score(Tracks(case["truth"], case["result"])) for case in json.loads(GOLDEN.read_text())["cases"]]
    combined = combine_scores(scores)
    assert combined.switches > 5
    assert combined.clear_matches < combined.num_true
    assert combined.clear_matches < combined.num_found


# ---------------------------------------------------------------- by hand


def test_perfect_tracks_score_one_whatever_their_ids() -> None:
    truth = walk(1, range(1, 21)) + walk(2, range(5, 15), x=100)
    result = [(frame, 90 - track_id, x, y, w, h) for frame, track_id, x, y, w, h in truth]
    scores = fields_of(score(Tracks(truth, result)))
    assert scores == pytest.approx({"HOTA": 1, "DetA": 1, "AssA": 1, "IDF1": 1, "IDSW": 0, "MOTA": 1})


def test_one_swap_half_way_is_two_switches_and_half_the_identity() -> None:
    truth = walk(1, range(1, 21)) + walk(2, range(1, 21), x=100)
    result = [(frame, track_id if frame <= 10 else 3 - track_id, x, y, w, h) for frame, track_id, x, y, w, h in truth]
    scores = score(Tracks(truth, result))
    assert scores.switches == 2
    assert scores.idf1 == pytest.approx(0.5)
    assert scores.mota == pytest.approx(1 - 2 / 40)
    assert scores.ass_a == pytest.approx(1 / 3)  # 10 frames in common of 20 + 20 - 10
    assert scores.hota == pytest.approx(np.sqrt(1 / 3))


def test_a_new_id_after_a_gap_is_one_switch() -> None:
    truth = walk(1, range(1, 21))
    result = walk(1, range(1, 9)) + walk(2, range(12, 21))
    scores = score(Tracks(truth, result))
    assert scores.switches == 1
    assert scores.det_a == pytest.approx(17 / 20)
    assert scores.idf1 == pytest.approx(2 * 9 / (20 + 17))


def test_boxes_that_are_a_little_off_count_at_the_lower_thresholds_only() -> None:
    truth, result = walk(1, range(1, 11)), walk(1, range(1, 11), x=10)
    iou = 30 / 50
    assert overlaps(boxes_of(truth).box_xyxy[:1], boxes_of(result).box_xyxy[:1])[0, 0] == pytest.approx(iou)
    scores = score(Tracks(truth, result))
    assert scores.det_a == pytest.approx(np.mean(iou >= ALPHAS - TOLERANCE))
    assert scores.mota == 1


def test_nobody_found_and_nobody_there_score_zero_and_raise_nothing() -> None:
    truth = walk(1, range(1, 11))
    assert score(Tracks(truth, [])).hota == score(Tracks([], truth)).hota == score(Tracks([], [])).hota == 0
    assert score(Tracks(truth, [])).mota == score(Tracks(truth, [])).idf1 == 0
    assert score(Tracks([], truth)).mota == -10


def test_the_order_of_the_boxes_changes_nothing() -> None:
    case = random_tracks.random_tracks(7)
    turned = Tracks(case.truth[::-1], case.result[::-1])
    assert fields_of(score(turned)) == pytest.approx(fields_of(score(case)), abs=TOLERANCE)


def test_two_boxes_of_one_track_in_a_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="track 7 has more than one box in frame 3"):
        boxes_of(walk(7, range(1, 5)) + walk(7, range(3, 4), x=50))


def test_combining_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="one sequence or more"):
        combine_scores([])
