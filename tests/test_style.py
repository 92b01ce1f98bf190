"""Style: labels and taxonomy, folds, examples from tables, the model's file."""

import copy
import json
import pickle
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from moving_skeletons import (
    FINGERPRINT,
    STYLES,
    dancer_xy,
    keypoint_rows,
    videos_of,
    windows_of,
    write_keypoints,
    write_videos,
)

from choreai.catalog.catalog import Video, read_catalog, with_content_ids
from choreai.errors import CatalogError, ChoreaiWarning, TableError, WeightsError
from choreai.motion.kinematics import FEATURES
from choreai.motion.windows import WindowSettings
from choreai.style.examples import Examples, Inputs, read_examples, read_windows, write_examples
from choreai.style.model import StyleModel, StyleModelConfig, load_model, save_model
from choreai.style.networks import build_network
from choreai.style.settings import TrainSettings
from choreai.style.taxonomy import lineage, taxonomy_version
from choreai.style.training.dataset import Dataset, TableSource, read_dataset
from choreai.style.training.labels import labelled_videos
from choreai.style.training.split import Folds, divide_folds, find_labels, roles_of

WINDOWS = WindowSettings(num_steps=40, window_seconds=4.0, stride_seconds=1.0)


def video(video_id: str, label: str | None, group: str | None = None) -> Video:
    return Video(video_id, f"{video_id}.mp4", "content", label=label, group=group)


def folds_of(videos: list[Video], **changes: object) -> Folds:
    settings: dict[str, object] = {"seed": 0, "num_folds": 5, "when_one_group": "error"} | changes
    return divide_folds(videos, find_labels(videos, ()), **settings)  # type: ignore[arg-type]


def counts_by_fold(videos: list[Video], folds: Folds) -> list[Counter[str | None]]:
    return [Counter(v.label for v in videos if folds.fold_of[v.video_id] == k) for k in range(folds.num_folds)]


# ---- folds ----


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


# ---- labels and taxonomy ----


