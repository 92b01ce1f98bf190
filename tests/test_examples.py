"""Every example runs, on generated dancers or on an output folder that is there already."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import previous_output
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drivers import ROOT
from made_predictions import LABELS, calibrated_predictions
from nbclient import NotebookClient
from PIL import Image

from choreai import __version__
from choreai.config import KeypointSettings
from choreai.demo.dancers import write_clip
from choreai.motion.kinematics import FEATURES
from choreai.motion.windows import WindowSettings
from choreai.pipeline.keypoints import look_at_keypoints
from choreai.style.evaluation.evaluate import evaluate
from choreai.style.evaluation.report import VideoSources, write_report
from choreai.style.model import StyleModel, StyleModelConfig, save_model
from choreai.style.networks import build_network
from choreai.style.versions import versions
from choreai.tables import schemas

EXAMPLES = ROOT / "examples"
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(ROOT),
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "MPLBACKEND": "agg",
}
SECONDS = 4.0
FASTER = "breaking - popping"
"""Styles of which the second has faster hands, in `write_trained`."""


def run(*arguments: str | Path, cwd: Path, timeout: int = 560) -> str:
    """What an example prints."""
    done = subprocess.run(
        [str(word) for word in arguments], cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "dance.mp4"
    write_clip(path, style="hiphop", seed=31_000, duration_seconds=SECONDS, frames_per_second=15)
    return path


def test_every_example_is_listed_and_tested() -> None:
    names = {
        path.name for path in EXAMPLES.iterdir() if path.name != "README.md" and not path.name.startswith((".", "_"))
    }
    listed = (EXAMPLES / "README.md").read_text()
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert all(f"[{name}]({name})" in listed and name in tests for name in names)


@pytest.mark.usefixtures("real_poses")
def test_a_video_is_posed(clip: Path) -> None:
    printed = run(sys.executable, EXAMPLES / "pose_a_video.py", clip, cwd=clip.parent)
    assert "dance: 1 person, 60 poses" in printed
    assert "hands_speed_mean" in printed
    lines = clip.with_suffix(".keypoints.csv").read_text().splitlines()
    assert lines[0].startswith("track_id,frame_index,pts_seconds,nose_x")
    assert len(lines) == 61


def test_tags_are_queried(tmp_path: Path) -> None:
    printed = run(sys.executable, EXAMPLES / "query_tags.py", previous_output.WRITTEN, cwd=tmp_path)
    assert all(video_id in printed for video_id in previous_output.VIDEO_IDS)
    assert "hands_speed" in printed
    assert "start_seconds" in printed


def test_the_report_s_data_is_made_as_it_had_it(tmp_path: Path) -> None:
    printed = run(sys.executable, EXAMPLES / "report_data.py", "data", "--train", "4", "--test", "3", cwd=tmp_path)
    assert "data: 4 and 3 sequences" in printed
    given = look_at_keypoints(KeypointSettings(source=str(tmp_path / "data"), frames_per_second=25))
    assert (len(given.catalog), given.origin.has_scores) == (7, True)
    assert (tmp_path / "data" / "Y_train.txt").read_text() == "1\n2\n3\n1\n"


@pytest.mark.slow
@pytest.mark.usefixtures("mediapipe")  # the model was trained on its poses
def test_the_notebook_runs(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {**ENVIRONMENT, "VIDEO": str(clip), "MODEL": str(previous_output.MODEL)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MPLBACKEND")  # the kernel's own shows pictures in the page
    notebook = nbformat.read(EXAMPLES / "dance.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before you commit"
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(clip.parent))
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    shown = str(outputs)
    assert "data:image/jpeg;base64" in shown  # four frames with skeletons
    assert any("image/png" in output.get("data", {}) for output in outputs)  # the plot
    assert "dance: hiphop" in shown


def write_trained(output: Path) -> None:
    """What a training leaves that a paper needs: of sixty dancers, three styles of which one has faster hands."""
    predictions = calibrated_predictions(60, seed=3)
    metrics = evaluate(predictions, baselines={}, leaky=None, target_precision=0.8, seed=0)
    data = {"split": "5 folds", "num_videos": 60, "num_windows": 60, "num_without_keypoints": 0}
    config = StyleModelConfig(
        labels=LABELS, pose_fingerprint="fp1", windows=WindowSettings(), network="style", hidden_size=4, num_members=1
    )
    training = {"settings": {"seed": 0}, "data": {**data, "num_without_windows": 0}, "versions": versions()}
    network = build_network("style", num_labels=3, hidden_size=4, dropout=0.1)
    model = StyleModel((network,), config, training=training)
    folder = str(output / "models" / model.model_version)
    sources = VideoSources([], str(output), "fp1", has_videos=False)
    write_report(folder, model=model, metrics=metrics, predictions=predictions, history=(), sources=sources)
    save_model(folder, model)
    rng = np.random.default_rng(0)
    rows = [
        {
            **{name: float(rng.gamma(8, 0.1)) for name in FEATURES},
            **{"video_id": video_id, "content_id": "c", "track_id": 0, "is_main": True, "run_id": "r", "seconds": 10.0},
            **{"start_seconds": 0.0, "stop_seconds": 10.0, "seen_share": 1.0},
            "hands_speed_mean": float(rng.gamma(8, 0.1)) + (label == 2),
        }
        for video_id, label in zip(predictions.video_ids, predictions.label_index, strict=True)
    ]
    part = output / "kinematics" / "fp1" / "part-a.parquet"
    part.parent.mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=schemas.KINEMATICS), part)


@pytest.mark.slow
def test_a_paper_s_figure_is_drawn_from_tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_trained(tmp_path)
    for name, value in {**ENVIRONMENT, "OUTPUT": str(tmp_path), "FIGURE": str(tmp_path / "styles.pdf")}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MPLBACKEND")  # the kernel's own shows pictures in the page
    notebook = nbformat.read(EXAMPLES / "paper_figure.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "clear the outputs before you commit"
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    differences = pd.read_csv(tmp_path / "styles.csv").to_dict("records")
    (hands,) = [row for row in differences if row["feature"] == "hands_speed_mean" and row["styles"] == FASTER]
    assert hands["p (Holm)"] < 0.001
    assert hands["high"] < 0
    with Image.open(tmp_path / "styles.png") as picture:
        assert f"written by: choreai {__version__}" in picture.info["Description"]


@pytest.mark.ray
@pytest.mark.timeout(600)
@pytest.mark.usefixtures("real_poses")
def test_a_model_is_trained_on_own_labels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for style in ("classical", "hiphop"):
        (tmp_path / "videos" / style).mkdir(parents=True)
        for seed in range(3):
            path = tmp_path / "videos" / style / f"{seed}.mp4"
            write_clip(path, style=style, seed=seed, duration_seconds=2.0, frames_per_second=10)
    flags = ("--num-folds", "2", "--num-epochs", "3")
    command = tmp_path / "bin" / "choreai"  # of this checkout, whichever is installed
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\nexec {sys.executable} -c 'from choreai.cli.main import run; run()' \"$@\"\n")
    command.chmod(0o755)
    monkeypatch.setitem(ENVIRONMENT, "PATH", f"{command.parent}:{ENVIRONMENT['PATH']}")
    printed = run("bash", EXAMPLES / "train_on_own_labels.sh", "videos/", "out", *flags, cwd=tmp_path)
    tagged = pq.read_table(tmp_path / "out" / "tags")["video_id"].to_pylist()
    assert len(set(tagged)) == len(tagged) == len(list((tmp_path / "videos").rglob("*.mp4")))
    assert "accuracy" in printed
