"""The report beside a model: its page, card, figures and numbers, whatever the catalog's names hold."""

import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from clips import write_clip
from made_predictions import LABELS, calibrated_predictions
from matplotlib.figure import Figure
from matplotlib.image import imread
from moving_skeletons import FINGERPRINT, dancer_xy, keypoint_rows, write_keypoints
from PIL import Image

from choreai import __version__
from choreai.catalog.catalog import Video
from choreai.errors import MediaError
from choreai.motion.windows import WindowSettings
from choreai.style.evaluation.claims import limits
from choreai.style.evaluation.evaluate import Metrics, evaluate
from choreai.style.evaluation.plots import as_png, as_svg, draw_figures
from choreai.style.evaluation.report import VideoSources, write_report
from choreai.style.evaluation.report_data import DATA_FILES
from choreai.style.history import EpochResult
from choreai.style.model import StyleModel, StyleModelConfig
from choreai.style.networks import build_network
from choreai.style.predictions import Predictions, read_predictions
from choreai.style.versions import versions
from choreai.tables.keypoints import sequence_of
from choreai.visualize.stills import annotated_stills

HOSTILE = '<script>alert("x")</script> & $\\frac{1}{2}$ |`_*'
HISTORY = tuple(
    EpochResult(member, epoch, 1 / epoch, 0.5, None if member else 1.2 / epoch, None, 0.01)
    for member in range(2)
    for epoch in range(1, 5)
)


def metrics_of(predictions: Predictions, **baselines: Predictions) -> Metrics:
    return evaluate(predictions, baselines=baselines, leaky=None, target_precision=0.8, seed=0)


@pytest.fixture(scope="module")
def predictions() -> Predictions:
    """Forty videos; the worst of them, and one label, have names that want to be markup."""
    predictions = replace(calibrated_predictions(40, seed=4), labels=(HOSTILE, *LABELS[1:]))
    worst = metrics_of(predictions).worst_videos[0].video_id
    names = tuple(HOSTILE if name == worst else name for name in predictions.video_ids)
    return replace(predictions, video_ids=names, groups=names)


@pytest.fixture(scope="module")
def metrics(predictions: Predictions) -> Metrics:
    return metrics_of(predictions, twin=predictions)


@pytest.fixture(scope="module")
def model() -> StyleModel:
    network = build_network("style", num_labels=3, hidden_size=4, dropout=0.1)
    config = StyleModelConfig(
        labels=(HOSTILE, *LABELS[1:]),
        pose_fingerprint=FINGERPRINT,
        windows=WindowSettings(),
        network="style",
        hidden_size=4,
        num_members=1,
    )
    data = {"split": "5 folds by video", "num_videos": 40, "num_windows": 40, "num_without_keypoints": 2}
    training = {
        "settings": {"seed": 0, "note": HOSTILE},
        "data": {**data, "num_without_windows": 1},
        "versions": versions(),
    }
    return StyleModel((network,), config, training=training)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, predictions: Predictions, metrics: Metrics, model: StyleModel
) -> Path:
    """A whole report: of the ten worst videos one is there, one is broken, one's file is missing."""
    root = tmp_path_factory.mktemp("report")
    there, broken, missing = (w.video_id for w in metrics.worst_videos[:3])
    write_clip(root / "there.mp4", num_frames=30, frames_per_second=10, size_wh=(320, 240))
    (root / "broken.mp4").write_bytes(b"no video")
    uris = {there: "there.mp4", broken: "broken.mp4", missing: "missing.mp4"}
    videos = [Video(name, str(root / uri), "content") for name, uri in uris.items()]
    rows = [keypoint_rows(name, "content", dancer_xy("clockwise", seed=1, num_frames=30) / 2) for name in uris]
    (root / "tables").mkdir()
    write_keypoints(root / "tables", {"a": rows[:2], "b": rows[2:]})
    write_report(
        str(root / "model"),
        model=model,
        metrics=metrics,
        predictions=predictions,
        history=HISTORY,
        sources=VideoSources(videos, str(root / "tables"), FINGERPRINT),
    )
    return root / "model"


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return (folder / "report.html").read_text()


