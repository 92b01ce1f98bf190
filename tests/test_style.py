"""Style: the split, examples from tables, the model's file, metrics, tags and plots."""

import copy
import io
import itertools
import json
import pickle
import random
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import safetensors.torch
import torch
from matplotlib.image import imread
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

from choreai.errors import ChoreaiWarning, TableError, WeightsError
from choreai.motion.windows import WindowSettings
from choreai.store.catalog import Video, read_catalog
from choreai.style.evaluate import evaluate, score_predictions
from choreai.style.examples import Examples, make_examples, read_examples, read_windows, write_examples
from choreai.style.fitting import EpochResult
from choreai.style.model import StyleLSTM, StyleModel, StyleModelConfig, load_model, save_model
from choreai.style.plots import confusion_matrix_png, learning_curves_png
from choreai.style.split import Split, find_labels, split_groups
from choreai.style.tagging import tag_video, tag_videos

WINDOWS = WindowSettings(num_steps=40, window_seconds=4.0, stride_seconds=1.0)


def video(video_id: str, label: str | None, group: str | None = None) -> Video:
    return Video(video_id, f"{video_id}.mp4", "content", label=label, group=group)


def split_of(videos: list[Video], **changes: object) -> Split:
    settings: dict[str, object] = {"seed": 0, "test_fraction": 0.25, "when_one_group": "error"} | changes
    return split_groups(videos, find_labels(videos, ()), **settings)  # type: ignore[arg-type]


# ---- split ----


def test_a_split_depends_on_the_seed_and_not_on_the_order_of_videos() -> None:
    videos = videos_of(20)
    shuffled = random.Random(1).sample(videos, len(videos))
    assert split_of(videos) == split_of(shuffled)
    assert split_of(videos) != split_of(videos, seed=1)


def test_groups_stay_whole_and_every_class_is_on_both_sides_or_it_says_why_not() -> None:
    num_splits = 0
    for seed in range(200):
        rng = random.Random(seed)
        labels = "abc"[: rng.randint(2, 3)]
        videos = [video(str(i), rng.choice(labels), rng.choice([None, *"vwxyz"])) for i in range(rng.randint(4, 30))]
        try:
            test = split_of(videos, seed=seed).test_video_ids
        except TableError:
            continue
        num_splits += 1
        for side in (test, {v.video_id for v in videos} - test):
            assert {v.label for v in videos if v.video_id in side} == {v.label for v in videos}
        for group in "vwxyz":
            assert len({v.video_id in test for v in videos if v.group == group}) <= 1
    assert num_splits > 100


def test_about_the_wanted_share_of_each_class_is_held_out() -> None:
    videos = [video(f"{label}{i}", label) for label, n in (("a", 100), ("b", 40), ("c", 9)) for i in range(n)]
    split = split_of(videos)
    assert Counter(v.label for v in videos if v.video_id in split.test_video_ids) == {"a": 25, "b": 10, "c": 2}
    assert split.description == "video"


def test_of_uneven_groups_those_are_held_out_that_come_nearest_to_the_share() -> None:
    sizes = {"big": 38, "small": 5, "tiny": 3}
    videos = [video(f"{g}{i}", "shuffle", g) for g, n in sizes.items() for i in range(n)]
    videos += [video(f"x{i}", "other") for i in range(8)]
    held_out = {v.group for v in videos if v.video_id in split_of(videos).test_video_ids and v.group}
    assert held_out == {"small", "tiny"}


def test_a_class_of_one_group_is_refused_with_the_way_out() -> None:
    videos = [video(f"l{i}", "locking", "1002") for i in range(4)] + [video(f"p{i}", "popping") for i in range(4)]
    with pytest.raises(TableError, match=r"\{'locking': 4\}.*when_one_group"):
        split_of(videos)


def test_a_class_of_one_group_can_be_divided_in_time_with_a_warning() -> None:
    videos = [video(f"1002_{start}_10", "locking", "1002") for start in (5, 1000, 20, 300, 115, 99, 250, 400)]
    videos += [video(f"p{i}", "popping", f"g{i}") for i in range(8)]
    with pytest.warns(ChoreaiWarning, match="locking"):
        split = split_of(videos, when_one_group="blocks")
    assert {v for v in split.test_video_ids if v.startswith("1002")} == {"1002_400_10", "1002_1000_10"}
    assert split.description == "group; locking by contiguous blocks"


