"""Folds: groups stay whole, classes are spread, and what cannot be divided honestly is refused."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_skeletons import (
    STYLES,
    videos_of,
)

from choreai.catalog.catalog import Video, read_catalog
from choreai.errors import ChoreaiWarning, TableError
from choreai.motion.kinematics import FEATURES
from choreai.motion.windows import WindowSettings
from choreai.style.examples import Examples, Inputs
from choreai.style.training.split import Folds, divide_folds, find_labels, join_groups, roles_of

WINDOWS = WindowSettings(num_steps=40, window_seconds=4.0, stride_seconds=1.0)


def video(video_id: str, label: str | None, group: str | None = None) -> Video:
    return Video(video_id, f"{video_id}.mp4", "content", label=label, group=group)


def folds_of(videos: list[Video], **changes: Any) -> Folds:
    settings: dict[str, object] = {"seed": 0, "num_folds": 5, "when_one_group": "error"} | changes
    return divide_folds(videos, find_labels(videos, ()), **settings)  # type: ignore[arg-type]


def counts_by_fold(videos: list[Video], folds: Folds) -> list[Counter[str | None]]:
    return [Counter(v.label for v in videos if folds.fold_of[v.video_id] == k) for k in range(folds.num_folds)]


def test_folds_depend_on_the_seed_and_not_on_the_order_of_videos() -> None:
    videos = videos_of(20)
    shuffled = random.Random(1).sample(videos, len(videos))
    assert folds_of(videos) == folds_of(shuffled)
    assert folds_of(videos) != folds_of(videos, seed=1)


@pytest.mark.filterwarnings("ignore::choreai.errors.ChoreaiWarning")
def test_groups_stay_whole_and_every_class_is_in_two_folds_or_it_says_why_not() -> None:
    num_divided = 0
    for seed in range(200):
        rng = random.Random(seed)
        labels = "abc"[: rng.randint(2, 3)]
        videos = [video(str(i), rng.choice(labels), rng.choice([None, *"vwxyz"])) for i in range(rng.randint(4, 30))]
        try:
            folds = folds_of(videos, seed=seed, num_folds=rng.randint(2, 6))
        except TableError:
            continue
        num_divided += 1
        assert folds.fold_of.keys() == {v.video_id for v in videos}
        assert set(folds.fold_of.values()) == set(range(folds.num_folds))
        for label in {v.label for v in videos}:
            assert len({folds.fold_of[v.video_id] for v in videos if v.label == label}) >= 2
        for group in "vwxyz":
            assert len({folds.fold_of[v.video_id] for v in videos if v.group == group}) <= 1
    assert num_divided > 100


def test_classes_are_spread_evenly_over_the_folds() -> None:
    videos = [video(f"{label}{i}", label) for label, n in (("a", 100), ("b", 40), ("c", 10)) for i in range(n)]
    folds = folds_of(videos)
    assert counts_by_fold(videos, folds) == [{"a": 20, "b": 8, "c": 2}] * 5
    assert folds.description == "5 folds by video"


def test_a_class_of_few_groups_is_tested_in_few_folds_with_a_warning() -> None:
    videos = [video(f"a{i}", "a", f"dancer-{i % 2}") for i in range(6)] + [video(f"b{i}", "b") for i in range(10)]
    with pytest.warns(ChoreaiWarning, match=r"fewer groups than the 5 folds.*\{'a': 2\}"):
        folds = folds_of(videos)
    assert sorted(count["a"] for count in counts_by_fold(videos, folds)) == [0, 0, 0, 3, 3]


def test_there_are_no_more_folds_than_groups() -> None:
    videos = [video(f"{label}{i}", label) for label in "ab" for i in range(3)]
    with pytest.warns(ChoreaiWarning, match="3 folds and not 5"):
        folds = folds_of(videos)
    assert counts_by_fold(videos, folds) == [{"a": 1, "b": 1}] * 3


def test_a_class_of_one_group_is_refused_with_the_way_out() -> None:
    videos = [video(f"l{i}", "locking", "1002") for i in range(5)] + [video(f"p{i}", "popping") for i in range(5)]
    with pytest.raises(TableError, match=r"\{'locking': 5\}.*when_one_group"):
        folds_of(videos)


def test_a_class_of_one_group_can_be_divided_in_time_with_a_warning() -> None:
    videos = [video(f"1002_{start}_10", "locking", "1002") for start in (5, 1000, 20, 300, 115, 99, 250, 400)]
    videos += [video(f"p{i}", "popping", f"g{i}") for i in range(8)]
    with pytest.warns(ChoreaiWarning, match="locking"):
        folds = folds_of(videos, when_one_group="blocks", num_folds=4)
    in_time = [folds.fold_of[f"1002_{start}_10"] for start in (5, 20, 99, 115, 250, 300, 400, 1000)]
    assert in_time == [0, 0, 1, 1, 2, 2, 3, 3]
    assert folds.description == "4 folds by group; locking by contiguous blocks"


def test_a_group_that_rules_its_class_is_cut_and_the_small_ones_stay_whole() -> None:
    sizes = {"big": 38, "small": 5, "tiny": 3}
    videos = [video(f"{g}{i}", "shuffle", g) for g, n in sizes.items() for i in range(n)]
    videos += [video(f"x{i}", "other") for i in range(10)]
    with pytest.warns(ChoreaiWarning, match="shuffle: most videos are of one group"):
        uncut = folds_of(videos, num_folds=3)
    with pytest.warns(ChoreaiWarning, match="shuffle"):
        folds = folds_of(videos, when_one_group="blocks")
    for group, num_folds in (("big", 5), ("small", 1), ("tiny", 1)):
        assert len({folds.fold_of[v.video_id] for v in videos if v.group == group}) == num_folds
        assert len({uncut.fold_of[v.video_id] for v in videos if v.group == group}) == 1
    assert all(8 <= count["shuffle"] <= 12 for count in counts_by_fold(videos, folds))


def test_copies_are_kept_in_one_fold_with_all_of_their_groups() -> None:
    videos = [video(f"{label}_{i}", label, f"{label} {i // 2}") for label in ("a", "b") for i in range(8)]
    videos += [video("a_copy", "a"), video("b_copy", "b"), video("b_other", "b")]
    copies = [("a_0", "a_7"), ("a_copy", "a_1"), ("b_copy", "b_other")]
    fold_of = folds_of(videos, num_folds=3, copies=copies).fold_of
    assert len({fold_of[name] for name in ("a_0", "a_1", "a_6", "a_7", "a_copy")}) == 1
    assert fold_of["b_copy"] == fold_of["b_other"]
    group_of = {each.video_id: each.group for each in join_groups(videos, copies)}
    assert {group_of[name] for name in ("a_0", "a_7", "a_copy")} == {"a 0"}
    assert group_of["b_copy"] == group_of["b_other"] == "b_copy"
    assert join_groups(videos, []) == videos


def test_copies_are_in_one_block_where_their_group_is_cut() -> None:
    videos = [video(f"{label}_{i}", label, label) for label in ("a", "b") for i in range(10)]
    with pytest.warns(ChoreaiWarning):
        fold_of = folds_of(videos, when_one_group="blocks", copies=[("a_0", "a_9")]).fold_of
    assert fold_of["a_0"] == fold_of["a_9"]


def test_a_group_with_videos_of_two_classes_stays_whole_with_a_warning() -> None:
    videos = [video(f"{label}{i}", label, f"{label}-{i}") for label in "ab" for i in range(5)]
    videos += [video("a9", "a", "both"), video("b9", "b", "both")]
    with pytest.warns(ChoreaiWarning, match=r"1 group \(group both\) with videos of several classes"):
        folds = folds_of(videos)
    assert folds.fold_of["a9"] == folds.fold_of["b9"]


def test_dancers_who_all_dance_every_style_are_nothing_to_warn_of() -> None:
    videos = [video(f"{label}{i}", label, f"dancer-{i}") for label in "ab" for i in range(5)]
    folds = folds_of(videos)
    assert all(folds.fold_of[f"a{i}"] == folds.fold_of[f"b{i}"] for i in range(5))


@pytest.mark.filterwarnings("ignore::choreai.errors.ChoreaiWarning")
def test_groups_that_classes_share_in_a_ring_cannot_be_divided_in_two() -> None:
    ring = [("a", "1"), ("a", "2"), ("b", "2"), ("b", "3"), ("c", "1"), ("c", "3")]
    videos = [video(f"{label}{group}", label, group) for label, group in ring]
    with pytest.raises(TableError, match=r"2 folds.*3 groups \(group 1, group 2, group 3\) shared"):
        folds_of(videos, num_folds=2)


def test_a_network_trains_on_every_class_whatever_fold_it_is_tested_on() -> None:
    # The rare class is in two neighbouring folds: while one is tested, the other must not only validate.
    videos = [video(f"{label}{i}", label) for label in STYLES for i in range(6)]
    for neighbours in ((0, 1), (1, 2), (2, 0)):
        rare = [video(f"rare{i}", "rare") for i in range(2)]
        fold_of = {v.video_id: i % 3 for i, v in enumerate(videos)}
        fold_of |= {v.video_id: fold for v, fold in zip(rare, neighbours, strict=True)}
        label_index = np.array([["rare", *STYLES].index(str(v.label)) for v in [*videos, *rare]])
        examples = Examples(
            inputs=Inputs(np.zeros((20, 4, 51), np.float32), np.zeros((20, 4, 51), np.float32), NO_CONTEXT[:20]),
            label_index=label_index,
            video_index=np.arange(20),
            fold=np.array([fold_of[v.video_id] for v in [*videos, *rare]]),
            video_ids=tuple(v.video_id for v in [*videos, *rare]),
            groups=tuple(v.video_id for v in [*videos, *rare]),
        )
        for member in range(3):
            roles = roles_of(examples, member, with_validation=True)
            assert sorted(np.concatenate([roles.train, roles.validation, roles.test])) == list(range(20))
            assert set(examples.fold[roles.test]) == {member}
            assert set(label_index[roles.train]) == {0, 1, 2, 3}
            assert len(roles.validation) >= 6
            assert len(roles_of(examples, member, with_validation=False).validation) == 0


NO_CONTEXT = np.full((100, len(FEATURES)), np.nan, np.float32)


@pytest.mark.parametrize(
    ("videos", "labels", "message"),
    [
        ([video("x1", "a"), video("x2", None), video("x3", "")], (), r"2 videos \(x2, x3\) without a label"),
        ([video("x1", "a"), video("x2", "b")], ("a", "c"), r"1 video \(x2 \(b\)\) with a label that is not in"),
        ([video("x1", "a"), video("x2", "a")], (), "two classes or more"),
        ([video("x1", "a"), video("x2", "a"), video("x3", "b")], (), r"too few of \{'b': 1\}"),
        ([video("x1", "a"), video("x2", "a")], ("a", "b"), r"too few of \{'b': 0\}"),
        ([video("x1", "a"), video("x2", "unknown")], (), '1 videos have the label "unknown"'),
    ],
)
def test_labels_that_cannot_be_trained_on_are_named(videos: list[Video], labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(TableError, match=message):
        find_labels(videos, labels)


@pytest.mark.shared
def test_street_dance_of_hardly_more_than_a_group_a_class_needs_blocks_for_all_its_classes() -> None:
    path = Path(__file__).parents[2] / "shared" / "data" / "streetdance" / "catalog.csv"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    rows = read_catalog(str(path)).table.to_pylist()
    # Two sources came later, and with them a second group for locking and for popping.
    videos = [Video(**{**row, "content_id": "any"}) for row in rows if row["group"] not in ("1001", "2001")]
    with pytest.raises(TableError, match=r"\{'locking': 42, 'popping': 26\}"):
        folds_of(videos)
    with pytest.warns(ChoreaiWarning, match="breaking, locking, popping, shuffle"):
        folds = folds_of(videos, when_one_group="blocks")
    for count in counts_by_fold(videos, folds):
        assert 5 <= count["popping"] <= 6
        assert all(7 <= count[label] <= 12 for label in ("breaking", "locking", "shuffle"))
