"""The student report's experiment on small sequences: its own split, its network, its study of the learning rate."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from given_keypoints import with_scores, write_text
from moving_skeletons import STYLES, dancer_xy

from choreai.cli.main import main
from choreai.config import KeypointSettings, TrainConfig
from choreai.errors import ConfigError, TableError
from choreai.pipeline.report_experiment import report_experiment
from choreai.style.settings import TrainSettings
from choreai.style.training.report_experiment import NUM_STEPS, Sequences, report_settings, run_experiment
from choreai.style.training.sweep import LEARNING_RATES

CPU = torch.device("cpu")


def sequences(num_per_style: int, *, first_seed: int) -> Sequences:
    seeds = range(first_seed, first_seed + num_per_style)
    samples = [with_scores(dancer_xy(s, seed=seed, num_frames=20)).reshape(20, 51) for s in STYLES for seed in seeds]
    return Sequences(np.stack(samples), np.repeat(np.arange(len(STYLES)), num_per_style))


def config_of(folder: Path) -> TrainConfig:
    keypoints = KeypointSettings(source=str(folder), sequence_lines=20)
    return TrainConfig(catalog="-", output=str(folder / "out"), labels=STYLES, keypoints=keypoints)


def test_its_849_sequences_take_its_331_steps() -> None:
    settings = report_settings(TrainSettings(seed=3), num_train=849)
    assert (settings.network, settings.batch_size, settings.seed) == ("report", 512, 3)
    assert 0 <= 2 * settings.num_epochs - NUM_STEPS <= 1
    assert report_settings(TrainSettings(), num_train=849, num_epochs=5).num_epochs == 5


def test_the_test_sequences_have_no_part_in_the_choice_of_the_learning_rate() -> None:
    train, test = sequences(8, first_seed=0), sequences(3, first_seed=100)
    settings = report_settings(TrainSettings(), num_train=len(train), num_epochs=1)
    wrong = Sequences(test.samples, (test.label_index + 1) % len(STYLES))
    found, other = (run_experiment(train, each, labels=STYLES, settings=settings, device=CPU) for each in (test, wrong))
    assert [trial.changes["learning_rate"] for trial in found.trials] == list(LEARNING_RATES)
    assert (found.trials, found.learning_rate) == (other.trials, other.learning_rate)
    assert found.guessing == pytest.approx(1 / 3)
    confusion = np.array(found.confusion)
    assert confusion.sum(axis=1).tolist() == [3, 3, 3]
    assert found.accuracy == pytest.approx(confusion.trace() / 9)
    assert np.roll(np.array(other.confusion), -1, axis=0).tolist() == confusion.tolist()  # the same answers


def apart(found: Sequences) -> Sequences:
    """The same with a place in the picture for each style: what a network of pixels learns first."""
    return Sequences(found.samples + 150 * found.label_index[:, None, None].astype(np.float32), found.label_index)


def test_it_learns_what_a_plain_loop_would() -> None:
    train, test = (apart(sequences(n, first_seed=seed)) for n, seed in ((12, 0), (6, 100)))
    settings = report_settings(TrainSettings(), num_train=len(train), num_epochs=40)
    found = run_experiment(train, test, labels=STYLES, settings=settings, learning_rate=0.01, device=CPU)
    assert found.trials == ()
    assert found.train_accuracy > 0.9
    assert found.accuracy > 0.8


def test_one_command_runs_it_from_text_files_to_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_text(tmp_path / "data", "train", STYLES * 4, num_lines=20)
    write_text(tmp_path / "data", "test", STYLES * 2, num_lines=20)
    words = ["train", "--keypoints", str(tmp_path / "data"), "--report-experiment", "--output", str(tmp_path / "out")]
    flags = ["--sequence-lines", "20", "--num-epochs", "1", "--class-names", ",".join(STYLES), "--quiet"]
    assert main([*words, *flags]) == 0
    printed = capsys.readouterr().out
    assert "6 test sequences, by a network of 12 others" in printed
    assert "where sequences of one dancer" in printed
    folder = tmp_path / "out" / "report-experiment"
    told = json.loads((folder / "experiment.json").read_text())
    assert (told["labels"], told["num_steps"], len(told["trials"])) == (list(STYLES), 20, len(LEARNING_RATES))
    assert told["settings"]["learning_rate"] == told["learning_rate"]
    for name in ("learning_rate.png", "confusion.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_what_it_needs_is_said_where_it_is_missing(tmp_path: Path) -> None:
    write_text(tmp_path / "half", "train", STYLES, num_lines=20)
    with pytest.raises(ConfigError, match=r"needs X_train\.txt and X_test\.txt.*found X_train\.txt"):
        report_experiment(config_of(tmp_path / "half"), learning_rate=None, num_epochs=1)
    _, y = write_text(tmp_path / "half", "test", STYLES, num_lines=20)
    y.write_text("1\n2\n")
    with pytest.raises(TableError, match=r"Y_test\.txt: 2 labels, but .*X_test\.txt holds 3 sequences"):
        report_experiment(config_of(tmp_path / "half"), learning_rate=None, num_epochs=1)
    assert main(["train", "catalog.csv", "--report-experiment", "--output", str(tmp_path / "out")]) == 2