class _Elements(HTMLParser):
    """What a browser would make of the page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_folder_holds_page_card_numbers_predictions_and_figures(folder: Path, predictions: Predictions) -> None:
    figures = ["clip_lengths", "confusion_matrix", "learning_curves", "reliability", "risk_coverage", "rivals"]
    texts = ["MODEL_CARD.md", "metrics.json", "predictions.parquet", "report.html"]
    pictures = [f"{name}.png" for name in figures]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*texts, *pictures, *DATA_FILES])
    np.testing.assert_array_equal(
        read_predictions(str(folder / "predictions.parquet")).window_log_scores, predictions.window_log_scores
    )


def test_the_numbers_are_those_of_the_metrics(folder: Path, metrics: Metrics, model: StyleModel) -> None:
    numbers = json.loads((folder / "metrics.json").read_text())
    assert numbers["model_version"] == model.model_version
    assert numbers["videos"]["macro_f1"]["value"] == metrics.videos.macro_f1.value
    assert numbers["data"]["split"] == "5 folds by video"
    assert [h["epoch"] for h in numbers["history"]] == [1, 2, 3, 4, 1, 2, 3, 4]


def test_the_numbers_of_the_figures_are_beside_them_as_tables(
    folder: Path, metrics: Metrics, model: StyleModel
) -> None:
    confusion, reliability, coverage, curves = (pd.read_csv(folder / name, comment="#") for name in DATA_FILES)
    np.testing.assert_array_equal(confusion.set_index("label").to_numpy(), metrics.videos.confusion)
    assert list(confusion["label"]) == [HOSTILE, *LABELS[1:]]
    np.testing.assert_allclose(reliability["accuracy"], [each.accuracy for each in metrics.reliability], rtol=1e-5)
    assert (reliability["low"] <= reliability["accuracy"]).all()
    np.testing.assert_allclose(coverage["risk"], metrics.risk_coverage.risk, rtol=1e-5)
    assert list(curves["epoch"]) == [1, 2, 3, 4, 1, 2, 3, 4]
    assert curves["validation_loss"].isna().sum() == 4


def test_whatever_is_written_says_what_wrote_it_and_with_which_seed(folder: Path, page: str, model: StyleModel) -> None:
    for name in DATA_FILES:
        head = [line for line in (folder / name).read_text().splitlines() if line.startswith("# ")]
        assert f"# model: {model.model_version}" in head
        assert "# seed: 0" in head
        assert f"# written by: choreai {__version__}" in head
    with Image.open(folder / "reliability.png") as picture:
        about = picture.info
    assert model.model_version in about["Description"]
    assert "seed: 0" in about["Description"]
    assert __version__ in about["Software"]
    numbers = json.loads((folder / "metrics.json").read_text())
    assert (numbers["seed"], numbers["versions"]["choreai"]) == (0, __version__)
    assert f"Seed 0; choreai {__version__}" in (folder / "MODEL_CARD.md").read_text()
    assert "version of choreai" in page


def test_names_from_a_catalog_are_shown_and_never_run(page: str) -> None:
    elements = _Elements(page)
    assert "script" not in elements.tags
    text = "".join(elements.text)
    assert text.count(HOSTILE) >= 4  # headline, table of styles, worst video, settings
    assert not any(HOSTILE in value for name, value in elements.attributes if name != "alt")


def test_the_page_needs_nothing_from_anywhere(page: str) -> None:
    elements = _Elements(page)
    links = [value for name, value in elements.attributes if name in ("src", "href", "srcset", "data", "xlink:href")]
    assert links
    assert all(value.startswith(("data:", "#")) for value in links)
    assert not re.search(r"@import|url\((?!#)", page)
    assert elements.tags.count("svg") == 6


def test_ids_in_the_page_are_unique_and_every_reference_meets_one(page: str) -> None:
    elements = _Elements(page)
    ids = [value for name, value in elements.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    wanted = set(re.findall(r'xlink:href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert wanted
    assert wanted <= set(ids)


def test_headline_figures_are_on_the_page_with_their_intervals(page: str, metrics: Metrics) -> None:
    text = " ".join("".join(_Elements(page).text).split())
    f1 = metrics.videos.macro_f1
    assert f"Macro F1 of videos {f1.value:.3f} 95 %: {f1.low:.3f} to {f1.high:.3f}" in text.replace(
        "videos0", "videos 0"
    )
    assert f"{metrics.refusals.num_tagged} of 40" in text


def test_the_worst_videos_have_stills_or_a_reason_why_not(page: str, metrics: Metrics) -> None:
    text = "".join(_Elements(page).text)
    assert page.count("data:image/jpeg;base64,") == 1
    assert text.count("No stills:") == len(metrics.worst_videos) - 1
    assert text.count("its keypoints are not in the tables") == len(metrics.worst_videos) - 3
    assert "there is nothing here" in text


def test_the_card_has_the_headings_that_people_look_for_and_no_markup_from_names(folder: Path) -> None:
    card = (folder / "MODEL_CARD.md").read_text()
    headings = re.findall(r"^## (.+)$", card, flags=re.MULTILINE)
    assert headings == [
        "Model details",
        "Intended use",
        "Training data",
        "Evaluation",
        "Limits",
        "Licence",
        "Files",
    ]
    assert card.startswith("---\n")
    assert not re.search(r"(?<!\\)<", card)
    rows = [line for line in card.splitlines() if line.startswith("| \\<script")]
    assert len(rows) == 2
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3, 6]  # the bar in the name divides nothing


def test_card_and_page_say_what_to_expect_on_sources_never_seen(
    tmp_path: Path, predictions: Predictions, model: StyleModel
) -> None:
    groups = tuple(f"{HOSTILE} {i % 2}" if label else f"only {i}" for i, label in enumerate(predictions.label_index))
    alone = replace(predictions, groups=tuple(g if "only" not in g else "only" for g in groups))
    divided = {group: alone.window_log_scores[np.array(alone.groups) == group] for group in set(alone.groups)}
    metrics = evaluate(alone, baselines={}, leaky=None, unseen=divided, target_precision=0.8, seed=0)
    write_report(
        str(tmp_path),
        model=model,
        metrics=metrics,
        predictions=alone,
        history=HISTORY,
        sources=VideoSources((), str(tmp_path), FINGERPRINT),
    )
    assert metrics.unseen is not None
    assert metrics.unseen.untested == (HOSTILE,)
    text = " ".join("".join(_Elements((tmp_path / "report.html").read_text()).text).split())
    card = (tmp_path / "MODEL_CARD.md").read_text()
    assert f"This model: {metrics.unseen.expectation}." in text
    assert metrics.unseen.expectation in card.replace("\\", "")
    assert "no two sources, so no such figure" in text
    assert "no such figure" in card
    assert not re.search(r"(?<!\\)<", card)
    assert json.loads((tmp_path / "metrics.json").read_text())["unseen"]["accuracy"]["value"]


def test_what_must_not_be_claimed_is_on_page_and_card(folder: Path, page: str, metrics: Metrics) -> None:
    sentences = limits(metrics, split="5 folds by video", leaky_of="networks", context_seconds=10.0)
    text = "".join(_Elements(page).text)
    card = (folder / "MODEL_CARD.md").read_text().replace("\\", "")
    for sentence in sentences:
        assert sentence in text
        assert sentence.replace("\\", "") in card
    assert any("not shown that the model beats twin" in sentence for sentence in sentences)


def test_reservations_follow_the_figures(predictions: Predictions) -> None:
    def said(metrics: Metrics) -> str:
        return " ".join(limits(metrics, split="2 folds", leaky_of="networks", context_seconds=10.0))

    one_source = metrics_of(replace(predictions, groups=("source",) * 40))
    assert "never seen: expect less" in said(one_source)
    groups = metrics_of(replace(predictions, groups=tuple(f"g{i // 2}" for i in range(40))))
    assert "expect less" not in said(groups)
    recordings = metrics_of(predictions, mean_score_regression=predictions)
    assert "knows the recording and nothing of the dance" in said(recordings)
    assert "recording" not in said(groups)
    leaky = evaluate(predictions, baselines={}, leaky=predictions, target_precision=0.8, seed=0)
    assert "must not be quoted" in said(leaky)
    assert "must not be quoted" not in said(groups)
    sources = replace(predictions, groups=tuple(f"source {i % 2}" for i in range(40)))
    unseen = evaluate(
        sources,
        baselines={},
        leaky=None,
        unseen=dict.fromkeys(("source 0", "source 1"), sources.window_log_scores[::2]),
        target_precision=0.8,
        seed=0,
    )
    assert "expect less" not in said(unseen)
    assert " on sources it never saw: dancers, places and cameras" in said(unseen)
    guesses = np.tile(np.log(np.array([0.34, 0.33, 0.33], np.float32)), (40, 1))
    hopeless = metrics_of(replace(predictions, window_log_scores=guesses))
    assert "calls every video unknown" in said(hopeless)


# ---- figures ----


def pixels(figure: Figure) -> np.ndarray:
    return imread(io.BytesIO(as_png(figure)), format="png")


def test_figures_are_pictures_that_follow_the_numbers(predictions: Predictions, metrics: Metrics) -> None:
    sharper = replace(predictions, label_index=(predictions.label_index + 1) % 3)
    other_history = [replace(result, train_loss=2.0) for result in HISTORY]
    first = draw_figures(metrics, HISTORY)
    other = draw_figures(metrics_of(sharper, twin=predictions), other_history)
    assert first.keys() == other.keys()
    for name, figure in first.items():
        one, two = pixels(figure), pixels(other[name])
        assert min(one.shape[:2]) > 200
        assert one.shape != two.shape or np.abs(one - two).max() > 0.3, name


def test_svg_takes_the_pages_colour_and_is_well_formed(metrics: Metrics) -> None:
    again = draw_figures(metrics, HISTORY)
    for name, figure in draw_figures(metrics, HISTORY).items():
        svg = as_svg(figure, name=name)
        root = ET.fromstring(svg.replace("<svg ", '<svg xmlns:xlink="http://www.w3.org/1999/xlink" ', 1))
        assert root.get("viewBox")
        assert root.get("width") is None
        assert "currentColor" in svg
        assert as_svg(again[name], name=name) == svg


def test_the_labels_of_many_styles_fit_into_the_picture() -> None:
    labels = tuple(f"a rather long style name {i}" for i in range(12))
    probabilities = 0.02 + 0.76 * np.eye(12)[np.arange(60) % 12]
    many = replace(
        calibrated_predictions(60, seed=0),
        labels=labels,
        label_index=np.arange(60) % 12,
        window_log_scores=np.log(probabilities).astype(np.float32),
    )
    assert pixels(draw_figures(metrics_of(many), ())["confusion_matrix"]).shape[0] > 700


# ---- stills ----


@pytest.mark.parametrize("frames_per_second", [10, 20])
def test_four_stills_show_the_video_with_skeletons(tmp_path: Path, frames_per_second: int) -> None:
    write_clip(
        tmp_path / "v.mp4", num_frames=39 * frames_per_second // 10, frames_per_second=frames_per_second,
        size_wh=(320, 240),
    )  # fmt: skip
    xy = dancer_xy("clockwise", seed=1, num_frames=39) / 2
    rows = sequence_of(keypoint_rows("v", "c", xy))
    stills = annotated_stills(str(tmp_path / "v.mp4"), rows)
    assert stills is not None
    nobody = replace(rows, keypoint_scores=np.zeros_like(rows.keypoint_scores))
    bare = annotated_stills(str(tmp_path / "v.mp4"), nobody)
    assert bare is not None
    image, without = (np.asarray(Image.open(io.BytesIO(jpeg)), np.int16) for jpeg in (stills, bare))
    assert image.shape == (180, 4 * 240, 3)
    changed = (np.abs(image - without).max(axis=2) > 60).reshape(180, 4, 240).sum(axis=(0, 2))
    assert (changed > 100).all()  # each still has a skeleton


def test_a_video_in_which_nobody_is_seen_has_no_stills(tmp_path: Path) -> None:
    write_clip(tmp_path / "v.mp4")
    rows = sequence_of(keypoint_rows("v", "c", dancer_xy("clockwise", seed=1)))
    late = replace(rows, pts_seconds=rows.pts_seconds + 100)
    assert annotated_stills(str(tmp_path / "v.mp4"), late) is None


def test_stills_of_what_is_no_video_say_why(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"no video")
    rows = sequence_of(keypoint_rows("v", "c", dancer_xy("clockwise", seed=1)))
    with pytest.raises(MediaError):
        annotated_stills(str(tmp_path / "v.mp4"), rows)