def test_groups_that_classes_share_in_a_ring_cannot_be_divided() -> None:
    ring = [("a", "1"), ("a", "2"), ("b", "2"), ("b", "3"), ("c", "1"), ("c", "3")]
    with pytest.raises(TableError, match=r"3 groups \(group 1, group 2, group 3\) shared"):
        split_of([video(f"{label}{group}", label, group) for label, group in ring])


@pytest.mark.parametrize(
    ("videos", "labels", "message"),
    [
        ([video("x1", "a"), video("x2", None), video("x3", "")], (), r"2 videos \(x2, x3\) without a label"),
        ([video("x1", "a"), video("x2", "b")], ("a", "c"), r"1 video \(x2 \(b\)\) with a label that is not in"),
        ([video("x1", "a"), video("x2", "a")], (), "two classes or more"),
        ([video("x1", "a"), video("x2", "a"), video("x3", "b")], (), r"too few of \{'b': 1\}"),
        ([video("x1", "a"), video("x2", "a")], ("a", "b"), r"too few of \{'b': 0\}"),
    ],
)
def test_labels_that_cannot_be_trained_on_are_named(videos: list[Video], labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(TableError, match=message):
        find_labels(videos, labels)


@pytest.mark.shared
def test_the_street_dance_catalog_needs_blocks_for_two_of_its_classes() -> None:
    path = Path(__file__).parents[2] / "shared" / "data" / "streetdance" / "catalog.csv"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    rows = read_catalog(str(path)).table.to_pylist()
    videos = [Video(**{**row, "content_id": "any"}) for row in rows]
    with pytest.raises(TableError, match=r"\{'locking': 42, 'popping': 26\}"):
        split_of(videos)
    with pytest.warns(ChoreaiWarning, match="locking, popping"):
        split = split_of(videos, when_one_group="blocks")
    held_out = Counter(v.label for v in videos if v.video_id in split.test_video_ids)
    assert held_out == {"breaking": 1, "locking": 10, "popping": 6, "shuffle": 8}


# ---- examples ----


@pytest.fixture(scope="module")
def videos() -> list[Video]:
    return videos_of(8)


@pytest.fixture(scope="module")
def examples(videos: list[Video]) -> Examples:
    return make_examples(
        windows_of(videos, WINDOWS),
        label_of={v.video_id: str(v.label) for v in videos},
        labels=STYLES,
        test_video_ids=split_of(videos).test_video_ids,
    )


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
    short = keypoint_rows("short", "content", xy[:10])
    write_keypoints(tmp_path, {"a": [keypoint_rows("v", "content", broken), short]})
    found = read_windows(str(tmp_path), FINGERPRINT, [video("v", "x"), video("short", "x")], WINDOWS)
    assert (found.num_rows_not_finite, found.num_without_windows) == (3, 1)
    assert np.isfinite(found.windows["v"].steps).all()


def test_examples_come_back_from_storage_as_they_were(tmp_path: Path, examples: Examples) -> None:
    uri = str(tmp_path / "examples.parquet")
    write_examples(uri, examples)
    back = read_examples(uri)
    assert back.digest() == examples.digest()
    assert back.video_ids == examples.video_ids
    assert len(back.part(test=True)) + len(back.part(test=False)) == len(examples)


def test_a_digest_changes_with_every_part_of_the_examples(examples: Examples) -> None:
    others = [
        replace(copy.copy(examples), **{name: getattr(examples, name)[::-1]})
        for name in ("steps", "label_index", "video_index", "is_test", "video_ids")
    ]
    assert len({e.digest() for e in [examples, *others]}) == 6


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


def make_model(*, seed: int = 0, labels: tuple[str, ...] = STYLES) -> StyleModel:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = StyleLSTM(num_labels=len(labels), hidden_size=8)
    return StyleModel(network, StyleModelConfig(labels, FINGERPRINT, 8, WINDOWS), training={"seed": seed})


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
    np.testing.assert_array_equal(back.window_scores(examples.steps), model.window_scores(examples.steps))
    assert (back.config, back.model_version) == (model.config, model.model_version)
    assert (back.created_at, back.training) == (model.created_at, model.training)


def test_a_models_name_hangs_on_weights_and_config_alone(model: StyleModel) -> None:
    assert replace(model, created_at="some other day", training={}).model_version == model.model_version
    others = [
        make_model(seed=1),
        replace(model, config=replace(model.config, labels=("x", "y", "z"))),
        replace(model, config=replace(model.config, pose_fingerprint="f" * 16)),
        replace(model, config=replace(model.config, windows=replace(WINDOWS, stride_seconds=2.0))),
    ]
    assert len({m.model_version for m in [model, *others]}) == 5


def test_saving_again_leaves_the_model_that_is_there(model: StyleModel, model_folder: Path) -> None:
    before = (model_folder / "model.json").read_bytes()
    save_model(str(model_folder), replace(model, created_at="later"))
    assert (model_folder / "model.json").read_bytes() == before


def test_windows_of_another_shape_are_refused(model: StyleModel) -> None:
    with pytest.raises(ValueError, match=r"windows must be \(W, 40, 51\)"):
        model.window_scores(np.zeros((1, 100, 51), np.float32))


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
    bias = weights.pop("classify.bias")
    if change == "extra":
        weights |= {"classify.bias": bias, "head.bias": bias.clone()}
    if change == "shape":
        weights["classify.bias"] = torch.zeros(7)
    if change == "dtype":
        weights["classify.bias"] = bias.double()
    path.write_bytes(safetensors.torch.save(weights))
    with pytest.raises(WeightsError, match=r"head\.bias" if change == "extra" else r"classify\.bias"):
        load_model(str(model_folder))


@pytest.mark.parametrize(("value", "message"), [(float("nan"), "not finite"), (3.0, "was changed")])
def test_changed_weights_are_refused(model_folder: Path, value: float, message: str) -> None:
    path = model_folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    weights["classify.bias"][0] = value
    path.write_bytes(safetensors.torch.save(weights))
    with pytest.raises(WeightsError, match=message):
        load_model(str(model_folder))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "something"}, "format 'something'"),
        ({"schema_version": 2}, "schema version 2"),
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


