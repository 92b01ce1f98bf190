"""The log of a training while it runs, in a CSV file, for TensorBoard and in MLflow."""

import csv
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from choreai import __version__
from choreai.errors import ConfigError
from choreai.style.history import EpochResult
from choreai.style.training.run_log import LogKind, check_log, open_log

HISTORY = tuple(EpochResult(member, epoch, 1 / epoch, 0.5, None, None, 0.01) for member in (0, 1) for epoch in (1, 2))
SETTINGS = {"seed": 7, "num_epochs": 2}
FIGURES = {"accuracy": 0.9}
ABOUT = {"model": "lstm-1"}


def rows_in(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(line for line in path.read_text().splitlines() if not line.startswith("#")))


def test_a_csv_is_there_from_the_first_epoch_on_and_whole_in_the_end(tmp_path: Path) -> None:
    log = open_log("csv", output=str(tmp_path), run_id="run", settings=SETTINGS)
    log.epoch(HISTORY[3])
    path = tmp_path / "training" / "logs" / "run.csv"
    assert log.where == str(path)
    assert [row["epoch"] for row in rows_in(path)] == ["2"]
    log.finish(HISTORY, FIGURES, about=ABOUT)  # with those of before it was resumed, and none twice
    assert [(row["member"], row["epoch"]) for row in rows_in(path)] == [("0", "1"), ("0", "2"), ("1", "1"), ("1", "2")]
    assert rows_in(path)[0]["validation_loss"] == ""
    head = path.read_text()
    assert f"# written by: choreai {__version__}\n# seed: 7\n" in head
    assert "# model: lstm-1\n# accuracy: 0.9\n" in head


def test_a_training_that_ended_early_says_so(tmp_path: Path) -> None:
    log = open_log("csv", output=str(tmp_path), run_id="run", settings=SETTINGS)
    log.epoch(HISTORY[0])
    log.fail()
    assert "# ended: early" in (tmp_path / "training" / "logs" / "run.csv").read_text()


def test_tensorboard_gets_each_network_s_curves(tmp_path: Path) -> None:
    log = open_log("tensorboard", output=str(tmp_path), run_id="run", settings=SETTINGS)
    log.epoch(HISTORY[0])
    log.finish(HISTORY, FIGURES, about=ABOUT)
    (events,) = (tmp_path / "training" / "logs" / "run").iterdir()
    content = events.read_bytes()
    assert content.count(b"train_loss/network_1") == 2
    assert b"model/accuracy" in content
    assert b"validation_loss" not in content


@pytest.mark.skipif(find_spec("mlflow") is None, reason="MLflow is not installed")
def test_mlflow_gets_a_run_with_settings_curves_and_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/runs.db")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    import mlflow

    mlflow.set_tracking_uri(str(tmp_path / "runs"))
    log = open_log("mlflow", output="s3://bucket/out", run_id="run", settings=SETTINGS)
    log.epoch(HISTORY[0])
    log.finish(HISTORY, FIGURES, about=ABOUT)
    client = mlflow.tracking.MlflowClient()
    (experiment,) = client.search_experiments(filter_string="name = 'choreai'")
    (run,) = client.search_runs([experiment.experiment_id])
    assert (run.data.params["seed"], run.data.tags["model"], run.info.status) == ("7", "lstm-1", "FINISHED")
    assert run.data.metrics["accuracy"] == 0.9
    assert [each.value for each in client.get_metric_history(run.info.run_id, "network_2.train_loss")] == [1.0, 0.5]


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_what_is_not_installed_is_named_with_what_needs_nothing(kind: LogKind, monkeypatch: pytest.MonkeyPatch) -> None:
    module = {"tensorboard": "tensorboardX", "mlflow": "mlflow"}[kind]
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match="--log csv needs nothing"):
        check_log(kind, "out")