def folder_catalog(root: Path, files: Mapping[str, str]) -> str:
    """A folder of such files, by relative path; returns its URI."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return str(root)


@pytest.fixture
def dances(tmp_path: Path) -> str:
    names = ("salsa/a.mp4", "salsa/b.mp4", "tango/c.mp4", "d.mp4")
    return folder_catalog(tmp_path / "dances", dict.fromkeys(names, "video"))


def labels_in(catalog_uri: str, **changes: object) -> dict[str, tuple[str | None, str | None]]:
    settings: dict[str, object] = {"labels_from": "catalog", "labels_file": None} | changes
    catalog = with_content_ids(read_catalog(catalog_uri))
    return {v.video_id: (v.label, v.group) for v in labelled_videos(catalog, **settings)}  # type: ignore[arg-type]


def test_folder_names_are_labels_and_what_lies_outside_has_none(dances: str) -> None:
    found = labels_in(dances, labels_from="folders")
    assert found == {"salsa/a.mp4": ("salsa", None), "salsa/b.mp4": ("salsa", None), "tango/c.mp4": ("tango", None)}


def test_a_catalog_without_labels_is_refused_with_the_ways_to_give_some(dances: str) -> None:
    with pytest.raises(CatalogError, match=r"no video has a label.*folders.*labels_file"):
        labels_in(dances)


def test_a_label_file_takes_the_place_of_labels_and_unknown_videos_are_counted(dances: str, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text(
        "video_id,label,group,note\nsalsa/a.mp4,bachata,ana,x\nd.mp4,tango,,\ntango/c.mp4,,,\n9,tango,,\n"
    )
    with pytest.warns(ChoreaiWarning, match=r"1 video \(9\) not in the catalog"):
        found = labels_in(dances, labels_file=str(labels))
    assert found == {"salsa/a.mp4": ("bachata", "ana"), "d.mp4": ("tango", None)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("video_id,style\na,salsa\n", r"no column \['label'\]"),
        ("video_id,label\na,salsa\na,tango\n", "row 3: video_id 'a' was there already"),
        ("video_id,label\na\n", "not readable as CSV"),
        (None, "cannot be read"),
    ],
)
def test_a_label_file_that_cannot_be_used_is_named(dances: str, tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "labels.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(CatalogError, match=rf"labels\.csv.*{words}"):
        labels_in(dances, labels_file=str(path))


def test_a_style_knows_its_lineage_and_the_version_changes_with_any_of_it() -> None:
    parents = {"popping": "funk", "locking": "funk", "funk": "street"}
    assert lineage("popping", parents) == ("popping", "funk", "street")
    versions = {
        taxonomy_version(("popping", "locking"), parents),
        taxonomy_version(("locking", "popping"), parents),
        taxonomy_version(("popping", "locking"), {}),
        taxonomy_version(("popping", "locking"), {**parents, "funk": "hip hop"}),
    }
    assert len(versions) == 4


@pytest.mark.parametrize(
    ("parents", "words"),
    [
        ({"waltz": "ballroom"}, r"unknown styles \['waltz'\]"),
        ({STYLES[0]: "x", "x": STYLES[0]}, f"circle: {STYLES[0]} < x < {STYLES[0]}"),
    ],
)
def test_a_hierarchy_that_is_none_is_refused(parents: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        replace(CONFIG, parents=parents)


# ---- examples ----


@pytest.fixture(scope="module")
def videos() -> list[Video]:
    return videos_of(8)


@pytest.fixture(scope="module")
def examples(videos: list[Video]) -> Examples:
    return Dataset.from_windows(videos, STYLES, windows_of(videos, WINDOWS), folds_of(videos, num_folds=4)).examples


def test_windows_come_from_tables_whatever_the_parts(tmp_path: Path, videos: list[Video]) -> None:
    write_videos(tmp_path, videos)
    found = read_windows(str(tmp_path), FINGERPRINT, videos, WINDOWS)
    expected = windows_of(videos, WINDOWS)
    assert list(found.windows) == list(expected)
    for name, windows in expected.items():
        np.testing.assert_array_equal(found.windows[name].steps, windows.steps)
    assert (found.num_without_keypoints, found.num_without_windows, found.num_rows_not_finite) == (0, 0, 0)


def test_only_the_wanted_contents_of_the_wanted_videos_are_read(tmp_path: Path) -> None:
    old, new = dancer_xy("clockwise", seed=1), dancer_xy("counter", seed=2)
    other = keypoint_rows("other", "c", new)
    changed = [keypoint_rows("v", "old", old), keypoint_rows("v", "new", new), other]
    write_keypoints(tmp_path, {"a": changed, "b": [keypoint_rows("v", "new", new)]})
    wanted = [replace(video("v", "x"), content_id="new"), video("absent", "x")]
    found = read_windows(str(tmp_path), FINGERPRINT, wanted, WINDOWS)
    assert list(found.windows) == ["v"]
    assert len(found.windows["v"]) == 3  # once, though two parts have it
    assert found.num_without_keypoints == 1


def test_rows_that_are_not_finite_are_counted_and_bridged(tmp_path: Path) -> None:
    xy = dancer_xy("clockwise", seed=1)
    broken = xy.copy()
    broken[20:23, 9, 0] = np.nan
    short = keypoint_rows("short", "content", xy[:6])
    write_keypoints(tmp_path, {"a": [keypoint_rows("v", "content", broken), short]})
    found = read_windows(str(tmp_path), FINGERPRINT, [video("v", "x"), video("short", "x")], WINDOWS)
    assert (found.num_rows_not_finite, found.num_without_windows) == (3, 1)
    assert np.isfinite(found.windows["v"].steps).all()


def with_column(rows: pa.Table, name: str, values: np.ndarray) -> pa.Table:  # type: ignore[type-arg]
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(place), pa.array(values.tolist(), rows.schema.field(place).type))


def test_what_cannot_be_trained_on_is_counted_and_frame_rates_may_differ(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    videos = [*videos_of(4), video("unseen", STYLES[0]), video("nobody", STYLES[1]), video("short", STYLES[2])]
    rows = {}
    for i, v in enumerate(videos[:12]):
        fps = (10, 30)[i % 2]  # the same four to six seconds, sampled more or less densely
        xy = dancer_xy(str(v.label), seed=i, num_frames=6 * fps, frames_per_second=fps)
        of_video = keypoint_rows(v.video_id, v.content_id, xy)
        rows[v.video_id] = with_column(of_video, "pts_seconds", np.arange(len(xy)) / fps)
    of_unseen = keypoint_rows("unseen", "content", dancer_xy(STYLES[0], seed=1))
    rows["unseen"] = with_column(of_unseen, "keypoint_scores", np.zeros((60, 17)))
    rows["short"] = keypoint_rows("short", "content", dancer_xy(STYLES[2], seed=1)[:8])
    write_keypoints(tmp_path, {"a": list(rows.values())})
    settings = TrainSettings(num_folds=2, windows=WINDOWS)
    dataset, summary = read_dataset(videos, TableSource(str(tmp_path), FINGERPRINT), settings=settings, labels=())
    assert (summary.num_videos, summary.num_without_keypoints, summary.num_without_windows) == (12, 1, 2)
    assert "1 videos without keypoints, 2 with nobody in view for long enough" in caplog.text
    assert {len(windows) for windows in dataset.windows.values()} == {3}
    assert np.isfinite(dataset.examples.inputs.steps).all()
    assert np.isfinite(dataset.examples.inputs.xyz).all()


def test_a_class_of_which_too_few_can_be_used_is_named_with_why(tmp_path: Path) -> None:
    videos = videos_of(4)
    lost = {f"{STYLES[0]}_{i}" for i in range(3)}
    write_videos(tmp_path, [v for v in videos if v.video_id not in lost])
    with pytest.raises(TableError, match=rf"too few of \{{'{STYLES[0]}': 1\}}.*dances long enough"):
        read_dataset(videos, TableSource(str(tmp_path), FINGERPRINT), settings=TrainSettings(), labels=())


def test_examples_come_back_from_storage_as_they_were(tmp_path: Path, examples: Examples) -> None:
    uri = str(tmp_path / "examples.parquet")
    write_examples(uri, examples)
    back = read_examples(uri)
    assert back.digest() == examples.digest()
    assert back.video_ids == examples.video_ids
    assert back.groups == examples.groups


def test_a_digest_changes_with_every_part_of_the_examples(examples: Examples) -> None:
    others = [
        replace(copy.copy(examples), **{name: getattr(examples, name)[::-1]})
        for name in ("label_index", "video_index", "fold", "video_ids", "groups")
    ]
    others += [
        replace(examples, inputs=replace(examples.inputs, **{name: getattr(examples.inputs, name) + 1}))
        for name in ("steps", "xyz", "kinematic_features")
    ]
    assert len({e.digest() for e in [examples, *others]}) == 9


@pytest.mark.parametrize("content", [b"", b"not parquet", None])
def test_other_files_are_no_examples(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "examples.parquet"
    if content is None:
        pq.write_table(pa.table({"a": [1]}), path)
    else:
        path.write_bytes(content)
    with pytest.raises(TableError, match="not the examples"):
        read_examples(str(path))


# ---- model ----


CONFIG = StyleModelConfig(STYLES, FINGERPRINT, WINDOWS, network="report", hidden_size=8, num_members=2)


def make_model(*, seed: int = 0, config: StyleModelConfig = CONFIG) -> StyleModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        networks = [
            build_network(config.network, num_labels=len(config.labels), hidden_size=config.hidden_size, dropout=0.5)
            for _ in range(config.num_members)
        ]
    return StyleModel(tuple(networks), config, training={"seed": seed})


@pytest.fixture
def model() -> StyleModel:
    return make_model()


@pytest.fixture
def model_folder(tmp_path: Path, model: StyleModel) -> Path:
    save_model(str(tmp_path / "m"), model)
    return tmp_path / "m"


def test_a_model_comes_back_with_the_same_scores_and_name(
    model: StyleModel, model_folder: Path, examples: Examples
) -> None:
    back = load_model(str(model_folder))
    scores = [m.window_log_scores(examples.inputs) for m in (back, model)]
    np.testing.assert_array_equal(*scores)
    assert (back.config, back.model_version) == (model.config, model.model_version)
    assert (back.created_at, back.training) == (model.created_at, model.training)


def test_a_models_name_depends_on_weights_and_config_alone(model: StyleModel) -> None:
    assert replace(model, created_at="some other day", training={}).model_version == model.model_version
    others = [
        make_model(seed=1),
        replace(model, config=replace(model.config, labels=("x", "y", "z"))),
        replace(model, config=replace(model.config, pose_fingerprint="f" * 16)),
        replace(model, config=replace(model.config, windows=replace(WINDOWS, stride_seconds=2.0))),
        replace(model, config=replace(model.config, temperature=2.0)),
        replace(model, config=replace(model.config, unknown_below=0.5)),
        replace(model, networks=model.networks[::-1]),
    ]
    assert len({m.model_version for m in [model, *others]}) == 8


def test_saving_again_leaves_the_model_that_is_there(model: StyleModel, model_folder: Path) -> None:
    before = (model_folder / "model.json").read_bytes()
    save_model(str(model_folder), replace(model, created_at="later"))
    assert (model_folder / "model.json").read_bytes() == before


def test_scores_are_the_mean_of_the_networks_probabilities(model: StyleModel, examples: Examples) -> None:
    alone = [
        StyleModel((network,), replace(CONFIG, num_members=1)).window_log_scores(examples.inputs)
        for network in model.networks
    ]
    together = np.exp(model.window_log_scores(examples.inputs))
    np.testing.assert_allclose(together, (np.exp(alone[0]) + np.exp(alone[1])) / 2, atol=1e-6)
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)
    assert model.window_log_scores(examples.inputs.take(slice(0, 0))).shape == (0, 3)


def test_scores_do_not_depend_on_the_windows_beside(model: StyleModel, examples: Examples) -> None:
    many = Inputs.concat([examples.inputs] * 5)  # more than a batch
    np.testing.assert_allclose(
        model.window_log_scores(many)[-3:], model.window_log_scores(examples.inputs.take(slice(-3, None))), atol=1e-5
    )


def test_a_higher_temperature_makes_scores_more_modest() -> None:
    log_scores = np.log(np.array([[0.8, 0.15, 0.05], [1 / 3, 1 / 3, 1 / 3]], np.float32))
    plain, modest = (make_model(config=replace(CONFIG, temperature=t)).calibrated(log_scores) for t in (1.0, 2.0))
    np.testing.assert_allclose(plain, np.exp(log_scores), atol=1e-6)
    wanted = np.sqrt([0.8, 0.15, 0.05]) / np.sqrt([0.8, 0.15, 0.05]).sum()
    np.testing.assert_allclose(modest, [wanted, [1 / 3] * 3], atol=1e-6)


def test_windows_of_another_shape_are_refused(model: StyleModel) -> None:
    longer = np.zeros((1, 100, 51), np.float32)
    with pytest.raises(ValueError, match=r"windows must be \(W, 40, 51\)"):
        model.window_log_scores(Inputs(longer, longer, NO_CONTEXT[:1]))


def test_a_pickle_is_refused_and_never_unpickled(tmp_path: Path, model_folder: Path) -> None:
    trap = tmp_path / "sprung"

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (trap,)

    (tmp_path / "weights.pth").write_bytes(pickle.dumps(Trap()))
    (model_folder / "model.safetensors").write_bytes(pickle.dumps(Trap()))
    for uri in (tmp_path / "weights.pth", model_folder):
        with pytest.raises(WeightsError):
            load_model(str(uri))
    assert not trap.exists()


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no model\.json here"):
        load_model(str(tmp_path))


@pytest.mark.parametrize("num_bytes", [0, 7, 100, 5000])
def test_a_truncated_weights_file_is_refused(model_folder: Path, num_bytes: int) -> None:
    weights = model_folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:num_bytes])
    with pytest.raises(WeightsError, match="not a whole safetensors file"):
        load_model(str(model_folder))


@pytest.mark.parametrize("change", ["missing", "extra", "shape", "dtype"])
def test_weights_that_do_not_fit_are_named(model_folder: Path, change: str) -> None:
    path = model_folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    bias = weights.pop("1.classify.bias")
    if change == "extra":
        weights |= {"1.classify.bias": bias, "2.classify.bias": bias.clone()}
    if change == "shape":
        weights["1.classify.bias"] = torch.zeros(7)
    if change == "dtype":
        weights["1.classify.bias"] = bias.double()
    path.write_bytes(safetensors.torch.save(weights))
    with pytest.raises(WeightsError, match=r"2\.classify\.bias" if change == "extra" else r"1\.classify\.bias"):
        load_model(str(model_folder))


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "not finite"), (3.0, "was changed")])
def test_changed_weights_are_refused(model_folder: Path, value: float, message: str) -> None:
    path = model_folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    weights["1.classify.bias"][0] = value
    path.write_bytes(safetensors.torch.save(weights))
    with pytest.raises(WeightsError, match=message):
        load_model(str(model_folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "something"}, "format 'something'"),
        ({"schema_version": 1}, "schema version 1"),
        ({"model_version": "lstm-000000000000"}, "was changed"),
        ({"config": None}, "the config in model.json is wrong"),
        ({"config": {"labels": ["a", "b"]}}, "the config in model.json is wrong"),
    ],
)
def test_a_description_that_is_not_ours_is_refused(model_folder: Path, change: dict[str, object], message: str) -> None:
    path = model_folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(WeightsError, match=message):
        load_model(str(model_folder))


@pytest.mark.parametrize(
    "change",
    [
        {"hidden_size": 10**9},
        {"hidden_size": "8"},
        {"depth": 3},
        {"labels": ["a"]},
        {"network": "other"},
        {"num_members": 3},
        {"temperature": 0},
        {"unknown_below": 2},
        {"parents": {"waltz": "ballroom"}},
        {"references": {"waltz": {"median": {}, "spread": {}, "num_videos": 3}}},
        {"references": [1]},
    ],
)
def test_a_config_that_does_not_fit_is_refused(model_folder: Path, change: dict[str, object]) -> None:
    path = model_folder / "model.json"
    description = json.loads(path.read_text())
    description["config"] |= change
    path.write_text(json.dumps(description))
    with pytest.raises(WeightsError):
        load_model(str(model_folder))


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe", b'"model"'])
def test_a_description_that_is_no_json_object_is_refused(model_folder: Path, content: bytes) -> None:
    (model_folder / "model.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.json"):
        load_model(str(model_folder))
