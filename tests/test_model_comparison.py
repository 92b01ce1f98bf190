"""Models beside each other: the paired difference on the videos that both were tested on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_predictions import LABELS, calibrated_predictions, predictions_of

from choreai.cli.main import main
from choreai.motion.windows import WindowSettings
from choreai.style.evaluation.paired import paired_difference
from choreai.style.model import StyleModel, StyleModelConfig, save_model
from choreai.style.networks import build_network
from choreai.style.predictions import Predictions, write_predictions


def better_by(num: int) -> tuple[Predictions, Predictions]:
    """Two models of sixty videos: the second is wrong in so many in which the first is right."""
    labels = np.arange(60) % 3
    right = np.full((60, 3), 0.1)
    right[np.arange(60), labels] = 0.8
    worse = right.copy()
    worse[:num] = np.roll(right[:num], 1, axis=1)
    return predictions_of(right, labels), predictions_of(worse, labels)


def test_the_difference_is_that_of_the_figures_and_its_interval_is_narrower_than_theirs() -> None:
    better, worse = better_by(12)
    found = paired_difference(better, worse)
    assert found is not None
    assert (found.num_videos, found.num_better, found.num_worse, found.same_folds) == (60, 12, 0, True)
    assert found.accuracy.value == pytest.approx(0.2)
    assert 0.05 < found.accuracy.low < 0.2 < found.accuracy.high < 0.35
    assert found.macro_f1 is not None
    assert found.macro_f1.low > 0
    mirrored = paired_difference(worse, better)
    assert mirrored is not None
    assert mirrored.accuracy.value == pytest.approx(-0.2)


def test_only_common_videos_of_the_same_label_count_and_other_folds_are_told() -> None:
    better, worse = better_by(12)
    some = worse.videos_where(np.arange(60) < 40)
    relabelled = replace(some, label_index=np.where(np.arange(40) < 5, (some.label_index + 1) % 3, some.label_index))
    found = paired_difference(better, replace(relabelled, fold=np.arange(40) % 4))
    assert found is not None
    assert (found.num_videos, found.num_other_labels, found.same_folds) == (35, 5, False)
    others = replace(worse, video_ids=tuple(f"other_{name}" for name in worse.video_ids))
    assert paired_difference(better, others) is None


def test_models_of_other_styles_are_compared_by_what_they_have_right() -> None:
    better, worse = better_by(12)
    found = paired_difference(better, replace(worse, labels=(*LABELS[:2], "waacking")))
    assert found is not None
    assert found.macro_f1 is None
    assert found.num_videos == 40


def test_the_list_sets_each_model_beside_the_newest(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    better, worse = better_by(12)
    versions = [
        write_model(tmp_path, seed=number, created_at=f"2026-11-0{number + 1}T00:00:00+00:00", predictions=predictions)
        for number, predictions in enumerate((worse, None, better))
    ]
    assert main(["model", "list", "--output", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"beside {versions[2]}" in said
    assert "-20.0 (-3" in said
    assert main(["model", "list", "--output", str(tmp_path), "--json"]) == 0
    newest, middle, oldest = json.loads(capsys.readouterr().out)
    assert newest["beside_newest"] is None
    assert middle["beside_newest"]["why_none"] == f"there is no predictions.parquet beside {versions[1]}"
    assert oldest["beside_newest"]["difference"]["num_worse"] == 12
    page = tmp_path / "models.html"
    assert main(["model", "list", "--output", str(tmp_path), "--to", str(page), "--quiet"]) == 0
    shown = page.read_text()
    assert f"Beside {versions[2]}" in shown
    assert shown.count("<svg") == 1
    assert 'aria-label="-20.0 (-3' in shown
    assert f"there is no predictions.parquet beside {versions[1]}" in shown
    assert main(["model", "list", "--output", str(tmp_path), "--to", str(page)]) == 2
    assert "never replaces a file" in capsys.readouterr().err


def write_model(root: Path, *, seed: int, created_at: str, predictions: Predictions | None) -> str:
    """A model of untrained weights, and what its training left of its tests; return its version."""
    config = StyleModelConfig(
        labels=LABELS, pose_fingerprint="fp1", windows=WindowSettings(), network="style", hidden_size=4, num_members=1,
        unknown_below=seed / 10,
    )  # fmt: skip
    network = build_network("style", num_labels=3, hidden_size=4, dropout=0.1)
    model = StyleModel((network,), config, created_at=created_at)
    folder = root / "models" / model.model_version
    save_model(str(folder), model)
    if predictions is not None:
        write_predictions(str(folder / "predictions.parquet"), predictions)
    return model.model_version


def test_calibrated_models_of_one_kind_do_not_differ() -> None:
    found = paired_difference(calibrated_predictions(60, seed=1), calibrated_predictions(60, seed=1))
    assert found is not None
    assert (found.accuracy.low, found.accuracy.value, found.accuracy.high) == (0, 0, 0)
