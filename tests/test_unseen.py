"""What to expect on sources never seen: which sources count, who judges them, and the figures."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from made_predictions import LABELS, predictions_of

from choreai.style.evaluation.unseen import UnseenSources, counted_sources, divided_groups, evaluate_unseen
from choreai.style.predictions import Predictions
from choreai.style.training.left_out import groups_to_leave_out


def clips(*sources: tuple[str, str, Sequence[int], float], sure: float = 0.9) -> Predictions:
    """Sources as (label, group, folds in turn, share right), ten videos each; the wrong ones look like the next
    style."""
    labels, groups, folds, said = [], [], [], []
    for label, group, fold, share in sources:
        own = LABELS.index(label)
        for i in range(10):
            style = own if i < 10 * share else (own + 1) % len(LABELS)
            labels.append(own)
            groups.append(group)
            folds.append(fold[i * len(fold) // 10])
            said.append(np.where(np.arange(len(LABELS)) == style, sure, (1 - sure) / 2))
    return replace(predictions_of(said, labels, groups=groups), fold=np.array(folds))


def judged(predictions: Predictions, **unseen: Predictions) -> UnseenSources:
    of_group = {
        group: other.window_log_scores[np.array(other.groups)[other.window_video] == group]
        for group, other in unseen.items()
    }
    return evaluate_unseen(predictions, of_group, target_precision=0.9, seed=0)


WHOLE = (
    ("breaking", "studio", [0], 1.0),
    ("breaking", "street", [1], 0.8),
    ("locking", "club", [2], 1.0),
    ("locking", "hall", [3], 0.4),
    ("popping", "roof", [0, 1, 2], 1.0),
)


def test_sources_that_lie_whole_in_a_fold_are_judged_by_cross_validation() -> None:
    found = judged(clips(*WHOLE))
    assert {s.group: s.accuracy for s in found.sources} == {"studio": 1.0, "street": 0.8, "club": 1.0, "hall": 0.4}
    by_label = {style.label: style for style in found.styles}
    assert by_label["breaking"].accuracy is not None
    assert by_label["breaking"].accuracy.value == pytest.approx(0.9)
    assert by_label["locking"].num_sources == 2
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(0.8)
    assert found.accuracy.low < 0.7 < 0.9 < found.accuracy.high


def test_a_style_of_one_source_has_no_figure_and_the_line_says_so() -> None:
    found = judged(clips(*WHOLE))
    popping = found.styles[LABELS.index("popping")]
    assert (popping.accuracy, popping.ece, popping.num_sources) == (None, None, 0)
    assert popping.cross_validated == 1
    assert found.untested == ("popping",)
    assert found.expectation.startswith("expect 80 % (")
    assert found.expectation.endswith(") on sources it never saw (2 of 3 styles)")


def test_a_source_cut_in_blocks_is_judged_by_the_network_without_it() -> None:
    sources = [
        ("breaking", "studio", [0, 1, 2], 1.0),
        ("breaking", "street", [1], 1.0),
        ("locking", "club", [2], 1.0),
        ("locking", "hall", [0], 1.0),
        ("popping", "roof", [1], 1.0),
        ("popping", "yard", [2], 1.0),
    ]
    predictions = clips(*sources)
    without = clips(("breaking", "studio", [0, 1, 2], 0.3), *sources[1:])
    assert divided_groups(predictions.groups, predictions.fold) == ["studio"]
    found = judged(predictions, studio=without)
    assert {s.group: s.accuracy for s in found.sources}["studio"] == 0.3
    breaking = found.styles[0]
    assert breaking.accuracy is not None
    assert breaking.accuracy.value == pytest.approx(0.65)  # both sources have ten videos: equal weights
    assert breaking.cross_validated == 1


def test_a_source_that_holds_most_of_its_style_counts_less() -> None:
    small = [("breaking", f"street {i}", [1], 1.0) for i in range(1)]
    large = [("breaking", "studio", [0], 0.0)] * 3  # 30 of the style's 40 videos, all wrong
    rest = [("locking", "club", [2], 1.0), ("locking", "hall", [3], 1.0), ("popping", "roof", [0, 1], 1.0)]
    found = judged(clips(*small, *large, *rest))
    assert [(s.group, s.num_videos, s.num_left) for s in found.sources[:2]] == [
        ("street 0", 10, 30),
        ("studio", 30, 10),
    ]
    breaking = found.styles[0]
    assert breaking.accuracy is not None
    assert breaking.accuracy.value == pytest.approx(0.75)


def test_a_group_of_a_video_or_two_is_no_source_unless_there_are_many() -> None:
    labels = ["a"] * 12 + ["b"] * 10
    groups = ["big"] * 5 + ["other"] * 5 + ["one"] + ["two"] + [f"dancer {i // 2}" for i in range(10)]
    assert counted_sources(labels, groups) == {
        ("a", "big"): 5,
        ("a", "other"): 5,
        **{("b", f"dancer {i}"): 2 for i in range(5)},
    }


def test_without_named_groups_there_is_no_figure() -> None:
    predictions = predictions_of([[0.8, 0.1, 0.1]] * 12, [0, 1, 2] * 4)
    found = evaluate_unseen(predictions, {}, target_precision=0.9, seed=0)
    assert found.sources == ()
    assert found.expectation.startswith("no figure for sources it never saw: no style has two groups")


def test_only_cut_sources_whose_style_has_another_take_a_network_more() -> None:
    labels = ["a"] * 8 + ["b"] * 4 + ["c"] * 6
    groups = ["big"] * 5 + ["small"] * 3 + ["only"] * 4 + ["x"] * 3 + ["y"] * 3
    fold = np.array([0, 0, 1, 1, 2, 0, 0, 0, 0, 1, 2, 2, 0, 0, 0, 1, 1, 1])
    assert groups_to_leave_out(labels, groups, fold) == ("big",)


def test_without_a_mistake_the_interval_is_that_of_as_many_sources() -> None:
    found = judged(clips(*((label, group, fold, 1.0) for label, group, fold, _ in WHOLE)))
    assert found.accuracy is not None
    assert found.accuracy.value == pytest.approx(1)
    assert found.accuracy.high == pytest.approx(1)
    assert found.accuracy.low == pytest.approx(0.025 ** (1 / 4))


def test_a_dancer_of_several_styles_is_drawn_whole_for_the_interval() -> None:
    """Four dancers of both styles are four units, eight of one style each are eight; half are always wrong."""

    def of(names: dict[str, str]) -> UnseenSources:
        shares = (1.0, 1.0, 0.0, 0.0)
        sources = [
            (label, names[label].format(i), [i], share)
            for label in ("breaking", "locking")
            for i, share in enumerate(shares)
        ]
        return judged(clips(*sources, ("popping", "roof", [0, 1], 1.0)))

    several, single = of({"breaking": "d{}", "locking": "d{}"}), of({"breaking": "b{}", "locking": "l{}"})
    assert several.accuracy is not None
    assert single.accuracy is not None
    assert several.accuracy.value == pytest.approx(single.accuracy.value)
    widths = [each.accuracy.high - each.accuracy.low for each in (several, single) if each.accuracy]
    assert widths[0] > 1.2 * widths[1]


def test_scores_that_are_right_as_often_as_they_say_have_no_calibration_error_to_speak_of() -> None:
    honest = clips(*((label, group, fold, 0.8) for label, group, fold, _ in WHOLE), sure=0.8)
    boastful = clips(*((label, group, fold, 0.5) for label, group, fold, _ in WHOLE[:4]), WHOLE[4], sure=0.99)
    errors = [judged(each).ece for each in (honest, boastful)]
    assert errors[0] is not None
    assert errors[1] is not None
    assert errors[0].value < 0.05
    assert errors[0].value < errors[1].value
