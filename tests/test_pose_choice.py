"""The estimator "auto": which it is, what it says of files that are missing, and that workers agree with the driver."""

from pathlib import Path
from typing import Any

import pytest

from choreai.cluster.pose_worker import PoseWorker
from choreai.errors import ConfigError
from choreai.pose.choice import choose_estimator
from choreai.pose.settings import PoseSettings
from choreai.storage import objects
from choreai.weights.cache import Cache
from choreai.weights.catalogue import read_catalogue


def test_auto_is_mediapipe_with_a_line_that_says_what_is_missing_and_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CHOREAI_WEIGHTS", str(tmp_path))
    chosen = choose_estimator(PoseSettings(estimator="auto"), read_file=objects.read_object)
    assert chosen == PoseSettings()
    (line,) = caplog.messages
    assert "detector_checkpoint is missing" in line
    assert "choreai weights fetch crowd-small" in line


def test_auto_is_crowd_where_its_files_are_at_hand(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = {"checkpoint": tmp_path / "pose.onnx", "detector_checkpoint": tmp_path / "detector.onnx"}
    for file in files.values():
        file.write_bytes(b"network")
    named: dict[str, Any] = {name: str(file) for name, file in files.items()}
    chosen = choose_estimator(PoseSettings(estimator="auto", **named), read_file=objects.read_object)
    assert chosen == PoseSettings(estimator="crowd", **named)
    assert not caplog.messages
    files["checkpoint"].unlink()
    chosen = choose_estimator(PoseSettings(estimator="auto", **named), read_file=objects.read_object)
    assert chosen.estimator == "mediapipe"
    assert "checkpoint is missing" in caplog.text


def test_auto_takes_a_set_that_was_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHOREAI_WEIGHTS", str(tmp_path))
    cache = Cache(tmp_path)
    detector, network = read_catalogue().expand(["crowd-small"])
    for entry in (detector, network):
        with cache.path_of(entry).open("wb") as file:
            file.truncate(entry.num_bytes or 1)
    chosen = choose_estimator(PoseSettings(estimator="auto"), read_file=objects.read_object)
    assert chosen.estimator == "crowd"
    assert chosen.detector_checkpoint == str(cache.path_of(detector))
    assert chosen.checkpoint == str(cache.path_of(network))


def test_a_worker_with_other_files_than_the_driver_does_not_work_under_its_name(tmp_path: Path) -> None:
    settings = PoseSettings(estimator="auto")
    worker = PoseWorker(str(tmp_path), settings=settings, pose_fingerprint="f" * 16, run_id="r")
    with pytest.raises(ConfigError, match="other files on this worker"):
        worker.setup()