@pytest.mark.parametrize("change", [{"hidden_size": 10**9}, {"hidden_size": "8"}, {"depth": 3}, {"labels": ["a"]}])
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


# ---- tags ----


def test_a_videos_scores_are_the_mean_of_its_windows(model: StyleModel, videos: list[Video]) -> None:
    windows = windows_of(videos[:1], WINDOWS)[videos[0].video_id]
    tag = tag_video(model, windows)
    assert tag is not None
    np.testing.assert_allclose(list(tag.distribution.values()), tag.window_scores.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(tag.window_scores.sum(axis=1), 1, rtol=1e-6)
    assert sum(tag.distribution.values()) == pytest.approx(1)
    assert tag.score == max(tag.distribution.values()) == tag.distribution[tag.style]
    assert len(tag.window_styles) == len(windows)
    best = tag.window_scores.argmax(axis=1)
    assert tag.window_styles == tuple(STYLES[i] for i in best)


def test_videos_tagged_together_get_what_they_get_alone(model: StyleModel, videos: list[Video]) -> None:
    windows = list(windows_of(videos, WINDOWS).values())
    nobody = replace(
        windows[0],
        steps=windows[0].steps[:0],
        start_seconds=windows[0].start_seconds[:0],
        stop_seconds=windows[0].stop_seconds[:0],
        track_id=windows[0].track_id[:0],
    )
    together = tag_videos(model, [nobody, *windows[:3], nobody])
    assert [tag is None for tag in together] == [True, False, False, False, True]
    for tag, own in zip(together[1:4], windows[:3], strict=True):
        alone = tag_video(model, own)
        assert tag is not None
        assert alone is not None
        np.testing.assert_allclose(tag.window_scores, alone.window_scores, atol=1e-6)
    assert tag_videos(model, [nobody]) == [None]


# ---- metrics ----


def test_a_scorecard_of_a_hand_made_case() -> None:
    card = score_predictions(np.array([0, 0, 0, 1, 1]), np.array([0, 0, 1, 1, 0]), ("a", "b", "never"))
    assert card.confusion == ((2, 1, 0), (1, 1, 0), (0, 0, 0))
    assert (card.num, card.accuracy) == (5, 0.6)
    a, b, never = card.classes
    assert (a.num, a.precision, a.recall, a.f1) == pytest.approx((3, 2 / 3, 2 / 3, 2 / 3))
    assert (b.num, b.precision, b.recall, b.f1) == pytest.approx((2, 1 / 2, 1 / 2, 1 / 2))
    assert (never.num, never.precision, never.recall, never.f1) == (0, 0, 0, 0)
    assert card.macro_f1 == pytest.approx((2 / 3 + 1 / 2) / 3)


class CycleModel(StyleModel):
    """Scores each window as the next class than its number says, with growing confidence."""

    def window_scores(self, steps: np.ndarray) -> np.ndarray:  # type: ignore[type-arg]
        wanted = steps[:, 0, 0].astype(int)
        return np.eye(len(self.config.labels), dtype=np.float32)[wanted]


def test_a_videos_prediction_is_that_of_its_mean_scores_and_rivals_are_judged_alike(model: StyleModel) -> None:
    # Three windows a video; the first feature says which class the model will see in it.
    seen = [[0, 0, 1], [1, 1, 1], [0, 1, 1], [0, 0, 0]]
    labels = [0, 1, 0, 1]
    steps = np.zeros((24, 40, 51), np.float32)
    steps[:, 0, 0] = np.array(seen * 2).reshape(-1)
    examples = Examples(
        steps=steps,
        label_index=np.repeat(labels * 2, 3),
        video_index=np.repeat(np.arange(8), 3),
        is_test=np.repeat([True] * 4 + [False] * 4, 3),
        video_ids=tuple("abcdefgh"),
    )
    metrics = evaluate(CycleModel(model.network, model.config), examples)
    assert metrics.videos.confusion == ((1, 1, 0), (1, 1, 0), (0, 0, 0))
    assert metrics.windows.accuracy == pytest.approx(6 / 12)
    assert metrics.train_video_accuracy == 0.5
    assert (metrics.majority_class, metrics.majority_class_accuracy) == (STYLES[0], 0.5)
    assert json.loads(json.dumps(metrics.to_dict(), allow_nan=False))["videos"]["num"] == 4


def test_rivals_win_where_a_still_picture_tells_the_style(model: StyleModel, examples: Examples) -> None:
    steps = examples.steps.copy()
    steps[np.arange(len(steps)), :, 3 * examples.label_index] += 3
    metrics = evaluate(model, replace(copy.copy(examples), steps=steps))
    assert metrics.mean_pose_accuracy == 1
    assert metrics.mean_speed_accuracy < 0.8


# ---- plots ----


def pixels(png: bytes) -> np.ndarray:  # type: ignore[type-arg]
    return imread(io.BytesIO(png), format="png")


def test_plots_are_pictures_that_follow_the_numbers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph or a layout that does not fit
        cards = [score_predictions(np.array([0, 1]), np.array(p), ("a", "b")) for p in ([0, 1], [1, 0])]
        matrices = [pixels(confusion_matrix_png(card)) for card in cards]
        histories = [[EpochResult(i, loss, 0.5, loss, 0.5, 0.01) for i in (1, 2, 3)] for loss in (0.5, 1.0)]
        curves = [pixels(learning_curves_png([replace(h[0], train_loss=2.0), *h[1:]])) for h in histories]
    for pair in (matrices, curves):
        assert min(pair[0].shape[:2]) > 300
        assert pair[0].shape == pair[1].shape
        assert np.abs(pair[0] - pair[1]).max() > 0.3


def test_the_labels_of_many_styles_fit_into_the_picture() -> None:
    labels = tuple(f"a rather long style name {i}" for i in range(12))
    indices = np.array(list(itertools.chain(range(12), range(12))))
    shape = pixels(confusion_matrix_png(score_predictions(indices, indices[::-1], labels))).shape
    assert shape[0] > 900
